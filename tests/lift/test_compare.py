"""A comparison of algorithms on a user's network: counted as they run, in the order that is known, with reasons for the rest."""

from __future__ import annotations

import json
import re
import sys
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import nn

from bench.cli import main
from bench.counting.any_step import Cost
from bench.errors import UserError
from bench.lift.cost import cosine
from bench.lift.cost.compare import AS_WRITTEN, MEMOPT, Compared, Row, compare
from bench.lift.cost.counts import ByAlgorithm, Setting
from bench.lift.cost.every_batch import OfEveryBatch
from bench.lift.cost.limits import Limits, Question
from bench.lift.cost.subject import subject
from bench.lift.recognition.twin import Real
from bench.lift.running.training import training_step
from bench.registry import ALGORITHMS
from bench.seeds import seed_of

sys.path.insert(0, str(Path(__file__).parent))
from nets import CLASSES, FRAME, NETS, STEPS, seeded

T, BATCH = 10, 8
GIB = 2**30
IN_PARTS = {"bptt", "checkpointed", "skipper", "tbptt", "sltt", "sltt-k"}
BLOCKS, ONLINE, DENSE = {"local", "ttl-bptt"}, {"ottt-a", "ottt-o"}, {"ottt-dense", "ostl", "otpe", "approximate-otpe"}
KNOWN = IN_PARTS | BLOCKS | ONLINE | DENSE | {"replay"}
RUNS = {  # what of these applies to each network of nets.py
    "sj-single-step": IN_PARTS | BLOCKS,
    "sj-multi-step": IN_PARTS | BLOCKS,
    "sj-multi-step-norm": {"bptt", "local"},
    "sj-catalogue": IN_PARTS | BLOCKS | ONLINE | {"replay"},
    "sj-catalogue-multi-step": IN_PARTS | BLOCKS | ONLINE | {"replay"},
    "sj-dense": KNOWN,
    "sj-residual": IN_PARTS | BLOCKS | ONLINE | {"replay"},
    "sj-dropout": IN_PARTS | BLOCKS,
    "sj-averaging": {"bptt"},
    "sj-loop": {"bptt"},
    "sj-repeats": {"bptt"},
    "snn-sequential": IN_PARTS | BLOCKS,
    "snn-recurrent": IN_PARTS | BLOCKS,
    "snn-lstm": IN_PARTS | BLOCKS,
    "snn-leaky": IN_PARTS | BLOCKS | ONLINE,
    "snn-explicit": IN_PARTS,
    "snn-batch-first": {"bptt"},
    "plain-explicit": IN_PARTS - {"skipper"},
}


@cache
def usual(name: str) -> Compared:
    """The comparison without a budget, shared by tests."""
    return compared(name, T=STEPS if name == "sj-repeats" else T)


def compared(name: str, T: int = T, batch: int = BATCH, **options: Any) -> Compared:
    return compare(seeded(NETS[name][0]), FRAME, T=T, batch=batch, **{"cosine": "none"} | options)


def peaks(found: Compared) -> dict[str, int]:
    return {row.algorithm: row.cost.memory.total for row in found.rows if row.cost is not None}


@pytest.mark.sampled(every=2)
@pytest.mark.parametrize("name", ["sj-single-step", "sj-multi-step", "snn-sequential", "snn-explicit"])
def test_algorithms_are_ordered_as_is_known(name: str) -> None:
    found = compared(name, T=16, algorithms=sorted(IN_PARTS))
    by, macs = peaks(found), {row.algorithm: row.macs for row in found.rows}
    assert {"as written", "bptt", "checkpointed", "skipper", "tbptt", "sltt", "sltt-k"} <= set(by)
    assert by["sltt"] <= by["tbptt"] < by["bptt"]
    assert by["checkpointed"] < by["bptt"]
    assert by["skipper"] < by["bptt"]
    assert macs["bptt"] == macs["as written"] == macs["tbptt"] == macs["sltt"]
    assert macs["bptt"] < macs["checkpointed"] < 2 * macs["bptt"]
    assert {row.algorithm for row in found.rows if row.exact} >= {"as written", "bptt", "checkpointed"}


