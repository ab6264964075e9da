"""Statistics of a set of event recordings (bench/datasets/event_statistics.py), to compare a simulation with a camera.

They are of the training recordings that the case chooses (``train_images``); network, T and batch have no effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench.case import Case
from bench.datasets.event_statistics import EventStatistics, describe
from bench.datasets.events import Events
from bench.errors import UserError
from bench.measurement import Measurement
from bench.options import Part
from bench.probes.resources import Resources

VERSION = 1


@dataclass(frozen=True)
class Options(Part):
    """The part of the data set."""


def measure(case: Case, resources: Resources) -> list[Measurement]:
    data = resources.data
    samples: Any = data.samples
    if not isinstance(samples, Events):
        raise UserError(f"{case.dataset} has no events to describe: use a data set of event recordings")
    chosen = set(samples.train_i.tolist())
    found = describe((events for i, events in enumerate(samples.train.each()) if i in chosen), samples.train.sensor)
    return [Measurement("event_rate", found.rate, "events/pixel/s", VERSION, {**in_words(found), **data.about})]


def in_words(found: EventStatistics) -> dict[str, float]:
    """Return the statistics by the names used in tables; records sort them by name."""
    return {
        "recordings": found.recordings,
        "events per recording": found.events,
        "events per recording, standard deviation": found.events_spread,
        "seconds per recording": found.duration_s,
        "rate: events per pixel and second": found.rate,
        "rate: standard deviation over recordings": found.rate_spread,
        "polarity: share of ON events": found.on_fraction,
        "polarity: standard deviation over recordings": found.on_fraction_spread,
        "space: share of pixels with an event": found.active_pixels,
        "space: correlation length, pixels": found.correlation_px,
        "space: slope of the spectrum": found.spectral_slope,
        "time: median interval of a pixel's events, ms": found.interval_us / 1000,
        "time: share of these intervals below 1 ms": found.below_1_ms,
        "time: standard deviation of the rate over its mean": found.modulation,
        "time: dominant frequency of the rate, Hz": found.dominant_hz,
    }
