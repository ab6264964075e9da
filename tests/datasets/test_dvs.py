"""DVS128 Gesture and CIFAR10-DVS: reading the official formats."""

from __future__ import annotations

import io
import struct
import tarfile
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import datasets, zoo
from bench.datasets.cifar10_dvs import CIFAR10_DVS
from bench.datasets.dvs_gesture import DVS_GESTURE
from bench.datasets.events import Events
from bench.errors import UserError
from tests.datasets.event_files import md5


def aedat3(packets: list[tuple[int, list[tuple[int, int, int, int]]]]) -> bytes:
    """Encode AEDAT 3.1: text header, then packets with 28 bytes of header and 8 bytes per event (x, y, t, p)."""
    out = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Start-Time: 2016-01-01 00:00:00\r\n#!END-HEADER\r\n"
    for kind, events in packets:
        out += struct.pack("<HHIIIIII", kind, 1, 8, 4, 0, len(events), len(events), len(events))
        for x, y, t, p in events:
            out += struct.pack("<II", x << 17 | y << 2 | p << 1 | 1, t)
    return out


TRIALS = {
    "user01_led": (
        [(1, [(0, 1, 100, 1), (127, 2, 200, 0)]), (1, [(3, 126, 299, 1), (4, 5, 300, 0), (6, 7, 900, 1)])],
        "class,startTime_usec,endTime_usec\n2,100,300\n11,300,400\n",
    ),
    "user02_natural": ([(1, [(8, 9, 50, 0)])], "class,startTime_usec,endTime_usec\n1,0,60\n"),
    "user24_lab": ([(1, [(10, 11, 5, 1), (12, 13, 6, 1)])], "class,startTime_usec,endTime_usec\n7,5,7\n"),
}


@pytest.fixture
def gesture_root(parser, tmp_path) -> Path:
    files = {f"{name}.aedat": aedat3(packets) for name, (packets, _) in TRIALS.items()}
    files |= {f"{name}_labels.csv": csv.encode() for name, (_, csv) in TRIALS.items()}
    files["trials_to_train.txt"] = b"user02_natural.aedat\nuser01_led.aedat\n\n"
    files["trials_to_test.txt"] = b"user24_lab.aedat\n"
    folder = tmp_path / "DVS128Gesture" / "download"
    folder.mkdir(parents=True)
    with tarfile.open(folder / "DvsGesture.tar.gz", "w:gz") as archive:
        for name, contents in files.items():
            member = tarfile.TarInfo(f"DvsGesture/{name}")
            member.size = len(contents)
            archive.addfile(member, io.BytesIO(contents))
    return tmp_path


@pytest.fixture
def gesture(gesture_root) -> Events:
    small = replace(DVS_GESTURE, md5=md5(gesture_root / "DVS128Gesture/download/DvsGesture.tar.gz"), train=3, test=1)
    assert small.available(gesture_root)
    return small.load(gesture_root, False, gesture_root / "prepared")


def test_dvs_gesture_recordings_are_the_labelled_intervals(gesture):
    assert (gesture.train_y.tolist(), gesture.test_y.tolist(), gesture.classes) == ([0, 1, 10], [6], 11)
    one, two, three = (list(zip(*(e[name].tolist() for name in "xytp"), strict=True)) for e in gesture.train.read())
    assert one == [(8, 9, 50, 0)]
    assert two == [(0, 1, 100, 1), (127, 2, 200, 0), (3, 126, 299, 1)]
    assert three == [(4, 5, 300, 0)]  # intervals are half-open: [start, end)


def test_dvs_gesture_in_frames_of_lenet(gesture):
    lenet = zoo.spec("lenet/dvs-gesture")
    sequences = gesture.over_time(lenet)
    assert sequences.shape == lenet.input == (2, 32, 32)
    x = sequences.train(torch.tensor([1]), 2)
    assert torch.nonzero(x).tolist() == [[0, 0, 1, 0, 0], [1, 0, 0, 0, 31], [1, 0, 1, 31, 0]]
    assert float(sequences.test(torch.tensor([0]), 2).sum()) == 2


def test_dvs_gesture_caches_labels_and_removes_unpacked_files(gesture, gesture_root):
    list(gesture.train.read())
    assert [p.name for p in (gesture_root / "DVS128Gesture" / "download").iterdir()] == ["DvsGesture.tar.gz"]
    names = sorted(p.name.split("-")[-2:] for p in (gesture_root / "prepared").glob("*.npy"))
    assert names == [["test", "labels.npy"], ["train", "labels.npy"]]


