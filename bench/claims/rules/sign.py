"""Rules on the sign of a value or of a change: positive, lowered_by, raised_by."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping

from bench.claims.claim import Claim, Measure
from bench.claims.estimate import of_seeds, sampling_noise
from bench.claims.evidence import Evidence, Group
from bench.claims.rules.finding import Finding, Holds, Missing, capped, worst_of
from bench.claims.rules.numbers import number
from bench.claims.rules.words import short, words_of
from bench.design_space import Cell, cell_of
from bench.record import Record


def positive(claim: Claim, measure: Measure, evidence: Evidence) -> Finding | Missing:
    """Every selected value is > 0, and so is the interval, over the seeds, of each seed's least value.

    "partly" if the interval is > 0 but a single value is not.
    """
    group = evidence.all(measure["select"], claim.scale)
    if group is None:
        return Missing(words_of(measure["select"]))
    by_seed: dict[int, list[float]] = {}
    for record in group.records:
        by_seed.setdefault(record.case["seed"], []).append(number(record))
    least = of_seeds([min(values) for values in by_seed.values()])
    everywhere = min(map(number, group.records))
    holds: Holds = "no" if least.high < 0 else "cannot tell"
    if least.low > 0:
        holds = "yes" if everywhere > 0 else "partly"
    reason = f"least of {len(group.records)} values {short(everywhere)}; least of a seed, over {len(by_seed)} seeds: "
    reason += least.described or short(least.value)
    return capped(Finding(holds, everywhere, reason, group.records, least.spread, len(group.records)), group)


def lowered_by(claim: Claim, measure: Measure, evidence: Evidence) -> Finding | Missing:
    """The cut "time" or "layers" of a design space (see bench/design_space.py) lowers the metric: see ``_changed_by``."""
    return _changed_by(-1, claim, measure, evidence)


def raised_by(claim: Claim, measure: Measure, evidence: Evidence) -> Finding | Missing:
    """The cut raises the metric: see ``_changed_by``."""
    return _changed_by(+1, claim, measure, evidence)


def _changed_by(sign: int, claim: Claim, measure: Measure, evidence: Evidence) -> Finding | Missing:
    """Whether a cut changes the metric in the direction of ``sign``: yes or no if the interval excludes 0.

    Every cell that has the cut is compared with the cell that differs only in it, seed by seed: change = with - without.
    A seed counts once, by its mean change over these pairs of cells: pairs of one seed share cells, initial weights and order of
    samples. The interval is Student's over the seeds, with the noise of the test set, which all cells and seeds share, so that
    averaging does not lower it. The effect size is mean / s over the seeds. At least two seeds are required.
    """
    findings = []
    for group in evidence.grids(measure["select"], claim.scale):
        finding = _change(sign, measure, group)
        if finding is None and group.lost:
            finding = Finding("cannot tell", None, "no pair of cells at two seeds", group.records)
        if finding is not None:
            findings.append(capped(finding, group))
    if not any(finding.measured is not None for finding in findings):
        return Missing(
            f"{words_of(measure['select'])} with and without the cut in {measure['cut']} at the same two seeds or more"
        )
    return worst_of(findings)


def _change(sign: int, measure: Measure, group: Group) -> Finding | None:
    cut = measure["cut"]
    grid: dict[Cell, dict[int, Record]] = {}
    for record in group.records:
        cell = cell_of(record.case)
        assert cell is not None, "others were left out"
        grid.setdefault(cell, {})[record.case["seed"]] = record
    seeds = sorted({seed for runs in grid.values() for seed in runs})
    pairs: list[tuple[Mapping[int, Record], Mapping[int, Record]]] = []
    for cell, runs in grid.items():
        uncut = grid.get(cell.without(cut, next(iter(runs.values())).case["T"]) or cell, {})
        if uncut is not runs and runs.keys() == uncut.keys() == set(seeds):
            pairs.append((runs, uncut))
    if len(seeds) < 2 or not pairs:
        return None
    noise = max(math.hypot(*(sampling_noise(tuple(runs.values())) for runs in pair)) for pair in pairs)
    found = of_seeds([statistics.fmean(number(runs[s]) - number(uncut[s]) for runs, uncut in pairs) for s in seeds], noise)
    holds: Holds = "cannot tell"
    if found.low > 0 or found.high < 0:
        holds = "yes" if sign * found.value > 0 else "no"
    effect = f"effect size {found.value / found.spread:.2f}" if found.spread else "no spread"
    reason = (
        f"change by the cut in {cut} {found.value:+.2f}, 95 % interval {found.low:.2f} to {found.high:.2f}, "
        f"of it {noise:.2f} to either side by the test set's size, n = {len(seeds)} seeds, "
        f"{len(pairs)} pairs of cells each, {effect}"
    )
    used = {id(r): r for pair in pairs for runs in pair for r in runs.values()}
    return Finding(holds, found.value, reason, tuple(used.values()), found.spread, len(seeds))
