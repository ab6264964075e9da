"""Whose neurons run: one file a framework, imported only when asked for.

A backend is a module with

    name        as in records
    layerwise   whether a window of time steps runs layer by layer (True) or step by step (False)
    version()   of the framework
    kernel()    the kernel that runs on this machine, named in every record
    has(neuron) -> Support      whether it has just these neurons, surrogate and all; it never takes others in their place
    neurons(neuron) -> module (x[K, B, ...], v | None) -> (s[K, B, ...], v)
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
import re
from collections.abc import Callable
from types import ModuleType

from bench.kernels import compiler
from bench.machine import gpu
from bench.spec import YES, NetworkSpec, Spike, Support, UserError, choose, every_layer, no

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


# Versions whose interfaces the backends are written against: from the first on, and below the second. pyproject.toml asks for
# versions of these ranges (tests/unit/test_availability.py).
RANGES: dict[str, tuple[str, str | None]] = {"torch": ("2.9", None), "spikingjelly": ("2.0", "2.1"), "snntorch": ("1.0", "1.1")}


def _compiles() -> Support:
    """Whether the fused kernels can run: those of a C++ compiler, or Triton's on a GPU that is visible."""
    return YES if gpu() else compiler.available()


_NEEDS: dict[str, Callable[[], Support]] = dict.fromkeys(("native-fast", "native-balanced", "native-small"), _compiles)


def available(name: str) -> Support:
    """Whether a backend's framework is here, in a version that it is written for, and what it needs besides. Imports none."""
    package = framework(name)
    remedy = "pip install '.[frameworks]'"
    if importlib.util.find_spec(package) is None:
        return no(f"{package} is not installed: {remedy}")
    try:
        found = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return no(f"{package} is there, but not which version of it: {remedy}")
    least, below = RANGES[package]
    if _release(found) < _release(least) or (below is not None and _release(found) >= _release(below)):
        return no(f"{package} is installed in version {found}, and this backend is written for {_range(package)}: {remedy}")
    return _NEEDS[name]() if name in _NEEDS else YES


def _range(package: str) -> str:
    least, below = RANGES[package]
    return f"{package} >= {least}" + (f", < {below}" if below else "")


def _release(version: str) -> tuple[int, ...]:
    """2.11.0+cpu -> (2, 11, 0); what follows the numbers does not count."""
    numbers = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(n) for n in numbers[0].split(".")) if numbers else ()


def load(name: str) -> ModuleType:
    """Import a backend; UserError with the reason if its framework cannot be used here, or lacks what the backend takes of it."""
    support = available(name)
    if not support:
        raise UserError(f"backend {name}: {support.reason}")
    try:
        return importlib.import_module(module_name(name))
    except (ImportError, AttributeError) as error:
        about = f"{framework(name)} {version(name)}"
        raise UserError(f"backend {name}: {about} is installed but cannot be imported: {error}") from error


def supports(module: ModuleType, spec: NetworkSpec) -> Support:
    """Whether a loaded backend has all neurons of a network."""
    neurons = dict.fromkeys(layer.neuron for layer in every_layer(spec.layers) if isinstance(layer, Spike))
    answers: list[Support] = [module.has(neuron) for neuron in neurons]
    return next((answer for answer in answers if not answer), YES)


def version(name: str) -> str:
    return importlib.metadata.version(framework(name))
