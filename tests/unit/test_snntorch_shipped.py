"""snnTorch's shipped truncated BPTT: where it equals ours, and its undocumented behaviour."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("snntorch", reason="snntorch is not installed: pip install '.[frameworks]'")

import snntorch
from snntorch import surrogate

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from snntorch.backprop import TBPTT

from bench.backends.snntorch_shipped import ships
from bench.counting.step import batch_for, cost_of
from bench.errors import UserError
from bench.spec import (  # fmt: skip
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    Layer,
    NetworkSpec,
    NeuronSpec,
    Residual,
    Spike,
    Surrogate,
)
from bench.training_step import TrainingStep, training_step

PERFECT = NeuronSpec(decay=1.0, threshold=0.6, surrogate=Surrogate("triangle", 1.0))
HARD = NeuronSpec(decay=0.7, threshold=0.6, reset="hard")
LEAKY = NeuronSpec(decay=0.7, threshold=0.6)
HEAD = (AvgPool(2, 2), Flatten(), Dense(5, init="default"))
T = 5


def network(name: str, layers: tuple[Layer, ...], parameters: int, neuron: NeuronSpec = LEAKY) -> NetworkSpec:
    return NetworkSpec(name, (3, 8, 8), 5, (*layers, *HEAD), neuron, parameters, "these tests", "frames")


def chain(name: str, neuron: NeuronSpec, dropout: float = 0.0) -> NetworkSpec:
    return network(name, (Conv(6), Spike(neuron, dropout), Conv(8, bias=False), BatchNorm(), Spike(neuron, dropout)), 1261)


@pytest.fixture(autouse=True)
def instances() -> Iterator[None]:
    """Restore snnTorch's list of all neurons of the process after the test."""
    before = snntorch.SpikingNeuron.instances
    snntorch.SpikingNeuron.instances = []
    yield
    snntorch.SpikingNeuron.instances = before


@pytest.fixture
def step_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    def make(spec: NetworkSpec, backend: str = "snntorch-shipped", **options: Any) -> TrainingStep:
        monkeypatch.setattr("bench.zoo.spec", lambda _: spec)
        if backend != "snntorch-shipped":
            options["update"] = "window"
        return training_step(spec.name, "tbptt", backend, **options)

    return make


def lively(net: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in net.parameters():
            fan_in = max(parameter.shape[1:].numel(), 1) if parameter.dim() > 1 else 1
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * (1.5 * fan_in**-0.5) + (fan_in == 1))
    return net


def batch() -> tuple[Tensor, Tensor]:
    return torch.randn(T, 3, 3, 8, 8, generator=torch.Generator().manual_seed(4)), torch.tensor([0, 1, 4])


def trained(step: TrainingStep) -> tuple[list[Tensor], Tensor]:
    """Return the weights after one batch, with an update per window, and the summed outputs."""
    lively(step.net)
    out = step.run(*batch())
    return [p.detach().clone() for p in step.net.parameters()], out


# --------------------------------------------------------------------------- behaviour


@pytest.mark.parametrize("K", [1, 2, 3, T])
@pytest.mark.parametrize("neuron", [PERFECT, HARD], ids=["no leak", "hard reset"])
def test_shipped_equals_truncated_bptt_with_an_update_every_window(step_of, neuron, K):
    """Also if T is no multiple of K: the remaining steps form a window. The weights after all updates equal ours."""
    mine, out = trained(step_of(chain("chain", neuron), K=K, lr=0.01))
    ours, expected = trained(step_of(chain("chain", neuron), "native", K=K, lr=0.01))
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(mine, ours, rtol=1e-4, atol=1e-6)
    other, _ = trained(step_of(chain("chain", neuron), "native", K=3 if K == 2 else 2, lr=0.01))
    assert any(not torch.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in zip(mine, other, strict=True))


@pytest.mark.parametrize(("K", "updates"), [(1, 5), (2, 3), (3, 2), (5, 1)])
def test_shipped_updates_after_every_window_and_the_remaining_steps(step_of, K, updates):
    step = step_of(chain("chain", LEAKY), K=K)
    lively(step.net)
    seen: list[int] = []
    step.forward_backward(*batch(), lambda: seen.append(1))
    assert len(seen) == updates