@pytest.mark.sampled(every=8)
@pytest.mark.parametrize(
    ("name", "algorithm"),
    [
        *product(
            ["sj-single-step", "sj-multi-step", "snn-sequential", "snn-explicit"], ["bptt", "checkpointed", "tbptt", "sltt"]
        ),
        *product(["sj-catalogue", "sj-catalogue-multi-step"], ["ottt-a", "ottt-o", "replay", "local", "ttl-bptt"]),
        *product(["sj-dense"], ["ottt-dense", "ostl", "approximate-otpe", "otpe"]),
        *product(["snn-leaky"], ["ottt-o", "local"]),
    ],
)
def test_bytes_of_lifted_algorithms_equal_real_tensors(name: str, algorithm: str) -> None:
    (row,) = [row for row in usual(name).rows if row.algorithm == algorithm]
    net = seeded(NETS[name][0])
    with subject(net, "sgd", Real(), FRAME, T, BATCH, "repeat") as it:
        step = training_step(it.net, algorithm, optimizer=it.optimizer, **row.options)
        lifted = step.lifted(x := it.x.expand(T, *it.x.shape))
        real = it.count(lambda watcher: step(x, it.target, watcher), [(lifted, lifted.carried)], lifted.spiking(), step.update)
    assert isinstance(row.cost, Cost)
    assert (row.cost.memory.total, row.cost.macs.dense) == (real.memory.total, real.macs.dense)


def test_peak_of_sltt_does_not_grow_with_time() -> None:
    short, long = (peaks(compared("sj-single-step", T=t, algorithms=["bptt", "sltt"])) for t in (8, 32))
    assert long["sltt"] - short["sltt"] < (long["bptt"] - short["bptt"]) / 100


def test_budget_says_what_fits_and_which_exact_one_is_cheapest() -> None:
    by = peaks(usual("sj-multi-step"))
    some = ("bptt", "checkpointed", "sltt", "otpe")
    found = compared("sj-multi-step", algorithms=some, budget=GIB + (by["checkpointed"] + by["bptt"]) / 2)
    fits = {row.algorithm: found.fits(row) for row in found.rows}
    assert set(fits) == {"as written", *some}
    assert all(isinstance(row.limits, Limits) for row in found.rows if row.cost is not None)
    assert (fits["bptt"], fits["checkpointed"], fits["sltt"], fits["otpe"]) == (False, True, True, None)
    best = found.cheapest_exact()
    assert best is not None
    assert best.algorithm == "checkpointed"


def test_what_does_not_apply_says_why() -> None:
    reasons = {row.algorithm: row.reason for row in usual("sj-multi-step-norm").rows}
    assert "batch norm takes its statistics over all time steps" in reasons["checkpointed"]
    assert "traces" in {row.algorithm: row.reason for row in usual("snn-sequential").rows}["ottt-a"]
    assert "loops over time itself" in {row.algorithm: row.reason for row in usual("sj-loop").rows}["sltt"]


def test_frameworks_own_optimiser_needs_at_least_the_memory_of_the_best_exact_schedule_or_says_why_not() -> None:
    rows = {name: row_of(usual(name), MEMOPT) for name in ("sj-catalogue-multi-step", "sj-single-step", "snn-sequential")}
    counted, bptt = rows["sj-catalogue-multi-step"].cost, peaks(usual("sj-catalogue-multi-step"))["bptt"]
    assert counted is not None
    assert peaks(usual("sj-catalogue-multi-step"))["checkpointed"] <= counted.memory.total < bptt
    assert rows["sj-catalogue-multi-step"].options["level"] == 1
    for name in ("sj-single-step", "snn-sequential"):
        assert "is no multi-step module of SpikingJelly's" in rows[name].reason
    half = compared("sj-catalogue-multi-step", T=4, batch=2, precision="bfloat16", algorithms=[MEMOPT])
    assert "in float32 only" in row_of(half, MEMOPT).reason


def test_options_of_an_algorithm_are_taken() -> None:
    segments = {"checkpointed": {"segments": 2}}
    few, best = compared("snn-sequential", options=segments, algorithms=["checkpointed"]), usual("snn-sequential")
    assert {row.algorithm: row.options for row in few.rows}["checkpointed"] == {"segments": 2}
    assert peaks(few)["checkpointed"] > peaks(best)["checkpointed"]


def row_of(found: Compared, algorithm: str) -> Row:
    (row,) = [row for row in found.rows if row.algorithm == algorithm]
    return row


def limits_of(found: Compared, algorithm: str) -> Limits:
    limits = row_of(found, algorithm).limits
    assert isinstance(limits, Limits), limits
    return limits


