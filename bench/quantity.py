"""Format numbers for readers; a value other than zero is never shown as 0.000. Imports no torch."""

from __future__ import annotations

import math

_SECONDS = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9))


def count_of(n: int, noun: str) -> str:
    """
    >>> count_of(1, "case"), count_of(1200, "case")
    ('1 case', '1200 cases')
    """
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def significant(value: float, digits: int = 3) -> str:
    """``value`` rounded to so many significant digits, without an exponent from 0.0001 on.

    >>> significant(1.2), significant(1234567.0), significant(0.0), significant(0.0000123)
    ('1.20', '1,230,000', '0', '1.23e-05')
    """
    if not value:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    if abs(rounded) < 1e-4 or not math.isfinite(rounded):
        return f"{value:.{digits}g}"
    return f"{rounded:,.{max(0, digits - 1 - math.floor(math.log10(abs(rounded))))}f}"


def size(n: float) -> str:
    """Bytes in binary units, to three digits: 819 MiB, 13.1 GiB; whole bytes in full."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if n < 1000 or unit == "GiB":
            break
        n /= 1024
    in_full = n >= 1000 or (unit == "B" and float(n).is_integer())
    return f"{n:,.0f} {unit}" if in_full else f"{significant(n)} {unit}"


def byte_unit(largest: float) -> tuple[str, int]:
    """The unit of an axis of bytes that ends at ``largest``, and its size.

    >>> byte_unit(5 * 2**30), byte_unit(3 * 2**20)
    (('GiB', 1073741824), ('MiB', 1048576))
    """
    for name, size_of_unit in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if largest >= size_of_unit:
            return name, size_of_unit
    return "B", 1


def seconds(n: float) -> str:
    """Seconds to three digits, in the unit that needs no leading zeros: 1.5 s, 12 ms."""
    unit, scale = next(((unit, scale) for unit, scale in _SECONDS if abs(n) >= scale), _SECONDS[0])
    return f"{significant(n / scale)} {unit}"


def decimal(value: float, digits: int) -> str:
    """``value`` to so many digits after the point; one that these would show as zero, and is not, as 1.2e-05.

    >>> decimal(0.1234, 3), decimal(0.0, 3), decimal(0.0000123, 3)
    ('0.123', '0.000', '1.2e-05')
    """
    shown = f"{value:.{digits}f}"
    return f"{value:.2g}" if value and not float(shown) else shown


def number(value: float | int | str) -> str:
    """Whole numbers in full, others to three significant digits."""
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else significant(value)


def quantity(value: float | int | str, unit: str) -> str:
    """A value with its unit; bytes and seconds in the unit that suits them. ``unit`` may continue in words: 'B per step'."""
    first, _, rest = unit.partition(" ")
    if first in ("B", "s") and not isinstance(value, str):
        shown = size(value) if first == "B" else seconds(value)
        return f"{shown} {rest}".rstrip()
    if unit == "%" and not isinstance(value, str):
        return f"{decimal(value, 2)} %"  # accuracies are reported so
    return number(value) if unit in ("", "1") else f"{number(value)} {unit}"
