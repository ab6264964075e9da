"""Images and events that tests of the simulated camera share."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.datasets.event_camera import Camera

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
