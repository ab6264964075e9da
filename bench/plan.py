"""The plan of a paper: its cases at a scale, and the code and device that each depends on. Imports no torch."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from bench import algorithms, backends, datasets, networks
from bench.digest import code_digest
from bench.places import CODE
from bench.records import Made
from bench.spec import SCALES, Case, choose

THREADS = 1  # per case, so that sums have the same order on every machine; cases run in parallel instead
_REFERENCE = ("bench.algorithms.bptt", "bench.backends.native")  # some probes compare with it


@dataclass(frozen=True)
class Probe:
    """The modules of a probe and the conditions that it needs.

    ``device``: "meta" (shapes alone), "cpu", "best" (a GPU if there is one, else the CPU) or "cuda" (a GPU only).
    ``precision``: of weights and activations. ``typical_s``: typical seconds per case on 2 cores of a laptop.
    ``alone``: no other case may run at the same time.
    """

    module: str
    device: Literal["meta", "cpu", "best", "cuda"]
    typical_s: float
    precision: str = "float32"
    against: tuple[str, ...] = ()
    alone: bool = False


PROBE_TABLE: Mapping[str, Probe] = {
    "count": Probe("bench.probes.count", "cpu", 0.4),
    "cost": Probe("bench.probes.cost", "meta", 0.6),
    "equivalence": Probe("bench.probes.equivalence", "cpu", 16, precision="float64", against=_REFERENCE),
    "gradient": Probe("bench.probes.gradient", "cpu", 8, against=_REFERENCE),
    "training": Probe("bench.probes.train", "best", 50),
    "clock": Probe("bench.probes.clock", "best", 8, against=_REFERENCE, alone=True),
    "cuda-memory": Probe("bench.probes.cuda_memory", "cuda", 5),
    "longest": Probe("bench.probes.longest", "meta", 6),
    "activity": Probe("bench.probes.activity", "cpu", 4),
    "events": Probe("bench.probes.events", "cpu", 16),
}


@dataclass(frozen=True)
class Conditions:
    """The conditions under which a case is computed. They are part of a record; a case is done only under the same ones."""

    device: str  # "meta", "cpu", or the name of a GPU; "none" if the GPU it needs does not exist
    threads: int
    precision: str


def conditions(case: Case, gpu: str | None) -> Conditions:
    """Return the conditions of ``case`` on a machine whose GPU is ``gpu`` (see ``bench.machine.gpu``)."""
    probe = PROBE_TABLE[case.probe]
    device = {"meta": "meta", "cpu": "cpu", "best": gpu or "cpu", "cuda": gpu or "none"}[probe.device]
    return Conditions(device, THREADS, probe.precision)


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


@cache
def _digest(*modules: str) -> str:
    return code_digest(modules, CODE)


def digest_of(case: Case) -> str:
    """Return the digest of the code that a result of ``case`` depends on: probe, algorithm, backend, network and data set."""
    return _digest(
        PROBE_TABLE[case.probe].module,
        *PROBE_TABLE[case.probe].against,
        *([datasets.module_name(case.dataset)] if case.dataset != "none" else []),
        algorithms.module_name(case.algorithm),
        backends.module_name(case.backend),
        networks.module_name(case.network),
    )


def to_make(case: Case, gpu: str | None) -> Made:
    """Return what a record must match for ``case`` to be done on a machine whose GPU is ``gpu`` (see ``bench.records.made``)."""
    how = conditions(case, gpu)
    return (case.key, digest_of(case), how.device, how.threads, how.precision)
