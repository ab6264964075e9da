"""The numbers that rules take: those of records and those printed in a paper."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

from bench.record import Record


def number(record: Record) -> float:
    return float(record.number)


def exact(record: Record) -> Fraction:
    return Fraction(record.number)


def plain(value: Fraction) -> int | float:
    return value.numerator if value.denominator == 1 else float(value)


def printed_number(text: str) -> tuple[Decimal, int, int]:
    """(number, decimal places, unit) of a number as printed: "9.2M" is (9.2, 1, 1000000).

    A spread after it, as in "93.52±0.06", is ignored. Raises ValueError if the text does not begin with a number.
    """
    found = re.match(r"≈?\s*([+-]?\d+(?:\.(\d+))?)\s*([kMG]?)(?!\w|\.\d)", text)
    if found is None:
        raise ValueError(f"{text!r} does not begin with a number")
    units = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
    return Decimal(found[1]), len(found[2] or ""), units[found[3]]
