"""Statistics of event recordings, to compare a simulation or a loader with recordings of a real camera.

    profile[b]     events in time bin b, per pixel and second, averaged over recordings
    image[n]       events of recording n at each pixel, less their mean over pixels
    power[f]       |FFT image[n]|^2, normalised to a total of 1 per recording, averaged over recordings

Time starts at the first event of a recording. All recordings have equal weight; for intervals, all intervals do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy
from numpy.typing import NDArray

if TYPE_CHECKING:
    from bench.datasets.event_array import EventArray

Float = NDArray[numpy.float64]

BIN_US = 5_000  # of the temporal profile
DECADES = (1, 6)  # of the intervals, in microseconds: 10^1 to 10^6
PER_DECADE = 4


@dataclass(frozen=True)
class EventStatistics:
    """Statistics of ``recordings`` recordings; a spread is the standard deviation over recordings."""

    recordings: int
    events: float  # per recording, mean
    events_spread: float
    duration_s: float  # from the first to the last event, mean
    rate: float  # events per pixel and second, mean
    rate_spread: float
    on_fraction: float
    on_fraction_spread: float
    active_pixels: float  # fraction of pixels with at least one event
    interval_us: float  # median time between an event and the next of the same pixel
    intervals: tuple[float, ...]  # fraction in each bin of ``interval_edges``
    below_1_ms: float  # fraction of the intervals
    profile: tuple[float, ...]  # events per pixel and second in each BIN_US, mean up to the end of the shortest recording
    modulation: float  # standard deviation of the profile over its mean
    dominant_hz: float  # of the profile
    correlation_px: float  # distance at which the autocorrelation of the image falls to 1/e
    spectral_slope: float  # of log power against log spatial frequency, from 1/16 to 1/4 cycles per pixel


def describe(recordings: Iterable[EventArray], sensor: tuple[int, int]) -> EventStatistics:
    """Return statistics of recordings with fields t (microseconds, ascending), x, y, p; ``sensor`` is (rows, columns).

    Raises ValueError if there are no recordings, or if one has fewer than two events.
    """
    singles = [_single(events, sensor) for events in recordings]
    if not singles:
        raise ValueError("statistics need at least one recording: there are no recordings")
    rate = numpy.array([s.rate for s in singles])
    events = numpy.array([s.events for s in singles])
    on = numpy.array([s.on_fraction for s in singles])
    intervals = numpy.concatenate([s.intervals for s in singles])
    power = numpy.mean([s.power for s in singles], axis=0)
    profile = _mean_profile([s.profile for s in singles])
    return EventStatistics(
        recordings=len(singles),
        events=float(events.mean()),
        events_spread=float(events.std()),
        duration_s=float(numpy.mean([s.duration_s for s in singles])),
        rate=float(rate.mean()),
        rate_spread=float(rate.std()),
        on_fraction=float(on.mean()),
        on_fraction_spread=float(on.std()),
        active_pixels=float(numpy.mean([s.active for s in singles])),
        interval_us=float(numpy.median(intervals)),
        intervals=tuple((numpy.histogram(intervals, interval_edges())[0] / len(intervals)).tolist()),
        below_1_ms=float((intervals < 1000).mean()),
        profile=tuple(profile.tolist()),
        modulation=float(profile.std() / profile.mean()),
        dominant_hz=dominant_hz(profile, BIN_US),
        correlation_px=correlation_length(power),
        spectral_slope=spectral_slope(power),
    )


def interval_edges() -> Float:
    """Return the edges of the logarithmic bins of intervals, in microseconds."""
    first, last = DECADES
    return numpy.logspace(first, last, (last - first) * PER_DECADE + 1)


def intervals(events: EventArray, sensor: tuple[int, int]) -> NDArray[numpy.int64]:
    """Return the microseconds between consecutive events of the same pixel, pixel by pixel."""
    pixel = events["y"].astype(numpy.int64) * sensor[1] + events["x"]
    order = numpy.argsort(pixel, kind="stable")
    gaps = numpy.diff(events["t"][order].astype(numpy.int64))
    within: NDArray[numpy.int64] = gaps[numpy.diff(pixel[order]) == 0]
    return within


def dominant_hz(profile: Float, bin_us: int) -> float:
    """Return the frequency in Hz at which the amplitude spectrum of a profile is highest; 0 for a constant profile.

    The mean is subtracted, a Hann window applied, and the profile padded to eight times its length.
    """
    tapered = (profile - profile.mean()) * numpy.hanning(len(profile))
    amplitude = numpy.abs(numpy.fft.rfft(tapered, 8 * len(profile)))
    if not amplitude.max() > 1e-9 * max(abs(profile.mean()), 1e-30) * len(profile):
        return 0.0
    return float(amplitude.argmax() / (8 * len(profile) * bin_us * 1e-6))


def power_spectrum(image: NDArray[numpy.float64 | numpy.int64]) -> Float:
    """Return |FFT|^2 [H, W] of an image less its mean, normalised to a total of 1; zeros for a constant image."""
    power = numpy.abs(numpy.fft.fft2(image - image.mean())) ** 2
    shares: Float = power / max(power.sum(), 1e-30)
    return shares


def correlation_length(power: Float) -> float:
    """Return the distance in pixels at which the circular autocorrelation, averaged over directions, first falls to 1/e."""
    correlation = numpy.fft.ifft2(power).real
    by_distance = _radial(correlation / correlation[0, 0], numpy.rint(_radius(power.shape, power.shape)).astype(int))
    by_distance = by_distance[: min(power.shape) // 2]
    below = numpy.flatnonzero(by_distance < 1 / numpy.e)
    if not len(below):
        return float("inf")
    after = int(below[0])
    high, low = by_distance[after - 1], by_distance[after]
    return after - 1 + float((high - 1 / numpy.e) / (high - low))


def spectral_slope(power: Float, lowest: float = 1 / 16, highest: float = 1 / 4) -> float:
    """Return the slope of a line fitted to log power, averaged over directions, against log frequency in cycles per pixel.

    nan if the sensor has fewer than two frequencies between ``lowest`` and ``highest``, or no power there.
    """
    ring = numpy.rint(_radius(power.shape, (1, 1)) * min(power.shape)).astype(int)
    by_frequency = _radial(power, ring)
    frequency = numpy.arange(len(by_frequency)) / min(power.shape)
    used = (frequency >= lowest) & (frequency <= highest) & (by_frequency > 0)
    if used.sum() < 2:
        return float("nan")
    return float(numpy.polyfit(numpy.log(frequency[used]), numpy.log(by_frequency[used]), 1)[0])


@dataclass(frozen=True)
class _Single:
    events: int
    duration_s: float
    rate: float
    on_fraction: float
    active: float
    intervals: NDArray[numpy.int64]
    profile: Float
    power: Float


def _single(events: EventArray, sensor: tuple[int, int]) -> _Single:
    if len(events) < 2:
        raise ValueError(f"statistics of a recording of {len(events)} events: at least two are needed")
    t = events["t"].astype(numpy.int64) - int(events["t"][0])
    pixels = sensor[0] * sensor[1]
    duration_s = max(int(t[-1]), 1) / 1e6
    image = numpy.bincount(events["y"].astype(numpy.int64) * sensor[1] + events["x"], minlength=pixels).reshape(sensor)
    whole_bins = max(int(t[-1]) // BIN_US, 1)
    return _Single(
        events=len(events),
        duration_s=duration_s,
        rate=len(events) / pixels / duration_s,
        on_fraction=float((events["p"] == 1).mean()),
        active=float((image > 0).mean()),
        intervals=intervals(events, sensor),
        profile=numpy.bincount(t // BIN_US)[:whole_bins] / (pixels * BIN_US * 1e-6),
        power=power_spectrum(image),
    )


def _mean_profile(profiles: list[Float]) -> Float:
    """Return the mean over the recordings, up to the end of the shortest."""
    length = min(len(profile) for profile in profiles)
    mean: Float = numpy.mean([profile[:length] for profile in profiles], axis=0)
    return mean


def _radius(shape: tuple[int, ...], scale: tuple[int, ...]) -> Float:
    """Return the distance [H, W] of each entry of an FFT from entry 0, in cycles per pixel times ``scale``."""
    rows, columns = (numpy.fft.fftfreq(n) * by for n, by in zip(shape, scale, strict=True))
    radius: Float = numpy.hypot(rows[:, None], columns)
    return radius


def _radial(values: Float, ring: NDArray[numpy.int64]) -> Float:
    """Return the mean of the values in each ring."""
    mean: Float = numpy.bincount(ring.ravel(), values.ravel()) / numpy.maximum(numpy.bincount(ring.ravel()), 1)
    return mean
