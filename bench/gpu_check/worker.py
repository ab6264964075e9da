"""The process of a step that measures no cases: ``python -m bench.gpu_check.worker STEP DEVICE THREADS``.

It prints one line of JSON: whether the step passed, its findings in words, and their details. A step has its own process, so that
a fault of a kernel, which ends the use of the GPU in its process, leaves the other steps as they are.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import torch

from bench.case import SCALES
from bench.errors import UserError
from bench.gpu_check import gates, kernels, throughput
from bench.plan import papers, plan
from bench.quantity import count_of, significant

SHOWN = 3  # failures in the line
FUSED = {"cuda": "Triton", "cpu": "C++"}  # the language of the fused kernels on a device


@dataclass(frozen=True)
class Answer:
    passed: bool
    words: str
    detail: Mapping[str, object]


def on_kernels(device: str, threads: int) -> Answer:
    found = kernels.compared(device)
    name = FUSED[device]
    if found.failures:
        return Answer(False, f"{name}: {_some(found.failures)}", asdict(found))
    types = ", ".join(f"{count} in {dtype} ({found.largest[dtype]:.0e})" for dtype, count in found.compared.items())
    words = f"{name} equals its reference in {count_of(sum(found.compared.values()), 'setting')}: {types} (largest difference)"
    return Answer(True, words, asdict(found))


def on_gates(device: str, threads: int) -> Answer:
    planned = [case for paper in papers() for case in plan(paper, SCALES[-1], lambda _: True)]
    found = gates.gates(gates.modes(planned), device)
    problems = [gate.problem for gate in found if gate.problem]
    detail = {gate.mode: asdict(gate) for gate in found}
    if problems:
        return Answer(False, _some(problems), detail)
    most = max(gate.comparison.gradient_difference for gate in found)
    words = f"{count_of(len(found), 'mode')} on {device}: all spikes equal, gradients to {most:.0e}; broken neurons fail"
    return Answer(True, words, detail)


def on_throughput(device: str, threads: int) -> Answer:
    peaks = throughput.peaks(device, threads)
    precision, peak = max(peaks.items(), key=lambda found: found[1])
    workload = throughput.WORKLOADS[device]
    found = throughput.throughput(workload, throughput.ROWS, device, peak)
    each = "; ".join(f"{one.row} {significant(one.images)} images/s ({100 * one.share:.0f} %)" for one in found)
    words = f"{workload}: {each}, of {significant(peak / 1e12)} 10¹² MACs/s in {precision} products"
    return Answer(True, words, {"peaks": peaks, "rows": [asdict(one) for one in found]})


STEPS: Mapping[str, Callable[[str, int], Answer]] = {
    "kernels": on_kernels,
    "gates": on_gates,
    "throughput": on_throughput,
}


def main() -> None:
    name, device, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    try:
        answer = STEPS[name](device, int(threads))
    except UserError as error:
        answer = Answer(False, str(error), {})
    print(json.dumps(asdict(answer)), flush=True)


def _some(problems: tuple[str, ...] | list[str]) -> str:
    more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    return "; ".join(problems[:SHOWN]) + more


if __name__ == "__main__":
    main()
