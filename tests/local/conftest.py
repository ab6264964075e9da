"""Training steps of local algorithms in double precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from bench import backends
from bench.spec import (  # fmt: skip
    NetworkSpec,
)
from bench.training_step import TrainingStep, training_step


@pytest.fixture
def step_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., TrainingStep]:
    """A step in double precision, so that rounding is negligible, with weights for which every layer fires."""

    def make(spec: NetworkSpec, algorithm: str, backend: str = "native", **options: Any) -> TrainingStep:
        support = backends.available(backend)
        if not support:
            pytest.skip(support.reason)
        monkeypatch.setattr("bench.zoo.spec", lambda _: spec)
        step = training_step(spec.name, algorithm, backend, **options)
        step.net.double()
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for p in step.net.parameters():
                fan_in = max(p.shape[1:].numel(), 1) if p.dim() > 1 else 1
                noise = torch.randn(p.shape, generator=generator, dtype=torch.float64)
                p.copy_(noise * (1.5 * fan_in**-0.5) + (p.dim() < 2))
        return step

    return make
