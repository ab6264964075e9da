"""The types: a claim as a paper reports it, and the verdict on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Literal, TypedDict, cast, get_args

from bench.design_space import Cut

EVIDENCE = ("abstract", "table, quoted", "authors' notebook", "code", "checked", "own goal")
NEVER_REPORTED = ("MEM", "DERIVED", "INF")  # source tags of numbers that nobody reported: no claim may use them
SIDES: tuple[Literal["select", "over"], ...] = ("select", "over")  # of a comparison

Judgement = Literal["reproduced", "exceeded", "partly", "cannot tell", "not reproduced", "not attempted", "undecidable", "stale"]
VERDICTS: tuple[Judgement, ...] = get_args(Judgement)
Direction = Literal["more", "less"]  # the side to which a claim may be exceeded
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)


class Selector(TypedDict, total=False):
    """Which records are asked for: equalities on a record's metric and case; see the package's docstring."""

    probe: str
    metric: str
    dataset: str
    draws: Sequence[str]
    network: str
    algorithm: str
    backend: str
    T: int
    batch: int
    seed: int
    options: Mapping[str, object]
    any: Sequence[str]
    detail: str
    device: str


class Measure(TypedDict, total=False):
    """A rule with its selectors and settings (which of them it must and may have: see ``rules.RULES``), or ``parts`` alone."""

    rule: str
    select: Selector
    over: Selector
    low: float
    high: float
    factor: float
    partly: float
    direction: Direction
    from_T: int
    to_T: int
    cut: Cut
    algorithm: str
    family: str
    reports: Mapping[str, Sequence[float]]
    parts: Sequence[Measure]


def selectors(measures: Sequence[Measure]) -> list[Selector]:
    return [measure[side] for measure in measures for side in SIDES if side in measure]


@dataclass(frozen=True)
class Claim:
    """One number that a paper reports, or one statement that a number decides.

    ``value``, ``spread`` (standard deviation), ``best`` and ``n`` (runs) as reported, in ``unit``; ``printed`` as
    in the paper. ``tolerance`` is absolute, in ``unit``; ``basis`` says why the rule's bounds are what they are.
    ``scale`` is that of the planned cases which decide it, ``needs`` what is needed to decide it. ``assumed`` names
    what the paper does not state and we assume ("networks"): such a claim is "partly" at best. ``undecidable`` holds
    the reason where the paper does not say enough; such a claim has no rule.
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
    assumed: str = ""
    undecidable: str = ""
    value: float | None = None
    spread: float | None = None
    best: float | None = None
    n: int | None = None
    tolerance: float | None = None
    conditions: Mapping[str, object] = field(default_factory=dict)
    measure: Measure = field(default_factory=lambda: Measure())

    @property
    def parts(self) -> tuple[Measure, ...]:
        """The measures that decide the claim."""
        return tuple(self.measure.get("parts", [self.measure] if self.measure else []))


def alternatives(measure: Measure) -> list[Measure]:
    """Expand a measure whose ``over`` lists several values of a field into one measure for each value."""
    over: Mapping[str, object] = measure.get("over", {})
    several = {name: values for name, values in over.items() if isinstance(values, list) and name not in ("any", "draws")}
    chosen = [dict(zip(several, values, strict=True)) for values in product(*several.values())]
    return [cast("Measure", {**measure, "over": {**over, **each}}) for each in chosen] if several else [measure]


@dataclass(frozen=True)
class Part:
    """The result of one measure of a claim: ``measured`` in the claim's unit, ``spread`` over its runs, ``reason`` in words."""

    measure: Measure
    measured: float | int | str | None
    spread: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Verdict:
    """The verdict on a claim: ``measured`` in the claim's unit, ``spread`` over ``n`` runs, ``reason`` in words,
    ``in_short`` the same without the details of many parts.

    ``machine`` and ``device`` measured it, the last of its records at ``when`` (ISO 8601); ``runs`` are the calls of the run
    command that its records come from, ``keys`` the cases, ``parts`` the measures that were taken, in the claim's order.
    """

    claim: Claim
    verdict: Judgement
    measured: float | int | str | None
    reason: str
    spread: float | None = None
    n: int = 0
    evidence_scale: str = ""
    machine: str = ""
    device: str = ""
    when: str = ""
    runs: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    in_short: str = ""


def text(value: float | int | str | None) -> str:
    """A number as text: floats to 6 significant digits, whole numbers in full, an empty text for None."""
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
