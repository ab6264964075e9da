"""A page of results in headless Chromium, and what tests do with its calculator."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome", "chrome") if (found := shutil.which(name))), None
)


def open_page(browser: Browser, address: str, ready: str, **context: Any) -> Page:
    """Open a page and wait for the selector ``ready``; an error in its console fails the test."""
    page = browser.new_page(**({"viewport": {"width": 1200, "height": 900}} | context))
    page.on("pageerror", lambda error: pytest.fail(f"an error on the page: {error}"))
    page.on("console", lambda message: message.type == "error" and pytest.fail(f"console: {message.text}"))
    page.goto(address)
    if context.get("java_script_enabled", True):
        page.wait_for_selector(ready)
    return page


def choose(page: Page, network: str | None, T: int, batch: int, GiB: float) -> None:
    """``network``: None on a page of one network."""
    drawn = int(page.evaluate("Number(document.documentElement.dataset.drawn)"))
    if network is not None:
        page.select_option("#fit-network", network)
    for name, value in (("T", T), ("batch", batch), ("GiB", GiB)):
        page.fill(f"#fit-{name}", str(value))
    page.wait_for_function("n => Number(document.documentElement.dataset.drawn) >= n", arg=drawn + (3 if network is None else 4))


def rows(page: Page) -> list[dict[str, str]]:
    return page.evaluate(
        """() => [...document.querySelectorAll('#fit-rows tr')].map(row => ({id: row.dataset.id,
        ...Object.fromEntries([...row.cells].map((cell, i) => [i ? cell.dataset.of || 'fit' : 'label', cell.textContent]))}))"""
    )  # type: ignore[no-any-return]


def serious_faults(page: Page) -> list[tuple[str, list[str]]]:
    """Return the serious faults of accessibility that axe-core finds, each with the first places of it."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    found = axe.Axe().run(page).response["violations"]
    return [
        (fault["id"], [node["html"][:120] for node in fault["nodes"][:3]])
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]
