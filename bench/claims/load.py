"""A paper's claims.toml as claims: every field checked, every mistake named by file, claim and field."""

from __future__ import annotations

import math
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from fractions import Fraction
from pathlib import Path
from typing import TypeGuard

from bench.case import SCALES, Case
from bench.claims.claim import DIRECTIONS, EVIDENCE, NEVER_REPORTED, SIDES, Claim, Measure
from bench.claims.evidence import DEVICES, NOT_OF_A_CASE, finite
from bench.claims.rules import RULES, printed_number
from bench.design_space import CUTS
from bench.errors import UserError, choose
from bench.json_object import Json
from bench.registry import DATA_SETS, PROBES

_CLAIM_FIELDS = {f.name: f for f in fields(Claim) if f.name != "paper"}
_REQUIRED = [name for name, f in _CLAIM_FIELDS.items() if f.default is MISSING and f.default_factory is MISSING]

Allowed = tuple[Callable[[object], bool], str]  # whether a value is allowed, and in words which values are


def _number(value: object, least: float = -math.inf) -> bool:
    return finite(value) and value >= least


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _printed(text: object) -> Fraction | None:
    try:
        number, _, unit = printed_number(str(text))
    except ValueError:
        return None
    return Fraction(number) * unit


def _reports(value: object) -> bool:
    pairs = list(value.values()) if isinstance(value, Mapping) else []
    return bool(pairs) and all(
        isinstance(pair, list) and len(pair) == 2 and _number(pair[0]) and _number(pair[1], 0) for pair in pairs
    )


_TEXT: Allowed = (lambda value: isinstance(value, str), "a text")
_TABLE: Allowed = (lambda value: isinstance(value, Mapping), "a table")
_COUNT: Allowed = (_count, "a whole number >= 1")
_NUMBER: Allowed = (_number, "a finite number")
_SETTINGS: Mapping[str, Allowed] = {  # of a measure
    "rule": _TEXT, "select": _TABLE, "over": _TABLE, "low": _NUMBER, "high": _NUMBER, "from_T": _COUNT, "to_T": _COUNT,
    "factor": (lambda value: _number(value) and value != 0, "a finite number other than 0"),
    "partly": (lambda value: _number(value, 0), "a finite number >= 0"),
    "direction": (lambda value: value in DIRECTIONS, " or ".join(DIRECTIONS)),
    "cut": (lambda value: value in CUTS, " or ".join(CUTS)),
    "algorithm": _TEXT, "family": _TEXT, "reports": (_reports, "a table of [value, tolerance >= 0]"),
}  # fmt: skip
_TEXTS: Allowed = (
    lambda value: isinstance(value, str) or (bool(value) and _SELECTED["any"][0](value)),
    "a text, or a list of texts of which each is compared",
)
_SELECTED: Mapping[str, Allowed] = {  # of a selector; all others are texts
    "T": _COUNT, "batch": _COUNT, "seed": (lambda value: type(value) is int, "a whole number"), "options": _TABLE,
    "any": (lambda value: isinstance(value, list) and all(isinstance(each, str) for each in value), "a list of texts"),
    "draws": (
        lambda value: isinstance(value, list) and len(value) > 1 and all(each in DATA_SETS for each in value),
        "a list of two known data sets or more, draws of one definition, in the place of dataset",
    ),
}  # fmt: skip
_CASE_FIELDS = {f.name for f in fields(Case)} - {"paper", "scale"}


def load_claims(paper_dir: Path) -> list[Claim]:
    """The claims of reproductions/<paper>/claims.toml, in order. UserError names the file, the claim and the field."""
    path = paper_dir / "claims.toml"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; a paper's claims belong there") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid TOML: {error}") from None
    claims = []
    for table in _tables(path, content, "table"):
        of_table = {name: value for name, value in table.items() if name != "claim"}
        claims += [_claim(path, paper_dir.name, _joined(of_table, of_claim)) for of_claim in _tables(path, table, "claim")]
    if set(content) != {"table"} or (content["table"] and not claims):
        raise UserError(
            f"{path}: write at least one [[table.claim]] in a [[table]], and nothing outside the tables; "
            "table = [] says that the paper has no claims"
        )
    twice = [name for name, times in Counter(claim.id for claim in claims).items() if times > 1]
    if twice:
        raise UserError(f"{path}: id {', '.join(twice)} occurs twice; give each claim its own")
    return claims


def _is_tables(value: object) -> TypeGuard[list[Mapping[str, object]]]:
    return isinstance(value, list) and all(isinstance(each, Mapping) for each in value)


def _tables(path: Path, content: Mapping[str, object], name: str) -> list[Mapping[str, object]]:
    found = content.get(name, [])
    if not _is_tables(found):
        raise UserError(f"{path}: {name} is {found!r}; write [[{'table' if name == 'table' else 'table.claim'}]]")
    return found


