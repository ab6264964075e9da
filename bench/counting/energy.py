"""Energy of multiply-accumulates (MAC) and accumulations (AC) by conventions of the literature. An estimate, not a measurement.

The numbers are those of arithmetic alone in a 45 nm process at 0.9 V (Horowitz, ISSCC 2014): a MAC is a multiplication and an
addition, an AC an addition.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from bench.counting.synaptic import Operations
from bench.errors import UserError

LEFT_OUT = (
    "reading and writing memory, which usually takes more than arithmetic; the neurons' own leak, threshold and reset; batch "
    "norm, pooling and the optimizer; control, routing of spikes and idle power"
)


@dataclass(frozen=True)
class Convention:
    """pJ for one operation, and what the estimate leaves out."""

    mac: float
    ac: float
    leaves_out: str = LEFT_OUT

    def __post_init__(self) -> None:
        for name, value in (("mac", self.mac), ("ac", self.ac)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise UserError(f"{name} = {value!r} pJ: use a finite number >= 0")

    def joules(self, operations: Operations) -> float:
        return 1e-12 * (self.mac * operations.macs + self.ac * operations.acs)


CONVENTIONS: Mapping[str, Convention] = {
    "45 nm, float32": Convention(4.6, 0.9),  # 3.7 + 0.9
    "45 nm, float16": Convention(1.5, 0.4),  # 1.1 + 0.4
    "45 nm, int32": Convention(3.2, 0.1),  # 3.1 + 0.1
    "45 nm, int8": Convention(0.23, 0.03),  # 0.2 + 0.03
}
