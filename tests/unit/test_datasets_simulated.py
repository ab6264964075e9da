"""The simulated event camera and its definition, the data set made with it, and statistics to compare with real recordings."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import floor, log
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import datasets, zoo
from bench.case import Case
from bench.datasets import cifar10_dvs_simulated as simulation
from bench.datasets import event_statistics, n_mnist
from bench.datasets.cifar import CIFAR10
from bench.datasets.event_camera import LEAST_THRESHOLD, UNIT, Camera, log_intensity, recording, thresholds
from bench.datasets.events import frames_of
from bench.datasets.frames import binned
from bench.datasets.real import RealData
from bench.errors import UserError
from bench.probes.resources import Resources

REPOSITORY = Path(__file__).parents[2]
QUIET = Camera(mismatch=0, leak_hz=0, shot_hz=0)


def pictures(count: int, seed: int = 0) -> np.ndarray:
    """Smooth random colour images uint8 [count, 3, 32, 32], with the 1/f spectrum of photographs."""
    f = np.hypot(np.fft.fftfreq(32)[:, None], np.fft.fftfreq(32))
    f[0, 0] = 1
    noise = np.fft.fft2(np.random.default_rng(seed).normal(size=(count, 3, 32, 32)))
    x = np.fft.ifft2(noise / f).real
    x = (x - x.mean((2, 3), keepdims=True)) / x.std((2, 3), keepdims=True)
    return np.clip(x * 60 + 120, 0, 255).astype(np.uint8)


def rows(events: np.ndarray) -> list[tuple[int, int, int, int]]:
    return [(int(e["t"]), int(e["x"]), int(e["y"]), int(e["p"])) for e in events]


# --------------------------------------------------------------------------- the camera


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


# --------------------------------------------------------------------------- what the camera sees


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


# --------------------------------------------------------------------------- recordings of images


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


# --------------------------------------------------------------------------- the data set


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """Files in CIFAR-10's format with 12 images per class in two batches; 8 + 2 per class are simulated."""
    folder = tmp_path / CIFAR10.folder
    folder.mkdir()
    images, sums = pictures(130), {}
    labels = np.random.default_rng(5).permutation(np.arange(120) % 10)
    for file, place in (("one", slice(60)), ("two", slice(60, 120)), ("test", slice(120, 130))):
        batch = {"data": images[place].reshape(-1, 3072), "labels": [*labels.tolist(), *range(10)][place]}
        contents = pickle.dumps(batch)
        (folder / file).write_bytes(contents)
        sums[file] = hashlib.md5(contents, usedforsecurity=False).hexdigest()
    small = replace(CIFAR10, train={file: sums[file] for file in ("one", "two")}, test={"test": sums["test"]})
    monkeypatch.setattr(simulation, "CIFAR10", small)
    monkeypatch.setattr(simulation, "IMAGES", {"train": 8, "test": 2})
    return tmp_path


@pytest.fixture
def made(monkeypatch) -> list[int]:
    """The numbers of the images that were simulated."""
    numbers: list[int] = []
    original = simulation.simulated

    def noted(image: np.ndarray, number: int, by: Camera) -> np.ndarray:
        numbers.append(number)
        return original(image, number, by)

    monkeypatch.setattr(simulation, "simulated", noted)
    return numbers


def loaded(root: Path) -> simulation.SimulatedEvents:
    return datasets.load("cifar10-dvs-simulated", root, download=False, cache=root / "frames")


def case(**changes) -> Case:
    plain = Case(
        "tests", "training", "custom/n-mnist", "bptt", "native", T=4, batch=6, dataset="cifar10-dvs-simulated",
        options=(("train_images", 20), ("test_images", 10)),
    )  # fmt: skip
    return replace(plain, **changes)


def test_simulated_set_takes_the_first_images_of_each_class(root, made):
    events = loaded(root)
    assert (events.train_y.bincount().tolist(), events.test_y.bincount().tolist()) == ([8] * 10, [2] * 10)
    source = simulation.CIFAR10.load(root, False, root / "prepared")
    for label in range(10):
        own = torch.nonzero(source.train_y == label).flatten().tolist()
        train, test = (of.numbers[of.labels == label].tolist() for of in (events.train, events.test))
        assert (train, test) == (own[:8], own[8:10])
    assert torch.equal(events.train.images, source.train_x[events.train.numbers])
    assert made == []


def test_simulated_set_is_marked_as_simulated(root):
    events = loaded(root)
    part = datasets.subset(events, 20, 10, "x")
    for of in (events, part):
        assert (of.name, of.kind, of.part) == (
            "cifar10-dvs-simulated",
            "simulated",
            "simulated from CIFAR-10, not recorded",
        )
    assert events.checksum != simulation.CIFAR10.load(root, False, root / "prepared").checksum
    assert RealData(case(), root).about["part"] == events.part


