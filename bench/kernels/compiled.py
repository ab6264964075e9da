"""C++ kernels, compiled once for the processor of the machine that runs them, into the user's cache folder.

They have a C interface, called through ctypes. Without PyTorch's headers they compile in seconds and suit all its versions.
"""

from __future__ import annotations

import ctypes
import hashlib
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import filelock
import platformdirs

from bench.errors import UserError
from bench.kernels.compiler import available, compiler
from bench.machine import identity

SOURCE = Path(__file__).with_name("cpu.cpp")
# No fused multiply-add: products and sums must round as in PyTorch, otherwise spikes change.
FLAGS = (
    *("-std=c++17", "-O3", "-march=native", "-fopenmp", "-shared", "-fPIC"),
    *("-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"),
)


@cache
def library() -> ctypes.CDLL:
    """Return the compiled kernels, building them if needed. Raises UserError with the compiler's output if that fails."""
    command = compiler()
    if command is None:
        raise UserError(available().reason)
    version = subprocess.run([command, "--version"], capture_output=True, text=True).stdout
    identity_text = "\n".join([SOURCE.read_text(encoding="utf-8"), *FLAGS, version, identity()["cpu"]])
    folder = Path(platformdirs.user_cache_dir("spikecost")) / "kernels"
    built = folder / f"cpu-{hashlib.sha256(identity_text.encode()).hexdigest()[:16]}.so"
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(built.with_suffix(".lock")):
        if not built.exists():
            _build(command, built)
    return ctypes.CDLL(str(built))


def _build(command: str, built: Path) -> None:
    with tempfile.TemporaryDirectory(dir=built.parent) as scratch:
        output = Path(scratch) / built.name
        result = subprocess.run([command, *FLAGS, "-o", str(output), str(SOURCE)], capture_output=True, text=True)
        if result.returncode:
            raise UserError(
                f"{command} cannot compile {SOURCE.name}; use backend native, or set another in CXX:\n{result.stderr}"
            )
        output.replace(built)


def keep_freed_memory() -> None:
    """Make this process keep freed memory, so that the next time step does not request the same pages from the system again.

    PyTorch's GPU allocator always does this; on a CPU a new page costs more time than computing on it. glibc only.
    """
    libc: Any = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h
