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
from typing import cast

from torch import Tensor

from bench.algorithms import blocks
from bench.networks.build import Network
from bench.spec import NetworkSpec, Support, UserError, choose

title = "TTL-BPTT"
options: dict[str, object] = {"K": 2, "b": 1, "classifier": "pooled", "update": "window"}
in_windows = True


def supports(spec: NetworkSpec) -> Support:
    return blocks.supports(spec)


def prepare(net: Network, K: int = 2, b: int = 1, classifier: str = "pooled", update: str = "window") -> Network:
    choose("update", update, ("block", "window", "end"))
    return blocks.prepare(net, b, classifier)


def train_step(
    net: Network,
    x: Tensor,
    loss: Callable[[Tensor], Tensor],
    apply: Callable[[], None],
    K: int = 2,
    b: int = 1,
    classifier: str = "pooled",
    update: str = "window",
) -> Tensor:
    if not 1 <= K <= x.shape[0]:
        raise UserError(f"ttl-bptt: K = {K} of T = {x.shape[0]} steps; use 1 <= K <= T")
    return blocks.train(cast(blocks.BlockNetwork, net), x, loss, apply, K, update)
