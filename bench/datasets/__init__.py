"""Samples to train on, real but for one simulation. ``load(name)`` gives one data set; nothing here imports torch until then.

A data set is a module, or a value in one, with (see ``samples.Source``)

    available(root) -> Support               whether its files are there; looks, does not read
    load(root, download, cache) -> Samples   every file checked against its official checksum; what is prepared goes to ``cache``

| file | what |
|---|---|
| cifar.py | CIFAR-10 and CIFAR-100 |
| fashion_mnist.py | Fashion-MNIST |
| digits.py | the 8x8 digits inside scikit-learn: what there is without files and without a network |
| n_mnist.py | N-MNIST, whole or its published part |
| dvs_gesture.py | DVS128 Gesture |
| cifar10_dvs.py | CIFAR10-DVS |
| cifar10_dvs_simulated.py | a simulation of CIFAR10-DVS from CIFAR-10: simulated, not recorded |
| samples.py | what every loaded data set is, and class-balanced parts of one |
| images.py | a loaded set of images |
| events.py | a loaded set of event recordings, and its frames |
| frames.py | from events to frames, kept on disk |
| event_camera.py | a simulated event camera |
| event_statistics.py | what recordings of events are like, in few numbers |
| prepare.py | augmentation and normalisation as data |
| sequences.py | images over time: still, or as Poisson spikes |
| real.py | the batches of a case, as sequences over time |
| store.py | where files lie, how they are checked, how they are downloaded |
"""

from __future__ import annotations

import pkgutil
from pathlib import Path

from bench.datasets.samples import Samples, Source, subset
from bench.datasets.store import cache_root, data_root
from bench.spec import Support, choose

__all__ = ["Samples", "available", "cache_root", "data_root", "fallback", "load", "module_name", "names", "subset"]

_MODULES = {
    "cifar10": "bench.datasets.cifar:CIFAR10",
    "cifar100": "bench.datasets.cifar:CIFAR100",
    "cifar10-dvs": "bench.datasets.cifar10_dvs:CIFAR10_DVS",
    "cifar10-dvs-simulated": "bench.datasets.cifar10_dvs_simulated",
    "dvs-gesture": "bench.datasets.dvs_gesture:DVS_GESTURE",
    "fashion-mnist": "bench.datasets.fashion_mnist",
    "n-mnist": "bench.datasets.n_mnist",
    "digits": "bench.datasets.digits",
}


def names() -> list[str]:
    return sorted(_MODULES)


def fallback() -> str:
    """The data set that needs neither files nor a network. It stands in for no other: outputs name it."""
    return "digits"


def module_name(name: str) -> str:
    return _place(name).partition(":")[0]


def available(name: str, root: Path | str | None = None) -> Support:
    """Whether ``load(name, root, download=False)`` finds its files; their contents are not read."""
    return _source(name).available(data_root(root))


def load(name: str, root: Path | str | None = None, download: bool = True, cache: Path | str | None = None) -> Samples:
    """The data set ``name`` from the data root (see ``store.data_root``), what is prepared of it in ``store.cache_root``.

    Raises UserError for an unknown name, a file whose checksum is not the official one, and missing files that may not
    (``download=False``) or cannot be downloaded.
    """
    return _source(name).load(data_root(root), download, cache_root(cache))


def _place(name: str) -> str:
    return _MODULES[choose("data set", name, _MODULES)]


def _source(name: str) -> Source:
    source: Source = pkgutil.resolve_name(_place(name))
    return source
