"""The page of the zoo follows from its results, and a run of the zoo continues where it was stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import bench.cli as cli
from bench.errors import UserError
from bench.lift.zoo.page import PAGE, RESULTS, page
from bench.places import CODE, Project
from bench.runner import zoo
from bench.runner.zoo import Zoo, run


def line(network: str) -> dict[str, Any]:
    """A network with one algorithm that applies and one that does not."""
    written = {"algorithm": "as written", "options": {}, "exact": True, "peak": 2**31, "macs": 1000, "seconds": 0.5}
    rows = [
        written,
        written | {"algorithm": "checkpointed", "options": {"segments": 2}, "peak": 2**30, "macs": 1500},
        {"algorithm": "sltt", "options": {}, "exact": False, "reason": "Net.bn1: batch norm takes its statistics over all"},
    ]
    cost = {
        "network": network, "frame": [3, 32, 32], "T": 4, "parameters": 1000, "kernels": ["SpikingJelly's neurons, one a layer"],
        "bound": {"weights": 1024, "input": 4096, "norm": 2048, "layer": "bn1", "total": 7168},
        "rows": rows, "seconds": {"build": 0.1, "measure": 0.2, "compare": 1.0}, "resident": 2**29,
        "commit": "abc", "machine": "m", "versions": {"torch": "2"}, "when": "2026-01-01T00:00:00",
    }  # fmt: skip
    checks = {
        "gradients": {"outcome": "equal"},
        "bytes": {"outcome": "equal"},
        "tracker": {"outcome": "differs", "words": "by +8 B"},
    }
    return {"network": network, "cost": cost, "checks": checks}


def test_page_in_docs_is_made_from_the_results() -> None:
    lines = list(Zoo(CODE / "results" / RESULTS).lines().values())
    assert (CODE / "docs" / PAGE).read_text(encoding="utf-8") == page(lines), "run `spikecost zoo --page`"


def test_page_shows_rows_checks_and_reasons() -> None:
    shown = page([line("a/s"), line("b/s")])
    assert "| a/s | checkpointed BPTT | segments = 2 | 1.00 | 50.0 % | 1.5e+03 | 1.50 | yes | 0.50 |" in shown
    assert "| SLTT | batch norm takes its statistics over all | all 2 |" in shown
    assert "2 differs" in shown
    assert "a/s, b/s: by +8 B" in shown
    assert "all under 5 s" in shown
    assert "| a/s | 3 x 32 x 32 | 4 | 1,000 | one a layer | 2.00 GiB | 1.00 KiB | 2.00 KiB | 4.00 KiB | input | equal |" in shown


def test_page_names_what_took_too_long_and_what_failed() -> None:
    slow = line("a/s")
    slow["cost"]["seconds"]["measure"], slow["cost"]["resident"] = 6.0, 3 * 2**30
    slow["checks"] = {"failed": "MemoryError"}
    shown = page([slow])
    assert "over 5 s: a/s" in shown
    assert "over 2 GiB: a/s" in shown
    assert "- a/s, checks: MemoryError" in shown


def test_page_without_measurements_is_refused() -> None:
    with pytest.raises(UserError, match="run `make zoo`"):
        page([])


def test_run_continues_and_measures_failures_and_changed_code_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def alone(part: str, network: str) -> dict[str, Any]:
        asked.append((part, network))
        return {"failed": "no memory"} if network == "b" else {"network": network}

    monkeypatch.setattr(zoo, "run_alone", alone)
    monkeypatch.setattr(zoo, "code_of", lambda part: f"code of {part}")
    project, names = Project(tmp_path, tmp_path / "results"), ["a", "b"]
    assert list(run(project, {"cost": names}, "", again=False)) == [("a", "cost", "done"), ("b", "cost", "no memory")]
    assert list(run(project, {"cost": names}, "", again=False)) == [("b", "cost", "no memory")]
    assert [part for _, part, _ in run(project, {"cost": names, "checks": names}, "a", again=False)] == ["checks"]
    monkeypatch.setattr(zoo, "code_of", lambda part: "changed")
    assert len(list(run(project, {"cost": names}, "a", again=False))) == 1
    assert asked == [("cost", "a"), ("cost", "b"), ("cost", "b"), ("checks", "a"), ("cost", "a")]
    assert [json.loads(each)["network"] for each in (project.results / RESULTS).read_text().splitlines()] == names


def test_only_without_a_match_names_the_networks(tmp_path: Path) -> None:
    ended = CliRunner().invoke(cli.main, ["zoo", "--only", "(", "--project", str(CODE), "--results", str(tmp_path)])
    assert (ended.exit_code, "--only '(' matches no network; there are " in ended.output) == (1, True)


def test_damaged_results_are_refused(tmp_path: Path) -> None:
    (tmp_path / RESULTS).write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"is damaged .* take the committed one"):
        Zoo(tmp_path / RESULTS).lines()
