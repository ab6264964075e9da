"""Calls of the command line."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from click.testing import Result

from bench.datasets import cifar

REPOSITORY = Path(__file__).parents[2]
Invoke = Callable[..., Result]


def complaint(result: Result) -> str:
    """What is said to the person whose mistake it was: it ended by design, with one line after 'Error: '."""
    assert result.exit_code not in (0, None)
    assert isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    (line,) = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    return line.removeprefix("Error: ")


def fabricated(root: Path) -> cifar.Cifar:
    """CIFAR-10's files under ``root`` with pixels of our own; the set that takes them for the official ones."""
    (root / cifar.CIFAR10.folder).mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(256, size=(20, 3072), dtype=np.uint8)
    sums = {}
    for name in cifar.CIFAR10.files:
        contents = pickle.dumps({"data": pixels, "labels": [i % 10 for i in range(20)]}, protocol=3)
        (root / cifar.CIFAR10.folder / name).write_bytes(contents)
        sums[name] = hashlib.md5(contents, usedforsecurity=False).hexdigest()
    test = {"test_batch": sums.pop("test_batch")}
    return replace(cifar.CIFAR10, train=sums, test=test)


COUNTS = ("run", "ottt", "--scale", "smoke", "--only", "/count/")
