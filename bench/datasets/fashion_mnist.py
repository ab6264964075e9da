"""Fashion-MNIST: 60,000 + 10,000 grey images of 28x28 of ten kinds of clothing, the official idx files.

Expected below the data root as ``FashionMNIST/raw/*.gz`` (torchvision's layout), ``fashion-mnist/*.gz`` (Debian's package
dataset-fashion-mnist, with data root /usr/share/datasets) or ``*.gz``.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING

from bench.datasets import store
from bench.datasets.images import Images
from bench.errors import YES, Support

if TYPE_CHECKING:
    from torch import Tensor

_SITE = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
_FOLDERS = ("FashionMNIST/raw", "fashion-mnist", ".")
_MD5 = {
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}
# Debian's files have the same compressed data, but a gzip header without file name and with another date.
_MD5_DEBIAN = {
    "train-images-idx3-ubyte.gz": "cf8536b0aa1a6ac5fa3f23001093305c",
    "train-labels-idx1-ubyte.gz": "10bea18fdb374794d4bb42e356e600c9",
    "t10k-images-idx3-ubyte.gz": "f78720b4224f21cce2f2ccf2d7a94c9a",
    "t10k-labels-idx1-ubyte.gz": "0d30e22e447f3c33dab9ed536400ac01",
}


def available(root: Path) -> Support:
    if all((_folder(root) / file).exists() for file in _MD5):
        return YES
    debian = "install Debian's dataset-fashion-mnist and set it to /usr/share/datasets"
    return store.not_found("Fashion-MNIST", _FOLDERS[0], f"{debian}, or let it be downloaded")


def load(root: Path, download: bool, cache: Path) -> Images:
    """Load the set, without augmentation, normalised with mean and standard deviation of the training images.

    OTTT's appendix, which trains R400 on it, does not state its preparation.
    """
    from bench.datasets.prepare import Preparation

    folder = _folder(root)
    for file, md5 in _MD5.items():
        store.fetched(folder / file, _SITE + file, md5, download)
    return Images(
        name="fashion-mnist",
        kind="real",
        train_x=_pixels(folder, "train"),
        train_y=_labels(folder, "train"),
        test_x=_pixels(folder, "t10k"),
        test_y=_labels(folder, "t10k"),
        classes=10,
        preparation=Preparation(mean=(0.2860,), std=(0.3530,)),
        citation="Xiao, Rasul, Vollgraf 2017, Fashion-MNIST, arXiv:1708.07747",
        licence="MIT, Zalando SE",
        checksum=store.identity(_MD5),
    )


def _folder(root: Path) -> Path:
    """Return the first folder that has the training images; torchvision's if none has."""
    found = (root / folder for folder in _FOLDERS if (root / folder / "train-images-idx3-ubyte.gz").exists())
    return next(found, root / _FOLDERS[0])


def _pixels(folder: Path, split: str) -> Tensor:
    """uint8 [N, 1, 28, 28]: an idx3 file is 16 bytes of header, then the pixels row by row."""
    return _values(folder / f"{split}-images-idx3-ubyte.gz", header=16).reshape(-1, 1, 28, 28)


def _labels(folder: Path, split: str) -> Tensor:
    """int64 [N]: an idx1 file is 8 bytes of header, then the labels."""
    return _values(folder / f"{split}-labels-idx1-ubyte.gz", header=8).long()


def _values(path: Path, header: int) -> Tensor:
    import torch

    contents = gzip.decompress(store.checked(path, _MD5[path.name], _MD5_DEBIAN[path.name]))
    return torch.frombuffer(bytearray(contents), dtype=torch.uint8)[header:]
