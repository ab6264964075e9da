"""Checks that batch norm has more than one value per channel and time step, as its variance requires."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from bench.backends import native
from bench.networks.build import build
from bench.networks.modules import StepwiseBatchNorm
from bench.spec import NetworkSpec, UserError


@cache
def single_valued(spec: NetworkSpec) -> str | None:
    """Return the name of the first batch norm whose maps have one value, so that it needs batches of 2 or more; None if none.

    It runs the network once on device 'meta', so call it before operators are observed.
    """
    net = build(spec, native, "meta")
    found: list[str] = []

    def note(name: str, _: nn.Module, args: tuple[Any, ...]) -> None:
        x: Tensor = args[0]  # [K, B, C, H, W]
        if x.shape[3:].numel() == 1:
            found.append(name)

    norms = [(name, module) for name, module in net.named_modules() if isinstance(module, StepwiseBatchNorm)]
    for name, module in norms:
        module.register_forward_pre_hook(partial(note, name))
    if norms:
        with torch.no_grad():
            net.window(torch.empty(2, 2, *spec.input, device="meta"), None)
    return found[0] if found else None


def require_variance(spec: NetworkSpec, batch: int) -> None:
    """Raise UserError if a layer would normalise a single value, whose unbiased variance (divisor n - 1 = 0) is NaN.

    Frameworks differ here: some raise, others write NaN into the running variance.
    """
    if batch == 1 and (name := single_valued(spec)) is not None:
        raise UserError(
            f"{spec.name}: batch norm {name!r} sees maps of one value, and a batch of 1 gives it a single value per channel, "
            "which has no variance: train with batches of 2 or more, also at the end of an epoch"
        )
