"""Verdicts as rows, counts and CSV."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from bench.claims import VERDICTS, Claim, Verdict, as_csv, counts, ledger_rows
from bench.errors import UserError
from bench.files import write_whole

MakeClaim = Callable[..., Claim]


@pytest.fixture
def verdicts(claim: MakeClaim) -> list[Verdict]:
    words = 'a "quoted" word, a comma\nand µ ±'
    return [
        Verdict(
            claim("within", id="one", value=90.0, tolerance=0.5),
            "reproduced",
            90.123456789,
            words,
            0.1,
            3,
            "full",
            machine="here",
            device="cpu",
            when="2026-01-02T03:04:05+00:00",
            runs=("r1", "r2"),
        ),
        Verdict(claim("equal", id="two", value=9.2e6, printed="9.2M"), "not reproduced", 9_228_362_123, "", n=1),
        Verdict(claim(id="three", undecidable="not told"), "undecidable", None, "not told"),
    ]


def test_counts_include_every_verdict(verdicts: list[Verdict]) -> None:
    assert list(counts([])) == list(VERDICTS)
    assert counts(verdicts + verdicts[:1]) == {
        "reproduced": 2, "exceeded": 0, "partly": 0, "cannot tell": 0, "not reproduced": 1, "not attempted": 0,
        "undecidable": 1, "stale": 0,
    }  # fmt: skip


def test_ledger_has_one_row_of_text_per_claim(verdicts: list[Verdict]) -> None:
    rows = ledger_rows(verdicts)
    assert [row["claim"] for row in rows] == ["one", "two", "three"]
    assert all(isinstance(cell, str) for row in rows for cell in row.values())
    assert len({tuple(row) for row in rows}) == 1
    one, two, three = rows
    assert (one["measured"], one["spread"], one["n"], one["tolerance"]) == ("90.1235", "0.1", "3", "0.5")
    told = ("machine", "device", "measured on", "runs")
    assert [one[name] for name in told] == ["here", "cpu", "2026-01-02", "r1 r2"]
    assert [three[name] for name in told] == [""] * 4
    assert (two["reported"], two["measured"], two["spread"]) == ("9.2e+06", "9228362123", "")
    assert (three["measured"], three["verdict"], three["reason"]) == ("", "undecidable", "not told")


def test_ledger_is_read_as_written(tmp_path: Path, verdicts: list[Verdict]) -> None:
    path = tmp_path / "deep" / "ledger.csv"
    rows = ledger_rows(verdicts)
    write_whole(path, as_csv(rows).encode())
    assert list(csv.DictReader(io.StringIO(path.read_bytes().decode()))) == rows
    assert list(pd.read_csv(path)["claim"]) == ["one", "two", "three"]


def test_ledger_has_the_same_bytes_for_the_same_rows(tmp_path: Path, verdicts: list[Verdict]) -> None:
    path = tmp_path / "ledger.csv"
    rows = ledger_rows(verdicts)
    write_whole(path, as_csv(rows).encode())
    first = path.read_bytes()
    write_whole(path, as_csv(rows).encode())
    assert path.read_bytes() == first
    assert b"\r" not in first
    assert list(tmp_path.iterdir()) == [path]  # no draft is left


def test_ledger_that_cannot_be_written_is_named_and_left_unchanged(
    tmp_path: Path, verdicts: list[Verdict], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.csv"
    write_whole(path, as_csv(ledger_rows(verdicts)).encode())
    before = path.read_bytes()

    def full(draft: Path, content: bytes) -> int:
        with draft.open("wb") as file:
            file.write(content[:10])
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match=r"cannot write .*ledger\.csv: No space left"):
        write_whole(path, as_csv(ledger_rows(verdicts[:1])).encode())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
