"""Mixed precision on native backends: under PyTorch's autocast currents and spikes are bfloat16, membrane potentials float32."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench import backends
from bench.counting.step import batch_for
from bench.nets import layers as m
from bench.training_step import TrainingStep, training_step

NATIVE = ("native", "native-fast", "native-balanced", "native-small")


def gradient(step: TrainingStep, x: Tensor, target: Tensor) -> Tensor:
    step.optimizer.zero_grad()
    step.gradients(x, target)
    return torch.cat([p.grad.flatten() for p in step.net.parameters() if p.grad is not None])


@pytest.mark.parametrize("backend", NATIVE)
@pytest.mark.parametrize(("algorithm", "options"), [("bptt", {}), ("tbptt", {"K": 2}), ("ottt-a", {}), ("sltt", {})], ids=str)
def test_membrane_potentials_are_float32_under_autocast(algorithm: str, options: dict[str, Any], backend: str) -> None:
    support = backends.available(backend)
    if not support:
        pytest.skip(support.reason)
    step = training_step("vgg-sws-small/cifar10", algorithm, backend, device="cpu", **options)
    x, target = batch_for(step, 3, 2, "cpu")
    whole = gradient(step, x, target)
    types: set[tuple[torch.dtype, ...]] = set()

    def note(_: nn.Module, given: tuple[Any, ...], result: tuple[Tensor, m.State]) -> None:
        types.add((given[0].dtype, result[0].dtype, result[1][0].dtype))

    for module in step.net.modules():
        if isinstance(module, m.Neurons):
            module.register_forward_hook(note)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = gradient(step, x, target)
    assert types == {(torch.bfloat16, torch.bfloat16, torch.float32)}
    assert mixed.dtype == torch.float32  # gradients have the type of the weights
    assert 0.99 < float(torch.cosine_similarity(mixed, whole, 0)) < 1
