"""Verdicts as rows, as counts and as CSV."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from bench.claims.claim import VERDICTS, Verdict, text


def counts(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """How many of each verdict, zeros included."""
    counted = Counter(verdict.verdict for verdict in verdicts)
    return {name: counted[name] for name in VERDICTS}


def ledger_rows(verdicts: Iterable[Verdict]) -> list[dict[str, str]]:
    """One row per claim, every cell a text; floats to 6 significant digits, whole numbers in full."""
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
            "device": v.device,
            "measured on": v.when[:10],
            "runs": " ".join(v.runs),
        }
        for v in verdicts
    ]


def as_csv(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows with the same columns as CSV text; the same rows give the same text."""
    table = io.StringIO()
    if rows:
        writer = csv.DictWriter(table, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return table.getvalue()
