"""Recordings that the simulated camera makes of images."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace

import numpy as np
import pytest

from bench.datasets import cifar10_dvs_simulated as simulation
from bench.datasets.event_camera import UNIT, Camera
from bench.datasets.frames import binned
from tests.datasets.pictures import QUIET, pictures


def test_simulated_events_depend_on_image_number_and_camera_alone():
    one, other = pictures(2)
    events = simulation.simulated(one, 7, Camera())
    assert simulation.simulated(one.copy(), 7, Camera()).tobytes() == events.tobytes()
    for changed in (
        simulation.simulated(other, 7, Camera()),
        simulation.simulated(one, 8, Camera()),
        simulation.simulated(one, 7, Camera(seed=1)),
    ):
        assert changed.tobytes() != events.tobytes()


def test_model_digest_matches_its_version():
    """Cached frames are identified by name. A change of the events requires a new ``_VERSION`` and the new digest here."""
    channel, row, column = np.indices((3, 32, 32)) // np.array([1, 8, 8])[:, None, None, None]
    image = (channel * 31 + row * 47 + column * 83) % 256
    events = simulation.simulated(image.astype(np.uint8), 0, simulation.camera())
    digest = hashlib.sha256(b"".join(events[name].astype("<i8").tobytes() for name in "txyp")).hexdigest()
    assert (simulation._VERSION, len(events), digest[:16]) == (1, 174197, "8a06e8862b5c2b18")


def test_simulated_grey_image_gives_noise_only():
    grey = np.full((3, 32, 32), 90, np.uint8)
    assert len(simulation.simulated(grey, 0, QUIET)) == 0
    expected = 1.1 * 128 * 128 * 1.2
    assert len(simulation.simulated(grey, 0, Camera())) == pytest.approx(expected, abs=5 * expected**0.5)


def test_simulated_edge_gives_off_events_when_it_darkens_and_on_events_when_it_brightens():
    """Dark left, bright right. Move 1 to the right gives only OFF events at the edge; move 3, back, only ON events."""
    edge = np.zeros((3, 32, 32), np.uint8)
    edge[..., :16], edge[..., 16:] = 60, 200
    events = simulation.simulated(edge, 0, QUIET)
    by_move = [events[(events["t"] >= a) & (events["t"] < a + 50_000)] for a in range(0, 1_200_000, 50_000)]
    assert [set(move["p"].tolist()) for move in by_move[:4]] == [{0}, {0}, {1}, {1}]
    assert events["x"].min() >= 58  # the edge is at 64, 8 pixels wide, and moves by 5 camera pixels
    assert events["x"].max() <= 74
    positions, _ = simulation.path()
    seen = simulation.views(simulation.luminance(edge), positions)
    swing = (seen.max(0) - seen.min(0)) / UNIT
    first_loop = events[events["t"] < 100_000]
    fallen = np.zeros((128, 128), int)
    np.add.at(fallen, (first_loop["y"], first_loop["x"]), 1)
    # after 100 ms every pixel has darkened completely
    assert np.array_equal(fallen, np.trunc((seen[0] - seen.min(0)) / round(QUIET.threshold * UNIT)).astype(int))
    assert swing.max() > 3 * QUIET.threshold


def test_simulated_polarities_balance_over_closed_loops():
    for number, image in enumerate(pictures(4)):
        events = simulation.simulated(image, number, Camera(leak_hz=0))
        assert (events["p"] == 1).mean() == pytest.approx(0.5, abs=0.02)


def test_simulated_events_double_at_half_the_threshold():
    image = pictures(1)[0]
    many, few = (len(simulation.simulated(image, 0, replace(QUIET, threshold=theta))) for theta in (0.05, 0.1))
    assert many / few == pytest.approx(2, abs=0.25)


def test_simulated_times_and_positions_are_in_the_range_of_the_real_set():
    events = simulation.simulated(pictures(1)[0], 0, Camera())
    assert events.dtype.names == ("t", "x", "y", "p")
    assert 0 <= events["t"].min() < 10_000
    assert 1_190_000 < events["t"].max() <= 1_200_000
    for axis in "xy":
        assert (events[axis].min(), events[axis].max()) == (0, 127)
    assert set(events["p"].tolist()) == {0, 1}


def test_simulated_frames_lose_no_event():
    events = simulation.simulated(pictures(1)[0], 0, Camera())
    frames = binned(events, 10, (128, 128), (48, 48))
    assert frames.sum() == len(events)
    assert frames[:, 1].sum() == (events["p"] == 1).sum()
    assert frames.sum((1, 2, 3)).min() > 0.05 * len(events)


def test_simulation_of_20_images_takes_at_most_3_s():
    """A loose bound on processor time: 20 images in 3 s means 25 minutes for 10,000; the actual time is about a quarter."""
    images = pictures(20)
    simulation.simulated(images[0], 0, Camera())
    start = time.thread_time()
    for number, image in enumerate(images):
        simulation.simulated(image, number, Camera())
    assert time.thread_time() - start < 3
