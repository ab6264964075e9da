"""The page of a user's own network in a real browser: what it answers equals counts made for it, and its lines run."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench.cli import main
from bench.overhead import HEADROOM

pytest.importorskip("playwright", reason="the package playwright is not installed")
pytest.importorskip("spikingjelly")
from playwright.sync_api import Browser, Page

from tests.page.browsing import CHROMIUM, choose, open_page, rows, serious_faults

pytestmark = [
    pytest.mark.slow,  # the formulas of a module are counted
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (Debian: apt install chromium)"),
]
MODEL = """
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn


def make_net():
    net = nn.Sequential(layer.Linear(48, 24), neuron.LIFNode(), layer.Linear(24, 5), neuron.LIFNode())
    functional.set_step_mode(net, "m")
    return net
"""
ALGORITHMS = ("bptt", "checkpointed", "skipper", "sltt", "replay")
GIB = 2**30


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mine")
    (folder / "model_of_the_page.py").write_text(MODEL, encoding="utf-8")
    asked = [
        "--input",
        "48",
        "--encoding",
        "frames",
        "--T",
        "10",
        "--batch",
        "8",
        "--no-cosine",
        "--html",
        str(folder / "mine.html"),
    ]
    asked += [word for name in ALGORITHMS for word in ("--algorithm", name)]
    shown = CliRunner().invoke(main, ["compare", f"{folder / 'model_of_the_page.py'}:make_net", *asked], prog_name="spikecost")
    assert shown.exit_code == 0, shown.output
    return folder / "mine.html"


@pytest.fixture
def page(browser: Browser, written: Path) -> Page:
    return open_page(browser, written.as_uri(), "#fit-over-T svg")


def lines_of(page: Page, row: str) -> list[str]:
    """Choose a row; return the lines that the page offers to copy."""
    page.evaluate(
        """id => { const row = [...document.querySelectorAll('#fit-rows tr')].find(each => each.dataset.id === id);
        if (!row.classList.contains('pinned')) row.querySelector('.pin').click(); }""",
        row,
    )
    return page.inner_text("#fit-command").splitlines()


def run(lines: list[str]) -> Any:
    """Run the lines in Python, and return what they have counted."""
    known: dict[str, Any] = {}
    exec("\n".join(lines[lines.index("import spikecost") :]), known)
    found = known["found"]
    return found.rows[-1].cost if hasattr(found, "rows") else found.cost


@pytest.mark.slow
def test_five_random_choices_agree_with_counts_within_the_stated_error(
    page: Page, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(written.parent))
    draw = random.Random(20261128)
    chosen = set()
    for _ in range(5):
        T, batch = draw.randint(4, 60), draw.randint(2, 20_000)
        choose(page, None, T, batch, 1.5)
        row = draw.choice(rows(page))
        lines = lines_of(page, row["id"])
        counted = run(lines)
        shown = float(page.evaluate("() => document.querySelector('#fit-rows tr.pinned').dataset.peak"))
        stated = 0.0 if "counted" in row["error at most"] else float(row["error at most"].split()[0]) / 100
        assert abs(shown / counted.memory.total - 1) <= stated <= 0.1, lines
        if row["fit"] != "too close to say":
            assert (row["fit"] == "fits") is (counted.memory.total <= 1.5 * GIB - HEADROOM), lines
        assert f"--T {T} --batch {batch}" in lines[0]
        chosen.add(row["id"])
    assert len(chosen) > 2


def test_choice_that_was_asked_for_is_exact_to_the_byte(page: Page, written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(written.parent))
    choose(page, None, 10, 300, 8)
    (row,) = [row for row in rows(page) if row["label"] == "checkpointed BPTT"]
    counted = run(lines_of(page, row["id"]))
    assert row["error at most"] == "none: counted"
    assert float(page.evaluate("() => document.querySelector('#fit-rows tr.pinned').dataset.peak")) == counted.memory.total


def test_what_does_not_apply_says_why_and_every_other_is_in_the_calculator(page: Page) -> None:
    assert {row["label"] for row in rows(page)} >= {"as written", "BPTT", "checkpointed BPTT", "Skipper", "SLTT"}
    why = page.locator("tr", has_text="one-bit replay").inner_text()
    assert "hard reset" in why


def test_batch_of_one_is_refused_and_nothing_is_loaded(page: Page, written: Path) -> None:
    page.fill("#fit-batch", "1")
    assert "batch: a whole number from 2" in page.inner_text("#fit-wrong")
    assert "https://" not in page.content().split("<script", 1)[0]
    data = json.loads(page.inner_text("#data") or page.evaluate("document.getElementById('data').textContent"))
    assert data["start"]["T"] == 10
    assert written.stat().st_size < 3 * 2**20


@pytest.mark.parametrize(("width", "scheme"), [(380, "dark"), (1280, "light")])
def test_page_fits_its_width_and_has_no_serious_accessibility_fault(
    browser: Browser, written: Path, width: int, scheme: str
) -> None:
    page = open_page(browser, written.as_uri(), "#fit-over-T svg", viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert serious_faults(page) == []
