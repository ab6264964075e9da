"""results.jsonl: one training per line. A line holds while recipe, network, samples and the code that trained are the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.comparison.plan import Plan, Trained
from bench.comparison.train import Run
from bench.digest import code_digest
from bench.errors import UserError
from bench.files import write_whole
from bench.json_object import Json
from bench.places import CODE
from bench.registry import ALGORITHMS

NAME = "results.jsonl"
_ROOMS = (
    "bench.comparison.train",
    "bench.lift.frameworks.spikingjelly",
    "bench.lift.frameworks.snntorch",
)  # imported by name, too


@dataclass(frozen=True)
class Line:
    """A training that has ended; ``digest`` of all that it depends on beside the recipe.

    ``peak`` (bytes) and ``macs`` (dense) of a training step, counted without storage.
    """

    title: str
    recipe: Json
    seed: int
    run: Run
    peak: int
    macs: int
    samples: str
    digest: str
    machine: str
    commit: str
    versions: Mapping[str, str]
    when: str

    @property
    def key(self) -> tuple[str, int, str]:
        return json.dumps(self.recipe, sort_keys=True), self.seed, self.digest


def digest_of(case: Trained, network: Path, samples: str) -> str:
    """Return 12 hex digits for the code that trains, the file of the network, and the identity of the samples."""
    code = code_digest([*_ROOMS, ALGORITHMS[case.algorithm].module], CODE)
    return hashlib.sha256(f"{code} {samples}".encode() + network.read_bytes()).hexdigest()[:12]


@dataclass(frozen=True)
class Here:
    """Where trainings run, and with what; asked before they begin, for the code may change meanwhile."""

    machine: str
    commit: str
    versions: Mapping[str, str]


def here() -> Here:
    from bench.machine import identity, machine_id
    from bench.runner.store import commit_of, version_of

    versions = {name: version_of(name) for name in ("torch", "spikingjelly", "snntorch")}
    return Here(machine_id(identity()), commit_of(CODE), versions)


def line(plan: Plan, case: Trained, seed: int, run: Run, cost: tuple[int, int], samples: str, digest: str, at: Here) -> Line:
    """Return what is written of a training that has just ended; ``cost``: bytes and MACs."""
    when = datetime.now(UTC).isoformat(timespec="seconds")
    return Line(case.title, plan.recipe(case), seed, run, *cost, samples, digest, **asdict(at), when=when)


def read(folder: Path) -> list[Line]:
    """Return all lines. Raises UserError, by file and line, for one that is none."""
    path = folder / NAME
    if not path.exists():
        return []
    found = []
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            values = json.loads(text)
            numbers = values.pop("run")
            losses, accuracies, tests = (tuple(numbers.pop(name)) for name in ("losses", "accuracies", "tests"))
            run = Run(losses, accuracies, tests, **numbers)
            found.append(Line(run=run, **values))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UserError(f"{path}, line {number} is not a result ({error}): delete the line, it is trained again") from error
    return found


def write(folder: Path, lines: Iterable[Line]) -> None:
    texts = [json.dumps(asdict(each), sort_keys=True) + "\n" for each in lines]
    write_whole(folder / NAME, "".join(texts).encode())


def current(lines: Sequence[Line], plan: Plan, digests: Mapping[str, str]) -> list[Line]:
    """Return the lines that hold for a plan, in its order; ``digests`` by the title of the case. Of equal ones the last."""
    by_key = {each.key: each for each in lines}
    keys = [
        (json.dumps(plan.recipe(case), sort_keys=True), seed, digests[case.title]) for case in plan.cases for seed in plan.seeds
    ]
    return [by_key[key] for key in keys if key in by_key]
