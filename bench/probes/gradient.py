"""Gradient fidelity: cosine and ratio of norms of an algorithm's gradient and BPTT's, at the same weights on the same batch.

cos = <g, g_BPTT> / (|g| |g_BPTT|), over all parameters of the network and for each of them. Auxiliary classifiers of local
training are excluded, because BPTT has no gradient for them.

The gradients are compared on ``batches`` batches of the training set, all at the same weights. Before that the algorithm trains
on ``after_batches`` other batches (SGD, momentum 0.9, learning rate 0.1, no weight decay, unless the case states otherwise), so
that the weights are those of its own training. Values are means over the batches; the detail has the least and each batch's.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, count, islice
from typing import Any

import torch
from torch import Tensor, nn

from bench.case import Case
from bench.datasets.real import RealData
from bench.losses import Loss
from bench.measurement import Measurement
from bench.options import Part, whole
from bench.probes.equivalence import aligned_parameters
from bench.probes.resources import Resources
from bench.seeds import seed_of
from bench.training_step import TrainingStep, training_step

VERSION = 2


@dataclass(frozen=True)
class Options(Part):
    batches: int = whole(1, least=1, meaning="batches on which the gradients are compared")
    after_batches: int = whole(0, least=0, meaning="batches of training before the comparison")


def measure(case: Case, resources: Resources) -> list[Measurement]:
    data, own = resources.data, Options.named("probe gradient", case.probe_options)
    compared, trained = own.batches, own.after_batches
    step = training_step(case.network, case.algorithm, case.backend, seed=case.seed, **case.algorithm_options)
    loss = {name: value for name, value in case.algorithm_options.items() if name in Loss.names()}  # of both gradients
    exact_step = training_step(case.network, "bptt", case.backend, seed=case.seed, **loss)
    batches = enumerate(_batches(data, case))
    for i, (x, target) in islice(batches, trained):
        draw_masks(case, i)  # the same for all algorithms
        step.run(x, target)
    names = copy_own_weights(step, exact_step)
    cosines, norm_ratios, by_parameter = [], [], []
    for i, (x, target) in islice(batches, compared):
        exact, mine = gradient_of(exact_step, case, i, x, target), gradient_of(step, case, i, x, target)
        if not (math.isfinite(norm(exact)) and math.isfinite(norm(mine))):
            raise FloatingPointError(f"a gradient is not finite after {trained} batches of training; lower lr")
        cosines.append(cosine(mine, exact))
        norm_ratios.append(norm(mine) / norm(exact) if norm(exact) else 0.0)
        by_parameter.append([cosine([g], [e]) for g, e in zip(mine, exact, strict=True)])
    weights = {
        name: round(statistics.fmean(values), 6)
        for name, values in zip(names, zip(*by_parameter, strict=True), strict=True)
        if name.endswith("weight")
    }
    return [
        Measurement("gradient_cosine", statistics.fmean(cosines), "1", VERSION, {**weights, **_spread(cosines), **data.about}),
        Measurement("gradient_norm", statistics.fmean(norm_ratios), "x BPTT's", VERSION, {**_spread(norm_ratios), **data.about}),
    ]


def _batches(data: RealData, case: Case) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the training batches, epoch after epoch."""
    return chain.from_iterable(data.training_batches(epoch, case.T, case.batch) for epoch in count())


def _spread(values: list[float]) -> dict[str, Any]:
    """Return the least value and all values, or nothing for a single batch."""
    return {"least": min(values), "batches": [round(value, 6) for value in values]} if len(values) > 1 else {}


def norm(gradient: list[Tensor]) -> float:
    """Return the Euclidean norm over all parameters, in double precision."""
    return math.sqrt(sum(float(g.double().square().sum()) for g in gradient))


def cosine(a: list[Tensor], b: list[Tensor]) -> float:
    """Return the cosine of two gradients (lists of tensors), in double precision; 1 if both are zero, 0 if one is."""
    dot = sum(float((x.double() * y.double()).sum()) for x, y in zip(a, b, strict=True))
    norms = [norm(a), norm(b)]
    if norms == [0.0, 0.0]:
        return 1.0
    return dot / (norms[0] * norms[1]) if all(norms) else 0.0


def copy_own_weights(step: TrainingStep, other: TrainingStep) -> list[str]:
    """Copy the network's weights of ``step`` to ``other``; return the names of the parameters in the order of ``gradient_of``."""
    mine, theirs = own_parameters(step.net), own_parameters(other.net)
    with torch.no_grad():
        for source, target in zip(mine, theirs, strict=True):
            target.copy_(source)
    name_of = {id(parameter): name for name, parameter in step.net.named_parameters()}
    return [name_of[id(p)].removeprefix("body.layers.").replace("synapse.", "") for p in mine]


def gradient_of(step: TrainingStep, case: Case, batch: int, x: Tensor, target: Tensor) -> list[Tensor]:
    """Return the gradient of every parameter on batch number ``batch``; zeros where a parameter has none."""
    draw_masks(case, batch)
    step.gradients(x, target)
    return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in own_parameters(step.net)]


def draw_masks(case: Case, batch: int) -> None:
    """Seed the dropout masks of a batch, the same for every algorithm."""
    torch.manual_seed(seed_of("masks", case.network, case.dataset, case.T, case.batch, case.seed, batch))


def own_parameters(net: nn.Module) -> list[nn.Parameter]:
    """Return the parameters of the network without those of auxiliary classifiers."""
    auxiliary = {id(parameter) for parameter in getattr(net, "classifiers", nn.ModuleList()).parameters()}
    return [parameter for parameter in aligned_parameters(net) if id(parameter) not in auxiliary]
