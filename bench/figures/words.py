"""What figures call things: data sets, and the algorithm of a record with the options that tell it from others."""

from __future__ import annotations

from collections.abc import Iterable

from bench.figures import style
from bench.figures.paper import options
from bench.spec import Record

_IMAGES = {
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "fashion-mnist": "Fashion-MNIST",
    "digits": "scikit-learn's digits (8×8, a stand-in for the paper's images)",
}


def images(dataset: str) -> str:
    """A data set's name for readers; one that stands in for the paper's is said to."""
    return _IMAGES.get(dataset, dataset)


def title(record: Record, leaving_out: Iterable[str] = ()) -> str:
    """OTTT-A; SLTT-k (k = 3)."""
    shown = options(record, leaving_out)
    name = style.algorithm(record.case["algorithm"]).title
    return f"{name} ({shown})" if shown else name


def backends(names: Iterable[str]) -> str:
    return " · ".join(style.backend(name).title for name in sorted(names, key=style.backend_order))