@pytest.fixture(scope="module")
def with_budget() -> Compared:
    """A budget within which BPTT takes about ten steps and checkpointed BPTT over a hundred."""
    few = ("bptt", "checkpointed", "skipper", "tbptt")
    return compared("sj-multi-step", T=8, batch=4, budget=GIB + 400_000, algorithms=few)


@pytest.mark.sampled(every=2)
@pytest.mark.parametrize("algorithm", ["as written", "bptt"])
def test_largest_batch_and_T_fit_and_one_more_does_not(with_budget: Compared, algorithm: str) -> None:
    allowed, limits = with_budget.allowed, limits_of(with_budget, algorithm)
    assert allowed is not None
    assert limits.T is not None
    assert limits.batch is not None
    assert (limits.T.basis, limits.batch.basis) == ("counted", "counted")
    for more, fits in ((0, True), (1, False)):
        only = ("bptt",)
        longer = peaks(compared("sj-multi-step", T=limits.T.value + more, batch=4, algorithms=only))[algorithm]
        wider = peaks(compared("sj-multi-step", T=8, batch=limits.batch.value + more, algorithms=only))[algorithm]
        assert (longer <= allowed, wider <= allowed) == (fits, fits)


@pytest.mark.parametrize("algorithm", [pytest.param("checkpointed", marks=pytest.mark.slow), "skipper", "tbptt"])
def test_count_of_an_extrapolated_T_lies_within_its_error_band(with_budget: Compared, algorithm: str) -> None:
    limit, allowed = limits_of(with_budget, algorithm).T, with_budget.allowed
    assert limit is not None
    assert allowed is not None
    assert (limit.basis, limit.checked is not None) == ("extrapolated", True)
    assert 100 < limit.low <= limit.value <= limit.high
    if limit.value < 400:
        setting = Setting(seeded(NETS["sj-multi-step"][0]), FRAME, T, 4, "repeat", "sgd")
        with setting.subject() as it:
            counts = ByAlgorithm(it, algorithm, "float32")
            assert counts.cost(limit.low, 4).memory.total <= allowed * 1.001
            assert counts.cost(limit.high + 1, 4).memory.total > allowed * 0.999


def test_formula_that_is_wrong_widens_the_band() -> None:
    asked = Question(lambda T, batch: 100 * T * batch, T=4, batch=1, allowed=100_000, far=20)
    right, wrong = asked.largest_T(lambda T: 100.0 * T, 16), asked.largest_T(lambda T: 100.0 * T + 20 * T, 16)
    assert (right.low, right.value, right.high, right.error) == (1000, 1000, 1000, 0)
    assert (wrong.low, wrong.value, wrong.high) == (694, 833, 1000)
    assert wrong.error == pytest.approx(0.2)


def test_largest_batch_at_a_long_T_is_affine_in_the_batch() -> None:
    asked = Question(lambda T, batch: 1000 + 10 * T * batch, T=40, batch=2, allowed=50_000, far=20)
    limit = asked.largest_batch()
    assert (limit.value, limit.basis, limit.checked) == (122, "formula", (10, 122))


def test_T_that_is_too_short_for_the_options_does_not_fit() -> None:
    def peak(T: int, batch: int) -> int:
        if T < 3:
            raise UserError("K = 3 of fewer steps")
        return 100 * T

    limit = Question(peak, T=8, batch=1, allowed=250, far=20).largest_T(lambda T: 100.0 * T, 16)
    assert (limit.value, limit.basis) == (0, "counted")


def test_nothing_fits_into_a_budget_below_the_weights() -> None:
    found = compared("sj-multi-step", T=4, batch=2, budget=GIB + 1, algorithms=("bptt", "sltt"))
    assert found.cheapest_exact() is None
    limits = limits_of(found, "sltt")
    assert limits.batch is not None
    assert limits.T is not None
    assert (limits.batch.value, limits.T.value) == (0, 0)


