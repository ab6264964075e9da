"""Layers computed again in the backward pass: every schedule has BPTT's gradients and statistics, and the counted bytes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikecost
from bench.errors import UserError
from bench.lift.cost.subject import subject
from bench.lift.fitting.fit import Schedule, front
from bench.lift.recognition.levels import Levels
from bench.lift.recognition.twin import Meta, Real, TensorKind
from bench.lift.running.compact import pack, unpack, width
from bench.lift.running.recomputed import InPlaceOf
from bench.lift.running.training import instantaneous, training_step

sys.path.insert(0, str(Path(__file__).parent))
from nets import CLASSES, FRAME, NETS, seeded, sj_convolutional

T, BATCH = 6, 4


class Block(nn.Module):
    """As the blocks of SpikingJelly's sew_resnet (spikes of two paths are added) or of its spiking_resnet (added in place)."""

    def __init__(self, channels: int, adds_spikes: bool) -> None:
        super().__init__()
        from spikingjelly.activation_based import layer, neuron

        self.adds_spikes = adds_spikes
        self.conv1, self.bn1, self.sn1 = (
            layer.Conv2d(channels, channels, 3, padding=1),
            layer.BatchNorm2d(channels),
            neuron.IFNode(),
        )
        self.conv2, self.bn2, self.sn2 = (
            layer.Conv2d(channels, channels, 3, padding=1),
            layer.BatchNorm2d(channels),
            neuron.IFNode(),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.bn2(self.conv2(self.sn1(self.bn1(self.conv1(x)))))
        if self.adds_spikes:
            return x + self.sn2(y)  # type: ignore[no-any-return]
        y += x
        return self.sn2(y)  # type: ignore[no-any-return]


class Residual(nn.Module):
    """A stem, two blocks and a readout; flatten is no module, and forward looks at one of its modules."""

    def __init__(self) -> None:
        super().__init__()
        from spikingjelly.activation_based import layer, neuron

        self.conv, self.bn, self.sn, self.pool = (
            layer.Conv2d(2, 6, 3, padding=1),
            layer.BatchNorm2d(6),
            neuron.LIFNode(),
            layer.MaxPool2d(2),
        )
        self.blocks = nn.Sequential(Block(6, True), Block(6, False))
        self.average, self.fc = layer.AvgPool2d(2), layer.Linear(6 * 2 * 2, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.pool(self.sn(self.bn(self.conv(x)))))
        x = self.average(x)
        if self.average.step_mode == "s":
            raise AssertionError("this network is multi-step")
        y: Tensor = self.fc(torch.flatten(x, 2))
        return y


def residual() -> nn.Module:
    pytest.importorskip("spikingjelly")
    from spikingjelly.activation_based import functional

    net = Residual()
    functional.set_step_mode(net, "m")
    return net


def plain() -> nn.Module:
    return sj_convolutional("m", norm=False)


MADE: dict[str, Callable[[], nn.Module]] = {
    "residual": residual,
    "plain": plain,
    **{
        name: NETS[name][0]
        for name in (
            "sj-multi-step-norm",
            "sj-averaging",
            "sj-dropout",
            "sj-single-step",
            "sj-repeats",
            "snn-sequential",
            "snn-explicit",
        )
    },
}


def batch(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return 3 * torch.rand(T, BATCH, *FRAME, generator=generator, dtype=dtype), torch.randint(
        CLASSES, (BATCH,), generator=generator
    )


def made(name: str) -> nn.Module:
    return seeded(MADE[name]).double()


def own_loop(net: nn.Module) -> None:
    """One step as the author of the network would write it."""
    x, target = batch()
    if any(type(module).__module__.startswith("spikingjelly") for module in net.modules()):
        from spikingjelly.activation_based import functional

        functional.reset_net(net)
        multi = any(getattr(module, "step_mode", "s") == "m" for module in net.modules())
        out = net(x) if multi else torch.stack([net(frame) for frame in x])
        functional.reset_net(net)
    elif "state" in net.forward.__code__.co_varnames:
        state, outs = None, []
        for frame in x:
            one, state = net(frame, state)
            outs.append(one)
        out = torch.stack(outs)
    else:
        out = torch.stack([net(frame)[0] for frame in x])
    loss = F.cross_entropy(out, target) if out.dim() == 2 else instantaneous(out, target)
    loss.backward()


def held(net: nn.Module) -> dict[str, Tensor]:
    """Return gradients and running statistics."""
    found = {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}
    return found | {name: b.clone() for name, b in net.state_dict().items() if "running" in name or "tracked" in name}


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-12, msg=lambda m, name=name: f"{name}: {m}")


@cache
def schedules(name: str) -> list[Schedule]:
    return list(front(MADE[name](), FRAME, T=T, batch=BATCH, encoding="frames").schedules)


@pytest.mark.sampled(every=4)
@pytest.mark.parametrize("name", MADE)
def test_every_schedule_of_the_front_gives_the_gradients_and_statistics_of_the_users_own_loop(name: str) -> None:
    def once(run: Callable[[nn.Module], object]) -> dict[str, Tensor]:
        net = made(name)
        torch.manual_seed(5)  # dropout
        run(net)
        return held(net)

    expected = once(own_loop)
    found = schedules(name)
    for each in found:
        assert_same(once(lambda net, each=each: training_step(net, each.algorithm, **each.options)(*batch())), expected)
    assert [each.peak for each in found] == sorted({each.peak for each in found}, reverse=True)
    assert len(found) > 1 or name in ("snn-explicit", "snn-sequential")


GROUPS = {
    "residual": [[], ["conv:pool"], ["blocks.0"], ["conv:pool", "blocks.0:blocks.1"], ["blocks.0.conv1:blocks.0.sn1"], ["fc"]],
    "plain": [["0:2/3"], ["0:6/4"], ["3:6/2", "7:8"], ["0:8/4"]],
    "sj-single-step": [["0:3"], ["4:7"], ["0:8"], ["5:7/2"]],
    "snn-sequential": [["0:2/2"], ["0:5"], ["4:5/4"]],
}


@pytest.mark.sampled(every=3)
@pytest.mark.parametrize(("name", "layers"), [(name, layers) for name, found in GROUPS.items() for layers in found])
@pytest.mark.parametrize("segments", [1, 3])
def test_named_groups_give_the_gradients_of_the_users_own_loop(name: str, layers: list[str], segments: int) -> None:
    if name == "residual" and segments > 1:
        pytest.skip("its batch norm ties the time steps")
    net, other = made(name), made(name)
    training_step(net, "checkpointed", segments=segments, layers=layers)(*batch())
    own_loop(other)
    assert_same(held(net), held(other))


# --------------------------------------------------------------------------- bytes


def cost_in(kind: TensorKind, name: str, options: dict[str, Any]) -> tuple[int, dict[str, int], dict[Any, int]]:
    """Count a step of checkpointed BPTT on one kind of tensors, in float32."""
    net = seeded(MADE[name])
    with subject(net, "sgd", kind, FRAME, T, BATCH, "frames") as it:
        step = training_step(it.net, "checkpointed", optimizer=it.optimizer, **options)
        step.share = "mean"
        lifted = step.lifted(it.x)
        cost = it.count(lambda watcher: step(it.x, it.target, watcher), [(lifted, lifted.carried)])
    return cost.memory.total, cost.memory.by_category, cost.macs.dense


@pytest.mark.parametrize(
    ("name", "layers"),
    [("residual", ["conv:pool", "blocks.0"]), ("plain", ["0:6/4"]), ("plain", []), ("sj-single-step", ["0:3"])],
)
def test_bytes_and_products_without_storage_equal_real_tensors(name: str, layers: list[str]) -> None:
    options = {"segments": 1, "layers": layers}
    assert cost_in(Meta(), name, options) == cost_in(Real(), name, options)


def test_front_begins_with_bptt_and_with_what_costs_no_products_and_is_counted() -> None:
    bptt, free, *others = schedules("residual")
    assert (free.options, free.macs) == ({"segments": 1, "layers": []}, bptt.macs)
    assert free.peak < bptt.peak
    for each in (free, *others[-1:]):
        total, _, products = cost_in(Meta(), "residual", dict(each.options))
        assert (total, sum(products.values())) == (each.peak, each.macs)


# --------------------------------------------------------------------------- compact storage


@pytest.mark.parametrize("most", [1, 2, 5, 15, 16, 255])
@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_packed_values_come_back_to_the_bit(most: int, scale: float) -> None:
    levels = Levels(most, scale)
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        x = (torch.randint(most + 1, (3, 2, 5, 7)) * scale).to(dtype)
        for shown in (x, x.to(memory_format=torch.channels_last), x[:, :, 1:, ::2], x.transpose(0, 1)):
            packed = pack(shown, levels)
            back = unpack(packed)
            assert torch.equal(back, shown)
            assert back.dtype == dtype
            bits = sum(plane.numel() * 8 for plane in packed.planes)
            assert bits < width(levels) * (shown.numel() + 8)


# --------------------------------------------------------------------------- the module stays the user's


def test_module_has_its_own_parts_after_a_step_and_after_an_error() -> None:
    net = made("residual")
    before = dict(net.named_modules())
    step = training_step(net, "checkpointed", segments=1, layers=["conv:pool", "blocks.0"])
    x, target = batch()
    step(x, target)
    with pytest.raises(ValueError, match="batch_size"):
        step(x, target[:1].repeat(3))
    assert dict(net.named_modules()) == before
    assert not any(isinstance(module, InPlaceOf) for module in net.modules())
    assert all(not module._forward_hooks for module in net.modules())
    assert net.sn.v == 0.0


class Shared(nn.Module):
    """One module by two names, a module that is called twice, and an output that two read."""

    def __init__(self) -> None:
        super().__init__()
        from spikingjelly.activation_based import neuron

        self.one, self.two, self.three = nn.Linear(128, 8), nn.Linear(8, 8), nn.Linear(8, CLASSES)
        self.lif, self.last = neuron.LIFNode(step_mode="m"), neuron.LIFNode(step_mode="m")
        self.again = self.lif

    def forward(self, x: Tensor) -> Tensor:
        first = self.one(x.flatten(2))
        spikes = self.lif(first)
        y = self.two(self.two(spikes))
        return self.last(self.three(y + spikes * first))  # type: ignore[no-any-return]


def test_only_what_is_linked_is_computed_as_one() -> None:
    pytest.importorskip("spikingjelly")
    from spikingjelly.activation_based import functional

    for layers in ([], ["three:last"]):
        net, other = seeded(Shared).double(), seeded(Shared).double()
        training_step(net, "checkpointed", segments=1, layers=layers)(*batch())
        instantaneous(other(batch()[0]), batch()[1]).backward()
        functional.reset_net(other)
        assert_same(held(net), held(other))
    for group in ("one:lif", "lif", "two"):
        with pytest.raises(UserError, match="are not linked parts"):
            training_step(seeded(Shared).double(), "checkpointed", segments=1, layers=[group])(*batch())


def test_layers_are_computed_again_under_the_mixed_precision_of_the_forward_pass() -> None:
    def once(layers: list[str] | None) -> dict[str, Tensor]:
        net, (x, target) = seeded(residual), batch(torch.float32)
        with torch.autocast("cpu", torch.bfloat16):
            training_step(net, "checkpointed", segments=1, layers=layers)(x, target)
        return held(net)

    expected = once(None)
    for layers in ([], ["conv:pool", "blocks.0"]):
        for name, value in once(layers).items():
            torch.testing.assert_close(value, expected[name], rtol=2e-2, atol=1e-3, msg=lambda m, name=name: f"{name}: {m}")


def test_groups_follow_the_modes_of_the_modules() -> None:
    """Batch norm in evaluation leaves samples alone, so that the batch may be divided; in training it may not."""
    net, other = made("residual").eval(), made("residual").eval()
    step = training_step(net, "checkpointed", segments=1, layers=["conv:pool/2"])
    step(*batch())
    own_loop(other)
    assert_same(held(net), held(other))
    net.train()
    with pytest.raises(UserError, match="bn makes the samples of a batch depend on one another"):
        step(*batch())


def test_neurons_that_store_their_potentials_are_computed_once() -> None:
    net = made("plain")
    net[1].store_v_seq = True  # type: ignore[union-attr]
    with pytest.raises(UserError, match="0:2 are not linked parts"):
        training_step(net, "checkpointed", segments=1, layers=["0:2"])(*batch())
    training_step(net, "checkpointed", segments=1, layers=[])(*batch())
    assert net[1].v_seq.shape[:2] == (T, BATCH)  # type: ignore[union-attr]


# --------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        (["nothing"], "nothing:nothing are not linked parts; linked parts of this module are conv:average"),
        (["conv:fc"], "conv:fc are not linked parts"),
        (["conv:pool/2"], "bn makes the samples of a batch depend on one another, so that the batch cannot be divided"),
        (["conv:pool", "bn:sn"], "overlaps"),
        (["pool:conv"], "ends before it begins"),
        (["conv:pool/0"], "is not a group: write first:last"),
        ([3], "3 is not a group"),
    ],
)
def test_wrong_group_is_refused(layers: list[Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        training_step(made("residual"), "checkpointed", segments=1, layers=layers)(*batch())


def test_layers_belong_to_exact_algorithms() -> None:
    with pytest.raises(UserError, match="layers are computed again under bptt and checkpointed"):
        spikecost.training_step(made("residual"), "sltt", layers=[])


def test_batch_norm_over_time_allows_one_segment_and_any_loss() -> None:
    step = training_step(
        made("residual"), "checkpointed", loss=lambda outs, target: F.cross_entropy(outs.mean(0), target), segments=1
    )
    assert step(*batch()).isfinite()
    with pytest.raises(UserError, match="batch norm takes its statistics over all time steps"):
        training_step(made("residual"), "checkpointed", segments=2, layers=[])(*batch())
