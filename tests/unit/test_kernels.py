"""The native LIF kernel and the surrogates compared with plain differentiable operators under autograd."""

from __future__ import annotations

from dataclasses import replace
from math import atan, pi

import pytest
import torch
from torch import Tensor

from bench.kernels.lif import lif
from bench.kernels.surrogate import derivative_, fire
from bench.spec import NeuronSpec, Surrogate

SURROGATES = [
    *(Surrogate("sigmoid", 4.0), Surrogate("sigmoid", 1.5), Surrogate("triangle", 1.0), Surrogate("triangle", 2.0)),
    *(Surrogate("rectangle", 1.5), Surrogate("arctangent", 2.0), Surrogate("fast sigmoid", 4.0)),
]
PEAKS = [1.0, 0.375, 1.0, 2.0, 1.5, 1.0, 1.0]
NAMES = [f"{s.kind}-{s.alpha}" for s in SURROGATES]


def smooth(x: Tensor, surrogate: Surrogate) -> Tensor:
    """Return a function of x whose derivative by autograd is the surrogate derivative."""
    y = surrogate.alpha * x
    match surrogate.kind:
        case "sigmoid":
            return torch.sigmoid(y)
        case "triangle":
            y = y.clamp(-1, 1)
            return y - y * y.abs() / 2
        case "rectangle":
            return y.clamp(-0.5, 0.5)
        case "arctangent":
            return torch.atan(pi / 2 * y) / pi
        case "fast sigmoid":
            return y / (1 + y.abs()) / surrogate.alpha


def plain_lif(x: Tensor, v: Tensor | None, n: NeuronSpec) -> tuple[Tensor, Tensor]:
    """The equations of NeuronSpec in ordinary operators; spikes have the value of the step and the slope of ``smooth``."""
    v = torch.zeros_like(x[0]) if v is None else v
    spikes = []
    for x_t in x:
        u = n.decay * v + x_t
        slope = smooth(u - n.threshold, n.surrogate)
        s = (u >= n.threshold).to(u.dtype) + (slope - slope.detach())
        spikes.append(s)
        gate = s.detach() if n.detach_reset else s
        v = u - n.threshold * gate if n.reset == "soft" else u * (1 - gate)
    return torch.stack(spikes), v


