"""Fixtures shared by all tests: weights and input for which every layer of a network fires."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from zlib import crc32

import pytest
import torch
from torch import Tensor

from bench.spec import NetworkSpec


def pytest_configure(config: pytest.Config) -> None:
    """Run benchmarks in one process: parallel workers would disturb one another's times."""
    if config.getoption("benchmark_only", default=False) and config.getoption("dist", default="no") != "no":
        raise pytest.UsageError("benchmarks are timed alone on the machine: leave out -n (pytest-xdist)")


# Folders and files that take long, the longest first.
LONG = (
    "docs",
    "test_killed.py",
    "test_fit.py",
    "report",
    "lift",
    "runner",
    "command",
    "test_memory.py",
    "test_wheel.py",
    "kernels",
)


def in_sample(item: pytest.Item, every: int) -> bool:
    """Whether the combination is in the sample: about one of ``every``, drawn by its name, so that others do not move it."""
    return crc32(item.name.encode()) % every == 0


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of a test with the marker ``sampled`` only a sample of its combinations is left to the default run; the others are slow.

    Long files come first, so that none is left to one worker alone at the end (`make test` gives whole files to workers).

    With --benchmark-only, deselect the other tests, so that they do not appear as skipped.
    """
    for item in items:
        sampled = item.get_closest_marker("sampled")
        if sampled and not in_sample(item, sampled.kwargs["every"]):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: min((LONG.index(name) for name in item.path.parts[-2:] if name in LONG), default=len(LONG)))
    if config.getoption("benchmark_only", default=False):
        others = [item for item in items if "benchmark" not in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One temporary folder for all processes of this session (pytest-xdist)."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Use a temporary folder for prepared data."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPIKECOST_CACHE", os.environ.get("SPIKECOST_CACHE") or str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def lively() -> Callable[..., tuple[Tensor, Tensor]]:
    """``lively(net, T, batch, seed=0)``: draw nonzero weights, and return a sequence [T, B, ...] and targets [B].

    The images are smooth in space: with white noise, which averages out, deep layers would not fire.
    """

    def ready(net: torch.nn.Module, T: int, batch: int, seed: int = 0) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        spec: NetworkSpec = net.spec  # type: ignore[assignment]
        with torch.no_grad():
            for p in net.parameters():
                noise = torch.randn(p.shape, generator=generator, dtype=torch.float64)
                if p.dim() > 1 and p.shape[1:].numel() > 1:
                    p.copy_(noise * p.shape[1:].numel() ** -0.5)
                else:
                    p.add_(0.1 * noise)
        coarse = torch.randn(T, batch, spec.input[0], *(n // 4 for n in spec.input[1:]), generator=generator)
        x = 2 * coarse.repeat_interleave(4, -1).repeat_interleave(4, -2)
        return x, torch.randint(spec.classes, (batch,), generator=generator)

    return ready
