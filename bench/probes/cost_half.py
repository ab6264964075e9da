"""Memory of one training step in half precision, at the paper's size, on shapes alone.

The step runs under PyTorch's autocast with bfloat16: activations take 2 bytes, weights and their gradients 4, as under autocast
with float16 on a GPU. Membrane potentials have the type that the backend gives them: float32 on native backends, that of the
input current on SpikingJelly's, whose neuron is a chain of plain operators here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from bench.case import Case
from bench.counting.fake import fake_tensors
from bench.counting.memory import Peak
from bench.counting.step import batch_for, cost_of
from bench.measurement import Measurement
from bench.options import Declared
from bench.probes.resources import Resources
from bench.training_step import training_step

VERSION = 1


@dataclass(frozen=True)
class Options(Declared):
    """No options."""


def measure(case: Case, resources: Resources) -> list[Measurement]:
    peak = peak_of(case, half=True)
    return [Measurement("peak_live_bytes_half", peak.total, "B", VERSION, {**peak.by_category, "operator": peak.operator})]


def peak_of(case: Case, *, half: bool) -> Peak:
    """Return the peak of live bytes; without ``half`` it is that of the probe ``cost``."""
    with fake_tensors():
        step = training_step(case.network, case.algorithm, case.backend, **case.settings)
        x, target = batch_for(step, case.T, case.batch, "cpu")
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            return cost_of(step, x, target).memory
