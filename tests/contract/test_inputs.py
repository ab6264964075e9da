"""A training step rejects a batch that it cannot train on before anything is computed or changed, on every backend."""

from __future__ import annotations

import itertools
import re
import timeit
from collections.abc import Callable, Iterator
from time import process_time
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench import algorithms, backends, zoo
from bench.counting.step import batch_for, cost_of
from bench.errors import UserError
from bench.spec import AvgPool, Conv, Dense, Flatten, NetworkSpec, NeuronSpec, Spike
from bench.training_step import TrainingStep, check_batch, support, training_step

NEURON = NeuronSpec(decay=0.5, threshold=0.3)
HEAD = (AvgPool(2, 2), Flatten(), Dense(3, init="default"))
LAYERS = (Conv(4), Spike(NEURON), Conv(4), Spike(NEURON))
NETWORKS = {
    "chain": NetworkSpec("chain", (2, 4, 4), 3, (*LAYERS, *HEAD), NEURON, 275, "these tests", "frames"),
    "standardised": NetworkSpec(
        "standardised", (2, 4, 4), 3, (Conv(4, standardised=True), Spike(NEURON), *HEAD), NEURON, 131, "these tests", "frames"
    ),
}
T, BATCH = 4, 2
X, Y = torch.randn(T, BATCH, 2, 4, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 2])
OWN = {"spikingjelly-shipped": "sltt", "snntorch-shipped": "tbptt"}


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    real = zoo.spec
    monkeypatch.setattr(zoo, "spec", lambda name: NETWORKS[name] if name in NETWORKS else real(name))


def step_on(backend: str, algorithm: str | None = None, network: str = "chain") -> TrainingStep:
    algorithm = algorithm or OWN.get(backend, "bptt")
    if not support(network, algorithm, backend):
        pytest.skip("no such combination")
    return training_step(network, algorithm, backend)


def inference(x: Tensor) -> Tensor:
    with torch.inference_mode():
        return x.clone()


BATCHES: dict[str, tuple[Any, Any, str]] = {
    "no time steps": (X[:0], Y, r"x has shape \[0, 2, 2, 4, 4\]; chain takes \[T, B, 2, 4, 4\] with T >= 1 and B >= 1"),
    "no samples": (X[:, :0], Y[:0], r"x has shape \[4, 0, 2, 4, 4\]; chain takes .* B >= 1"),
    "one image": (X[0, 0], Y, r"x has shape \[2, 4, 4\]; chain takes \[T, B, 2, 4, 4\]"),
    "one number": (X.sum(), Y, r"x has shape \[\]; chain takes"),
    "another size": (X[..., :3], Y, r"x has shape \[4, 2, 2, 4, 3\]; chain takes"),
    "channels last": (X.movedim(2, -1), Y, r"x has shape \[4, 2, 4, 4, 2\]; chain takes"),
    "whole numbers": (X.long(), Y, r"x is a tensor of torch\.int64; use a tensor of floats"),
    "bytes": (X.byte(), Y, r"x is a tensor of torch\.uint8; .*x\.float\(\) / 255"),
    "booleans": (X > 0, Y, r"x is a tensor of torch\.bool; use a tensor of floats"),
    "complex": (X.cfloat(), Y, r"x is a tensor of torch\.complex64; use a tensor of floats"),
    "a list": (X.tolist(), Y, "x is .* of type list; use a tensor of floats"),
    "an array": (X.numpy(), Y, "x is .* of type ndarray; use a tensor of floats"),
    "none": (None, Y, "x is None of type NoneType; use a tensor of floats"),
    "double": (X.double(), Y, r"x is a tensor of torch\.float64, but the weights are torch\.float32: use x\.float\(\)"),
    "half": (X.half(), Y, r"x is a tensor of torch\.float16, but the weights are torch\.float32: use x\.float\(\)"),
    "on another device": (X.to("meta"), Y, r"x is on meta, but the weights are on cpu: use x\.to\('cpu'\)"),
    "with a gradient": (X.clone().requires_grad_(), Y, r"x requires a gradient, .* use x\.detach\(\)"),
    "of inference": (inference(X), Y, r"x was made in torch\.inference_mode\(\), .* use x\.clone\(\)"),
    "no target": (X, None, r"target is None of type NoneType; use class indices, a tensor of torch\.long \[B\]"),
    "a list of targets": (X, [0, 2], "target is .* of type list; use class indices"),
    "an array of targets": (X, np.array([0, 2]), "target is .* of type ndarray; use class indices"),
    "targets of floats": (X, Y.float(), r"target is a tensor of torch\.float32; .*target\.long\(\)"),
    "targets of int32": (X, Y.int(), r"target is a tensor of torch\.int32; .*target\.long\(\)"),
    "targets of too few samples": (X, Y[:1], r"target has shape \[1\]; use one class index for each sample, shape \[2\]"),
    "targets of steps": (X, Y.expand(T, BATCH), r"target has shape \[4, 2\]; .* shape \[2\]"),
    "one-hot targets": (X, torch.eye(3)[Y].long(), r"target has shape \[2, 3\]; .* shape \[2\]"),
    "one target": (X, torch.tensor(1), r"target has shape \[\]; .* shape \[2\]"),
    "a target too large": (X, torch.tensor([0, 3]), "target holds 0 to 3; chain has the classes 0 to 2"),
    "a target too small": (X, torch.tensor([-1, 2]), "target holds -1 to 2; chain has the classes 0 to 2"),
    "targets on another device": (X, Y.to("meta"), r"target is on meta, but the weights are on cpu: use target\.to\('cpu'\)"),
}

