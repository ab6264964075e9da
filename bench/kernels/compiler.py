"""Which C++ compiler would build the compiled kernels. Apart from them, so that asking for it depends on none of their code."""

from __future__ import annotations

import os
import shutil

from bench.spec import YES, Support, no


def compiler() -> str | None:
    """The C++ compiler: the environment's CXX, else g++ or clang++ on the PATH."""
    chosen = os.environ.get("CXX")
    return shutil.which(chosen) if chosen else shutil.which("g++") or shutil.which("clang++")


def available() -> Support:
    if compiler() is None:
        return no("the compiled kernels need a C++ compiler: install g++ (Debian: apt install g++) or name one in CXX")
    return YES
