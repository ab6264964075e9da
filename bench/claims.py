"""Reported numbers as data, and verdicts computed from records. Nothing here imports torch.

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
``options`` asks for equality of the options it names, ``detail`` takes that entry of the record's detail as the value;
``over`` names only what differs from ``select``.
A measure may instead hold ``parts``, a list of measures: all of them must hold, and some make it "partly".

How evidence is chosen: records of different machines never meet in one number; fresh evidence (made by the code as it
is) beats stale, then the higher scale, then the more recent. Runs that differ in more than the seed are never averaged.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import statistics
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from bench.records import latest
from bench.spec import PROBES, SCALES, Case, Record, UserError, choose

EVIDENCE = ("abstract", "table, quoted", "code", "checked")
NEVER_REPORTED = ("MEM", "DERIVED", "INF")  # source tags of what nobody reported: no claim may stand on them
VERDICTS = ("reproduced", "partly", "not reproduced", "not attempted", "undecidable", "stale")

Judgement = Literal["reproduced", "partly", "not reproduced", "not attempted", "undecidable", "stale"]
Selector = Mapping[str, Any]


@dataclass(frozen=True)
class Claim:
    """One number that a paper reports, or one statement that a number decides.

    ``value``, ``spread`` (standard deviation), ``best`` and ``n`` (runs) as reported, in ``unit``; ``printed`` as it
    stands in the paper. ``tolerance`` is absolute, in ``unit``; ``basis`` says why the rule's bounds are what they are.
    ``scale`` is the least that can decide it, ``needs`` what deciding takes. ``undecidable`` holds the reason where the
    paper does not say enough; such a claim has no rule.
    """

    paper: str
    id: str
    place: str
    statement: str
    quantity: str
    unit: str
    printed: str
    evidence: str
    source: str
    scale: str = "full"
    needs: str = ""
    basis: str = ""
    undecidable: str = ""
    value: float | None = None
    spread: float | None = None
    best: float | None = None
    n: int | None = None
    tolerance: float | None = None
    conditions: Mapping[str, Any] = field(default_factory=dict)
    measure: Mapping[str, Any] = field(default_factory=dict)

    @property
    def parts(self) -> tuple[Mapping[str, Any], ...]:
        """The measures that decide it."""
        return tuple(self.measure.get("parts", [self.measure] if self.measure else []))


@dataclass(frozen=True)
class Verdict:
    """What our evidence says of a claim: ``measured`` in the claim's unit, ``spread`` over ``n`` runs, why in words."""

    claim: Claim
    verdict: Judgement
    measured: float | int | str | None
    reason: str
    spread: float | None = None
    n: int = 0
    evidence_scale: str = ""
    machine: str = ""
    keys: tuple[str, ...] = ()


# --------------------------------------------------------------------------- rules


@dataclass(frozen=True)
class Finding:
    """What a rule found on the evidence of one machine."""

    holds: Literal["yes", "partly", "no"]
    measured: float | int | str
    reason: str
    records: tuple[Record, ...]
    spread: float | None = None
    n: int = 1


@dataclass(frozen=True)
class Missing:
    """A rule lacks evidence; ``what`` says which."""

    what: str


