"""Gradient fidelity: cosine of an algorithm's gradient to exact BPTT's and ratio of norms, same weights, same real batch.

cos = <g, g_BPTT> / (|g| |g_BPTT|), over all parameters of the network and for each of them. The auxiliary classifiers of training
block by block are none of the network's: BPTT has no gradient to hold theirs against.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bench.datasets.real import RealData
from bench.losses import Loss
from bench.probes.equivalence import aligned_parameters
from bench.spec import Case, Measurement, seed_of
from bench.training_step import training_step

VERSION = 1


def measure(case: Case, data: RealData) -> list[Measurement]:
    x, target = data.sequence(case)
    names, exact = _gradient(case, "bptt", x, target)
    _, mine = _gradient(case, case.algorithm, x, target)
    by_parameter = {name: cosine([g], [e]) for name, g, e in zip(names, mine, exact, strict=True)}
    detail = {name: round(value, 6) for name, value in by_parameter.items() if name.endswith("weight")}
    return [
        Measurement("gradient_cosine", cosine(mine, exact), "1", VERSION, {**detail, **data.about}),
        Measurement("gradient_norm", norm(mine) / norm(exact) if norm(exact) else 0.0, "x BPTT's", VERSION, data.about),
    ]


def norm(gradient: list[Tensor]) -> float:
    """Euclidean norm over all parameters, in double precision."""
    return math.sqrt(sum(float(g.double().square().sum()) for g in gradient))


def cosine(a: list[Tensor], b: list[Tensor]) -> float:
    """Cosine of two gradients given as lists of tensors, in double precision; 1 for two zeros, 0 for one."""
    dot = sum(float((x.double() * y.double()).sum()) for x, y in zip(a, b, strict=True))
    norms = [norm(a), norm(b)]
    if norms == [0.0, 0.0]:
        return 1.0
    return dot / (norms[0] * norms[1]) if all(norms) else 0.0


def _gradient(case: Case, algorithm: str, x: Tensor, target: Tensor) -> tuple[list[str], list[Tensor]]:
    settings = case.algorithm_options
    if algorithm != case.algorithm:  # the loss is the same for both
        settings = {name: value for name, value in settings.items() if name in Loss.names()}
    step = training_step(case.network, algorithm, case.backend, seed=case.seed, **settings)
    torch.manual_seed(seed_of("masks", case.network, case.dataset, case.T, case.batch, case.seed))  # for all algorithms the same
    step.gradients(x, target)
    own = _own_parameters(step.net)
    name_of = {id(parameter): name for name, parameter in step.net.named_parameters()}
    names = [name_of[id(p)].removeprefix("body.layers.").replace("synapse.", "") for p in own]
    return names, [torch.zeros_like(p) if p.grad is None else p.grad for p in own]


def _own_parameters(net: nn.Module) -> list[nn.Parameter]:
    """Without those of auxiliary classifiers, which are trained beside the network and are no part of it."""
    auxiliary = {id(parameter) for parameter in getattr(net, "classifiers", nn.ModuleList()).parameters()}
    return [parameter for parameter in aligned_parameters(net) if id(parameter) not in auxiliary]
