"""N-MNIST: reading the official format."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch

from bench import datasets, zoo
from bench.datasets import n_mnist
from bench.datasets.events import Events
from bench.errors import UserError
from tests.datasets.event_files import md5


def atis(rows: list[tuple[int, int, int, int]]) -> bytes:
    """Encode events (x, y, t, p) in the 40 bits of the official .bin files: x, y, then p and 23 bits of time, big-endian."""
    return b"".join(bytes((x, y)) + (p << 23 | t).to_bytes(3, "big") for x, y, t, p in rows)


def small_n_mnist(root: Path, second: bytes = b"") -> dict[str, str]:
    """Two training and one test recording; returns the zips' md5s."""
    (root / n_mnist.FOLDER).mkdir(parents=True)
    contents = {
        "Train.zip": {
            "Train/7/00002.bin": second or atis([(33, 0, 5, 1)]),
            "Train/3/00001.bin": atis([(1, 2, 70_000, 0), (4, 5, 2**22, 1)]),
        },
        "Test.zip": {"Test/9/00001.bin": atis([(0, 33, 0, 0)])},
    }
    for file, members in contents.items():
        with zipfile.ZipFile(root / n_mnist.FOLDER / file, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
    return {file: md5(root / n_mnist.FOLDER / file) for file in contents}


def test_n_mnist_is_in_the_order_of_file_numbers(parser, tmp_path, monkeypatch):
    monkeypatch.setattr(n_mnist, "_MD5", small_n_mnist(tmp_path))
    events = datasets.load("n-mnist", tmp_path, download=False)
    assert isinstance(events, Events)
    assert (events.train_y.tolist(), events.test_y.tolist(), events.part) == ([3, 7], [9], "")
    first, second = events.train.read()
    assert [first[name].tolist() for name in "xytp"] == [[1, 4], [2, 5], [70_000, 2**22], [0, 1]]
    assert second.tolist() == [(33, 0, 5, 1)]


def test_n_mnist_names_a_file_of_another_camera(parser, tmp_path, monkeypatch):
    monkeypatch.setattr(n_mnist, "_MD5", small_n_mnist(tmp_path, atis([(34, 0, 5, 1)])))
    events = datasets.load("n-mnist", tmp_path, download=False)
    with pytest.raises(UserError, match=r"recording Train/7/00002\.bin of n-mnist-\w+-train: event 0 has x = 34"):
        events.over_time(zoo.spec("custom/n-mnist")).train(torch.tensor([0]), 5)


def test_n_mnist_accepts_a_read_only_data_root(parser, tmp_path, monkeypatch):
    root, cache = tmp_path / "data", tmp_path / "cache"
    monkeypatch.setattr(n_mnist, "_MD5", small_n_mnist(root))
    before = sorted(root.rglob("*"))
    events = datasets.load("n-mnist", root, download=False, cache=cache)
    events.over_time(zoo.spec("custom/n-mnist")).train(torch.tensor([0, 1]), 5)
    assert sorted(root.rglob("*")) == before
    assert [path.suffix for path in cache.iterdir() if not path.name.startswith(".")] == [".npy"]


def test_n_mnist_is_marked_as_a_part_if_one_file_is_the_part(parser, tmp_path, monkeypatch):
    sums = small_n_mnist(tmp_path)
    monkeypatch.setattr(n_mnist, "_MD5_PART", sums)
    events = datasets.load("n-mnist", tmp_path, download=False)
    assert events.part == "part of N-MNIST: 2 + 1 recordings"
    monkeypatch.setattr(n_mnist, "_MD5", {**n_mnist._MD5, "Test.zip": sums["Test.zip"]})
    assert datasets.load("n-mnist", tmp_path, download=False).part == events.part
    assert datasets.subset(events, 1, 1, "x").part == events.part


def test_n_mnist_rejects_other_archives(parser, tmp_path):
    sums = small_n_mnist(tmp_path)
    with pytest.raises(UserError) as error:
        datasets.load("n-mnist", tmp_path, download=False)
    for part in ("Train.zip is damaged or not the official file", sums["Train.zip"], n_mnist._MD5["Train.zip"]):
        assert part in str(error.value)


@pytest.mark.parametrize("name", ["n-mnist", "dvs-gesture", "cifar10-dvs"])
def test_missing_events_error_has_a_remedy(parser, name, tmp_path):
    support = datasets.available(name, tmp_path)
    assert not support
    assert "SPIKECOST_DATA_ROOT" in support.reason
    assert "download" in support.reason
    with pytest.raises(UserError, match="missing and downloading was refused"):
        datasets.load(name, tmp_path, download=False)
    assert list(tmp_path.iterdir()) == []


def test_dvs_gesture_must_be_downloaded_by_hand(parser, tmp_path):
    with pytest.raises(
        UserError, match=r"missing; it cannot be downloaded automatically: get DvsGesture.tar.gz from https://ibm"
    ):
        datasets.load("dvs-gesture", tmp_path)


def test_reader_error_names_the_missing_parser(tmp_path, monkeypatch):
    small_n_mnist(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    expected = r"tonic, which reads event files, is not installed: pip install '\.\[data\]'"
    assert datasets.available("n-mnist", tmp_path).reason == expected.replace("\\", "")
    with pytest.raises(UserError, match=expected):
        datasets.load("n-mnist", tmp_path)
