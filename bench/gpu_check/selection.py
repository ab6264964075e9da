"""Which planned cases a step of the check measures, and which of them this machine cannot run. Imports no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from bench import backends
from bench.case import Case
from bench.claims.rules.memory import OF_CUDA
from bench.plan import backends_of

PAPER, ALGORITHM, DATA, EPOCHS = "ottt", "ottt-a", "cifar10", 3  # of the training
SHORT = ("ottt", "sltt")  # papers of sequences of few time steps: their memory is measured first, at seconds a case
Planned = Mapping[str, Sequence[Case]]  # cases of the whole plans, by paper


def memory(planned: Iterable[Case]) -> list[Case]:
    """Return the cases of CUDA's peaks, and those that count the live bytes of the same training steps."""
    cases = list(planned)
    peaks = {(case.probe, _step(case)) for case in cases if case.probe in OF_CUDA.values()}
    return [case for case in cases if (OF_CUDA.get(case.probe, case.probe), _step(case)) in peaks]


def short_first(cases: Sequence[Case]) -> list[Case]:
    """Return cases of the papers of short sequences before those of others, else in the order in which they are."""
    return sorted(cases, key=lambda case: case.paper not in SHORT)


def speed(planned: Iterable[Case]) -> list[Case]:
    """Return the cases that time training steps and wait for a GPU."""
    return [case for case in planned if case.probe == "cuda-speed" or (case.probe, case.scale) == ("clock", "full")]


def training(planned: Iterable[Case], gpu: str | None) -> list[Case]:
    """Return the case of three epochs: on a GPU the paper's network, on a CPU the small one on part of the data."""
    scale = "laptop" if gpu is None else "full"
    wanted = (PAPER, "training", ALGORITHM, DATA, scale)
    found = [case for case in planned if (case.paper, case.probe, case.algorithm, case.dataset, case.scale) == wanted]
    return [case for case in found if case.probe_options.get("epochs") == EPOCHS]


def cases_of(step: str, planned: Planned, gpu: str | None) -> list[Case]:
    """Return the planned cases of a step; none of a step that measures no cases."""
    every = [case for cases in planned.values() for case in cases]
    match step:
        case "memory":
            return memory(every)
        case "speed":
            return speed(every)
        case "training":
            return training(every, gpu)
        case _:
            return []


def runnable(cases: Sequence[Case]) -> tuple[list[Case], Counter[str]]:
    """Return the cases whose backends can run here, and the reasons of the others with their number."""
    able, reasons = [], Counter[str]()
    for case in cases:
        answers = (backends.available(name) for name in backends_of(case.probe, case.backend))
        reason = next((answer.reason for answer in answers if not answer), "")
        if reason:
            reasons[reason] += 1
        else:
            able.append(case)
    return able, reasons


def _step(case: Case) -> tuple[object, ...]:
    return case.paper, case.network, case.algorithm, case.backend, case.T, case.batch, case.options
