"""A benchmark without its machine means nothing: the machine's identity, as in every record, goes into what is saved."""

from __future__ import annotations

from typing import Any

import pytest

from bench.machine import identity


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Add CPU model, cores, memory and GPUs as ``machine_info["spikecost"]``."""
    machine_info["spikecost"] = identity()
