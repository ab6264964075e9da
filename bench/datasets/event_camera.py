"""A simulated event camera: from the log intensity that each pixel sees over time to a stream of events.

A pixel keeps the log intensity r at its last event. When the log intensity L has risen to r + theta_on it sends an ON event, when
it has fallen to r - theta_off an OFF event, and r moves to the level that was crossed (Lichtsteiner, Posch, Delbruck 2008, A
128x128 120 dB 15 us Latency Asynchronous Temporal Contrast Vision Sensor, IEEE JSSC 43(2)). Over a step from sample L[k-1] to
L[k], with the threshold theta of the side that L[k] is on,

    n[k] = trunc((L[k] - r[k-1]) / theta)        events, positive ON, negative OFF
    r[k] = r[k-1] + n[k] theta                   r[0] = L[0]

and event j of the step comes when the straight line from L[k-1] to L[k] crosses r[k-1] +- j theta: the model and the linear
interpolation of ESIM (Rebecq, Gehrig, Scaramuzza 2018, ESIM: an Open Event Camera Simulator, CoRL). Its steps are adapted to the
signal; here the caller chooses them.

Thresholds differ from pixel to pixel and between a pixel's two comparators: normal around ``threshold`` with the standard
deviation ``mismatch``, not below 0.01; leak events (ON alone) and shot noise (either polarity) come on top as Poisson processes.
As in v2e (Hu, Liu, Delbruck 2021, v2e: From Video Frames to Realistic DVS Events, CVPR Workshops), whose noise also depends on
the intensity and moves r; here it does neither. Not simulated: refractory period, photoreceptor bandwidth, hot pixels, latency
and jitter.

Log intensity and thresholds are whole multiples of 1/UNIT. All values stay below 2^24 / UNIT = 256, so that every sum above is
exact in float32 and every quotient truncates as the exact one: the same events on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy
from numpy.typing import NDArray

from bench.datasets.events import table

UNIT = 1 << 16
LEAST_THRESHOLD = 0.01


@dataclass(frozen=True)
class Camera:
    """One camera; ``seed`` draws its pixels' thresholds, which are then the same in all of its recordings.

    ``sensor``: rows and columns. ``threshold`` and ``mismatch``: in log intensity (base e). Rates: events per pixel and second.
    """

    sensor: tuple[int, int] = (128, 128)
    threshold: float = 0.3
    mismatch: float = 0.03
    leak_hz: float = 0.1
    shot_hz: float = 1.0
    seed: int = 0


def log_intensity(intensity: NDArray[Any]) -> NDArray[numpy.float32]:
    """log(intensity) to the nearest 1/UNIT, as a number of these units; intensity > 0."""
    units: NDArray[numpy.float32] = numpy.rint(numpy.log(intensity) * UNIT).astype(numpy.float32)
    return units


def recording(camera: Camera, scenes: NDArray[numpy.float32], shown: NDArray[Any], step_us: int, seed: int) -> NDArray[Any]:
    """Events (t in microseconds from 0, x, y, p with 1 for ON) in order of time, then place, of a camera before moving scenes.

    ``scenes`` [S, H, W] are log intensities (see ``log_intensity``); scene ``shown[k]`` is before the camera at time
    k ``step_us``. ``seed`` draws the noise of this recording.
    """
    t, pixel, on = _crossings(camera, scenes.reshape(len(scenes), -1), shown, step_us)
    noise = _noise(camera, step_us * (len(shown) - 1), seed)
    pixels = scenes[0].size
    key = numpy.concatenate([(t * pixels + pixel) * 2 + on, (noise[0] * pixels + noise[1]) * 2 + noise[2]])
    key.sort()  # one number an event: sorted faster than by index, and in one order only
    y, x = numpy.divmod((key >> 1) % pixels, camera.sensor[1])
    return table(t=(key >> 1) // pixels, x=x.astype(numpy.int16), y=y.astype(numpy.int16), p=(key & 1).astype(numpy.int8))


@cache
def thresholds(camera: Camera) -> tuple[NDArray[numpy.float32], NDArray[numpy.float32]]:
    """ON and OFF thresholds [H W] in units."""
    generator = numpy.random.default_rng(camera.seed)
    drawn = generator.normal(camera.threshold, camera.mismatch, (2, camera.sensor[0] * camera.sensor[1]))
    on, off = numpy.rint(numpy.maximum(drawn, LEAST_THRESHOLD) * UNIT).astype(numpy.float32)
    return on, off


def _crossings(
    camera: Camera, scenes: NDArray[numpy.float32], shown: NDArray[Any], step_us: int
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Time, pixel and whether it is ON, int64 [n] each, of every event that the scenes cause, in no order."""
    on, off = thresholds(camera)
    steps, pixels = len(shown) - 1, scenes.shape[1]
    count = numpy.empty((steps, pixels), numpy.int16)
    before = numpy.empty((steps, pixels), numpy.float32)
    r = scenes[shown[0]].copy()
    for k in range(steps):
        before[k] = r
        d = scenes[shown[k + 1]] - r
        theta = off + (d > 0) * (on - off)  # exact, and several times as fast as a choice by mask
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
    """Time, pixel and whether it is ON [3, n] of leak and shot noise events."""
    generator = numpy.random.default_rng(seed)
    rate = camera.leak_hz + camera.shot_hz
    pixels = camera.sensor[0] * camera.sensor[1]
    n = generator.poisson(rate * pixels * duration_us / 1e6)
    t, pixel = generator.integers(duration_us, size=n), generator.integers(pixels, size=n)
    on = generator.random(n) * rate < camera.leak_hz + camera.shot_hz / 2
    return numpy.stack([t, pixel, on.astype(numpy.int64)])
