"""The names that figures use for data sets, algorithms and backends, and their order."""

from __future__ import annotations

from collections.abc import Iterable

from bench.figures import style
from bench.figures.paper import natural, options
from bench.record import Record

_IMAGES = {
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "fashion-mnist": "Fashion-MNIST",
    "n-mnist": "N-MNIST",
    "dvs-gesture": "DVS128 Gesture",
    "cifar10-dvs": "CIFAR10-DVS",
    "cifar10-dvs-simulated": "CIFAR10-DVS, simulated",
    "shd": "Spiking Heidelberg Digits",
    "randman-rate": "Randman, rate code",
    "randman-time": "Randman, time code",
    "digits": "scikit-learn's digits (8×8, a stand-in for the paper's images)",
}


def images(dataset: str) -> str:
    """A data set's name for readers; a substitute for the paper's data set is labelled as such."""
    return _IMAGES.get(dataset, dataset)


def shared(records: Iterable[Record]) -> dict[str, object]:
    """Options that are equal in all settings, so that they distinguish none of them."""
    settings = {(r.case["algorithm"], tuple(sorted(r.case["options"].items()))) for r in records}
    if len(settings) < 2:
        return {}
    return dict(sorted(set.intersection(*(set(options) for _, options in settings))))


def title(record: Record, leaving_out: Iterable[str] = ()) -> str:
    """OTTT-A; SLTT-K (k = 3)."""
    shown = options(record, leaving_out)
    name = style.algorithm(record.case["algorithm"]).title
    return f"{name} ({shown})" if shown else name


def backends(names: Iterable[str]) -> str:
    return " · ".join(style.backend(name).title for name in sorted(names, key=style.backend_order))


Rank = tuple[tuple[int, str], tuple[int, str], list[tuple[int, str]], int]


def by_backend(record: Record) -> Rank:
    """Sorts by backend, algorithm, options (K = 10 after K = 2), seed; backends and algorithms in the order of their looks."""
    case = record.case
    return (
        style.backend_order(case["backend"]),
        style.algorithm_order(case["algorithm"]),
        natural(options(record)),
        case["seed"],
    )


def by_algorithm(record: Record) -> Rank:
    """Sorts by algorithm, backend, options, seed."""
    backend, algorithm, shown, seed = by_backend(record)
    return (algorithm, backend, shown, seed)
