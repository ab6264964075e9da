"""Events binned into frames, and events out of range."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.datasets.events import LAST_US, Recordings, frames_of
from bench.datasets.frames import binned
from bench.errors import UserError

FIELDS = np.dtype([("x", "i4"), ("y", "i4"), ("t", "i8"), ("p", "i4")])


def recording(rows: list[tuple[int, int, int, int]]) -> np.ndarray:
    """Events from (x, y, t, p)."""
    return np.array(rows, FIELDS)


def by_definition(events: np.ndarray, T: int, sensor: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Bin one event after the other, in exact fractions."""
    from fractions import Fraction
    from math import floor

    out = np.zeros((T, 2, *size), np.int64)
    first, last = min(events["t"]), max(events["t"])
    for x, y, t, p in events.tolist():
        bin_ = floor(Fraction(int(t - first), int(last - first + 1)) * T)
        out[bin_, p, floor(Fraction(y, sensor[0]) * size[0]), floor(Fraction(x, sensor[1]) * size[1])] += 1
    return out


@settings(max_examples=60, deadline=None)
@given(data=st.data(), T=st.integers(1, 7), size=st.tuples(st.integers(1, 5), st.integers(1, 6)))
def test_binned_equals_its_definition_and_loses_no_event(data, T, size):
    sensor = (5, 6)
    place = st.tuples(st.integers(0, 5), st.integers(0, 4), st.integers(0, 40), st.integers(0, 1))
    events = recording(data.draw(st.lists(place, min_size=1, max_size=30)))
    frames = binned(events, T, sensor, size)
    assert np.array_equal(frames, by_definition(events, T, sensor, size))
    assert frames.sum() == len(events)
    for p in (0, 1):
        assert frames[:, p].sum() == (events["p"] == p).sum()
    later = events.copy()
    later["t"] += 10**9  # the origin of time must not matter
    assert np.array_equal(frames, binned(later, T, sensor, size))


def test_binned_has_bins_of_equal_length():
    """One event per microsecond from an arbitrary start: every bin gets the same number."""
    events = recording([(0, 0, 1003 + t, t % 2) for t in range(600)])
    assert binned(events, 20, (1, 1), (1, 1)).sum((1, 2, 3)).tolist() == [30] * 20
    assert binned(events, 600, (1, 1), (1, 1)).max() == 1


def test_binned_has_y_as_rows_and_x_as_columns():
    frames = binned(recording([(5, 2, 0, 1)]), 1, (4, 8), (4, 8))
    assert np.argwhere(frames).tolist() == [[0, 1, 2, 5]]


def test_binned_sums_blocks_of_pixels():
    generator = np.random.default_rng(0)
    rows = np.stack([generator.integers(n, size=500) for n in (12, 8, 1000, 2)], 1)
    events = recording([tuple(row) for row in rows.tolist()])
    full = binned(events, 3, (8, 12), (8, 12))
    assert np.array_equal(binned(events, 3, (8, 12), (4, 3)), full.reshape(3, 2, 4, 2, 3, 4).sum((3, 5)))


def test_binned_is_zero_without_events_and_rejects_events_outside_the_sensor():
    assert binned(recording([]), 2, (3, 3), (3, 3)).tolist() == np.zeros((2, 2, 3, 3)).tolist()
    for stray in ((3, 0, 0, 0), (0, 3, 0, 0), (-1, 0, 0, 0), (0, 0, 0, 2)):
        with pytest.raises(ValueError, match="invalid entry"):
            binned(recording([stray]), 1, (3, 3), (3, 3))


OUTSIDE = [("x", -1, 33), ("x", 34, 33), ("y", -1, 33), ("y", 34, 33), ("p", 2, 1), ("p", -1, 1), ("t", -5, LAST_US - 1)]


@pytest.mark.parametrize(("name", "value", "last"), OUTSIDE, ids=[f"{name}={value}" for name, value, _ in OUTSIDE])
def test_events_out_of_range_are_named_by_recording_and_field(tmp_path, name, value, last):
    good = recording([(0, 0, 5, 1), (33, 33, 6, 0)])
    bad = good.copy()
    bad[name][1] = value
    recordings = Recordings("set", torch.tensor([0, 1]), (34, 34), lambda: iter([good, bad]), tmp_path, ("a.bin", "b.bin"))
    told = rf"recording b\.bin of set: event 1 has {name} = {value}, outside 0 to {last} \(1 of 2 events are\)"
    with pytest.raises(UserError, match=told):
        frames_of(recordings, 2, (34, 34))
    with pytest.raises(UserError, match=told):
        list(recordings.each())
    assert list(tmp_path.glob("*.npy")) == []


def test_events_out_of_range_are_found_in_unsigned_fields(tmp_path):
    events = np.zeros(2, [("x", "u2"), ("y", "u2"), ("t", "u8"), ("p", "?")])
    events["y"][0] = 65_535
    with pytest.raises(UserError, match="recording number 0 of set: event 0 has y = 65535, outside 0 to 33"):
        list(Recordings("set", torch.tensor([0]), (34, 34), lambda: iter([events]), tmp_path).each())
