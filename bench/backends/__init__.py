"""Backends: the implementations of the neurons, one file each, imported only when used.

A backend is a module that satisfies ``bench.contracts.Backend``; where a framework provides network and training together, it
satisfies ``bench.contracts.Shipped``. Its name, framework and marker are in ``bench.registry``.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from bench.errors import YES, Support, UserError, choose, no
from bench.kernels import compiler
from bench.machine import gpu
from bench.registry import BACKENDS, FRAMEWORKS
from bench.spec import NetworkSpec, Neuron

if TYPE_CHECKING:
    from bench.contracts import Backend, Shipped


def names() -> list[str]:
    return sorted(BACKENDS)


def module_name(name: str) -> str:
    return BACKENDS[choose("backend", name, BACKENDS)].module


def framework(name: str) -> str:
    """Return the name of the installed package that this backend depends on."""
    return BACKENDS[choose("backend", name, BACKENDS)].framework


def _compiles() -> Support:
    """Return whether the fused kernels can run: compiled C++, or Triton on a visible GPU."""
    return YES if gpu() else compiler.available()


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
    least, below = FRAMEWORKS[package]
    if _release(found) < _release(least) or (below is not None and _release(found) >= _release(below)):
        return no(f"{package} is installed in version {found}, but this backend supports {_range(package)}: {remedy}")
    return _compiles() if BACKENDS[name].compiles else YES


def _range(package: str) -> str:
    least, below = FRAMEWORKS[package]
    return f"{package} >= {least}" + (f", < {below}" if below else "")


def _release(version: str) -> tuple[int, ...]:
    """2.11.0+cpu -> (2, 11, 0); anything after the numbers is ignored."""
    numbers = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(n) for n in numbers[0].split(".")) if numbers else ()


def load(name: str) -> Backend | Shipped:
    """Import a backend. Raises UserError with the reason if its framework cannot be used, or lacks something it needs."""
    support = available(name)
    if not support:
        raise UserError(f"backend {name}: {support.reason}")
    try:
        return cast("Backend | Shipped", importlib.import_module(module_name(name)))
    except Exception as error:  # a framework may fail in any way, e.g. with an OSError for its shared library
        about = f"{framework(name)} {version(name)}"
        raise UserError(f"backend {name}: {about} is installed but cannot be imported: {error}") from error


def supports(module: Backend | Shipped, spec: NetworkSpec) -> Support:
    """Return whether a loaded backend has all the neurons of a network."""
    return next((answer for neuron in spec.neurons if not (answer := module.has(neuron))), YES)


def kernel_of(module: Backend | Shipped, spec: NetworkSpec) -> str:
    """Return the kernel that runs a network on this machine, and what runs those of its neurons that are not LIF."""
    beside: Callable[[Neuron], str] | None = getattr(module, "beside", None)
    others = [] if beside is None else [beside(neuron) for neuron in spec.neurons]
    return "; ".join(dict.fromkeys([module.kernel(), *filter(None, others)]))


def version(name: str) -> str:
    return importlib.metadata.version(framework(name))
