"""The simulated event camera equals its definition."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import floor, log

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.datasets import cifar10_dvs_simulated as simulation
from bench.datasets.event_camera import LEAST_THRESHOLD, UNIT, Camera, log_intensity, recording, thresholds
from tests.datasets.pictures import QUIET, pictures


def rows(events: np.ndarray) -> list[tuple[int, int, int, int]]:
    return [(int(e["t"]), int(e["x"]), int(e["y"]), int(e["p"])) for e in events]


def one_by_one(camera: Camera, scenes: np.ndarray, step_us: int) -> list[tuple[int, int, int, int]]:
    """The definition of the camera: pixel after pixel, event after event, in exact fractions; every scene is shown once."""
    on, off = thresholds(camera)
    found = []
    for y, x in np.ndindex(*camera.sensor):
        values = [Fraction(float(scene[y, x])) for scene in scenes]
        up, down = (Fraction(float(of[y * camera.sensor[1] + x])) for of in (on, off))
        r = values[0]
        for k, (start, end) in enumerate(pairwise(values)):
            while end >= r + up or end <= r - down:
                rising = end > r
                r += up if rising else -down
                found.append((k * step_us + floor((r - start) / (end - start) * step_us), x, y, int(rising)))
    return sorted(found, key=lambda e: (e[0], e[2], e[1], e[3]))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), mismatch=st.sampled_from([0.0, 0.05, 0.2]))
def test_camera_events_equal_the_definition(data, mismatch):
    camera = replace(QUIET, sensor=(2, 3), mismatch=mismatch, seed=data.draw(st.integers(0, 9)))
    levels = st.lists(st.integers(-2 * UNIT, 2 * UNIT), min_size=6, max_size=6)
    scenes = np.array(data.draw(st.lists(levels, min_size=2, max_size=6)), np.float32).reshape(-1, 2, 3)
    assert rows(recording(camera, scenes, np.arange(len(scenes)), 997, 0)) == one_by_one(camera, scenes, 997)


def test_camera_gives_one_event_per_threshold_at_both_edges_of_a_moving_bar():
    """A bar three times as bright moves right by a pixel per step: trunc(log 3 / 0.3) = 3 ON, then 3 OFF events per pixel."""
    camera = replace(QUIET, sensor=(4, 8), threshold=0.3)
    scenes = np.ones((7, 4, 8))
    for k in range(7):
        scenes[k, :, k : k + 1] = 3
    events = recording(camera, log_intensity(scenes), np.arange(7), 1000, 0)
    per_edge = floor(log(3) / 0.3)
    assert per_edge == 3
    for column in range(1, 6):
        for row in range(4):
            own = events[(events["x"] == column) & (events["y"] == row)]
            assert own["p"].tolist() == [1] * per_edge + [0] * per_edge
            arrives = (column - 1) * 1000
            expected = [arrives + int(j * 0.3 / log(3) * 1000) for j in (1, 2, 3)]
            assert own["t"][:3].tolist() == pytest.approx(expected, abs=1)
            # the reference level is the last one crossed, 0.9, not log 3
            assert own["t"][3] == pytest.approx(arrives + 1000 + int((log(3) - 0.6) / log(3) * 1000), abs=1)
    first_on = [events["t"][(events["x"] == column) & (events["p"] == 1)].min() for column in range(1, 7)]
    assert first_on == sorted(first_on)
    assert len(set(first_on)) == 6


def test_camera_gives_only_poisson_noise_for_a_static_scene():
    still = np.zeros((1, 128, 128), np.float32)
    shown = np.zeros(241, int)
    assert len(recording(QUIET, still, shown, 5000, 0)) == 0
    events = recording(replace(QUIET, leak_hz=0.5, shot_hz=2), still, shown, 5000, 3)
    expected = 2.5 * 128 * 128 * 1.2
    assert len(events) == pytest.approx(expected, abs=5 * expected**0.5)
    assert (events["p"] == 1).mean() == pytest.approx((0.5 + 1) / 2.5, abs=5 * (0.24 / expected) ** 0.5)
    assert len(np.unique(events["y"].astype(int) * 128 + events["x"])) > 0.9 * 128 * 128
    quarters = np.histogram(events["t"], 4, (0, 1_200_000))[0]
    assert quarters.tolist() == pytest.approx([expected / 4] * 4, rel=0.05)


def test_thresholds_depend_on_the_seed_of_the_camera():
    on, off = thresholds(Camera(threshold=0.3, mismatch=0.03, seed=1))
    for of in (on, off):
        assert of.mean() / UNIT == pytest.approx(0.3, abs=0.001)
        assert of.std() / UNIT == pytest.approx(0.03, rel=0.05)
    assert abs(np.corrcoef(on, off)[0, 1]) < 0.05
    assert not np.array_equal(on, thresholds(Camera(threshold=0.3, mismatch=0.03, seed=2))[0])
    assert thresholds(Camera(threshold=0, mismatch=0.001))[0].min() == round(LEAST_THRESHOLD * UNIT)


def test_camera_events_are_sorted_by_time():
    events = simulation.simulated(pictures(1)[0], 0, Camera())
    assert (np.diff(events["t"]) >= 0).all()


def test_enlargement_is_bicubic():
    """Compared with torch's antialiased interpolation, which has the same kernel for upsampling; only the borders differ."""
    weights, margin = simulation._enlargement(), simulation.margin()
    assert margin == 20
    assert np.array_equal(weights.sum(1), np.ones(512 + 40))
    assert np.array_equal(weights * 2**16, np.rint(weights * 2**16))
    image = torch.from_numpy(pictures(1)[0, :1]).double()[None]
    theirs = torch.nn.functional.interpolate(image, size=512, mode="bicubic", antialias=True)[0, 0].numpy()
    ours = (weights @ image[0, 0].numpy() @ weights.T)[margin:-margin, margin:-margin]
    inside = slice(32, -32)
    assert np.abs(ours - theirs)[inside, inside].max() < 1e-3
    assert np.array_equal(weights[:margin], weights[[margin] * margin])


