"""Backends: the implementations of the neurons, one file each, imported only when used.

A backend is a module with

    name        as in records
    layerwise   whether a window of time steps runs layer by layer (True) or step by step (False)
    version()   of the framework
    kernel()    the kernel that runs on this machine, named in every record
    has(neuron) -> Support      whether it has exactly these neurons, including the surrogate; it never substitutes others
    neurons(neuron) -> module (x[K, B, ...], v | None) -> (s[K, B, ...], v)
    arranged(net) -> net        optional: changes how the network is run

A backend for a shipped implementation, where a framework provides network and training together, has instead of ``neurons``
    Options     its options, as for an algorithm
    ships(spec, algorithm) -> Support
    shipped(spec, algorithm, device, options) -> (network, train_step)

Every network, built or shipped, has
    outputs(x[T, B, ...]) -> [T, B, C]      for a sequence from the zero state, in evaluation mode
    neurons() -> [module]       the layers of neurons, in order; the first output of each is spikes
    spiking() -> [module]       the modules whose first output is binary up to a constant factor; some run in training only
    carried(output) -> tensors that are passed to the next step
    reset_parameters(seed)      draws the initial weights
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
    """Return the name of the installed package that this backend depends on."""
    return _MODULES[choose("backend", name, _MODULES)][1]


# Supported versions of each framework: at least the first, below the second. The ranges in pyproject.toml lie within these
# (tests/unit/test_availability.py).
RANGES: dict[str, tuple[str, str | None]] = {"torch": ("2.9", None), "spikingjelly": ("2.0", "2.1"), "snntorch": ("1.0", "1.1")}


def _compiles() -> Support:
    """Return whether the fused kernels can run: compiled C++, or Triton on a visible GPU."""
    return YES if gpu() else compiler.available()


_NEEDS: dict[str, Callable[[], Support]] = dict.fromkeys(("native-fast", "native-balanced", "native-small"), _compiles)


def available(name: str) -> Support:
    """Return whether a backend can be used: framework installed, in a supported version, and a compiler if needed.

    Does not import the framework.
    """
    package = framework(name)
    remedy = "pip install '.[frameworks]'"
    if importlib.util.find_spec(package) is None:
        return no(f"{package} is not installed: {remedy}")
    try:
        found = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return no(f"{package} is installed, but its version is unknown: {remedy}")
    least, below = RANGES[package]
    if _release(found) < _release(least) or (below is not None and _release(found) >= _release(below)):
        return no(f"{package} is installed in version {found}, but this backend supports {_range(package)}: {remedy}")
    return _NEEDS[name]() if name in _NEEDS else YES


def _range(package: str) -> str:
    least, below = RANGES[package]
    return f"{package} >= {least}" + (f", < {below}" if below else "")


def _release(version: str) -> tuple[int, ...]:
    """2.11.0+cpu -> (2, 11, 0); anything after the numbers is ignored."""
    numbers = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(n) for n in numbers[0].split(".")) if numbers else ()


def load(name: str) -> ModuleType:
    """Import a backend. Raises UserError with the reason if its framework cannot be used, or lacks something it needs."""
    support = available(name)
    if not support:
        raise UserError(f"backend {name}: {support.reason}")
    try:
        return importlib.import_module(module_name(name))
    except (ImportError, AttributeError) as error:
        about = f"{framework(name)} {version(name)}"
        raise UserError(f"backend {name}: {about} is installed but cannot be imported: {error}") from error


def supports(module: ModuleType, spec: NetworkSpec) -> Support:
    """Return whether a loaded backend has all the neurons of a network."""
    neurons = dict.fromkeys(layer.neuron for layer in every_layer(spec.layers) if isinstance(layer, Spike))
    answers: list[Support] = [module.has(neuron) for neuron in neurons]
    return next((answer for answer in answers if not answer), YES)


def version(name: str) -> str:
    return importlib.metadata.version(framework(name))
