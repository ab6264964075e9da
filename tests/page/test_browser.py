"""plots/index.html in a real browser: Debian's or another Chromium, driven by Playwright."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.overhead import HEADROOM

pytest.importorskip("playwright", reason="the package playwright is not installed")
from playwright.sync_api import Browser, Page

import spikecost
from tests.page.browsing import CHROMIUM, choose, open_page, rows, serious_faults

INDEX = Path(__file__).parents[2] / "plots" / "index.html"
GIB = 2**30
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (Debian: apt install chromium)"),
    pytest.mark.skipif('"formulas":[]' in INDEX.read_text(encoding="utf-8"), reason="the page has no formulas: run 'calculator'"),
]


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """One page for the tests that change only choices; its console errors are gathered in ``errors``."""
    page = opened(browser)
    yield page
    page.close()


def opened(browser: Browser, anchor: str = "", **context: Any) -> Page:
    return open_page(browser, INDEX.as_uri() + anchor, "#claims-axis svg", **context)


def command(page: Page, row: str) -> dict[str, Any]:
    """Choose a row; return the arguments of ``spikecost.cost`` in the command that the page shows for it."""
    page.evaluate(
        """id => { const row = [...document.querySelectorAll('#fit-rows tr')].find(each => each.dataset.id === id);
        if (!row.classList.contains('pinned')) row.querySelector('.pin').click(); }""",
        row,
    )
    line = next(line for line in page.inner_text("#fit-command").splitlines() if line.startswith("cost ="))
    taken: dict[str, Any] = {}
    exec(line, {"spikecost": type("Door", (), {"cost": lambda *names, **options: taken.update(options, names=names)})})
    return taken


@pytest.mark.slow
def test_twenty_random_choices_agree_with_counts_within_the_stated_error(page: Page) -> None:
    draw = random.Random(20261128)
    networks = page.eval_on_selector_all("#fit-network option", "options => options.map(option => option.value)")
    light = [name for name in networks if not name.startswith(("nf-resnet", "alexnet"))]  # whose counts take a second
    for _ in range(20):
        T, batch = draw.randint(2, 64), draw.randint(2, 400)
        choose(page, draw.choice(light or networks), T, batch, 24)
        row = draw.choice(rows(page))
        asked = command(page, row["id"])
        names = asked.pop("names")
        counted = spikecost.cost(*names, **asked).memory.total
        shown = page.evaluate("() => document.querySelector('#fit-rows tr.pinned').dataset.peak")
        stated = float(row["error at most"].split()[0]) / 100
        assert abs(float(shown) / counted - 1) <= stated <= 0.02, (names, asked)
        if row["fit"] != "too close to say":
            assert (row["fit"] == "fits") is (counted <= 24 * GIB - HEADROOM)


@pytest.mark.slow
def test_cheapest_exact_schedule_is_that_of_the_command_fit(page: Page) -> None:
    choose(page, "custom/n-mnist", 200, 256, 3)
    answer = page.inner_text("#fit-answer")
    found = spikecost.cheapest("custom/n-mnist", T=200, batch=256, budget=3 * GIB)
    lengths = page.evaluate("() => document.querySelector('#fit-command').textContent.match(/lengths=\\[[\\d,]+\\]/)?.[0]")
    assert "exact" in answer
    assert found.peak <= 2 * GIB
    if found.schedule.algorithm == "checkpointed":
        assert len(json.loads(lengths.partition("=")[2])) == len(found.schedule.options["lengths"])  # type: ignore[arg-type]
    page.evaluate("document.getElementById('fit-copy').focus()")
    assert "import spikecost" in page.inner_text("#fit-command")


def test_wrong_input_is_named_and_changes_no_answer(page: Page) -> None:
    choose(page, "custom/n-mnist", 30, 64, 8)
    before = page.inner_text("#fit-answer")
    page.fill("#fit-T", "0")
    assert "T: a whole number from 1" in page.inner_text("#fit-wrong")
    assert page.inner_text("#fit-answer") == before
    page.fill("#fit-T", "30")
    assert page.inner_text("#fit-wrong") == ""


def test_claims_are_filtered_by_paper_verdict_kind_and_text(page: Page) -> None:
    total = page.locator("#claims tbody tr").count()
    page.select_option("#claims-paper", "ottt")
    page.select_option("#claims-kind", "memory")
    shown = page.locator("#claims tbody tr:visible").count()
    assert 0 < shown < total
    assert page.inner_text("#claims-count") == f"{shown} of {total} claims"
    page.fill("#claims-text", "no claim says this")
    assert page.locator("#claims tbody tr:visible").count() == 0
    page.fill("#claims-text", "")
    page.select_option("#claims-paper", "")
    page.select_option("#claims-kind", "")
    assert page.locator("#claims tbody tr:visible").count() == total


def test_permanent_link_opens_its_claim(browser: Browser) -> None:
    page = opened(browser, "#skipper-memory-vs-bptt" if 'id="skipper-memory-vs-bptt"' in INDEX.read_text("utf-8") else "")
    anchor = page.evaluate("() => document.querySelectorAll('#claims tbody tr')[200].id")
    page.goto(f"{INDEX.as_uri()}#{anchor}")
    page.wait_for_function("id => document.getElementById(id).querySelector('details').open", arg=anchor)
    box = page.locator(f"[id='{anchor}']").bounding_box()
    assert box is not None
    assert -box["height"] < box["y"] < 900
    page.close()


def test_link_to_a_choice_restores_it(browser: Browser) -> None:
    page = opened(browser, "#fit/custom/n-mnist/T12/b34/16")
    assert [page.input_value(f"#fit-{name}") for name in ("network", "T", "batch", "GiB")] == ["custom/n-mnist", "12", "34", "16"]
    page.close()


OTHERS = [pytest.param(*other, marks=pytest.mark.slow) for other in ((380, "light"), (1280, "light"), (1280, "dark"))]


@pytest.mark.parametrize(("width", "scheme"), [(380, "dark"), *OTHERS])
def test_page_fits_its_width_and_has_no_serious_accessibility_fault(browser: Browser, width: int, scheme: str) -> None:
    page = opened(browser, viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert serious_faults(page) == []
    page.close()


def test_without_scripts_claims_and_figures_are_there(browser: Browser) -> None:
    page = opened(browser, java_script_enabled=False)
    assert page.locator("#claims tbody tr:visible").count() > 100
    assert page.locator("img:visible").count() > 10
    assert page.locator("#fit:visible").count() == 0
    page.close()


def test_page_is_one_file_below_three_mebibytes_that_loads_nothing(browser: Browser) -> None:
    assert INDEX.stat().st_size < 3 * 2**20
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(INDEX.as_uri())
    page.wait_for_selector("#claims-axis svg")
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked)
    page.close()
