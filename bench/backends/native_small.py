"""As native_fast, but all layers are recomputed in the backward pass; only their input spikes are saved, at one bit each.

See bench/nets/recomputing.py.
"""

from __future__ import annotations

from bench.backends import native_fast
from bench.backends.native_fast import beside, has, kernel, neurons
from bench.nets.build import Network
from bench.nets.grouping import groups_ending_at_small_layers, sizes
from bench.nets.recomputing import recomputing

__all__ = ["beside", "has", "kernel", "layerwise", "name", "neurons", "rewritten"]

name = "native-small"
layerwise = True


def rewritten(net: Network) -> Network:
    net = native_fast.rewritten(net)
    return recomputing(net, groups_ending_at_small_layers(list(net.body.layers), sizes(net)))
