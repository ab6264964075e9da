"""What is shown is what was measured: every generated file is what the results make it, and README says what the ledger says."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

import bench.cli as cli
from bench import report
from bench.plan import ROOT

OUT_OF_STEP = "generated files are out of step with results/: run `make report`"
DECIDED = {"reproduced", "partly", "not reproduced", "stale"}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what people wrote and machines measured, with everything else generated anew."""
    root = tmp_path_factory.mktemp("written")
    shutil.copy(ROOT / "README.md", root)
    shutil.copytree(ROOT / "reproductions", root / "reproductions", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("runs", "machines"):
        shutil.copytree(ROOT / "results" / folder, root / "results" / folder, ignore=shutil.ignore_patterns("*.lock"))
    assert report.write(root, cli.fresh)
    return root


@pytest.fixture
def copy(written: Path, tmp_path: Path) -> Path:
    """``written`` once more, to be spoilt."""
    return shutil.copytree(written, tmp_path / "copy")


def replaced(path: Path, old: str, new: str) -> None:
    """Put ``new`` in the place of the first ``old``."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


# --------------------------------------------------------------------------- the repository itself


def test_every_generated_file_of_the_repository_is_in_step_with_its_results() -> None:
    assert report.check(ROOT, cli.fresh) == [], OUT_OF_STEP


# --------------------------------------------------------------------------- a copy that is put out of step


def test_writing_again_changes_nothing(written: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in written.rglob("*") if path.is_file()}
    assert report.write(written, cli.fresh) == []
    assert report.check(written, cli.fresh) == []
    assert {path: path.stat().st_mtime_ns for path in written.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("README.md", "| reproduced | The VGG (sWS) for CIFAR-10 ", "| not reproduced | The VGG (sWS) for CIFAR-10 "),
        ("README.md", "9,228,362", "9,228,363"),
        ("reproductions/ottt/README.md", "not attempted |", "reproduced |"),
        ("results/ledger.csv", ",reproduced,", ",partly,"),
        ("results/cost.csv", "bptt", "sltt"),
        ("plots/index.html", "9,228,362", "9,228,363"),
        ("plots/ottt/memory_against_T.svg", "<path", "<path "),
        ("plots/ottt/memory_against_T.json", "1", "2"),
    ],
)
def test_a_file_that_was_changed_by_hand_is_named(copy: Path, file: str, old: str, new: str) -> None:
    replaced(copy / file, old, new)
    assert report.check(copy, cli.fresh) == [file]


def test_a_verdict_changed_by_hand_fails_the_command(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "ROOT", copy)
    in_step = CliRunner().invoke(cli.main, ["report", "--check"])
    assert (in_step.exit_code, in_step.output) == (0, "every generated file is in step with results/\n")
    replaced(copy / "README.md", "| reproduced | The VGG (sWS)", "| partly | The VGG (sWS)")
    out_of_step = CliRunner().invoke(cli.main, ["report", "--check"])
    assert out_of_step.exit_code == 1
    assert out_of_step.output.splitlines() == ["README.md", f"Error: {OUT_OF_STEP}"]


def test_prose_around_the_generated_blocks_is_free(copy: Path) -> None:
    replaced(copy / "README.md", "# spikecost", "# spikecost, by another name")
    assert report.check(copy, cli.fresh) == []


def test_a_record_that_was_removed_puts_the_ledger_out_of_step(copy: Path) -> None:
    """The parameters of the VGG for CIFAR-10 were counted in this record alone: its claim loses its evidence."""
    for path in (copy / "results" / "runs").glob("*/ottt.jsonl"):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if not _is_parameters_of(line, "vgg-sws/cifar10")]
        assert len(kept) < len(lines)
        path.write_text("".join(kept), encoding="utf-8")
    wrong = report.check(copy, cli.fresh)
    assert {"results/ledger.csv", "README.md", "reproductions/ottt/README.md", "plots/index.html"} <= set(wrong)
    report.write(copy, cli.fresh)
    (claim,) = [row for row in _csv(copy / "results" / "ledger.csv") if row["claim"] == "parameters-vgg-cifar10"]
    assert claim["verdict"] == "not attempted"


def test_a_figure_that_nothing_made_is_named_and_taken_away(copy: Path) -> None:
    stray = copy / "plots" / "ottt" / "once_upon_a_time.svg"
    stray.write_text("<svg/>")
    assert report.check(copy, cli.fresh) == ["plots/ottt/once_upon_a_time.svg"]
    assert report.write(copy, cli.fresh) == []
    assert not stray.exists()


def test_a_file_that_is_gone_is_named_and_made_again(copy: Path) -> None:
    gone = copy / "plots" / "index.html"
    before = gone.read_bytes()
    gone.unlink()
    assert report.check(copy, cli.fresh) == ["plots/index.html"]
    assert report.write(copy, cli.fresh) == [gone]
    assert gone.read_bytes() == before


def _is_parameters_of(line: str, network: str) -> bool:
    record = json.loads(line)
    return record["metric"] == "parameters" and record["case"]["network"] == network


# --------------------------------------------------------------------------- the tables, read as a person reads them


def test_readme_counts_as_the_ledger_does(written: Path) -> None:
    verdicts = _csv(written / "results" / "ledger.csv")
    table = _tables(written / "README.md", "verdicts")[0]
    papers = {row["paper"] for row in verdicts}
    assert len(table) == len(papers) > 0
    for row in table:
        paper = re.sub(r"\[(\w+)\]\(.*\)", r"\1", row.pop("paper"))
        of_paper = Counter(claim["verdict"] for claim in verdicts if claim["paper"] == paper)
        assert int(row.pop("claims")) == of_paper.total()
        assert {name: int(count) for name, count in row.items() if int(count)} == of_paper


def test_readme_tells_every_decided_claim_as_the_ledger_does(written: Path) -> None:
    decided = [row for row in _csv(written / "results" / "ledger.csv") if row["verdict"] in DECIDED]
    table = _tables(written / "README.md", "verdicts")[1]
    assert len(decided) > 5
    assert [row["claim"] for row in table] == [row["statement"] for row in decided]
    for shown, judged in zip(table, decided, strict=True):
        assert shown["verdict"] == judged["verdict"]
        assert shown["reported"] == judged["printed"]
        assert _same(shown["measured"], judged["measured"]), (shown["measured"], judged["measured"])


def test_a_papers_page_tells_every_claim_as_the_ledger_does(written: Path) -> None:
    ledger = _csv(written / "results" / "ledger.csv")
    for page in (written / "reproductions").glob("*/README.md"):
        judged = {row["statement"]: row for row in ledger if row["paper"] == page.parent.name}
        shown = [row for table in _tables(page, "claims") for row in table]
        assert len(shown) == len(judged)
        for row in shown:
            claim = judged[row["claim"]]
            assert (row["verdict"], row["reported"], row["why"]) == (claim["verdict"], claim["printed"], claim["reason"])
            assert _same(row["measured"], claim["measured"]), (row["measured"], claim["measured"])


def test_readme_shows_costs_of_the_cost_table(written: Path) -> None:
    """Every row shown is a row of the table, rounded; and all of its network, T and batch are shown."""
    block = _block(written / "README.md", "cost")
    caption = re.search(r"^(\S+), T = (\d+), batch (\d+), one training step:$", block, re.MULTILINE)
    assert caption
    network, T, batch = caption.groups()
    rows = [
        row for row in _csv(written / "results" / "cost.csv") if (row["network"], row["T"], row["batch"]) == (network, T, batch)
    ]
    (shown,) = _tables(written / "README.md", "cost")
    assert len(rows) == len(shown) > 4
    exact = {
        "peak live": "peak live bytes",
        "10¹² MACs": "step MACs",
        "of these multiplications": "step multiplications",
        "traffic": "traffic bytes",
    }
    for line in shown:
        fitting = [row for row in rows if all(_rounds_to(int(row[name]), line[title]) for title, name in exact.items())]
        assert fitting, line


def test_numbers_that_differ_are_seen_to_differ() -> None:
    """The comparisons above can say no."""
    assert _same("434 MiB (454,562,816 B)", "454562816")
    assert not _same("434 MiB (454,562,816 B)", "454562817")
    assert _same("9,228,362", "9228362")
    assert not _same("9,228,362", "9228363")
    assert _same("63.21 %", "63.2123")
    assert not _same("63.21 %", "63.2223")
    assert _same("–", "")
    assert not _same("–", "0")
    assert _same("0; 0", "0; 0")
    assert not _same("0; 0", "0; 8")
    assert _rounds_to(2 * 2**30, "2 GiB")
    assert not _rounds_to(2 * 2**30, "2.01 GiB")
    assert not _rounds_to(1_000_000_000_000, "1.001")


def _csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _block(page: Path, name: str) -> str:
    return page.read_text(encoding="utf-8").split(f"<!-- generated: {name} -->")[1].split("<!-- end -->")[0]


def _tables(page: Path, name: str) -> list[list[dict[str, str]]]:
    """Every table of a generated block, as rows by column title."""
    tables = []
    for lines in re.findall(r"(?:^\|.*\n)+", _block(page, name), re.MULTILINE):
        titles, rule, *rows = [_cells(line) for line in lines.splitlines()]
        assert all(set(cell) <= set(":-") for cell in rule)
        tables.append([dict(zip(titles, row, strict=True)) for row in rows])
    return tables


def _cells(line: str) -> list[str]:
    return [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def _same(shown: str, ledger: str) -> bool:
    """Whether a number as people read it is the ledger's: whole numbers exactly, others to the four digits shown."""
    if not ledger:
        return shown == "–"
    in_bytes = re.search(r"([\d,]+) B\)?$", shown)
    number = (in_bytes[1] if in_bytes else shown.split(" ")[0]).replace(",", "")
    try:
        wanted = float(ledger)
    except ValueError:
        return shown == ledger
    if float(number) == wanted:
        return True
    return "." in number and abs(float(number) - wanted) <= 0.51 * 10.0 ** -len(number.partition(".")[2])


def _rounds_to(value: int, shown: str) -> bool:
    """Whether ``shown``, a number of GiB, MiB or 10¹², is ``value`` to the digits that it has."""
    number, _, unit = shown.partition(" ")
    scale = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10, "": 1e12}[unit]
    return abs(float(number) - value / scale) <= 0.5 * 10.0 ** -len(number.partition(".")[2])
