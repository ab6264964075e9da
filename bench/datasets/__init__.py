"""Data sets: real ones, one simulation, and Randman, which is generated. ``load(name)`` returns one; torch is imported only then.

A data set is a module, or a value in one, with (see ``samples.Source``)
    available(root) -> Support               whether its files exist; does not read them
    load(root, download, cache) -> Samples   checks every file against its official checksum; prepared data go to ``cache``

| file | what |
|---|---|
| cifar.py | CIFAR-10 and CIFAR-100 |
| fashion_mnist.py | Fashion-MNIST |
| digits.py | the 8x8 digits in scikit-learn, which need neither files nor a network connection |
| n_mnist.py | N-MNIST, whole or its published part |
| dvs_gesture.py | DVS128 Gesture |
| cifar10_dvs.py | CIFAR10-DVS |
| shd.py | SHD, spoken digits as spikes of a cochlea |
| randman.py | Randman: random manifolds as spikes, generated |
| cifar10_dvs_simulated.py | a simulation of CIFAR10-DVS from CIFAR-10: simulated, not recorded |
| samples.py | the interface of all data sets, and class-balanced subsets |
| images.py | a loaded set of images |
| event_array.py | events as one array |
| events.py | a loaded set of event recordings, and its frames |
| frames.py | conversion of events to frames, cached on disk |
| event_camera.py | a simulated event camera |
| event_statistics.py | statistics of event recordings |
| prepare.py | augmentation and normalisation |
| sequences.py | images over time: static, or as Poisson spikes |
| real.py | the batches of a case, as sequences over time |
| store.py | location, checksums and download of files |
"""

from __future__ import annotations

import pkgutil
from pathlib import Path

from bench.datasets.samples import Samples, Source, subset
from bench.datasets.store import cache_root, data_root
from bench.errors import Support, choose
from bench.registry import DATA_SETS

__all__ = ["Samples", "available", "cache_root", "data_root", "fallback", "load", "module_name", "names", "subset"]


def names() -> list[str]:
    return sorted(DATA_SETS)


def fallback() -> str:
    """Return the data set that needs neither files nor a network connection. Outputs name it; it never counts as another set."""
    return "digits"


def module_name(name: str) -> str:
    return _place(name).partition(":")[0]


def available(name: str, root: Path | str | None = None) -> Support:
    """Return whether ``load(name, root, download=False)`` finds its files; their contents are not read."""
    return _source(name).available(data_root(root))


def load(name: str, root: Path | str | None = None, download: bool = True, cache: Path | str | None = None) -> Samples:
    """Load data set ``name`` from the data root (``store.data_root``); prepared data go to the cache (``store.cache_root``).

    Raises UserError for an unknown name, a file whose checksum is not the official one, and missing files that must not
    (``download=False``) or cannot be downloaded.
    """
    return _source(name).load(data_root(root), download, cache_root(cache))


def _place(name: str) -> str:
    return DATA_SETS[choose("data set", name, DATA_SETS)]


def _source(name: str) -> Source:
    source: Source = pkgutil.resolve_name(_place(name))
    return source
