"""Event data sets: reading the official formats, parts and whole sets, frames and their cache."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import datasets, zoo
from bench.case import Case
from bench.datasets import n_mnist
from bench.datasets.cifar10_dvs import CIFAR10_DVS
from bench.datasets.dvs_gesture import DVS_GESTURE
from bench.datasets.events import LAST_US, Events, Recordings, frames_of
from bench.datasets.frames import binned, cached
from bench.datasets.real import RealData
from bench.errors import UserError
from bench.probes.resources import Resources

REPOSITORY = Path(__file__).parents[2]
FIELDS = np.dtype([("x", "i4"), ("y", "i4"), ("t", "i8"), ("p", "i4")])


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def recording(rows: list[tuple[int, int, int, int]]) -> np.ndarray:
    """Events from (x, y, t, p)."""
    return np.array(rows, FIELDS)


@pytest.fixture(scope="session")
def parser() -> None:
    with warnings.catch_warnings():  # warnings of the library and its dependencies on import
        warnings.simplefilter("ignore")
        pytest.importorskip("tonic.io", reason="tonic reads event files: pip install '.[data]'")


# --------------------------------------------------------------------------- frames


def by_definition(events: np.ndarray, T: int, sensor: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Bin one event after the other, in exact fractions."""
    from fractions import Fraction
    from math import floor

    out = np.zeros((T, 2, *size), np.int64)
    first, last = min(events["t"]), max(events["t"])
    for x, y, t, p in events.tolist():
        bin_ = floor(Fraction(int(t - first), int(last - first + 1)) * T)
        out[bin_, p, floor(Fraction(y, sensor[0]) * size[0]), floor(Fraction(x, sensor[1]) * size[1])] += 1
    return out


@settings(max_examples=60, deadline=None)
@given(data=st.data(), T=st.integers(1, 7), size=st.tuples(st.integers(1, 5), st.integers(1, 6)))
def test_binned_equals_its_definition_and_loses_no_event(data, T, size):
    sensor = (5, 6)
    place = st.tuples(st.integers(0, 5), st.integers(0, 4), st.integers(0, 40), st.integers(0, 1))
    events = recording(data.draw(st.lists(place, min_size=1, max_size=30)))
    frames = binned(events, T, sensor, size)
    assert np.array_equal(frames, by_definition(events, T, sensor, size))
    assert frames.sum() == len(events)
    for p in (0, 1):
        assert frames[:, p].sum() == (events["p"] == p).sum()
    later = events.copy()
    later["t"] += 10**9  # the origin of time must not matter
    assert np.array_equal(frames, binned(later, T, sensor, size))


def test_binned_has_bins_of_equal_length():
    """One event per microsecond from an arbitrary start: every bin gets the same number."""
    events = recording([(0, 0, 1003 + t, t % 2) for t in range(600)])
    assert binned(events, 20, (1, 1), (1, 1)).sum((1, 2, 3)).tolist() == [30] * 20
    assert binned(events, 600, (1, 1), (1, 1)).max() == 1


def test_binned_has_y_as_rows_and_x_as_columns():
    frames = binned(recording([(5, 2, 0, 1)]), 1, (4, 8), (4, 8))
    assert np.argwhere(frames).tolist() == [[0, 1, 2, 5]]


def test_binned_sums_blocks_of_pixels():
    generator = np.random.default_rng(0)
    rows = np.stack([generator.integers(n, size=500) for n in (12, 8, 1000, 2)], 1)
    events = recording([tuple(row) for row in rows.tolist()])
    full = binned(events, 3, (8, 12), (8, 12))
    assert np.array_equal(binned(events, 3, (8, 12), (4, 3)), full.reshape(3, 2, 4, 2, 3, 4).sum((3, 5)))


def test_binned_is_zero_without_events_and_rejects_events_outside_the_sensor():
    assert binned(recording([]), 2, (3, 3), (3, 3)).tolist() == np.zeros((2, 2, 3, 3)).tolist()
    for stray in ((3, 0, 0, 0), (0, 3, 0, 0), (-1, 0, 0, 0), (0, 0, 0, 2)):
        with pytest.raises(ValueError, match="invalid entry"):
            binned(recording([stray]), 1, (3, 3), (3, 3))


# --------------------------------------------------------------------------- events out of range


OUTSIDE = [("x", -1, 33), ("x", 34, 33), ("y", -1, 33), ("y", 34, 33), ("p", 2, 1), ("p", -1, 1), ("t", -5, LAST_US - 1)]


