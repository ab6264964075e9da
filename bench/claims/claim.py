"""The types: a claim as a paper reports it, and the verdict on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

EVIDENCE = ("abstract", "table, quoted", "authors' notebook", "code", "checked")
NEVER_REPORTED = ("MEM", "DERIVED", "INF")  # source tags of numbers that nobody reported: no claim may use them
VERDICTS = (
    "reproduced",
    "exceeded",
    "partly",
    "cannot tell",
    "not reproduced",
    "not attempted",
    "undecidable",
    "stale",
)

Judgement = Literal["reproduced", "exceeded", "partly", "cannot tell", "not reproduced", "not attempted", "undecidable", "stale"]
Selector = Mapping[str, Any]


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
    conditions: Mapping[str, Any] = field(default_factory=dict)
    measure: Mapping[str, Any] = field(default_factory=dict)

    @property
    def parts(self) -> tuple[Mapping[str, Any], ...]:
        """The measures that decide the claim."""
        return tuple(self.measure.get("parts", [self.measure] if self.measure else []))


@dataclass(frozen=True)
class Part:
    """The result of one measure of a claim: ``measured`` in the claim's unit, ``spread`` over its runs."""

    measure: Mapping[str, Any]
    measured: float | int | str | None
    spread: float | None = None


@dataclass(frozen=True)
class Verdict:
    """The verdict on a claim: ``measured`` in the claim's unit, ``spread`` over ``n`` runs, ``reason`` in words.

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


def text(value: float | int | str | None) -> str:
    """A number for people: floats to 6 significant digits, whole numbers in full, nothing for None."""
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
