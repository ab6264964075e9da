"""Combinations that ``support`` accepts can be trained, evaluated and resumed and have firing rates; others are rejected first.

For all algorithms, backends and four kinds of networks: combinations in which every two of them meet, if they can. The whole
product has the marker ``slow``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from bench import algorithms, backends, training, zoo
from bench.case import Case
from bench.errors import UserError
from bench.probes.check import check
from bench.probes.train import firing_rates
from bench.spec import AvgPool, BatchNorm, Conv, Dense, Flatten, Layer, Loop, NetworkSpec, NeuronSpec, Residual, Spike
from bench.training_step import TrainingStep, support, training_step
from tests.sampling import pairwise

NEURON = NeuronSpec(decay=0.5, threshold=0.3)
T, BATCH, CLASSES = 6, 3, 3
HEAD: tuple[Layer, ...] = (AvgPool(2, 2), Flatten(), Dense(CLASSES, init="default"))


def network(name: str, layers: tuple[Layer, ...], parameters: int) -> NetworkSpec:
    return NetworkSpec(name, (2, 4, 4), CLASSES, (*layers, *HEAD), NEURON, parameters, "these tests", "frames")


NETWORKS = {
    spec.name: spec
    for spec in (
        network("chain", (Conv(4), Spike(NEURON), Conv(4), Spike(NEURON)), 275),
        network("residual", (Conv(4), Residual((Spike(NEURON),), (Conv(4), Spike(NEURON), Conv(4))), Spike(NEURON)), 423),
        network("batch norm", (Conv(4, bias=False), BatchNorm(), Spike(NEURON), Conv(4), Spike(NEURON)), 279),
        network("feedback", (Loop((Conv(4),), (Spike(NEURON), Conv(4), Spike(NEURON)), (Conv(4),)),), 423),
    )
}


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "spec", lambda name: NETWORKS[name])
    monkeypatch.setattr(training, "CHECKPOINT_EVERY_S", -1.0)


@dataclass(frozen=True)
class Samples:
    train_y: Tensor


@dataclass(frozen=True)
class Noise:
    """Random data: two training batches and one test batch."""

    seed: int = 0

    @property
    def samples(self) -> Samples:
        return Samples(torch.arange(2 * BATCH) % CLASSES)

    def batches(self, batch: int) -> int:
        return -(-len(self.samples.train_y) // batch)

    def _batch(self, i: int, steps: int, batch: int) -> tuple[Tensor, Tensor]:
        x, y = torch.randn(steps, 2 * BATCH, 2, 4, 4, generator=torch.Generator().manual_seed(self.seed)), self.samples.train_y
        return x[:, : len(y)][:, i * batch : (i + 1) * batch], y[i * batch : (i + 1) * batch]

    def training_batches(self, epoch: int, steps: int, batch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        yield from (self._batch(i, steps, batch) for i in range(start, self.batches(batch)))

    def test_batches(self, steps: int, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        yield self._batch(0, steps, batch)
        yield self._batch(1, steps, batch)


class Killed(Exception):
    """Simulates a kill of the training."""


def combinations() -> Iterator[Any]:
    """The whole product; a sample of it has no marker, in which every two values meet: supported and rejected, if they can be."""
    factors = (algorithms.names(), backends.names(), list(NETWORKS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zoo, "spec", lambda name: NETWORKS[name])
        supported = {(a, b, n) for a, b, n in product(*factors) if support(n, a, b, T=T)}
    sample = {
        *pairwise(*factors, possible=lambda *values: values in supported),
        *pairwise(*factors, possible=lambda *values: values not in supported),
    }
    for values in product(*factors):
        yield pytest.param(*values, id=", ".join(values), marks=[] if values in sample else [pytest.mark.slow])


COMBINATIONS = list(combinations())


def trained(case: Case, step: TrainingStep, checkpoint: Path, **more: Any) -> list[tuple[float, float]]:
    data: Any = Noise()
    return [(e.train_loss, e.test_accuracy) for e in training.train(case, step, data, epochs=1, checkpoint=checkpoint, **more)]


@pytest.mark.sampled(every=3)
@pytest.mark.parametrize(("algorithm", "backend", "name"), COMBINATIONS)
def test_supported_combinations_train_resume_and_evaluate(algorithm: str, backend: str, name: str, tmp_path: Path) -> None:
    answer = support(name, algorithm, backend, T=T)
    if not answer:
        assert answer.reason
        if not backends.available(backend):
            pytest.skip(answer.reason)
        with pytest.raises(UserError, match=r".") as refused:
            training_step(name, algorithm, backend)
        assert answer.reason in str(refused.value)
        return
    case = Case("tests", "training", name, algorithm, backend, T, BATCH)
    whole, killed, resumed = (training_step(name, algorithm, backend, optimizer="adam", lr=0.01) for _ in range(3))
    history = trained(case, whole, tmp_path / "whole")

    def kill(progress: Any) -> None:
        if progress.done > BATCH:
            raise Killed

    with pytest.raises(Killed):
        trained(case, killed, tmp_path / "cut", report=kill)
    assert trained(case, resumed, tmp_path / "cut") == history
    for one, other in zip(whole.net.parameters(), resumed.net.parameters(), strict=True):
        assert torch.equal(one, other)
        assert bool(torch.isfinite(one).all())

    data: Any = Noise()
    rates = firing_rates(whole, data, case)
    assert list(rates) == ["all", *(f"layer {i + 1}" for i in range(NETWORKS[name].neuron_layers))]
    assert all(0 <= rate <= 1 for rate in rates.values())
    assert rates["all"] > 0
    first, second = (out for _, out in training.outputs(whole.net, data, T, BATCH))
    [again] = [out for _, out in training.outputs(whole.net, Backwards(), T, BATCH)][1:]  # type: ignore[arg-type]
    assert torch.equal(first, again)  # independent of the batch before
    assert not torch.equal(first, second)


class Backwards(Noise):
    """The test batches in reverse order."""

    def test_batches(self, steps: int, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        yield from reversed(list(super().test_batches(steps, batch)))


FUSED = ("native-fast", "native-balanced", "native-small")


@pytest.mark.sampled(every=4)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bfloat16", "float16"])
@pytest.mark.parametrize(("algorithm", "backend", "name"), COMBINATIONS)
def test_gradients_under_autocast_equal_single_precision_up_to_rounding(
    algorithm: str, backend: str, name: str, dtype: torch.dtype
) -> None:
    """Gradients have the type of the parameters. The compiled kernels reject float16."""
    if not support(name, algorithm, backend, T=T):
        return
    step = training_step(name, algorithm, backend)
    x, y = torch.randn(T, BATCH, 2, 4, 4, generator=torch.Generator().manual_seed(0)), torch.arange(BATCH)

    def gradient(mixed: bool) -> Tensor:
        torch.manual_seed(0)
        with torch.autocast("cpu", dtype=dtype, enabled=mixed):
            step.gradients(x, y)
        found = [(p.grad, p.dtype) for p in step.net.parameters() if p.grad is not None]
        assert all(g.dtype == dtype for g, dtype in found)
        return torch.cat([g.flatten() for g, _ in found])

    if backend in FUSED and dtype == torch.float16:
        with pytest.raises(UserError, match=r"float16: the fused kernels run .* use backend native"):
            gradient(mixed=True)
        return
    whole, mixed = gradient(mixed=False), gradient(mixed=True)
    assert float(whole.norm()) > 0
    assert float(torch.cosine_similarity(whole, mixed, 0)) > 0.9  # potentials near threshold fire in one and not in the other


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("backend", backends.names())
def test_backends_have_equal_numbers_of_layers_of_neurons(backend: str, name: str) -> None:
    algorithm = {"spikingjelly-shipped": "sltt", "snntorch-shipped": "tbptt"}.get(backend, "bptt")
    answer = support(name, algorithm, backend)
    if not answer:
        pytest.skip(answer.reason)
    net: Any = training_step(name, algorithm, backend, device="meta").net
    assert len(net.neurons()) == NETWORKS[name].neuron_layers


class FiveImages(Noise):
    """Data whose last batch is smaller."""

    @property
    def samples(self) -> Samples:
        return Samples(torch.tensor([0, 1, 2, 1, 0]))


@pytest.mark.parametrize("data", [Noise(), FiveImages()], ids=["6 samples", "5 samples"])
def test_accumulated_gradients_equal_those_of_a_larger_batch(data: Any, tmp_path: Path) -> None:
    """Two batches of 2 equal one of 4; remaining batches at the end of an epoch are a separate update. Also after a kill."""

    def weights(batch: int, accumulate: int, kill_after: int = 0) -> list[Tensor]:
        case = Case("tests", "training", "chain", "bptt", "native", T, batch)
        checkpoint = tmp_path / f"{batch} {accumulate} {kill_after}"
        seen: list[Any] = []

        def report(progress: Any) -> None:
            seen.append(progress)
            if len(seen) == kill_after:
                raise Killed

        if kill_after:
            with pytest.raises(Killed):
                training.train(case, step_of(), data, epochs=2, checkpoint=checkpoint, accumulate=accumulate, report=report)
        step = step_of()
        training.train(case, step, data, epochs=2, checkpoint=checkpoint, accumulate=accumulate)
        return list(step.net.parameters())

    def step_of() -> TrainingStep:
        step = training_step("chain", "bptt", "native", optimizer="sgd", lr=0.05)
        step.net.double()
        return step

    data = Doubles(data)
    for found in (weights(2, 2), weights(2, 2, kill_after=2), weights(2, 2, kill_after=4), weights(1, 4, kill_after=3)):
        for one, other in zip(found, weights(4, 1), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@dataclass(frozen=True)
class Doubles:
    """The same data in double precision."""

    of: Noise

    @property
    def samples(self) -> Samples:
        return self.of.samples

    def batches(self, batch: int) -> int:
        return self.of.batches(batch)

    def training_batches(self, *about: int) -> Iterator[tuple[Tensor, Tensor]]:
        yield from ((x.double(), y) for x, y in self.of.training_batches(*about))

    def test_batches(self, *about: int) -> Iterator[tuple[Tensor, Tensor]]:
        yield from ((x.double(), y) for x, y in self.of.test_batches(*about))


def test_accumulation_is_rejected_if_weights_change_within_a_batch() -> None:
    for algorithm, backend in (("ottt-o", "native"), ("ottt-o", "spikingjelly-shipped"), ("tbptt", "snntorch-shipped")):
        case = Case("tests", "training", "chain", algorithm, backend, T, BATCH, options=(("accumulate", 2),))
        if backends.available(backend):
            assert "use accumulate = 1" in check(case).reason
    assert check(Case("tests", "training", "chain", "bptt", "native", T, BATCH, options=(("accumulate", 2),)))


@pytest.mark.parametrize(
    ("network", "options", "epochs", "said"),
    [
        ("chain", {"lr": 0.02}, 1, "lr was 0.01 and is 0.02"),
        ("chain", {"optimizer": "adamw", "lr": 0.01}, 1, "optimizer was 'sgd' and is 'adamw'"),
        ("residual", {}, 1, "network was 'chain' and is 'residual'"),
        ("chain", {}, 2, "epochs was 1 and is 2"),
    ],
    ids=["rate", "optimizer", "network", "epochs"],
)  # fmt: skip
def test_checkpoint_of_another_training_is_rejected_with_the_difference(
    network: str, options: dict[str, Any], epochs: int, said: str, tmp_path: Path
) -> None:
    def train(network: str, epochs: int, **options: Any) -> None:
        case, data = Case("tests", "training", network, "bptt", "native", T, BATCH), cast(Any, Noise())
        step = training_step(network, "bptt", "native", **{"lr": 0.01, **options})
        training.train(case, step, data, epochs=epochs, checkpoint=tmp_path / "c")

    train("chain", 1)
    with pytest.raises(UserError, match=f"{said}.*or remove .* to begin anew"):
        train(network, epochs, **options)


def test_checkpoint_of_other_code_layers_or_damaged_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case, data = Case("tests", "training", "chain", "bptt", "native", T, BATCH), cast(Any, Noise())

    def train() -> None:
        training.train(case, training_step("chain", "bptt", "native"), data, epochs=1, checkpoint=tmp_path / "c")

    train()
    with monkeypatch.context() as patch:
        patch.setattr(training, "code_digest", lambda *_: "other")
        with pytest.raises(UserError, match=r"code was '[0-9a-f]{12}' and is 'other'"):
            train()
    with monkeypatch.context() as patch:
        patch.setitem(NETWORKS, "chain", network("chain", (Conv(5), Spike(NEURON)), 158))
        with pytest.raises(UserError, match=r"layers was .* and is "):
            train()
    (tmp_path / "c").write_bytes((tmp_path / "c").read_bytes()[:1000])
    with pytest.raises(UserError, match=r"cannot be read .*; remove it to begin anew"):
        train()
