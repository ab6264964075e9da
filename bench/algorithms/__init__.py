"""Training algorithms: one file each, with its equations in the module docstring.

An algorithm is a module that satisfies ``bench.contracts.Algorithm``: ``Options``, ``in_windows``, ``supports``, ``prepare`` and
``train_step``. Its name, title and colour are in ``bench.registry``.

| file | window (steps) | carried across the edge of a window | gradient through time in a window | update |
|---|---|---|---|---|
| bptt.py | T | - | full | end |
| ottt_a.py | 1 | detached state and trace | presynaptic trace | end |
| ottt_o.py | 1 | detached state and trace | presynaptic trace | every step |
| sltt.py | 1 | detached state | none | end |
| sltt_k.py | 1 | detached state | none, at k of T steps | end |
| checkpointed.py | T/C, recomputed | state and its gradient | full | end |
| replay.py | K, recomputed backwards in time | membrane potentials and their gradient | full | end |
| skipper.py | T/C, kept steps recomputed | state and its gradient | full, over the kept steps | end |
| tbptt.py | K | detached state | full | end or every window |
| local.py | T | - | full, inside a block of layers | end |
| ttl_bptt.py | K | detached state | full, inside a block of layers | every block, every window or end |
| ottt_dense.py | 1 | detached state and trace | presynaptic trace, also at the input | end or every step |
| ostl.py | 1 | detached state and trace | trace per weight | end or every step |
| otpe.py | 1 | detached state and traces | trace per weight and its leaky sum | end or every step |
| approximate_otpe.py | 1 | detached state and traces | presynaptic trace and its leaky sum | end or every step |

blocks.py has the blocks of layers and their classifiers; packed_output.py compresses the output of a block during its backward
pass; dense_traces.py has the layers and the two forms of the last four; context.py is what a training step is given beside its
batch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

from bench.errors import choose
from bench.registry import ALGORITHMS

if TYPE_CHECKING:
    from bench.contracts import Algorithm


def names() -> list[str]:
    return sorted(ALGORITHMS)


def module_name(name: str) -> str:
    return ALGORITHMS[choose("algorithm", name, ALGORITHMS)].module


def load(name: str) -> Algorithm:
    """Import an algorithm. Raises UserError, with close matches, for an unknown name."""
    return cast("Algorithm", importlib.import_module(module_name(name)))