class Evidence:
    """Successful records of one machine, and the ways to select from them."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._by_metric: dict[str, list[Record]] = {}
        for record in records:
            self._by_metric.setdefault(record.metric, []).append(record)

    def all(self, selector: Selector) -> list[Record]:
        """Every record that the selector matches; with ``detail``, as records of that entry alone."""
        found = [r for r in self._by_metric.get(selector["metric"], []) if matches(selector, r)]
        entry = selector.get("detail")
        if entry is None:
            return found
        return [replace(r, value=r.detail[entry]) for r in found if entry in r.detail]

    def series(self, selector: Selector, along: str, scale: str) -> list[Record]:
        """Records that differ in ``along`` alone, in its order: of all series that reach ``scale``, the one that goes
        highest, then the most recent."""
        series: dict[str, list[Record]] = {}
        for record in self.all(selector):
            rest = {name: value for name, value in record.case.items() if name not in (along, "scale")}
            series.setdefault(json.dumps(rest, sort_keys=True), []).append(record)
        deciding = [item for item in series.items() if _rank(item[1])[0] >= SCALES.index(scale)]
        best = max(deciding, key=lambda item: (*_rank(item[1]), item[0]), default=("", []))
        return sorted(best[1], key=lambda record: record.case[along])


def matches(selector: Selector, record: Record) -> bool:
    for name, wanted in selector.items():
        if name == "metric":
            if record.metric != wanted:
                return False
        elif name == "options":
            if any(record.case["options"].get(option) != value for option, value in wanted.items()):
                return False
        elif name != "detail" and record.case.get(name) != wanted:
            return False
    return True


def within(claim: Claim, measure: Mapping[str, Any], evidence: Evidence) -> Finding | Missing:
    """|m - value| <= tolerance, m = factor * (mean over seeds of ``select`` [less the mean of ``over``]).

    ``partly``: a wider tolerance that makes it "partly". Fewer runs than reported make it "partly" too.
    """
    assert claim.value is not None, "load_claims asks for it"
    assert claim.tolerance is not None, "load_claims asks for it"
    minuend = _runs(claim, measure["select"], evidence)
    if isinstance(minuend, Missing):
        return minuend
    subtrahend = _runs(claim, measure["over"], evidence) if "over" in measure else None
    if isinstance(subtrahend, Missing):
        return subtrahend
    factor = measure.get("factor", 1)
    mean = factor * (minuend.mean - (subtrahend.mean if subtrahend else 0))
    spread = factor * minuend.spread if minuend.spread is not None and not subtrahend else None
    off = round(abs(mean - claim.value), 9)
    reason = f"{_short(mean)} against {claim.printed} {claim.unit}: "
    reason += f"{_short(off)} apart, {_short(claim.tolerance)} allowed"
    runs = len(minuend.records)
    holds: Literal["yes", "partly", "no"] = "no"
    if off <= claim.tolerance:
        holds = "yes"
    elif off <= measure.get("partly", claim.tolerance):
        holds, reason = "partly", f"{reason}, {_short(measure['partly'])} for partly"
    if claim.best is not None:
        reason += f"; best run {_short(factor * max(map(_number, minuend.records)))} against {_short(claim.best)}"
    if holds == "yes" and claim.n and runs < claim.n:
        holds, reason = "partly", f"{reason}; {runs} of the {claim.n} runs reported"
    return Finding(holds, mean, reason, (*minuend.records, *(subtrahend.records if subtrahend else ())), spread, runs)


def ratio(claim: Claim, measure: Mapping[str, Any], evidence: Evidence) -> Finding | Missing:
    """low <= mean(select) / mean(over) <= high."""
    top, bottom = _runs(claim, measure["select"], evidence), _runs(claim, measure["over"], evidence)
    if isinstance(top, Missing):
        return top
    if isinstance(bottom, Missing):
        return bottom
    low, high = measure["low"], measure["high"]
    value = top.mean / bottom.mean if bottom.mean else math.inf
    reason = f"ratio {_short(value)}, {_short(low)} to {_short(high)} allowed ({_sides(measure)})"
    holds: Literal["yes", "no"] = "yes" if low <= value <= high else "no"
    return Finding(holds, value, reason, (*top.records, *bottom.records), n=len(top.records))


def at_least(claim: Claim, measure: Mapping[str, Any], evidence: Evidence) -> Finding | Missing:
    """mean(select) - mean(over) >= value - tolerance, either 0 where the claim gives none."""
    left, right = _runs(claim, measure["select"], evidence), _runs(claim, measure["over"], evidence)
    if isinstance(left, Missing):
        return left
    if isinstance(right, Missing):
        return right
    least = round((claim.value or 0) - (claim.tolerance or 0), 9)
    value = round(left.mean - right.mean, 9)
    reason = f"difference {_short(value)}, at least {_short(least)} asked ({_sides(measure)})"
    return Finding(
        "yes" if value >= least else "no", value, reason, (*left.records, *right.records), n=len(left.records)
    )


def equal(claim: Claim, measure: Mapping[str, Any], evidence: Evidence) -> Finding | Missing:
    """The measured number, rounded to the precision printed ("9.2M": tenths of a million), is the one printed."""
    runs = _runs(claim, measure["select"], evidence)
    if isinstance(runs, Missing):
        return runs
    printed, places, unit = printed_number(claim.printed)
    record = max(runs.records, key=lambda r: r.when)
    measured = record.value
    if not isinstance(measured, int | float):
        raise UserError(f"claim {claim.id}: rule equal takes numbers, the record {record.key} holds {measured!r}")
    rounded = round(Decimal(str(measured)) / unit, places)
    reason = f"{measured} rounds to {rounded * unit:f}".removesuffix(".0") + f", printed {claim.printed}"
    return Finding("yes" if rounded == printed else "no", measured, reason, (record,))


def flat_in_T(claim: Claim, measure: Mapping[str, Any], evidence: Evidence) -> Finding | Missing:
    """All values from T = from_T to to_T are the same, exactly; both ends and a point between must be measured."""
    points = _over_T(claim, measure, evidence)
    if isinstance(points, Missing):
        return points
    values = [_exact(r) for r in points]
    growth = max(values) - min(values)
    told = f"{len(points)} points from T = {points[0].case['T']} to {points[-1].case['T']}"
    reason = f"{told}: {'the same in all' if growth == 0 else f'differs by {_short(float(growth))}'} ({_who(measure)})"
    return Finding("yes" if growth == 0 else "no", _whole(growth), reason, tuple(points), n=len(points))


def affine_in_T(claim: Claim, measure: Mapping[str, Any], evidence: Evidence) -> Finding | Missing:
    """The slope between neighbours T is the same positive number everywhere, exactly; ends as in flat_in_T."""
    points = _over_T(claim, measure, evidence)
    if isinstance(points, Missing):
        return points
    slopes = [(_exact(b) - _exact(a)) / (b.case["T"] - a.case["T"]) for a, b in pairwise(points)]
    told = f"{len(points)} points from T = {points[0].case['T']} to {points[-1].case['T']}"
    if len(set(slopes)) > 1:
        reason = f"{told}: the slope varies from {_short(float(min(slopes)))} to {_short(float(max(slopes)))}"
        return Finding("no", f"{_short(float(min(slopes)))} to {_short(float(max(slopes)))}", reason, tuple(points))
    reason = f"{told}: exactly {_whole(slopes[0])} a step ({_who(measure)})"
    return Finding("yes" if slopes[0] > 0 else "no", _whole(slopes[0]), reason, tuple(points), n=len(points))


def positive(claim: Claim, measure: Mapping[str, Any], evidence: Evidence) -> Finding | Missing:
    """Every selected value is > 0; the least is shown."""
    found = evidence.all(measure["select"])
    if not found or _rank(found)[0] < SCALES.index(claim.scale):
        return Missing(_words(measure["select"]))
    least = min(map(_number, found), key=lambda value: -math.inf if math.isnan(value) else value)
    holds: Literal["yes", "no"] = "yes" if least > 0 else "no"
    return Finding(holds, least, f"least of {len(found)} values: {_short(least)}", tuple(found), n=len(found))


@dataclass(frozen=True)
class Rule:
    """A rule and what it takes: settings of ``measure`` that it must or may have, fields that the claim must have."""

    find: Callable[[Claim, Mapping[str, Any], Evidence], Finding | Missing]
    must: tuple[str, ...] = ("select",)
    may: tuple[str, ...] = ()
    of_claim: tuple[str, ...] = ()


RULES = {
    "within": Rule(within, may=("over", "factor", "partly"), of_claim=("value", "tolerance")),
    "ratio": Rule(ratio, ("select", "over", "low", "high")),
    "equal": Rule(equal, of_claim=("value",)),
    "flat_in_T": Rule(flat_in_T, ("select", "from_T", "to_T")),
    "affine_in_T": Rule(affine_in_T, ("select", "from_T", "to_T")),
    "at_least": Rule(at_least, ("select", "over")),
    "positive": Rule(positive),
}


@dataclass(frozen=True)
class _Runs:
    records: tuple[Record, ...]
    mean: float
    spread: float | None


def _runs(claim: Claim, selector: Selector, evidence: Evidence) -> _Runs | Missing:
    """The runs of one case over its seeds."""
    records = evidence.series(selector, "seed", claim.scale)
    if not records:
        return Missing(_words(selector))
    values = [_number(record) for record in records]
    finite = all(map(math.isfinite, values))
    mean = statistics.fmean(values) if finite else math.nan
    spread = statistics.stdev(values) if finite and len(values) > 1 else None
    return _Runs(tuple(records), mean, spread)


def _over_T(claim: Claim, measure: Mapping[str, Any], evidence: Evidence) -> list[Record] | Missing:
    first, last = measure["from_T"], measure["to_T"]
    points = [r for r in evidence.series(measure["select"], "T", claim.scale) if first <= r.case["T"] <= last]
    steps = [r.case["T"] for r in points]
    if len(points) < 3 or steps[0] != first or steps[-1] != last:
        return Missing(f"{_words(measure['select'])} at T = {first}, {last} and between (there: {steps or 'none'})")
    return points


def _number(record: Record) -> float:
    """A record's value as a float; 'nan' and 'inf' are what a diverged run leaves."""
    try:
        return float(record.value)  # type: ignore[arg-type]  # None and words are told below
    except (TypeError, ValueError):
        raise UserError(
            f"the rule takes numbers, {record.metric} of {record.key} is {record.value!r}: choose another metric"
        ) from None


