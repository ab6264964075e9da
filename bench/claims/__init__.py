"""Reported numbers as data, and verdicts computed from records. No module here imports torch.

A paper's claims.toml holds tables of claims; a claim inherits every field of its table that it does not set itself, and
the tables within a field (conditions, measure) are joined key by key:

    [[table]]
    place = "Table 1"
    unit = "%"
    measure = { rule = "within", select = { probe = "training", metric = "test_accuracy_best" } }

      [[table.claim]]
      id = "cifar10-bptt"
      value = 92.78
      measure = { select = { algorithm = "bptt" } }

``measure`` names a rule (see RULES), its settings and its selectors: required equalities on a record's metric and case;
``options`` asks for equality of the options it names; any other must be at its default unless ``any`` lists it, ``detail`` takes
that entry of the record's detail as the value, ``device = "gpu"`` asks for a GPU; ``over`` names only what differs from
``select``, and where it lists several values of a field, the claim must hold against each. A measure may instead hold
``parts``, a list of measures: the claim is their conjunction (judge.py).

| file | what |
|---|---|
| claim.py | the types: a reported claim and its verdict |
| load.py | claims.toml as claims, every field checked |
| evidence.py | which records are evidence for a claim |
| estimate.py | an estimate with its interval |
| gates.py | which backends may be compared |
| rules | how the evidence decides a claim |
| judge.py | one verdict per claim |
| ledger.py | verdicts as rows, counts and CSV |
"""

from __future__ import annotations

from bench.claims.claim import VERDICTS, Claim, Verdict
from bench.claims.judge import judge
from bench.claims.ledger import as_csv, counts, ledger_rows
from bench.claims.load import load_claims

__all__ = ["VERDICTS", "Claim", "Verdict", "as_csv", "counts", "judge", "ledger_rows", "load_claims"]
