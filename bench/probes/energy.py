"""Operations by measured spikes on one real batch, at the initial weights: of inference and of a training step.

What counts as what: bench/counting/synaptic.py; energy by conventions: bench/counting/energy.py. Values are those of the batch
over its size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.case import Case
from bench.counting.energy import CONVENTIONS
from bench.counting.macs import Role
from bench.counting.synaptic import Operations, Synaptic
from bench.counting.tape import tensors, watching
from bench.json_object import Json
from bench.measurement import Measurement
from bench.options import Part
from bench.probes.resources import Resources
from bench.seeds import seed_of
from bench.training_step import TrainingStep, training_step

VERSION = 1


@dataclass(frozen=True)
class Options(Part):
    """The part of the data set."""


def measure(case: Case, resources: Resources) -> list[Measurement]:
    """Return accumulations, multiply-accumulates and energy of inference and of a training step.

    ``detail`` has them by layer (inference) or by purpose (training), and energy by every convention.
    """
    step = training_step(case.network, case.algorithm, case.backend, seed=case.seed, **case.algorithm_options)
    x, target = resources.data.sequence(case)
    layers, forward = _inference(step, x)
    torch.manual_seed(seed_of("masks", case.network, case.dataset, case.T, case.batch, case.seed))
    by_role = _training(step, x, target)
    training = sum(by_role.values(), Operations())
    about = resources.data.about
    return [
        *_measurements("inference", forward, case.batch, {**layers, **about}),
        *_measurements("training", training, case.batch, {**{role: vars(found) for role, found in by_role.items()}, **about}),
    ]


def _measurements(what: str, found: Operations, batch: int, detail: Json) -> list[Measurement]:
    joules = {name: convention.joules(found) / batch for name, convention in CONVENTIONS.items()}
    first = next(iter(joules.values()))
    return [
        Measurement(f"{what}_accumulations", found.acs / batch, "AC", VERSION, detail),
        Measurement(f"{what}_macs_with_spikes", found.macs / batch, "MAC", VERSION, {"dense": found.dense / batch}),
        Measurement(f"{what}_energy", first, "J", VERSION, joules),
    ]


def _inference(step: TrainingStep, x: Tensor) -> tuple[Json, Operations]:
    net = step.trainable
    net.eval()
    with torch.no_grad():
        counted = _counted(step, x, lambda _: net.outputs(x))
    net.train()
    by_layer = counted.by_layer()
    detail = {path: {"reads": kind, **vars(operations)} for path, (kind, operations) in by_layer.items()}
    return detail, sum((operations for _, operations in by_layer.values()), Operations())


def _training(step: TrainingStep, x: Tensor, target: Tensor) -> Mapping[Role, Operations]:
    return _counted(step, x, lambda watcher: step.run(x, target, watcher)).by_role()


def _counted(step: TrainingStep, x: Tensor, run: Callable[[Synaptic], object]) -> Synaptic:
    inside: list[str] = []

    def leave(_: object, __: object, ___: object) -> None:  # a hook that returned something would replace the output
        inside.pop()

    counted = Synaptic(step.net.parameters(), [x], lambda: inside[-1] if inside else "")
    with ExitStack() as hooks:
        for path, module in step.net.named_modules():
            hooks.callback(module.register_forward_pre_hook(lambda _, __, path=path: inside.append(path)).remove)
            hooks.callback(module.register_forward_hook(leave).remove)
        for module in step.trainable.spiking():
            hooks.callback(module.register_forward_hook(lambda _, __, out: counted.emitted([*tensors(out)][:1])).remove)
        with watching(counted):
            run(counted)
    return counted
