"""Plan: which cases a paper has at a scale, what each depends on, and on what it is computed. Imports no torch."""

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

THREADS = 1  # of a case: the same sums in the same order on every machine size; cases run side by side instead
_REFERENCE = ("bench.algorithms.bptt", "bench.backends.native")  # what some probes measure against


@dataclass(frozen=True)
class Probe:
    """What a probe is made of and what it takes.

    ``device``: "meta" (shapes alone), "cpu", "best" (a GPU if there is one, else the CPU) or "cuda" (nothing but a GPU).
    ``precision`` is of weights and activations; ``typical_s`` the seconds that a case mostly takes on 2 cores of a laptop;
    ``alone``: no other case may run beside it.
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
    """On what a case is computed; they belong to a record and to what makes its case done."""

    device: str  # "meta", "cpu", or a GPU's name; "none" where there is not the GPU that it takes
    threads: int
    precision: str


def conditions(case: Case, gpu: str | None) -> Conditions:
    """On what ``case`` would be computed where ``gpu`` is the one to use (see ``bench.machine.gpu``)."""
    probe = PROBE_TABLE[case.probe]
    device = {"meta": "meta", "cpu": "cpu", "best": gpu or "cpu", "cuda": gpu or "none"}[probe.device]
    return Conditions(device, THREADS, probe.precision)


def papers() -> list[str]:
    """Names of the reproduction modules."""
    return sorted(path.parent.name for path in (CODE / "reproductions").glob("*/cases.py"))


def plan(paper: str, scale: str, has: Callable[[str], bool]) -> list[Case]:
    """The cases of ``paper`` up to ``scale``, each once, at its least scale; UserError with close matches for unknown names."""
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
    """Digest of the code that a result of ``case`` depends on: its probe, algorithm, backend, network and data set."""
    return _digest(
        PROBE_TABLE[case.probe].module,
        *PROBE_TABLE[case.probe].against,
        *([datasets.module_name(case.dataset)] if case.dataset != "none" else []),
        algorithms.module_name(case.algorithm),
        backends.module_name(case.backend),
        networks.module_name(case.network),
    )


def to_make(case: Case, gpu: str | None) -> Made:
    """What a record of ``case`` must be for the case to be done where ``gpu`` is the one to use (see ``bench.records.made``)."""
    how = conditions(case, gpu)
    return (case.key, digest_of(case), how.device, how.threads, how.precision)
