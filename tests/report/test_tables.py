"""The tables of README and of the papers' pages have the numbers of the ledger and of the cost table."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from bench import front
from bench.report.tables import _MANY
from tests.report.reading import block, csv_rows, measured_pages, tables


def test_readme_has_the_verdict_counts_of_the_ledger(written: Path) -> None:
    verdicts = csv_rows(written / "results" / "ledger.csv")
    lines = block(written / "README.md", "verdicts").strip().splitlines()
    claiming = [line for line in lines if not line.endswith("measurements alone, no claims")]
    assert len(claiming) == len({row["paper"] for row in verdicts}) > 0
    for line in claiming:
        paper = re.search(r"\(reproductions/(\w+)/README\.md\)", line)
        told = re.search(r": (\d+) claims: (.*)$", line)
        assert paper
        assert told
        of_paper = Counter(claim["verdict"] for claim in verdicts if claim["paper"] == paper[1])
        assert int(told[1]) == of_paper.total()
        counts = (part.split(" ", 1) for part in told[2].split(", "))
        assert {name: int(count) for count, name in counts} == of_paper


def counts_the_parts(short: str, reason: str) -> bool:
    """Whether "...: of N parts: holds 2, fails 1" has the words before the parts, and as many of each result, as ``reason``."""
    before, _, counted = re.sub(r"of \d+ parts: ", "|", short).partition("|")
    found = dict(re.findall(r"([a-z ]+) (\d+)", counted))
    return reason.startswith(before) and all(reason.count(f"{name.strip()}: ") == int(n) for name, n in found.items())


def test_papers_page_has_every_claim_as_in_the_ledger(written: Path) -> None:
    ledger = csv_rows(written / "results" / "ledger.csv")
    for page in (written / "reproductions").glob("*/README.md"):
        judged = {row["statement"]: row for row in ledger if row["paper"] == page.parent.name}
        shown = [row for table in tables(page, "claims") for row in table]
        assert len(shown) == len(judged)
        for row in shown:
            claim = judged[row["claim"]]
            assert (row["verdict"], row["reported"]) == (claim["verdict"], claim["printed"])
            assert row["why"] == claim["reason"] or counts_the_parts(row["why"], claim["reason"])
            assert same(row["measured"], claim), (row["measured"], claim["measured"])


def test_readmes_first_table_has_the_costs_of_the_cost_table(written: Path) -> None:
    text = block(written / "README.md", "front")
    setting = re.search(r"^One training step of (\S+), T = (\d+), batch (\d+), native backend:$", text, re.MULTILINE)
    assert setting
    [shown] = tables(written / "README.md", "front")
    rows = [
        row for row in csv_rows(written / "results" / "cost.csv") if (row["network"], row["T"], row["batch"]) == setting.groups()
    ]
    for line, choice in zip(shown, front.CHOICES, strict=True):
        asked = (choice.algorithm, "native", choice.options)
        fitting = {
            (row["peak live bytes"], row["step MACs"])
            for row in rows if (row["algorithm"], row["backend"], row["options"]) == asked
        }  # fmt: skip
        assert len(fitting) == 1, choice  # two papers may have counted the same step
        [(peak, macs)] = fitting
        assert rounds_to(int(peak), line["peak memory, GiB"] + " GiB")
        assert rounds_to(int(macs), line["MACs, 10¹²"])


def test_readmes_first_table_has_three_significant_digits(written: Path) -> None:
    [shown] = tables(written / "README.md", "front")
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
    costs = csv_rows(written / "results" / "cost.csv")
    for page in measured_pages(written):
        if "<!-- generated: cost -->" not in page.read_text(encoding="utf-8"):
            continue  # of formulas alone
        setting = re.search(r"^(\S+), T = (\d+), batch (\d+), one training step:$", block(page, "cost"), re.MULTILINE)
        assert setting
        [shown] = tables(page, "cost")
        rows = [r for r in costs if (r["paper"], r["network"], r["T"], r["batch"]) == (page.parent.name, *setting.groups())]
        assert len(shown) >= 4
        assert len(shown) == len(rows) or len(rows) > _MANY >= len(shown)  # of a design space, the plainest settings
        for line in shown:
            fitting = [row for row in rows if all(rounds_to(int(row[name]), line[title]) for title, name in exact.items())]
            assert fitting, line


@pytest.mark.parametrize(
    ("shown", "ledger", "unit", "equal"),
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
def test_comparison_of_a_shown_number_with_the_ledger_detects_faults(shown: str, ledger: str, unit: str, equal: bool) -> None:
    assert same(shown, {"measured": ledger, "unit": unit}) == equal


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
    assert rounds_to(value, shown) == same


def same(shown: str, claim: dict[str, str]) -> bool:
    """Whether a number, or several as a sentence, with its unit as people read it, is the ledger's."""
    ledger, unit = [value for value in claim["measured"].split("; ") if value != "–"], claim["unit"]
    if ledger in ([""], []):
        return shown == "–"
    if len(claim["measured"].split("; ")) == 1:
        return one_same(shown, ledger[0], unit)
    span = re.fullmatch(r"(\S+) to (.+) on \S+ .+", shown)
    if span:
        ends = (min(ledger, key=float), max(ledger, key=float))
        rest = span[2].partition(" ")[2]
        return one_same(f"{span[1]} {rest}".strip(), ends[0], unit) and one_same(span[2], ends[1], unit)
    told = [re.sub(r" \([^()]*\)$", "", part) for part in re.split(r"(?<=\)), " if ")" in shown else ", ", shown)]
    told = told * len(ledger) if len(told) == 1 and len(set(ledger)) == 1 else told
    return len(told) == len(ledger) and all(one_same(*pair, unit) for pair in zip(told, ledger, strict=True))


def one_same(shown: str, ledger: str, unit: str) -> bool:
    number, _, shown_unit = shown.partition(" ")
    try:
        wanted, found = float(ledger), float(number.replace(",", ""))
    except ValueError:  # no number: as it stands
        return shown in (ledger, f"{ledger} {unit}")
    size = shown_unit.split(" ")[0]
    if unit.split(" ")[0] == "B" and size in SIZES:
        wanted, shown_unit = wanted / SIZES[size], shown_unit.replace(size, "B", 1)
    return shown_unit == unit.removeprefix("1") and close(found, wanted, number)


SIZES = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10, "B": 1}


def close(found: float, wanted: float, number: str) -> bool:
    """Within half a unit of the last digit shown (and the ledger's own six digits)."""
    return abs(found - wanted) <= 0.5 * 10.0 ** -len(number.partition(".")[2]) + 1e-5 * abs(wanted) * ("." in number)


def rounds_to(value: int, shown: str) -> bool:
    """Whether ``shown``, a number of GiB, MiB or 10¹², is ``value`` to the digits that it has."""
    number, _, unit = shown.partition(" ")
    return close(float(number), value / SIZES.get(unit, 1e12), number)
