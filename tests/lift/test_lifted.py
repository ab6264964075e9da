"""Algorithms of the suite on a user's module: exact ones give the gradients of the user's own loop, others what they say."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikecost
from bench.errors import UserError
from bench.lift.running.training import LIFTED, LiftedStep, instantaneous, training_step

sys.path.insert(0, str(Path(__file__).parent))
from nets import (
    seeded,
    sj_convolutional,
    sj_dropout,
)
from own_loop import STEPWISE, T, assert_close, batch, buffers, by, gradients, made, own_loop, reference

# --------------------------------------------------------------------------- exact algorithms

EXACT: list[tuple[str, dict[str, Any]]] = [
    ("bptt", {}),
    ("tbptt", {"K": T}),
    ("checkpointed", {"segments": 4}),
    ("checkpointed", {"segments": 5}),
    ("checkpointed", {"lengths": "falling"}),
    ("checkpointed", {}),
    ("skipper", {"p": 0, "segments": 3}),
]


@pytest.mark.sampled(every=3)
@pytest.mark.parametrize("name", STEPWISE)
@pytest.mark.parametrize(("algorithm", "options"), EXACT, ids=str)
def test_exact_algorithm_gives_the_gradients_and_statistics_of_the_users_own_loop(
    name: str, algorithm: str, options: dict[str, Any]
) -> None:
    if name == "plain-explicit" and algorithm == "skipper":
        pytest.skip("no neurons that are known")
    found, expected = by(name, algorithm, **options), reference(name)
    assert_close(found[0], expected[0])
    assert_close(found[1], expected[1])
    torch.testing.assert_close(found[2], expected[2])
    assert any(value.abs().max() > 0 for value in expected[0].values())


@pytest.mark.parametrize(("algorithm", "options"), EXACT, ids=str)
def test_exact_algorithm_recomputes_batch_norm_in_evaluation_with_its_running_statistics(
    algorithm: str, options: dict[str, Any]
) -> None:
    def in_evaluation() -> nn.Module:
        net = made("sj-single-step").eval()
        for norm in (part for part in net.modules() if isinstance(part, nn.BatchNorm2d)):
            norm.running_mean.fill_(0.3)  # type: ignore[union-attr]
            norm.running_var.fill_(0.2)  # type: ignore[union-attr]
        return net

    net, users, (x, target) = in_evaluation(), in_evaluation(), batch()
    training_step(net, algorithm, loss=instantaneous, **options)(x, target)
    instantaneous(own_loop("sj-single-step", users, x), target).backward()
    assert_close(gradients(net), gradients(users))
    assert_close(buffers(net), buffers(users))
    assert buffers(users)


def test_bptt_takes_any_loss() -> None:
    def of_mean(outputs: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(outputs.mean(0), target)

    assert_close(by("sj-multi-step", "bptt", of_mean)[0], reference("sj-multi-step", of_mean)[0])


def test_sum_over_time_steps_is_a_loss_for_every_algorithm() -> None:
    def of_sum(outputs: Tensor, target: Tensor) -> Tensor:
        return T * instantaneous(outputs, target) * outputs.shape[0] / T

    assert_close(by("sj-single-step", "checkpointed", of_sum, segments=3)[0], reference("sj-single-step", of_sum)[0])


def test_dropout_masks_that_spikingjelly_keeps_over_time_are_recomputed() -> None:
    def once(algorithm: str, **options: Any) -> dict[str, Tensor]:
        net = seeded(sj_dropout).double()
        torch.manual_seed(5)
        training_step(net, algorithm, **options)(*batch())
        return gradients(net)

    assert_close(once("checkpointed", segments=4), once("bptt"))


# --------------------------------------------------------------------------- approximate algorithms


@pytest.mark.parametrize("name", STEPWISE)
def test_sltt_is_truncated_bptt_with_windows_of_one_step(name: str) -> None:
    assert_close(by(name, "sltt")[0], by(name, "tbptt", K=1)[0])
    assert_close(by(name, "sltt-k", k=T)[0], by(name, "sltt")[0])


def test_truncated_bptt_is_the_users_loop_with_detached_states() -> None:
    net, (x, target) = made("sj-single-step"), batch()
    from spikingjelly.activation_based import functional

    for window in x.split(4):
        (instantaneous(torch.stack([net(frame) for frame in window]), target) * 4 / T).backward()
        functional.detach_net(net)
    functional.reset_net(net)
    assert_close(by("sj-single-step", "tbptt", K=4)[0], gradients(net))


def test_skipper_skips_the_steps_of_least_activity() -> None:
    """Half of the steps of one segment: the gradient is that of BPTT over the kept steps."""
    net, (x, target) = made("sj-single-step"), batch()
    active = torch.tensor([(1.0 if t % 2 else 0.0) for t in range(T)], dtype=torch.float64)
    x = x * active.view(T, 1, 1, 1, 1)
    step = training_step(net, "skipper", segments=1, p=50)
    step(x, target)
    found = gradients(net)
    spikes = spikes_of(made("sj-single-step"), x)
    kept = sorted(sorted(range(T), key=lambda t: (-spikes[t], t))[: T // 2])
    other = made("sj-single-step")
    (instantaneous(own_loop("sj-single-step", other, x[kept]), target) / 2).backward()
    assert_close(found, gradients(other))


def spikes_of(net: nn.Module, x: Tensor) -> list[float]:
    from spikingjelly.activation_based import neuron

    counts: list[float] = [0.0] * T
    at = [0]
    for module in net.modules():
        if isinstance(module, neuron.BaseNode):
            module.register_forward_hook(lambda _, __, out: counts.__setitem__(at[0], counts[at[0]] + float(out.detach().sum())))
    for t in range(T):
        at[0] = t
        net(x[t])
    return counts


# --------------------------------------------------------------------------- the module stays the user's


def left(net: nn.Module) -> dict[str, Any]:
    """What a user can see of a module beside its weights: attributes, hooks, modes, buffers, hidden states."""
    seen: dict[str, Any] = {"keys": list(net.state_dict())}
    for path, module in net.named_modules():
        plain = {name: value for name, value in vars(module).items() if not isinstance(value, dict | Tensor)}
        seen[path] = plain | {f"memory {name}": value for name, value in getattr(module, "_memories", {}).items()}
        seen[f"{path} hooks"] = (len(module._forward_hooks), len(module._forward_pre_hooks), len(module._buffers))
        seen[f"{path} requires"] = [parameter.requires_grad for parameter in module.parameters(recurse=False)]
        seen[f"{path} hidden"] = [buffer.shape for name, buffer in module.named_buffers(recurse=False) if name in ("mem", "syn")]
    return seen


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [
        *(("sj-dense", each) for each in LIFTED),
        *(("snn-leaky", each) for each in ("bptt", "ottt-a", "ottt-o", "local", "ttl-bptt")),
    ],
)
def test_module_is_left_as_it_was_but_for_its_weights(name: str, algorithm: str) -> None:
    net = made(name)
    net[1].requires_grad_(False)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    options = {"segments": 1, "p": 50} if algorithm == "skipper" else {}
    if algorithm in ("local", "ttl-bptt"):
        options["blocks"] = ["4"] if name == "sj-dense" else ["5"]  # the first block has the frozen part and others
    before, last = left(net), [*net.parameters()][-1].detach().clone()
    net[4].register_forward_hook(fail := Failing())
    step = training_step(net, algorithm, optimizer=optimizer, **options)
    with pytest.raises(ZeroDivisionError):
        step(*batch())
    fail.calls = -(10**6)
    net[4]._forward_hooks.clear()
    assert left(net) == before
    step(*batch())
    assert left(net) == before
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not torch.equal([*net.parameters()][-1], last)


class Failing:
    """A hook that fails in the fourth call on tensors with storage."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, _: nn.Module, __: object, out: Tensor) -> None:
        self.calls += first_of(out).device.type == "cpu"
        if self.calls == 4:
            raise ZeroDivisionError