def _exact(record: Record) -> Fraction:
    value = record.value
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"an exact rule takes numbers, {record.metric} of {record.key} is {record.value!r}")
    return Fraction(value)


def printed_number(text: str) -> tuple[Decimal, int, int]:
    """(number, decimal places, unit) of a number as printed: "9.2M" is (9.2, 1, 1000000).

    A spread after it, as in "93.52±0.06", is left aside. Raises ValueError where the text begins with no number.
    """
    found = re.match(r"≈?\s*([+-]?\d+(?:\.(\d+))?)\s*([kMG]?)\b", text)
    if found is None:
        raise ValueError(f"{text!r} does not begin with a number")
    units = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
    return Decimal(found[1]), len(found[2] or ""), units[found[3]]


def _whole(value: Fraction) -> int | float:
    return value.numerator if value.denominator == 1 else float(value)


def _short(number: float) -> str:
    value = float(number)
    return f"{value:,.0f}" if value.is_integer() and abs(value) >= 1e4 else f"{value:.6g}"


def _words(selector: Selector) -> str:
    names = ("metric", "dataset", "network", "algorithm", "backend")
    words = [str(selector[name]) for name in names if selector.get(name, "none") != "none"]
    words += [f"{name} {selector[name]}" for name in ("T", "batch", "detail") if name in selector]
    return ", ".join([*words, *(f"{name} {value}" for name, value in selector.get("options", {}).items())])