def test_simulated_set_simulates_only_the_chosen_images_and_once(root, made):
    events = loaded(root)
    part = datasets.subset(events, 20, 10, "x")
    assert part.train_y.bincount().tolist() == [2] * 10
    frames = frames_of(part.train, 4, (34, 34))
    assert (len(frames), len(made)) == (20, 20)
    assert made == part.train.numbers.tolist()
    again = datasets.subset(loaded(root), 20, 10, "x")
    assert np.array_equal(frames_of(again.train, 4, (34, 34)), frames)
    assert len(made) == 20
    smaller = datasets.subset(part, 10, 10, "x")
    assert len(frames_of(smaller.train, 4, (34, 34))) == 10
    assert len(made) == 30
    assert set(made[20:]) <= set(made[:20])
    assert np.array_equal(
        frames_of(smaller.train, 4, (34, 34)), frames[[made.index(number) for number in smaller.train.numbers.tolist()]]
    )


def test_simulated_frames_have_a_file_name_of_model_and_part(root, monkeypatch):
    def names(of: simulation.SimulatedEvents) -> set[str]:
        return {of.train.name, of.test.name}

    events = loaded(root)
    all_names = names(events) | names(datasets.subset(events, 20, 10, "x")) | names(datasets.subset(events, 20, 10, "y"))
    assert len(all_names) == 6
    for name, value in (("LOOPS", 5), ("_VERSION", 2), ("BLACK", 0.02), ("SEED", 1), ("STEP_US", 4000)):
        with monkeypatch.context() as patch:
            patch.setattr(simulation, name, value)
            changed = loaded(root)
            assert not names(changed) & all_names
            assert changed.checksum != events.checksum
    assert loaded(root).checksum == events.checksum


def test_training_on_the_simulated_set_is_recorded_as_simulated(root, made, tmp_path):
    from bench.probes import train

    small = case(options=(("train_images", 10), ("test_images", 10)))
    measured = train.measure(small, Resources(RealData(small, root), checkpoint=tmp_path / "c.pt"))
    assert {m.detail["part"] for m in measured} == {simulation.PART}
    assert len(made) == 20
    by_name = {m.metric: m for m in measured}
    assert by_name["test_accuracy"].detail["train images"] == 10
    assert by_name["firing_rate"].value > 0


def test_networks_of_the_real_set_accept_the_simulated_one(root):
    network = zoo.spec("vgg-sws/cifar10-dvs")
    data = RealData(case(network=network.name, T=3, options=(("train_images", 10), ("test_images", 10))), root)
    x, y = data.sequence(case(network=network.name, T=3, batch=5))
    assert (x.shape, x.dtype, y.shape) == ((3, 5, 2, 48, 48), torch.float32, (5,))
    chosen = data.samples.train
    sizes = [len(events) for events in chosen.read()]
    assert frames_of(chosen, 3, (48, 48)).sum((1, 2, 3, 4)).tolist() == sizes
    with pytest.raises(UserError, match=r"vgg5/cifar10 takes samples of shape \(3, 32, 32\), cifar10-dvs-simulated has"):
        RealData(case(network="vgg5/cifar10"), root).sequence(case())


def test_simulated_set_without_cifar10_has_a_remedy(tmp_path):
    support = datasets.available("cifar10-dvs-simulated", tmp_path)
    assert not support
    assert "CIFAR-10 is not under the data root" in support.reason
    with pytest.raises(UserError, match="missing and downloading was refused"):
        datasets.load("cifar10-dvs-simulated", tmp_path, download=False)


