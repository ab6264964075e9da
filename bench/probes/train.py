"""Quality: accuracy and firing rate of a real training on real data.

The accuracy of an epoch is measured on the test set in evaluation mode. ``test_accuracy_best`` is the best over epochs, which
OTTT's public code selects and prints. ``train_test_gap`` (points) is the last epoch's accuracy on its training batches, measured
while training, less that on the test set. The firing rate is the mean of s over all neurons, test samples and time steps.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from bench.case import Case
from bench.counting.tape import tensors
from bench.datasets.real import RealData
from bench.measurement import Measurement
from bench.options import Part, whole
from bench.probes.resources import Resources
from bench.training import outputs, train
from bench.training_step import TrainingStep, training_step

VERSION = 1


@dataclass(frozen=True)
class Options(Part):
    epochs: int = whole(1, least=1, meaning="passes over the training samples")
    accumulate: int = whole(1, least=1, meaning="batches per update of the weights")


def measure(case: Case, resources: Resources) -> list[Measurement]:
    """Train, and measure after each epoch. ``resources.checkpoint`` must be set."""
    loop, data, device = Options.named("probe training", case.probe_options), resources.data, resources.device
    if resources.checkpoint is None:
        raise ValueError("a training needs a path for its checkpoint")
    step = training_step(case.network, case.algorithm, case.backend, seed=case.seed, device=device, **case.algorithm_options)
    samples, part = data.samples, data.about
    history = train(
        case, step, data, epochs=loop.epochs, accumulate=loop.accumulate, checkpoint=resources.checkpoint, report=resources.report
    )  # fmt: skip
    about: dict[str, Any] = {
        "train images": len(samples.train_y), "test images": len(samples.test_y), "data": samples.checksum,
        "recipe": {**loop.as_dict(), **step.recipe.as_dict()}, **part,
    }  # fmt: skip
    best = max(history, key=lambda epoch: epoch.test_accuracy)
    rates = firing_rates(step, data, case)
    return [
        *(Measurement(f"epoch {e.epoch}", e.test_accuracy, "%", VERSION, {**asdict(e), **part}) for e in history),
        Measurement("test_accuracy", history[-1].test_accuracy, "%", VERSION, about),
        Measurement("test_accuracy_best", best.test_accuracy, "%", VERSION, {**about, "epoch": best.epoch}),
        Measurement("train_test_gap", history[-1].train_accuracy - history[-1].test_accuracy, "points", VERSION, about),
        Measurement("chance", 100 / samples.classes, "%", VERSION, part),
        Measurement("firing_rate", rates["all"], "spikes/neuron/step", VERSION, {**rates, **part}),
    ]


@torch.no_grad()
def firing_rates(step: TrainingStep, data: RealData, case: Case) -> dict[str, float]:
    """Return the mean spikes per neuron and time step on the test set: by layer, and "all", weighted by neurons."""
    net = step.trainable
    spikes: dict[int, float] = {}
    entries: dict[int, int] = {}

    def note(module: nn.Module, inputs: object, out: object) -> None:
        s = next(tensors(out))
        spikes[id(module)] = spikes.get(id(module), 0.0) + float(s.sum(dtype=torch.float64))
        entries[id(module)] = entries.get(id(module), 0) + s.numel()

    layers = net.neurons()
    hooks = [module.register_forward_hook(note) for module in layers]
    try:
        outputs(net, data, case.T, case.batch)
    finally:
        for hook in hooks:
            hook.remove()
    by_layer = {f"layer {i}": spikes[id(m)] / entries[id(m)] for i, m in enumerate(layers, 1)}
    return {"all": sum(spikes.values()) / max(sum(entries.values()), 1), **by_layer}
