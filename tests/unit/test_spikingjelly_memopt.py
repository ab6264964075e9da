"""SpikingJelly's memory optimiser: equal gradients, fewer bytes, and wrong results for inputs unlike its example."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("spikingjelly", reason="spikingjelly is not installed: pip install '.[frameworks]'")

from spikingjelly.activation_based import functional
from spikingjelly.activation_based.memopt import BitSpikeCompressor, checkpoint_module, optimize_memory
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import CheckpointWrapper

from bench.backends import spikingjelly_memopt
from bench.backends.spikingjelly_memopt import Shipped, Unit, ships
from bench.counting.macs import Macs
from bench.counting.memory import LiveBytes, Peak
from bench.counting.step import batch_for, cost_of
from bench.counting.tape import watching
from bench.errors import UserError
from bench.probes.equivalence import aligned_parameters
from bench.spec import (  # fmt: skip
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
    Residual,
    Scale,
    Spike,
)
from bench.training_step import TrainingStep, training_step

NEURON = NeuronSpec(decay=0.7, threshold=0.6)
FULL = NeuronSpec(decay=0.7, threshold=0.6, reset="hard", detach_reset=False)
PERFECT = NeuronSpec(decay=1.0, threshold=0.6)
HEAD = (AvgPool(2, 2), Flatten(), Dense(5, init="default"))
T = 4


def network(name: str, layers: tuple[Layer, ...], parameters: int) -> NetworkSpec:
    return NetworkSpec(name, (3, 8, 8), 5, (*layers, *HEAD), NEURON, parameters, "these tests", "frames")


NETWORKS = {
    spec.name: spec
    for spec in (
        network("plain", (Conv(6), Spike(NEURON), AvgPool(2, 2), Conv(8, bias=False), Spike(FULL), Scale(2.74)), 765),
        network("no leak", (Conv(6), Spike(PERFECT), Conv(8, standardised=True), Spike(PERFECT)), 1261),
        network("dropout", (Conv(6), Spike(NEURON, 0.3), Conv(8), Spike(NEURON, 0.5)), 1253),
        network("batch norm", (Conv(6, bias=False), BatchNorm(), Spike(NEURON), Conv(8), BatchNorm(), Spike(NEURON)), 1275),
        network(
            "residual",
            (
                Conv(6), Spike(NEURON, 0.3),
                Residual((), (Conv(8, bias=False), Spike(NEURON, 0.3), Conv(8)), (Conv(8, 1, 1, 0),)), Spike(NEURON),
                Residual((), (Conv(8), Spike(NEURON), Conv(8))), Spike(PERFECT),
            ),
            3053,
        ),
        network("pre-activation", (Conv(6), Residual((Spike(NEURON),), (Conv(6), Spike(NEURON), Conv(6))), Spike(NEURON)), 1313),
        network(
            "spikes on the shortcut",
            (Conv(6), Residual((Spike(NEURON),), (Conv(6), Spike(NEURON), Conv(6)), (), "activated"), Spike(NEURON)),
            1313,
        ),
    )
}  # fmt: skip
every_network = pytest.mark.parametrize("spec", NETWORKS.values(), ids=lambda spec: spec.name)


@pytest.fixture
def step_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that builds a training step for a spec."""

    def make(spec: NetworkSpec, backend: str = "spikingjelly-memopt", **options: Any) -> TrainingStep:
        monkeypatch.setattr("bench.zoo.spec", lambda _: spec)
        return training_step(spec.name, "bptt", backend, **options)

    return make


def lively(net: nn.Module) -> nn.Module:
    """Draw nonzero weights in double precision for which every layer fires, the same for all implementations of a spec."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in aligned_parameters(net.double()):
            fan_in = max(parameter.shape[1:].numel(), 1) if parameter.dim() > 1 else 1
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(noise * (1.5 * fan_in**-0.5) + (fan_in == 1))
    return net


def batch(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    return torch.randn(T, 3, 3, 8, 8, generator=generator, dtype=dtype), torch.tensor([0, 1, 4])


def respond(step: TrainingStep) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Return gradients, running averages and summed outputs; weights, input and random numbers are the same for all calls."""
    lively(step.net)
    torch.manual_seed(11)
    out = step.gradients(*batch())
    buffers = [b.clone() for name, b in step.net.named_buffers() if "running" in name or "num_batches" in name]
    return [p.grad.clone() for p in aligned_parameters(step.net)], buffers, out  # type: ignore[union-attr]


def furthest(one: list[Tensor], other: list[Tensor]) -> float:
    return max(float((a - b).norm() / a.norm()) for a, b in zip(one, other, strict=True))


# --------------------------------------------------------------------------- exact


@every_network
def test_memopt_leaves_the_gradient_unchanged_to_the_bit(step_of, spec):
    plain, averages, out = respond(step_of(spec, level=0))
    found, moved, again = respond(step_of(spec, level=1))
    assert all(float(g.norm()) > 0 for g in plain if g.dim() > 1)
    assert torch.equal(out, again)
    assert len(averages) == len(moved) == (6 if spec.name == "batch norm" else 0)
    for a, b in zip([*plain, *averages], [*found, *moved], strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["plain", "no leak", "pre-activation", "spikes on the shortcut"])
