"""What Skipper leaves out: spikes of every time step of one real batch, and the steps that it keeps."""

from __future__ import annotations

from typing import Any

import torch

from bench.algorithms.segments import edges
from bench.algorithms.skipper import activity, affordable, kept_steps
from bench.datasets.real import RealData
from bench.spec import Case, Measurement, seed_of
from bench.training_step import training_step

VERSION = 1


def measure(case: Case, data: RealData) -> list[Measurement]:
    """The share of all spikes that fall into skipped steps; ``detail`` has the spikes of each step and the steps kept."""
    x, _ = data.sequence(case)
    settings = case.algorithm_options
    step = training_step(case.network, case.algorithm, case.backend, seed=case.seed, **settings)
    net: Any = step.net
    torch.manual_seed(seed_of("masks", case.network, case.dataset, case.T, case.batch, case.seed))
    with torch.no_grad(), activity(net) as spikes:
        net.window(x, net.initial_state(case.batch))
    counts, p, layers = spikes(), settings["p"], len(net.neurons())
    parts = edges(case.T, settings.get("segments") or affordable(case.T, layers, p, net.graph_to_state))
    kept = sorted(t for steps in kept_steps(counts, parts, layers, p) for t in steps)
    share = 1 - float(counts[kept].sum() / counts.sum().clamp(min=1))
    detail = {"spikes": [int(n) for n in counts], "kept": kept, "segments": len(parts), **data.about}
    return [Measurement("skipped_activity", 100 * share, "%", VERSION, detail)]
