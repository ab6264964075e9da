"""The exact front of a network of the zoo, and SpikingJelly's memory optimiser on it: a part of a line of results/zoo.jsonl."""

from __future__ import annotations

import time

from bench.case import Settings
from bench.errors import UserError
from bench.json_object import Json
from bench.lift.cost.spikingjelly_memopt import LEVELS, optimised
from bench.lift.fitting.fit import front
from bench.lift.recognition.source import build
from bench.lift.zoo.networks import BATCH, ZOO, ZooNetwork

LONG = 32  # time steps at which networks without batch norm are measured too
# The optimiser's searches count a training step for each of their trials; for other networks only level 1, which needs none.
SEARCHED = ("spiking_vgg11_bn/m", "sew_resnet18/m", "MNISTNet/m", "spikformer_cifar10")


def names() -> list[str]:
    """Return the multi-step networks of the zoo."""
    return [name for name, network in ZOO.items() if network.framework == "spikingjelly" and network.time == "multi-step"]


def of(name: str) -> Json:
    """Return the fronts of a network at its T, and at ``LONG`` steps if no batch norm ties them; types that JSON has."""
    network = ZOO[name]
    if name not in names():
        raise UserError(f"{name} is not a multi-step network of SpikingJelly's, which its optimiser needs")
    cases = [_case(name, network, network.real.T)]
    if cases[0]["bound"]["norm"] == 0 and name.startswith("spiking_vgg"):
        cases.append(_case(name, network, LONG))
    return {"cases": cases}


def _case(name: str, network: ZooNetwork, T: int) -> Json:
    net = build(network.real.make).net
    settings: Settings = {"T": T, "batch": BATCH, "encoding": network.encoding}
    began = time.process_time()
    found = front(net, network.real.frame, **settings)
    counted = time.process_time()
    rivals = optimised(net, network.real.frame, **settings, levels=LEVELS if name in SEARCHED else (1,))
    seconds = {"front": round(counted - began, 2), "optimiser": round(time.process_time() - counted, 2)}  # of the CPU
    return {
        **settings,
        "frame": list(network.real.frame),
        **found.as_dict(),
        "spikingjelly": [each.as_dict() for each in rivals],
        "seconds": seconds,
    }
