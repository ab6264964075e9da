"""Batch norm needs more than one value per channel and time step, as its unbiased variance requires."""

from __future__ import annotations

from math import prod

from bench.errors import UserError
from bench.nets.shapes import layer_inputs
from bench.spec import BatchNorm, NetworkSpec


def require_variance(spec: NetworkSpec, batch: int) -> None:
    """Raise UserError if a layer would normalise a single value, whose unbiased variance (divisor n - 1 = 0) is NaN.

    Frameworks differ here: some raise, others write NaN into the running variance.
    """
    if batch > 1:
        return
    norms = [shape for layer, shape in layer_inputs(spec.layers, spec.input) if isinstance(layer, BatchNorm)]
    single = next((n for n, shape in enumerate(norms, 1) if prod(shape[1:]) == 1), None)
    if single is not None:
        raise UserError(
            f"{spec.name}: batch norm {single} of {len(norms)} sees maps of one value, and a batch of 1 gives it a single value "
            "per channel, which has no variance: train with batches of 2 or more, also at the end of an epoch"
        )
