"""How gradients are obtained: one file an algorithm, its equations at the head.

An algorithm is a module with

    title                        for people
    Options                      what can be set: a frozen dataclass of bench/options.py that checks its values
    in_windows                   whether it runs windows of several time steps, which a layer-by-layer backend needs
    supports(spec) -> Support    whether the network can be trained so, with the reason if not
    runs_on(backend, spec, options) -> Support      if that too can be refused
    prepare(net, options)        the network made ready (most return it as it is)
    train_step(net, x, loss, update, options) -> out

``train_step`` runs one batch: x [T, B, ...]; ``loss(outs[K, B, C])`` gives the share of K steps in the loss of the
sequence; ``update()`` applies the gradients gathered in ``.grad`` and clears them, and is called when the algorithm says
so. It returns the outputs summed over time [B, C], detached. Gradients are clear when it is called.

| file | window | across a window's edge | through time inside | update |
|---|---|---|---|---|
| bptt.py | T | - | full | end |
| ottt_a.py | 1 | detached state and trace | presynaptic trace | end |
| ottt_o.py | 1 | detached state and trace | presynaptic trace | every step |
| sltt.py | 1 | detached state | none | end |
| sltt_k.py | 1 | detached state | none, at k of T steps | end |
| checkpointed.py | T/C, run twice | state and its gradient | full | end |
| replay.py | K, run twice, backwards in time | membrane potentials and their gradient | full | end |
| skipper.py | T/C, kept steps run twice | state and its gradient | full, over the kept steps | end |
| tbptt.py | K | detached state | full | end or every window |
| local.py | T | - | full, inside a block of layers | end |
| ttl_bptt.py | K | detached state | full, inside a block of layers | every block, every window or end |

Blocks of layers and what their losses are taken of: blocks.py; a block's output while it goes back: waiting.py.
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
