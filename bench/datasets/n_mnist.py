"""N-MNIST: MNIST's 60,000 + 10,000 digits recorded by a moving event camera of 34x34 pixels, the official zips.

Layout below the data root, as in SpikingJelly: ``NMNIST/download/Train.zip`` and ``Test.zip``. A published part, the first
1,000 + 100 recordings, is accepted too and marked as such (``Events.part``).
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.datasets import store
from bench.datasets.events import Events, Recordings, readable, reader
from bench.errors import Support

if TYPE_CHECKING:
    from bench.datasets.event_array import EventArray

FOLDER = "NMNIST/download"
_SITE = "https://data.mendeley.com/public-files/datasets/468j46mzdv/files/"
_URL = {
    "Train.zip": _SITE + "39c25547-014b-4137-a934-9d29fa53c7a0/file_downloaded",
    "Test.zip": _SITE + "05a4d654-7e03-4c15-bdfa-9bb2bcbea494/file_downloaded",
}
_MD5 = {"Train.zip": "20959b8e626244a1b502305a9e6e2031", "Test.zip": "69ca8762b2fe404d9b9bad1103e97832"}
# The part: the first recordings in the official order, from the test files of github bamsumit/slayerPytorch (01beeeb).
_MD5_PART = {"Train.zip": "d1a2b34f5a6b42c6a78b977c1a2a9dd4", "Test.zip": "a2c13c5bb794056aad3c744bc1871b4f"}
_MEMBER = re.compile(r"(?:Train|Test)/(\d)/(\d+)\.bin")
_FIELDS = [("x", "i4"), ("y", "i4"), ("t", "i8"), ("p", "i4")]  # the parser fills them by position


def available(root: Path) -> Support:
    if not all((root / FOLDER / file).exists() for file in _MD5):
        return store.not_found("N-MNIST", FOLDER, "let it be downloaded")
    return readable()


def load(root: Path, download: bool, cache: Path) -> Events:
    """Load recordings in MNIST's order. Reads only the lists of members, and the archives once for their checksums."""
    import torch

    reader()
    found = {}
    for file, md5 in _MD5.items():
        path = store.fetched(root / FOLDER / file, _URL[file], md5, download)
        found[file] = store.verified(path, md5, _MD5_PART[file])
    checksum = store.identity(found)
    train, test = (
        Recordings(
            name=f"n-mnist-{checksum[:16]}-{Path(file).stem.lower()}",
            labels=torch.tensor([label for label, _ in _members(root / FOLDER / file)]),
            sensor=(34, 34),
            read=partial(_events, root / FOLDER / file),
            folder=cache,
            titles=tuple(name for _, name in _members(root / FOLDER / file)),
        )
        for file in _MD5
    )
    complete = found == _MD5
    return Events(
        name="n-mnist",
        kind="real",
        train=train,
        test=test,
        train_i=torch.arange(len(train.labels)),
        test_i=torch.arange(len(test.labels)),
        classes=10,
        citation="Orchard, Jayawant, Cohen, Thakor 2015, Converting Static Image Datasets to Spiking Neuromorphic Datasets "
        "Using Saccades, Frontiers in Neuroscience 9:437",
        licence="CC BY-SA 4.0",
        checksum=checksum,
        part="" if complete else f"part of N-MNIST: {len(train.labels):,} + {len(test.labels):,} recordings",
    )


def _members(archive: Path) -> list[tuple[int, str]]:
    """Return label and name of every recording, in MNIST's order."""
    with zipfile.ZipFile(archive) as files:
        found = [match for match in map(_MEMBER.fullmatch, files.namelist()) if match]
    return [(int(match[1]), match[0]) for match in sorted(found, key=lambda match: int(match[2]))]


def _events(archive: Path) -> Iterator[EventArray]:
    import numpy

    with zipfile.ZipFile(archive) as files:
        for _, member in _members(archive):
            with files.open(member) as recording:
                yield reader().read_mnist_file(recording, numpy.dtype(_FIELDS), is_stream=True)