def first_of(out: Any) -> Tensor:
    return out[0] if isinstance(out, tuple) else out


def test_module_is_at_its_initial_state_after_an_error() -> None:
    net = made("sj-single-step")
    step = training_step(net, "checkpointed", segments=2)
    step(*batch())
    x, target = batch()
    with pytest.raises(ValueError, match="batch_size"):
        step(x, target[:1].repeat(5))
    assert net[2].v == 0.0


def test_switching_the_algorithm_is_one_word_and_gradients_add_up_without_an_optimizer() -> None:
    net = made("sj-multi-step")
    for algorithm in ("bptt", "checkpointed"):
        spikecost.training_step(net, algorithm)(*batch())
    twice, once = gradients(net), reference("sj-multi-step")[0]
    assert_close(twice, {name: 2 * value for name, value in once.items()})


def test_clipping_bounds_the_update() -> None:
    net = made("sj-multi-step")
    before = [p.detach().clone() for p in net.parameters()]
    training_step(net, "bptt", optimizer=torch.optim.SGD(net.parameters(), lr=1.0), clip=1e-3)(*batch())
    moved = torch.stack([(p - b).norm() for p, b in zip(net.parameters(), before, strict=True)]).norm()
    torch.testing.assert_close(moved, torch.tensor(1e-3, dtype=torch.float64))