WAYS: dict[str, Callable[[TrainingStep, Any, Any], object]] = {
    "run": lambda step, x, y: step.run(x, y),
    "gradients": lambda step, x, y: step.gradients(x, y),
    "gather": lambda step, x, y: step.accumulate(x, y, 0.5),
}


def kept(step: TrainingStep) -> list[Tensor]:
    """What a rejected batch must leave as it was."""
    grads = [parameter.grad for parameter in step.net.parameters() if parameter.grad is not None]
    return [value.clone() for value in (*step.net.state_dict().values(), *grads, torch.get_rng_state())]


def assert_rejected(step: TrainingStep, way: str, x: Any, y: Any, said: str) -> None:
    before = kept(step)
    with pytest.raises(UserError, match=said):
        WAYS[way](step, x, y)
    assert len(kept(step)) == len(before)
    assert all(itertools.starmap(torch.equal, zip(before, kept(step), strict=True)))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("wrong", BATCHES)
def test_wrong_batches_are_rejected_with_value_and_remedy(wrong: str, way: str) -> None:
    step = step_on("native")
    step.accumulate(X, Y, 0.5)  # gradients that must not be lost
    assert_rejected(step, way, *BATCHES[wrong])


def combinations() -> Iterator[Any]:
    for algorithm, backend in itertools.product(algorithms.names(), backends.names()):
        yield pytest.param(algorithm, backend, id=f"{algorithm}, {backend}")


@pytest.mark.parametrize(("algorithm", "backend"), list(combinations()))
def test_every_algorithm_and_backend_rejects_wrong_batches_and_then_trains(algorithm: str, backend: str) -> None:
    step = step_on(backend, algorithm)
    for wrong in ("no time steps", "no samples", "another size", "bytes", "double", "a target too large", "targets of floats"):
        assert_rejected(step, "run", *BATCHES[wrong])
    for disabled in (torch.no_grad(), torch.inference_mode()):
        with disabled:
            assert_rejected(step, "run", X, Y, r"gradients are disabled here: call .* outside of torch\.no_grad\(\)")
    with torch.no_grad():
        assert step.trainable.outputs(X).shape == (T, BATCH, 3)
    assert step.run(X, Y).shape == (BATCH, 3)
    step.net.double()
    assert_rejected(step, "run", X, Y, r"x is .*float32, but the weights are torch\.float64: use x\.double\(\)")


@pytest.mark.parametrize("backend", backends.names())
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_autocast_accepts_every_float_that_it_converts(dtype: torch.dtype, backend: str) -> None:
    step = step_on(backend)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        step.run(X.to(dtype), Y)
        assert_rejected(step, "run", X.double(), Y, r"use x\.float\(\)")


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), -float("inf"), None, "1", True, torch.ones(())], ids=repr)
def test_gather_rejects_values_that_are_not_finite(weight: Any) -> None:
    step = step_on("native")
    with pytest.raises(UserError, match=rf"weight = {re.escape(repr(weight))} of a batch: use a finite number"):
        step.accumulate(X, Y, weight)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("backend", [name for name in backends.names() if name.startswith("native")])
def test_networks_of_another_type_train_or_are_rejected(backend: str, dtype: torch.dtype, network: str) -> None:
    step = step_on(backend, network=network)
    step.net.to(dtype)
    x, y = batch_for(step, T=T, batch=BATCH, device="cpu")
    assert x.dtype == dtype
    if dtype == torch.float16 and backend != "native":
        with pytest.raises(UserError, match=r"float16: the fused kernels run in .*; convert, or use backend native"):
            step.run(x, y)
        return
    step.gradients(x, y)
    grads = [parameter.grad for parameter in step.net.parameters()]
    assert all(grad is not None and grad.dtype == dtype and bool(grad.isfinite().all()) for grad in grads)


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"T": 0}, "T = 0: use a whole number of time steps >= 1"),
        ({"T": 2.0}, r"T = 2\.0: use a whole number of time steps >= 1"),
        ({"T": True}, "T = True: use a whole number"),
        ({"batch": -1}, "batch = -1: use a whole number of samples >= 1"),
        ({"batch": "8"}, "batch = '8': use a whole number of samples >= 1"),
        ({"device": "gpu"}, "device = 'gpu': use 'cpu', 'cuda'"),
        ({"device": None}, "device = None: use 'cpu', 'cuda'"),
        ({"seed": 0.5}, r"seed = 0\.5: use a whole number >= 0"),
        ({"seed": -1}, "seed = -1: use a whole number >= 0"),
        ({"seed": 2**63}, r"seed = 9223372036854775808: .*< 2\*\*63"),
    ],
    ids=str,
)
def test_batch_for_rejects_wrong_sizes_devices_and_seeds(named: dict[str, Any], said: str) -> None:
    arguments: dict[str, Any] = {"T": 2, "batch": 2, "device": "cpu", **named}
    with pytest.raises(UserError, match=said):
        batch_for(step_on("native"), **arguments)


def test_input_check_is_not_counted_and_takes_little_time(monkeypatch: pytest.MonkeyPatch) -> None:
    step = training_step("vgg-sws/cifar10", "ottt-a", "native", device="meta")
    batch = batch_for(step, T=2, batch=4, device="meta")
    with_check = cost_of(step, *batch)
    monkeypatch.setattr("bench.training_step.check_batch", lambda *_: None)
    without = cost_of(step, *batch)
    assert with_check.memory == without.memory
    assert with_check.macs.dense == without.macs.dense
    assert with_check.traffic.conventions() == without.traffic.conventions()
    real = step_on("native")
    times = timeit.repeat(lambda: check_batch(real.trainable, X, Y), timer=process_time, number=200, repeat=20)
    assert min(times) / 200 < 2e-4  # 20 us of this process
