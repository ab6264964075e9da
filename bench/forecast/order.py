"""The order of a run that has a limited time: most claims decided per second first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.case import Case
from bench.forecast.deciding import ClaimId


def by_claims_per_second(
    cases: Sequence[Case], seconds: Mapping[str, float], needed: Mapping[ClaimId, frozenset[str]], done: frozenset[str]
) -> list[Case]:
    """Return ``cases`` in the order in which to measure them.

    ``seconds``: the forecast of each case by its key; ``needed``: the keys that each claim needs; ``done``: those measured.
    Step by step, the cases of that claim come next which bring most claims per second: all claims count that have all of their
    cases then. Of a claim that also needs cases which are neither done nor in ``cases`` only that share counts which can be had.
    Cases of no claim come last. Short ones are first among equals; ties are broken by the order of claims and cases.
    """
    by_key = {case.key: case for case in cases}
    open_ = {claim: keys & frozenset(by_key) for claim, keys in needed.items()}
    worth = {claim: (len(keys & done) + len(open_[claim])) / len(keys) for claim, keys in needed.items()}
    ordered: list[str] = []
    while rest := {claim: keys for claim, keys in open_.items() if keys}:
        bundles = list(dict.fromkeys(rest.values()))
        best = max(
            bundles,
            key=lambda bundle: (
                sum(worth[claim] for claim, keys in rest.items() if keys <= bundle)
                / max(sum(seconds[key] for key in sorted(bundle)), 1e-9)
            ),
        )
        ordered += sorted(best, key=lambda key: (seconds[key], key))
        open_ = {claim: keys - best for claim, keys in rest.items()}
    of_no_claim = sorted(by_key.keys() - set(ordered), key=lambda key: (seconds[key], key))
    return [by_key[key] for key in (*ordered, *of_no_claim)]
