"""Whether a case can be measured, before anything is computed."""

from __future__ import annotations

from bench import probes
from bench.case import Case
from bench.errors import YES, Support, no
from bench.registry import BACKENDS, PROBES
from bench.training_step import WITHIN_A_BATCH, recipe, support


def check(case: Case) -> Support:
    """Return whether a case can be measured, with the reason if not. Raises UserError if one of its options is invalid."""
    own = probes.options_of(case)
    T = case.T if PROBES[case.probe].depends_on_T else None
    supported = support(case.network, case.algorithm, case.backend, T=T, options=case.algorithm_options)
    if not supported:
        return supported
    if case.probe == "count" and BACKENDS[case.backend].ships:
        return no("probe count applies to networks built by this suite; a framework's shipped implementation has other layers")
    if case.probe in ("gradient", "alignment") and not (exact := support(case.network, "bptt", case.backend)):
        return no(f"gradient fidelity compares with BPTT on the same backend: {exact.reason}")
    if getattr(own, "accumulate", 1) > 1 and not recipe(case.algorithm, case.backend, case.algorithm_options).updates_once:
        return no(WITHIN_A_BATCH)
    return YES
