"""The training loop: an interrupted and resumed training equals an uninterrupted one to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from bench import training
from bench.case import Case
from bench.datasets.real import RealData
from bench.errors import UserError
from bench.progress import Progress
from bench.training import Epoch, train
from bench.training_step import TrainingStep, training_step

pytest.importorskip("sklearn", reason="the digits are part of scikit-learn")

EPOCHS = 2
BATCHES = 4  # of 4, 4, 4 and 2 images
CASE = Case(
    "tests", "training", "vgg-sws-small/digits", "ottt-a", "native", T=2, batch=4, dataset="digits",
    options=(("train_images", 14), ("test_images", 6)),
)  # fmt: skip


class Killed(Exception):
    """Simulates a kill of the run."""


@pytest.fixture(scope="module")
def data() -> RealData:
    return RealData(CASE, None)


@pytest.fixture(autouse=True)
def save_after_every_batch(monkeypatch):
    monkeypatch.setattr(training, "CHECKPOINT_EVERY_S", -1.0)


def new_step(case: Case = CASE, **options) -> TrainingStep:
    return training_step(case.network, case.algorithm, case.backend, seed=case.seed, **options)


def without_seconds(history: tuple[Epoch, ...]) -> list[Epoch]:
    return [replace(epoch, seconds=0.0) for epoch in history]


def assert_same_net(a: TrainingStep, b: TrainingStep) -> None:
    one, other = a.net.state_dict(), b.net.state_dict()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    momenta = [[s["momentum_buffer"] for s in step.optimizer.state.values()] for step in (a, b)]
    assert len(momenta[0]) == len(momenta[1]) > 0
    assert all(torch.equal(x, y) for x, y in zip(*momenta, strict=True))


@pytest.fixture(scope="module")
def uninterrupted(data, tmp_path_factory) -> tuple[TrainingStep, tuple[Epoch, ...]]:
    step = new_step()
    return step, train(CASE, step, data, epochs=EPOCHS, checkpoint=tmp_path_factory.mktemp("whole") / "c.pt")


def killed_after(batches: int):
    seen: list[Progress] = []

    def report(progress: Progress) -> None:
        seen.append(progress)
        if len(seen) == batches:
            raise Killed

    return report


@pytest.mark.parametrize("batches", [1, 2, 4, 5, 8])
def test_resumed_training_equals_the_uninterrupted_one(batches, data, uninterrupted, tmp_path):
    checkpoint = tmp_path / "c.pt"
    with pytest.raises(Killed):
        train(CASE, new_step(), data, epochs=EPOCHS, checkpoint=checkpoint, report=killed_after(batches))
    assert checkpoint.exists() is (batches > 1)  # killed between a batch and its checkpoint
    resumed = new_step()
    seen: list[Progress] = []
    history = train(CASE, resumed, data, epochs=EPOCHS, checkpoint=checkpoint, report=seen.append)
    assert len(seen) == EPOCHS * BATCHES - (batches - 1)
    step, whole = uninterrupted
    assert without_seconds(history) == without_seconds(whole)
    assert_same_net(resumed, step)


def test_training_killed_many_times_equals_the_uninterrupted_one(data, uninterrupted, tmp_path):
    checkpoint, history = tmp_path / "c.pt", None
    for _ in range(20):
        step = new_step()
        try:
            history = train(CASE, step, data, epochs=EPOCHS, checkpoint=checkpoint, report=killed_after(2))
            break
        except Killed:
            continue
    assert history is not None
    assert without_seconds(history) == without_seconds(uninterrupted[1])
    assert_same_net(step, uninterrupted[0])


def test_resumed_training_has_the_same_dropout_masks(data, tmp_path):
    """Masks are seeded by the batch's name, not by how many were drawn before."""

    def dropping() -> TrainingStep:
        step = new_step()
        for module in step.net.neurons():
            module.dropout = 0.2
        return step

    whole, resumed = dropping(), dropping()
    train(CASE, whole, data, epochs=1, checkpoint=tmp_path / "whole.pt")
    with pytest.raises(Killed):
        train(CASE, dropping(), data, epochs=1, checkpoint=tmp_path / "c.pt", report=killed_after(3))
    torch.rand(17)
    train(CASE, resumed, data, epochs=1, checkpoint=tmp_path / "c.pt")
    assert_same_net(whole, resumed)
    plain = new_step()
    train(CASE, plain, data, epochs=1, checkpoint=tmp_path / "plain.pt")
    assert not torch.equal(next(plain.net.parameters()), next(whole.net.parameters()))


def test_training_continues_a_finished_run_for_more_epochs(data, uninterrupted, tmp_path):
    """Finished epochs are not repeated."""
    checkpoint = tmp_path / "c.pt"
    train(CASE, new_step(), data, epochs=EPOCHS, checkpoint=checkpoint)
    again, seen = new_step(), []
    history = train(CASE, again, data, epochs=EPOCHS, checkpoint=checkpoint, report=seen.append)
    assert not seen
    assert without_seconds(history) == without_seconds(uninterrupted[1])
    assert_same_net(again, uninterrupted[0])


def test_training_with_another_seed_differs(data, uninterrupted, tmp_path):
    case = replace(CASE, seed=1)
    step = new_step(case)
    history = train(case, step, RealData(case, None), epochs=1, checkpoint=tmp_path / "c.pt")
    assert not torch.equal(next(step.net.parameters()), next(uninterrupted[0].net.parameters()))
    assert history[0].train_loss != uninterrupted[1][0].train_loss


