"""Peak bytes allocated and reserved by PyTorch's CUDA allocator in one training step.

Measured after a warm-up step, with caches and convolution workspaces cleared, counters reset and the device synchronised. The
difference to the live bytes (probes/cost.py) is workspaces and the allocator's rounding; both are reported.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass

import torch

from bench.case import Case
from bench.counting.step import batch_for
from bench.errors import Unavailable
from bench.measurement import Measurement
from bench.options import Declared
from bench.probes.resources import Resources
from bench.training_step import training_step

VERSION = 1


@dataclass(frozen=True)
class Options(Declared):
    """No options."""


def measure(case: Case, resources: Resources) -> list[Measurement]:
    if not torch.cuda.is_available():
        raise Unavailable("needs an NVIDIA GPU: it measures PyTorch's CUDA allocator")
    step = training_step(case.network, case.algorithm, case.backend, device="cuda", **case.settings)
    x, target = batch_for(step, case.T, case.batch, "cuda")
    step.run(x, target)
    gc.collect()
    torch._C._cuda_clearCublasWorkspaces()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    step.run(x, target)
    torch.cuda.synchronize()
    detail = {"device": torch.cuda.get_device_name(), "TF32": torch.backends.cudnn.allow_tf32}
    return [
        Measurement("peak_allocated_bytes", torch.cuda.max_memory_allocated(), "B", VERSION, detail),
        Measurement("peak_reserved_bytes", torch.cuda.max_memory_reserved(), "B", VERSION, detail),
    ]