def test_dvs_gesture_equals_spikingjellys_reader(gesture, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        utils = pytest.importorskip("spikingjelly.datasets.utils", reason="spikingjelly is not installed")
    (tmp_path / "trial.aedat").write_bytes(aedat3(TRIALS["user01_led"][0]))
    theirs = utils.load_aedat_v3(tmp_path / "trial.aedat")
    ours = list(gesture.train.read())
    for name in "xytp":
        assert np.concatenate([e[name] for e in ours[1:]]).tolist() == theirs[name][:4].tolist()


def test_dvs_gesture_rejects_another_archive(gesture_root):
    with pytest.raises(UserError, match=f"DvsGesture.tar.gz is damaged or not the official file.*{DVS_GESTURE.md5}"):
        datasets.load("dvs-gesture", gesture_root, download=False)


def aedat2(events: list[tuple[int, int, int, int]]) -> bytes:
    """Encode AEDAT 2.0 of a DVS128: text header, then address and time, big-endian; the address has row, column, polarity."""
    out = b"#!AER-DAT2.0\r\n# This is a raw AE data file - do not edit\r\n"
    return out + b"".join(struct.pack(">II", row << 8 | column << 1 | bit, t) for row, column, t, bit in events)


@pytest.fixture
def dvs_root(parser, tmp_path) -> tuple[Path, dict[str, str]]:
    """Two classes of ten recordings; recording i of class c has its events at row i, column c."""
    (tmp_path / "CIFAR10DVS" / "download").mkdir(parents=True)
    sums = {}
    for c, name in enumerate(("airplane", "automobile")):
        path = tmp_path / "CIFAR10DVS" / "download" / f"{name}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for i in (10, *range(9)):
                events = [(i, c, 1000, 0), (i, c, 2**31, 1)]
                archive.writestr(f"{name}/cifar10_{name}_{i}.aedat", aedat2(events))
        sums[name] = md5(path)
    return tmp_path, sums


def test_cifar10_dvs_is_split_by_file_name(dvs_root):
    root, sums = dvs_root
    source = replace(CIFAR10_DVS, md5=sums)
    assert source.available(root)
    events = source.load(root, False, root / "prepared")
    assert events.train_y.tolist() == [0] * 9 + [1] * 9
    assert events.test_y.tolist() == [0, 1]
    order = [0, 1, 10, 2, 3, 4, 5, 6, 7]  # alphabetical: 0, 1, 10, 2, ..., 8
    found = [(e["x"].tolist(), e["y"].tolist(), e["t"].tolist(), e["p"].tolist()) for e in events.train.read()]
    assert found == [([127 - i] * 2, [127 - c] * 2, [1000, 2**31], [True, False]) for c in (0, 1) for i in order]
    assert [e["x"].tolist() for e in events.test.read()] == [[127 - 8] * 2] * 2


def test_cifar10_dvs_equals_spikingjellys_reader(dvs_root, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = pytest.importorskip("spikingjelly.datasets.cifar10_dvs", reason="spikingjelly is not installed")
    root, sums = dvs_root
    first = next(replace(CIFAR10_DVS, md5=sums).load(root, False, root / "prepared").train.read())
    (tmp_path / "one.aedat").write_bytes(aedat2([(0, 0, 1000, 0), (0, 0, 2**31, 1)]))
    theirs = module._load_origin_data(tmp_path / "one.aedat")
    for name in "xytp":
        assert first[name].astype(int).tolist() == theirs[name].astype(int).tolist()


def test_cifar10_dvs_in_frames_of_48_by_48(dvs_root):
    root, sums = dvs_root
    events = replace(CIFAR10_DVS, md5=sums).load(root, False, root / "prepared")
    sequences = events.over_time(zoo.spec("vgg-sws/cifar10-dvs"))
    assert sequences.shape == (2, 48, 48)
    x = sequences.train(torch.arange(18), 10)
    assert x.shape == (10, 18, 2, 48, 48)
    assert x.sum((0, 2, 3, 4)).tolist() == [2.0] * 18


def test_cifar10_dvs_rejects_an_archive_that_is_not_official(dvs_root):
    root, sums = dvs_root
    with pytest.raises(UserError, match=r"automobile.zip is damaged or not the official file"):
        replace(CIFAR10_DVS, md5={**sums, "automobile": "0" * 32}).load(root, False, root / "prepared")
