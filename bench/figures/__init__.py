"""Figures: each a module with

    name                          the file's stem under plots/<paper>/
    data(paper) -> dict | None    what is plotted, from records alone, as JSON has it; None if there is nothing to show
    render(data) -> str           the SVG, the same bytes for the same data

| file | question |
|---|---|
| memory_against_T.py | how does memory grow with the number of time steps? |
| peak_breakdown.py | what is the peak made of? |
| step_macs.py | how many multiply-accumulates does a training step take, and for what? |
| step_time.py | how long does a step take, against native BPTT in the same run? |
| fidelity_against_memory.py | what does the memory saved cost in gradient fidelity? |
| cosine_by_layer.py | where in the network does the gradient part from BPTT's? |
| training_curves.py | does it learn, on real images? |
| reported_against_measured.py | how do measured numbers stand to those that the paper reports? |

paper.py holds what figures read, style.py how they look, rows.py and words.py what several of them share.
"""

from __future__ import annotations

from types import ModuleType

from bench.figures import (
    cosine_by_layer,
    fidelity_against_memory,
    memory_against_T,
    peak_breakdown,
    reported_against_measured,
    step_macs,
    step_time,
    training_curves,
)

FIGURES: tuple[ModuleType, ...] = (
    memory_against_T,
    peak_breakdown,
    step_macs,
    step_time,
    fidelity_against_memory,
    cosine_by_layer,
    training_curves,
    reported_against_measured,
)
