"""What the registry holds, for tests of every entry: who supports what, and options and sequences as short as they allow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from itertools import count
from typing import Any

from bench import algorithms, backends
from bench.errors import UserError
from bench.options import Declared
from bench.registry import ALGORITHMS, BACKENDS
from bench.spec import NetworkSpec
from bench.training_step import recipe, support

PLAIN = tuple(name for name, entry in BACKENDS.items() if not entry.ships and not entry.compiles)  # neurons alone, run anywhere
SHIPPED = tuple(name for name, entry in BACKENDS.items() if entry.ships)


def supported(network: str) -> list[tuple[str, str]]:
    """Return the pairs (algorithm, backend) that can train ``network``; a backend that is not installed here counts as able.

    A test of such a pair skips itself, so that the list of tests is the same on every machine.
    """
    pairs = [(algorithm, backend) for algorithm in ALGORITHMS for backend in BACKENDS]
    return [(a, b) for a, b in pairs if not backends.available(b) or support(network, a, b)]


def shipped_by(backend: str, network: str) -> str | None:
    """Return the first algorithm that a framework ships for ``network``; None if there is none, or no framework here."""
    return next((algorithm for algorithm in ALGORITHMS if support(network, algorithm, backend)), None)


def suits(options: Declared, spec: NetworkSpec, T: int) -> bool:
    try:
        options.suits(spec, T)
    except UserError:
        return False
    return True


def shortest(algorithm: str, spec: NetworkSpec, least: int = 3, backend: str = "native") -> int:
    """Return the least T >= ``least`` that the default options suit."""
    options = recipe(algorithm, backend, {}).options
    return next(T for T in count(least) if suits(options, spec, T))


def options_for(algorithm: str, spec: NetworkSpec, T: int) -> dict[str, Any]:
    """Return options that suit ``spec`` and T: the defaults, or with one of them at 0 or 1.

    An algorithm that needs more than that for a short sequence is too special for the shared tests: let its default suit.
    """
    for changed in _near_defaults(algorithms.load(algorithm).Options):
        if suits(replace(algorithms.load(algorithm).Options(), **changed), spec, T):
            return dict(changed)
    raise AssertionError(f"{algorithm}: no options near the defaults suit T = {T}")


def _near_defaults(kind: type[Declared]) -> Iterator[Mapping[str, Any]]:
    yield {}
    for each in fields(kind):
        for value in (1, 0):
            try:
                kind(**{each.name: value})
            except UserError:
                continue
            yield {each.name: value}
