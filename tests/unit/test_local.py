"""Local training and TTL-BPTT: equalities, dependence of the gradients, and the blocks of a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, prod
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench import algorithms, backends, zoo
from bench.algorithms.blocks import CLASSIFIERS as CLASSIFIERS_OF
from bench.algorithms.blocks import neuron_layers, parts
from bench.algorithms.packed_output import Packed, PackedOutput, factor_of
from bench.backends import native
from bench.errors import UserError
from bench.losses import InstantaneousLoss
from bench.nets import layers as m
from bench.nets.build import _chain
from bench.nets.layers import map_state
from bench.spec import (  # fmt: skip
    AdaptiveAvgPool,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    Gain,
    Layer,
    Loop,
    NetworkSpec,
    NeuronSpec,
    ReLU,
    Residual,
    Scale,
    Spike,
)
from bench.training_step import TrainingStep, training_step
from tests.registered import PLAIN

NEURON = NeuronSpec(decay=0.7, threshold=0.6)
FULL = NeuronSpec(decay=0.7, threshold=0.6, reset="hard", detach_reset=False)
HEAD = (AdaptiveAvgPool(1), Flatten(), Dense(5, init="default"))
T = 5


def network(name: str, layers: tuple[Layer, ...], parameters: int, head: tuple[Layer, ...] = HEAD) -> NetworkSpec:
    return NetworkSpec(name, (3, 8, 8), 5, (*layers, *head), NEURON, parameters, "these tests")


_UNIT = Residual((), (Conv(6), Spike(NEURON), Conv(6)))
NETWORKS = {
    spec.name: spec
    for spec in (
        network(
            "plain",
            (Conv(6), Spike(NEURON), AvgPool(2, 2), Conv(8, standardised=True), Spike(FULL), Scale(2.74), Conv(4), Spike(NEURON)),
            933,
        ),
        network("dropout", (Conv(6), Spike(NEURON, 0.3), Conv(8), Spike(NEURON, 0.2)), 653),
        network("batch norm", (Conv(6, bias=False), BatchNorm(), Spike(NEURON), Conv(8), BatchNorm(), Spike(NEURON)), 675),
        network("residual", (Conv(6), Spike(NEURON), _UNIT, Spike(NEURON), _UNIT, Spike(NEURON)), 1523),
        network("dense", (Conv(4), Spike(NEURON), AvgPool(2, 2), Flatten(), Dense(12), Spike(NEURON)), 957, HEAD[-1:]),
    )
}
CLASSIFIERS = ("dense", "pooled", "conv", "fixed")


@dataclass(frozen=True)
class Found:
    """Results of one training step: gradients and buffers by name, and the outputs."""

    gradients: dict[str, Tensor | None]
    buffers: dict[str, Tensor]
    out: Tensor

    def of(self, *prefixes: str) -> dict[str, Tensor]:
        return {name: g for name, g in self.gradients.items() if g is not None and name.startswith(prefixes)}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Callable[..., TrainingStep]:
    """A step in double precision, so that rounding is negligible, with weights for which every layer fires."""

    def make(spec: NetworkSpec, algorithm: str, backend: str = "native", **options: Any) -> TrainingStep:
        support = backends.available(backend)
        if not support:
            pytest.skip(support.reason)
        monkeypatch.setattr("bench.zoo.spec", lambda _: spec)
        step = training_step(spec.name, algorithm, backend, **options)
        step.net.double()
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for p in step.net.parameters():
                fan_in = max(p.shape[1:].numel(), 1) if p.dim() > 1 else 1
                noise = torch.randn(p.shape, generator=generator, dtype=torch.float64)
                p.copy_(noise * (1.5 * fan_in**-0.5) + (p.dim() < 2))
        return step

    return make


def data() -> tuple[Tensor, Tensor]:
    x = torch.randn(T, 4, 3, 8, 8, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    return x, torch.tensor([0, 1, 2, 4])


def found(step: TrainingStep) -> Found:
    torch.manual_seed(11)  # the same dropout masks for every algorithm
    out = step.gradients(*data())
    return Found(
        {name: None if p.grad is None else p.grad.clone() for name, p in step.net.named_parameters()},
        {name: buffer.clone() for name, buffer in step.net.named_buffers() if "running" in name},
        out,
    )


def assert_same(one: Found, other: Found) -> None:
    """Assert equal gradients, running averages and outputs, to the bit."""
    assert all(g is not None and float(g.norm()) > 0 for name, g in one.gradients.items() if name.endswith("weight"))
    for mine, yours in ((one.gradients, other.gradients), (one.buffers, other.buffers), ({"out": one.out}, {"out": other.out})):
        assert mine.keys() == yours.keys()
        for name, value in mine.items():
            assert torch.equal(value, yours[name]), name


def differ(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return any(not torch.equal(value, other[name]) for name, value in one.items())


# --------------------------------------------------------------------------- equalities


@pytest.mark.parametrize("backend", PLAIN)
@pytest.mark.parametrize("spec", NETWORKS.values(), ids=lambda spec: spec.name)
def test_local_with_one_block_is_bptt(made: Any, spec: NetworkSpec, backend: str) -> None:
    exact = found(made(spec, "bptt", backend))
    for b in (sum(map(neuron_layers, spec.layers)), 99):
        assert_same(exact, found(made(spec, "local", backend, b=b)))
        assert_same(exact, found(made(spec, "ttl-bptt", backend, b=b, K=T)))


@pytest.mark.parametrize("backend", PLAIN)
@pytest.mark.parametrize("spec", NETWORKS.values(), ids=lambda spec: spec.name)
def test_ttl_bptt_with_one_block_is_truncated_bptt(made: Any, spec: NetworkSpec, backend: str) -> None:
    for K in (1, 2, 4):
        assert_same(found(made(spec, "tbptt", backend, K=K)), found(made(spec, "ttl-bptt", backend, b=99, K=K)))


@pytest.mark.parametrize("backend", PLAIN)
@pytest.mark.parametrize("name", ["plain", "batch norm"])
def test_ttl_bptt_with_one_window_is_local_and_differs_from_bptt(made: Any, name: str, backend: str) -> None:
    spec = NETWORKS[name]
    local = found(made(spec, "local", backend))
    assert_same(local, found(made(spec, "ttl-bptt", backend, K=T)))
    exact = found(made(spec, "bptt", backend))
    assert torch.equal(local.out, exact.out)  # the forward pass is unchanged
    assert differ(exact.of("body.layers.0."), local.gradients)
    assert differ(local.of("body"), found(made(spec, "ttl-bptt", backend, K=2)).gradients)


@pytest.mark.parametrize("backend", PLAIN)
@pytest.mark.parametrize("classifier", CLASSIFIERS)
@pytest.mark.parametrize("name", ["plain", "residual", "dense"])
def test_local_gradients_are_those_of_the_sum_of_all_losses(made: Any, name: str, classifier: str, backend: str) -> None:
    """The definition in one graph: blocks and windows joined by detached tensors, all losses summed, one backward pass."""
    K = 2
    step = made(NETWORKS[name], "ttl-bptt", backend, K=K, classifier=classifier)
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


# --------------------------------------------------------------------------- dependence of the gradients


@pytest.mark.parametrize("backend", PLAIN)
@pytest.mark.parametrize("spec", NETWORKS.values(), ids=lambda spec: spec.name)
@pytest.mark.parametrize(("algorithm", "options"), [("local", {}), ("ttl-bptt", {"K": 2})], ids=["local", "ttl-bptt"])
def test_local_gradient_of_a_block_does_not_depend_on_later_blocks(
    made: Any, spec: NetworkSpec, algorithm: str, options: dict[str, int], backend: str
) -> None:
    step = made(spec, algorithm, backend, **options)
    cuts = [begin for begin, _ in step.net.parts[1:]]
    assert cuts
    before = found(step)
    for i, cut in enumerate(cuts):
        step = made(spec, algorithm, backend, **options)
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
def test_local_gradient_of_a_block_depends_only_on_its_own_classifier(made: Any, classifier: str, backend: str) -> None:
    spec = NETWORKS["plain"]
    before = found(made(spec, "local", backend, classifier=classifier))
    step = made(spec, "local", backend, classifier=classifier)
    (weight,) = (t for name, t in step.net.classifiers[0].state_dict().items() if name.endswith("weight"))
    weight.mul_(-1.5)
    after = found(step)
    assert differ(before.of("body.layers.0."), after.gradients)
    rest = before.of(*(f"body.layers.{i}." for i in range(1, 20)), "classifiers.1.")
    assert rest
    assert not differ(rest, after.gradients)


@pytest.mark.parametrize("classifier", CLASSIFIERS)
@pytest.mark.parametrize("spec", NETWORKS.values(), ids=lambda spec: spec.name)
def test_local_training_updates_every_parameter(made: Any, spec: NetworkSpec, classifier: str) -> None:
    got = found(made(spec, "local", classifier=classifier))
    bias_before_norm = {"body.layers.3.bias"} if spec.name == "batch norm" else set()
    assert all(g is not None and float(g.norm()) > 0 for name, g in got.gradients.items() if name not in bias_before_norm)
    assert any(name.startswith("classifiers") for name in got.gradients) is (classifier != "fixed")


def test_fixed_classifier_does_not_change(made: Any) -> None:
    step = made(NETWORKS["plain"], "local", classifier="fixed")
    before = [weight.clone() for weight in step.net.classifiers.buffers()]
    assert len(before) == len(step.net.classifiers) == 2
    trunk = [p.clone() for p in step.net.body.parameters()]
    step.run(*data())
    assert all(torch.equal(a, weight) for a, weight in zip(before, step.net.classifiers.buffers(), strict=True))
    assert any(not torch.equal(a, p) for a, p in zip(trunk, step.net.body.parameters(), strict=True))
    optimized = {id(p) for group in step.optimizer.param_groups for p in group["params"]}
    assert optimized == {id(p) for p in step.net.body.parameters()}


def test_classifiers_equal_their_formulas(made: Any) -> None:
    y = torch.rand(2, 3, 6, 4, 4, dtype=torch.float64)
    heads = {kind: made(NETWORKS["plain"], "local", classifier=kind).net for kind in CLASSIFIERS}
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


# --------------------------------------------------------------------------- storage of a block's output (waiting.py)


@pytest.mark.parametrize("backend", [*PLAIN, "native-fast"])
@pytest.mark.parametrize("name", NETWORKS)
def test_stored_output_of_a_block_is_returned_to_the_bit(made: Any, name: str, backend: str) -> None:
    """If it cannot be packed, because of dropout, the output itself is stored."""
    step = made(NETWORKS[name], "local", backend)
    net, (y, _) = step.net, data()
    factors = []
    for i in range(len(net.parts) - 1):
        y, _ = net.window_of(i, y.detach(), None)
        assert float(y.detach().abs().mean()) > 0
        waiting = net.packed[i]
        kept = waiting.pack(y)
        back = waiting(kept)
        assert torch.equal(back, y)
        assert back.stride() == y.stride()
        assert not back.requires_grad
        assert isinstance(kept, Packed) == (waiting.factor is not None)
        if isinstance(kept, Packed):
            assert kept.halves.untyped_storage().nbytes() == ceil(y.numel() / 2)
        factors.append(waiting.factor)
    wanted = {"plain": [1, 2.74], "dropout": [None], "batch norm": [1], "residual": [1, 1], "dense": [1]}
    assert factors[: len(wanted[name])] == wanted[name]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("c", [1.0, 2.74, 0.3, 1 / 3])
def test_stored_output_of_few_levels_takes_half_a_byte(c: float, dtype: torch.dtype) -> None:
    s = torch.tensor([[int(bit) for bit in f"{n:04b}"] for n in range(16)], dtype=dtype).view(16, 1, 2, 2)
    means = F.avg_pool2d(s, 2)
    innermost = s.expand(16, 3, 2, 2).contiguous(memory_format=torch.channels_last)
    plain = (s, s[1:, :, 1:, 1:], means, innermost, s[:0])
    for y, factor in [*((y, 1.0) for y in plain), (s * c, c), (means * c, c)]:
        waiting = PackedOutput(list(_chain((Spike(NEURON), Scale(factor)), (3, 8, 8), "analog", native)[0].layers))
        kept = waiting.pack(y)
        assert isinstance(kept, Tensor) == (dtype == torch.bfloat16 and factor != 1)  # bfloat16 rounds 2.74
        back = waiting(kept)
        assert torch.equal(back, y)
        assert back.dtype == dtype


@pytest.mark.parametrize("pool", [(), (AvgPool(2, 2),)])
def test_stored_output_counts_as_spikes_unless_pooled(pool: tuple[Layer, ...]) -> None:
    layers = list(_chain((Spike(NEURON), Scale(2.0), *pool), (3, 8, 8), "analog", native)[0].layers)
    assert PackedOutput(layers).emits_spikes == (not pool)
    assert not PackedOutput([*layers, m.Rectified()]).emits_spikes


@pytest.mark.parametrize(
    ("layers", "c"),
    [
        ((Spike(NEURON),), 1.0),
        ((Spike(NEURON), Scale(2.0), AvgPool(2, 2), Scale(1.5)), 3.0),
        ((Spike(NEURON), AvgPool(3, 3)), None),
        ((Spike(NEURON), AvgPool(2, 1)), None),
        ((Spike(NEURON), AvgPool(2, 2), AvgPool(2, 2)), None),
        ((Spike(NEURON), AdaptiveAvgPool(2)), None),
        ((Spike(NEURON, 0.1),), None),
        ((Conv(3),), None),
        ((Spike(NEURON), Conv(3)), None),
    ],
)
def test_stored_output_of_more_levels_is_not_packed(layers: tuple[Layer, ...], c: float | None) -> None:
    assert factor_of(list(_chain(layers, (3, 8, 8), "analog", native)[0].layers)) == c


# --------------------------------------------------------------------------- updates


@pytest.mark.parametrize("K", [1, 2, 3, 5])
def test_ttl_bptt_updates_as_often_as_stated(made: Any, K: int) -> None:
    def updates(algorithm: str, **options: Any) -> int:
        counted: list[int] = []
        x, target = data()
        made(NETWORKS["plain"], algorithm, **options).forward_backward(x, target, lambda: counted.append(1))
        return len(counted)

    assert updates("ttl-bptt", K=K, update="window") == updates("ttl-bptt", K=K) == ceil(T / K)
    assert updates("ttl-bptt", K=K, update="block") == 3 * ceil(T / K)
    assert updates("ttl-bptt", K=K, update="end") == updates("local") == 1


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("backend", PLAIN)
def test_ttl_bptt_update_per_block_gives_the_weights_of_update_per_window(made: Any, backend: str, optimizer: str) -> None:
    """No block reads a tensor that depends on weights updated in the same window."""

    def weights(update: str) -> dict[str, Tensor]:
        step = made(NETWORKS["dropout"], "ttl-bptt", backend, K=2, update=update, optimizer=optimizer, lr=0.05)
        for seed in (0, 1):
            torch.manual_seed(seed)
            step.run(*data())
        return {name: value.clone() for name, value in step.net.state_dict().items()}

    by_window = weights("window")
    assert not differ(by_window, weights("block"))
    assert differ(by_window, weights("end"))


def test_ttl_bptt_window_uses_the_weights_updated_by_the_previous_one(made: Any) -> None:
    x, target = data()
    step = made(NETWORKS["plain"], "ttl-bptt", K=3, update="window")
    by_hand = made(NETWORKS["plain"], "ttl-bptt", K=3, update="end")
    step.run(x, target)
    loss, net, states = InstantaneousLoss(target, T), by_hand.net, [None] * 3
    for y in x.split(3):
        for i in range(3):
            y, state = net.window_of(i, y, states[i])
            loss(net.scores(i, y)).backward()
            y, states[i] = y.detach(), map_state(torch.Tensor.detach, state)
        by_hand.optimizer.step()
        by_hand.optimizer.zero_grad(set_to_none=True)
    assert not differ(step.net.state_dict(), net.state_dict())


# --------------------------------------------------------------------------- weights and evaluation


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_block_network_has_initial_weights_and_outputs_of_the_plain_one(classifier: str) -> None:
    plain = training_step("ttl-small/digits", "bptt", "native", seed=4)
    cut = training_step("ttl-small/digits", "local", "native", seed=4, classifier=classifier)
    other = training_step("ttl-small/digits", "local", "native", seed=5, classifier=classifier)
    again = training_step("ttl-small/digits", "ttl-bptt", "native", seed=4, classifier=classifier)
    trunk = plain.net.state_dict()
    assert not differ(trunk, cut.net.state_dict())
    assert not differ(cut.net.state_dict(), again.net.state_dict())
    heads = {name: value for name, value in cut.net.state_dict().items() if name not in trunk}
    assert len(heads) == 3 * (1 if classifier == "fixed" else 2)
    assert all(torch.isfinite(value).all() for value in heads.values())
    assert all(not torch.equal(v, other.net.state_dict()[name]) for name, v in heads.items() if name.endswith("weight"))
    x = 2 * torch.randn(3, 2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    outs = [step.net.eval().window(x, None)[0].detach() for step in (plain, cut)]  # type: ignore[operator]
    assert float(outs[0].norm()) > 0
    assert torch.equal(*outs)


@pytest.mark.parametrize("backend", PLAIN)
def test_block_network_evaluation_does_not_change_training(made: Any, backend: str) -> None:
    x, target = data()
    with_look, without = (made(NETWORKS["plain"], "ttl-bptt", backend) for _ in range(2))
    for step in (with_look, without):
        step.run(x, target)
        if step is with_look:
            with torch.no_grad():
                step.net.window(x, None)
        step.run(x, target)
    assert not differ(with_look.net.state_dict(), without.net.state_dict())


# --------------------------------------------------------------------------- blocks of a network


@pytest.mark.parametrize(("b", "sizes"), [(1, [1] * 7), (2, [2, 2, 2, 1]), (3, [3, 3, 1]), (4, [4, 3]), (6, [6, 1]), (7, [7])])
@pytest.mark.parametrize("name", ["alexnet/cifar10-dvs-42", "alexnet-unpooled/cifar10-dvs-48"])
def test_parts_of_seven_layers(name: str, b: int, sizes: list[int]) -> None:
    layers = zoo.spec(name).layers
    cut = parts(layers, b)
    assert [sum(map(neuron_layers, layers[begin:end])) for begin, end in cut] == sizes
    assert [i for begin, end in cut for i in range(begin, end)] == list(range(len(layers)))


@pytest.mark.parametrize("b", [1, 2, 5])
@pytest.mark.parametrize("name", [name for name in zoo.names() if not name.startswith(("vgg-f", "r400", "vgg-sws-ann"))])
def test_parts_begin_at_synapses_and_have_b_layers_of_neurons(name: str, b: int) -> None:
    layers = zoo.spec(name).layers
    cut = parts(layers, b)
    assert (cut[0][0], cut[-1][1]) == (0, len(layers))
    counts = [sum(map(neuron_layers, layers[begin:end])) for begin, end in cut]
    assert all(count >= b for count in counts[:-1])
    assert counts[-1] >= 1  # the readout shares its block with neurons
    for begin, _ in cut[1:]:
        assert isinstance(layers[begin], Conv | Dense | Flatten | Residual)
        assert not isinstance(layers[begin - 1], Conv | Dense | BatchNorm)
    if not any(isinstance(layer, Residual) for layer in layers):
        assert all(count == b for count in counts[:-1])


def test_parts_keep_pooling_and_scaling_with_the_spikes_before() -> None:
    assert parts(NETWORKS["plain"].layers, 1) == [(0, 3), (3, 6), (6, 11)]
    assert parts(NETWORKS["dense"].layers, 1) == [(0, 3), (3, 7)]  # a convolutional classifier reads the map, not the vector
    assert parts(NETWORKS["residual"].layers, 1) == [(0, 2), (2, 4), (4, 9)]  # a residual block is not cut


# --------------------------------------------------------------------------- errors


@pytest.mark.parametrize("b", [0, -2])
@pytest.mark.parametrize("algorithm", ["local", "ttl-bptt"])
def test_local_rejects_blocks_of_no_layers(made: Any, algorithm: str, b: int) -> None:
    with pytest.raises(UserError, match=rf"b = {b}; use a whole number >= 1 \(layers of neurons per block"):
        made(NETWORKS["plain"], algorithm, b=b)


@pytest.mark.parametrize("K", [0, T + 1])
def test_ttl_bptt_rejects_windows_longer_than_the_sequence(made: Any, K: int) -> None:
    with pytest.raises(UserError, match=rf"K = {K}( of T = {T} steps)?; use"):
        found(made(NETWORKS["plain"], "ttl-bptt", K=K))


def test_local_options_suggest_close_names(made: Any) -> None:
    with pytest.raises(UserError, match=r"unknown classifier 'fixd': did you mean fixed"):
        made(NETWORKS["plain"], "local", classifier="fixd")
    with pytest.raises(UserError, match=r"unknown update 'windows': did you mean window"):
        made(NETWORKS["plain"], "ttl-bptt", update="windows")


@pytest.mark.parametrize("algorithm", ["local", "ttl-bptt"])
def test_local_does_not_support_networks_that_cannot_be_cut(algorithm: str) -> None:
    rule = algorithms.load(algorithm)
    loop = (Loop((Conv(6),), (Spike(NEURON),), (Conv(6),)),)
    assert "loop" in rule.supports(network("loop", loop, 0)).reason
    assert "no layers of neurons" in rule.supports(network("rectifiers", (Conv(6), ReLU()), 0)).reason
    assert rule.supports(network("pre-activation", (Conv(6), Residual((Spike(NEURON),), (Conv(6), Gain(1.0)))), 0))
    assert not rule.supports(zoo.spec("vgg-f/cifar100"))
