"""The real part of N-MNIST, where there is one."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import datasets, zoo
from bench.case import Case
from bench.datasets import n_mnist
from bench.datasets.events import Events, frames_of
from bench.datasets.frames import binned
from bench.datasets.real import RealData
from bench.errors import UserError
from bench.probes.resources import Resources
from tests.datasets.event_files import REPOSITORY, md5


@pytest.fixture(scope="session")
def real_root(parser, tmp_path_factory) -> Path:
    """A data root with real recordings, in which frames may be written."""
    given = Path(os.environ.get("SPIKECOST_DATA_ROOT", "/nonexistent"))
    places = (given, REPOSITORY.parent / "shared" / "data")
    source = next((place / n_mnist.FOLDER for place in places if (place / n_mnist.FOLDER / "Test.zip").exists()), None)
    if source is None:
        pytest.skip("no real N-MNIST: set SPIKECOST_DATA_ROOT to the folder that holds NMNIST/download/")
    if md5(source / "Test.zip") != n_mnist._MD5_PART["Test.zip"]:
        pytest.skip("the N-MNIST that is there is not the part that these tests know")
    root = tmp_path_factory.mktemp("events")
    (root / n_mnist.FOLDER).mkdir(parents=True)
    for file in n_mnist._MD5:
        shutil.copyfile(source / file, root / n_mnist.FOLDER / file)
    return root


@pytest.fixture(scope="session")
def real(real_root) -> Events:
    assert datasets.available("n-mnist", real_root)
    return datasets.load("n-mnist", real_root, download=False)


def test_real_n_mnist_recordings_and_labels(real):
    assert real.part == "part of N-MNIST: 1,000 + 100 recordings"
    assert real.train_y.bincount().tolist() == [97, 116, 99, 93, 105, 92, 94, 117, 87, 100]
    assert real.test_y.bincount().tolist() == [8, 14, 8, 11, 14, 7, 10, 15, 2, 11]
    assert real.train_y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]  # MNIST's first labels
    assert real.test_y[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    recordings = real.train.read()
    next(recordings)
    second = next(recordings)  # Train/0/00002.bin, as tonic's documentation prints it
    assert second[0].tolist() == (10, 30, 937, 1)
    assert second[-1].tolist() == (11, 17, 305341, 1)
    assert bool((np.diff(second["t"]) >= 0).all())


def test_real_frames_conserve_every_event(real):
    frames = frames_of(real.test, 20, (34, 34))
    assert frames.shape == (100, 20, 2, 34, 34)
    for events, frame in zip(real.test.read(), frames, strict=True):
        assert frame.sum() == len(events)
        assert np.array_equal(frame, binned(events, 20, (34, 34), (34, 34)))
    assert bool((frames.sum((1, 2, 3, 4)) > 1000).all())


def case(**changes) -> Case:
    plain = Case(
        "tests", "training", "custom/n-mnist", "bptt", "native", T=5, batch=8, dataset="n-mnist",
        options=(("train_images", 50), ("test_images", 20)),
    )  # fmt: skip
    return replace(plain, **changes)


def test_real_sequences_of_a_case(real, real_root):
    data = RealData(case(), real_root)
    assert data.samples.train_y.bincount().tolist() == [5] * 10
    assert data.samples.test_y.bincount().tolist() == [2] * 10
    x, _ = data.sequence(case())
    assert (x.shape, x.dtype, x.is_contiguous()) == ((5, 8, 2, 34, 34), torch.float32, True)
    assert data.about == {"part": real.part}
    whole = list(data.training_batches(0, 5, 8))
    assert [len(y) for _, y in whole] == [8] * 6 + [2]
    resumed = list(RealData(case(), real_root).training_batches(0, 5, 8, start=3))
    assert all(torch.equal(a, b) and torch.equal(c, d) for (a, c), (b, d) in zip(whole[3:], resumed, strict=True))
    test = torch.cat([x for x, _ in data.test_batches(5, 8)], 1)
    assert torch.equal(test, torch.cat([x for x, _ in data.test_batches(5, 3)], 1))
    kept_counts = frames_of(data.samples.test, 5, (34, 34))[data.samples.test_i.numpy()]
    assert torch.equal(test.transpose(0, 1), torch.from_numpy(kept_counts.astype(np.float32)))


def test_real_subset_is_balanced_and_has_its_own_checksum(real):
    part = datasets.subset(real, 500, 20, "some", "names")
    assert part.train_y.bincount().tolist() == [50] * 10
    assert part.checksum != real.checksum
    smaller = datasets.subset(real, 100, 20, "some", "names")
    assert set(smaller.train_i.tolist()) <= set(part.train_i.tolist())
    assert torch.equal(real.train.labels[part.train_i], part.train_y)


def test_subset_of_training_keeps_all_test_recordings(real, real_root):
    data = RealData(case(options=(("train_images", 500), ("test_images", 100))), real_root)
    assert (len(data.samples.train_y), len(data.samples.test_y)) == (500, 100)


def test_frames_have_the_size_of_the_network_or_are_rejected(real, real_root):
    assert real.over_time(zoo.spec("lenet/dvs-gesture")).shape == (2, 32, 32)
    assert real.over_time(zoo.spec("vgg-sws/cifar10-dvs")).shape == (2, 34, 34)
    for network, expected in (("vgg-sws/cifar10-dvs", r"\(2, 48, 48\)"), ("vgg5/cifar10", r"\(3, 32, 32\)")):
        with pytest.raises(UserError, match=f"{network} takes samples of shape {expected}, n-mnist has"):
            RealData(case(network=network), real_root).sequence(case())


def test_real_gradient_and_training_records_name_the_part_of_the_data(real, real_root, tmp_path):
    from bench.probes import gradient, train

    small = case(T=3, batch=4, options=(("train_images", 10), ("test_images", 10)))
    cosine, norm = gradient.measure(replace(small, probe="gradient"), Resources(RealData(small, real_root)))
    assert cosine.value == norm.value == pytest.approx(1)
    assert cosine.detail["part"] == norm.detail["part"] == real.part
    measured = train.measure(small, Resources(RealData(small, real_root), checkpoint=tmp_path / "c.pt"))
    assert {m.detail["part"] for m in measured} == {real.part}
    by_name = {m.metric: m for m in measured}
    assert by_name["test_accuracy"].detail["train images"] == 10
    assert by_name["firing_rate"].value > 0