@pytest.mark.parametrize("level", [0, 1])
def test_memopt_equals_native_bptt(step_of, name, level):
    """Without dropout, whose masks differ between frameworks, and without batch norm (see below)."""
    ours, _, out = respond(step_of(NETWORKS[name], "native"))
    theirs, _, other = respond(step_of(NETWORKS[name], level=level))
    torch.testing.assert_close(out, other, rtol=1e-10, atol=1e-10)
    assert furthest(ours, theirs) < 1e-10


def test_memopt_redraws_the_same_dropout_mask_for_the_sequence(step_of):
    step = step_of(NETWORKS["dropout"], level=1)
    lively(step.net)
    (first, *_) = (m for m in step.net.modules() if type(m).__name__ == "Dropout")
    seen: list[Tensor] = []
    first.register_forward_hook(lambda m, args, out: seen.append(torch.where(args[0] > 0, out, torch.nan).detach()))
    step.gradients(*batch())
    forward, again = seen
    assert torch.equal(forward.nan_to_num(-1), again.nan_to_num(-1))
    kept = [torch.where(forward[t].isnan(), torch.nan, forward[t] > 0) for t in range(T)]
    for one, other in itertools.pairwise(kept):
        both = ~(one.isnan() | other.isnan())
        assert both.any()
        assert torch.equal(one[both], other[both])
    masked = torch.stack(kept)
    assert (masked == 0).any()
    assert (masked == 1).any()


def test_memopt_batch_norm_uses_all_steps_together(step_of):
    """This differs from the spec, whose statistics are per time step."""
    ours, averages, _ = respond(step_of(NETWORKS["batch norm"], "native"))
    theirs, moved, _ = respond(step_of(NETWORKS["batch norm"], level=0))
    assert furthest(ours, theirs) > 1e-2
    counts = [[int(b) for b in buffers if b.dim() == 0] for buffers in (averages, moved)]
    assert counts == [[T, T], [1, 1]]


# --------------------------------------------------------------------------- memory


def peak(step: TrainingStep) -> Peak:
    return cost_of(step, *batch_for(step, T, 8, "meta")).memory


def alive_after_forward(step: TrainingStep) -> int:
    """Return the bytes that the forward pass allocated and that are alive when the backward pass begins."""
    x, _ = batch_for(step, T, 8, "meta")
    live = LiveBytes()
    with watching(live):
        outs = step.net(x)
        made = sum(change for _, change in live._events)
    assert outs.requires_grad
    return made


def test_memopt_saves_the_input_of_a_unit_at_one_bit_per_spike(step_of, monkeypatch):
    """To the byte: inputs that are spikes take 1/8 byte instead of 4 bytes per value; nothing else changes."""
    spec = NETWORKS["residual"]
    packed = alive_after_forward(step_of(spec, device="meta"))
    monkeypatch.setattr(spikingjelly_memopt, "BitSpikeCompressor", lambda: None)
    unpacked = alive_after_forward(step_of(spec, device="meta"))
    spikes = T * 8 * 64 * (6 + 8 + 8)  # into the two residual blocks and the head
    tokens = 3 * 4  # one number per unit, which carries the gradient
    assert unpacked - packed == spikes * 4 - spikes // 8 - tokens


def test_memopt_peak_decreases_with_the_level(step_of, monkeypatch):
    spec = network("deep", (*(Conv(16), Spike(NEURON)) * 6,), 3 * 144 + 16 + 5 * (16 * 144 + 16) + 16 * 16 * 5 + 5)
    plain, packed = peak(step_of(spec, device="meta", level=0)), peak(step_of(spec, device="meta", level=1))
    monkeypatch.setattr(spikingjelly_memopt, "BitSpikeCompressor", lambda: None)
    assert plain.total > peak(step_of(spec, device="meta", level=1)).total > packed.total
    forgetful = peak(
        step_of(spec, "spikingjelly-multistep", device="meta")
    )  # its nodes hold their potentials after the last step
    assert plain.total - plain.by_category["state"] == forgetful.total


def test_memopt_recomputes_every_synapse_but_the_last(step_of):
    """A unit is recomputed only as far as its backward pass needs: in the last unit, not the readout."""
    spec = NETWORKS["residual"]
    plain, twice = (macs(step_of(spec, device="meta", level=level)) for level in (0, 1))
    readout = T * 8 * (8 * 4 * 4) * 5
    assert plain.dense["recomputation"] == 0
    assert twice.dense == {**plain.dense, "recomputation": plain.dense["forward"] - readout}


