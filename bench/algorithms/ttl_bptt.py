"""Temporally truncated local BPTT (Guo et al. 2023): windows of K steps, blocks of b layers, BPTT inside both, nothing across.

    state at a window's edge is detached, and so is a block's input;
    dL/dW for W of block i = sum over windows of BPTT's gradient of the window's own L[i]

Only the paper's abstract is certain. Open there and chosen here: blocks and classifiers as in blocks.py; the state is carried,
not reset, across an edge; the last window is shorter where K does not divide T.

    update  "window"  after every window, as the name of update unlocking suggests
            "block"   after every block of every window: a block's update waits for none of the others. The weights are those
                      of "window" for an optimizer that treats each parameter on its own; gradients of one block exist at a time
            "end"     once, after the sequence

K = T is local training; one block is truncated BPTT. Memory: the graph of K steps of one block, and the states of all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from torch import Tensor

from bench.algorithms import blocks
from bench.networks.build import Network
from bench.options import Declared, one_of, whole, within
from bench.spec import NetworkSpec, Support

title = "TTL-BPTT"


@dataclass(frozen=True)
class Options(Declared):
    K: int = whole(2, "time steps of a window", least=1)
    b: int = blocks.size_of_blocks()
    classifier: str = blocks.auxiliary_classifier()
    update: str = one_of("window", ("block", "window", "end"), "when weights change: after every block, every window, or once")

    def suits(self, spec: NetworkSpec, T: int) -> None:
        within(self.K, T, "ttl-bptt")

    @property
    def updates_once(self) -> bool:
        return self.update == "end"


in_windows = True


def supports(spec: NetworkSpec) -> Support:
    return blocks.supports(spec)


def prepare(net: Network, options: Options) -> Network:
    return blocks.prepare(net, options.b, options.classifier)


def train_step(net: Network, x: Tensor, loss: Callable[[Tensor], Tensor], update: Callable[[], None], options: Options) -> Tensor:
    within(options.K, x.shape[0], "ttl-bptt")
    return blocks.train(cast(blocks.BlockNetwork, net), x, loss, update, options.K, options.update)
