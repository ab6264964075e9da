"""Local training and TTL-BPTT: equalities, and what a gradient depends on."""

from __future__ import annotations

from math import ceil, prod
from typing import Any

import pytest
import torch

from bench.algorithms.blocks import CLASSIFIERS as CLASSIFIERS_OF
from bench.algorithms.blocks import neuron_layers
from bench.losses import InstantaneousLoss
from bench.nets.layers import map_state
from bench.spec import (  # fmt: skip
    NetworkSpec,
)
from tests.local.networks import CLASSIFIERS, NETWORKS, Found, T, data, differ, found
from tests.registered import PLAIN


def assert_same(one: Found, other: Found) -> None:
    """Assert equal gradients, running averages and outputs, to the bit."""
    assert all(g is not None and float(g.norm()) > 0 for name, g in one.gradients.items() if name.endswith("weight"))
    for mine, yours in ((one.gradients, other.gradients), (one.buffers, other.buffers), ({"out": one.out}, {"out": other.out})):
        assert mine.keys() == yours.keys()
        for name, value in mine.items():
            assert torch.equal(value, yours[name]), name


@pytest.mark.parametrize("backend", PLAIN)
@pytest.mark.parametrize("spec", NETWORKS.values(), ids=lambda spec: spec.name)
def test_local_with_one_block_is_bptt(step_of: Any, spec: NetworkSpec, backend: str) -> None:
    exact = found(step_of(spec, "bptt", backend))
    for b in (sum(map(neuron_layers, spec.layers)), 99):
        assert_same(exact, found(step_of(spec, "local", backend, b=b)))
        assert_same(exact, found(step_of(spec, "ttl-bptt", backend, b=b, K=T)))


@pytest.mark.parametrize("backend", PLAIN)
@pytest.mark.parametrize("spec", NETWORKS.values(), ids=lambda spec: spec.name)
def test_ttl_bptt_with_one_block_is_truncated_bptt(step_of: Any, spec: NetworkSpec, backend: str) -> None:
    for K in (1, 2, 4):
        assert_same(found(step_of(spec, "tbptt", backend, K=K)), found(step_of(spec, "ttl-bptt", backend, b=99, K=K)))


@pytest.mark.parametrize("backend", PLAIN)
@pytest.mark.parametrize("name", ["plain", "batch norm"])
def test_ttl_bptt_with_one_window_is_local_and_differs_from_bptt(step_of: Any, name: str, backend: str) -> None:
    spec = NETWORKS[name]
    local = found(step_of(spec, "local", backend))
    assert_same(local, found(step_of(spec, "ttl-bptt", backend, K=T)))
    exact = found(step_of(spec, "bptt", backend))
    assert torch.equal(local.out, exact.out)  # the forward pass is unchanged
    assert differ(exact.of("body.layers.0."), local.gradients)
    assert differ(local.of("body"), found(step_of(spec, "ttl-bptt", backend, K=2)).gradients)


