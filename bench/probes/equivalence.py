"""The equivalence gate, a condition for comparing backends: same weights and input must give the same spikes and gradients.

It runs in double precision. In single precision a potential within rounding of its threshold may fire on one backend and not on
another, and the resulting differences would not come from the implementations.

All spikes must be equal. Gradients may differ by at most ``SLACK`` times the noise floor, which is the change of the native
backend's gradient if the batch is summed in another order. As negative controls, broken neurons must fail the gate: a wrong
threshold, a wrong surrogate, a wrong decay, a reset one step late, and a membrane potential not reset between batches. The
detail lists those controls that cannot differ at the case's T or with its neurons; the first two always can.

``divide``: the gate runs on input of a fraction of the network's side, with all its layers, weights and neurons. Convolutions
and neurons do the same at every position, so that the comparison is the same at a part of the cost. It applies to networks whose
parameters do not depend on the size of the input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from bench import algorithms, zoo
from bench.algorithms.context import StepContext
from bench.backends import native
from bench.backends.native_beyond_lif import beyond_lif
from bench.case import Case
from bench.counting.tape import tensors
from bench.errors import UserError
from bench.kernels.lif import lif
from bench.kernels.surrogate import fire
from bench.losses import InstantaneousLoss
from bench.measurement import Measurement
from bench.nets.build import Network, build
from bench.nets.layers import Neurons, aligned
from bench.nets.shapes import layer_inputs
from bench.options import Declared, whole
from bench.probes.resources import Resources
from bench.seeds import seed_of
from bench.spec import AdaptiveLIF, NetworkSpec, Neuron, NeuronSpec, ParametricLIF, RefractoryLIF
from bench.training_step import recipe, training_step

if TYPE_CHECKING:
    from bench.contracts import Trainable

VERSION = 3  # 2: no controls with wrong threshold or surrogate; included controls that cannot differ


@dataclass(frozen=True)
class Options(Declared):
    divide: int = whole(1, least=1, meaning="the input's height and width are those of the network divided by this")


SLACK = 10.0
FLOOR = 1e-12  # relative; differences below this are rounding of sums in double precision
CEILING = 1e-8  # relative; with a noisier gradient implementations cannot be distinguished


@dataclass(frozen=True)
class Response:
    """Spikes of every layer of neurons [T * B * ...] and gradient of every parameter, for one batch."""

    spikes: list[Tensor]
    gradients: list[Tensor]


@dataclass(frozen=True)
class Comparison:
    spikes_differing: int
    spikes_total: int
    gradient_difference: float  # largest over parameters of |g - g_ref| / max(|g_ref|, |whole g_ref| / 1000)

    def passes(self, noise: float) -> bool:
        tolerance = min(SLACK * max(noise, FLOOR), CEILING)
        return self.spikes_differing == 0 and self.gradient_difference <= tolerance


@contextmanager
def in_double() -> Iterator[None]:
    """In this context, new tensors are of double precision: weights, frameworks' constants in buffers, and input."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@in_double()
def measure(case: Case, resources: Resources) -> list[Measurement]:
    spec = _spec(case)
    x, target = _batch(spec, case)
    reference = _respond(case, "native", x, target)
    reordered = _respond(case, "native", x.flip(1), target.flip(0))
    noise = compare(reference, replace(reordered, spikes=reference.spikes)).gradient_difference
    result = compare(reference, _respond(case, case.backend, x, target))
    neurons = spec.neurons
    not_applicable = {name: reason for name, control in CONTROLS.items() if (reason := control.cannot_differ(case.T, neurons))}
    failed_controls = {
        name: control.fails(case, x, target, reference, noise) for name, control in CONTROLS.items() if name not in not_applicable
    }
    fired = sum(float(s.sum()) for s in reference.spikes)
    passes_gate = result.passes(noise) and all(failed_controls.values()) and fired > 0
    detail = {
        "spikes compared": result.spikes_total,
        "spikes differing": result.spikes_differing,
        "firing rate": round(fired / result.spikes_total, 4),
        "gradient difference": result.gradient_difference,
        "noise floor": noise,
        "broken neurons that fail": [name for name, closed in failed_controls.items() if closed],
        "broken neurons that cannot differ": not_applicable,
    }
    return [Measurement("gate", "pass" if passes_gate else "fail", "pass/fail", VERSION, detail)]


