"""How rules put selectors, parts and numbers into words."""

from __future__ import annotations

from collections.abc import Mapping

from bench.claims.claim import Measure, Selector
from bench.record import Record


def short(number: float) -> str:
    value = float(number)
    return f"{value:,.0f}" if value.is_integer() and abs(value) >= 1e4 else f"{value:.4g}"


def words_of(selector: Selector) -> str:
    asked: Mapping[str, object] = selector
    names = ("metric", "dataset", "network", "algorithm", "backend")
    words = [str(asked[name]) for name in names if asked.get(name, "none") != "none"]
    words += [" and ".join(selector["draws"])] if "draws" in selector else []
    words += [f"{name} {asked[name]}" for name in ("T", "batch", "detail") if name in asked]
    return ", ".join([*words, *(f"{name} {value}" for name, value in selector.get("options", {}).items())])


def algorithm_on_backend(measure: Measure) -> str:
    select: Mapping[str, object] = measure["select"]
    return " on ".join(str(select[name]) for name in ("algorithm", "backend") if name in select)


def sides_of(measure: Measure) -> str:
    """The two selectors in words: the network and T that they share, then the fields in which they differ."""
    left, right = measure["select"], measure["over"]
    differ = [name for name in dict.fromkeys([*left, *right]) if left.get(name) != right.get(name)]
    shared = [str(left["network"])] if "network" in left and "network" not in differ else []
    shared += [f"T = {left['T']}"] if "T" in left and "T" not in differ else []
    sides = " against ".join(" ".join(filter(None, (_value(side, name) for name in differ))) for side in (left, right))
    return ": ".join(filter(None, (", ".join(shared), sides)))


def _value(selector: Selector, name: str) -> str:
    value = selector.get(name, "")
    if isinstance(value, Mapping):
        return ", ".join(f"{option} = {v}" for option, v in value.items() if v != "unset")
    return f"T = {value}" if name == "T" else str(value)


_PARTS = {"train_images": "training samples", "test_images": "test samples", "validation_images": "validation samples"}


def part_of_data(record: Record) -> str:
    """The part of its data set that a record is measured on, in words; empty for the whole set."""
    options = record.case["options"]
    asked = [f"{options[name]:,} {words}" for name, words in _PARTS.items() if name in options]
    return str(record.detail.get("part", "")) or " and ".join(asked)
