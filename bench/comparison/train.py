"""One training of a user's network by one algorithm from one seed, and what a step of it costs.

All random numbers come from seeds made of names: runs of one seed share initial weights, the order of samples and dropout
masks, whatever the algorithm. A last batch that is smaller than the others is left out.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench import optimizers
from bench.comparison.plan import Plan, Trained
from bench.comparison.samples import Samples
from bench.errors import UserError
from bench.lift import frameworks
from bench.lift.cost.counts import ByAlgorithm, Setting
from bench.lift.recognition.forward import forward
from bench.lift.recognition.parts import reset
from bench.lift.recognition.recognise import Recognised, recognise
from bench.lift.recognition.twin import Meta, twin
from bench.lift.running.training import training_step
from bench.seeds import seed_of


@dataclass(frozen=True)
class Run:
    """``losses`` and ``accuracies`` (%) of each training step on its batch; ``tests``: accuracy (%) after each epoch.

    The loss is the cross entropy of the output averaged over time, whatever the algorithm trains on: Skipper's own loss is that
    of the time steps it keeps.
    """

    losses: tuple[float, ...]
    accuracies: tuple[float, ...]
    tests: tuple[float, ...]
    test_samples: int
    seconds: float


def train(
    make_net: Callable[[], nn.Module],
    samples: Samples,
    plan: Plan,
    case: Trained,
    seed: int,
    progress: Callable[[str], None] = lambda _: None,
) -> Run:
    """Train for all epochs. Raises UserError if the algorithm does not apply, FloatingPointError if the loss is not finite."""
    if samples.train.size < plan.batch:
        raise UserError(f"batch = {plan.batch} of {samples.train.size} training samples: use a smaller batch")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    began = time.monotonic()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of("comparison", "weights", seed))
        net = make_net().to(device).train()
        optimizer = optimizers.kind(plan.optimizer)(lr=plan.lr).of(net.parameters())
        step = training_step(net, case.algorithm, optimizer=optimizer, **case.options)
        losses, accuracies, tests = [], [], []
        for epoch in range(plan.epochs):
            net.train()
            for i, rows in enumerate(_batches(samples.train.size, plan.batch, seed, epoch)):
                x, y = (each.to(device) for each in samples.sequence(samples.train, rows, plan.T))
                torch.manual_seed(seed_of("comparison", "masks", seed, epoch, i))
                step(x, y)
                assert step.outputs is not None
                losses.append(float(nn.functional.cross_entropy(step.outputs / plan.T, y)))
                if not math.isfinite(losses[-1]):
                    raise FloatingPointError(f"{case.title}: the loss is {losses[-1]} in epoch {epoch + 1}; lower lr")
                accuracies.append(_share(step.outputs, y))
                progress(f"{case.title}, seed {seed}, epoch {epoch + 1}, step {i + 1}: loss {losses[-1]:.3f}")
            tests.append(_accuracy(net, samples, plan, device))
    return Run(tuple(losses), tuple(accuracies), tuple(tests), samples.test.size, round(time.monotonic() - began, 1))


def cost(make_net: Callable[[], nn.Module], samples: Samples, plan: Plan, case: Trained) -> tuple[int, int]:
    """Return peak live bytes and dense multiply-accumulates of one training step, counted without storage.

    Raises UserError if the algorithm does not apply to the network.
    """
    x, _ = samples.sequence(samples.train, torch.arange(1), plan.T)
    setting = Setting(make_net(), tuple(x.shape[2:]), plan.T, plan.batch, samples.encoding, plan.optimizer)
    with setting.subject() as it:
        found = ByAlgorithm(it, case.algorithm, "float32").cost(plan.T, plan.batch, **case.options)
    return found.memory.total, sum(found.macs.dense.values())


def _batches(size: int, batch: int, seed: int, epoch: int) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(seed_of("comparison", "order", seed, epoch))
    order = torch.randperm(size, generator=generator)
    return (rows for rows in order.split(batch) if len(rows) == batch)


@torch.no_grad()
def _accuracy(net: nn.Module, samples: Samples, plan: Plan, device: str) -> float:
    """Return the accuracy on all test samples in per cent, in evaluation mode, from the initial state of the neurons."""
    net.eval()
    adapters = frameworks.of(net)
    recognised: Recognised | None = None
    right = 0.0
    for rows in torch.arange(samples.test.size).split(plan.batch):
        x, y = (each.to(device) for each in samples.sequence(samples.test, rows, plan.T))
        if recognised is None:
            recognised = recognise(twin(net, Meta()), tuple(x.shape[2:]), plan.T, Meta(), "frames")
        reset(net, adapters)
        outputs = forward(net, x, plan.T, False, recognised)
        right += _share(outputs if recognised.averages else outputs.sum(0), y) * len(y)
    reset(net, adapters)
    return right / samples.test.size


def _share(outputs: Tensor, y: Tensor) -> float:
    """Return how many outputs [B, C] are largest at the label, in per cent."""
    return 100 * float((outputs.argmax(1) == y).double().mean())
