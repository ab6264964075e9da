"""Plan: which cases a paper has at a scale, and what each depends on. Imports no torch."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from bench import algorithms, backends, datasets, networks
from bench.digest import code_digest
from bench.spec import SCALES, Case, choose

ROOT = Path(__file__).resolve().parents[1]
_PROBE_MODULES = {
    "count": "bench.probes.count",
    "cost": "bench.probes.cost",
    "equivalence": "bench.probes.equivalence",
    "gradient": "bench.probes.gradient",
    "training": "bench.probes.train",
    "clock": "bench.probes.clock",
    "cuda-memory": "bench.probes.cuda_memory",
    "longest": "bench.probes.longest",
    "activity": "bench.probes.activity",
    "events": "bench.probes.events",
}

_REFERENCE = ("bench.algorithms.bptt", "bench.backends.native")  # what some probes measure against


def papers() -> list[str]:
    """Names of the reproduction modules."""
    return sorted(path.parent.name for path in (ROOT / "reproductions").glob("*/cases.py"))


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
    return code_digest(modules, ROOT)


def digest_of(case: Case) -> str:
    """Digest of the code that a result of ``case`` depends on: its probe, algorithm, backend, network and data set."""
    return _digest(
        _PROBE_MODULES[case.probe],
        *(_REFERENCE if case.probe in ("equivalence", "gradient", "clock") else ()),
        *([datasets.module_name(case.dataset)] if case.dataset != "none" else []),
        algorithms.module_name(case.algorithm),
        backends.module_name(case.backend),
        networks.module_name(case.network),
    )