def _who(measure: Mapping[str, Any]) -> str:
    select = measure["select"]
    return " on ".join(str(select[name]) for name in ("algorithm", "backend") if name in select)


def _sides(measure: Mapping[str, Any]) -> str:
    """What is set against what, told by the fields in which the two selectors differ."""
    left, right = measure["select"], measure["over"]
    differ = [name for name in {**left, **right} if left.get(name) != right.get(name)]
    return " against ".join(" ".join(str(side.get(name, "any")) for name in differ) for side in (left, right))


# --------------------------------------------------------------------------- judge


@dataclass(frozen=True)
class _Candidate:
    rank: tuple[bool, int, str, str]  # fresh, scale, when, machine: the greatest is believed
    verdict: Verdict


def judge(claims: Sequence[Claim], records: Iterable[Record], fresh: Callable[[Record], bool]) -> list[Verdict]:
    """One verdict a claim, in the order of the claims. ``fresh`` says whether today's code would make the record so."""
    current = latest(records)
    by_machine: dict[str, list[tuple[Record, bool]]] = {}
    for record in current:
        if record.status == "ok":
            by_machine.setdefault(record.machine, []).append((record, fresh(record)))
    evidence = {
        machine: (Evidence(r for r, is_fresh in known if is_fresh), Evidence(r for r, _ in known))
        for machine, known in by_machine.items()
    }
    return [_judge(claim, evidence, current) for claim in claims]


