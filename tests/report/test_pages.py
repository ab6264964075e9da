"""What pages and terminal show of every verdict: machine, day, links."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from bench import report
from bench.report import chapters
from tests.report.reading import block, csv_rows, measured_pages, read, tables, write

DECIDED = set(chapters.DECIDED)


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


def test_papers_pages_name_machine_and_day_of_every_verdict(written: Path) -> None:
    decided = {row["paper"] for row in csv_rows(written / "results" / "ledger.csv") if row["verdict"] in DECIDED}
    assert decided
    for page in measured_pages(written):
        rows = [row for table in tables(page, "claims") for row in table if row["verdict"] in DECIDED]
        assert bool(rows) is (page.parent.name in decided)
        for row in rows:
            assert re.fullmatch(r"20\d\d-\d\d-\d\d", row["day"])
            assert (written / "results" / "machines" / f"{row['on']}.json").exists()


def test_index_page_has_an_anchor_for_every_claim_and_machine_and_day_of_every_verdict(written: Path) -> None:
    page = (written / "plots" / "index.html").read_text(encoding="utf-8")
    page = page.partition("<script")[0]
    claims = dict(re.findall(r'<tr id="([^"]+)" data-paper[^>]*>(.*?)</tr>', page, re.DOTALL))
    judged = {f"{row['paper']}-{row['claim']}": row for row in csv_rows(written / "results" / "ledger.csv")}
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


def test_paper_without_claims_is_shown_as_measurements_alone(few: Path) -> None:
    (few / "reproductions" / "ottt" / "claims.toml").write_text("table = []\n", encoding="utf-8")
    write(few)
    assert "measurements alone, no claims" in block(few / "README.md", "verdicts")
    page = (few / "plots" / "index.html").read_text(encoding="utf-8")
    assert page.count("Measurements alone: no claims are judged here.") == 2  # in the overview and under its title
    assert 'class="counts"' not in page
