"""Data root, cache root, download and writing of files."""

from __future__ import annotations

import hashlib
import http.server
import threading
from pathlib import Path

import pytest

from bench import datasets
from bench.datasets import cache_root, data_root, store
from bench.errors import UserError
from bench.files import write_whole

CONTENTS = b"an official file"
MD5 = hashlib.md5(CONTENTS, usedforsecurity=False).hexdigest()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """Skip pooch's waiting time between two attempts."""
    monkeypatch.setattr("time.sleep", lambda _: None)


@pytest.fixture
def server():
    """A server that fails once, then returns the file; ``asked`` counts requests."""

    class Handler(http.server.BaseHTTPRequestHandler):
        asked = 0

        def do_GET(self):
            Handler.asked += 1
            ok = Handler.asked > 1
            self.send_response(200 if ok else 503)
            self.send_header("Content-Length", str(len(CONTENTS) if ok else 0))
            self.end_headers()
            self.wfile.write(CONTENTS if ok else b"")

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever).start()
        yield f"http://127.0.0.1:{running.server_port}/file", Handler
        running.shutdown()


def test_data_root_is_the_argument_else_the_variable_else_the_cache(monkeypatch, tmp_path):
    (tmp_path / "variable").mkdir()
    monkeypatch.setenv("SPIKECOST_DATA_ROOT", str(tmp_path / "variable"))
    assert data_root(tmp_path) == tmp_path
    assert data_root() == tmp_path / "variable"
    for unset in ("", None):
        monkeypatch.setenv("SPIKECOST_DATA_ROOT", unset) if unset is not None else monkeypatch.delenv("SPIKECOST_DATA_ROOT")
        assert data_root().name == "spikecost"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_root("~/variable") == tmp_path / "variable"


def test_cache_root_is_the_argument_else_the_variable_else_the_default(monkeypatch, tmp_path):
    monkeypatch.setenv("SPIKECOST_CACHE", str(tmp_path / "variable"))
    assert cache_root(tmp_path) == tmp_path
    assert cache_root() == tmp_path / "variable"  # created when something is cached
    monkeypatch.delenv("SPIKECOST_CACHE")
    assert cache_root().parts[-2:] == ("spikecost", "prepared")


@pytest.mark.parametrize("how", ["argument", "variable"])
def test_data_root_that_does_not_exist_is_an_error_with_close_names(monkeypatch, tmp_path, how):
    (tmp_path / "datasets" / "inside").mkdir(parents=True)
    (tmp_path / "file").touch()
    for wrong in ("dataset", "dataset/inside"):
        monkeypatch.setenv("SPIKECOST_DATA_ROOT", str(tmp_path / wrong))
        with pytest.raises(UserError) as error:
            datasets.load("cifar10", tmp_path / wrong) if how == "argument" else datasets.load("cifar10")
        assert f"{tmp_path / wrong} does not exist: did you mean {tmp_path / 'datasets'}?" in str(error.value)
    with pytest.raises(UserError, match="file is no folder"):
        data_root(tmp_path / "file")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["datasets", "file"]


def test_fetched_retries_checks_and_downloads_once(server, tmp_path):
    url, handler = server
    path = tmp_path / "new" / "file"
    assert store.fetched(path, url, MD5, download=True).read_bytes() == CONTENTS
    assert handler.asked == 2
    store.fetched(path, url, MD5, download=True)
    assert handler.asked == 2


def test_fetched_removes_a_wrong_file(server, tmp_path):
    path = tmp_path / "file"
    with pytest.raises(UserError, match=f"not the official one .expected md5 {'0' * 32}"):
        store.fetched(path, server[0], "0" * 32, download=True)
    assert [p for p in tmp_path.iterdir() if not p.name.endswith(".lock")] == []


def test_fetched_without_network_raises_an_error(tmp_path):
    url = "http://127.0.0.1:9/file"
    with pytest.raises(UserError) as error:
        store.fetched(tmp_path / "file", url, MD5, download=True)
    for part in (str(tmp_path / "file"), url, "cannot be reached", "ConnectionError", "SPIKECOST_DATA_ROOT"):
        assert part in str(error.value)


def test_fetched_without_permission_writes_nothing(server, tmp_path):
    with pytest.raises(UserError, match="downloading was refused"):
        store.fetched(tmp_path / "file", server[0], MD5, download=False)
    assert server[1].asked == 0
    assert list(tmp_path.iterdir()) == []


def test_store_names_a_root_that_cannot_be_used(tmp_path):
    (tmp_path / "occupied").write_bytes(b"")
    path = tmp_path / "occupied" / "file"
    with pytest.raises(UserError, match=r"cannot be written|cannot write"):
        write_whole(path, CONTENTS, store.OTHER_DATA_ROOT)
    with pytest.raises(UserError, match=r"cannot be written|cannot write"):
        store.fetched(path, "http://127.0.0.1:9/file", MD5, download=True)
    with pytest.raises(UserError, match="cannot be read"):
        store.checked(path, MD5)


def test_fetched_leaves_no_partial_file_on_a_full_disk(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_whole(path, b"former", store.OTHER_DATA_ROOT)

    def full(self, contents):
        with self.open("wb") as file:
            file.write(contents[:3])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match="No space left on device"):
        write_whole(path, CONTENTS, store.OTHER_DATA_ROOT)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"file": b"former"}


def test_checked_accepts_another_published_archive(tmp_path):
    (tmp_path / "file").write_bytes(CONTENTS)
    assert store.checked(tmp_path / "file", "0" * 32, MD5) == CONTENTS
