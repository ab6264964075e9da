"""Temporally truncated local BPTT (Guo et al. 2023): BPTT inside windows of K steps and blocks of b layers.

    the state is detached between windows, and the input of a block is detached;
    dL/dW for W of block i = sum over windows of the BPTT gradient of the window's L[i]

Only the paper's abstract is available. Chosen here, because it is left open there: blocks and classifiers as in blocks.py; the
state is carried, not reset, between windows; the last window is shorter if K does not divide T.
    update  "window"  after every window, as the name "update unlocking" suggests
            "block"   after every block of every window, without waiting for other blocks; gradients of only one block exist at
                      a time. For optimizers that treat each parameter separately the weights are those of "window"
            "end"     once, after the sequence
K = T is local training; one block is truncated BPTT. Memory: the graph of K steps of one block, and the states of all blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bench.algorithms import blocks
from bench.algorithms.context import StepContext
from bench.errors import Support
from bench.nets.build import Network
from bench.options import Declared, one_of, whole, within
from bench.spec import NetworkSpec


@dataclass(frozen=True)
class Options(Declared):
    K: int = whole(2, least=1, meaning="time steps of a window")
    b: int = blocks.size_of_blocks()
    classifier: str = blocks.auxiliary_classifier()
    update: str = one_of(
        "window", ("block", "window", "end"), meaning="updates of the weights: every block, every window, or at the end"
    )

    def suits(self, spec: NetworkSpec, T: int) -> None:
        within(self.K, T, "ttl-bptt")

    @property
    def updates_once(self) -> bool:
        return self.update == "end"


in_windows = True


def supports(spec: NetworkSpec) -> Support:
    return blocks.supports(spec)


def prepare(net: Network, options: Options) -> blocks.BlockNetwork:
    return blocks.prepare(net, options.b, options.classifier)


def train_step(net: blocks.BlockNetwork, x: Tensor, context: StepContext, options: Options) -> Tensor:
    within(options.K, x.shape[0], "ttl-bptt")
    return blocks.train(net, x, context, options.K, options.update)
