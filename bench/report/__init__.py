"""Judge and draw: every generated file of the repository as a function of results/ and the papers' claims.

    results/ledger.csv                    every claim with its verdict
    results/cost.csv                      the exact cost table of every paper
    plots/<paper>/<figure>.svg + .json    figures and the data plotted
    plots/index.html                      all of it on one page
    README.md, reproductions/*/README.md  the blocks between <!-- generated: NAME --> and <!-- end -->

The same results give the same bytes. Imports no torch; matplotlib only where a figure is drawn.

| file | what |
|---|---|
| chapters.py | reads results/ and the papers' folders: one chapter per paper |
| generated.py | what every generated file should hold; writes it or compares it |
| module_page.py | the page of a user's own network, which is no file of the repository |
| pages.py | hand-written pages with generated blocks, and templates |
| tables.py | tables and counts that pages show |
| terminal.py | the summary after a run |
| webpage.py | the data and the scripts of plots/index.html |
"""

from __future__ import annotations

from bench.report.chapters import Chapter, Report, read
from bench.report.generated import check, texts, write
from bench.report.pages import blocks_of, pages_of
from bench.report.terminal import summary

__all__ = ["Chapter", "Report", "blocks_of", "check", "pages_of", "read", "summary", "texts", "write"]