def test_leaky_soft_reset_is_after_the_decay(step_of):
    """u[t] = beta u[t-1] + x[t] - threshold s[t-1] and s = (u > threshold), where NetworkSpec resets before the decay."""
    leaky = step_of(chain("chain", LEAKY)).net.neurons()[0]
    u, s, fired = 0.0, 0.0, []
    for x in (0.7, 0.1, 0.9, 0.0):
        spike = leaky(torch.tensor([[x]]))
        u = LEAKY.decay * u + x - LEAKY.threshold * s
        s = float(u > LEAKY.threshold)
        fired.append(s)
        assert spike.item() == s
        assert leaky.mem.item() == pytest.approx(u, abs=1e-6)
    assert fired == [1.0, 0.0, 1.0, 0.0]
    ours, _ = trained(step_of(chain("chain", LEAKY), "native", K=2))
    theirs, _ = trained(step_of(chain("chain", LEAKY), K=2))
    assert any(not torch.allclose(a, b, rtol=1e-2) for a, b in zip(ours, theirs, strict=True))


def test_leaky_does_not_fire_at_threshold(step_of):
    net = step_of(chain("chain", replace_threshold(PERFECT, 0.5))).net
    assert net.neurons()[0](torch.tensor([[0.5]])).item() == 0.0
    assert net.neurons()[1](torch.tensor([[0.500001]])).item() == 1.0


def replace_threshold(spec: NeuronSpec, threshold: float) -> NeuronSpec:
    return NeuronSpec(spec.decay, threshold, spec.reset, spec.detach_reset, spec.surrogate)


def test_shipped_dropout_draws_a_mask_every_step_and_is_always_on(step_of):
    """TBPTT calls ``net.train()``."""
    step = step_of(network("dropout", (Conv(6), Spike(PERFECT, 0.5)), 653), K=T)
    lively(step.net).eval()
    (dropout,) = (m for m in step.net if isinstance(m, nn.Dropout))
    lost: list[Tensor] = []
    dropout.register_forward_hook(lambda m, args, out: lost.append((args[0] > 0) & (out == 0)))
    x, target = batch()
    step.run(x[:1].expand(T, *x.shape[1:]) * 100, target)
    assert len(lost) == T
    assert all(mask.any() for mask in lost)
    assert not torch.equal(lost[0], lost[1])


def test_shipped_keeps_only_empty_graphs_of_earlier_windows(step_of):
    """The returned value holds the graphs of all windows, but the bytes are those of one. Only the input grows with T."""
    spec = chain("chain", PERFECT)
    ten, twenty = (cost_of(step, *batch_for(step, steps, 4, "meta")).memory for step, steps in (
        (step_of(spec, device="meta", K=5), 10), (step_of(spec, device="meta", K=5), 20),
    ))  # fmt: skip
    frames = 10 * 4 * 3 * 8 * 8 * 4
    assert twenty.by_category["inputs"] - ten.by_category["inputs"] == frames
    assert twenty.total - ten.total == frames
    longer = step_of(spec, device="meta", K=10)
    assert cost_of(longer, *batch_for(longer, 20, 4, "meta")).memory.total > twenty.total


def test_shipped_keeps_nothing_between_batches(step_of):
    step = step_of(chain("chain", LEAKY), K=2)
    lively(step.net)
    x, target = batch()

    def gradients(x: Tensor) -> list[Tensor]:
        step.gradients(x, target)
        return [p.grad.clone() for p in step.net.parameters()]  # type: ignore[union-attr]

    first = gradients(x)
    gradients(x.flip(0))
    assert all(torch.equal(a, b) for a, b in zip(first, gradients(x), strict=True))


# --------------------------------------------------------------------------- refusals


def test_shipped_rejects_windows_that_do_not_fit(step_of):
    with pytest.raises(UserError, match="K = 0; use a whole number >= 1"):
        step_of(chain("chain", LEAKY), K=0)
    with pytest.raises(UserError, match=f"K = {T + 1} of T = {T} steps; use 1 <= K <= T"):
        step_of(chain("chain", LEAKY), K=T + 1).run(*batch())


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (Residual((), (Conv(3),)), "has no Residual"),
        (Conv(3, standardised=True), "standardised weights"),
        (Spike(NeuronSpec(detach_reset=False)), "reset is always detached"),
    ],
)
def test_ships_names_what_it_cannot_express(layer, reason):
    answer = ships(network("other", (layer,), 0), "tbptt")
    assert not answer
    assert reason in answer.reason


