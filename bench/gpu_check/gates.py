"""The gate of bench/probes/equivalence.py between two devices: native modes on one, plain PyTorch on the CPU as the reference.

The probe compares backends on the CPU, and its verdicts are records. This asks whether what they say holds on a device: the same
weights and input, in double precision, must give the same spikes and, up to rounding, the same gradients, by the probe's own
tolerance. The noise floor is that of the CPU. The probe's broken neurons must fail.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bench import zoo
from bench.case import Case
from bench.probes.equivalence import CONTROLS, Comparison, Response, compare, draw, in_double, respond
from bench.registry import BACKENDS
from bench.seeds import seed_of
from bench.speed.rows import Row
from bench.training_step import training_step

NETWORK = "vgg-sws-small/cifar10"
REFERENCE = "native"
ANY = "any"  # several papers plan the same gate


@dataclass(frozen=True)
class Gate:
    """``mode``: an algorithm on a backend. ``broken``: the controls that fail, as they must, and those that pass."""

    mode: str
    comparison: Comparison
    noise: float
    fired: float
    broken: tuple[tuple[str, ...], tuple[str, ...]]

    @property
    def problem(self) -> str:
        """Return what is wrong, or ""."""
        mode, found = self.mode, self.comparison
        if self.fired == 0:
            return f"{mode}: no neuron fires, so that nothing is compared"
        if self.broken[1]:
            return f"{mode}: broken neurons pass ({', '.join(self.broken[1])})"
        if found.spikes_differing:
            return f"{mode}: {found.spikes_differing} of {found.spikes_total} spikes differ"
        if not found.passes(self.noise):
            return f"{mode}: gradients differ by {found.gradient_difference:.1e}, noise floor {self.noise:.1e}"
        return ""


def modes(planned: Iterable[Case]) -> list[Case]:
    """Return the planned gates of the modes of the native backend on one small network, and of that backend itself, each once."""
    gates = [case for case in planned if (case.probe, case.network) == ("equivalence", NETWORK)]
    compiled = [replace(case, paper=ANY, scale=gates[0].scale) for case in gates if BACKENDS[case.backend].compiles]
    plain = [replace(case, backend=REFERENCE) for case in compiled]
    return list(dict.fromkeys([*plain, *compiled]))


@in_double()
def gates(cases: Iterable[Case], device: str) -> list[Gate]:
    """Compare each mode on ``device`` with its algorithm on the CPU."""
    references: dict[tuple[object, ...], tuple[Response, float, tuple[tuple[str, ...], tuple[str, ...]]]] = {}
    found = []
    for case in cases:
        x, target = _batch(case)
        known = (case.algorithm, case.T, case.batch, case.options)
        if known not in references:
            reference = _respond(case, REFERENCE, "cpu", x, target)
            reordered = _respond(case, REFERENCE, "cpu", x.flip(1), target.flip(0))
            noise = compare(reference, replace(reordered, spikes=reference.spikes)).gradient_difference
            references[known] = reference, noise, _controls(case, x, target, reference, noise)
        reference, noise, broken = references[known]
        comparison = compare(reference, _respond(case, case.backend, device, x, target))
        fired = sum(float(s.sum()) for s in reference.spikes)
        mode = str(Row(case.algorithm, case.backend, case.options))
        found.append(Gate(mode, comparison, noise, fired, broken))
    return found


def _controls(
    case: Case, x: Tensor, target: Tensor, reference: Response, noise: float
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the broken neurons that fail, and those that pass, without those that cannot differ."""
    neurons = zoo.spec(case.network).neurons
    able = {name: control for name, control in CONTROLS.items() if not control.cannot_differ(case.T, neurons)}
    fail = {name for name, control in able.items() if control.fails(case, x, target, reference, noise)}
    return tuple(name for name in able if name in fail), tuple(name for name in able if name not in fail)


def _respond(case: Case, backend: str, device: str, x: Tensor, target: Tensor) -> Response:
    step = training_step(case.network, case.algorithm, backend, seed=case.seed, device=device, **case.algorithm_options)
    draw(step.net, case)
    found = respond(step.net, lambda: step.gradients(x.to(device), target.to(device)))
    return Response([s.cpu() for s in found.spikes], [g.cpu() for g in found.gradients])


def _batch(case: Case) -> tuple[Tensor, Tensor]:
    """Return random images that are smooth in space, so that deep layers fire."""
    spec = zoo.spec(case.network)
    generator = torch.Generator().manual_seed(seed_of("gates on a device", case.network, case.seed))
    channels, height, width = spec.input
    x = torch.randn(case.T, case.batch, channels, -(-height // 4), -(-width // 4), generator=generator)
    x = 2 * x.repeat_interleave(4, -1).repeat_interleave(4, -2)[..., :height, :width]
    return x, torch.randint(spec.classes, (case.batch,), generator=generator)
