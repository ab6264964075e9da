"""A paper's claims.toml as claims: every field checked, every mistake named by file, claim and field."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from bench.claims.claim import EVIDENCE, NEVER_REPORTED, Claim
from bench.claims.evidence import DEVICES, NOT_OF_A_CASE
from bench.claims.rules import RULES, SIDES, printed_number
from bench.spec import PROBES, SCALES, Case, UserError, choose

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
            if name not in _CASE_FIELDS | {*NOT_OF_A_CASE}:
                raise wrong(f"measure.{side}.{name}", "is no field of a case")
        if selector.get("device", DEVICES[0]) not in DEVICES:
            raise wrong(f"measure.{side}.device", f"is {selector['device']!r}; known are {'; '.join(DEVICES)}")
        if "metric" not in selector or selector.get("probe") not in PROBES:
            raise wrong(f"measure.{side}", f"names no metric and probe; probes are {', '.join(PROBES)}")
    if measure.get("boasts", SIDES[0]) not in SIDES:
        raise wrong("measure.boasts", f"is {measure['boasts']!r}; known are {'; '.join(SIDES)}")
    if measure["rule"] == "equal":
        try:
            printed_number(claim.printed)
        except ValueError as error:
            raise wrong("printed", str(error)) from None
