"""scikit-learn's handwritten digits: 1,797 real grey images of 8x8, part of the installed package.

A small real set that needs neither files nor a network connection. Results on it say nothing about CIFAR. Images are enlarged to
[3, 32, 32] (each pixel becomes a 4x4 block, the grey value is repeated in three channels), as networks for colour images expect.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

from bench.datasets.images import Images
from bench.datasets.samples import balanced
from bench.errors import YES, Support, Unavailable, no
from bench.seeds import seed_of

TEST_IMAGES = 360  # 36 of each digit
_PACKAGE_MISSING = "the digits are part of scikit-learn, which is not installed; run pip install scikit-learn"


def available(root: Path) -> Support:
    return YES if importlib.util.find_spec("sklearn") else no(_PACKAGE_MISSING)


def load(root: Path, download: bool, cache: Path) -> Images:
    """Load the set. It has no official split: 36 images of each digit, drawn with a fixed seed, are the test set."""
    import torch

    from bench.datasets.prepare import Preparation

    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise Unavailable(_PACKAGE_MISSING, missing="scikit-learn") from error

    digits = load_digits()
    y = torch.from_numpy(digits.target).long()
    x = torch.from_numpy(digits.images)[:, None].mul(255 / 16).round().to(torch.uint8)  # published as 0..16
    is_test = torch.zeros(len(y), dtype=torch.bool)
    is_test[balanced(y, TEST_IMAGES, seed_of("split", "digits"))] = True
    contents = hashlib.sha256(x.numpy().tobytes() + y.numpy().tobytes() + is_test.numpy().tobytes())
    return Images(
        name="digits",
        kind="real",
        train_x=x[~is_test],
        train_y=y[~is_test],
        test_x=x[is_test],
        test_y=y[is_test],
        classes=10,
        preparation=Preparation(enlarge=4, pad=4, mean=(0.3053,) * 3, std=(0.3760,) * 3),
        citation="Alpaydin, Kaynak 1998, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository",
        licence="CC BY 4.0 (UCI); distributed with scikit-learn",
        checksum=contents.hexdigest(),
    )
