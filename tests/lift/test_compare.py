"""A comparison of algorithms on a user's network: counted as they run, in the order that is known, with reasons for the rest."""

from __future__ import annotations

import json
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import nn

from bench.cli import main
from bench.counting.any_step import Cost
from bench.errors import UserError
from bench.lift.compare import Compared, compare
from bench.lift.subject import subject
from bench.lift.training import training_step
from bench.lift.twin import Real
from bench.registry import ALGORITHMS

sys.path.insert(0, str(Path(__file__).parent))
from nets import FRAME, NETS, STEPS, seeded

T, BATCH = 16, 8
GIB = 2**30
IN_PARTS = {"bptt", "checkpointed", "skipper", "tbptt", "sltt", "sltt-k"}
BLOCKS, ONLINE, DENSE = {"local", "ttl-bptt"}, {"ottt-a", "ottt-o"}, {"ottt-dense", "ostl", "otpe", "approximate-otpe"}
RUNS = {  # what applies to each network of nets.py
    "sj-single-step": IN_PARTS | BLOCKS,
    "sj-multi-step": IN_PARTS | BLOCKS,
    "sj-multi-step-norm": {"bptt", "local"},
    "sj-catalogue": IN_PARTS | BLOCKS | ONLINE | {"replay"},
    "sj-catalogue-multi-step": IN_PARTS | BLOCKS | ONLINE | {"replay"},
    "sj-dense": set(ALGORITHMS),
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
def compared(name: str) -> Compared:
    return compared_with(name)


def compared_with(name: str, **options: Any) -> Compared:
    return compare(seeded(NETS[name][0]), FRAME, T=STEPS if name == "sj-repeats" else T, batch=BATCH, **options)


def peaks(found: Compared) -> dict[str, int]:
    return {row.algorithm: row.cost.memory.total for row in found.rows if row.cost is not None}


@pytest.mark.parametrize("name", ["sj-single-step", "sj-multi-step", "snn-sequential", "snn-explicit"])
def test_algorithms_are_ordered_as_is_known(name: str) -> None:
    found = compared(name)
    by, macs = peaks(found), {row.algorithm: row.macs for row in found.rows}
    assert {"as written", "bptt", "checkpointed", "skipper", "tbptt", "sltt", "sltt-k"} <= set(by)
    assert by["sltt"] <= by["tbptt"] < by["bptt"]
    assert by["checkpointed"] < by["bptt"]
    assert by["skipper"] < by["bptt"]
    assert macs["bptt"] == macs["as written"] == macs["tbptt"] == macs["sltt"]
    assert macs["bptt"] < macs["checkpointed"] < 2 * macs["bptt"]
    assert {row.algorithm for row in found.rows if row.exact} >= {"as written", "bptt", "checkpointed"}


@pytest.mark.parametrize("name", ["sj-single-step", "sj-multi-step", "snn-sequential", "snn-explicit"])
@pytest.mark.parametrize("algorithm", ["bptt", "checkpointed", "tbptt", "sltt"])
def test_bytes_of_lifted_algorithms_equal_real_tensors(name: str, algorithm: str) -> None:
    (row,) = [row for row in compared(name).rows if row.algorithm == algorithm]
    net = seeded(NETS[name][0])
    with subject(net, "sgd", Real(), FRAME, T, BATCH, "repeat") as it:
        step = training_step(it.net, algorithm, optimizer=it.optimizer, **row.options)
        lifted = step.lifted(x := it.x.expand(T, *it.x.shape))
        real = it.count(lambda watcher: step(x, it.target, watcher), [(lifted, lifted.carried)])
    assert isinstance(row.cost, Cost)
    assert (row.cost.memory.total, row.cost.macs.dense) == (real.memory.total, real.macs.dense)


def test_peak_of_sltt_does_not_grow_with_time() -> None:
    short, long = (peaks(compare(seeded(NETS["sj-single-step"][0]), FRAME, T=t, batch=BATCH)) for t in (8, 32))
    assert long["sltt"] - short["sltt"] < (long["bptt"] - short["bptt"]) / 100


def test_budget_says_what_fits_and_which_exact_one_is_cheapest() -> None:
    by = peaks(compared("sj-single-step"))
    found = compared_with("sj-single-step", budget=GIB + (by["checkpointed"] + by["bptt"]) / 2)
    fits = {row.algorithm: found.fits(row) for row in found.rows}
    assert (fits["bptt"], fits["checkpointed"], fits["sltt"], fits["otpe"]) == (False, True, True, None)
    best = found.cheapest_exact()
    assert best is not None
    assert best.algorithm == "checkpointed"
    assert compared_with("sj-single-step", budget=GIB + 1).cheapest_exact() is None


def test_what_does_not_apply_says_why() -> None:
    reasons = {row.algorithm: row.reason for row in compared("sj-multi-step-norm").rows}
    assert "batch norm takes its statistics over all time steps" in reasons["checkpointed"]
    assert "traces" in {row.algorithm: row.reason for row in compared("snn-sequential").rows}["ottt-a"]
    assert "loops over time itself" in {row.algorithm: row.reason for row in compared("sj-loop").rows}["sltt"]


def test_options_of_an_algorithm_are_taken() -> None:
    few, best = compared_with("snn-sequential", options={"checkpointed": {"segments": 2}}), compared("snn-sequential")
    assert {row.algorithm: row.options for row in few.rows}["checkpointed"] == {"segments": 2}
    assert peaks(few)["checkpointed"] > peaks(best)["checkpointed"]


def test_module_is_left_as_it_was() -> None:
    net = seeded(NETS["snn-sequential"][0])
    for _ in range(2):
        net(torch.rand(BATCH, *FRAME))
    mem = net[1].mem
    compare(net, FRAME, T=T, batch=BATCH)
    assert net[1].mem is mem
    assert all(parameter.grad is None for parameter in net.parameters())


def test_module_without_neurons_is_refused() -> None:
    with pytest.raises(UserError, match="has no neurons"):
        compare(nn.Linear(3, 3), (3,), T=2, batch=2)


def test_command_prints_the_table_or_json(tmp_path: Path) -> None:
    pytest.importorskip("snntorch")
    path = tmp_path / "model.py"
    path.write_text(
        "import snntorch as snn\nfrom torch import nn\n\ndef make():\n"
        "    return nn.Sequential(nn.Linear(9, 5), snn.Leaky(beta=0.9, init_hidden=True))\n",
        encoding="utf-8",
    )
    command = ["compare", f"{path}:make", "--input", "9", "--T", "8", "--batch", "4", "--budget", "2"]
    shown = CliRunner().invoke(main, command, prog_name="spikecost")
    assert shown.exit_code == 0, shown.output
    for words in ("as written", "checkpointed", "does not apply", "fits 1.00 GiB: as written"):
        assert words in shown.output
    rows = json.loads(CliRunner().invoke(main, [*command, "--json"], prog_name="spikecost").output)["rows"]
    assert [row["algorithm"] for row in rows][:3] == ["as written", "bptt", "checkpointed"]
    assert rows[0]["fits"] is True


@pytest.mark.parametrize("name", [name for name in NETS if NETS[name][2] != "frame" or NETS[name][1] != "own loop"])
def test_every_algorithm_of_the_registry_runs_on_a_module_or_says_why_not(name: str) -> None:
    rows = {row.algorithm: row for row in compared(name).rows}
    assert set(rows) == {"as written", *ALGORITHMS}
    for row in rows.values():
        assert (row.cost is None) == bool(row.reason)
        assert not re.search("Error|assert", row.reason), row.reason  # said in words, not by what failed
    able = {algorithm for algorithm, row in rows.items() if row.cost is not None} - {"as written"}
    assert able == RUNS[name]
