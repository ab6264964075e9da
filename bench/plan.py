"""The plan of a paper: its cases at a scale, and the code and device that each depends on. Imports no torch."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from bench import algorithms, backends, datasets, zoo
from bench.case import SCALES, Case
from bench.digest import code_digest
from bench.errors import choose
from bench.machine import usable_cores
from bench.places import CODE
from bench.record import apart
from bench.record_store import DoneKey
from bench.registry import PROBES

THREADS = 1  # of most cases: sums then have the same order on every machine; cases run in parallel instead


@dataclass(frozen=True)
class Conditions:
    """The conditions under which a case is computed. They are part of a record; a case is done only under the same ones."""

    device: str  # "meta", "cpu", or the name of a GPU; "none" if the GPU it needs does not exist
    threads: int
    precision: str


def conditions(case: Case, gpu: str | None) -> Conditions:
    """Return the conditions of ``case`` on a machine whose GPU is ``gpu`` (see ``bench.machine.gpu``)."""
    probe = PROBES[case.probe]
    device = {"meta": "meta", "cpu": "cpu", "best": gpu or "cpu", "cuda": gpu or "none"}[probe.device]
    return Conditions(device, usable_cores() if probe.every_core else THREADS, probe.precision)


def papers() -> list[str]:
    """Return the names of the papers, which are the packages in reproductions/."""
    return sorted(path.parent.name for path in (CODE / "reproductions").glob("*/cases.py"))


def plan(paper: str, scale: str, has: Callable[[str], bool]) -> list[Case]:
    """Return the cases of ``paper`` up to ``scale``, each once, at the smallest scale that has it.

    Raises UserError, with close matches, for an unknown paper or scale.
    """
    choose("scale", scale, SCALES)
    module = importlib.import_module(f"reproductions.{choose('paper', paper, papers())}.cases")
    wanted: Sequence[Case] = module.cases(has)
    by_key: dict[str, Case] = {}
    for case in wanted:
        known = by_key.get(case.key)
        if known is None or SCALES.index(case.scale) < SCALES.index(known.scale):
            by_key[case.key] = case
    return [case for case in by_key.values() if SCALES.index(case.scale) <= SCALES.index(scale)]


def backends_of(probe: str, backend: str) -> list[str]:
    """Return the backends that run in a case of ``probe`` on ``backend``."""
    return list(dict.fromkeys([backend, *(other for _, other in PROBES[probe].against)]))


@cache
def _digest(*modules: str) -> str:
    return code_digest(modules, CODE)


def digest_of(case: Case, processes: int = 1) -> str:
    """Return the digest of the code that a result of ``case`` depends on: probe, algorithms, backends, network and data set.

    If several ``processes`` train it together, also what shares the batches among them.
    """
    probe = PROBES[case.probe]
    return _digest(
        probe.module,
        *(algorithms.module_name(algorithm) for algorithm, _ in probe.against),
        *map(backends.module_name, backends_of(case.probe, case.backend)),
        *(["bench.datasets.real", datasets.module_name(case.dataset)] if case.dataset != "none" else []),
        algorithms.module_name(case.algorithm),
        zoo.module_name(case.network),
        *(["bench.parallel.step"] if processes > 1 else []),
    )


def wanted_key(case: Case, gpu: str | None) -> DoneKey:
    """Return what a record must match for ``case`` to be done on a machine whose GPU is ``gpu`` (``record_store.done_key``)."""
    how = conditions(case, gpu)
    return (case.key, digest_of(case, apart(how.device)[0]), how.device, how.threads, how.precision)
