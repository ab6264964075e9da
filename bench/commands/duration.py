"""Times as a user writes and reads them: 90s, 25m, 3h."""

from __future__ import annotations

import re

from bench.errors import UserError

UNITS = {"s": 1, "m": 60, "h": 3600}
_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*([smh])")


def seconds_of(text: str) -> float:
    """Return the seconds of a time. Raises UserError for anything else, and for no time at all.

    >>> seconds_of("90s"), seconds_of("25m"), seconds_of("1.5h")
    (90.0, 1500.0, 5400.0)
    """
    found = _FORM.fullmatch(text.strip())
    if found is None or not float(found[1]):
        raise UserError(f"--budget {text!r} is not a time: write a number above 0 with its unit s, m or h, e.g. 90s, 25m or 3h")
    return float(found[1]) * UNITS[found[2]]


def words_of(seconds: float) -> str:
    """Return a time in the unit that suits it.

    >>> words_of(0.4), words_of(42), words_of(600), words_of(3600 * 2.54), words_of(3600 * 310)
    ('under 1 s', '42 s', '10 min', '2.5 h', '310 h')
    """
    if seconds < 1:
        return "under 1 s"
    for unit, name in (("h", "h"), ("m", "min"), ("s", "s")):
        if seconds >= 2 * UNITS[unit] or unit == "s":
            value = seconds / UNITS[unit]
            return f"{value:.1f} {name}" if value < 10 and unit != "s" else f"{value:,.0f} {name}"
    raise AssertionError("the last unit suits")
