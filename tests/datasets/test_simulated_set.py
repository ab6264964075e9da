"""The data set of simulated recordings."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import datasets, zoo
from bench.case import Case
from bench.datasets import cifar10_dvs_simulated as simulation
from bench.datasets.cifar import CIFAR10
from bench.datasets.event_camera import Camera
from bench.datasets.events import frames_of
from bench.datasets.real import RealData
from bench.errors import UserError
from bench.probes.resources import Resources
from tests.datasets.pictures import REPOSITORY, pictures


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """Files in CIFAR-10's format with 12 images per class in two batches; 8 + 2 per class are simulated."""
    folder = tmp_path / CIFAR10.folder
    folder.mkdir()
    images, sums = pictures(130), {}
    labels = np.random.default_rng(5).permutation(np.arange(120) % 10)
    for file, place in (("one", slice(60)), ("two", slice(60, 120)), ("test", slice(120, 130))):
        batch = {"data": images[place].reshape(-1, 3072), "labels": [*labels.tolist(), *range(10)][place]}
        contents = pickle.dumps(batch)
        (folder / file).write_bytes(contents)
        sums[file] = hashlib.md5(contents, usedforsecurity=False).hexdigest()
    small = replace(CIFAR10, train={file: sums[file] for file in ("one", "two")}, test={"test": sums["test"]})
    monkeypatch.setattr(simulation, "CIFAR10", small)
    monkeypatch.setattr(simulation, "IMAGES", {"train": 8, "test": 2})
    return tmp_path


@pytest.fixture
def made(monkeypatch) -> list[int]:
    """The numbers of the images that were simulated."""
    numbers: list[int] = []
    original = simulation.simulated

    def noted(image: np.ndarray, number: int, by: Camera) -> np.ndarray:
        numbers.append(number)
        return original(image, number, by)

    monkeypatch.setattr(simulation, "simulated", noted)
    return numbers


def loaded(root: Path) -> simulation.SimulatedEvents:
    return datasets.load("cifar10-dvs-simulated", root, download=False, cache=root / "frames")


def case(**changes) -> Case:
    plain = Case(
        "tests", "training", "custom/n-mnist", "bptt", "native", T=4, batch=6, dataset="cifar10-dvs-simulated",
        options=(("train_images", 20), ("test_images", 10)),
    )  # fmt: skip
    return replace(plain, **changes)


def test_simulated_set_takes_the_first_images_of_each_class(root, made):
    events = loaded(root)
    assert (events.train_y.bincount().tolist(), events.test_y.bincount().tolist()) == ([8] * 10, [2] * 10)
    source = simulation.CIFAR10.load(root, False, root / "prepared")
    for label in range(10):
        own = torch.nonzero(source.train_y == label).flatten().tolist()
        train, test = (of.numbers[of.labels == label].tolist() for of in (events.train, events.test))
        assert (train, test) == (own[:8], own[8:10])
    assert torch.equal(events.train.images, source.train_x[events.train.numbers])
    assert made == []


def test_simulated_set_is_marked_as_simulated(root):
    events = loaded(root)
    part = datasets.subset(events, 20, 10, "x")
    for of in (events, part):
        assert (of.name, of.kind, of.part) == (
            "cifar10-dvs-simulated",
            "simulated",
            "simulated from CIFAR-10, not recorded",
        )
    assert events.checksum != simulation.CIFAR10.load(root, False, root / "prepared").checksum
    assert RealData(case(), root).about["part"] == events.part


def test_simulated_set_simulates_only_the_chosen_images_and_once(root, made):
    events = loaded(root)
    part = datasets.subset(events, 20, 10, "x")
    assert part.train_y.bincount().tolist() == [2] * 10
    frames = frames_of(part.train, 4, (34, 34))
    assert (len(frames), len(made)) == (20, 20)
    assert made == part.train.numbers.tolist()
    again = datasets.subset(loaded(root), 20, 10, "x")
    assert np.array_equal(frames_of(again.train, 4, (34, 34)), frames)
    assert len(made) == 20
    smaller = datasets.subset(part, 10, 10, "x")
    assert len(frames_of(smaller.train, 4, (34, 34))) == 10
    assert len(made) == 30
    assert set(made[20:]) <= set(made[:20])
    assert np.array_equal(
        frames_of(smaller.train, 4, (34, 34)), frames[[made.index(number) for number in smaller.train.numbers.tolist()]]
    )


def test_simulated_frames_have_a_file_name_of_model_and_part(root, monkeypatch):
    def names(of: simulation.SimulatedEvents) -> set[str]:
        return {of.train.name, of.test.name}

    events = loaded(root)
    all_names = names(events) | names(datasets.subset(events, 20, 10, "x")) | names(datasets.subset(events, 20, 10, "y"))
    assert len(all_names) == 6
    for name, value in (("LOOPS", 5), ("_VERSION", 2), ("BLACK", 0.02), ("SEED", 1), ("STEP_US", 4000)):
        with monkeypatch.context() as patch:
            patch.setattr(simulation, name, value)
            changed = loaded(root)
            assert not names(changed) & all_names
            assert changed.checksum != events.checksum
    assert loaded(root).checksum == events.checksum


def test_training_on_the_simulated_set_is_recorded_as_simulated(root, made, tmp_path):
    from bench.probes import train

    small = case(options=(("train_images", 10), ("test_images", 10)))
    measured = train.measure(small, Resources(RealData(small, root), checkpoint=tmp_path / "c.pt"))
    assert {m.detail["part"] for m in measured} == {simulation.PART}
    assert len(made) == 20
    by_name = {m.metric: m for m in measured}
    assert by_name["test_accuracy"].detail["train images"] == 10
    assert by_name["firing_rate"].value > 0


def test_networks_of_the_real_set_accept_the_simulated_one(root):
    network = zoo.spec("vgg-sws/cifar10-dvs")
    data = RealData(case(network=network.name, T=3, options=(("train_images", 10), ("test_images", 10))), root)
    x, y = data.sequence(case(network=network.name, T=3, batch=5))
    assert (x.shape, x.dtype, y.shape) == ((3, 5, 2, 48, 48), torch.float32, (5,))
    chosen = data.samples.train
    sizes = [len(events) for events in chosen.read()]
    assert frames_of(chosen, 3, (48, 48)).sum((1, 2, 3, 4)).tolist() == sizes
    with pytest.raises(UserError, match=r"vgg5/cifar10 takes samples of shape \(3, 32, 32\), cifar10-dvs-simulated has"):
        RealData(case(network="vgg5/cifar10"), root).sequence(case())


def test_simulated_set_without_cifar10_has_a_remedy(tmp_path):
    support = datasets.available("cifar10-dvs-simulated", tmp_path)
    assert not support
    assert "CIFAR-10 is not under the data root" in support.reason
    with pytest.raises(UserError, match="missing and downloading was refused"):
        datasets.load("cifar10-dvs-simulated", tmp_path, download=False)


def test_available_imports_neither_torch_nor_numpy(tmp_path):
    code = (
        "import sys; from bench import datasets\n"
        f"datasets.available('cifar10-dvs-simulated', {str(tmp_path)!r})\n"
        "print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