def test_training_batches_depend_on_names_alone(data):
    """A batch is the same from any start; those of another epoch or seed differ."""
    whole = list(data.training_batches(0, 2, 4))
    assert [len(y) for _, y in whole] == [4, 4, 4, 2]
    for i, (x, y) in enumerate(data.training_batches(0, 2, 4, start=2), start=2):
        assert torch.equal(x, whole[i][0])
        assert torch.equal(y, whole[i][1])
    other_epoch, _ = next(data.training_batches(1, 2, 4))
    other_seed, _ = next(RealData(replace(CASE, seed=1), None).training_batches(0, 2, 4))
    assert not torch.equal(other_epoch, whole[0][0])
    assert not torch.equal(other_seed, whole[0][0])
    seen = torch.cat([y for _, y in whole]).sort().values
    assert torch.equal(seen, data.samples.train_y.sort().values)


def test_training_history_counts_every_image_once(data, uninterrupted):
    step, history = uninterrupted
    assert [epoch.epoch for epoch in history] == [1, 2]
    assert all(epoch.images == 14 for epoch in history)
    assert all(0 <= epoch.train_accuracy <= 100 for epoch in history)
    correct = 0
    step.net.eval()
    with torch.no_grad():
        for x, y in zip(data.samples.test_x, data.samples.test_y, strict=True):
            outs, _ = step.net.window(data.samples.preparation.test(x[None]).expand(2, 1, 3, 32, 32), None)
            correct += int(outs.sum(0).argmax()) == int(y)
    step.net.train()
    assert history[-1].test_accuracy == pytest.approx(100 * correct / 6)


def test_training_progress_counts_images(data, tmp_path):
    seen: list[Progress] = []
    train(CASE, new_step(), data, epochs=EPOCHS, checkpoint=tmp_path / "c.pt", report=seen.append)
    assert [p.done for p in seen] == [4, 8, 12, 14, 18, 22, 26, 28]
    assert {p.total for p in seen} == {28}
    assert [p.epoch for p in seen] == [1] * BATCHES + [2] * BATCHES


def test_training_learning_rate_is_a_cosine_over_epochs(data, tmp_path):
    step, rates = new_step(lr=0.1), []
    train(
        CASE, step, data, epochs=3, checkpoint=tmp_path / "c.pt",
        report=lambda _: rates.append(step.optimizer.param_groups[0]["lr"]),
    )  # fmt: skip
    assert rates == pytest.approx([0.1] * BATCHES + [0.075] * BATCHES + [0.025] * BATCHES)


def test_training_raises_an_error_on_divergence(data, tmp_path):
    step = new_step(lr=1e30)
    with pytest.raises(FloatingPointError, match="lower lr"):
        train(CASE, step, data, epochs=EPOCHS, checkpoint=tmp_path / "c.pt")


@dataclass(frozen=True)
class WithNaN:
    """The same data with one NaN pixel in one batch of one epoch."""

    of: RealData
    epoch: int
    batch: int

    @property
    def samples(self) -> Any:
        return self.of.samples

    def batches(self, batch: int) -> int:
        return self.of.batches(batch)

    def training_batches(self, epoch: int, T: int, batch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        for i, (x, y) in enumerate(self.of.training_batches(epoch, T, batch, start), start):
            x = x.clone()
            if (epoch, i) == (self.epoch, self.batch):
                x[0, 0, 0, 0, 0] = torch.nan
            yield x, y

    def test_batches(self, T: int, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        yield from self.of.test_batches(T, batch)


@pytest.mark.parametrize("every_s", [-1.0, 1e9], ids=["at a checkpoint", "at the end of an epoch"])
def test_training_never_saves_weights_that_are_not_finite(data, tmp_path, monkeypatch, every_s):
    """The loss stays finite: neurons whose potential is NaN do not fire."""
    monkeypatch.setattr(training, "CHECKPOINT_EVERY_S", every_s)
    checkpoint = tmp_path / "c.pt"
    broken: Any = WithNaN(data, epoch=1, batch=1)
    with pytest.raises(
        FloatingPointError, match=r"body\.layers\.0\.\w+ is not finite in epoch 2: .* NaN .* in the data, or lower lr"
    ):
        train(CASE, new_step(), broken, epochs=EPOCHS, checkpoint=checkpoint)
    saved = torch.load(checkpoint, weights_only=True)["weights"]  # of an earlier batch
    assert all(bool(torch.isfinite(value).all()) for value in saved.values())
    assert len(train(CASE, new_step(), data, epochs=EPOCHS, checkpoint=checkpoint)) == EPOCHS  # goes on with better data


def test_training_names_a_running_average_that_is_not_finite():
    step = training_step("vgg11-bn/cifar10-dvs", "bptt", "native")
    training.require_finite(step, 1)
    norm = next(module for module in step.net.modules() if isinstance(module, torch.nn.BatchNorm2d))
    norm.running_var[0] = torch.inf
    with pytest.raises(FloatingPointError, match=r"running_var is not finite in epoch 1: 1 of \d+ values"):
        training.require_finite(step, 1)


def test_training_raises_user_error_if_the_checkpoint_cannot_be_written(data, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(training.torch, "save", full)
    with pytest.raises(UserError, match="No space left"):
        train(CASE, new_step(), data, epochs=1, checkpoint=tmp_path / "c.pt")
    assert not list(tmp_path.iterdir())


def test_training_killed_while_writing_leaves_the_former_checkpoint(data, tmp_path, monkeypatch):
    checkpoint = tmp_path / "c.pt"
    with pytest.raises(Killed):
        train(CASE, new_step(), data, epochs=1, checkpoint=checkpoint, report=killed_after(2))
    before = checkpoint.read_bytes()

    def cut(_: object, file: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(training.torch, "save", cut)
        with pytest.raises(Killed):
            train(CASE, new_step(), data, epochs=1, checkpoint=checkpoint)
    assert checkpoint.read_bytes() == before
    assert len(train(CASE, new_step(), data, epochs=1, checkpoint=checkpoint)) == 1
