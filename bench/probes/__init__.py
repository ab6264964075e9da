"""Probes: each file asks one question about a case. A probe satisfies ``bench.contracts.Probe``.

| file | measures | on |
|---|---|---|
| cost.py | memory, multiplications and traffic of one training step | shapes only, at the paper's size |
| cost_half.py | memory of one training step under autocast to half precision | shapes only, at the paper's size |
| longest.py | the longest sequence that fits a card | shapes only |
| coefficients.py | formulas of memory, MACs and traffic in T and the batch, with their error | shapes only |
| count.py | parameters; forward MACs by fvcore | real tensors, one sample |
| equivalence.py | whether spikes and gradients are equal on all backends | real tensors, small batch |
| gradient.py | cosine of the gradient to exact BPTT's, layer by layer | real data |
| alignment.py | the same at the weights of a training by BPTT, at several moments of it | real data |
| energy.py | multiply-accumulates and accumulations by measured spikes, energy by conventions | real data |
| activity.py | spikes in the time steps that Skipper skips | real data |
| train.py | accuracy, firing rate | real data, real training |
| events.py | statistics of event recordings | real and simulated recordings |
| clock.py | seconds of a training step | the real device, alternating with native BPTT |
| speed.py | seconds of every row of a workload, in turns | the real device, a process per row |
| cuda_memory.py | CUDA's own peaks of one training step | a GPU |
| cuda_memory_half.py | the same under autocast to half precision | a GPU |

check.py says whether a case can be measured; resources.py is what a probe is given. The instruments are in bench/counting;
bench/datasets/real.py prepares the real samples.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, cast

from bench.errors import choose
from bench.registry import PROBES

if TYPE_CHECKING:
    from bench.case import Case
    from bench.contracts import Probe
    from bench.measurement import Measurement
    from bench.options import Declared


def load(name: str) -> Probe:
    """Import a probe. Raises UserError, with close matches, for an unknown name."""
    return cast("Probe", importlib.import_module(PROBES[choose("probe", name, PROBES)].module))


def measure(case: Case, root: Path | None = None) -> list[Measurement]:
    """Measure ``case`` in this process, on the CPU or on shapes, with data sets below ``root`` (default: the data root)."""
    from bench.datasets.real import RealData
    from bench.probes.resources import Resources

    return load(case.probe).measure(case, Resources(RealData(case, root)))


def options_of(case: Case) -> Declared:
    """Return the probe's options of a case, checked. Raises UserError for an option of another probe."""
    return load(case.probe).Options.named(f"probe {case.probe}", case.probe_options)