# --------------------------------------------------------------------------- the framework alone


def ce_max_membrane_loss(potentials: Tensor, target: Tensor) -> Tensor:
    return potentials.square().mean()


def of_another_name(potentials: Tensor, target: Tensor) -> Tensor:
    return potentials.square().mean()


def train(time_var: bool, criterion: Any = ce_max_membrane_loss, **settings: Any) -> Any:
    net = nn.Sequential(nn.Linear(4, 2), snntorch.Leaky(beta=0.5, init_hidden=True, output=True))
    x = torch.randn(6, 3, 4) if time_var else torch.randn(3, 4)
    steps = {} if time_var else {"num_steps": 6}
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    return TBPTT(net, [(x, torch.zeros(3))], optimizer, criterion, time_var=time_var, **steps, **settings)


def test_tbptt_of_snntorch_fails_on_data_that_vary_in_time():
    """A bug of snnTorch: with ``time_var=True`` the variable K_flag is set only for K = False, which is BPTT."""
    assert torch.isfinite(train(False, K=2))
    assert torch.isfinite(train(True, K=False))
    for K in (1, 2, 6):
        with pytest.raises(UnboundLocalError, match="K_flag"):
            train(True, K=K)


def test_tbptt_of_snntorch_has_no_clear_error_for_an_unknown_criterion():
    """A bug of snnTorch: its check of the name always passes."""
    with pytest.raises(UnboundLocalError, match="loss_spk"):
        train(False, of_another_name, K=2)


def test_tbptt_of_snntorch_detaches_and_keeps_all_neurons_of_the_process():
    """Also neurons of other networks, and none is ever freed."""
    other = snntorch.Leaky(beta=0.5, init_hidden=True)
    other(torch.ones(2, 3))
    assert float(other.mem.sum()) == 6
    train(False, K=2)
    assert float(other.mem.sum()) == 0
    assert any(neuron is other for neuron in snntorch.SpikingNeuron.instances)


def test_tbptt_of_snntorch_overlooks_nested_neurons():
    """It looks for neurons among the network's direct children only: nested neurons are not detached."""
    inner = nn.Sequential(nn.Linear(4, 4), snntorch.Synaptic(alpha=0.5, beta=0.5, init_hidden=True))
    net = nn.Sequential(inner, nn.Linear(4, 2), snntorch.Leaky(beta=0.5, init_hidden=True, output=True))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        TBPTT(net, [(torch.ones(3, 4), torch.zeros(3))], optimizer, ce_max_membrane_loss, num_steps=4, time_var=False, K=1)


def test_tbptt_of_snntorch_detaches_only_one_kind_of_neurons():
    """A bug of snnTorch: the kinds are the keys True and False of a dictionary, where the last one wins."""
    net = nn.Sequential(
        nn.Linear(4, 4), snntorch.Leaky(beta=0.5, init_hidden=True),
        nn.Linear(4, 2), snntorch.Synaptic(alpha=0.5, beta=0.5, init_hidden=True, output=True),
    )  # fmt: skip
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        TBPTT(net, [(torch.ones(3, 4), torch.zeros(3))], optimizer, ce_max_membrane_loss, num_steps=4, time_var=False, K=1)


def test_surrogate_triangular_of_snntorch_is_not_a_triangle():
    x = torch.tensor([-100.0, -0.5, 0.0, 0.5, 100.0], requires_grad=True)
    surrogate.triangular(threshold=1)(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, 1.0, -1.0, -1.0, -1.0]


def test_surrogate_sigmoid_of_snntorch_overflows():
    x = torch.tensor([-23.0, -11.5, -10.0, 23.0], requires_grad=True)
    surrogate.sigmoid(slope=4)(x).sum().backward()
    assert x.grad is not None
    assert x.grad.isnan().tolist() == [True, False, False, False]
    assert x.grad[1] == 0  # the square overflows first
    assert x.grad[2] > 0


def test_leaky_spikes_are_float32():
    """Therefore these tests cannot use double precision."""
    assert surrogate.sigmoid()(torch.ones(1, dtype=torch.float64)).dtype == torch.float32
