"""Measures and checks the networks of the zoo, each in processes of its own, into results/zoo.jsonl: a line a network.

A line is written when its network is done, so that a run that was stopped goes on. What the same code and the same versions have
measured is kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.digest import code_digest
from bench.errors import UserError
from bench.files import write_whole
from bench.lift.frameworks import ADAPTERS
from bench.lift.zoo_page import RESULTS
from bench.lift.zoo_worker import PARTS, run_alone
from bench.machine import identity, machine_id
from bench.places import CODE, Project
from bench.registry import ALGORITHMS
from bench.runner.store import commit_of, version_of

FRAMEWORKS = ("torch", "spikingjelly", "snntorch", "torchvision")

Line = dict[str, Any]


@dataclass(frozen=True)
class Zoo:
    """The lines of results/zoo.jsonl by network."""

    path: Path

    def lines(self) -> dict[str, Line]:
        """Return what has been measured. Raises UserError for a damaged file."""
        if not self.path.is_file():
            return {}
        try:
            found = [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]
            return {line["network"]: line for line in found}
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{self.path} is damaged ({error}): take the committed one, or delete it") from error

    def put(self, line: Line, order: Sequence[str]) -> None:
        """Write one line; networks stand in their own order, and those that are no more are left out."""
        lines = {**self.lines(), line["network"]: line}
        kept = [json.dumps(lines[name]) for name in order if name in lines]
        write_whole(self.path, "".join(f"{each}\n" for each in kept).encode())


def code_of(part: str) -> str:
    """Return the digest of the code that measures a part, with what is imported by name."""
    by_name = [*ADAPTERS.values(), "bench.lift.snntorch_tutorials", *(algorithm.module for algorithm in ALGORITHMS.values())]
    return code_digest([PARTS[part], *by_name], CODE)


def run(project: Project, names: Sequence[str], only: str, parts: Sequence[str], again: bool) -> Iterator[tuple[str, str, str]]:
    """Measure and check networks; yield (network, part, outcome in words) for each part that was run.

    ``names``: of all networks; ``only``: a regular expression that a name must hold; ``again``: also what is there.
    """
    zoo = Zoo(project.results / RESULTS)
    try:
        chosen = [name for name in names if re.search(only, name)]
    except re.error as error:
        raise UserError(f"--only {only!r} is no regular expression: {error}") from error
    if not chosen:
        raise UserError(f"--only {only!r} matches no network; there are {', '.join(names)}")
    versions = {name: version_of(name) for name in FRAMEWORKS}
    code, commit, machine = {part: code_of(part) for part in parts}, commit_of(CODE), machine_id(identity())
    for part in parts:
        for name in chosen:
            line = zoo.lines().get(name, {"network": name})
            known = line.get(part, {})
            if not again and "failed" not in known and (known.get("code"), known.get("versions")) == (code[part], versions):
                continue
            found = run_alone(part, name)
            made = {"code": code[part], "commit": commit, "machine": machine, "versions": versions, "when": _now()}
            zoo.put({**line, part: {**found, **made}}, names)
            yield name, part, found.get("failed", "done")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
