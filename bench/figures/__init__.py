"""Figures: each a module with

    name                          the file's stem under plots/<paper>/
    class Data(Plotted)           a TypedDict: what is plotted, as JSON has it
    data(paper) -> Data | None    from records alone; None if there is nothing to show
    render(data) -> str           the SVG, the same bytes for the same data

| file | question |
|---|---|
| memory_against_T.py | how does memory grow with the number of time steps? |
| memory_against_batch.py | ... and with the batch size? |
| longest_sequence.py | how long may a sequence be on a card of a given memory? |
| peak_breakdown.py | what is the peak made of? |
| step_macs.py | how many multiply-accumulates does a training step take, and for what? |
| step_time.py | how long does a step take, against native BPTT in the same run? |
| speed.py | ... and against the convolutions alone, every backend in the same turns? |
| fidelity_against_memory.py | what does the memory saved cost in gradient fidelity? |
| fidelity_front.py | ... and what do memory, computation and fidelity cost one another? |
| fidelity_against_skipping.py | how does fidelity depend on what an algorithm skips, and on choices left open? |
| design_space.py | what do truncation and blocks change of the cost, cell by cell? |
| quality_space.py | ... and of accuracy, over-fitting and the gradient? |
| accuracy_front.py | ... and what do memory and accuracy cost one another? |
| accuracy_against_memory.py | how accurate is each algorithm for its memory, and what does the paper report? |
| inverse_problem.py | which settings could have given what the paper reports, in which way of counting? |
| skipped_activity.py | which time steps are skipped, and how much activity lies in them? |
| cosine_by_layer.py | where in the network does the gradient part from BPTT's? |
| cosine_along_training.py | ... and how does it change along a training by BPTT? |
| cosine_against_leak.py | ... and how does that depend on the leak of the neurons? |
| training_curves.py | does it learn, epoch by epoch? |
| published_against_counted.py | how do published gigabytes compare with the live bytes of the same step? |
| reported_against_measured.py | how do measured numbers compare with those that the paper reports? |

paper.py holds what figures read, style.py how they look. Several share rows.py, heat.py, spaces.py, words.py and measured.py.
"""

from __future__ import annotations

from types import ModuleType

from bench.figures import (
    accuracy_against_memory,
    accuracy_front,
    cosine_against_leak,
    cosine_along_training,
    cosine_by_layer,
    design_space,
    fidelity_against_memory,
    fidelity_against_skipping,
    fidelity_front,
    inverse_problem,
    longest_sequence,
    memory_against_batch,
    memory_against_T,
    peak_breakdown,
    published_against_counted,
    quality_space,
    reported_against_measured,
    skipped_activity,
    speed,
    step_macs,
    step_time,
    training_curves,
)

FIGURES: tuple[ModuleType, ...] = (
    memory_against_T,
    memory_against_batch,
    longest_sequence,
    inverse_problem,
    design_space,
    quality_space,
    accuracy_front,
    peak_breakdown,
    step_macs,
    step_time,
    speed,
    fidelity_against_memory,
    fidelity_front,
    fidelity_against_skipping,
    skipped_activity,
    cosine_by_layer,
    cosine_along_training,
    cosine_against_leak,
    training_curves,
    accuracy_against_memory,
    published_against_counted,
    reported_against_measured,
)
