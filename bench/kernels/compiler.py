"""Finds the C++ compiler for the compiled kernels. A separate module, so that code that asks does not depend on the kernels."""

from __future__ import annotations

import os
import shutil

from bench.errors import YES, Support, no


def compiler() -> str | None:
    """Return the C++ compiler: the environment's CXX, else g++ or clang++ on the PATH; None if there is none."""
    chosen = os.environ.get("CXX")
    return shutil.which(chosen) if chosen else shutil.which("g++") or shutil.which("clang++")


def available() -> Support:
    if compiler() is None:
        return no("the compiled kernels need a C++ compiler: install g++ (Debian: apt install g++) or name one in CXX")
    return YES
