"""The exact front in docs/zoo.md: what schedules of each multi-step network cost beside SpikingJelly's memory optimiser.

Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.json_object import Json
from bench.quantity import count_of, size

DRAWN = (  # network and T of the panels of plots/zoo/exact_front.svg
    *(("spiking_vgg11/m", 32), ("spiking_vgg11_bn/m", 4), ("sew_resnet18/m", 4), ("spiking_resnet18/m", 4)),
    *(("ms_resnet18", 4), ("spikformer_cifar10", 4)),
)
_TITLES = (
    *("network", "T", "bound", "BPTT", "spikes as bits, 1.00 x", "least", "SpikingJelly, level 1", "levels 2 to 4, emulated"),
    *("left by the bound", "no more memory"),
)


def section(lines: Sequence[Json]) -> str:
    """Return the section; empty if nothing was measured."""
    cases = [(line["network"], case) for line in lines for case in line.get("front", {}).get("cases", ())]
    if not cases:
        return ""
    lost = [(network, case) for network, case in cases if beaten(case)]
    verdict = f"not on {', '.join(network for network, _ in lost)}" if lost else f"on all {len(cases)} of them"
    head = (
        "## The exact front\n\n"
        "The least memory of schedules with BPTT's gradients and running statistics, with their dense multiply-accumulates "
        "relative to BPTT's in brackets. SpikingJelly's memory optimiser is applied with four choices of its targets (blocks, "
        "containers, neurons, every layer), and the least is shown: level 1 as shipped; the levels 2 to 4 are its greedy search "
        "with counted peaks in place of a GPU's, within 30 counts each, where they were run. At equal or fewer "
        f"multiply-accumulates the front has no more memory than any result of the optimiser {verdict}. The bound is what "
        "recomputation leaves: weights, gradients and optimizer, the input, and the largest layer under batch norm. Left by the "
        "bound: what it leaves of BPTT's peak, over what it leaves of the least.\n"
    )
    rows = [_TITLES, tuple("---" if i == 0 else "--:" for i in range(len(_TITLES))), *(_row(*each) for each in cases)]
    drawn = any((network, case["T"]) in DRAWN for network, case in cases)
    figure = ["", "![Exact fronts: memory against multiply-accumulates](../plots/zoo/exact_front.svg)"] if drawn else []
    return "\n".join([head, *(f"| {' | '.join(row)} |" for row in rows), "", f"{count_of(len(cases), 'case')}.", *figure, ""])


def beaten(case: Json) -> list[Json]:
    """Return the results of the optimiser that have less memory than any schedule of as few products."""
    return [each for each in case["spikingjelly"] if _within(case, each["macs"]) > each["peak"]]


def _within(case: Json, macs: int) -> float:
    return min((each["peak"] for each in case["schedules"] if each["macs"] <= macs), default=float("inf"))


def _row(network: str, case: Json) -> tuple[str, ...]:
    bptt, least = case["schedules"][0], case["schedules"][-1]
    free = [each for each in case["schedules"] if each["macs"] <= bptt["macs"]][-1]
    shipped = [each for each in case["spikingjelly"] if not each["emulated"]]
    emulated = [each for each in case["spikingjelly"] if each["emulated"]]
    bound = case["bound"]["total"]
    left = (bptt["peak"] - bound) / max(least["peak"] - bound, 1)
    cells = (_cell(bptt, 0), size(free["peak"]), *(_least(entries, bptt["macs"]) for entries in ([least], shipped, emulated)))
    return network, str(case["T"]), f"{size(bound)}, {_holds(case)}", *cells, f"{left:.1f} x", "no" if beaten(case) else "yes"


def _least(entries: Sequence[Json], bptt: int) -> str:
    best = min(entries, key=lambda each: (each["peak"], each["macs"]), default=None)
    return "not run" if best is None else _cell(best, bptt)


def _cell(entry: Json, bptt: int) -> str:
    return size(entry["peak"]) + (f" ({entry['macs'] / bptt:.2f} x)" if bptt else "")


def _holds(case: Json) -> str:
    """Return what the largest part of the bound is."""
    parts = {"weights and optimizer": case["bound"]["weights"], "the input": case["bound"]["input"]}
    parts[f"batch norm {case['bound']['layer']}"] = case["bound"]["norm"]
    return max(parts, key=lambda name: parts[name])