def test_path_is_closed_and_of_45_degrees():
    positions, shown = simulation.path()
    assert len(positions) == 40
    assert len(shown) == 6 * 40 + 1
    moves = np.diff(positions[shown], axis=0)
    assert set(map(tuple, np.abs(moves).tolist())) == {(1, 1)}
    assert positions[shown[0]].tolist() == positions[shown[-1]].tolist() == [0, 0]
    turns = np.flatnonzero(np.abs(np.diff(moves, axis=0)).sum(1))
    assert np.diff(turns).tolist() == [10] * 22
    assert simulation.STEP_US * (len(shown) - 1) == 1_200_000


def test_views_are_shifted_images():
    screen = simulation.luminance(pictures(1)[0])
    here, right, down = simulation.views(screen, np.array([(0, 0), (4, 0), (0, 8)]))
    assert here.shape == (128, 128)
    assert np.array_equal(right[:, 1:], here[:, :-1])
    assert np.array_equal(down[2:], here[:-2])
    block = screen[20 + 4 * 5 : 24 + 4 * 5, 20 + 4 * 9 : 24 + 4 * 9]
    assert here[5, 9] == pytest.approx(log(block.sum()) * UNIT, abs=1)


def test_luminance_runs_from_black_to_white():
    for level, expected in ((0, 0.01), (255, 1.0), (128, 0.01 + 0.99 * 0.21586)):
        screen = simulation.luminance(np.full((3, 32, 32), level, np.uint8))
        assert screen.shape == (552, 552)
        assert np.allclose(screen, expected, rtol=1e-4, atol=0)
    green, blue = (np.zeros((3, 32, 32), np.uint8) for _ in range(2))
    green[1], blue[2] = 255, 255
    assert simulation.luminance(green).min() > 5 * simulation.luminance(blue).max()
