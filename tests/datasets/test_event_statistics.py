"""Statistics that compare simulated with real recordings."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pytest

from bench import datasets
from bench.datasets import cifar10_dvs_simulated as simulation
from bench.datasets import event_statistics, n_mnist
from bench.datasets.event_camera import Camera
from tests.datasets.pictures import REPOSITORY, pictures


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