@pytest.mark.parametrize(("name", "value", "last"), OUTSIDE, ids=[f"{name}={value}" for name, value, _ in OUTSIDE])
def test_events_out_of_range_are_named_by_recording_and_field(tmp_path, name, value, last):
    good = recording([(0, 0, 5, 1), (33, 33, 6, 0)])
    bad = good.copy()
    bad[name][1] = value
    recordings = Recordings("set", torch.tensor([0, 1]), (34, 34), lambda: iter([good, bad]), tmp_path, ("a.bin", "b.bin"))
    told = rf"recording b\.bin of set: event 1 has {name} = {value}, outside 0 to {last} \(1 of 2 events are\)"
    with pytest.raises(UserError, match=told):
        frames_of(recordings, 2, (34, 34))
    with pytest.raises(UserError, match=told):
        list(recordings.each())
    assert list(tmp_path.glob("*.npy")) == []


def test_events_out_of_range_are_found_in_unsigned_fields(tmp_path):
    events = np.zeros(2, [("x", "u2"), ("y", "u2"), ("t", "u8"), ("p", "?")])
    events["y"][0] = 65_535
    with pytest.raises(UserError, match="recording number 0 of set: event 0 has y = 65535, outside 0 to 33"):
        list(Recordings("set", torch.tensor([0]), (34, 34), lambda: iter([events]), tmp_path).each())


# --------------------------------------------------------------------------- cached arrays


class Maker:
    """Rows to cache, and a count of how often they were requested."""

    def __init__(self, rows: np.ndarray) -> None:
        self.rows, self.asked = rows, 0

    def __call__(self) -> Iterator[np.ndarray]:
        self.asked += 1
        yield from self.rows


@pytest.mark.parametrize(("highest", "dtype"), [(255, "uint8"), (256, "uint16"), (65535, "uint16"), (65536, "uint32")])
def test_cached_uses_the_narrowest_type_for_the_counts(tmp_path, highest, dtype):
    maker = Maker(np.array([[0, 1], [highest, 2], [3, 4]]))
    array = cached(tmp_path / "a.npy", (3, 2), maker)
    assert array.dtype == dtype
    assert np.array_equal(array, maker.rows)
    assert isinstance(array, np.memmap)


def test_cached_computes_once_and_leaves_no_other_files(tmp_path):
    maker = Maker(np.arange(6).reshape(3, 2))
    cached(tmp_path / "new" / "a.npy", (3, 2), maker)
    again = cached(tmp_path / "new" / "a.npy", (3, 2), maker)
    assert maker.asked == 1
    assert np.array_equal(again, maker.rows)
    assert [p.name for p in (tmp_path / "new").iterdir() if not p.name.endswith(".lock")] == ["a.npy"]


@pytest.mark.parametrize("damage", ["a bit of a count", "a bit of the header", "truncated", "short", "empty", "another shape"])
def test_cached_recomputes_a_damaged_file(tmp_path, damage):
    maker, path = Maker(np.arange(6).reshape(3, 2)), tmp_path / "a.npy"
    cached(path, (3, 2), maker)
    whole = path.read_bytes()
    contents = bytearray(whole)
    match damage:
        case "a bit of a count":
            contents[-33] ^= 1
        case "a bit of the header":
            contents[20] ^= 1
        case "truncated":
            del contents[-1]
        case "short":
            del contents[10:]
        case "empty":
            contents.clear()
        case "another shape":
            cached(path, (6,), Maker(np.arange(6)))
            contents[:] = path.read_bytes()
    path.write_bytes(contents)
    array = cached(path, (3, 2), maker)
    assert maker.asked == 2
    assert np.array_equal(array, maker.rows)
    assert path.read_bytes() == whole


def test_cached_leaves_no_file_after_a_failure(tmp_path):
    def broken() -> Iterator[np.ndarray]:
        yield np.zeros(2, int)
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        cached(tmp_path / "a.npy", (3, 2), broken)
    assert [p for p in tmp_path.iterdir() if not p.name.endswith(".lock")] == []


def test_cached_raises_user_error_if_the_cache_is_not_writable(tmp_path):
    (tmp_path / "occupied").write_bytes(b"")
    with pytest.raises(UserError, match=r"a\.npy cannot be written.*choose another cache .--cache, SPIKECOST_CACHE"):
        cached(tmp_path / "occupied" / "a.npy", (1,), Maker(np.zeros((1,), int)))


def test_cached_computes_once_for_two_processes(tmp_path):
    code = (
        "import sys, time, numpy as np; from pathlib import Path; from bench.datasets.frames import cached\n"
        "def rows():\n"
        "    print('made', flush=True); time.sleep(0.5); yield np.arange(2)\n"
        "print(cached(Path(sys.argv[1]), (1, 2), rows).tolist())"
    )
    start = lambda: subprocess.Popen(  # noqa: E731
        [sys.executable, "-c", code, str(tmp_path / "a.npy")], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    outs = [process.communicate(timeout=60)[0] for process in (start(), start())]
    assert "".join(outs).count("made") == 1
    assert all("[[0, 1]]" in out for out in outs)


# --------------------------------------------------------------------------- N-MNIST


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


# --------------------------------------------------------------------------- the real part of N-MNIST


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


# --------------------------------------------------------------------------- DVS128 Gesture


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


# --------------------------------------------------------------------------- CIFAR10-DVS


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
