"""How many samples a case trains and tests on."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from bench import datasets
from bench.case import Case
from bench.errors import UserError

PUBLISHED = {  # training and test samples of whole sets, for those that are not at hand
    "cifar10": (50_000, 10_000),
    "cifar100": (50_000, 10_000),
    "cifar10-dvs": (9_000, 1_000),
    "cifar10-dvs-simulated": (9_000, 1_000),
    "dvs-gesture": (1_176, 288),
    "fashion-mnist": (60_000, 10_000),
    "n-mnist": (60_000, 10_000),
    "shd": (8_156, 2_264),
}


def samples_of(case: Case, root: Path | None, prepared: Path | None) -> tuple[int, int]:
    """Return the numbers of training and test samples of a case: of the set at hand, else of the published one.

    Raises UserError for a set that is not there and has no published size.
    """
    options = case.probe_options
    train, test = options.get("train_images"), options.get("test_images")
    if train is not None and test is not None:
        return train, test
    whole_train, whole_test = _sizes(case.dataset, root, prepared)
    held_out = options.get("validation_images")
    if held_out is not None:
        whole_train, whole_test = whole_train - held_out, held_out
    return train or whole_train, test or whole_test


@cache
def _sizes(dataset: str, root: Path | None, prepared: Path | None) -> tuple[int, int]:
    if datasets.available(dataset, root):
        samples = datasets.load(dataset, root, download=False, cache=prepared)
        return len(samples.train_y), len(samples.test_y)
    if dataset in PUBLISHED:
        return PUBLISHED[dataset]
    raise UserError(f"the size of {dataset} is not known here: {datasets.available(dataset, root).reason}")
