"""The cache of frames: computed once, damaged files computed again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from bench.datasets.frames import cached
from bench.errors import UserError
from tests.datasets.event_files import REPOSITORY


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
