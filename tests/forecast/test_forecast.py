"""Forecasts of a case: seconds that are left, memory, and what keeps it from being measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from bench import datasets
from bench.case import Case
from bench.counting.step import batch_for, cost_of
from bench.errors import UserError
from bench.forecast import forecast, sizes
from bench.forecast.counted import Counted
from bench.forecast.counting import work_of
from bench.forecast.forecast import Forecast, Forecaster
from bench.forecast.rates import Rates, measured
from bench.forecast.work import Work
from bench.record import Record
from bench.runner.checkpoints import Standing
from bench.runner.worker import FORECAST, Job, checkpoint_of
from bench.training_step import training_step
from tests.unit.stored import record

PARTS = (("epochs", 10), ("test_images", 300), ("train_images", 1000))
CASE = Case("p", "training", "vgg-sws-small/digits", "ottt-a", "native", 2, 50, "digits", "full", 0, PARTS)
WORK = Work(macs=800, bytes_moved=60, operators=5, convolves=True, forward=0.5, peak_bytes=1000)
RATES = Rates(product=1.0, convolution=100.0, moved=30.0, operator=2.0)


class Known(Counted):
    """Counts nothing: every case is WORK."""

    def of(self, case: Case) -> Work:
        return WORK


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast, "Counted", Known)
    monkeypatch.setattr("bench.forecast.rates.measured", lambda device, threads: RATES)


def of(case: Case, root: Path, records: Sequence[Record] = (), gpu: str | None = None) -> Forecast:
    return Forecaster("m", gpu, records, root, None, None).of(case)


def epoch(number: int, seconds: float, **changes: Any) -> Record:
    fields = {**CASE.as_dict(), "options": {"epochs": 3, "train_images": 200}, **changes.pop("case", {})}
    detail = {"epoch": number, "images": 200, "seconds": seconds}
    return record(f"epoch {number}", 50.0, unit="%", case=fields, detail=detail, **changes)


def test_step_takes_its_products_its_bytes_and_its_operators() -> None:
    assert RATES.seconds(WORK) == 800 / 100 + 60 / 30 + 5 * 2
    assert RATES.seconds(replace(WORK, convolves=False)) == 800 + 60 / 30 + 5 * 2


def test_training_is_forecast_from_a_counted_step(tmp_path: Path) -> None:
    """20 s a step of 50 images; evaluation, after each epoch and once for the firing rates, takes the forward share."""
    found = of(CASE, tmp_path)
    assert found.seconds == pytest.approx(20 / 50 * (10 * 1000 + 0.5 * 11 * 300))
    assert (found.basis, found.memory, found.obstacle) == ("counted", 1000, "")


def test_training_is_forecast_from_finished_epochs_of_its_kind(tmp_path: Path) -> None:
    """Of any seed, number of epochs and of images; not of another machine, device, batch or learning rate."""
    mine = [epoch(1, 3.0, case={"seed": 4}), epoch(2, 5.0)]
    strange = [epoch(3, 999.0, machine="other"), epoch(3, 999.0, device="GPU"), epoch(3, 999.0, case={"batch": 51})]
    strange.append(epoch(3, 999.0, case={"options": {"lr": 0.5}}))
    found = of(CASE, tmp_path, [*mine, *strange])
    assert found.seconds == pytest.approx(8 / 400 * (10 * 1000 + 0.5 * 11 * 300))
    assert found.basis == "epochs here"


def test_stopped_training_is_forecast_from_its_own_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = checkpoint_of(Job(CASE, None, tmp_path))
    path.touch()
    monkeypatch.setattr(forecast, "standing", {path: Standing(epochs=4, samples=4200, seconds=42.0)}.__getitem__)
    found = of(CASE, tmp_path, [epoch(1, 3.0)])
    assert found.seconds == pytest.approx(0.01 * (10 * 1000 - 4200 + 0.5 * 7 * 300))
    assert found.basis == "its own batches"


def test_other_cases_take_what_their_probe_typically_takes(tmp_path: Path) -> None:
    case = replace(CASE, probe="count", dataset="none", options=())
    assert of(case, tmp_path) == Forecast(case, 0.4, "typical", None, "")


def test_obstacle_names_a_gpu_data_or_memory_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_gpu = replace(CASE, probe="cuda-memory", dataset="none", options=())
    assert of(on_gpu, tmp_path).obstacle == "needs a GPU"
    assert of(on_gpu, tmp_path, gpu="NVIDIA").obstacle == ""
    monkeypatch.setenv("SPIKECOST_DATA_ROOT", str(tmp_path))
    assert of(replace(CASE, dataset="cifar10"), tmp_path).obstacle == "cifar10 is not here"
    free = int(FORECAST * WORK.peak_bytes)
    for available, said in ((free, ""), (free - 1, "needs 1.27 KiB, 1.27 KiB are free")):
        monkeypatch.setattr(psutil, "virtual_memory", lambda available=available: type("Memory", (), {"available": available}))
        assert of(CASE, tmp_path).obstacle == said


def test_combination_that_does_not_exist_here_is_an_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast, "Counted", Counted)
    found = of(replace(CASE, algorithm="ottt-a", backend="spikingjelly-multistep"), tmp_path)
    assert (found.basis, found.memory) == ("typical", None)
    assert found.obstacle


def test_counted_work_is_that_of_the_training_step() -> None:
    step = training_step(CASE.network, CASE.algorithm, CASE.backend, device="meta")
    cost = cost_of(step, *batch_for(step, CASE.T, CASE.batch, "meta"))
    work = work_of(CASE)
    dense = cost.macs.dense
    assert (work.macs, work.peak_bytes) == (sum(dense.values()), cost.memory.total)
    assert work.bytes_moved == cost.traffic.conventions()["compulsory"]
    assert work.forward == dense["forward"] / sum(dense.values())
    assert work.convolves
    assert work.operators > 0
    assert not work_of(replace(CASE, network="otpe-3x256/randman-k10")).convolves


def test_work_is_counted_once_and_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.forecast.counting.work_of", lambda case: WORK)
    path = tmp_path / "scratch" / "work.json"
    assert Counted(path).of(CASE) == WORK

    def again(case: Case) -> Work:
        raise AssertionError("it was counted again")

    monkeypatch.setattr("bench.forecast.counting.work_of", again)
    assert Counted(path).of(replace(CASE, seed=3)) == WORK
    with pytest.raises(AssertionError):
        Counted(path).of(replace(CASE, T=3))


@pytest.mark.parametrize("contents", ["", "{", "[]", '{"a": 1}', '{"a": {"macs": 1}}', str(asdict(WORK))])
def test_damaged_file_of_counted_steps_is_refused_by_name(tmp_path: Path, contents: str) -> None:
    path = tmp_path / "work.json"
    path.write_text(contents)
    with pytest.raises(UserError, match=r"work\.json holds no counted training steps .*: delete it"):
        Counted(path)
    assert path.read_text() == contents


def test_rates_of_this_machine_are_measured() -> None:
    threads = torch.get_num_threads()
    found = measured("cpu", 1)
    assert all(value > 0 for value in asdict(found).values())
    assert torch.get_num_threads() == threads


def test_numbers_of_samples_are_those_of_the_options_of_the_set_at_hand_or_of_the_published_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sizes.samples_of(CASE, None, None) == (1000, 300)
    whole = datasets.load("digits")
    assert sizes.samples_of(replace(CASE, options=()), None, None) == (len(whole.train_y), len(whole.test_y))
    held_out = replace(CASE, options=(("validation_images", 97),))
    assert sizes.samples_of(held_out, None, None) == (len(whole.train_y) - 97, 97)
    assert sizes.samples_of(replace(CASE, dataset="cifar10", options=(("test_images", 7),)), tmp_path, None) == (50_000, 7)


@pytest.mark.parametrize("name", sorted(sizes.PUBLISHED))
def test_published_numbers_of_samples_are_those_of_the_whole_set(name: str) -> None:
    if not datasets.available(name):
        pytest.skip(datasets.available(name).reason)
    found = datasets.load(name, download=False)
    if found.part and not found.part.startswith("simulated"):
        pytest.skip(f"only a part is at hand: {found.part}")
    assert (len(found.train_y), len(found.test_y)) == sizes.PUBLISHED[name]
