"""OSTL and OTPE: equalities with BPTT and OTTT, and when weights change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench import algorithms
from bench.algorithms.context import StepContext
from bench.errors import UserError
from bench.losses import InstantaneousLoss
from bench.nets.layers import aligned
from bench.spec import NetworkSpec
from tests.unit.dense_networks import FAST, RULES, VARIANTS, B, T, dense, difference, drawn, gradient, slope_of


@pytest.mark.parametrize("rule", ["ostl", "otpe"])
def test_ostl_at_the_last_layer_is_bptt(rule: str) -> None:
    assert difference(gradient(rule)[-2:], gradient("bptt")[-2:]) < 1e-12


def test_ostl_of_one_layer_is_bptt() -> None:
    spec = dense(sizes=(7, 4))
    assert difference(gradient("ostl", spec=spec), gradient("bptt", spec=spec)) < 1e-12


def test_ostl_is_not_bptt_below_the_last_layer() -> None:
    assert difference(gradient("ostl")[:2], gradient("bptt")[:2]) > 1e-2


def scores_by_autograd(spec: NetworkSpec, front: bool) -> list[Tensor]:
    """BPTT of the same network, the loss on the leaky sum of its spikes."""
    net, x, target = drawn(spec, "bptt")
    loss, scores, total = InstantaneousLoss(target, T), torch.zeros(()), torch.zeros(()).double()
    for s in net.window(x, None)[0]:
        scores = (spec.neuron.decay * scores if front else 0) + s
        total = total + loss(scores[None])
    return list(torch.autograd.grad(total, [p for _, p in aligned(net)]))


def test_otpe_front_is_bptt_of_the_leaky_scores_at_the_last_layer() -> None:
    exact = scores_by_autograd(dense(), front=True)
    assert difference(gradient("otpe", front=True)[-2:], exact[-2:]) < 1e-12
    assert difference(gradient("otpe", front=True)[:2], exact[:2]) > 1e-3
    assert difference(gradient("otpe")[-2:], exact[-2:]) > 1e-3


@pytest.mark.parametrize("rule", RULES)
def test_otpe_single_step_is_bptt(rule: str) -> None:
    """With one step there is no past: all traces are the input, and the mean slope is the slope."""
    gradients = []
    for algorithm in (rule, "bptt"):
        net, x, target = drawn(dense(), algorithm)
        with torch.no_grad():
            aligned(net)[1][1].add_(1.0)  # else no neuron fires in the first step
        module = algorithms.load(algorithm)
        module.train_step(net, x[:1], StepContext(InstantaneousLoss(target, 1), lambda: None), module.Options())
        gradients.append([p.grad.clone() for _, p in aligned(net) if p.grad is not None])
    if rule in ("otpe", "approximate-otpe", "ostl", "ottt-dense"):
        assert difference(*gradients) < 1e-12


def test_approximate_otpe_without_leak_in_the_weights_is_ottt() -> None:
    """At decay 0 there is no past, and every rule is the spatial gradient."""
    spec = dense(replace(FAST, decay=0.0))
    reference = gradient("ottt-dense", spec=spec)
    for rule in RULES[1:]:
        assert difference(gradient(rule, spec=spec), reference) < 1e-12


def test_mean_slope_of_a_constant_is_the_constant() -> None:
    from bench.algorithms.dense_traces import mean_slope, mean_slopes

    slope = torch.full((20, 2, 3), 0.3, dtype=torch.float64)
    torch.testing.assert_close(mean_slopes(slope, 0.9), slope)
    mean, rho = mean_slope(slope[0], None, None, 0.9)
    for each in slope[1:]:
        mean, rho = mean_slope(each, mean, rho, 0.9)
    torch.testing.assert_close(mean, slope[0])
    assert float(rho) == pytest.approx((1 - 0.9**20) / 0.1)


def test_otpe_is_closer_to_bptt_than_ostl_in_the_first_layer() -> None:
    def cosine(a: Tensor, b: Tensor) -> float:
        return float(F.cosine_similarity(a.flatten(), b.flatten(), 0))

    exact = gradient("bptt")[0]
    assert cosine(gradient("otpe")[0], exact) > cosine(gradient("ostl")[0], exact)


@pytest.mark.parametrize(("rule", "options"), VARIANTS, ids=str)
def test_online_updates_sum_to_T_times_the_offline_gradient_at_constant_weights(rule: str, options: dict[str, Any]) -> None:
    net, x, target = drawn(dense(), rule, **options)
    module, parts = algorithms.load(rule), []

    def take() -> None:
        parts.append([p.grad.clone() for _, p in aligned(net) if p.grad is not None])
        net.zero_grad()

    chosen = module.Options(update="step", **options)
    module.train_step(net, x, StepContext(InstantaneousLoss(target, T), take), chosen)
    assert len(parts) == T
    assert not chosen.updates_once
    offline = gradient(rule, **options)
    assert difference([sum(each) for each in zip(*parts, strict=True)], [T * g for g in offline]) < 1e-12  # type: ignore[misc]


def test_traces_are_carried_across_updates() -> None:
    """Plain SGD by hand on one layer: OSTL's trace is built with the weights of its time."""
    spec, rate = dense(sizes=(7, 4)), 0.1
    net, x, target = drawn(spec, "ostl", update="step")
    start = [p.detach().clone() for _, p in aligned(net)]
    module = algorithms.load("ostl")

    @torch.no_grad()
    def sgd() -> None:
        for _, p in aligned(net):
            assert p.grad is not None
            p.sub_(rate * p.grad)
        net.zero_grad()

    module.train_step(net, x, StepContext(InstantaneousLoss(target, T), sgd), module.Options(update="step"))
    w, b = start
    n = spec.neuron
    U = P = P_b = torch.zeros((), dtype=torch.float64)
    d: Tensor | float = 1.0
    for x_t in x:
        v = n.decay * U + x_t @ w.t() + b
        s = (v >= 1).double()
        U, D = v - s, slope_of(v, n)
        carried = torch.as_tensor(n.decay * d)
        P = (carried[..., None] * P if carried.dim() else 0 * P) + x_t[:, None, :]
        P_b = carried * P_b + torch.ones_like(D)
        d = 1 - D
        onehot = F.one_hot(target, 4).double()
        g = (0.95 * (s.softmax(1) - onehot) + 0.05 * 2 * (s - onehot) / 4) / B
        w = w - rate * torch.einsum("bm,bmn->mn", g * D, P)
        b = b - rate * (g * D * P_b).sum(0)
    assert difference([p.detach() for _, p in aligned(net)], [w, b]) < 1e-12
    assert difference([w, b], start) > 1e-3


@pytest.mark.parametrize("rule", RULES)
def test_adjoint_needs_constant_weights(rule: str) -> None:
    with pytest.raises(UserError, match="use form = 'traces'"):
        algorithms.load(rule).Options(form="adjoint", update="step")


@pytest.mark.parametrize("form", ["traces", "adjoint"])
@pytest.mark.parametrize(("rule", "options"), VARIANTS, ids=str)
def test_every_rule_returns_the_summed_spikes(rule: str, options: dict[str, Any], form: str) -> None:
    net, x, target = drawn(dense(), rule, **options)
    with torch.no_grad():
        outs = net.outputs(x)
    module = algorithms.load(rule)
    got = module.train_step(net, x, StepContext(InstantaneousLoss(target, T), lambda: None), module.Options(form=form, **options))
    assert not got.requires_grad
    torch.testing.assert_close(got, outs.sum(0))
