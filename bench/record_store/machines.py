"""Descriptions of machines: results/machines/<machine>.json."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TypeGuard

from bench.machine import LASTING, Identity, machine_id
from bench.record_store.lines import LeftOut

_NAMED_BY_HASH = re.compile(r".+-[0-9a-f]{6}")


def description(path: Path) -> Identity | LeftOut:
    """What a machine is, from its file; see ``bench.machine.identity``."""
    remedy = f"take it back from git, or delete it and run again on that machine; what was measured on {path.stem} is left out"
    try:
        content = json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        return LeftOut(path, error.lineno, f"no description of a machine ({error.msg}): {remedy}")
    except (OSError, ValueError, RecursionError) as error:
        return LeftOut(path, 1, f"no description of a machine ({error}): {remedy}")
    if not _identifies(content):
        missing = _missing(content) or ["gpus"]
        return LeftOut(path, 1, f"no description of a machine (no {', '.join(missing)}): {remedy}")
    if _NAMED_BY_HASH.fullmatch(path.stem) and machine_id(content) != path.stem:
        return LeftOut(path, 1, f"describes {machine_id(content)}, not the machine it is named after: {remedy}")
    return content


def _identifies(content: object) -> TypeGuard[Identity]:
    return not _missing(content) and isinstance(content, dict) and all(isinstance(gpu, str) for gpu in content["gpus"])


def _missing(content: object) -> list[str]:
    """What identifies a machine and is not in ``content`` as it should be."""
    known = content if isinstance(content, dict) else {}
    return [name for name, kind in LASTING.items() if type(known.get(name)) is not kind]


def no_description(path: Path, root: Path) -> LeftOut:
    place = root / "machines" / f"{path.parent.name}.json"
    return LeftOut(path, 1, f"left out as a whole: {place} is not there to say what machine this is; take it back from git")