def test_memopt_unpacked_spikes_count_as_spikes(step_of):
    spec = NETWORKS["residual"]
    multistep = macs(step_of(spec, "spikingjelly-multistep", device="meta"))
    plain, twice = (macs(step_of(spec, device="meta", level=level)) for level in (0, 1))
    assert plain.multiplications == multistep.multiplications
    assert plain.multiplications["forward"] < plain.dense["forward"]
    readout = T * 8 * (8 * 4 * 4) * 5  # reads pooled spikes, which are real numbers
    again = plain.multiplications["forward"] - readout
    assert twice.multiplications == {**plain.multiplications, "recomputation": again}


def macs(step: TrainingStep) -> Macs:
    return cost_of(step, *batch_for(step, T, 8, "meta")).macs


# --------------------------------------------------------------------------- the framework's optimize_memory


def placed(units: nn.Sequential) -> list[type | None]:
    """Return the type of compressor of every unit, or None; asserts that all are checkpointed."""
    assert all(isinstance(unit, CheckpointWrapper) for unit in units)
    found = [unit.checkpoint_fn.keywords["compressor"] for unit in units]
    return [None if compressor is None else type(compressor) for compressor in found]


@every_network
def test_optimize_memory_uses_the_same_checkpoints_and_compressors(spec):
    ours, theirs = Shipped(spec, level=1), Shipped(spec, level=0)
    lively(theirs)
    assert not any(isinstance(module, CheckpointWrapper) for module in theirs.modules())
    x, _ = batch()
    optimize_memory(theirs.train(), (Unit,), lambda net: net(x), level=1)
    assert placed(theirs.units) == placed(ours.units)
    assert placed(ours.units)[0] is None
    assert BitSpikeCompressor in placed(ours.units)


class Block(nn.Sequential):
    """A target for optimize_memory."""


def test_optimize_memory_packs_real_numbers_after_a_silent_example():
    """A bug of the framework: inputs that were zero in the example are packed as bits later, without a check of values."""
    plain = nn.Sequential(Block(nn.Identity()))
    packed = optimize_memory(nn.Sequential(Block(nn.Identity())), (Block,), lambda net: net(torch.zeros(1, 8)), level=1)
    halves = torch.full((1, 8), 0.5)
    assert torch.equal(plain(halves), halves)
    assert torch.equal(packed(halves), torch.zeros(1, 8))


def test_optimize_memory_packs_dropout_outputs_after_an_example_in_evaluation_mode():
    net = nn.Sequential(nn.Dropout(0.5), Block(nn.Identity())).eval()
    spikes = torch.ones(1, 64)
    optimize_memory(net, (Block,), lambda net: net(spikes), level=1)
    torch.manual_seed(0)
    passed = net.train()(spikes)
    assert set(passed.unique().tolist()) <= {0.0, 1.0}  # the values 2 from dropout are lost


def test_optimize_memory_needs_a_gpu_for_searching_levels():
    net = nn.Sequential(Block(nn.Linear(8, 8), nn.Linear(8, 8)))
    with pytest.raises(RuntimeError, match="CUDA"):
        optimize_memory(net, (Block,), lambda net: net(torch.randn(1, 8)), level=2, split_fn=lambda block: list(block))


def test_optimize_memory_needs_an_example_with_values():
    """Therefore this backend uses ``checkpoint_module`` directly: device 'meta' has no values to inspect."""
    with torch.device("meta"):
        net = nn.Sequential(Block(nn.Linear(8, 8)))
    with pytest.raises(RuntimeError, match="meta"):
        optimize_memory(net, (Block,), lambda net: net(torch.empty(1, 8, device="meta")), level=1)
    assert isinstance(checkpoint_module(net[0], compressor=BitSpikeCompressor()), CheckpointWrapper)


# --------------------------------------------------------------------------- refusals, and between batches


@pytest.mark.parametrize("level", [2, 3, 4])
def test_memopt_rejects_searching_levels(step_of, level):
    with pytest.raises(UserError, match=f"level = {level} needs CUDA: .* use level 0 or 1"):
        step_of(NETWORKS["plain"], device="meta", level=level)


@pytest.mark.parametrize("level", [-1, 5, "high"])
def test_memopt_rejects_invalid_levels(step_of, level):
    with pytest.raises(UserError, match=f"level = {level!r}; use 0"):
        step_of(NETWORKS["plain"], device="meta", level=level)


@pytest.mark.parametrize(("layer", "kind"), [(Gain(1.0), "Gain"), (Loop((Conv(6),), (Spike(NEURON),), (Conv(6),)), "Loop")])
def test_memopt_names_a_layer_that_it_lacks(layer, kind):
    answer = ships(network("other", (Residual((), (layer,)),), 0), "bptt")
    assert not answer
    assert kind in answer.reason


def test_memopt_keeps_nothing_between_batches(step_of):
    step = step_of(NETWORKS["residual"], level=1)
    first, _, _ = respond(step)
    assert any(isinstance(v, Tensor) for v in step.net.carried(None))
    second, _, _ = respond(step)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    functional.reset_net(step.net)
    assert not any(isinstance(v, Tensor) for v in step.net.carried(None))
