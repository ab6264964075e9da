"""Training algorithms: one file each, with its equations in the module docstring.

An algorithm is a module with

    title                        display name
    Options                      its options: a frozen dataclass (bench/options.py) that checks its values
    in_windows                   whether it runs windows of several time steps, which multi-step backends need
    supports(spec) -> Support    whether it can train the network, with the reason if not
    runs_on(backend, spec, options) -> Support      optional: whether it runs on this backend with these options
    prepare(net, options)        returns the network to be trained (most return ``net`` unchanged)
    train_step(net, x, loss, update, options) -> out

``train_step`` trains on one batch x [T, B, ...]. ``loss(outs[K, B, C])`` returns the loss terms of K steps; ``update()`` applies
the gradients in ``.grad`` and clears them, and the algorithm decides when it is called. Returns the outputs summed over time
[B, C], detached. ``.grad`` is clear when ``train_step`` is called.

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

blocks.py has the blocks of layers and their classifiers; waiting.py compresses the output of a block during its backward pass.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from bench.spec import choose

_MODULES = {
    "bptt": "bench.algorithms.bptt",
    "ottt-a": "bench.algorithms.ottt_a",
    "ottt-o": "bench.algorithms.ottt_o",
    "sltt": "bench.algorithms.sltt",
    "sltt-k": "bench.algorithms.sltt_k",
    "checkpointed": "bench.algorithms.checkpointed",
    "skipper": "bench.algorithms.skipper",
    "replay": "bench.algorithms.replay",
    "tbptt": "bench.algorithms.tbptt",
    "local": "bench.algorithms.local",
    "ttl-bptt": "bench.algorithms.ttl_bptt",
}


def names() -> list[str]:
    return sorted(_MODULES)


def module_name(name: str) -> str:
    return _MODULES[choose("algorithm", name, _MODULES)]


def load(name: str) -> ModuleType:
    return importlib.import_module(module_name(name))
