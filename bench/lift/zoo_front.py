"""The exact front of a network of the zoo, and SpikingJelly's memory optimiser on it: a line of results/exact_front.jsonl."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Mapping

from bench.lift.fit import front
from bench.lift.source import build
from bench.lift.spikingjelly_memopt import LEVELS, optimised
from bench.lift.zoo_networks import BATCH, ZOO, ZooNetwork

LONG = 32  # time steps of the networks without batch norm
DEEP = ("101", "152")  # of these the optimiser's searches count for an hour: level 1 only


def cases() -> Mapping[str, tuple[ZooNetwork, int]]:
    """Return the multi-step networks and their time steps, by the name of the case; plain networks also with 32 steps."""
    found: dict[str, tuple[ZooNetwork, int]] = {}
    for name, network in ZOO.items():
        if network.framework == "spikingjelly" and network.time == "multi-step":
            found[f"{name}/T{network.real.T}"] = (network, network.real.T)
            if name.startswith("spiking_vgg") and "_bn" not in name:
                found[f"{name}/T{LONG}"] = (network, LONG)
    return found


def front_of(case: str) -> dict[str, object]:
    """Return the front and the optimiser's results of one case, with CPU seconds; types that JSON has."""
    network, T = cases()[case]
    built = build(network.real.make)
    levels = (1,) if any(depth in case for depth in DEEP) else LEVELS
    began = time.process_time()
    found = front(built.net, network.real.frame, T=T, batch=BATCH, encoding=network.encoding)
    seconds = time.process_time() - began
    rivals = optimised(built.net, network.real.frame, T=T, batch=BATCH, encoding=network.encoding, levels=levels)
    return {
        "case": case,
        "frame": list(network.real.frame),
        "T": T,
        "batch": BATCH,
        "encoding": network.encoding,
        **found.as_dict(),
        "spikingjelly": [each.as_dict() for each in rivals],
        "seconds": {"front": round(seconds, 2), "optimiser": round(time.process_time() - began - seconds, 2)},
        "versions": {name: importlib.metadata.version(name) for name in ("torch", "spikingjelly")},
    }