def compare(reference: Response, other: Response) -> Comparison:
    if len(reference.spikes) != len(other.spikes) or len(reference.gradients) != len(other.gradients):
        raise ValueError("the two networks differ in their layers")
    differing = sum(int((a != b).sum()) for a, b in zip(reference.spikes, other.spikes, strict=True))
    total = sum(a.numel() for a in reference.spikes)
    whole = torch.stack([a.norm() for a in reference.gradients]).norm()
    # A bias before batch norm has a gradient of rounding errors alone, so it is compared with the norm of the whole gradient.
    # NaN (a NaN gradient, or a reference that is all zero) becomes the maximum and passes no tolerance.
    largest = torch.stack(
        [(a - b).norm() / torch.maximum(a.norm(), 1e-3 * whole)
         for a, b in zip(reference.gradients, other.gradients, strict=True)]
    ).max()  # fmt: skip
    return Comparison(differing, total, float(largest))


def aligned_parameters(net: nn.Module) -> list[nn.Parameter]:
    """Return the parameters in an order that is the same for every implementation of a network."""
    return [parameter for _, parameter in aligned(net)]


def _spec(case: Case) -> NetworkSpec:
    """The network of the gate. Raises UserError if it cannot take input of the size that the case asks for."""
    spec, divide = zoo.spec(case.network), Options.named("probe equivalence", case.probe_options).divide
    if divide == 1:
        return spec
    channels, *sides = spec.input
    smaller = replace(spec, input=(channels, *(side // divide for side in sides)))
    if any(side % divide for side in sides) or not sides:
        raise UserError(f"divide = {divide}: {spec.name} takes {spec.input}; use a divisor of height and width")
    empty = any(0 in shape for _, shape in layer_inputs(smaller.layers, smaller.input))
    try:
        build(smaller, native, "meta")
    except (ValueError, RuntimeError):
        empty = True
    if empty:
        raise UserError(f"divide = {divide}: {spec.name} cannot take input of shape {smaller.input}; divide by less")
    return smaller


def _batch(spec: NetworkSpec, case: Case) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed_of("equivalence", case.network, case.seed))
    x = torch.randn(case.T, case.batch, spec.input[0], *(-(-n // 4) for n in spec.input[1:]), generator=generator)
    if len(spec.input) == 3:  # smooth in space like images, so that deep layers fire
        x = x.repeat_interleave(4, -1).repeat_interleave(4, -2)[..., : spec.input[1], : spec.input[2]]
    x = 2 * x
    return x, torch.randint(spec.classes, (case.batch,), generator=generator)


class SpikesDiffer(Exception):
    """A layer has fired unlike the reference, so that the rest of a control need not be computed."""


def respond(net: nn.Module, gradients: Callable[[], object], expected: Sequence[Tensor] | None = None) -> Response:
    """Run ``gradients`` and record the spikes of every layer of neurons and the resulting gradients.

    Raises SpikesDiffer at the first spikes that differ from those ``expected``, if these are given.
    """
    neurons = cast("Trainable", net).neurons()
    seen: dict[int, list[Tensor]] = {id(module): [] for module in neurons}
    still_expected = {id(module): spikes for module, spikes in zip(neurons, expected or (), strict=expected is not None)}

    def note(module: nn.Module, inputs: object, out: object) -> None:
        if torch._C._current_autograd_node() is not None:  # checkpointing recomputes layers in the backward pass
            return
        spikes = next(tensors(out)).detach()
        seen[id(module)].append(spikes)
        if id(module) in still_expected:
            expected_now, still_expected[id(module)] = still_expected[id(module)].tensor_split([spikes.numel()])
            if not torch.equal(expected_now, spikes.flatten()):
                raise SpikesDiffer

    hooks = [module.register_forward_hook(note) for module in neurons]
    try:
        gradients()
    finally:
        for hook in hooks:
            hook.remove()
    # Neurons return [K, B, ...] or [B, ...] per call; flattened these are the same spikes in the same order.
    spikes = [torch.cat([s.flatten() for s in seen[id(module)]]) for module in neurons]
    return Response(spikes, [_gradient(parameter) for parameter in aligned_parameters(net)])


def _respond(case: Case, backend: str, x: Tensor, target: Tensor) -> Response:
    step = training_step(case.network, case.algorithm, backend, seed=case.seed, **case.algorithm_options)
    step.net.spec = _spec(case)  # type: ignore[assignment]  # the size of the input that it accepts
    draw(step.net, case)
    return respond(step.net, lambda: step.gradients(x, target))


def draw(net: nn.Module, case: Case) -> None:
    """Draw the weights of the gate. No parameter is zero, because a factor of zero could hide a difference.

    Dropout of neurons is switched off, because each framework draws its masks in a different order.
    """
    generator = torch.Generator().manual_seed(seed_of("equivalence weights", case.network, case.seed))
    size = max(2, 4 / case.T)  # so that the last layer of a deep network fires within few steps
    with torch.no_grad():
        for name, parameter in aligned(net):
            noise = torch.randn(parameter.shape, generator=generator)
            if name == "weight" and parameter.dim() > 1:
                parameter.copy_(size * noise * parameter[0].numel() ** -0.5)
            else:  # small biases; gains and weights of batch norm near one; decays away from 0 and 1
                parameter.copy_(0.1 * noise + {"bias": 0.0, "decay": 0.5}.get(name, 1.0))
    for module in net.modules():
        if isinstance(module, Neurons) or type(module).__name__ == "Dropout":
            module.training = False


def _gradient(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()


# --------------------------------------------------------------------------- broken neurons


@dataclass(frozen=True)
class _Broken:
    """A backend with LIF neurons ``kernel(x[K, B, ...], v, changed(spec))``, and neurons that are built on these."""

    changed: Callable[[NeuronSpec], NeuronSpec]
    kernel: Callable[..., tuple[Tensor, Tensor]]
    name: str = "broken"
    layerwise: bool = True

    def neurons(self, spec: Neuron) -> nn.Module:
        if isinstance(spec, NeuronSpec):
            return _Neurons(self.kernel, self.changed(spec))
        return beyond_lif(replace(spec, lif=self.changed(spec.lif)), self.kernel)


class _Neurons(nn.Module):
    def __init__(self, dynamics: Callable[..., tuple[Tensor, Tensor]], spec: NeuronSpec) -> None:
        super().__init__()
        self.dynamics, self.spec = dynamics, spec

    def in_space(self) -> None:
        """Stop the gradient between time steps."""
        self.dynamics = partial(_without_gradient_through_time, self.dynamics)

    def forward(self, x: Tensor, v: Tensor | None) -> tuple[Tensor, Tensor]:
        return self.dynamics(x, v, self.spec)


def _without_gradient_through_time(
    dynamics: Callable[..., tuple[Tensor, Tensor]], x: Tensor, v: Tensor | None, spec: NeuronSpec
) -> tuple[Tensor, Tensor]:
    spikes = []
    for x_t in x:
        s, v = dynamics(x_t[None], None if v is None else v.detach(), spec)
        spikes.append(s)
    assert v is not None, "a window of no time steps"
    return torch.cat(spikes), v


def _unchanged(spec: NeuronSpec) -> NeuronSpec:
    return spec


def _wrong_threshold(spec: NeuronSpec) -> NeuronSpec:
    return replace(spec, threshold=1.1 * spec.threshold)


def _wrong_surrogate(spec: NeuronSpec) -> NeuronSpec:
    return replace(spec, surrogate=replace(spec.surrogate, alpha=1.1 * spec.surrogate.alpha))


def _wrong_decay(spec: NeuronSpec) -> NeuronSpec:
    return replace(spec, decay=0.9 * spec.decay)


def _late_reset(x: Tensor, v: Tensor | None, spec: NeuronSpec, decay: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Subtract the threshold after the neurons of the next step have fired, and never across the edge of a window."""
    after = torch.zeros_like(x[0]) if v is None else v
    spikes: list[Tensor] = []
    for x_t in x:
        u = (spec.decay if decay is None else decay) * after + x_t
        after = u - spec.threshold * spikes[-1].detach() if spikes else u
        spikes.append(fire(u - spec.threshold, spec.surrogate))
    return torch.stack(spikes), after


def _run_broken(
    case: Case, x: Tensor, target: Tensor, expected: Sequence[Tensor] | None, backend: _Broken, state_not_reset: bool = False
) -> Response:
    rule = algorithms.load(case.algorithm)
    options = recipe(case.algorithm, "native", case.algorithm_options).options
    net = cast(Network, rule.prepare(build(_spec(case), backend), options))
    net.reset_parameters(seed_of("weights", case.network, case.seed))
    draw(net, case)
    if state_not_reset:
        with torch.no_grad():
            _, still_expected = net.window(x, None)
        net.initial_state = lambda batch: still_expected  # type: ignore[method-assign]
    context = StepContext(InstantaneousLoss(target, x.shape[0]), lambda: None)
    return respond(net, lambda: rule.train_step(net, x, context, options), expected)


@dataclass(frozen=True)
class Control:
    """A broken neuron that must fail the gate.

    ``steps``: the least T at which it differs; ``needs_carried_potential``: it differs only if potentials carry over between
    steps (decay > 0). ``but``: neurons that it does not change, with the reason.
    """

    respond: Callable[[Case, Tensor, Tensor, Sequence[Tensor] | None], Response]
    steps: int = 1
    needs_carried_potential: bool = False
    but: tuple[tuple[type, ...], str] = ((), "")

    def fails(self, case: Case, x: Tensor, target: Tensor, reference: Response, noise: float) -> bool:
        """Return whether it fails the gate, as it must: by its spikes, or by its gradients if all spikes are equal."""
        try:
            response = self.respond(case, x, target, reference.spikes)
        except SpikesDiffer:
            return True
        return not compare(reference, response).passes(noise)

    def cannot_differ(self, T: int, neurons: Sequence[Neuron]) -> str:
        """Return why it cannot differ, or ""."""
        if self.steps > T:
            return f"cannot differ at T = {T}"
        unchanged, reason = self.but
        if neurons and all(isinstance(neuron, unchanged) for neuron in neurons):
            return reason
        forgets = neurons and all(isinstance(neuron, NeuronSpec) and neuron.decay == 0 for neuron in neurons)
        return "cannot differ where every decay is 0" if self.needs_carried_potential and forgets else ""


def _control_run(
    changed: Callable[[NeuronSpec], NeuronSpec] = _unchanged, kernel: Callable[..., tuple[Tensor, Tensor]] = lif, **how: bool
) -> Callable[..., Response]:
    return lambda case, x, target, expected: _run_broken(case, x, target, expected, _Broken(changed, kernel), **how)


CONTROLS: dict[str, Control] = {
    "wrong threshold": Control(_control_run(_wrong_threshold)),
    "wrong surrogate": Control(_control_run(_wrong_surrogate)),
    "wrong decay": Control(
        _control_run(_wrong_decay), steps=2, needs_carried_potential=True,
        but=((ParametricLIF,), "cannot differ where every decay is a parameter"),
    ),
    "late reset": Control(
        _control_run(kernel=_late_reset), steps=2, needs_carried_potential=True,
        but=((AdaptiveLIF, RefractoryLIF), "is stated for the reset of LIF neurons"),
    ),
    "state not reset": Control(_control_run(state_not_reset=True), needs_carried_potential=True),
}  # fmt: skip
