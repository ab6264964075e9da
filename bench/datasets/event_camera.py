"""A simulated event camera: converts the log intensity of each pixel over time to events.

A pixel stores the log intensity r of its last event. It sends an ON event when the log intensity L reaches r + theta_on, an OFF
event when L reaches r - theta_off, and r is set to the level crossed (Lichtsteiner, Posch, Delbruck 2008, A 128x128 120 dB 15 us
Latency Asynchronous Temporal Contrast Vision Sensor, IEEE JSSC 43(2)). Over a step from sample L[k-1] to L[k], with theta the
threshold for the sign of the change,

    n[k] = trunc((L[k] - r[k-1]) / theta)        events, positive ON, negative OFF
    r[k] = r[k-1] + n[k] theta                   r[0] = L[0]

and event j of the step occurs when the straight line from L[k-1] to L[k] crosses r[k-1] +- j theta. These are the model and the
linear interpolation of ESIM (Rebecq, Gehrig, Scaramuzza 2018, ESIM: an Open Event Camera Simulator, CoRL), but ESIM adapts its
steps to the signal; here the caller chooses them.

Each pixel has its own ON and OFF thresholds: normally distributed around ``threshold`` with standard deviation ``mismatch``, not
below 0.01. Leak events (ON only) and shot noise (both polarities) are added as Poisson processes, as in v2e (Hu, Liu, Delbruck
2021, v2e: From Video Frames to Realistic DVS Events, CVPR Workshops); in v2e, but not here, noise also depends on the intensity
and changes r. Not simulated: refractory period, photoreceptor bandwidth, hot pixels, latency and jitter.

Log intensity and thresholds are whole multiples of 1/UNIT, and all values are below 2^24 / UNIT = 256. So all sums above are
exact in float32 and all quotients truncate correctly: the events are the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy
from numpy.typing import NDArray

from bench.datasets.event_array import table

if TYPE_CHECKING:
    from bench.datasets.event_array import EventArray

UNIT = 1 << 16
LEAST_THRESHOLD = 0.01


@dataclass(frozen=True)
class Camera:
    """One camera. Its pixels' thresholds are drawn with ``seed`` and are the same in all of its recordings.

    ``sensor``: rows and columns. ``threshold`` and ``mismatch``: in log intensity (base e). Rates: events per pixel and second.
    """

    sensor: tuple[int, int] = (128, 128)
    threshold: float = 0.3
    mismatch: float = 0.03
    leak_hz: float = 0.1
    shot_hz: float = 1.0
    seed: int = 0


def log_intensity(intensity: NDArray[numpy.float64]) -> NDArray[numpy.float32]:
    """Return log(intensity) in units of 1/UNIT, rounded; intensity > 0."""
    units: NDArray[numpy.float32] = numpy.rint(numpy.log(intensity) * UNIT).astype(numpy.float32)
    return units


def recording(camera: Camera, scenes: NDArray[numpy.float32], shown: NDArray[numpy.int64], step_us: int, seed: int) -> EventArray:
    """Return the events (t in microseconds from 0, x, y, p with 1 for ON) of a sequence of scenes, sorted by time, then pixel.

    ``scenes`` [S, H, W] are log intensities (see ``log_intensity``); at time k ``step_us`` the camera sees scene ``shown[k]``.
    The noise of this recording is drawn with ``seed``.
    """
    t, pixel, on = _crossings(camera, scenes.reshape(len(scenes), -1), shown, step_us)
    noise = _noise(camera, step_us * (len(shown) - 1), seed)
    pixels = scenes[0].size
    key = numpy.concatenate([(t * pixels + pixel) * 2 + on, (noise[0] * pixels + noise[1]) * 2 + noise[2]])
    key.sort()  # one number per event: faster to sort than indices, and the order is unique
    y, x = numpy.divmod((key >> 1) % pixels, camera.sensor[1])
    return table(t=(key >> 1) // pixels, x=x.astype(numpy.int16), y=y.astype(numpy.int16), p=(key & 1).astype(numpy.int8))


@cache
def thresholds(camera: Camera) -> tuple[NDArray[numpy.float32], NDArray[numpy.float32]]:
    """Return ON and OFF thresholds [H W] in units of 1/UNIT."""
    generator = numpy.random.default_rng(camera.seed)
    drawn = generator.normal(camera.threshold, camera.mismatch, (2, camera.sensor[0] * camera.sensor[1]))
    on, off = numpy.rint(numpy.maximum(drawn, LEAST_THRESHOLD) * UNIT).astype(numpy.float32)
    return on, off


def _crossings(
    camera: Camera, scenes: NDArray[numpy.float32], shown: NDArray[numpy.int64], step_us: int
) -> tuple[NDArray[numpy.int64], NDArray[numpy.int64], NDArray[numpy.int64]]:
    """Return time, pixel and polarity (1 for ON), int64 [n] each, of all events caused by the scenes, unsorted."""
    on, off = thresholds(camera)
    steps, pixels = len(shown) - 1, scenes.shape[1]
    count = numpy.empty((steps, pixels), numpy.int16)
    before = numpy.empty((steps, pixels), numpy.float32)
    r = scenes[shown[0]].copy()
    for k in range(steps):
        before[k] = r
        d = scenes[shown[k + 1]] - r
        theta = off + (d > 0) * (on - off)  # exact, and several times as fast as selecting by a mask
        n = numpy.trunc(d / theta)
        count[k] = n
        r += n * theta

    at = numpy.flatnonzero(count != 0)
    many = count.ravel()[at]
    each = numpy.repeat(numpy.arange(len(at)), numpy.abs(many))
    place, sign = at[each], numpy.sign(many)[each]
    first = numpy.cumsum(numpy.abs(many), dtype=numpy.int64) - numpy.abs(many)
    nth = numpy.arange(len(each)) - first[each] + 1
    step, pixel = numpy.divmod(place, pixels)
    start, end = (scenes.ravel()[shown[step + later] * pixels + pixel].astype(numpy.float64) for later in (0, 1))
    level = before.ravel()[place] + sign * nth * numpy.where(sign > 0, on[pixel], off[pixel]).astype(numpy.float64)
    t = step * step_us + numpy.floor((level - start) / (end - start) * step_us).astype(numpy.int64)
    return t, pixel, (sign > 0).astype(numpy.int64)


def _noise(camera: Camera, duration_us: int, seed: int) -> NDArray[numpy.int64]:
    """Return time, pixel and polarity (1 for ON) [3, n] of leak and shot noise events."""
    generator = numpy.random.default_rng(seed)
    rate = camera.leak_hz + camera.shot_hz
    pixels = camera.sensor[0] * camera.sensor[1]
    n = generator.poisson(rate * pixels * duration_us / 1e6)
    t, pixel = generator.integers(duration_us, size=n), generator.integers(pixels, size=n)
    on = generator.random(n) * rate < camera.leak_hz + camera.shot_hz / 2
    return numpy.stack([t, pixel, on.astype(numpy.int64)])
