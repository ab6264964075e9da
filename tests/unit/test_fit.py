"""The formulas for peak bytes, the plan for a budget and the longest sequence, compared with counts and real tensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from itertools import combinations, pairwise
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from bench import probes
from bench.algorithms.replay import windows, windows_to_save
from bench.algorithms.segments import edges, falling_edges
from bench.case import Case
from bench.cli import main
from bench.counting.step import batch_for, cost_of
from bench.errors import UserError
from bench.overhead import HEADROOM
from bench.planning.coefficients import OfCatalogue
from bench.planning.exact import exact_of
from bench.planning.formulas import anchors
from bench.planning.longest import counted, formula, largest, longest
from bench.planning.schedules import cheapest, least, segments_within
from bench.probes.longest import CARDS_GIB
from bench.training_step import training_step

WORKLOADS = (
    ("vgg5/cifar10", 100),
    ("vgg11/cifar100", 125),
    ("resnet20/cifar10", 250),
    ("lenet/dvs-gesture", 400),
    ("custom/n-mnist", 300),
)
BATCH = 64


def peak(network: str, algorithm: str, T: int, batch: int = BATCH, **options: Any) -> int:
    return counted(network, algorithm, T, batch, options).memory.total


def schedules(network: str, T: int) -> list[tuple[str, dict[str, Any], Callable[[], float]]]:
    """(algorithm, its options, its peak by formula) of everything that has a formula, BPTT first."""
    exact = exact_of(network, BATCH)
    found: list[tuple[str, dict[str, Any], Callable[[], float]]] = [("bptt", {}, partial(exact.bptt, T))]
    for parts in (edges(T, 2), edges(T, 9), falling_edges(T, exact.segments.sizes.graph_to_state)):
        lengths = [end - begin for begin, end in parts]
        found.append(("checkpointed", {"lengths": lengths}, partial(exact.checkpointed, lengths)))
    found += [("replay", {"K": K}, partial(exact.replay, T, K)) for K in (3, 24)]
    for algorithm, options in (("checkpointed", {}), ("skipper", {"p": 50}), ("tbptt", {"K": 10})):
        found.append((algorithm, options, lambda of=(algorithm, options): formula(network, of[0], BATCH, of[1])(T)))
    return found


SCHEDULES = 9
# Every schedule at the papers' sizes, on some workload that is counted fast; the others have the marker ``slow``.
FAST = ("vgg5/cifar10", "lenet/dvs-gesture", "custom/n-mnist")
PAIRS = [
    pytest.param(network, T, i, marks=[] if network == FAST[i % len(FAST)] else pytest.mark.slow)
    for at, (network, T) in enumerate(WORKLOADS)
    for i in range(SCHEDULES)
]


@pytest.mark.sampled(every=4)
@pytest.mark.parametrize(("network", "T", "schedule"), PAIRS)
def test_formula_is_within_two_per_cent_of_counts(network: str, T: int, schedule: int) -> None:
    known = schedules(network, T)
    assert len(known) == SCHEDULES
    algorithm, options, by_formula = known[schedule]
    assert by_formula() == pytest.approx(peak(network, algorithm, T, **options), rel=0.02), (algorithm, options)


def test_largest_finds_the_last_that_fits() -> None:
    for size in (0, 1, 2, 3, 17, 64, 1000):
        assert largest(lambda n: n, size, 500) == min(size, 500)


def test_largest_searches_beyond_a_dip() -> None:
    assert largest(lambda n: n if n < 50 else n / 2, 45) == 90


@pytest.mark.slow
def test_longest_of_skipper_is_the_largest_T_that_fits() -> None:
    """With few steps a segment cannot be short enough, so a longer sequence may need less memory."""
    need, budget = formula("resnet20/cifar10", "skipper", BATCH, {"p": 50}), 5 * 2**30
    fitting = [T for T in range(40, 1200) if need(T) <= budget]
    assert fitting != list(range(40, 40 + len(fitting)))
    assert longest("resnet20/cifar10", "skipper", BATCH, budget, {"p": 50}) == (fitting[-1], False)


@pytest.mark.parametrize("decay", ["lenet/dvs-gesture", "vgg-sws/cifar10"])
def test_formula_counts_the_states_saved_by_replay(decay: str) -> None:
    within = OfCatalogue(decay, "replay", "native").sizes.within
    for T in (*range(1, 60), 180, 183, 184, 275, 400):
        for K in {1, 2, 3, 5, 12, 90, 91, 92, T} & set(range(1, T + 1)):
            kept = windows_to_save(windows(T, K, within or math.inf), within or math.inf)
            assert anchors(T, K, within) == len(kept), f"T = {T}, K = {K}"


SMALL, T_SMALL, BATCH_SMALL = "custom/n-mnist", 7, 4


@cache
def every_schedule() -> tuple[tuple[int, int], ...]:
    """(recomputed steps, counted bytes) of BPTT, of all segmentations of seven steps, and of all replay windows."""
    found = [(0, peak(SMALL, "bptt", T_SMALL, BATCH_SMALL))]
    for cuts in range(1, T_SMALL):
        for places in combinations(range(1, T_SMALL), cuts):
            lengths = [end - begin for begin, end in pairwise((0, *places, T_SMALL))]
            found.append((T_SMALL - lengths[-1], peak(SMALL, "checkpointed", T_SMALL, BATCH_SMALL, lengths=lengths)))
    for K in range(1, T_SMALL + 1):
        found.append((T_SMALL - K, peak(SMALL, "replay", T_SMALL, BATCH_SMALL, K=K)))
    return tuple(found)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
def test_cheapest_fits_and_is_within_one_step_of_the_best_schedule(share: float) -> None:
    everything = every_schedule()
    budget = int(share * peak(SMALL, "bptt", T_SMALL, BATCH_SMALL))
    plan = cheapest(SMALL, T_SMALL, BATCH_SMALL, budget, headroom=0)
    schedule = plan.schedule
    assert plan.peak <= budget
    assert plan.peak == peak(SMALL, schedule.algorithm, T_SMALL, BATCH_SMALL, **schedule.options)
    assert schedule.recomputed <= min(again for again, need in everything if need <= budget) + 1
    assert (plan.macs_ratio == 1.0) == (schedule.recomputed == 0)


@pytest.mark.sampled(every=2)
@pytest.mark.parametrize(
    ("network", "T", "budget"),
    [
        *(("vgg5/cifar10", 100, GiB << 30) for GiB in (3, 4, 6, 13, 32)),
        *(("lenet/dvs-gesture", 400, GiB << 30) for GiB in (4, 32)),
        *(pytest.param("lenet/dvs-gesture", 400, GiB << 30, marks=pytest.mark.slow) for GiB in (3, 6, 13)),
    ],
)
def test_cheapest_fits_at_the_papers_size_and_states_its_cost(network: str, T: int, budget: int) -> None:
    plan = cheapest(network, T, BATCH, budget)
    assert plan.peak <= budget - HEADROOM
    assert plan.macs_ratio <= 1.35
    cost = counted(network, plan.schedule.algorithm, T, BATCH, plan.schedule.options)
    assert plan.schedule.recomputed / T == pytest.approx(cost.macs.dense["recomputation"] / cost.macs.dense["forward"])
    if budget == 1 << 35:
        assert plan.schedule.algorithm == "bptt"


def test_cheapest_names_the_least_memory_if_nothing_fits() -> None:
    with pytest.raises(UserError, match=r"about 1,037 MiB of .* a budget of 1,536 MiB less 1,024 MiB of headroom leaves 512 MiB"):
        cheapest("vgg5/cifar10", 100, BATCH, 3 << 29)
    with pytest.raises(UserError, match=r"leaves 1 MiB"):  # a network that cannot be replayed
        cheapest("r400/fashion-mnist", 5, BATCH, 1 << 20, headroom=0)


def test_cheapest_uses_the_budget_less_the_headroom() -> None:
    """Live tensors that fill a card to the last byte do not fit."""
    needed = peak(SMALL, "bptt", T_SMALL, BATCH_SMALL)
    all_of_it = cheapest(SMALL, T_SMALL, BATCH_SMALL, needed, headroom=0)
    assert all_of_it == cheapest(SMALL, T_SMALL, BATCH_SMALL, needed + HEADROOM)
    assert cheapest(SMALL, T_SMALL, BATCH_SMALL, needed, headroom=needed / 10).peak <= 0.9 * needed
    with pytest.raises(UserError, match="nothing is left for tensors"):
        cheapest(SMALL, T_SMALL, BATCH_SMALL, needed)


def test_longest_probe_fits_the_card_less_the_headroom() -> None:
    """T steps fit the card less the headroom, T + 1 do not."""
    (least, *_) = probes.measure(Case("skipper", "longest", "vgg5/cifar10", "bptt", "native", 100, BATCH))
    assert (least.metric, least.detail["headroom GiB"], least.detail["found by"]) == ("longest T on a 2 GiB card", 1.0, "count")
    T, live = int(str(least.value)), CARDS_GIB[0] * 2**30 - HEADROOM
    assert peak("vgg5/cifar10", "bptt", T) <= live < peak("vgg5/cifar10", "bptt", T + 1)


def test_segments_within_cover_the_sequence_with_the_longest_last_segment() -> None:
    exact, T = exact_of("custom/n-mnist", BATCH), 300
    for share in (0.1, 0.2, 0.5, 0.9):
        budget = share * exact.bptt(T)
        lengths = segments_within(exact, T, budget)
        assert sum(lengths) == T
        assert exact.checkpointed(lengths) <= budget
        longer = [*lengths[:-2], lengths[-2] - 1, lengths[-1] + 1] if lengths[-2] > 1 else [*lengths[:-2], lengths[-1] + 1]
        assert exact.checkpointed(longer) > budget
    assert segments_within(exact, T, 1e6) == []


@pytest.mark.sampled(every=2)
@pytest.mark.parametrize(
    ("algorithm", "options"),
    [("bptt", {}), ("checkpointed", {}), ("checkpointed", {"lengths": "falling"}), ("replay", {"K": 2})],
)
def test_longest_is_confirmed_on_real_tensors(algorithm: str, options: dict[str, Any]) -> None:
    """In real training steps the live storages are counted: T steps fit a budget of 8 MiB, T + 1 do not."""
    budget, batch = 8 << 20, 4
    T, was_counted = longest("custom/n-mnist", algorithm, batch, budget, options)
    assert was_counted
    assert T > 2

    def really(steps: int) -> int:
        step = training_step("custom/n-mnist", algorithm, "native", **options)
        x, target = batch_for(step, steps, batch, "cpu")
        needed = cost_of(step, x, target).memory.total
        assert all(bool(torch.isfinite(parameter).all()) for parameter in step.net.parameters())
        return needed

    assert really(T) <= budget < really(T + 1)


@pytest.mark.slow
def test_longest_grows_with_the_budget_and_keeps_the_order_of_algorithms() -> None:
    def lengths(algorithm: str, **options: Any) -> list[int]:
        case = Case("skipper", "longest", "vgg5/cifar10", algorithm, "native", 100, BATCH, options=tuple(options.items()))
        found = probes.measure(case)
        assert [m.detail["GiB"] for m in found] == list(CARDS_GIB)
        return [int(str(m.value)) for m in found]

    bptt, falling, replayed = lengths("bptt"), lengths("checkpointed", lengths="falling"), lengths("replay")
    for values in (bptt, falling, replayed):
        assert values == sorted(set(values))
    assert all(b < f for b, f in zip(bptt, falling, strict=True))
    for GiB, T in zip(CARDS_GIB, bptt, strict=True):
        if T < 300:  # the formula is within two per cent of a count
            live = GiB * 2**30 - HEADROOM
            assert peak("vgg5/cifar10", "bptt", T) <= 1.02 * live <= 1.04 * peak("vgg5/cifar10", "bptt", T + 1)


@pytest.mark.parametrize("network", ["vgg5/cifar10", "custom/n-mnist"])
def test_least_memory_is_at_most_that_of_any_exact_schedule(network: str) -> None:
    """With one sample and few steps a window that is replayed takes more than the whole graph."""
    exact = exact_of(network, 1)
    for T in (1, 2, 4, 30):
        assert least(exact, T) <= min(exact.bptt(T), exact.replay(T, 1)) + 1


def test_longest_probe_rejects_other_backends() -> None:
    with pytest.raises(UserError, match="known by formula on the native backend only"):
        probes.measure(Case("skipper", "longest", "vgg5/cifar10", "bptt", "snntorch", 100, BATCH))


# --------------------------------------------------------------------------- the command

NETWORK = ["fit", "r400/fashion-mnist", "--T", "5", "--batch", "4"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--budget", "nan"], "budget = nan GiB"),
        (["--budget", "inf"], "budget = inf GiB"),
        (["--budget", "-2"], "budget = -2 GiB"),
        (["--budget", "0"], "budget = 0 GiB"),
        (["--budget", "1"], "nothing is left for tensors"),
        (["--budget", "4", "--headroom", "nan"], "headroom = nan GiB"),
        (["--budget", "4", "--headroom", "-1"], "headroom = -1 GiB"),
        (["--budget", "4", "--headroom", "5"], "nothing is left for tensors"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_fit_command_rejects_an_invalid_budget_before_counting(
    arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.planning.schedules.exact_of", lambda *_: pytest.fail("counted"))
    ran = CliRunner().invoke(main, [*NETWORK, *arguments])
    assert ran.exit_code == 1
    assert isinstance(ran.exception, SystemExit)  # a message, not a traceback
    assert told in ran.output


def test_fit_command_states_budget_and_headroom() -> None:
    ran = CliRunner().invoke(main, [*NETWORK, "--budget", "1.5"])
    assert ran.exit_code == 0, ran.output
    assert "0.5 GiB allowed: 1.5 GiB less a headroom of 1" in ran.output
    assert ran.stderr.startswith(f"counting training steps of {NETWORK[1]} ")  # it takes a while
    ran = CliRunner().invoke(main, [*NETWORK, "--budget", "1", "--headroom", "0.25"])
    assert "0.75 GiB allowed: 1 GiB less a headroom of 0.25" in ran.output
