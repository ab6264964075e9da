"""Generated blocks of a page: their markers must be pairs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench import report
from bench.errors import UserError
from bench.places import Project
from tests.report.reading import replaced, write

END = "<!-- end -->\n"
START = "<!-- generated: {name} -->\n"
UNPAIRED = {  # what is put in place of what, with the name of the page's first block; and what is said
    "an end without a start": (END + START, START, "ends nothing"),
    "a start inside a block": (START + START, START, "starts inside the one of line"),
    "no end": ("", END, "starts inside the one of line"),
    "an unknown name": ("<!-- generated: {name}x -->\n", START, "unknown generated block '{name}x': did you mean {name}?"),
    "a damaged start": ("<!-- generated:{name} -->\n", START, "is not a marker"),
    "a damaged end": ("<!--end-->\n", END, "is not a marker"),
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