@pytest.mark.parametrize("backend", PLAIN)
@pytest.mark.parametrize("classifier", CLASSIFIERS)
@pytest.mark.parametrize("name", ["plain", "residual", "dense"])
def test_local_gradients_are_those_of_the_sum_of_all_losses(step_of: Any, name: str, classifier: str, backend: str) -> None:
    """The definition in one graph: blocks and windows joined by detached tensors, all losses summed, one backward pass."""
    K = 2
    step = step_of(NETWORKS[name], "ttl-bptt", backend, K=K, classifier=classifier)
    got = found(step)
    x, target = data()
    loss, net = InstantaneousLoss(target, T), step.net
    step.optimizer.zero_grad(set_to_none=True)
    whole = torch.zeros(())
    states = [None] * len(net.parts)
    for y in x.split(K):
        for i in range(len(states)):
            y, state = net.window_of(i, y, map_state(torch.Tensor.detach, states[i]))
            states[i] = state
            whole = whole + loss(net.scores(i, y))
            y = y.detach()
    whole.backward()
    for parameter_name, p in net.named_parameters():
        torch.testing.assert_close(got.gradients[parameter_name], p.grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("backend", PLAIN)
@pytest.mark.parametrize("spec", NETWORKS.values(), ids=lambda spec: spec.name)
@pytest.mark.parametrize(("algorithm", "options"), [("local", {}), ("ttl-bptt", {"K": 2})], ids=["local", "ttl-bptt"])
def test_local_gradient_of_a_block_does_not_depend_on_later_blocks(
    step_of: Any, spec: NetworkSpec, algorithm: str, options: dict[str, int], backend: str
) -> None:
    step = step_of(spec, algorithm, backend, **options)
    cuts = [begin for begin, _ in step.net.parts[1:]]
    assert cuts
    before = found(step)
    for i, cut in enumerate(cuts):
        step = step_of(spec, algorithm, backend, **options)
        with torch.no_grad():
            for name, p in step.net.named_parameters():
                if is_after(name, cut, i):
                    p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
        after = found(step)
        upstream = {name: g for name, g in before.gradients.items() if not is_after(name, cut, i)}
        assert upstream
        assert not differ(upstream, after.gradients)
        assert differ({name: g for name, g in before.gradients.items() if name not in upstream}, after.gradients)


def is_after(name: str, cut: int, block: int) -> bool:
    """Whether a parameter belongs to a block after ``block``, or its classifier; ``cut`` is the first layer of these blocks."""
    kind, *rest = name.split(".")
    return int(rest[1]) >= cut if kind == "body" else int(rest[0]) > block


@pytest.mark.parametrize("backend", PLAIN)
@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_local_gradient_of_a_block_depends_only_on_its_own_classifier(step_of: Any, classifier: str, backend: str) -> None:
    spec = NETWORKS["plain"]
    before = found(step_of(spec, "local", backend, classifier=classifier))
    step = step_of(spec, "local", backend, classifier=classifier)
    (weight,) = (t for name, t in step.net.classifiers[0].state_dict().items() if name.endswith("weight"))
    weight.mul_(-1.5)
    after = found(step)
    assert differ(before.of("body.layers.0."), after.gradients)
    rest = before.of(*(f"body.layers.{i}." for i in range(1, 20)), "classifiers.1.")
    assert rest
    assert not differ(rest, after.gradients)


@pytest.mark.parametrize("classifier", CLASSIFIERS)
@pytest.mark.parametrize("spec", NETWORKS.values(), ids=lambda spec: spec.name)
def test_local_training_updates_every_parameter(step_of: Any, spec: NetworkSpec, classifier: str) -> None:
    got = found(step_of(spec, "local", classifier=classifier))
    bias_before_norm = {"body.layers.3.bias"} if spec.name == "batch norm" else set()
    assert all(g is not None and float(g.norm()) > 0 for name, g in got.gradients.items() if name not in bias_before_norm)
    assert any(name.startswith("classifiers") for name in got.gradients) is (classifier != "fixed")


def test_fixed_classifier_does_not_change(step_of: Any) -> None:
    step = step_of(NETWORKS["plain"], "local", classifier="fixed")
    before = [weight.clone() for weight in step.net.classifiers.buffers()]
    assert len(before) == len(step.net.classifiers) == 2
    trunk = [p.clone() for p in step.net.body.parameters()]
    step.run(*data())
    assert all(torch.equal(a, weight) for a, weight in zip(before, step.net.classifiers.buffers(), strict=True))
    assert any(not torch.equal(a, p) for a, p in zip(trunk, step.net.body.parameters(), strict=True))
    optimized = {id(p) for group in step.optimizer.param_groups for p in group["params"]}
    assert optimized == {id(p) for p in step.net.body.parameters()}


def test_classifiers_equal_their_formulas(step_of: Any) -> None:
    y = torch.rand(2, 3, 6, 4, 4, dtype=torch.float64)
    heads = {kind: step_of(NETWORKS["plain"], "local", classifier=kind).net for kind in CLASSIFIERS}
    w, bias = heads["dense"].classifiers[0].parameters()
    torch.testing.assert_close(heads["dense"].scores(0, y), y.flatten(2) @ w.t() + bias)
    w, bias = heads["conv"].classifiers[0].parameters()
    torch.testing.assert_close(heads["conv"].scores(0, y), y.mean((3, 4)) @ w[:, :, 0, 0].t() + bias)
    (w,) = heads["fixed"].classifiers[0].buffers()
    torch.testing.assert_close(heads["fixed"].scores(0, y), y.flatten(2) @ w.t())


@pytest.mark.parametrize(
    ("shape", "k"),
    [((32, 8, 8), 1), ((33, 8, 8), 2), ((32, 9, 9), 2), ((96, 42, 42), 11), ((1024, 3, 3), 3), ((4096, 3, 2), 3), ((4096,), 1)],
)
def test_pooled_classifier_uses_the_smallest_windows_that_leave_2048_values(shape: tuple[int, ...], k: int) -> None:
    head = CLASSIFIERS_OF["pooled"](shape, 10).double()
    sides = [ceil(n / k) for n in shape[1:]]
    w, bias = head.parameters()
    assert w.shape == (10, shape[0] * prod(sides))
    assert w.shape[1] <= 2048 or prod(sides) == 1
    assert k == 1 or shape[0] * prod(ceil(n / (k - 1)) for n in shape[1:]) > 2048
    for p in (w, bias):
        torch.nn.init.normal_(p)
    x = torch.rand(2, 3, *shape, dtype=torch.float64)
    means = x
    if k > 1:
        rows, columns = ([slice(i, i + k) for i in range(0, n, k)] for n in shape[1:])
        means = torch.stack([torch.stack([x[..., r, c].mean((-2, -1)) for c in columns], -1) for r in rows], -2)
    torch.testing.assert_close(head(x, None)[0], means.flatten(2) @ w.t() + bias)
