"""Counts of a network without training: parameters, and forward MACs of one time step and one sample by fvcore.

fvcore counts convolutions and matrix products (one MAC per product), but no element-wise operators and no backward pass. The
count of a whole training step comes from the operators that run (probes/cost.py).
"""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from bench import backends, zoo
from bench.case import Case
from bench.errors import Unavailable
from bench.measurement import Measurement
from bench.nets.build import Network, build
from bench.options import Declared
from bench.probes.resources import Resources
from bench.seeds import seed_of

if TYPE_CHECKING:
    from bench.contracts import Backend

VERSION = 1


@dataclass(frozen=True)
class Options(Declared):
    """No options."""


_COUNTED = ("conv", "linear", "addmm", "matmul", "bmm", "einsum")


def measure(case: Case, resources: Resources) -> list[Measurement]:
    net = build(zoo.spec(case.network), cast("Backend", backends.load(case.backend)))
    net.reset_parameters(seed_of("weights", case.network, case.seed))
    parameters = sum(p.numel() for p in net.parameters())
    macs = forward_macs(net)
    return [
        Measurement("parameters", parameters, "1", VERSION),
        Measurement("forward_macs", sum(macs.values()), "MAC", VERSION, macs),
    ]


class _OneStep(nn.Module):
    """One time step from the zero state as a function without state, which fvcore can trace."""

    def __init__(self, net: Network) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        out, _ = self.net.step(x, self.net.initial_state(x.shape[0]))
        return out


def forward_macs(net: Network, batch: int = 1) -> dict[str, int]:
    """Return fvcore's MACs of one time step for ``batch`` samples, by kind of operator. Raises Unavailable without fvcore."""
    try:
        from fvcore.nn import FlopCountAnalysis
    except ImportError as error:
        reason = "forward MACs are counted by fvcore, which is not installed: pip install '.[frameworks]'"
        raise Unavailable(reason, missing="fvcore") from error

    x = torch.zeros(batch, *net.spec.input)
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer warns about every Python value
        analysis: Any = FlopCountAnalysis(_OneStep(net).eval(), x)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        by_operator: Counter[str] = analysis.by_operator()
    return {name: int(n) for name, n in sorted(by_operator.items()) if name in _COUNTED}