def test_cosine_is_that_of_the_two_gradients() -> None:
    net = seeded(NETS["snn-sequential"][0])
    found = compare(net, FRAME, T=6, batch=4, cosine=(5, 3), algorithms=("bptt", "checkpointed", "sltt"))
    assert found.cosine_at == (5, 3)
    assert row_of(found, "bptt").cosine is None
    assert row_of(found, "checkpointed").cosine is None
    generator = torch.Generator().manual_seed(seed_of("cosine", "samples", 5, 3))
    x = torch.rand(1, 3, *FRAME, generator=generator).expand(5, -1, -1, -1, -1)
    target = torch.randint(CLASSES, (3,), generator=generator)
    gradients = []
    for algorithm in ("bptt", "sltt"):
        net.zero_grad()
        training_step(net, algorithm)(x, target)
        gradients.append(torch.cat([p.grad.flatten().double() for p in net.parameters() if p.grad is not None]))
    one, other = gradients
    assert row_of(found, "sltt").cosine == pytest.approx(float(one @ other / one.norm() / other.norm()), abs=1e-9)


def test_cosine_by_default_is_at_the_full_size_if_time_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cosine, "SECONDS", 1e6)
    found = compare(seeded(NETS["sj-single-step"][0]), FRAME, T=6, batch=4, algorithms=["tbptt"])
    assert found.cosine_at == (6, 4)
    near = row_of(found, "tbptt").cosine
    assert isinstance(near, float)
    assert 0 < near < 1


def test_cosine_in_little_time_or_memory_is_at_a_smaller_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cosine, "SECONDS", 1e6)
    net = seeded(NETS["sj-multi-step"][0])
    peak = peaks(compared("sj-multi-step", T=8, batch=4, algorithms=["bptt"]))["bptt"]
    monkeypatch.setattr(cosine, "BYTES", peak - 1)
    assert compare(net, FRAME, T=8, batch=4, algorithms=["sltt"]).cosine_at == (8, 2)
    monkeypatch.setattr(cosine, "SECONDS", 0.0)
    found = compare(net, FRAME, T=8, batch=4, algorithms=["sltt"])
    assert found.cosine_at == (4, 2)
    assert "0 s were over" in str(row_of(found, "sltt").cosine)
    monkeypatch.setattr(cosine, "BYTES", 1)
    assert "take more than" in str(compare(net, FRAME, T=8, batch=4, algorithms=["sltt"]).cosine_at)


def test_module_without_values_has_no_cosines_and_says_so() -> None:
    with torch.device("meta"):
        net = seeded(NETS["sj-single-step"][0])
    found = compare(net, FRAME, T=4, batch=2, algorithms=["sltt"])
    assert "built without storage" in str(found.cosine_at)
    assert row_of(found, "sltt").cosine is None
    assert row_of(found, "sltt").cost is not None


def test_size_at_which_an_algorithm_cannot_run_is_a_reason() -> None:
    found = compare(seeded(NETS["sj-single-step"][0]), FRAME, T=16, batch=4, cosine=(4, 2), algorithms=["skipper"])
    assert "over the bound" in str(row_of(found, "skipper").cosine)


def test_unknown_algorithm_is_refused_before_anything_is_counted() -> None:
    with pytest.raises(UserError, match="did you mean sltt"):
        compared("sj-single-step", algorithms=["slt"])


@pytest.mark.parametrize("size", ["all", (0, 2), (4,), True])
def test_unknown_size_of_cosines_is_refused(size: Any) -> None:
    with pytest.raises(UserError, match="use 'reduced', 'none', or"):
        compared("sj-single-step", T=4, batch=2, cosine=size)


@pytest.mark.slow
def test_half_precision_takes_less_and_what_needs_values_says_so() -> None:
    some = ("bptt", "checkpointed", "tbptt", "sltt", "skipper", "local")
    full, half = (compared("snn-sequential", T=8, precision=precision, algorithms=some) for precision in ("float32", "bfloat16"))
    for algorithm in ("as written", "bptt", "checkpointed", "tbptt", "sltt", "local"):
        assert peaks(half)[algorithm] < peaks(full)[algorithm]
    assert "need values" in row_of(half, "skipper").reason


def test_module_is_left_as_it_was() -> None:
    net = seeded(NETS["snn-sequential"][0])
    for _ in range(2):
        net(torch.rand(BATCH, *FRAME))
    mem = net[1].mem
    compare(net, FRAME, T=4, batch=BATCH)  # with cosines
    assert net[1].mem is mem
    assert all(parameter.grad is None for parameter in net.parameters())


def test_module_without_neurons_is_refused() -> None:
    with pytest.raises(UserError, match="has no neurons"):
        compare(nn.Linear(3, 3), (3,), T=2, batch=2)


