"""Location, checksums and download of data files. All access to disk and network for data is here."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from bench.errors import Support, Unavailable, UserError, no
from bench.files import existing

VARIABLE, CACHE = "SPIKECOST_DATA_ROOT", "SPIKECOST_CACHE"
OTHER_DATA_ROOT = f"choose another data root (--data-root, {VARIABLE})"
OTHER_CACHE = f"choose another cache (--cache, {CACHE})"
CONNECT_S, READ_S, RETRIES = 5, 30, 2


def data_root(root: Path | str | None = None) -> Path:
    """Return the folder of all data sets: ``root`` if given, else the environment variable's, else the user's cache folder.

    Raises UserError if a named folder does not exist. It is not created, and no other data are used instead.
    """
    chosen = root or os.environ.get(VARIABLE)
    return (
        existing(Path(chosen), "data root", f"name the folder that holds the data (--data-root, {VARIABLE})")
        if chosen
        else _user()
    )


def cache_root(cache: Path | str | None = None) -> Path:
    """Return the folder for prepared data (the data root may be read-only); it is created when first needed."""
    return Path(cache or os.environ.get(CACHE) or _user() / "prepared").expanduser()


def not_found(title: str, folder: str, otherwise: str) -> Support:
    """Answer that the data set ``title`` is not there: its files belong in ``folder`` below the data root; or ``otherwise``."""
    return no(f"{title} is not under the data root: set {VARIABLE} to the folder that holds {folder}/, or {otherwise}")


def _user() -> Path:
    return Path(platformdirs.user_cache_dir("spikecost", appauthor=False))


def checked(path: Path, md5: str, *also: str) -> bytes:
    """Return the bytes of ``path``, whose md5 must be ``md5`` or one of ``also`` (other published archives of the same data).

    Raises UserError that names the file, both checksums and the remedy.
    """
    try:
        contents = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    _accept(path, hashlib.md5(contents, usedforsecurity=False).hexdigest(), md5, *also)
    return contents


def verified(path: Path, md5: str, *also: str) -> str:
    """As ``checked``, but return the md5 of ``path``, without loading a large file into memory."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error
    return _accept(path, found, md5, *also)


def fetched(path: Path, url: str, md5: str, download: bool) -> Path:
    """Return ``path``, after downloading it from ``url`` if it does not exist; only a complete, checked file gets that name.

    Raises Unavailable if it is missing and ``download`` is False or the network fails, UserError if it cannot be written.
    """
    if path.exists():
        return path
    by_hand = f"get it from {url} yourself, or set {VARIABLE} to the folder that holds the data"
    if not download:
        raise Unavailable(f"{path} is missing and downloading was refused; {by_hand}")

    import filelock
    import pooch
    import requests

    source = pooch.create(
        path.parent, base_url="", registry={path.name: f"md5:{md5}"}, urls={path.name: url}, retry_if_failed=RETRIES
    )
    http = pooch.HTTPDownloader(progressbar=True, timeout=(CONNECT_S, READ_S))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(path.with_name(f".{path.name}.lock")):  # several processes may request it at once
            source.fetch(path.name, downloader=http)
    except requests.RequestException as error:
        raise Unavailable(f"{path} is missing and {url} cannot be reached ({type(error).__name__}); {by_hand}") from error
    except ValueError as error:
        raise UserError(f"the file at {url} is not the official one (expected md5 {md5}); {by_hand}") from error
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}; {OTHER_DATA_ROOT}") from error
    return path


def identity(md5: Mapping[str, str]) -> str:
    """Return a sha256 over the official md5s of a data set's files, by name: it identifies the contents without reading them."""
    return hashlib.sha256("\n".join(f"{name} {md5[name]}" for name in sorted(md5)).encode()).hexdigest()


def _accept(path: Path, found: str, md5: str, *also: str) -> str:
    if found not in (md5, *also):
        raise UserError(
            f"{path} is damaged or not the official file: md5 {found}, expected {md5}; "
            "delete it and let it be downloaded, or unpack it again"
        )
    return found


def _unreadable(path: Path, error: OSError) -> UserError:
    return UserError(f"{path} cannot be read: {error.strerror}; check the data root ({VARIABLE})")
