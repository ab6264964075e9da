"""C++ kernels, compiled on the machine that runs them, for its own processor; once, into the user's cache folder.

A C interface called through ctypes: no headers of PyTorch, so that it compiles in seconds and fits every version of it.
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

from bench.kernels.compiler import available, compiler
from bench.machine import identity
from bench.spec import UserError

SOURCE = Path(__file__).with_name("cpu.cpp")
# No fused multiply-add: a product and a sum must round as PyTorch's do, or spikes flip.
FLAGS = (
    *("-std=c++17", "-O3", "-march=native", "-fopenmp", "-shared", "-fPIC"),
    *("-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"),
)


@cache
def library() -> ctypes.CDLL:
    """The compiled kernels, built if they are not in the cache. UserError with the compiler's words if they cannot be."""
    command = compiler()
    if command is None:
        raise UserError(available().reason)
    version = subprocess.run([command, "--version"], capture_output=True, text=True).stdout
    named = "\n".join([SOURCE.read_text(encoding="utf-8"), *FLAGS, version, identity()["cpu"]])
    folder = Path(platformdirs.user_cache_dir("spikecost")) / "kernels"
    built = folder / f"cpu-{hashlib.sha256(named.encode()).hexdigest()[:16]}.so"
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(built.with_suffix(".lock")):
        if not built.exists():
            _build(command, built)
    return ctypes.CDLL(str(built))


def _build(command: str, built: Path) -> None:
    with tempfile.TemporaryDirectory(dir=built.parent) as scratch:
        made = Path(scratch) / built.name
        ran = subprocess.run([command, *FLAGS, "-o", str(made), str(SOURCE)], capture_output=True, text=True)
        if ran.returncode:
            raise UserError(f"{command} cannot compile {SOURCE.name}; use backend native, or name another in CXX:\n{ran.stderr}")
        made.replace(built)


def keep_freed_memory() -> None:
    """Let this process keep what it frees, so that the next time step does not ask the system for the same pages again.

    PyTorch's GPU allocator does so always; on a CPU a fresh page costs more than the arithmetic on it. glibc only.
    """
    libc: Any = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h
