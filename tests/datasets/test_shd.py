"""SHD: files in the real layout with few recordings, their bins, and what is damaged."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import datasets, zoo
from bench.case import Case
from bench.datasets import shd
from bench.datasets.real import RealData
from bench.errors import UserError

h5py = pytest.importorskip("h5py", reason="h5py reads the files")
NETWORK = zoo.spec("otpe-3x128/shd-k10")
SIZES = {"train": 6, "test": 4}


def write(path: Path, labels: list[int], recordings: list[tuple[list[float], list[int]]]) -> None:
    """A file as the authors publish it: times of half precision, of different lengths."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["labels"] = np.array(labels, dtype="uint16")
        for name, dtype, column in (("times", "float16", 0), ("units", "uint16", 1)):
            data = file.create_dataset(f"spikes/{name}", (len(recordings),), h5py.vlen_dtype(np.dtype(dtype)))
            for i, recording in enumerate(recordings):
                data[i] = np.array(recording[column], dtype=dtype)
        file["extra/speaker"] = np.zeros(len(labels), dtype="uint16")


def recording(seed: int) -> tuple[list[float], list[int]]:
    rng = np.random.default_rng(seed)
    count = 20 + seed
    return sorted(rng.uniform(0, 1, count).tolist()), rng.integers(shd.CHANNELS, size=count).tolist()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six and four recordings below a data root."""
    monkeypatch.setattr(shd, "RECORDINGS", SIZES)
    for split, size in SIZES.items():
        recorded = [recording(i + 10 * (split == "test")) for i in range(size)]
        write(tmp_path / "SHD" / f"shd_{split}.h5", [(3 * i) % 20 for i in range(size)], recorded)
    return tmp_path


def test_bins_hold_every_spike_of_every_channel(root: Path) -> None:
    assert shd.available(root)
    found = shd.load(root, False, root / "prepared")
    assert (found.train_y.tolist(), found.test_y.tolist()) == ([0, 3, 6, 9, 12, 15], [0, 3, 6, 9])
    x = found.over_time(NETWORK).train(torch.tensor([4, 0]), 5)
    assert (x.shape, x.dtype) == ((5, 2, 700), torch.float32)
    for sample, index in ((0, 4), (1, 0)):
        times, units = recording(index)
        t = (np.array(times, dtype="float16").astype(float) * 1e6).astype(int)
        wanted = np.zeros((5, 700))
        np.add.at(wanted, ((t - t.min()) * 5 // (t.max() - t.min() + 1), units), 1)
        assert np.array_equal(x[:, sample].numpy(), wanted)
    assert float(found.over_time(NETWORK).test(torch.arange(4), 5).sum()) == sum(len(recording(10 + i)[0]) for i in range(4))


def test_a_case_trains_on_it(root: Path) -> None:
    case = Case(
        "tests", "training", NETWORK.name, "bptt", "native", 5, 2, "shd", options=(("test_images", 2), ("train_images", 4))
    )
    x, y = RealData(case, root, root / "prepared").sequence(case)
    assert (tuple(x.shape), tuple(y.shape)) == ((5, 2, 700), (2,))


def test_the_official_archive_is_unpacked_into_the_cache(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As tonic downloads it; a root may be read only."""
    import hashlib

    whole = shd.load(root, False, root / "prepared")
    sums = {}
    for split in SIZES:
        file = root / "SHD" / f"shd_{split}.h5"
        archive = file.with_name(f"{file.name}.zip")
        with zipfile.ZipFile(archive, "w") as content:
            content.write(file, file.name)
        sums[split] = hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest()
        file.unlink()
    monkeypatch.setattr(shd, "_MD5", sums)
    assert shd.available(root)
    assert shd.load(root, False, root / "elsewhere").checksum == whole.checksum
    assert not (root / "SHD" / "shd_train.h5").exists()
    monkeypatch.setattr(shd, "_MD5", dict.fromkeys(sums, "0" * 32))
    with pytest.raises(UserError, match="damaged or not the official file"):
        shd.load(root, False, root / "a third")


def test_a_missing_set_says_where_its_files_belong(tmp_path: Path) -> None:
    support = datasets.available("shd", tmp_path)
    assert not support
    assert "holds SHD/" in support.reason


@pytest.mark.parametrize(
    ("labels", "recordings", "why"),
    [
        ([0] * 5, [recording(i) for i in range(5)], "has 5 labels and 5 recordings, the official one 6"),
        ([0, 0, 0, 0, 0, 20], [recording(i) for i in range(6)], "has labels from 0 to 20; those of SHD are 0 to 19"),
        ([0] * 6, [([0.1], [700])] * 6, "recording 0 of .* has 1 times and 1 channels up to 700"),
        ([0] * 6, [([0.1, 0.2], [7])] * 6, "recording 0 of .* has 2 times and 1 channels up to 7"),
    ],
)
def test_damaged_file_is_refused_with_the_reason(
    root: Path, labels: list[int], recordings: list[tuple[list[float], list[int]]], why: str
) -> None:
    write(root / "SHD" / "shd_train.h5", labels, recordings)
    with pytest.raises(UserError, match=why):
        shd.load(root, False, root / "prepared").over_time(NETWORK).train(torch.tensor([0]), 5)
