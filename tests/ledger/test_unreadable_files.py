"""Files of results, claims and pages that cannot be read are reported by name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench import report
from bench.claims import Claim, judge, load_claims
from bench.errors import UserError
from bench.figures.paper import Paper
from bench.places import Project
from bench.record_store import Store
from bench.report import chapters, generated, pages
from tests.ledger.conftest import MakeClaim, MakeRecord, planned
from tests.ledger.machine import WHAT


@pytest.mark.parametrize("name", ["m/p (copy).jsonl", "m/p.jsonl.bak", "m/P.jsonl", "deep/m/p.jsonl", "p.jsonl"])
def test_store_names_files_that_are_never_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / "runs" / name
    path.parent.mkdir(parents=True)
    path.write_text("")
    (told,) = Store(tmp_path).strays({"p"})
    assert told.path == path


def test_store_names_broken_links_but_not_files_that_are_read(tmp_path: Path) -> None:
    runs = tmp_path / "runs" / "m"
    runs.mkdir(parents=True)
    (runs / "p.jsonl").write_text("")
    (runs / ".p.jsonl.lock").write_text("")
    assert Store(tmp_path).strays({"p"}) == []
    (runs / "q.jsonl").symlink_to(tmp_path / "nowhere")
    assert [told.path.name for told in Store(tmp_path).strays({"p", "q"})] == ["q.jsonl"]


@pytest.mark.parametrize(
    "what",
    [{**WHAT, "gpus": 5}, {**WHAT, "gpus": [5]}, {**WHAT, "cores": "two"}, [], {}],
    ids=["gpus", "names", "cores", "list", "none"],
)
def test_machine_description_is_checked_by_type(tmp_path: Path, what: object) -> None:
    (tmp_path / "machines").mkdir()
    (tmp_path / "machines" / "m.json").write_text(json.dumps(what))
    (told,) = Store(tmp_path).damaged_machines()
    assert "no description of a machine" in told.reason


def test_machine_description_of_another_machine_is_reported(tmp_path: Path) -> None:
    (tmp_path / "machines").mkdir()
    known = {"cpu": "AMD EPYC", "cores": 2, "memory_gib": 24, "os": "Linux", "architecture": "x86_64", "gpus": []}
    path = tmp_path / "machines" / "amd-epyc-2c-24g-837865.json"
    path.write_text(json.dumps(known))
    assert Store(tmp_path).damaged_machines() == []
    path.write_text(json.dumps({**known, "memory_gib": 240}))
    (told,) = Store(tmp_path).damaged_machines()
    assert "not the machine it is named after" in told.reason


TABLE = """
[[table]]
place = "Table 1"
quantity = "accuracy"
unit = "%"
evidence = "table, quoted"
source = "NOTE-X"
basis = "two standard errors"
  [[table.claim]]
  id = "one"
  statement = "it is so"
  printed = "90.1"
  value = 90.1
  tolerance = 0.5
  n = 3
    [table.claim.measure]
    rule = "within"
    partly = 1.0
    factor = 2
    direction = "more"
    select = { probe = "training", metric = "m", T = 6, options = { a = 1 } }
  [[table.claim]]
  id = "two"
  statement = "it is so"
  printed = "2 to 3"
    [table.claim.measure]
    rule = "ratio"
    low = 2
    high = 3
    select = { probe = "cost", metric = "m", any = ["p"] }
    over = { algorithm = "a" }
  [[table.claim]]
  id = "three"
  statement = "it is so"
  printed = "flat"
  measure = { rule = "flat_in_T", from_T = 2, to_T = 9, select = { probe = "cost", metric = "m" } }
  [[table.claim]]
  id = "four"
  statement = "it is so"
  printed = "-9 %"
  measure = { rule = "some_setting", algorithm = "a", reports = { memory = [-9, 0.5] } }
