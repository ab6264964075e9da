"""Readers of values from JSON and TOML: the value itself, or an error that names it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench import readers

READ: list[tuple[Callable[[object, str], object], object]] = [
    (readers.number, 1.5), (readers.number, 7), (readers.whole, 7), (readers.text, "a"), (readers.numbers, [1, 2.5]),
    (readers.wholes, [1, 2]), (readers.texts, ["a"]), (readers.items, [None, 1]), (readers.table, {"a": 1}),
]  # fmt: skip
WRONG: list[tuple[Callable[[object, str], object], object]] = [
    (readers.number, True), (readers.number, "7"), (readers.number, None), (readers.whole, 7.0), (readers.whole, True),
    (readers.text, 7), (readers.numbers, "12"), (readers.numbers, [1, None]), (readers.wholes, [1.5]), (readers.texts, "ab"),
    (readers.items, {"a": 1}), (readers.table, [1]),
]  # fmt: skip


@pytest.mark.parametrize(("read", "value"), READ, ids=lambda value: getattr(value, "__name__", repr(value)))
def test_readers_return_the_value_unchanged(read: Callable[[object, str], object], value: object) -> None:
    found = read(value, "x")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(("read", "value"), WRONG, ids=lambda value: getattr(value, "__name__", repr(value)))
def test_readers_name_what_is_of_another_kind(read: Callable[[object, str], object], value: object) -> None:
    with pytest.raises(TypeError, match="spikes is "):
        read(value, "spikes")