@pytest.mark.slow
def test_command_prints_the_table_or_json(tmp_path: Path) -> None:
    pytest.importorskip("snntorch")
    path = tmp_path / "model.py"
    path.write_text(
        "import snntorch as snn\nfrom torch import nn\n\ndef make():\n"
        "    return nn.Sequential(nn.Linear(9, 5), snn.Leaky(beta=0.9, init_hidden=True))\n",
        encoding="utf-8",
    )
    command = ["compare", f"{path}:make", "--input", "9", "--T", "8", "--batch", "4", "--budget", "2GiB", "--no-cosine"]
    command += [word for name in ("bptt", "checkpointed", "replay") for word in ("--algorithm", name)]
    shown = CliRunner().invoke(main, command, prog_name="spikecost")
    assert shown.exit_code == 0, shown.output
    for words in ("as written", "checkpointed", "does not apply", "fits 1.00 GiB: as written"):
        assert words in shown.output
    rows = json.loads(CliRunner().invoke(main, [*command, "--json"], prog_name="spikecost").output)["rows"]
    assert [row["algorithm"] for row in rows][:3] == ["as written", "bptt", "checkpointed"]
    assert rows[0]["fits"] is True
    assert rows[1]["largest"]["T"]["basis"] in ("counted", "formula", "extrapolated")


@pytest.mark.parametrize("given", [["--budget", "much"], ["--budget", "8TB"], ["--cosine-at", "4"], ["--cosine-at", "0,2"]])
def test_option_that_is_no_size_is_refused_before_anything_is_built(given: list[str]) -> None:
    command = ["compare", "no_such_file.py:make", "--input", "9", "--T", "8", "--batch", "4", *given]
    ended = CliRunner().invoke(main, command, prog_name="spikecost")
    assert ended.exit_code == 1
    assert given[1] in ended.output


@pytest.mark.sampled(every=8)
@pytest.mark.parametrize("name", [name for name in NETS if NETS[name][2] != "frame" or NETS[name][1] != "own loop"])
def test_every_algorithm_of_the_registry_runs_on_a_module_or_says_why_not(name: str) -> None:
    rows = {row.algorithm: row for row in usual(name).rows}
    assert set(rows) == {"as written", MEMOPT, *ALGORITHMS}
    for row in rows.values():
        assert (row.cost is None) == bool(row.reason)
        assert not re.search("Error|assert", row.reason), row.reason  # said in words, not by what failed
    able = {algorithm for algorithm, row in rows.items() if row.cost is not None} - {"as written", MEMOPT}
    assert able & KNOWN == RUNS[name]  # an algorithm that was added may apply too


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("{}", "is a folder: name a file in it"),
        ("{}/mine.txt", "name a file that ends in .html"),
        ("{}/nowhere/mine.html", "there is no folder"),
        ("/proc/mine.html", "cannot be written"),
    ],
)
def test_page_that_cannot_be_written_is_one_sentence_before_anything_is_counted(tmp_path: Path, path: str, words: str) -> None:
    if path.startswith("/proc") and not Path("/proc").is_dir():
        pytest.skip("no /proc, where nobody can write")
    asked = ["compare", "nowhere.py:make", "--input", "9", "--T", "8", "--batch", "4", "--html", path.format(tmp_path)]
    shown = CliRunner().invoke(main, asked, prog_name="spikecost")
    assert shown.exit_code == 1
    assert words in shown.output
    assert "nowhere.py" not in shown.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.sampled(every=3)
@pytest.mark.parametrize("name", ["sj-catalogue-multi-step", "snn-leaky"])
@pytest.mark.parametrize("algorithm", [AS_WRITTEN, "checkpointed", "skipper", "replay", "sltt-k", "ottt-a", "ttl-bptt"])
def test_peak_for_every_batch_is_exact_to_the_byte(name: str, algorithm: str) -> None:
    if (name, algorithm) == ("snn-leaky", "replay"):
        pytest.skip("replay does not run snnTorch's neurons backwards")
    setting = Setting(seeded(NETS[name][0]), FRAME, 6, 4, "repeat", "sgd")
    with setting.subject() as it:
        counting = OfEveryBatch(it, algorithm, "float32", {"k": 2} if algorithm == "sltt-k" else {})
        peak = counting.peak(6)
        assert {B: peak(B) for B in (32, 4096)} == {B: counting.cost(6, B).memory.total for B in (32, 4096)}
