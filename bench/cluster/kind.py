"""The kind of machine that the nodes of a submission are.

Records of one submission are of one machine, so that claims may compare them. The first job writes what its node is, exactly as
``bench.machine.identity`` gives it. Another node counts as the same machine if it is equal to it in processor, cores, operating
system, architecture and GPUs, and in memory but for what the kernel keeps for itself. Every other node is refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import cast

from bench.errors import UserError
from bench.machine import LASTING, Identity, machine_id

MEMORY = 0.02  # relative difference of the memory of equal nodes: what firmware and kernel keep for themselves


def differences(one: Identity, other: Identity) -> list[str]:
    """Return what makes two nodes different machines, as "cores 64 and 128"; empty if they are of one kind."""
    a, b = cast(Mapping[str, object], one), cast(Mapping[str, object], other)
    unequal = [name for name in LASTING if name != "memory_gib" and a[name] != b[name]]
    if abs(one["memory_gib"] - other["memory_gib"]) > max(1, MEMORY * max(one["memory_gib"], other["memory_gib"])):
        unequal.append("memory_gib")
    return [f"{name} {a[name]} and {b[name]}" for name in unequal]


def settle(path: Path, here: Identity) -> Identity:
    """Return the kind of machine that ``path`` holds; if there is none yet, it is that of this node, and is written.

    Safe on a network file system: of several nodes that write at once exactly one does. Raises UserError on a node of another
    kind.
    """
    kind = known(path) or _first(path, here)
    unlike = differences(kind, here)
    if unlike:
        raise UserError(
            f"this node is {machine_id(here)}, the submission measures on {machine_id(kind)} ({'; '.join(unlike)}): records of "
            "different machines are not combined. Name nodes of one kind by constraint or partition and submit again; if the "
            f"nodes were replaced, remove {path.parent.parent}/*/{path.name} first"
        )
    return kind


def known(path: Path) -> Identity | None:
    """Return the kind of machine that is settled, if any."""
    with suppress(FileNotFoundError):
        return cast(Identity, json.loads(path.read_text(encoding="utf-8")))
    return None


def _first(path: Path, here: Identity) -> Identity:
    draft = path.with_name(f".{path.name}.{os.uname().nodename}.{os.getpid()}")
    draft.write_text(json.dumps(here, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    try:
        with suppress(FileExistsError):
            os.link(draft, path)  # fails if another node was first, on a network file system too
    finally:
        draft.unlink()
    return cast(Identity, json.loads(path.read_text(encoding="utf-8")))
