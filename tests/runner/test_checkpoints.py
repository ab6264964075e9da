"""Checkpoints that are damaged, foreign or of another version are refused by name and stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

from bench import training
from bench.case import Case
from bench.datasets.real import RealData
from bench.errors import UserError
from bench.runner import run as runner
from bench.runner.checkpoints import Standing, standing
from bench.runner.worker import Job, Outcome, checkpoint_of
from bench.training_step import training_step
from tests.runner.running import Notes

pytest.importorskip("sklearn", reason="the digits are part of scikit-learn")

CASE = Case(
    "tests", "training", "vgg-sws-small/digits", "ottt-a", "native", T=1, batch=4, dataset="digits",
    options=(("epochs", 2), ("test_images", 6), ("train_images", 14)),
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A checkpoint after the first of two epochs."""

    class Stopped(Exception):
        pass

    def report(progress: Any) -> None:
        if progress.epoch == 2:
            raise Stopped

    path, step = tmp_path_factory.mktemp("whole") / "c", training_step(CASE.network, CASE.algorithm, CASE.backend)
    with pytest.raises(Stopped):
        training.train(CASE, step, RealData(CASE, None), epochs=2, checkpoint=path, report=report)
    return path.read_bytes()


def edited(contents: bytes, path: Path, edit: Callable[[dict[str, Any]], object]) -> bytes:
    path.write_bytes(contents)
    content = torch.load(path, weights_only=True)
    edit(content)
    torch.save(content, path)
    return path.read_bytes()


def saved(value: object, path: Path) -> bytes:
    torch.save(value, path)
    return path.read_bytes()


def flipped(contents: bytes) -> bytes:
    """One bit of a weight differs."""
    middle = len(contents) // 2
    return contents[:middle] + bytes([contents[middle] ^ 16]) + contents[middle + 1 :]


UNREADABLE: dict[str, Callable[[bytes, Path], bytes]] = {
    "empty": lambda whole, _: b"",
    "truncated": lambda whole, _: whole[:-1],
    "half": lambda whole, _: whole[: len(whole) // 2],
    "a bit of a weight": lambda whole, _: flipped(whole),
    "noise": lambda whole, _: Random(0).randbytes(1000),
    "a text": lambda whole, _: b"a text",
    "an object": lambda _, path: saved(Path("x"), path),
}
OTHER: dict[str, Callable[[bytes, Path], bytes]] = {
    "a tensor": lambda _, path: saved(torch.zeros(3), path),
    "weights alone": lambda _, path: saved({"weight": torch.zeros(3)}, path),
    "without its training": lambda whole, path: edited(whole, path, lambda content: content.pop("about")),
    "no table": lambda whole, path: edited(whole, path, lambda content: content.update(weights=[1])),
    "an older position": lambda whole, path: edited(whole, path, lambda content: content["position"].pop("seconds")),
    "an older epoch": lambda whole, path: edited(whole, path, lambda content: content["position"]["history"][0].pop("images")),
    "a position in words": lambda whole, path: edited(whole, path, lambda content: content["position"].update(images="four")),
}


@pytest.mark.parametrize("damage", [*UNREADABLE, *OTHER])
def test_checkpoint_that_holds_no_training_is_refused_by_name_and_stays(damage: str, whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "c"
    contents = {**UNREADABLE, **OTHER}[damage](whole, tmp_path / "draft")
    path.write_bytes(contents)
    said = "cannot be read" if damage in UNREADABLE else "holds no training of this version of spikecost"
    with pytest.raises(UserError, match=rf"checkpoint {path} {said} .*; remove {path} to begin that training anew"):
        standing(path)
    assert path.read_bytes() == contents


def test_standing_of_a_whole_checkpoint_is_its_epochs_samples_and_seconds(whole: bytes, tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(whole)
    found = standing(tmp_path / "c")
    assert (found.epochs, found.samples) == (1, 14)
    assert found.seconds > 0
    assert found != Standing()


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["a bit of a weight", "an older position"])
def test_run_does_not_train_from_a_damaged_checkpoint(damage: str, whole: bytes, tmp_path: Path) -> None:
    """And trains anew once the file is removed, as the message says."""
    path = checkpoint_of(Job(CASE, None, tmp_path))
    contents = {**UNREADABLE, **OTHER}[damage](whole, tmp_path / "draft")
    path.write_bytes(contents)
    outcomes: list[Outcome] = []

    def run() -> Outcome:
        runner.run([CASE], lambda _, one: outcomes.append(one), Notes(), data_root=None, scratch=tmp_path, workers=1)
        return outcomes[-1]

    refused = run()
    assert (refused.status, refused.measurements) == ("failed", ())
    assert str(path) in refused.reason
    assert path.read_bytes() == contents
    path.unlink()
    assert run().status == "ok"