def _joined(outer: Mapping[str, object], inner: Mapping[str, object]) -> dict[str, object]:
    """``inner`` over ``outer``, tables joined key by key. Parts inherit the measure around them."""
    joined = dict(outer)
    for name, value in inner.items():
        known = joined.get(name)
        joined[name] = _joined(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return joined


def _complete(measure: Mapping[str, object]) -> dict[str, object]:
    """``over`` with all that it shares with ``select``."""
    select, over = (measure.get(side) for side in SIDES)
    if not isinstance(select, Mapping) or not isinstance(over, Mapping):
        return dict(measure)
    return {**measure, "over": _joined(select, over)}


def _claim(path: Path, paper: str, content: Json) -> Claim:
    def wrong(name: str, problem: str) -> UserError:
        return UserError(f"{path}, claim {content.get('id', '(no id)')}, field {name}: {problem}")

    for name in content:
        if name not in _CLAIM_FIELDS:
            raise wrong(name, f"unknown; known are {', '.join(_CLAIM_FIELDS)}")
    for name in _REQUIRED:
        if not isinstance(content.get(name), str) or not content[name]:
            raise wrong(name, f"is {content.get(name)!r}; a text is required")
    for name in ("basis", "assumed", "undecidable", "needs"):
        if not isinstance(content.get(name, ""), str):
            raise wrong(name, f"is {content[name]!r}; a text is required")
    for name, least in (("value", -math.inf), ("best", -math.inf), ("spread", 0), ("tolerance", 0)):
        if not _number(content.get(name, 0), least):
            raise wrong(name, f"is {content[name]!r}; a number is required, finite{' and >= 0' if least == 0 else ''}")
    if not _count(content.get("n", 1)):
        raise wrong("n", f"is {content['n']!r}; a whole number >= 1 is required")
    for name in ("conditions", "measure"):
        if not isinstance(content.get(name, {}), Mapping):
            raise wrong(name, f"is {content[name]!r}; a table is required")
    if "value" in content and _printed(content["printed"]) not in (None, Fraction(str(content["value"]))):
        raise wrong("value", f"is {content['value']}, and printed is {content['printed']}")
    measure = _complete(content.get("measure", {}))
    if "parts" in measure:
        parts = measure.pop("parts")
        if not _is_tables(parts):
            raise wrong("measure.parts", f"is {parts!r}; a list of tables is required")
        measure = {"parts": [_complete(_joined(measure, part)) for part in parts]}
    claim = Claim(paper=paper, **{**content, "measure": {} if content.get("undecidable") else measure})
    for name, value, known in (("evidence", claim.evidence, EVIDENCE), ("scale", claim.scale, SCALES)):
        if value not in known:
            raise wrong(name, f"is {value!r}; known are {'; '.join(known)}")
    never = [tag for tag in re.findall(r"\w+", claim.source) if tag in NEVER_REPORTED]
    if never or "unverified" in claim.source:
        raise wrong("source", f"{claim.source!r} is not a report of the paper; leave the number out")
    if claim.undecidable:
        return claim
    if not claim.parts:
        raise wrong("measure", "there is neither a rule nor a reason under undecidable; give one of them")
    if not claim.basis:
        raise wrong("basis", "is missing; state where the bounds of the rule come from")
    for part in claim.parts:
        _check(claim, part, wrong)
    return claim


def _check(claim: Claim, measure: Measure, wrong: Callable[[str, str], UserError]) -> None:
    settings: Mapping[str, object] = measure
    try:
        rule = RULES[choose("rule", str(measure.get("rule", "")), RULES)]
    except UserError as error:
        raise wrong("measure.rule", str(error)) from None
    for name in rule.must:
        if name not in settings:
            raise wrong(f"measure.{name}", f"rule {measure['rule']} needs it")
    for name in settings:
        if name not in ("rule", *rule.must, *rule.may):
            raise wrong(f"measure.{name}", f"rule {measure['rule']} does not know it")
    for name, value in settings.items():
        allowed, words = _SETTINGS[name]
        if not allowed(value):
            raise wrong(f"measure.{name}", f"is {value!r}; {words} is required")
    for name in rule.of_claim:
        if getattr(claim, name) is None:
            raise wrong(name, f"rule {measure['rule']} needs it")
    if "low" in measure and measure["low"] > measure["high"]:
        raise wrong("measure.low", f"is {measure['low']}, above high = {measure['high']}")
    if "from_T" in measure and measure["from_T"] > measure["to_T"]:
        raise wrong("measure.from_T", f"is {measure['from_T']}, above to_T = {measure['to_T']}")
    if measure.get("partly", math.inf) < (claim.tolerance or 0):
        raise wrong("measure.partly", f"is {measure['partly']}, narrower than the tolerance {claim.tolerance}")
    for side in SIDES:
        if side not in measure:
            continue
        selector = measure[side]
        for name, value in selector.items():
            if name not in _CASE_FIELDS | {*NOT_OF_A_CASE}:
                raise wrong(f"measure.{side}.{name}", "is not a field of a case")
            allowed, words = _SELECTED.get(name, _TEXT if side == "select" else _TEXTS)
            if not allowed(value):
                raise wrong(f"measure.{side}.{name}", f"is {value!r}; {words} is required")
        if "draws" in selector and "dataset" in selector:
            raise wrong(f"measure.{side}.draws", "replaces dataset; leave dataset out")
        if selector.get("device", DEVICES[0]) not in DEVICES:
            raise wrong(f"measure.{side}.device", f"is {selector['device']!r}; known are {'; '.join(DEVICES)}")
        if "metric" not in selector or selector.get("probe") not in PROBES:
            raise wrong(f"measure.{side}", f"names no metric and probe; probes are {', '.join(PROBES)}")
    if measure["rule"] == "equal":
        try:
            printed_number(claim.printed)
        except ValueError as error:
            raise wrong("printed", str(error)) from None