def _judge(claim: Claim, evidence: Mapping[str, tuple[Evidence, Evidence]], current: Sequence[Record]) -> Verdict:
    if claim.undecidable:
        return Verdict(claim, "undecidable", None, claim.undecidable)
    candidates: list[_Candidate] = []
    for machine, (new, whole) in evidence.items():
        for is_fresh, pool in ((True, new), (False, whole)):
            verdict = _on_one_machine(claim, machine, is_fresh, pool)
            if isinstance(verdict, _Candidate):
                candidates.append(verdict)
                break
    if not candidates:
        return Verdict(claim, "not attempted", None, _why_not(claim, current))
    best = max(candidates, key=lambda candidate: candidate.rank)
    others = [
        f"{c.verdict.machine}: {c.verdict.verdict}"
        for c in sorted(candidates, key=lambda c: c.verdict.machine)
        if c.verdict.verdict != best.verdict.verdict and c.verdict.verdict != "stale"
    ]
    if not others:
        return best.verdict
    return replace(best.verdict, reason=f"{best.verdict.reason}. On other machines: {', '.join(others)}")


def _on_one_machine(claim: Claim, machine: str, is_fresh: bool, evidence: Evidence) -> _Candidate | Missing:
    found = [RULES[part["rule"]].find(claim, part, evidence) for part in claim.parts]
    findings = [f for f in found if isinstance(f, Finding)]
    missing = [f.what for f in found if isinstance(f, Missing)]
    if not findings:
        return Missing("; ".join(missing))
    verdict: Judgement = "partly"
    if not missing and all(f.holds == "yes" for f in findings):
        verdict = "reproduced"
    elif all(f.holds == "no" for f in findings):
        verdict = "not reproduced"
    reason = "; ".join([f.reason for f in findings] + [f"not measured: {what}" for what in missing])
    used = [record for finding in findings for record in finding.records]
    if verdict == "reproduced" and any(r.detail.get("kind") == "simulated" for r in used):
        verdict, reason = "partly", f"{reason}; on simulated data"
    if not is_fresh:
        verdict, reason = "stale", f"the code has changed since it was measured; then: {reason}"
    scale, when = _rank(used)
    one = findings[0] if len(claim.parts) == 1 else None
    return _Candidate(
        (is_fresh, scale, when, machine),
        Verdict(
            claim,
            verdict,
            one.measured if one else "; ".join(_text(f.measured) for f in findings),
            reason,
            one.spread if one else None,
            one.n if one else sum(f.n for f in findings),
            SCALES[scale],
            machine,
            tuple(sorted({record.key for record in used})),
        ),
    )


def _why_not(claim: Claim, current: Sequence[Record]) -> str:
    """What stood in the way, of what was tried; what deciding takes, in any case."""
    selectors = [part[side] for part in claim.parts for side in ("select", "over") if side in part]
    of_case = [{name: value for name, value in selector.items() if name != "metric"} for selector in selectors]
    failed = [r for r in current if r.status != "ok" and any(matches(s, r) for s in of_case)]
    reasons = list(dict.fromkeys(f"{r.status}: {r.reason}" for r in failed))
    weaker = {
        r.case["scale"] for r in current
        if r.status == "ok" and SCALES.index(r.case["scale"]) < SCALES.index(claim.scale)
        and any(matches(s, r) for s in selectors)
    }  # fmt: skip
    if weaker:
        reasons.append(f"what was measured at scale {max(weaker, key=SCALES.index)} cannot decide it")
    if claim.needs:
        reasons.append(f"needs {claim.needs}")
    return "; ".join(reasons) or f"no record at scale {claim.scale}"


def _rank(records: Sequence[Record]) -> tuple[int, str]:
    return max(SCALES.index(r.case["scale"]) for r in records), max(r.when for r in records)


# --------------------------------------------------------------------------- ledger


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
            "reported": _text(v.claim.value),
            "verdict": v.verdict,
            "measured": _text(v.measured),
            "spread": _text(v.spread),
            "n": str(v.n),
            "reason": v.reason,
            "tolerance": _text(v.claim.tolerance),
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
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(rows, key=lambda row: row["paper"]))
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(text.getvalue().encode())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise UserError(f"cannot write {path}: {error.strerror}; free some space or mend the permissions") from error


def _text(value: float | int | str | None) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


# --------------------------------------------------------------------------- load

_CLAIM_FIELDS = {f.name: f for f in fields(Claim) if f.name != "paper"}
_REQUIRED = [name for name, f in _CLAIM_FIELDS.items() if f.default is MISSING and f.default_factory is MISSING]
_CASE_FIELDS = {f.name for f in fields(Case)} - {"paper", "scale"}


