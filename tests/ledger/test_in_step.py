"""What is shown is what was measured: every generated file is what the results make it, and README says what the ledger says."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

import bench.cli as cli
from bench import figures, front, report
from bench.errors import UserError
from bench.places import CODE as ROOT
from bench.places import Project
from bench.record import Record
from bench.report import Report

OUT_OF_STEP = "generated files do not match results/: run `spikecost report`"
DECIDED = set(report.DECIDED)


def trusting(_: Record) -> bool:
    """In the copies every record counts, whichever code made it: they are about files, not about code."""
    return True


def read(root: Path) -> Report:
    return report.read(Project(root, root / "results"), trusting)


def write(root: Path) -> list[Path]:
    return report.write(read(root))


def check(root: Path) -> list[str]:
    return report.check(read(root))


_DRAWN: dict[str, str] = {}  # by figure and data


def drawn_once(figure: ModuleType) -> SimpleNamespace:
    """A figure that draws the same data once; that it draws them alike is tested with the real ones."""

    def render(data: Mapping[str, Any]) -> str:
        known = figure.name + json.dumps(data, sort_keys=True)
        if known not in _DRAWN:
            _DRAWN[known] = figure.render(data)
        return _DRAWN[known]

    return SimpleNamespace(name=figure.name, data=figure.data, render=render)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what people wrote and machines measured, with everything else generated anew."""
    root = tmp_path_factory.mktemp("written")
    shutil.copy(ROOT / "README.md", root)
    shutil.copytree(ROOT / "reproductions", root / "reproductions", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("runs", "machines"):
        shutil.copytree(ROOT / "results" / folder, root / "results" / folder, ignore=shutil.ignore_patterns("*.lock"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "FIGURES", tuple(map(drawn_once, figures.FIGURES)))
        assert write(root)
    return root


@pytest.fixture
def copy(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``written`` once more, to be spoilt."""
    monkeypatch.setattr(figures, "FIGURES", tuple(map(drawn_once, figures.FIGURES)))
    return shutil.copytree(written, tmp_path / "copy")


def replaced(path: Path, old: str, new: str) -> None:
    """Put ``new`` in the place of the first ``old``."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


# --------------------------------------------------------------------------- the repository itself


def test_generated_files_of_the_repository_match_its_results() -> None:
    found = report.read(Project(ROOT, ROOT / "results"), cli.fresh)
    assert report.check(found) == [], OUT_OF_STEP
    assert found.left_out == []


# --------------------------------------------------------------------------- a copy that is put out of step


def test_writing_the_report_again_changes_no_file(written: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in written.rglob("*") if path.is_file()}
    assert write(written) == []
    assert {path: path.stat().st_mtime_ns for path in written.rglob("*") if path.is_file()} == before


def told(root: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[str]]:
    """Exit status and lines of ``spikecost report --check`` in ``root``."""
    monkeypatch.setattr(cli, "fresh", trusting)
    ended = CliRunner().invoke(cli.main, ["report", "--check", "--project", str(root)])
    return ended.exit_code, ended.output.splitlines()


def test_check_ignores_text_outside_of_generated_blocks(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced(copy / "README.md", "# spikecost", "# spikecost, by another name")
    assert told(copy, monkeypatch) == (0, ["every generated file matches results/"])


def test_check_fails_if_a_verdict_was_edited(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced(copy / "reproductions" / "ottt" / "README.md", "| reproduced | The VGG (sWS)", "| partly | The VGG (sWS)")
    assert told(copy, monkeypatch) == (1, ["reproductions/ottt/README.md", f"Error: {OUT_OF_STEP}"])


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
    (claim,) = [row for row in _csv(copy / "results" / "ledger.csv") if row["claim"] == "parameters-vgg-cifar10"]
    assert claim["verdict"] == "not attempted"


def _is_parameters_of(line: str, network: str) -> bool:
    record = json.loads(line)
    return (record["metric"], record["case"]["network"]) == ("parameters", network)


# --------------------------------------------------------------------------- less than what is stored


@pytest.fixture
def few(copy: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``copy`` with the parameter counts of one paper alone, and nothing drawn: quickly read."""
    monkeypatch.setattr(figures, "FIGURES", ())
    for paper in (copy / "reproductions").glob("*/paper.toml"):
        if paper.parent.name != "ottt":
            shutil.rmtree(paper.parent)
    lines = first(copy).read_text(encoding="utf-8").splitlines(keepends=True)
    first(copy).write_text("".join(line for line in lines if '"probe":"count"' in line), encoding="utf-8")
    return copy


def first(root: Path) -> Path:
    return next((root / "results" / "runs").glob("*/ottt.jsonl"))


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
    code, lines = told(few, monkeypatch)
    assert code == 1
    assert any(said.startswith(f"warning: {path}, line {line}") for said in lines), lines
    assert "were left out, see above" in lines[-1]
    ended = CliRunner().invoke(cli.main, ["report", "--project", str(few)])
    assert ended.exit_code == 0
    assert re.search(r"\d+ warnings?: the verdicts above do not use every record", ended.output)
    planned = CliRunner().invoke(cli.main, ["plan", "ottt", "--scale", "smoke", "--project", str(few)])
    assert f"warning: {path}, line {line}" in planned.output


# --------------------------------------------------------------------------- markers

END = "<!-- end -->\n"
START = "<!-- generated: {name} -->\n"
UNPAIRED = {  # what is put in place of what, with the name of the page's first block; and what is said
    "an end without a start": (END + START, START, "ends nothing"),
    "a start inside a block": (START + START, START, "starts inside the one of line"),
    "no end": ("", END, "starts inside the one of line"),
    "an unknown name": ("<!-- generated: {name}x -->\n", START, "unknown generated block '{name}x': did you mean {name}?"),
    "a start that is none": ("<!-- generated:{name} -->\n", START, "is no marker"),
    "an end that is none": ("<!--end-->\n", END, "is no marker"),
}


@pytest.mark.parametrize("spoilt", UNPAIRED)
@pytest.mark.parametrize(("page", "name"), [("README.md", "front"), ("reproductions/ottt/README.md", "cost")])
def test_unpaired_markers_are_rejected_with_file_and_line(copy: Path, page: str, name: str, spoilt: str) -> None:
    new, old, said = (text.replace("{name}", name) for text in UNPAIRED[spoilt])
    replaced(copy / page, old, new)
    with pytest.raises(UserError, match=rf"{page}, line \d+: .*{re.escape(said)}"):
        report.blocks_of(copy / page)


def test_report_writes_nothing_if_the_last_block_has_no_end(copy: Path) -> None:
    page = copy / "README.md"
    head, _, tail = page.read_text(encoding="utf-8").rpartition(END)
    page.write_text(head + tail, encoding="utf-8")
    (copy / "results" / "ledger.csv").write_text("to be written anew")
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=r"README\.md, line \d+: the block 'verdicts' has no end: put '<!-- end -->' after it"):
        write(copy)
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


def test_blocks_of_a_page_join_to_the_page(written: Path) -> None:
    for page in report.pages_of(Project(written, written / "results")):
        parts = report.blocks_of(page)
        text = page.read_text(encoding="utf-8")
        assert len(parts) == 1 + 2 * text.count("<!-- generated: ")
        for kept in parts[::2]:
            assert kept in text


# --------------------------------------------------------------------------- what this run decided


def test_summary_separates_verdicts_of_this_run_from_earlier_ones(copy: Path) -> None:
    found = read(copy)
    chapter = next(chapter for chapter in found.chapters if chapter.name == "ottt")
    ours = next(v for v in chapter.decided if v.claim.id == "parameters-vgg-cifar10")
    mine = replace(ours, runs=("now",), when="2031-05-06T00:00:00+00:00", machine="here")
    both = [mine if v is ours else v for v in chapter.verdicts]
    judged = replace(chapter, paper=replace(chapter.paper, verdicts=both))
    told = report.summary(replace(found, chapters=[judged]), ["ottt"], "now", 400)
    decided = [line for line in told.splitlines() if line.startswith(tuple(DECIDED))]
    assert f"decided by this run: 1; by records stored before it: {len(decided) - 1}" in told
    mine_told, *earlier = re.split(r"^decided before this run, (?:on \S+, 20\d\d-\d\d-\d\d):$", told, flags=re.MULTILINE)
    assert [line for line in mine_told.splitlines() if line in decided] == decided[:1]
    assert ours.claim.statement in decided[0]
    assert sum(line in "".join(earlier) for line in decided[1:]) == len(decided) - 1


def _measured_pages(root: Path) -> list[Path]:
    """The pages of papers that have records. A new paper has none, and shows that nothing was attempted."""
    measured = {path.stem for path in (root / "results" / "runs").glob("*/*.jsonl")}
    assert {"ottt", "skipper", "ttl_bptt"} <= measured
    return [root / "reproductions" / paper / "README.md" for paper in sorted(measured)]


def test_papers_pages_name_machine_and_day_of_every_verdict(written: Path) -> None:
    decided = {row["paper"] for row in _csv(written / "results" / "ledger.csv") if row["verdict"] in DECIDED}
    assert decided
    for page in _measured_pages(written):
        rows = [row for table in _tables(page, "claims") for row in table if row["verdict"] in DECIDED]
        assert bool(rows) is (page.parent.name in decided)
        for row in rows:
            assert re.fullmatch(r"20\d\d-\d\d-\d\d", row["day"])
            assert (written / "results" / "machines" / f"{row['on']}.json").exists()


def test_index_page_has_an_anchor_for_every_claim_and_machine_and_day_of_every_verdict(written: Path) -> None:
    page = (written / "plots" / "index.html").read_text(encoding="utf-8")
    claims = dict(re.findall(r'<tr id="([^"]+)">(.*?)</tr>', page))
    judged = {f"{row['paper']}-{row['claim']}": row for row in _csv(written / "results" / "ledger.csv")}
    assert claims.keys() == judged.keys()
    assert len(re.findall(r'\bid="', page)) == len(set(re.findall(r'\bid="([^"]+)"', page)))
    for anchor, row in judged.items():
        assert f'href="#{anchor}"' in claims[anchor]
        assert f">{row['verdict']}</td>" in claims[anchor]
        if row["verdict"] in DECIDED:
            assert f"{row['machine']} {row['measured on']}" in claims[anchor]


def test_index_page_names_date_and_version_and_links_every_paper(written: Path) -> None:
    page = (written / "plots" / "index.html").read_text(encoding="utf-8")
    records = [
        json.loads(line) for path in (written / "results" / "runs").glob("*/*.jsonl") for line in path.read_text().splitlines()
    ]
    assert f"latest measurement {max(record['when'] for record in records)[:10]}" in page
    assert f"spikecost {version('spikecost')}," in page
    for paper in (written / "reproductions").glob("*/paper.toml"):
        assert f'href="#{paper.parent.name}"' in page
        assert f'<h2 id="{paper.parent.name}">' in page
    assert "<b>0</b>" not in re.sub(r' class="[^"]*"', "", page)


def test_paper_without_claims_is_shown_as_a_comparison(few: Path) -> None:
    (few / "reproductions" / "ottt" / "claims.toml").write_text("table = []\n", encoding="utf-8")
    write(few)
    assert "a comparison, no claims" in _block(few / "README.md", "verdicts")
    page = (few / "plots" / "index.html").read_text(encoding="utf-8")
    assert page.count("A comparison: no claim of this paper is judged.") == 2  # in the overview and under its title
    assert 'class="counts"' not in page


# --------------------------------------------------------------------------- the tables, read as a person reads them


def test_readme_has_the_verdict_counts_of_the_ledger(written: Path) -> None:
    verdicts = _csv(written / "results" / "ledger.csv")
    lines = _block(written / "README.md", "verdicts").strip().splitlines()
    assert len(lines) == len({row["paper"] for row in verdicts}) > 0
    for line in lines:
        paper = re.search(r"\(reproductions/(\w+)/README\.md\)", line)
        told = re.search(r": (\d+) claims: (.*)$", line)
        assert paper
        assert told
        of_paper = Counter(claim["verdict"] for claim in verdicts if claim["paper"] == paper[1])
        assert int(told[1]) == of_paper.total()
        counts = (part.split(" ", 1) for part in told[2].split(", "))
        assert {name: int(count) for count, name in counts} == of_paper


def test_papers_page_has_every_claim_as_in_the_ledger(written: Path) -> None:
    ledger = _csv(written / "results" / "ledger.csv")
    for page in (written / "reproductions").glob("*/README.md"):
        judged = {row["statement"]: row for row in ledger if row["paper"] == page.parent.name}
        shown = [row for table in _tables(page, "claims") for row in table]
        assert len(shown) == len(judged)
        for row in shown:
            claim = judged[row["claim"]]
            assert (row["verdict"], row["reported"], row["why"]) == (claim["verdict"], claim["printed"], claim["reason"])
            assert _same(row["measured"], claim), (row["measured"], claim["measured"])


def test_readmes_first_table_has_the_costs_of_the_cost_table(written: Path) -> None:
    block = _block(written / "README.md", "front")
    setting = re.search(r"^One training step of (\S+), T = (\d+), batch (\d+), native backend:$", block, re.MULTILINE)
    assert setting
    [shown] = _tables(written / "README.md", "front")
    rows = [row for row in _csv(written / "results" / "cost.csv") if (row["network"], row["T"], row["batch"]) == setting.groups()]
    for line, choice in zip(shown, front.CHOICES, strict=True):
        asked = (choice.algorithm, "native", choice.options)
        fitting = {
            (row["peak live bytes"], row["step MACs"])
            for row in rows if (row["algorithm"], row["backend"], row["options"]) == asked
        }  # fmt: skip
        assert len(fitting) == 1, choice  # two papers may have counted the same step
        [(peak, macs)] = fitting
        assert _rounds_to(int(peak), line["peak memory, GiB"] + " GiB")
        assert _rounds_to(int(macs), line["MACs, 10¹²"])


def test_readmes_first_table_has_three_significant_digits(written: Path) -> None:
    [shown] = _tables(written / "README.md", "front")
    for line in shown:
        for cell in (line["peak memory, GiB"], line["MACs, 10¹²"]):
            assert len(cell.replace(".", "").lstrip("0")) == 3, cell


def test_papers_page_has_the_costs_of_the_cost_table(written: Path) -> None:
    """Every row shown is a row of the table, rounded; and all of its network, T and batch are shown, unless they are many."""
    exact = {
        "peak live": "peak live bytes",
        "10¹² MACs": "step MACs",
        "of these multiplications": "step multiplications",
        "traffic": "traffic bytes",
    }
    costs = _csv(written / "results" / "cost.csv")
    for page in _measured_pages(written):
        setting = re.search(r"^(\S+), T = (\d+), batch (\d+), one training step:$", _block(page, "cost"), re.MULTILINE)
        assert setting
        [shown] = _tables(page, "cost")
        rows = [r for r in costs if (r["paper"], r["network"], r["T"], r["batch"]) == (page.parent.name, *setting.groups())]
        assert len(shown) >= 4
        assert len(shown) == len(rows) or len(rows) > report._MANY >= len(shown)  # of a design space, the plainest settings
        for line in shown:
            fitting = [row for row in rows if all(_rounds_to(int(row[name]), line[title]) for title, name in exact.items())]
            assert fitting, line


@pytest.mark.parametrize(
    ("shown", "ledger", "unit", "same"),
    [
        ("434 MiB of growth", "454562816", "B of growth", True),
        ("434 MiB of growth", "456562816", "B of growth", False),
        ("434 MiB of growth", "454562816", "B", False),
        ("9,228,362", "9228362", "1", True),
        ("9,228,362", "9228363", "1", False),
        ("63.21 %", "63.2123", "%", True),
        ("63.21 %", "63.2223", "%", False),
        ("63.21 %", "63.2123", "points", False),
        ("–", "", "1", True),
        ("–", "0", "1", False),
        ("0", "", "1", False),
        ("0 B of growth (A and B)", "0; 0", "B of growth", True),
        ("8 B of growth (A and B)", "0; 0", "B of growth", False),
        ("0 B (A), 8 B (B)", "0; 8", "B", True),
        ("0 B (A), 9 B (B)", "0; 8", "B", False),
        ("3.33 (A), 3.89 (B)", "3.32721; 3.88754", "1", True),
        ("3.33 (A), 3.88 (B)", "3.32721; 3.88754", "1", False),
        ("3.33 (A), 3.89 (B)", "3.32721; 3.88754; 4", "1", False),
        ("3.33 (A)", "3.32721; –", "1", True),
        ("5.63 to 19.5 on four networks", "5.63; 7.2; 19.4972; 13.8", "1", True),
        ("5.63 to 19.5 on four networks", "5.63; 7.2; 29.4972; 13.8", "1", False),
    ],
)
def test_comparison_of_a_shown_number_with_the_ledger_detects_differences(shown: str, ledger: str, unit: str, same: bool) -> None:
    assert _same(shown, {"measured": ledger, "unit": unit}) == same


@pytest.mark.parametrize(
    ("value", "shown", "same"),
    [
        (2**31, "2.00 GiB", True),
        (2**31, "2.01 GiB", False),
        (10**12, "1.000", True),
        (10**12, "1.001", False),
    ],
)
def test_comparison_of_a_shown_cost_with_the_table_detects_differences(value: int, shown: str, same: bool) -> None:
    assert _rounds_to(value, shown) == same


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


def _same(shown: str, claim: dict[str, str]) -> bool:
    """Whether a number, or several as a sentence, with its unit as people read it, is the ledger's."""
    ledger, unit = [value for value in claim["measured"].split("; ") if value != "–"], claim["unit"]
    if ledger in ([""], []):
        return shown == "–"
    if len(claim["measured"].split("; ")) == 1:
        return _one_same(shown, ledger[0], unit)
    span = re.fullmatch(r"(\S+) to (.+) on \S+ .+", shown)
    if span:
        ends = (min(ledger, key=float), max(ledger, key=float))
        rest = span[2].partition(" ")[2]
        return _one_same(f"{span[1]} {rest}".strip(), ends[0], unit) and _one_same(span[2], ends[1], unit)
    told = [re.sub(r" \([^()]*\)$", "", part) for part in re.split(r"(?<=\)), " if ")" in shown else ", ", shown)]
    told = told * len(ledger) if len(told) == 1 and len(set(ledger)) == 1 else told
    return len(told) == len(ledger) and all(_one_same(*pair, unit) for pair in zip(told, ledger, strict=True))


def _one_same(shown: str, ledger: str, unit: str) -> bool:
    number, _, shown_unit = shown.partition(" ")
    try:
        wanted, found = float(ledger), float(number.replace(",", ""))
    except ValueError:  # no number: as it stands
        return shown in (ledger, f"{ledger} {unit}")
    size = shown_unit.split(" ")[0]
    if unit.split(" ")[0] == "B" and size in _SIZES:
        wanted, shown_unit = wanted / _SIZES[size], shown_unit.replace(size, "B", 1)
    return shown_unit == unit.removeprefix("1") and _close(found, wanted, number)


_SIZES = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10, "B": 1}


def _close(found: float, wanted: float, number: str) -> bool:
    """Within half a unit of the last digit shown (and the ledger's own six digits)."""
    return abs(found - wanted) <= 0.5 * 10.0 ** -len(number.partition(".")[2]) + 1e-5 * abs(wanted) * ("." in number)


def _rounds_to(value: int, shown: str) -> bool:
    """Whether ``shown``, a number of GiB, MiB or 10¹², is ``value`` to the digits that it has."""
    number, _, unit = shown.partition(" ")
    return _close(float(number), value / _SIZES.get(unit, 1e12), number)
