"""The fused kernels compared with the plain PyTorch reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from torch import Tensor

from bench.kernels import fused
from bench.kernels import lif as reference
from bench.probes.equivalence import in_double
from bench.spec import NeuronSpec, Surrogate, SurrogateKind
from tests.kernels.implementations import Kernel, On

LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "contiguous": lambda x: x,
    "channels last": lambda x: x.movedim(2, -1).contiguous().movedim(-1, 2) if x.dim() > 3 else x,
    "batch outermost": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
    "with gaps": lambda x: torch.stack([x, x + 1], -1)[..., 0],
    "one image for all steps": lambda x: x[:1].expand_as(x),
    "one number for a channel": lambda x: x[..., :1].expand_as(x),
}
SAMPLES = (
    (),
    (1,),
    (7,),
    (3, 5),
    (2, 3, 5),
    (5, 1, 3),
    (1, 4, 1),
    (2, 23, 29),
    (1031,),
    (0,),
    (3, 0, 2),
)  # some over one block


@dataclass(frozen=True)
class Window:
    """``decay``: the form in which it is given; ``asked``: the outputs that have a gradient."""

    T: int
    batch: int
    sample: tuple[int, ...]
    layout: str
    gradients: str
    neuron: NeuronSpec
    decay: str
    carried: str
    asked: str
    seed: int


neurons = some.builds(
    NeuronSpec,
    decay=some.sampled_from([0.5, 0.7, 1 - 1 / 1.1, 0.0, 1.0]),
    threshold=some.sampled_from([1.0, 0.8]),
    reset=some.sampled_from(["soft", "hard"]),
    detach_reset=some.booleans(),
    surrogate=some.builds(
        Surrogate, kind=some.sampled_from(get_args(SurrogateKind)), alpha=some.sampled_from([1.0, 1.5, 2.0, 4.0])
    ),
)
windows = some.builds(
    Window,
    T=some.integers(0, 6),
    batch=some.integers(0, 3),
    sample=some.sampled_from(SAMPLES),
    layout=some.sampled_from(sorted(LAYOUTS)),
    gradients=some.sampled_from(sorted(LAYOUTS)),
    neuron=neurons,
    decay=some.sampled_from(["the neuron's", "by channel", "learnt"]),
    carried=some.sampled_from(["zero", "given", "given, with gradient"]),
    asked=some.sampled_from(["spikes", "potential", "both"]),
    seed=some.integers(0, 2**16),
)


def every(test: Callable[..., None]) -> Callable[[On], None]:
    """Run ``test(on, window)`` for many windows, the same in every run."""

    def of_many(on: On) -> None:
        chosen = settings(
            max_examples=on.examples, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
        )
        chosen(given(windows)(lambda window: test(on, window)))()

    of_many.__name__, of_many.__doc__ = test.__name__, test.__doc__
    return of_many


@dataclass(frozen=True)
class Ran:
    spikes: Tensor
    potential: Tensor
    gradients: dict[str, Tensor]


def laid_out(x: Tensor, layout: str) -> Tensor:
    return LAYOUTS[layout](x) if x.numel() else x


def run(kernel: Kernel, w: Window, dtype: torch.dtype, device: str, in_space: bool = False) -> Ran:
    """Run ``w`` through a kernel, forward and backward. Random numbers are exact in every type, so all types get the same."""
    kept = fused.TYPES[dtype]
    generator = torch.Generator().manual_seed(w.seed)

    def drawn(*shape: int, centre: float = 0.0) -> Tensor:
        coarse = (torch.randn(shape, generator=generator, dtype=torch.float32) + centre).bfloat16()  # exact in every type
        return coarse.to(device)

    shape = (w.T, w.batch, *w.sample)
    leaf = drawn(*shape, centre=0.6).to(dtype).requires_grad_()
    v = drawn(*shape[1:]).to(kept).requires_grad_(w.carried.endswith("gradient"))
    g_s, g_v = laid_out(drawn(*shape).to(dtype), w.gradients), laid_out(drawn(1, *shape[1:]).to(kept), w.gradients)[0]
    channels = (w.sample[0], *[1] * (len(w.sample) - 1)) if w.sample and w.decay == "by channel" else ()
    decay = (0.5 + 0.25 * drawn(*channels).tanh()).bfloat16().to(kept).requires_grad_()

    x = laid_out(leaf * 1, w.layout)
    start = None if w.carried == "zero" else v
    learns = w.decay != "the neuron's" and not in_space
    s, after = kernel(x, start, w.neuron, decay) if learns else kernel(x, start, w.neuron)
    asked = {"spikes": [(s, g_s)], "potential": [(after, g_v)], "both": [(s, g_s), (after, g_v)]}[w.asked]
    asked = [(s, g_s)] if in_space else asked
    wanted = {"x": leaf, **({"v": v} if start is not None and v.requires_grad else {}), **({"decay": decay} if learns else {})}
    outputs = [(out, g) for out, g in asked if out.requires_grad]
    found = torch.autograd.grad([out for out, _ in outputs], list(wanted.values()), [g for _, g in outputs], allow_unused=True)
    zeros = [torch.zeros_like(leaf) if g is None else g for leaf, g in zip(wanted.values(), found, strict=True)]
    return Ran(s.detach(), after.detach(), dict(zip(wanted, zeros, strict=True)))


def largest(x: Tensor) -> float:
    return float(x.double().abs().max()) if x.numel() else 0.0


def assert_same_spikes(mine: Ran, other: Ran) -> None:
    """Assert equal spikes and potentials to the bit, with the same types and shapes."""
    assert mine.spikes.dtype == other.spikes.dtype
    assert mine.potential.dtype == other.potential.dtype
    assert torch.equal(mine.spikes, other.spikes)
    assert torch.equal(mine.potential, other.potential)
    assert mine.gradients.keys() == other.gradients.keys()
    for name, g in mine.gradients.items():
        assert g.shape == other.gradients[name].shape
        assert g.dtype == other.gradients[name].dtype


def equal_in_double(on: On, w: Window, kernel: Kernel, plain: Kernel, in_space: bool) -> None:
    with in_double():
        mine, other = (run(k, w, torch.float64, on.device, in_space) for k in (kernel, plain))
    assert_same_spikes(mine, other)
    for name, g in other.gradients.items():
        assert largest(mine.gradients[name] - g) <= 1e-12 * largest(g), name


@every
def test_fused_equals_the_reference_in_double_precision(on: On, w: Window) -> None:
    """Gradients to 1e-12 of their largest entry."""
    equal_in_double(on, w, fused.lif_, reference.lif, in_space=False)


@pytest.mark.sampled(every=2)
@pytest.mark.parametrize("kind", get_args(SurrogateKind))
@pytest.mark.parametrize("reset", ["soft", "hard"])
@pytest.mark.parametrize("detached", [True, False], ids=["detached", "through reset"])
def test_fused_equals_the_reference_for_every_setting(on: On, kind: Any, reset: Any, detached: bool) -> None:
    """Every setting, not only the randomly drawn ones."""
    neuron = NeuronSpec(0.7, 0.8, reset, detached, Surrogate(kind, 1.5))
    for decay, carried in (("by channel", "given, with gradient"), ("learnt", "zero"), ("the neuron's", "given")):
        w = Window(5, 2, (3, 5), "contiguous", "channels last", neuron, decay, carried, "both", 3)
        equal_in_double(on, w, fused.lif_, reference.lif, in_space=False)
        equal_in_double(on, w, fused.lif_in_space_, reference.lif_in_space, in_space=True)


@every
def test_fused_in_space_equals_the_reference_in_double_precision(on: On, w: Window) -> None:
    equal_in_double(on, w, fused.lif_in_space_, reference.lif_in_space, in_space=True)


@every
def test_fused_in_single_precision_is_at_the_noise_floor(on: On, w: Window) -> None:
    """The error against double precision is at most twice that of the reference in single precision, plus 4 roundings.

    A rounding is relative to the largest entry; for the gradient of a decay, a sum of n terms, it is 4 sqrt(n) roundings of one
    term. If single and double precision differ in a spike, there is no noise floor and only spikes are compared.
    """
    mine, other = (run(k, w, torch.float32, on.device) for k in (fused.lif_, reference.lif))
    with in_double():
        exact = run(reference.lif, w, torch.float64, on.device)
    assert_same_spikes(mine, other)
    if torch.equal(exact.spikes, other.spikes.double()):
        for name, g in exact.gradients.items():
            floor = largest(other.gradients[name] - g)
            size = max(largest(g), mine.spikes.numel() ** 0.5) if name == "decay" else largest(g)
            assert largest(mine.gradients[name] - g) <= 2 * floor + 4 * 2**-24 * size, name


@every
def test_fused_equals_the_reference_in_bfloat16(on: On, w: Window) -> None:
    """bfloat16 currents, float32 potentials. Gradients are computed in float32.

    Those rounded to bfloat16 differ by at most one unit in the last place, 2^-7 of the entry; those in float32 by 1e-5 of the
    largest entry.
    """
    mine, other = (run(k, w, torch.bfloat16, on.device) for k in (fused.lif_, reference.lif))
    assert_same_spikes(mine, other)
    assert mine.potential.dtype == torch.float32
    for name, g in other.gradients.items():
        bound = 2**-7 * g.double().abs() if g.dtype == torch.bfloat16 else torch.zeros_like(g)
        excess = (mine.gradients[name].double() - g.double()).abs() - bound
        assert float(excess.max() if excess.numel() else 0) <= 1e-5 * largest(g), name


def test_fused_window_of_no_steps_keeps_the_potential(on: On) -> None:
    x, v = torch.empty(0, 2, 3, device=on.device), torch.randn(2, 3, device=on.device).requires_grad_()
    decay = torch.tensor([0.5, 0.7, 0.9], device=on.device).requires_grad_()
    s, after = fused.lif_(x, v, NeuronSpec(), decay)
    assert s.shape == (0, 2, 3)
    assert torch.equal(after, v)
    g = torch.randn(2, 3, device=on.device)
    of_v, of_decay = torch.autograd.grad(after, [v, decay], g)
    assert torch.equal(of_v, g)
    assert torch.equal(of_decay, torch.zeros_like(decay))


def test_windows_have_spikes_and_nonzero_gradients(on: On) -> None:
    """Some neurons fire and some do not, and all gradients are nonzero; otherwise agreement would mean little."""
    w = Window(5, 3, (2, 23, 29), "channels last", "with gaps", NeuronSpec(), "by channel", "given, with gradient", "both", 1)
    ran = run(fused.lif_, w, torch.float64, on.device)
    assert 0.1 < float(ran.spikes.mean()) < 0.9
    assert ran.gradients.keys() == {"x", "v", "decay"}
    assert all(float((g != 0).double().mean()) > 0.9 for g in ran.gradients.values())


@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_fused_passes_gradcheck_between_spikes(on: On, reset: Any) -> None:
    """Between spikes the last potential is a smooth function of x, v and the decays, independent of the surrogate."""
    neuron = NeuronSpec(reset=reset)
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(4, 2, 3, 2, generator=generator, dtype=torch.float64).to(on.device) + 0.6
    v = torch.randn(2, 3, 2, generator=generator, dtype=torch.float64).to(on.device)
    decay = torch.tensor([0.5, 0.7, 0.9], dtype=torch.float64, device=on.device)[:, None]
    u, s, _ = reference.run(x, v, decay, neuron)
    assert (u - neuron.threshold).abs().min() > 1e-4  # gradcheck's steps cause no spike
    assert 0 < s.mean() < 1

    def potential(x: Tensor, v: Tensor, decay: Tensor) -> Tensor:
        return fused.lif_(x * 1, v, neuron, decay)[1]

    # gradcheck uses one graph many times, so it gets copies of what a backward pass consumes
    with torch.autograd.graph.saved_tensors_hooks(torch.clone, torch.clone):
        assert torch.autograd.gradcheck(potential, [leaf.requires_grad_() for leaf in (x, v, decay)], nondet_tol=0)