def load_claims(paper_dir: Path) -> list[Claim]:
    """The claims of reproductions/<paper>/claims.toml, in order. UserError names the file, the claim and the field."""
    path = paper_dir / "claims.toml"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; a paper's claims stand there") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no TOML: {error}") from None
    claims = []
    for table in content.get("table", []):
        shared = {name: value for name, value in table.items() if name != "claim"}
        claims += [_claim(path, paper_dir.name, _joined(shared, own)) for own in table.get("claim", [])]
    twice = [name for name, times in Counter(claim.id for claim in claims).items() if times > 1]
    if twice:
        raise UserError(f"{path}: id {', '.join(twice)} stands twice; give each claim its own")
    return claims


def _joined(shared: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """``own`` over ``shared``, tables joined key by key. Parts inherit the measure around them."""
    joined = dict(shared)
    for name, value in own.items():
        known = joined.get(name)
        joined[name] = _joined(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return joined


def _complete(measure: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` with all that it shares with ``select``."""
    if "over" not in measure or "select" not in measure:
        return dict(measure)
    return {**measure, "over": _joined(measure["select"], measure["over"])}


def _claim(path: Path, paper: str, content: Mapping[str, Any]) -> Claim:
    def wrong(name: str, problem: str) -> UserError:
        return UserError(f"{path}, claim {content.get('id', '(no id)')}, field {name}: {problem}")

    for name in content:
        if name not in _CLAIM_FIELDS:
            raise wrong(name, f"unknown; known are {', '.join(_CLAIM_FIELDS)}")
    for name in _REQUIRED:
        if not isinstance(content.get(name), str) or not content[name]:
            raise wrong(name, f"is {content.get(name)!r}; a text is required")
    for name in ("value", "spread", "best", "tolerance"):
        if not isinstance(content.get(name, 0), int | float):
            raise wrong(name, f"is {content[name]!r}; a number is required")
    measure = _complete(content.get("measure", {}))
    if "parts" in measure:
        around = {name: value for name, value in measure.items() if name != "parts"}
        measure = {"parts": [_complete(_joined(around, part)) for part in measure["parts"]]}
    claim = Claim(paper=paper, **{**content, "measure": {} if content.get("undecidable") else measure})
    for name, value, known in (("evidence", claim.evidence, EVIDENCE), ("scale", claim.scale, SCALES)):
        if value not in known:
            raise wrong(name, f"is {value!r}; known are {'; '.join(known)}")
    never = [tag for tag in re.findall(r"\w+", claim.source) if tag in NEVER_REPORTED]
    if never or "unverified" in claim.source:
        raise wrong("source", f"{claim.source!r} is no report of the paper; leave the number out")
    if claim.undecidable:
        return claim
    if not claim.parts:
        raise wrong("measure", "there is neither a rule nor a reason under undecidable; no claim passes silently")
    if not claim.basis:
        raise wrong("basis", "a rule without a reason for its bounds passes anything; say where they come from")
    for part in claim.parts:
        _check(claim, part, wrong)
    return claim


def _check(claim: Claim, measure: Mapping[str, Any], wrong: Callable[[str, str], UserError]) -> None:
    try:
        rule = RULES[choose("rule", str(measure.get("rule", "")), RULES)]
    except UserError as error:
        raise wrong("measure.rule", str(error)) from None
    for name in rule.must:
        if name not in measure:
            raise wrong(f"measure.{name}", f"rule {measure['rule']} needs it")
    for name in measure:
        if name not in ("rule", *rule.must, *rule.may):
            raise wrong(f"measure.{name}", f"rule {measure['rule']} does not know it")
    for name in rule.of_claim:
        if getattr(claim, name) is None:
            raise wrong(name, f"rule {measure['rule']} needs it")
    for side in ("select", "over"):
        selector = measure.get(side, {"probe": "count", "metric": ""})
        for name in selector:
            if name not in _CASE_FIELDS | {"metric", "detail"}:
                raise wrong(f"measure.{side}.{name}", "is no field of a case")
        if "metric" not in selector or selector.get("probe") not in PROBES:
            raise wrong(f"measure.{side}", f"names no metric and probe; probes are {', '.join(PROBES)}")
    if measure["rule"] == "equal":
        try:
            printed_number(claim.printed)
        except ValueError as error:
            raise wrong("printed", str(error)) from None
