"""Local training: BPTT inside each block of layers, no gradient between blocks (Nøkland and Eidnes 2019, here over time).

    dL[i]/dW = sum_t dL[i]/du[t] * s_pre[t]^T   for the weights W of block i alone,
    dL[i]/du[t] = dL[i]/ds[t] * f(u[t] - V_th) + dL[i]/du[t+1] * du[t+1]/du[t];   dL[i]/d(input of block i) is not formed

Blocks of ``b`` layers of neurons, auxiliary ``classifier`` and order of computation: blocks.py. With one block this is BPTT.
Memory: the graph of T steps of one block, and its input and output spikes.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bench.algorithms import blocks
from bench.algorithms.context import StepContext
from bench.errors import Support
from bench.nets.build import Network
from bench.options import Declared
from bench.spec import NetworkSpec


@dataclass(frozen=True)
class Options(Declared):
    b: int = blocks.size_of_blocks()
    classifier: str = blocks.auxiliary_classifier()


in_windows = True


def supports(spec: NetworkSpec) -> Support:
    return blocks.supports(spec)


def prepare(net: Network, options: Options) -> blocks.BlockNetwork:
    return blocks.prepare(net, options.b, options.classifier)


def train_step(net: blocks.BlockNetwork, x: Tensor, context: StepContext, options: Options) -> Tensor:
    return blocks.train(net, x, context, K=x.shape[0], update="end")
