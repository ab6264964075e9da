"""As native_fast, but spikes are saved for backward at one bit each, and the first layers are recomputed in the backward pass.

The first layers have most neurons and fewest inputs: recomputing them costs at most a seventh more multiply-accumulates
(bench/nets/recomputing.py).
"""

from __future__ import annotations

from bench.backends import native_fast
from bench.backends.native_fast import beside, has, kernel, neurons
from bench.nets.build import Network
from bench.nets.grouping import cheap_first_groups, sizes
from bench.nets.recomputing import recomputing

__all__ = ["beside", "has", "kernel", "layerwise", "name", "neurons", "rewritten"]

name = "native-balanced"
layerwise = True
SHARE = 1 / 7  # of a BPTT step's multiply-accumulates


def rewritten(net: Network) -> Network:
    net = native_fast.rewritten(net)
    return recomputing(net, cheap_first_groups(list(net.body.layers), sizes(net), SHARE))
