"""The public Python names of the library, and nothing else. A name is imported when it is first used.

What there is, and whether a combination exists:

    >>> import spikecost
    >>> "ottt-a" in spikecost.algorithms()
    True
    >>> spikecost.support("vgg5/cifar10", "ottt-a", "spikingjelly-multistep").ok
    False

What a training step costs, counted at its true size without data, weights or a GPU:

    >>> cost = spikecost.cost("vgg-sws/cifar10", "tbptt", "native", T=6, batch=128, K=2)
    >>> print(f"{cost.memory.total / 2**30:.2f} GiB, {sum(cost.macs.dense.values()):.3g} MACs")
    1.22 GiB, 1.39e+12 MACs
    >>> plan = spikecost.cheapest("vgg5-small/digits", T=4, batch=16, budget=2 * 2**30)
    >>> plan.schedule.algorithm, plan.macs_ratio
    ('bptt', 1.0)

The same for a network of your own, a ``torch.nn.Module`` of SpikingJelly's or snnTorch's neurons: ``spikecost.measure``,
``spikecost.compare``, ``spikecost.fit`` (docs/your_network.md).

A training step to run, here on one random batch:

    >>> step = spikecost.training_step("vgg5-small/digits", "sltt", "native", lr=0.05)
    >>> x, target = spikecost.batch_for(step, T=4, batch=16, device="cpu")
    >>> step.run(x, target).shape  # the outputs [batch, classes], summed over time
    torch.Size([16, 10])

Its weights in the same network with another backend's neurons:

    >>> other = spikecost.training_step("vgg5-small/digits", "bptt", "native-fast")
    >>> spikecost.copy_weights(step.net, other.net)

A mistake in a name or a value is a ``UserError`` that says what is known and what to do.
"""

from __future__ import annotations

import pkgutil
import sys
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from torch.nn import Module

    from bench.algorithms import names as algorithms
    from bench.backends import names as backends
    from bench.counting.any_step import Cost
    from bench.counting.energy import Convention
    from bench.counting.step import batch_for
    from bench.datasets import names as datasets
    from bench.errors import Support, UserError
    from bench.lift.cost.compare import Compared, compare
    from bench.lift.cost.energy import Energy, energy
    from bench.lift.cost.measure import Measured, measure
    from bench.lift.fitting.fit import Fitted, Front, fit, front
    from bench.lift.running.training import LiftedStep
    from bench.nets.weights import copy_weights
    from bench.planning.schedules import Plan, cheapest
    from bench.training_step import TrainingStep, support
    from bench.zoo import names as networks

    __version__: str
else:  # a type checker would take any name for one of this module's

    def __getattr__(name: str) -> object:
        if name == "__version__":
            from bench.runner.store import version_of

            value: object = version_of(__name__)
        elif name in _HOMES:
            value = pkgutil.resolve_name(_HOMES[name])
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name, obj=sys.modules[__name__])
        globals()[name] = value
        return value


__all__ = [
    "Compared",
    "Convention",
    "Cost",
    "Energy",
    "Fitted",
    "Front",
    "LiftedStep",
    "Measured",
    "Plan",
    "Support",
    "TrainingStep",
    "UserError",
    "__version__",
    "algorithms",
    "backends",
    "batch_for",
    "cheapest",
    "compare",
    "copy_weights",
    "cost",
    "datasets",
    "energy",
    "fit",
    "front",
    "measure",
    "networks",
    "support",
    "training_step",
]

_HOMES = {  # public name: module and the name there
    "Compared": "bench.lift.cost.compare:Compared",
    "Convention": "bench.counting.energy:Convention",
    "Cost": "bench.counting.any_step:Cost",
    "Energy": "bench.lift.cost.energy:Energy",
    "Fitted": "bench.lift.fitting.fit:Fitted",
    "Front": "bench.lift.fitting.fit:Front",
    "LiftedStep": "bench.lift.running.training:LiftedStep",
    "Measured": "bench.lift.cost.measure:Measured",
    "Plan": "bench.planning.schedules:Plan",
    "Support": "bench.errors:Support",
    "TrainingStep": "bench.training_step:TrainingStep",
    "UserError": "bench.errors:UserError",
    "algorithms": "bench.algorithms:names",
    "backends": "bench.backends:names",
    "batch_for": "bench.counting.step:batch_for",
    "cheapest": "bench.planning.schedules:cheapest",
    "compare": "bench.lift.cost.compare:compare",
    "copy_weights": "bench.nets.weights:copy_weights",
    "datasets": "bench.datasets:names",
    "energy": "bench.lift.cost.energy:energy",
    "fit": "bench.lift.fitting.fit:fit",
    "front": "bench.lift.fitting.fit:front",
    "measure": "bench.lift.cost.measure:measure",
    "networks": "bench.zoo:names",
    "support": "bench.training_step:support",
}


def cost(network: str, algorithm: str, backend: str, *, T: int, batch: int, **options: Any) -> Cost:
    """Memory [B], multiply-accumulates and memory traffic [B] of one training step on ``batch`` samples of ``T`` time steps.

    ``memory`` (total, by_category), ``macs`` (dense, multiplications: each by role), ``traffic`` (conventions()). Counted on
    tensors without storage. ``options`` as of ``training_step``. UserError with the reason for what does not exist.
    """
    from bench.case import Case
    from bench.counting.step import batch_for, cost_of
    from bench.errors import UserError
    from bench.probes.check import check
    from bench.training_step import training_step

    supported = check(Case("none", "cost", network, algorithm, backend, T, batch, options=tuple(options.items())))
    if not supported:
        raise UserError(f"{algorithm} on backend {backend}, network {network}: {supported.reason}")
    step = training_step(network, algorithm, backend, device="meta", **options)
    return cost_of(step, *batch_for(step, T, batch, "meta"))


@overload
def training_step(network: str, algorithm: str, backend: str, **options: Any) -> TrainingStep: ...
@overload
def training_step(network: Module, algorithm: str, **options: Any) -> LiftedStep: ...
def training_step(network: Any, algorithm: str, backend: str | None = None, **options: Any) -> TrainingStep | LiftedStep:
    """Return a training step of a network of the catalogue on a backend, or of a module of your own.

    The catalogue: ``step.run(x, target)``; options of bench/training_step.py. A ``torch.nn.Module``: ``step(x, target)``; options
    of bench/lift/running/training.py (loss, optimizer, clip, scaler, process_group ...). Both take the options of the algorithm.
    """
    if isinstance(network, str) and backend is not None:
        from bench.training_step import training_step as of_the_catalogue

        return of_the_catalogue(network, algorithm, backend, **options)
    from bench.errors import UserError

    if isinstance(network, str):
        raise UserError(f"network {network!r} of the catalogue: name the backend too, e.g. 'native'")
    if backend is not None:
        raise UserError(f"backend = {backend!r} beside a module of your own, whose neurons are its own: leave it out")
    from bench.lift.running.training import training_step as of_a_module

    return of_a_module(network, algorithm, **options)


def __dir__() -> list[str]:
    return sorted(__all__)
