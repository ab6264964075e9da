"""Gradient fidelity along a training by BPTT: cosine of an algorithm's gradient and BPTT's, at BPTT's weights.

BPTT trains on ``after_batches`` batches with the case's optimizer. Before the first of them and after every ``every``, the
gradients of both are computed at BPTT's weights, each on the next ``batches`` batches, and compared: over all parameters of the
network, and for each weight. So the algorithms of a paper are compared at the same weights, whatever their own would be.

A cosine with a gradient of zero has no value. That is so for a layer that is silent, or whose error is zero. The detail then has
"undefined" in its place, and under "undefined" on how many of the batches it was so; a mean is over the others.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from torch import Tensor

from bench.case import Case
from bench.datasets.real import RealData
from bench.errors import UserError
from bench.losses import Loss
from bench.measurement import Measurement
from bench.optimizers import kind
from bench.options import Part, whole
from bench.probes.gradient import copy_own_weights, cosine, draw_masks, gradient_of, norm
from bench.probes.resources import Resources
from bench.training_step import training_step

VERSION = 1
UNDEFINED = "undefined"


@dataclass(frozen=True)
class Options(Part):
    batches: int = whole(1, least=1, meaning="batches on which the gradients are compared, at each moment")
    after_batches: int = whole(0, least=0, meaning="batches of training by BPTT before the last comparison")
    every: int = whole(0, least=0, meaning="batches of training between comparisons; 0 compares before and after the training")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.every and self.after_batches % self.every:
            raise UserError(f"every = {self.every}, after_batches = {self.after_batches}: use a divisor of after_batches")

    @property
    def moments(self) -> list[int]:
        """Batches of training before each comparison."""
        return sorted({*range(0, self.after_batches + 1, self.every or max(self.after_batches, 1)), self.after_batches})


def measure(case: Case, resources: Resources) -> list[Measurement]:
    data, own, named = resources.data, Options.named("probe alignment", case.probe_options), case.algorithm_options
    for_bptt = ("optimizer", *Loss.names(), *kind(named.get("optimizer", "sgd")).names())
    shared = {name: value for name, value in named.items() if name in for_bptt}
    exact = training_step(case.network, "bptt", case.backend, seed=case.seed, **shared)
    step = training_step(case.network, case.algorithm, case.backend, seed=case.seed, **named)
    found, trained = [], 0
    for moment in own.moments:
        for i, (x, target) in enumerate(_batches(data, case, trained, moment - trained), trained):
            draw_masks(case, i)
            exact.run(x, target)
        trained = moment
        names = copy_own_weights(exact, step)
        pairs = []
        for i, (x, target) in enumerate(_batches(data, case, moment, own.batches), moment):
            pairs.append((gradient_of(exact, case, i, x, target), gradient_of(step, case, i, x, target)))
            if not all(math.isfinite(norm(gradient)) for gradient in pairs[-1]):
                raise FloatingPointError(f"a gradient is not finite after {moment} batches of training; lower lr")
        exact.optimizer.zero_grad(set_to_none=True)  # the next batch of the training adds to what is left
        value, detail = compared(names, pairs)
        found.append(Measurement(f"gradient_cosine after {moment}", value, "1", VERSION, {**detail, **data.about}))
    return found


def compared(names: Sequence[str], pairs: Sequence[tuple[list[Tensor], list[Tensor]]]) -> tuple[float | str, dict[str, Any]]:
    """Mean cosine over pairs of gradients (BPTT's, the other's), and in detail that of each weight; see the module."""
    whole_gradients = [cosine_of(mine, exact) for exact, mine in pairs]
    by_weight = {
        name: [cosine_of([mine[j]], [exact[j]]) for exact, mine in pairs]
        for j, name in enumerate(names)
        if name.endswith("weight")
    }
    undefined = {name: values.count(None) for name, values in {"all": whole_gradients, **by_weight}.items() if None in values}
    means = {name: _mean(values) for name, values in by_weight.items()}
    return _mean(whole_gradients), {**means, **({UNDEFINED: undefined} if undefined else {}), "batches": len(pairs)}


def cosine_of(mine: list[Tensor], exact: list[Tensor]) -> float | None:
    """The cosine, or None if one of the two is zero."""
    return cosine(mine, exact) if norm(mine) and norm(exact) else None


def _mean(values: Sequence[float | None]) -> float | str:
    known = [value for value in values if value is not None]
    return round(statistics.fmean(known), 6) if known else UNDEFINED


def _batches(data: RealData, case: Case, first: int, number: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield ``number`` training batches from number ``first`` on, epoch after epoch."""
    epoch, start = divmod(first, data.batches(case.batch))
    while number > 0:
        for batch in islice(data.training_batches(epoch, case.T, case.batch, start), number):
            number -= 1
            yield batch
        epoch, start = epoch + 1, 0
