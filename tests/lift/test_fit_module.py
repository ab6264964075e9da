"""The cheapest exact step of a user's module within a budget; the search for it; SpikingJelly's memory optimiser beside it."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import nn

pytest.importorskip("spikingjelly", reason="spikingjelly is not installed: pip install '.[frameworks]'")

import spikecost
from bench.cli import main
from bench.errors import UserError
from bench.lift.fitting.fit import fit, front
from bench.lift.fitting.schedules import Model, cheapest
from bench.lift.fitting.units import Taken, Unit
from bench.lift.recognition.levels import SPIKES

sys.path.insert(0, str(Path(__file__).parent))
from nets import FRAME, PlainExplicit, seeded, sj_convolutional, sj_single_step

SETTINGS: dict[str, Any] = {"T": 8, "batch": 4, "encoding": "frames"}
MIB = 2**20


def large() -> nn.Module:
    """A chain without batch norm whose first layers have the most neurons and the fewest products."""
    from spikingjelly.activation_based import functional, layer, neuron

    parts: list[nn.Module] = []
    for i, o in ((2, 16), (16, 16), (16, 32), (32, 32)):
        parts += [layer.Conv2d(i, o, 3, padding=1), neuron.LIFNode(), layer.MaxPool2d(2)]
    net = nn.Sequential(*parts, layer.Flatten(), layer.Linear(32, 4))
    functional.set_step_mode(net, "m")
    return net


FRAME_OF_LARGE = (2, 16, 16)


def found(budget: float, **others: Any) -> Any:
    return fit(large(), FRAME_OF_LARGE, **SETTINGS, budget=budget, headroom=0, **others)


# --------------------------------------------------------------------------- fit


def test_fit_gives_the_cheapest_schedule_within_the_budget_and_trains_by_it() -> None:
    whole = front(large(), FRAME_OF_LARGE, **SETTINGS).schedules
    bptt, free, *_, least = whole
    assert found(bptt.peak).schedule == bptt
    assert found(bptt.peak - 1).schedule.macs == bptt.macs
    assert found(free.peak).schedule == free
    between = found(free.peak - 1)
    assert between.schedule.peak < free.peak
    assert bptt.macs < between.schedule.macs <= least.macs
    assert between.ratio == between.schedule.macs / bptt.macs
    net = seeded(large)
    step = spikecost.training_step(net, between.schedule.algorithm, **between.schedule.options)
    assert step(torch.rand(8, 4, *FRAME_OF_LARGE), torch.tensor([0, 1, 2, 3])).isfinite()
    assert all(p.grad is not None for p in net.parameters())


def test_budget_that_is_too_small_says_the_least_and_what_bounds_it() -> None:
    with pytest.raises(
        UserError, match=r"does not fit with exact gradients: the least that was found is .*What recomputation leaves"
    ):
        found(0.05 * MIB)
    with pytest.raises(UserError, match="under batch norm 1"):
        fit(sj_convolutional("m"), FRAME, **SETTINGS, budget=1024, headroom=0)
    with pytest.raises(UserError, match="nothing is left for tensors"):
        fit(sj_convolutional("m"), FRAME, **SETTINGS, budget=2**30)


def test_sequence_is_cut_in_time_where_layers_cannot_be_recognised() -> None:
    """State as an argument: no part computes one tensor from one, so that there are no groups of layers."""
    settings = {"T": 16, "batch": 64, "encoding": "repeat", "headroom": 0}
    bptt = fit(PlainExplicit(), FRAME, **settings, budget=2**30).schedule
    assert bptt.algorithm == "bptt"
    small = fit(PlainExplicit(), FRAME, **settings, budget=0.7 * bptt.peak).schedule
    assert small.options["segments"] > 1
    assert small.peak <= 0.7 * bptt.peak
    assert small.macs > bptt.macs


def test_one_recomputation_of_a_plain_network_leaves_an_eighth() -> None:
    whole = front(large(), FRAME_OF_LARGE, T=32, batch=32, encoding="frames")
    bptt, least = whole.schedules[0], whole.schedules[-1]
    assert bptt.peak - whole.bound.total > 8 * (least.peak - whole.bound.total)
    forward = spikecost.measure(large(), FRAME_OF_LARGE, T=32, batch=32, encoding="frames").cost.macs.dense["forward"]
    assert least.macs - bptt.macs <= forward


def test_command_takes_a_network_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(f"import sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\nfrom nets import sj_multi_step as make\n")
    command = ["fit", f"{file}:make", "--input", "2,8,8", "--T", "8", "--batch", "4", "--encoding", "frames", "--headroom", "0"]
    ran = CliRunner().invoke(main, [*command, "--budget", "1GiB"])
    assert ran.exit_code == 0, ran.output
    assert "BPTT\n" in ran.output
    assert 'Python   spikecost.training_step(net, "bptt")' in ran.output
    assert "of weights, gradients and optimizer" in ran.output
    peak = json.loads(CliRunner().invoke(main, [*command, "--budget", "1GiB", "--json"]).stdout)["peak"]
    ran = CliRunner().invoke(main, [*command, "--budget", f"{0.9 * peak / MIB}MiB"])
    assert "checkpointed BPTT, segments=1, layers=[" in ran.output
    assert 'spikecost.training_step(net, "checkpointed", segments=1, layers=[' in ran.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["mine.py:make"], "give the shape of one time step of one sample, --input"),
        (["vgg5-small/digits", "--input", "3,8,8"], "--input 3,8,8 with vgg5-small/digits of the catalogue"),
        (["vgg5-small/digits", "--optimizer", "adam"], "--optimizer adam with vgg5-small/digits of the catalogue"),
        (["nothing"], "unknown network 'nothing'"),
    ],
)
def test_command_says_what_belongs_to_which_network(arguments: list[str], told: str) -> None:
    ran = CliRunner().invoke(main, ["fit", *arguments, "--T", "4", "--batch", "2", "--budget", "8GiB"])
    assert ran.exit_code == 1
    assert told in ran.output


# --------------------------------------------------------------------------- the search


def model(seed: int, units: int = 6) -> Model:
    generator = torch.Generator().manual_seed(seed)

    def number(most: int) -> int:
        return int(torch.randint(1, most, (), generator=generator))

    made = [Unit(f"{i}", f"{i}", number(50), 0, 0, 0, False, 0) for i in range(units)]
    kept = [Taken(number(100), number(40), 0) for _ in made]
    kept = [Taken(each.kept, each.forward, each.kept + number(40)) for each in kept]
    again = [Taken(number(10), each.forward, each.backward + number(10)) for each in kept]
    return Model(made, kept, again, 5, 4, 1)


@pytest.mark.parametrize("seed", range(5))
def test_search_is_exact_for_its_model(seed: int) -> None:
    """Compared with every choice of units."""
    it = model(seed)

    def peak(choice: tuple[bool, ...]) -> int:
        kept, most = it.fixed, it.fixed
        for recomputed, one, other in zip(choice, it.again, it.kept, strict=True):
            taken = one if recomputed else other
            most = max(most, kept + max(taken.forward, taken.backward))
            kept += taken.kept
        return most

    every = [
        (peak(c), sum(u.macs for u, r in zip(it.units, c, strict=True) if r)) for c in itertools.product([False, True], repeat=6)
    ]
    for live in sorted({peak for peak, _ in every})[::7]:
        groups = cheapest(it, live)
        assert groups is not None
        assert sum(it.units[int(group.first)].macs for group in groups) == min(macs for peak, macs in every if peak <= live)
    assert cheapest(it, min(peak for peak, _ in every) - 1) is None


# --------------------------------------------------------------------------- SpikingJelly's optimiser


def test_level_1_is_the_frameworks_own_placement_on_values() -> None:
    """``optimize_memory`` looks at the values of an example; here the same is known without."""
    from spikingjelly.activation_based import functional, layer, neuron
    from spikingjelly.activation_based.memopt import optimize_memory, pipeline

    from bench.lift.recognition.flow import flow_of
    from bench.lift.recognition.recognise import recognise
    from bench.lift.recognition.trial import Trials
    from bench.lift.recognition.twin import Meta, twin

    net = seeded(large)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(5)  # every layer fires
    x = torch.rand(8, 4, *FRAME_OF_LARGE)
    copy = twin(net, Meta())
    flow = flow_of(recognise(copy, FRAME_OF_LARGE, 8, Meta(), "frames"), Trials(copy, FRAME_OF_LARGE, 8, Meta()))
    optimize_memory(net, (layer.Conv2d, neuron.LIFNode, layer.MaxPool2d, layer.Linear), lambda own: own(x), level=1)
    functional.reset_net(net)
    placed = {path: module.checkpoint_fn.keywords["compressor"] is not None for path, module in pipeline._checkpoint_leaves(net)}
    assert placed == {path: flow.parts[path].reads == SPIKES for path in placed}
    assert any(placed.values())
    assert not all(placed.values())


def test_front_has_no_more_memory_than_the_optimiser_at_as_few_products() -> None:
    from bench.lift.cost.spikingjelly_memopt import optimised

    whole = front(large(), FRAME_OF_LARGE, **SETTINGS)
    results = optimised(large(), FRAME_OF_LARGE, **SETTINGS)
    assert {each.level for each in results} == {1, 2, 3, 4}
    assert all(each.emulated == (each.level > 1) for each in results)
    for each in results:
        assert min(own.peak for own in whole.schedules if own.macs <= each.macs) <= each.peak
    assert min(each.peak for each in results) < whole.bptt.peak


def test_module_is_counted_as_before_after_the_optimiser() -> None:
    """What the optimiser wraps is a copy, and the copy is put back between its choices."""
    from bench.lift.cost.spikingjelly_memopt import optimised

    net = sj_convolutional("m")
    before = dict(net.named_modules())
    once, again = (optimised(net, FRAME, **SETTINGS, levels=(1,)) for _ in range(2))
    assert [each.as_dict() for each in once] == [each.as_dict() for each in again]
    assert dict(net.named_modules()) == before
    with pytest.raises(UserError, match="is no multi-step module"):
        optimised(sj_single_step(), FRAME, **SETTINGS)
