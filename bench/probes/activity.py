"""Activity that Skipper skips: the spikes of every time step of one real batch, and the steps that Skipper keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from bench.algorithms import skipper
from bench.algorithms.skipper import activity, kept_steps, segments_of
from bench.case import Case
from bench.errors import UserError
from bench.measurement import Measurement
from bench.options import Part
from bench.probes.resources import Resources
from bench.seeds import seed_of
from bench.training_step import training_step

VERSION = 1


@dataclass(frozen=True)
class Options(Part):
    """The part of the data set."""


def measure(case: Case, resources: Resources) -> list[Measurement]:
    """Measure the fraction of all spikes that are in skipped steps; ``detail`` has the spikes per step and the kept steps.

    Raises UserError for an algorithm other than Skipper.
    """
    step = training_step(case.network, case.algorithm, case.backend, seed=case.seed, **case.algorithm_options)
    net: Any = step.net
    data, options = resources.data, step.recipe.options
    if not isinstance(options, skipper.Options):
        raise UserError(f"{case.algorithm} skips no time steps; probe activity applies to algorithm skipper only")
    x, _ = data.sequence(case)
    torch.manual_seed(seed_of("masks", case.network, case.dataset, case.T, case.batch, case.seed))
    with torch.no_grad(), activity(net) as spikes:
        net.window(x, net.initial_state(case.batch))
    counts, parts = spikes(), segments_of(net, case.T, options)
    kept = sorted(t for steps in kept_steps(counts, parts, len(net.neurons()), options) for t in steps)
    share = 1 - float(counts[kept].sum() / counts.sum().clamp(min=1))
    detail = {"spikes": [int(n) for n in counts], "kept": kept, "segments": len(parts), **data.about}
    return [Measurement("skipped_activity", 100 * share, "%", VERSION, detail)]