def drawn(K: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return input around threshold, an initial membrane potential, and loss weights for spikes and for the last potential."""
    g = torch.Generator().manual_seed(seed)
    x, v, on_s, on_v = (torch.randn(*shape, generator=g, dtype=torch.float64) for shape in [(K, 3, 7), (3, 7)] * 2)
    return (0.6 + x).requires_grad_(), v.requires_grad_(), on_s, on_v


def responses(f, x, v, n, loss):
    s, after = f(x, v, n)
    wanted = [x] if v is None else [x, v]
    gradients = torch.autograd.grad(loss(s, after), wanted, allow_unused=True)
    return s, after, [torch.zeros_like(w) if g is None else g for g, w in zip(gradients, wanted, strict=True)]


@pytest.mark.parametrize("surrogate", SURROGATES, ids=NAMES)
@pytest.mark.parametrize("carried_in", [True, False], ids=["v given", "v None"])
@pytest.mark.parametrize("K", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("detach", [True, False], ids=["detached", "through reset"])
@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_lif_equals_plain_operators(reset, detach, K, carried_in, surrogate):
    n = NeuronSpec(decay=0.7, threshold=0.8, reset=reset, detach_reset=detach, surrogate=surrogate)
    x, v, on_s, on_v = drawn(K)
    v = v if carried_in else None
    for loss in (
        lambda s, after: (s * on_s).sum() + (after * on_v).sum(),
        lambda s, after: (s * on_s).sum(),
        lambda s, after: (after * on_v).sum(),
    ):
        s, after, gradients = responses(lif, x, v, n, loss)
        s_ref, after_ref, gradients_ref = responses(plain_lif, x, v, n, loss)
        assert 0 < s.mean() < 1
        assert torch.equal(s, s_ref)
        torch.testing.assert_close(after, after_ref, rtol=1e-12, atol=1e-12)
        for mine, reference in zip(gradients, gradients_ref, strict=True):
            torch.testing.assert_close(mine, reference, rtol=1e-6, atol=1e-9)


def test_plain_lif_differs_between_settings():
    """Otherwise the comparison above would accept a kernel that ignores a setting."""
    x, v, on_s, on_v = drawn(4)
    base = NeuronSpec(decay=0.7, threshold=0.8)
    others = [
        replace(base, decay=0.6), replace(base, threshold=0.9), replace(base, reset="hard"),
        replace(base, detach_reset=False), replace(base, surrogate=Surrogate("triangle", 1.0)),
    ]  # fmt: skip
    gradients = [responses(lif, x, v, n, lambda s, a: (s * on_s).sum() + (a * on_v).sum())[2][0] for n in [base, *others]]
    for other in gradients[1:]:
        assert (other - gradients[0]).norm() > 0.01 * gradients[0].norm()


@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_lif_fires_exactly_at_threshold(reset):
    x = torch.tensor([[[1.0, 0.99999, 1.00001]]])
    s, v = lif(x, None, NeuronSpec(reset=reset))
    assert s.tolist() == [[[1.0, 0.0, 1.0]]]
    assert v[0, 0] == 0
    assert fire(torch.tensor([0.0, -1e-7, 1e-7]), Surrogate()).tolist() == [1.0, 0.0, 1.0]


def test_lif_leaves_its_arguments_unchanged():
    x, v, on_s, on_v = drawn(3)
    before = x.detach().clone(), v.detach().clone(), on_s.clone(), on_v.clone()
    s, after = lif(x, v, NeuronSpec(detach_reset=False))
    torch.autograd.backward([s, after], [on_s, on_v])
    for argument, copy in zip((x, v, on_s, on_v), before, strict=True):
        assert torch.equal(argument, copy)


def test_lif_membrane_potential_by_hand():
    """decay 0.5, threshold 1: u = 0.8, 1.2 (fires), soft: 0.1 + 0.8, hard: 0 + 0.8."""
    x = torch.full((3, 1, 1), 0.8, dtype=torch.float64)
    s, v = lif(x, None, NeuronSpec())
    assert s.flatten().tolist() == [0, 1, 0]
    assert v.item() == pytest.approx(0.5 * (0.5 * 0.8 + 0.8 - 1) + 0.8)
    s, v = lif(x, None, NeuronSpec(reset="hard"))
    assert s.flatten().tolist() == [0, 1, 0]
    assert v.item() == pytest.approx(0.8)


@pytest.mark.parametrize(("surrogate", "peak"), list(zip(SURROGATES, PEAKS, strict=True)), ids=NAMES)
def test_surrogate_peak_symmetry_and_mass(surrogate, peak):
    x = torch.linspace(-8, 8, 16001, dtype=torch.float64)
    f = derivative_(x.clone(), surrogate)
    assert f[8000] == pytest.approx(peak)
    assert f.max() == f[8000]
    assert torch.allclose(f, f.flip(0))
    beyond = {
        "arctangent": 1 - 2 / pi * atan(4 * pi * surrogate.alpha),
        "fast sigmoid": 2 / surrogate.alpha / (1 + 8 * surrogate.alpha),
    }
    mass = torch.trapezoid(f, x) + beyond.get(surrogate.kind, 0.0)
    area = 2 / surrogate.alpha if surrogate.kind == "fast sigmoid" else 1.0  # the area of the others is 1
    assert mass == pytest.approx(area, abs=1e-3 if surrogate.kind == "rectangle" else 1e-4)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_surrogate_rectangle_support(alpha):
    edge = 1 / (2 * alpha)
    x = torch.tensor([-edge - 1e-6, -edge + 1e-6, edge - 1e-6, edge + 1e-6], dtype=torch.float64)
    assert derivative_(x, Surrogate("rectangle", alpha)).tolist() == [0, alpha, alpha, 0]


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_surrogate_triangle_support(alpha):
    edge = 1 / alpha
    x = torch.tensor([-edge - 1e-6, -edge + 1e-6, edge - 1e-6, edge + 1e-6], dtype=torch.float64)
    f = derivative_(x, Surrogate("triangle", alpha))
    assert f[[0, 3]].tolist() == [0, 0]
    assert (f[[1, 2]] > 0).all()


@pytest.mark.parametrize("surrogate", SURROGATES, ids=NAMES)
def test_fire_passes_the_surrogate_derivative(surrogate):
    x = torch.linspace(-2, 2, 41, dtype=torch.float64).requires_grad_()
    (mine,) = torch.autograd.grad(fire(x, surrogate).sum(), x)
    (reference,) = torch.autograd.grad(smooth(x, surrogate).sum(), x)
    torch.testing.assert_close(mine, reference, rtol=1e-6, atol=1e-12)
