"""Energy of a user's network: layers and rates as they are, training steps by algorithm, and conventions."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.counting.energy import CONVENTIONS, Convention
from bench.counting.synaptic import Operations
from bench.errors import UserError
from bench.lift.cost.compare import compare
from bench.lift.cost.energy import Energy, energy

sys.path.insert(0, str(Path(__file__).parent))
from nets import CLASSES, FRAME, NETS, seeded

T, BATCH = 4, 3


def batch(*, binary: bool = False) -> tuple[Tensor, Tensor]:
    """Analog samples are large, so that every layer of neurons fires."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(T, BATCH, *FRAME, generator=generator)
    return ((x < 0.4).float() if binary else 20 * x), torch.randint(CLASSES, (BATCH,), generator=generator)


def found(name: str, *algorithms: str, **settings: Any) -> Energy:
    return energy(seeded(NETS[name][0]), batch(), algorithms, **settings)


@pytest.mark.parametrize("name", ["sj-single-step", "sj-multi-step", "snn-sequential"])
def test_first_layer_multiplies_and_later_ones_accumulate(name: str) -> None:
    layers = found(name).layers
    first, *later = layers
    assert first.reads == "input"
    assert first.operations == Operations(first.operations.dense, first.operations.dense, 0)
    assert any(layer.reads == "spikes" and 0 < layer.operations.acs < layer.operations.dense for layer in later)
    assert all(layer.operations.macs == 0 for layer in later if layer.reads == "spikes")


class Residual(nn.Module):
    """Two layers of neurons whose spikes are added, and averaged over space for a readout."""

    def __init__(self) -> None:
        super().__init__()
        parts = pytest.importorskip("spikingjelly.activation_based")
        self.first, self.second = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
        self.one, self.other = parts.neuron.IFNode(), parts.neuron.IFNode()
        self.sums, self.pooled = nn.Linear(4 * 8 * 8, 3), nn.Linear(4 * 4 * 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        spikes = self.one(self.first(x))
        added = spikes + self.other(4 * self.second(spikes))
        return self.sums(added.flatten(1)) + self.pooled(nn.functional.avg_pool2d(spikes, 2).flatten(1))


def test_residual_sums_accumulate_each_spike_and_average_pooled_ones_multiply() -> None:
    layers = {layer.path: layer for layer in energy(seeded(Residual), batch(), ()).layers}
    assert {path: layer.reads for path, layer in layers.items()} == {
        "first": "input",
        "second": "spikes",
        "sums": "sums",
        "pooled": "real",
    }
    sums, pooled = layers["sums"].operations, layers["pooled"].operations
    assert sums.macs == pooled.acs == 0
    assert sums.acs % 3 == 0  # every spike meets every output once
    assert 0 < sums.acs < 2 * sums.dense
    assert 0 < pooled.macs < pooled.dense


def test_binary_input_accumulates_from_the_first_layer_on() -> None:
    first = energy(seeded(NETS["sj-multi-step"][0]), batch(binary=True), ()).layers[0]
    assert first.reads == "spikes"
    assert 0 < first.operations.acs < first.operations.dense


def test_rates_are_spikes_per_neuron_and_time_step() -> None:
    net = seeded(NETS["snn-sequential"][0])
    (x, y), spikes = batch(), []
    rates = energy(net, (x, y), ()).rates
    net.eval()
    with torch.no_grad():
        for frame in x:
            spikes.append(net[1](net[0](frame)))
    assert rates["1"] == pytest.approx(float(torch.stack(spikes).mean()))
    assert 0 < rates["1"] < 1


@pytest.mark.parametrize("name", ["sj-single-step", "snn-sequential"])
def test_dense_products_of_a_training_step_are_those_of_the_cost(name: str) -> None:
    algorithms = ("bptt", "checkpointed", "tbptt", "sltt")
    given = {"tbptt": {"K": 2}, "checkpointed": {"segments": 2}}
    mine = found(name, *algorithms, options=given)
    counted = compare(
        seeded(NETS[name][0]), FRAME, T=T, batch=BATCH, encoding="frames", cosine="none", algorithms=algorithms, options=given
    )
    for row in counted.rows[1:]:
        by_role = mine.training[row.algorithm]
        assert row.cost is not None
        assert not isinstance(by_role, str)
        assert {role: operations.dense for role, operations in by_role.items()} == {
            role: macs for role, macs in row.cost.macs.dense.items() if macs
        }


def test_backward_of_a_layer_that_reads_spikes_accumulates() -> None:
    by_role = found("snn-sequential", "bptt").training["bptt"]
    assert not isinstance(by_role, str)
    assert by_role["error to weight"].acs == by_role["forward"].acs > 0
    assert by_role["error to input"].acs == 0


def test_checkpointing_takes_more_energy_than_bptt_and_skipping_less() -> None:
    options = {"checkpointed": {"segments": 4}, "sltt-k": {"k": 1}}
    mine = found("snn-sequential", "bptt", "checkpointed", "sltt-k", options=options)
    bptt, checkpointed, few = (mine.joules("45 nm, float32", name) for name in ("bptt", "checkpointed", "sltt-k"))
    assert few < bptt < checkpointed


def test_energy_is_pj_times_operations_for_one_sample() -> None:
    mine = found("snn-sequential", conventions={**CONVENTIONS, "mine": Convention(mac=2.0, ac=1.0, leaves_out="all else")})
    operations = mine.inference
    assert mine.joules("mine") == pytest.approx(1e-12 * (2 * operations.macs + operations.acs) / BATCH)
    assert mine.joules("45 nm, float32") == pytest.approx(1e-12 * (4.6 * operations.macs + 0.9 * operations.acs) / BATCH)
    shown = json.loads(json.dumps(mine.as_dict()))
    assert shown["leaves out"]["mine"] == "all else"
    assert "memory" in shown["leaves out"]["45 nm, float32"]


def test_algorithm_that_does_not_apply_says_why() -> None:
    mine = found("sj-multi-step-norm", "bptt", "sltt")
    assert "batch norm" in str(mine.training["sltt"])
    assert mine.step("bptt").macs > 0
    with pytest.raises(UserError, match="batch norm"):
        mine.step("sltt")


def test_module_is_left_as_it_was() -> None:
    net = seeded(NETS["sj-single-step"][0])
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net.eval()
    energy(net, batch(), ("bptt",))
    assert not net.training
    assert all(parameter.grad is None for parameter in net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (torch.rand(4, 3, 2), "one batch"),
        ((torch.rand(4, 3, *FRAME), torch.zeros(2, dtype=torch.long)), "labels"),
        ((torch.rand(4), torch.zeros(4)), "use x"),
    ],
)
def test_data_that_are_no_batch_are_refused(data: Any, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        energy(nn.Linear(3, 3), data)


@pytest.mark.parametrize("value", [-1.0, float("nan"), True, "4.6"])
def test_convention_that_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(UserError, match="use a finite number"):
        Convention(mac=value, ac=0.9)


def test_page_states_the_conventions_as_they_are() -> None:
    page = (Path(__file__).parents[2] / "docs" / "your_network.md").read_text(encoding="utf-8")
    for name, convention in CONVENTIONS.items():
        assert f"| `{name}` | {convention.mac:g} | {convention.ac:g} |" in page
