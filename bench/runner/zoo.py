"""Measures and checks the networks of the zoo, each in processes of its own, into results/zoo.jsonl: one line per network.

A line is written when its network is done, so that a run that was stopped goes on. What the same code and the same versions have
measured is kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.digest import code_digest
from bench.errors import UserError
from bench.files import write_whole
from bench.lift.frameworks import ADAPTERS
from bench.lift.zoo.page import RESULTS
from bench.lift.zoo.worker import PARTS, run_alone
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

    def put(self, line: Line) -> None:
        """Write one line in the place of its network's, or at the end."""
        lines = {**self.lines(), line["network"]: line}
        write_whole(self.path, "".join(f"{json.dumps(each)}\n" for each in lines.values()).encode())


def code_of(part: str) -> str:
    """Return the digest of the code that measures a part, with what is imported by name."""
    by_name = [*ADAPTERS.values(), "bench.lift.zoo.tutorials", *(algorithm.module for algorithm in ALGORITHMS.values())]
    return code_digest([PARTS[part], *by_name], CODE)


def run(project: Project, work: Mapping[str, Sequence[str]], only: str, again: bool) -> Iterator[tuple[str, str, str]]:
    """Run parts for networks; yield (network, part, outcome in words) for each that was run.

    ``work``: the networks of each part; ``only``: a text that a name must contain; ``again``: also what is there.
    """
    zoo = Zoo(project.results / RESULTS)
    versions = {name: version_of(name) for name in FRAMEWORKS}
    commit, machine = commit_of(CODE), machine_id(identity())
    for part, names in work.items():
        code = code_of(part)
        for name in (each for each in names if only in each):
            line = zoo.lines().get(name, {"network": name})
            known = line.get(part, {})
            if not again and "failed" not in known and (known.get("code"), known.get("versions")) == (code, versions):
                continue
            found = run_alone(part, name)
            made = {"code": code, "commit": commit, "machine": machine, "versions": versions, "when": _now()}
            zoo.put({**line, part: {**found, **made}})
            yield name, part, found.get("failed", "done")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
