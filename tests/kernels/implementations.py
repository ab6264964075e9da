"""The implementations of the fused kernels."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import bench.kernels

KERNELS = ("C++", "Triton, interpreted", "Triton")
EXAMPLES = {"C++": 150, "Triton, interpreted": 50, "Triton": 150}  # the interpreter is slow


def interpreted() -> Any:
    """A separate copy of the Triton module whose programs run on the CPU; the module used on GPUs is unchanged."""
    if importlib.util.find_spec("triton") is None:
        pytest.skip("triton is not installed")
    name = "interpreted_triton_lif"
    if name not in sys.modules:
        found = importlib.util.spec_from_file_location(name, Path(bench.kernels.__file__).with_name("triton_lif.py"))
        assert found is not None
        assert found.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(found)
        importlib.import_module("triton")  # before the switch, which is for the programs of this module alone
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TRITON_INTERPRET", "1")
            found.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@dataclass(frozen=True)
class On:
    device: str
    examples: int


Kernel = Callable[..., tuple[Tensor, Tensor]]
TYPES = [torch.float64, torch.float32, torch.bfloat16]
