"""Verdicts as rows, as counts and as a CSV file."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bench.claims.claim import VERDICTS, Verdict, text
from bench.spec import UserError


def counts(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """How many of each verdict, zeros included."""
    counted = Counter(str(verdict.verdict) for verdict in verdicts)
    return {name: counted[name] for name in VERDICTS}


def ledger_rows(verdicts: Iterable[Verdict]) -> list[dict[str, str]]:
    """One row a claim, every cell a text; floats to 6 significant digits, whole numbers in full."""
    return [
        {
            "paper": v.claim.paper,
            "claim": v.claim.id,
            "place": v.claim.place,
            "statement": v.claim.statement,
            "quantity": v.claim.quantity,
            "unit": v.claim.unit,
            "printed": v.claim.printed,
            "reported": text(v.claim.value),
            "verdict": v.verdict,
            "measured": text(v.measured),
            "spread": text(v.spread),
            "n": str(v.n),
            "reason": v.reason,
            "tolerance": text(v.claim.tolerance),
            "basis": v.claim.basis,
            "evidence": v.claim.evidence,
            "source": v.claim.source,
            "decided at": v.claim.scale,
            "measured at": v.evidence_scale,
            "machine": v.machine,
        }
        for v in verdicts
    ]


def write_ledger(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """The rows as CSV, by paper and then as they come; the same rows give the same bytes. Replaced as a whole."""
    table = io.StringIO()
    if rows:
        writer = csv.DictWriter(table, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(rows, key=lambda row: row["paper"]))
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(table.getvalue().encode())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise UserError(f"cannot write {path}: {error.strerror}; free some space or mend the permissions") from error
