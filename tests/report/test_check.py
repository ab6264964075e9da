"""Every generated file is what the results make it; `spikecost report --check` names those that are not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

import bench.cli as cli
from bench import report
from bench.commands import reporting
from bench.places import CODE as ROOT
from bench.places import Project
from tests.report.reading import csv_rows, first, read, replaced, trusting, write

OUT_OF_STEP = "generated files do not match results/: run `spikecost report`"


def check(root: Path) -> list[str]:
    return report.check(read(root))


@pytest.mark.usefixtures("written", "draws_once")
def test_generated_files_of_the_repository_match_its_results() -> None:
    found = report.read(Project(ROOT, ROOT / "results"), reporting.fresh)
    assert report.check(found) == [], OUT_OF_STEP
    assert found.left_out == []


@pytest.mark.usefixtures("draws_once")
def test_writing_the_report_again_changes_no_file(written: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in written.rglob("*") if path.is_file()}
    assert write(written) == []
    assert {path: path.stat().st_mtime_ns for path in written.rglob("*") if path.is_file()} == before


def test_report_imports_no_torch(written: Path, drawn: Path) -> None:
    imported = json.loads((drawn / "imported.json").read_text(encoding="utf-8"))
    assert imported["before"] == []
    assert "torch" not in imported["after"]
    assert "matplotlib" in imported["after"]
    assert (written / "results" / "ledger.csv").stat().st_size > 0
    assert (written / "plots" / "index.html").exists()


def checked(root: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[str]]:
    """Exit status and lines of ``spikecost report --check`` in ``root``."""
    monkeypatch.setattr(reporting, "fresh", trusting)
    ended = CliRunner().invoke(cli.main, ["report", "--check", "--project", str(root)])
    return ended.exit_code, ended.output.splitlines()


@pytest.mark.slow
def test_check_ignores_text_outside_of_generated_blocks(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced(copy / "README.md", "# spikecost", "# spikecost, by another name")
    assert checked(copy, monkeypatch) == (0, ["every generated file matches results/"])


def test_check_fails_if_a_verdict_was_edited(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced(copy / "reproductions" / "ottt" / "README.md", "| reproduced | The VGG (sWS)", "| partly | The VGG (sWS)")
    assert checked(copy, monkeypatch) == (1, ["reproductions/ottt/README.md", f"Error: {OUT_OF_STEP}"])


CHANGED_BY_HAND = {  # file: what somebody put in the place of what
    "README.md": ("| exact |", "| approximate |"),
    "reproductions/ottt/README.md": ("not attempted |", "reproduced |"),
    "reproductions/skipper/README.md": ("not attempted |", "reproduced |"),
    "results/ledger.csv": (",reproduced,", ",partly,"),
    "results/cost.csv": ("bptt", "sltt"),
    "plots/index.html": ("9,228,362", "9,228,363"),
    "plots/ottt/memory_against_T.svg": ("<path", "<path "),
    "plots/ottt/memory_against_T.json": ("1", "2"),
}
GONE = ("plots/ottt/step_macs.svg", "plots/skipper/step_macs.json")
FORMER = "plots/ottt/once_upon_a_time.svg"  # of a figure that is no longer drawn
OWN = "plots/ottt/my_own.svg"  # somebody's own


@pytest.mark.slow
def test_check_names_edited_missing_and_obsolete_files_and_report_restores_them(written: Path, copy: Path) -> None:
    for file, (old, new) in CHANGED_BY_HAND.items():
        replaced(copy / file, old, new)
    for file in GONE:
        (copy / file).unlink()
    for file in (FORMER, OWN):
        (copy / file).write_text("<svg/>")
    replaced(copy / "plots/index.html", "</body>", '<img src="ottt/once_upon_a_time.svg"></body>')
    assert sorted(check(copy)) == sorted([*CHANGED_BY_HAND, *GONE, FORMER])
    changed = write(copy)
    assert sorted(changed) == sorted(copy / file for file in (*CHANGED_BY_HAND, *GONE))
    assert not (copy / FORMER).exists()
    assert (copy / OWN).read_text() == "<svg/>"
    for file in (*CHANGED_BY_HAND, *GONE):
        assert (copy / file).read_bytes() == (written / file).read_bytes()


@pytest.mark.slow
def test_removed_record_changes_ledger_and_pages(copy: Path) -> None:
    """The parameters of the VGG for CIFAR-10 were counted in this record alone: its claim loses its evidence."""
    for path in (copy / "results" / "runs").glob("*/ottt.jsonl"):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if not _is_parameters_of(line, "vgg-sws/cifar10")]
        assert len(kept) < len(lines)
        path.write_text("".join(kept), encoding="utf-8")
    changed = write(copy)
    wrong = ("results/ledger.csv", "README.md", "reproductions/ottt/README.md", "plots/index.html")
    assert {copy / file for file in wrong} <= set(changed)
    (claim,) = [row for row in csv_rows(copy / "results" / "ledger.csv") if row["claim"] == "parameters-vgg-cifar10"]
    assert claim["verdict"] == "not attempted"


def _is_parameters_of(line: str, network: str) -> bool:
    record = json.loads(line)
    return (record["metric"], record["case"]["network"]) == ("parameters", network)


def conflict(root: Path) -> tuple[Path, int]:
    path = first(root)
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join([*lines[:4], "<<<<<<< HEAD\n", *lines[4:]]), encoding="utf-8")
    return path, 5


def cut(root: Path) -> tuple[Path, int]:
    path = first(root)
    contents = path.read_bytes()
    path.write_bytes(contents[:-40])
    return path, contents.count(b"\n")


def forged(root: Path) -> tuple[Path, int]:
    path = first(root)
    replaced(path, '"key":"ottt/', '"key":"ottt/forged/')
    return path, 1


def machine_cut(root: Path) -> tuple[Path, int]:
    path = root / "results" / "machines" / f"{first(root).parent.name}.json"
    text = path.read_text(encoding="utf-8")[:-20]
    path.write_text(text, encoding="utf-8")
    return path, text.count("\n") + 1


@pytest.mark.parametrize("damage", [conflict, cut, forged, machine_cut], ids=lambda damage: damage.__name__)
def test_check_fails_for_damaged_records_and_names_file_and_line(
    few: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], tuple[Path, int]]
) -> None:
    path, line = damage(few)
    code, lines = checked(few, monkeypatch)
    assert code == 1
    assert any(said.startswith(f"warning: {path}, line {line}") for said in lines), lines
    assert "were left out, see above" in lines[-1]
    ended = CliRunner().invoke(cli.main, ["report", "--project", str(few)])
    assert ended.exit_code == 0
    assert re.search(r"\d+ warnings?: the verdicts above do not use every record", ended.output)
    planned = CliRunner().invoke(cli.main, ["plan", "ottt", "--scale", "smoke", "--project", str(few)])
    assert f"warning: {path}, line {line}" in planned.output
