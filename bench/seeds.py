"""Random numbers that depend on names alone, not on when or where something ran. Imports nothing of the suite."""

from __future__ import annotations

import hashlib


def seed_of(*names: object) -> int:
    """Return a 63-bit seed that is a function of ``names``."""
    digest = hashlib.sha256("/".join(str(name) for name in names).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