def test_available_imports_neither_torch_nor_numpy(tmp_path):
    code = (
        "import sys; from bench import datasets\n"
        f"datasets.available('cifar10-dvs-simulated', {str(tmp_path)!r})\n"
        "print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


# --------------------------------------------------------------------------- statistics


def stream(t: np.ndarray, x: np.ndarray, y: np.ndarray, p: np.ndarray) -> np.ndarray:
    events = np.empty(len(t), [("t", "i8"), ("x", "i4"), ("y", "i4"), ("p", "i4")])
    for name, values in zip("txyp", (t, x, y, p), strict=True):
        events[name] = values
    return events


def test_statistics_by_hand():
    """Three events at pixel (0, 0) and one at pixel (3, 1), within 2 s."""
    events = stream(
        np.array([10, 110, 1_000_010, 2_000_010]), np.array([0, 0, 3, 0]), np.array([0, 0, 1, 0]), np.array([1, 1, 1, 0])
    )
    found = event_statistics.describe([events, events], (2, 4))
    assert (found.recordings, found.events, found.events_spread, found.duration_s) == (2, 4, 0, 2)
    assert found.rate == pytest.approx(4 / 8 / 2)
    assert (found.on_fraction, found.active_pixels, found.below_1_ms) == (0.75, 0.25, 0.5)
    assert event_statistics.intervals(events, (2, 4)).tolist() == [100, 1_999_900]
    assert found.interval_us == pytest.approx(1_000_000)
    assert found.profile[0] == pytest.approx(2 / 8 / 5e-3)
    assert sum(found.profile) * 5e-3 * 8 == pytest.approx(3)  # the last event is after the last complete bin


def test_statistics_bins_intervals_by_decade():
    t = np.cumsum(np.array([0] + [200] * 30 + [20_000] * 10))
    zeros = np.zeros_like(t)
    found = event_statistics.describe([stream(t, zeros, zeros, zeros)], (4, 4))
    edges = event_statistics.interval_edges()
    shares = np.array(found.intervals)
    assert shares[np.searchsorted(edges, 200) - 1] == pytest.approx(0.75)
    assert shares[np.searchsorted(edges, 20_000) - 1] == pytest.approx(0.25)


@pytest.mark.parametrize("hz", [7.0, 20.0, 33.0])
def test_dominant_frequency(hz):
    t = np.arange(240) * 5e-3
    profile = 10 + 3 * np.sin(2 * np.pi * hz * t) + np.random.default_rng(0).normal(0, 0.5, 240)
    assert event_statistics.dominant_hz(profile, 5000) == pytest.approx(hz, abs=0.3)
    assert event_statistics.dominant_hz(np.full(240, 10.0), 5000) == 0


@pytest.mark.parametrize("exponent", [1.0, 2.0, 3.0])
def test_spectral_slope_of_a_power_law(exponent):
    f = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128))
    f[0, 0] = 1
    assert event_statistics.spectral_slope(f**-exponent) == pytest.approx(-exponent, abs=0.05)


def test_correlation_length_of_gaussian_spots():
    """White noise blurred by a Gaussian of width sigma has autocorrelation exp(-d^2 / 4 sigma^2), which is 1/e at 2 sigma."""
    generator = np.random.default_rng(0)
    f = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256))
    for sigma in (2.0, 5.0):
        blur = np.exp(-2 * (np.pi * sigma * f) ** 2)
        image = np.fft.ifft2(np.fft.fft2(generator.normal(size=(256, 256))) * blur).real
        found = event_statistics.correlation_length(event_statistics.power_spectrum(image))
        assert found == pytest.approx(2 * sigma, rel=0.2)


def test_statistics_reject_too_few_events():
    with pytest.raises(ValueError, match="no recordings"):
        event_statistics.describe([], (2, 2))
    with pytest.raises(ValueError, match="of 1 events"):
        event_statistics.describe([stream(*np.zeros((4, 1), int))], (2, 2))


def test_simulated_recording_has_the_frequency_of_its_moves():
    """24 moves in 1.2 s: 20 Hz."""
    found = event_statistics.describe(
        (simulation.simulated(image, i, Camera()) for i, image in enumerate(pictures(8))), (128, 128)
    )
    assert found.dominant_hz == pytest.approx(20, abs=0.5)


@pytest.fixture(scope="module")
def real_recordings() -> list[np.ndarray]:
    with warnings.catch_warnings():  # warnings of the parser's dependencies on import
        warnings.simplefilter("ignore")
        pytest.importorskip("tonic.io", reason="tonic reads event files: pip install '.[data]'")
    given = Path(os.environ.get("SPIKECOST_DATA_ROOT", "/nonexistent"))
    places = (given, REPOSITORY.parent / "shared" / "data")
    source = next((place for place in places if (place / n_mnist.FOLDER / "Test.zip").exists()), None)
    if source is None:
        pytest.skip("no real N-MNIST: set SPIKECOST_DATA_ROOT to the folder that holds NMNIST/download/")
    whole = datasets.load("n-mnist", source, download=False).test.read()
    return [events for events, _ in zip(whole, range(60), strict=False)]


def test_simulated_and_real_recordings_have_similar_statistics(real_recordings):
    """Real: N-MNIST, three moves of 100 ms. Images, camera and moves differ, so only properties of moving edges are compared."""
    real = event_statistics.describe(real_recordings, (34, 34))
    ours = event_statistics.describe(
        (simulation.simulated(image, i, simulation.camera()) for i, image in enumerate(pictures(20))), (128, 128)
    )
    assert real.dominant_hz == pytest.approx(10, abs=1)
    assert real.on_fraction == pytest.approx(0.5, abs=0.02)
    assert ours.on_fraction == pytest.approx(real.on_fraction, abs=0.02)
    assert 1 / 3 < ours.rate / real.rate < 3
    assert 1 / 2 < ours.correlation_px / real.correlation_px < 2
    assert min(ours.spectral_slope, real.spectral_slope) > -5  # edges are steeper than noise, whose slope is 0
    assert max(ours.spectral_slope, real.spectral_slope) < -2
    assert 1 < ours.interval_us / real.interval_us < 10  # real moves are half as long; simulated ones three times as slow
    assert max(ours.below_1_ms, real.below_1_ms) < 0.02
