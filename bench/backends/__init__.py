"""Whose neurons run: one file a framework, imported only when asked for.

A backend is a module with

    name        as in records
    layerwise   whether a window of time steps runs layer by layer (True) or step by step (False)
    version()   of the framework
    kernel()    the kernel that runs on this machine, named in every record
    neurons(spec) -> module (x[K, B, ...], v | None) -> (s[K, B, ...], v)
    usable() -> Support         if it needs more than its framework
    arranged(net) -> net        if it runs a network in a way of its own

A module of what a framework ships, network and training in one, has in place of ``neurons``

    Options     what can be set, as an algorithm's
    ships(spec, algorithm) -> Support
    shipped(spec, algorithm, device, options) -> (network, train_step)

Every network, built or shipped, offers

    outputs(x[T, B, ...]) -> [T, B, C]      of a sequence from the zero state, in evaluation mode
    neurons() -> [module]       the layers of neurons, in order; the first output of each is spikes
    spiking() -> [module]       the modules whose first output is binary, up to a constant factor: some may not run in evaluation
    carried(output) -> tensors that go on to the next step
    reset_parameters(seed)      the initial weights
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from types import ModuleType

from bench.spec import YES, Support, UserError, choose, no

_MODULES = {
    "native": ("bench.backends.native", "torch"),
    "native-fast": ("bench.backends.native_fast", "torch"),
    "native-balanced": ("bench.backends.native_balanced", "torch"),
    "native-small": ("bench.backends.native_small", "torch"),
    "spikingjelly": ("bench.backends.spikingjelly", "spikingjelly"),
    "spikingjelly-multistep": ("bench.backends.spikingjelly_multistep", "spikingjelly"),
    "spikingjelly-shipped": ("bench.backends.spikingjelly_shipped", "spikingjelly"),
    "spikingjelly-memopt": ("bench.backends.spikingjelly_memopt", "spikingjelly"),
    "snntorch": ("bench.backends.snntorch", "snntorch"),
    "snntorch-shipped": ("bench.backends.snntorch_shipped", "snntorch"),
}


def names() -> list[str]:
    return sorted(_MODULES)


def module_name(name: str) -> str:
    return _MODULES[choose("backend", name, _MODULES)][0]


def framework(name: str) -> str:
    """The distribution that this backend stands on."""
    return _MODULES[choose("backend", name, _MODULES)][1]


def available(name: str) -> Support:
    """Whether the framework is installed. Imports nothing."""
    package = framework(name)
    if importlib.util.find_spec(package) is None:
        return no(f"{package} is not installed: pip install '.[frameworks]'")
    return YES


def load(name: str) -> ModuleType:
    """Import a backend; UserError with the reason if its framework cannot be used here."""
    support = available(name)
    if not support:
        raise UserError(f"backend {name}: {support.reason}")
    try:
        return importlib.import_module(module_name(name))
    except ImportError as error:
        raise UserError(f"backend {name}: {framework(name)} is installed but cannot be imported: {error}") from error


def version(name: str) -> str:
    return importlib.metadata.version(framework(name))