"""


def claims(tmp_path: Path, text: str) -> list[Claim]:
    (tmp_path / "claims.toml").write_text(text)
    return load_claims(tmp_path)


def test_unchanged_claims_load(tmp_path: Path) -> None:
    assert len(claims(tmp_path, TABLE)) == 4


@pytest.mark.parametrize(
    ("old", "new"),
    [
        *((f"tolerance = {0.5}", f"tolerance = {new}") for new in ("-0.5", "nan", "inf", "true", "9" * 400)),
        *(("value = 90.1", f"value = {new}") for new in ("nan", "inf", "true", "99.9")),
        *(("n = 3", f"n = {new}") for new in ("0", "-1", "2.5", "true", '"3"')),
        *(("partly = 1.0", f"partly = {new}") for new in ("inf", "0.1", '"x"')),
        *(("factor = 2", f"factor = {new}") for new in ("0", "inf", '"2"')),
        *(("low = 2", f"low = {new}") for new in ("4", "nan", "-inf", '"2"', "true")),
        *(("from_T = 2", f"from_T = {new}") for new in ("10", "0", "2.5", '"2"')),
        *(("{ memory = [-9, 0.5] }", new) for new in ("{}", "5", "{ memory = 5 }", "{ memory = [-9, -1] }")),
        ("options = { a = 1 }", 'options = "a"'), ("T = 6", 'T = "6"'), ('metric = "m", T', 'metric = ["m"], T'),
        ('any = ["p"]', 'any = "p"'), ('any = ["p"]', "any = [[1]]"), ('direction = "more"', "direction = 5"),
        ('over = { algorithm = "a" }', 'over = "a"'), ('basis = "two standard errors"', "basis = 5"),
        ('statement = "it is so"', 'statement = "it is so"\nundecidable = true'), ("[[table]]", "[[tables]]\nx = 1\n[[table]]"),
        ("[[table]]", "table = 5 #"), ("  [[table.claim]]", "  claim = 5 #"),
    ],
)  # fmt: skip
def test_invalid_claim_is_reported_with_its_file(tmp_path: Path, old: str, new: str) -> None:
    assert old in TABLE
    with pytest.raises(UserError, match=r"claims\.toml"):
        claims(tmp_path, TABLE.replace(old, new, 1))


def test_file_without_claims_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least one"):
        claims(tmp_path, "")


@pytest.mark.parametrize("name", ["title", "venue", "link", "summary", "authors"])
@pytest.mark.parametrize("value", ["", " = 5"], ids=["missing", "a number"])
def test_paper_description_requires_what_its_page_shows(tmp_path: Path, name: str, value: str) -> None:
    lines = {each: f'{each} = "x"' for each in ("title", "venue", "link", "summary")} | {"authors": 'authors = ["x"]'}
    path = tmp_path / "paper.toml"
    path.write_text("\n".join(lines.values()))
    assert chapters.about(path)["title"] == "x"
    lines[name] = name + value if value else ""
    path.write_text("\n".join(lines.values()))
    with pytest.raises(UserError, match=rf"paper\.toml, field {name}"):
        chapters.about(path)


@pytest.mark.parametrize("content", [None, b"x = ", b"\xff"], ids=["missing", "no TOML", "no text"])
def test_unreadable_paper_is_reported_with_its_file(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "paper.toml").write_bytes(content)
    with pytest.raises(UserError, match=r"paper\.toml"):
        chapters.about(tmp_path / "paper.toml")


def test_paper_without_a_description_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "reproductions" / "ottt").mkdir(parents=True)
    (tmp_path / "reproductions" / "ottt" / "claims.toml").write_text(TABLE)
    with pytest.raises(UserError, match=r"paper\.toml"):
        report.read(Project(tmp_path, tmp_path / "results"), lambda _: True)


def test_page_that_is_not_text_is_reported_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="not text in UTF-8"):
        report.blocks_of(tmp_path / "README.md")


def test_generated_file_that_is_not_text_counts_as_changed(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff")
    assert generated.content(tmp_path / "binary") not in (None, "")
    assert generated.content(tmp_path) is None


def test_markup_in_a_statement_is_escaped_on_page_and_terminal(claim: MakeClaim, record: MakeRecord) -> None:
    asked = replace(claim("equal", printed="1", value=1.0), statement="a [/b] [red] statement\n<!-- end -->\nof three | lines")
    known = record(1)
    (verdict,) = judge([asked], [known], lambda _: True, lambda _: planned(known))
    chapter = report.Chapter(Paper("p", [known], [verdict]), {"title": "x"}, {}, [])
    told = report.summary(report.Report(Project(Path(), Path()), [chapter], {}, []), ["p"])
    assert "a [/b] [red] statement" in told
    page = pages.filled(["before\n<!-- generated: claims -->\n", "claims", "<!-- end -->\n"], [chapter], chapter)
    assert page.count("<!--") == 2
    assert any("a [/b] [red] statement &lt;!-- end --> of three \\| lines" in line for line in page.splitlines())


@pytest.mark.parametrize(
    "error", [KeyError("x"), TypeError("x"), ZeroDivisionError(), OverflowError(), AttributeError("x")], ids=repr
)
def test_figure_with_an_unreadable_detail_reports_it_without_a_traceback(error: Exception) -> None:
    with pytest.raises(UserError, match="figure of p cannot be made"), chapters.readable("figure of p"):
        raise error
