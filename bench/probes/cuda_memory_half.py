"""Peaks of PyTorch's CUDA allocator in one training step under autocast with float16 (probes/cuda_memory.py)."""

from __future__ import annotations

import torch

from bench.case import Case
from bench.measurement import Measurement
from bench.probes import cuda_memory
from bench.probes.cuda_memory import VERSION, Options
from bench.probes.resources import Resources

__all__ = ["VERSION", "Options", "measure"]


def measure(case: Case, resources: Resources) -> list[Measurement]:
    with torch.autocast("cuda", torch.float16, enabled=torch.cuda.is_available()):
        return cuda_memory.measure(case, resources)
