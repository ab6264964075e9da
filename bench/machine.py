"""Identifies the machine that a value was measured on. Imports no torch."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import TypedDict

import psutil

_NOISE = re.compile(r"\((r|tm|c)\)|@.*$|\b(cpu|processor|with|graphics|\d+-core)\b", re.IGNORECASE)
_NO_GPU = re.compile(r"\b(no devices|not found|failed|error|unable|couldn't)\b", re.IGNORECASE)
# What identifies a machine, and as what JSON gives it; Python's version may change.
LASTING = {"cpu": str, "cores": int, "memory_gib": int, "os": str, "architecture": str, "gpus": list}


class Identity(TypedDict):
    """What a machine is, as results/machines/ holds it."""

    cpu: str
    cores: int
    memory_gib: int
    os: str
    architecture: str
    python: str
    gpus: list[str]


def identity() -> Identity:
    """Return CPU model, logical cores, memory in whole GiB, operating system, architecture, Python, and the names of all GPUs."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count() or 1,
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "os": platform.system(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "gpus": _gpus(),
    }


def usable_cores() -> int:
    """Return the number of logical cores that this process may use."""
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def machine_id(identity: Identity) -> str:
    """Return a short readable name with 6 hex digits; restarts and updates of Python do not change it.

    >>> known = {"cpu": "AMD EPYC", "cores": 2, "memory_gib": 24, "os": "Linux", "architecture": "x86_64", "gpus": []}
    >>> machine_id(known)
    'amd-epyc-2c-24g-837865'
    """
    gpus = identity["gpus"]
    lasting = [identity["cpu"], identity["cores"], identity["memory_gib"], identity["os"], identity["architecture"], gpus]
    parts = [_slug(identity["cpu"]), f"{identity['cores']}c", f"{identity['memory_gib']}g"]
    if gpus:
        parts.append((f"{len(gpus)}x-" if len(gpus) > 1 else "") + _slug(gpus[0]))
    return "-".join([*parts, hashlib.sha256(repr(lasting).encode()).hexdigest()[:6]])


def _slug(name: str) -> str:
    words = re.findall(r"[a-z0-9]+", _NOISE.sub(" ", name).lower())
    return "-".join(words[:4]) or "unknown"


def _cpu() -> str:
    """Return the CPU model as the operating system reports it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE)
        if found:
            return found[1].strip()
    if platform.system() == "Darwin":
        return _output("sysctl", "-n", "machdep.cpu.brand_string") or platform.machine()
    return platform.processor() or platform.machine()


def gpu() -> str | None:
    """Return the name of the GPU that PyTorch would use here: the driver's first that CUDA_VISIBLE_DEVICES leaves visible.

    None if there is none, if all are hidden, or if the installed PyTorch is built without CUDA.
    """
    names = _gpus()
    return next(iter(_visible(names)), None) if names and _torch_has_cuda() else None


def _visible(names: list[str]) -> list[str]:
    """Return the GPUs that CUDA_VISIBLE_DEVICES names, up to its first invalid entry; ``names`` are in the driver's order."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return names
    visible = []
    for entry in map(str.strip, chosen.split(",")):
        place = _place(entry, len(names))
        if place is None:
            break
        visible.append(names[place])
    return visible


def _place(entry: str, count: int) -> int | None:
    """Return the index of the GPU that an entry of CUDA_VISIBLE_DEVICES names by number or by (a prefix of) its UUID."""
    if entry.isdecimal():
        return int(entry) if int(entry) < count else None
    if entry.startswith("MIG-"):
        return 0  # a MIG slice; this list of the driver does not say of which GPU
    uuids = _listed("uuid")
    return next((i for i, uuid in enumerate(uuids) if entry.startswith("GPU-") and uuid.startswith(entry)), None)


def _torch_has_cuda() -> bool:
    """Whether the installed PyTorch is built for CUDA. Read from its files, because importing it takes seconds."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return False
    version = Path(found.origin).with_name("version.py")
    cuda = re.search(r"^cuda\b[^=]*=\s*(.+)$", version.read_text(), re.MULTILINE) if version.exists() else None
    return cuda is None or cuda[1].strip() != "None"


def _gpus() -> list[str]:
    """Return the names of the NVIDIA GPUs in the driver's order; empty without a driver."""
    return _listed("name")


def _listed(what: str) -> list[str]:
    """Query the driver for ``what``; one answer per GPU. (Without a GPU the driver prints a sentence.)"""
    lines = [line.strip() for line in _output("nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader").splitlines()]
    return [line for line in lines if line and not _NO_GPU.search(line)]


def _output(*command: str) -> str:
    """Return the output of a command, or "" if it does not exist, fails or hangs."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
