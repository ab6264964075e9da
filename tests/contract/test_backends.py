"""Requirements on every backend: explicit state, a window equals its steps, nothing is kept between batches."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bench import backends, zoo
from bench.errors import UserError
from bench.nets.build import Network, build
from bench.nets.layers import map_state, state_tensors
from bench.registry import ALGORITHMS, BACKENDS
from bench.spec import NeuronSpec, Surrogate
from bench.training_step import support, training_step
from tests.registered import SHIPPED, shipped_by, shortest, supported

NETWORK = "vgg-sws-small/cifar10"
RECURRENT = "r400/fashion-mnist"
NEURONS = [
    NeuronSpec(),
    NeuronSpec(decay=0.9, threshold=0.7, reset="hard"),
    NeuronSpec(decay=0.25, detach_reset=False, surrogate=Surrogate("triangle", 1.0)),
    NeuronSpec(decay=0.25, reset="hard", detach_reset=False),
    NeuronSpec(decay=1.0, surrogate=Surrogate("triangle", 1.0)),
]
NEURON_NAMES = ["soft", "hard", "soft, through reset", "hard, through reset", "no leak"]


def installed(name: str):
    available = backends.available(name)
    if not available:
        pytest.skip(available.reason)
    return backends.load(name)


@pytest.fixture(params=backends.names())
def backend(request):
    """Every backend of the registry."""
    return installed(request.param)


@pytest.fixture(params=[name for name in BACKENDS if not BACKENDS[name].ships])
def neuronal(request):
    """Every backend that provides neurons; shipped implementations provide whole networks instead."""
    return installed(request.param)


def has_or_skip(module, spec: NeuronSpec) -> None:
    possible = module.has(spec)
    if not possible:
        pytest.skip(possible.reason)


def over(neurons: torch.nn.Module, x: Tensor, v: Tensor | None, layerwise: bool) -> tuple[Tensor, Tensor]:
    if layerwise:
        return neurons(x, v)
    spikes = []
    for t in range(len(x)):
        s, v = neurons(x[t : t + 1], v)
        spikes.append(s)
    return torch.cat(spikes), v


@pytest.mark.parametrize("spec", NEURONS, ids=NEURON_NAMES)
def test_neurons_follow_the_spec(neuronal, spec):
    """The equations of NeuronSpec in Python numbers, in double precision."""
    has_or_skip(neuronal, spec)
    x = torch.randn(6, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.5
    s, v = over(neuronal.neurons(spec), x, None, neuronal.layerwise)
    membrane, expected = torch.zeros(4, 5, dtype=torch.float64), []
    for x_t in x:
        u = spec.decay * membrane + x_t
        fired = u >= spec.threshold
        expected.append(fired.double())
        membrane = u - spec.threshold * fired if spec.reset == "soft" else u.masked_fill(fired, 0.0)
    assert torch.equal(s, torch.stack(expected))
    torch.testing.assert_close(v, membrane, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("spec", NEURONS, ids=NEURON_NAMES)
def test_neuron_gradients_equal_the_native_ones(neuronal, spec):
    has_or_skip(neuronal, spec)
    g = torch.Generator().manual_seed(2)
    x = (torch.randn(5, 4, 5, dtype=torch.float64, generator=g) + 0.5).requires_grad_()
    v = torch.randn(4, 5, dtype=torch.float64, generator=g).requires_grad_()
    on_s, on_v = torch.randn(5, 4, 5, generator=g), torch.randn(4, 5, generator=g)

    def gradients(module) -> tuple[Tensor, ...]:
        s, after = over(module.neurons(spec), x, v, module.layerwise)
        return torch.autograd.grad((s * on_s).sum() + (after * on_v).sum(), (x, v))

    for mine, native in zip(gradients(neuronal), gradients(backends.load("native")), strict=True):
        torch.testing.assert_close(mine, native, rtol=1e-6, atol=1e-9)


def test_neurons_fire_at_threshold(neuronal):
    s, v = neuronal.neurons(NeuronSpec())(torch.ones(1, 1, 1), None)
    assert s.item() == 1
    assert v.item() == 0


@pytest.fixture(params=[NETWORK, RECURRENT])
def ready(request, neuronal, lively) -> tuple[Network, Tensor]:
    net = build(zoo.spec(request.param), neuronal)
    net.reset_parameters(0)
    x, _ = lively(net, 4, 2)
    return net.eval(), x


def assert_same(a: tuple[Tensor, object], b: tuple[Tensor, object]) -> None:
    torch.testing.assert_close(a[0], b[0], rtol=1e-5, atol=1e-6)
    left, right = list(state_tensors(a[1])), list(state_tensors(b[1]))
    assert len(left) == len(right) > 0
    for one, other in zip(left, right, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_window_equals_its_steps(ready):
    net, x = ready
    outs, state = [], net.initial_state(2)
    for x_t in x:
        out, state = net.step(x_t, state)
        outs.append(out)
    steps = torch.stack(outs)
    assert_same(net.window(x, net.initial_state(2)), (steps, state))
    assert not torch.equal(steps[0], steps[-1])


@pytest.mark.parametrize("at", [1, 3])
@torch.no_grad()
def test_windows_with_carried_state_equal_one_window(ready, at):
    net, x = ready
    first, state = net.window(x[:at], net.initial_state(2))
    second, state = net.window(x[at:], state)
    assert_same(net.window(x, net.initial_state(2)), (torch.cat([first, second]), state))
    forgotten, _ = net.window(x[at:], net.initial_state(2))
    assert not torch.allclose(forgotten, second)


@torch.no_grad()
@pytest.mark.parametrize("ready", [NETWORK], indirect=True)  # a loop's first step has no feedback, not even its bias
def test_state_none_is_the_zero_state(ready):
    net, x = ready
    _, state = net.window(x, None)
    zeros = map_state(torch.zeros_like, state)
    assert_same(net.window(x, zeros), net.window(x, None))


@pytest.mark.sampled(every=3)
@pytest.mark.parametrize(("algorithm", "name"), supported(NETWORK))
def test_backends_keep_nothing_between_batches(algorithm, name, lively):
    installed(name)
    step = training_step(NETWORK, algorithm, name)
    steps = shortest(algorithm, zoo.spec(NETWORK), backend=name)
    other, other_target = lively(step.net, steps, 2, seed=1)
    x, target = lively(step.net, steps, 2)

    def gradients() -> list[Tensor]:
        torch.manual_seed(0)
        step.gradients(x, target)
        return [p.grad.clone() for p in step.net.parameters()]

    first = gradients()
    step.gradients(other, other_target)
    assert all(float(g.norm()) > 0 for g in first)
    for a, b in zip(first, gradients(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("network", ["vgg5/cifar10", "vgg11/cifar100", "resnet20/cifar10", "lenet/dvs-gesture", "custom/n-mnist"])
def test_shipped_networks_have_the_parameters_of_the_spec(network, name):
    installed(name)
    algorithm = shipped_by(name, network)
    if algorithm is None:
        pytest.skip(f"{name} ships nothing for {network}")
    net = training_step(network, algorithm, name, device="meta").net
    native = build(zoo.spec(network), backends.load("native"), "meta")
    assert sum(p.numel() for p in net.parameters()) == zoo.spec(network).parameters
    assert len(net.neurons()) == len(native.neurons())


def test_shipped_truncated_bptt_of_snntorch_refuses_other_networks_than_chains():
    installed("snntorch-shipped")
    assert "plain chains of layers" in support("resnet20/cifar10", "tbptt", "snntorch-shipped").reason


@pytest.fixture(params=SHIPPED)
def shipped(request) -> tuple[str, str]:
    """A shipped implementation, and an algorithm that it trains a small network with."""
    installed(request.param)
    algorithm = shipped_by(request.param, "custom/n-mnist")
    assert algorithm is not None
    return request.param, algorithm


def test_shipped_networks_start_from_the_native_weights(shipped):
    name, algorithm = shipped
    mine = training_step("custom/n-mnist", algorithm, name, seed=5).net
    native = training_step("custom/n-mnist", "bptt", "native", seed=5).net
    for own, other in zip(mine.parameters(), native.parameters(), strict=True):
        assert torch.equal(own, other)


def test_shipped_implementations_reject_unknown_options_and_algorithms(shipped):
    name, algorithm = shipped
    with pytest.raises(UserError, match=rf"{algorithm} on {name} has no option 'segments': .*it takes .*alpha, "):
        training_step("custom/n-mnist", algorithm, name, device="meta", segments=3)
    other = next(other for other in ALGORITHMS if not support("custom/n-mnist", other, name))
    with pytest.raises(UserError, match=f"{other} on backend {name}, network custom/n-mnist: ."):
        training_step("custom/n-mnist", other, name, device="meta")


def test_backends_name_their_kernel_and_version(backend):
    assert backend.kernel()
    assert backends.version(backend.name)
