"""Numbers for people keep their digits, however small."""

from __future__ import annotations

import pytest

from bench.quantity import decimal, quantity, seconds, size


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.00042, "s", "420 µs"),
        (0.0123, "s", "12.3 ms"),
        (90.0, "s", "90.0 s"),
        (0.0, "s", "0 s"),
        (2048, "B", "2.00 KiB"),
        (500, "B per step", "500 B per step"),
        (2**31, "B of growth", "2.00 GiB of growth"),
        (0.0000123, "spikes/neuron/step", "1.23e-05 spikes/neuron/step"),
        (9_228_362, "1", "9,228,362"),
        (0.56051, "1", "0.561"),
        (1.2, "1", "1.20"),
        (-1.65278, "points", "-1.65 points"),
        (12345.6, "events", "12,300 events"),
        (93.4567, "%", "93.46 %"),
        ("pass", "", "pass"),
    ],
)
def test_quantity_is_shown_in_a_suitable_unit(value: float | int | str, unit: str, shown: str) -> None:
    assert quantity(value, unit) == shown


@pytest.mark.parametrize("digits", [0, 1, 3])
@pytest.mark.parametrize("exponent", range(-12, 4))
def test_quantity_other_than_zero_is_never_shown_as_zero(digits: int, exponent: int) -> None:
    value = 1.234 * 10.0**exponent
    for shown in (decimal(value, digits), decimal(-value, digits), seconds(value).split()[0], size(value).split()[0]):
        assert float(shown.replace(",", "")) != 0
    assert float(decimal(0.0, digits)) == 0