def test_step_under_autocast_gives_finite_gradients() -> None:
    net = seeded(sj_convolutional)
    x, target = batch()
    with torch.autocast("cpu", torch.bfloat16):
        training_step(net, "bptt")(x.float(), target)
    assert all(value.isfinite().all() for value in gradients(net).values())


def test_outputs_summed_over_time_are_kept() -> None:
    net = made("snn-sequential")
    step = spikecost.training_step(net, "tbptt", K=3)
    step(*batch())
    torch.testing.assert_close(step.outputs, own_loop("snn-sequential", made("snn-sequential"), batch()[0]).sum(0))


@pytest.mark.parametrize("algorithm", [name for name in LIFTED if name not in ("ottt-o", "local", "ttl-bptt")])
def test_gradients_of_two_batches_add_up_without_an_optimizer(algorithm: str) -> None:
    net = made("sj-dense")
    options: dict[str, Any] = {"skipper": {"segments": 1}, "sltt-k": {"k": T}}.get(algorithm, {})
    apart = []
    for seed in (1, 2):
        training_step(net, algorithm, **options)(*batch(seed))
        apart.append(gradients(net))
        net.zero_grad()
    step = training_step(net, algorithm, **options)
    for seed in (1, 2):
        step(*batch(seed))
    first, second = apart
    assert_close(gradients(net), {name: first[name] + second[name] for name in first})


@pytest.mark.parametrize("algorithm", ["bptt", "local", "ottt-o", "otpe"])
def test_scaled_loss_gives_the_same_update(algorithm: str) -> None:
    weights = []
    for scaler in (None, torch.amp.GradScaler("cpu", init_scale=64.0)):
        net = made("sj-dense")
        torch.manual_seed(7)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        training_step(net, algorithm, optimizer=optimizer, clip=0.5, scaler=scaler)(*batch())
        weights.append(dict(net.named_parameters()))
    assert_close({name: p.detach() for name, p in weights[0].items()}, {name: p.detach() for name, p in weights[1].items()})


def test_public_training_step_takes_modules_and_names() -> None:
    assert isinstance(spikecost.training_step(made("snn-sequential"), "sltt"), LiftedStep)
    with pytest.raises(UserError, match="leave it out"):
        spikecost.training_step(made("snn-sequential"), "sltt", "native")  # type: ignore[call-overload]
    with pytest.raises(UserError, match="name the backend too"):
        spikecost.training_step("vgg5-small/digits", "sltt")  # type: ignore[call-overload]
