"""Run the tests with the marker ``full`` and record it in tests/last_full_run.json: ``python -m tests.full [pytest options]``."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.machine import identity
from bench.runner.store import commit_of

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "tests" / "last_full_run.json"


class Tally:
    """Counts the outcomes of tests; an error before or after a test counts as a failure."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter(passed=0, failed=0, skipped=0)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.counts[report.outcome] += 1


def run(options: list[str], record: Path = RECORD) -> int:
    """Run pytest with ``options`` and write date, commit, machine, counts and duration to ``record``; return the exit status."""
    tally, began = Tally(), time.monotonic()
    status = int(pytest.main(options, plugins=[tally]))
    machine = identity()
    about = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "commit": commit_of(ROOT),
        "machine": f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB",
        "hours": round((time.monotonic() - began) / 3600, 2),
        **tally.counts,
        "exit status": status,
    }
    record.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(run(["-m", "full", *sys.argv[1:]]))
