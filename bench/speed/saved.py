"""Stored runs: results/speed/<machine>/speed.json has the latest run of every workload, with the digest of the timed code."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import algorithms, backends, zoo
from bench.digest import code_digest
from bench.errors import UserError
from bench.files import write_whole
from bench.machine import identity
from bench.places import CODE
from bench.runner.store import commit_of, version_of
from bench.speed.rows import FLOOR, Row, Workload, workloads
from bench.speed.turns import Run, Timed

FORMAT = 2
FORMER = "measured with former code"
_VERSIONS = ("torch", "spikingjelly", "snntorch", "triton")


@dataclass(frozen=True)
class Saved:
    """A run with its commit, time (ISO 8601), libraries, and the digest of the timed code (None if it was not stored)."""

    run: Run
    commit: str
    when: str
    versions: Mapping[str, str]
    digest: str | None

    @property
    def current(self) -> bool:
        """Whether the timed code equals the current code."""
        return self.digest is not None and self.digest == digest_of(self.run)

    @property
    def told(self) -> str:
        return f"{self.when[:10]}, commit {self.commit[:10]}" + ("" if self.current else f", {FORMER}")


def digest_of(run: Run) -> str | None:
    """Return the digest of the code of network, algorithms and backends in a run; None if one of them no longer exists."""
    try:
        timed = [timed.row for timed in run.timed]
        own = {_module(row) for row in timed} | {backends.module_name(row.backend) for row in timed if row.algorithm != FLOOR}
        return code_digest({*own, zoo.module_name(run.workload.network), "bench.probes.clock"}, CODE)
    except UserError:
        return None


def _module(row: Row) -> str:
    return "bench.speed.floor" if row.algorithm == FLOOR else algorithms.module_name(row.algorithm)


def now(run: Run) -> Saved:
    """Return a run that has just ended, with commit and digest of the current code."""
    versions = {name: version_of(name) for name in _VERSIONS}
    return Saved(run, commit_of(CODE), datetime.now(UTC).isoformat(timespec="seconds"), versions, digest_of(run))


def load(folder: Path) -> list[Saved]:
    """Return the runs stored in ``folder``, results/speed/<machine>; empty without speed.json. Raises UserError if unreadable."""
    path = folder / "speed.json"
    if not path.exists():
        return []
    try:
        content = json.loads(path.read_bytes())
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']}, this code reads {FORMAT}")
        return [_saved(entry) for entry in content["workloads"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        told = f"it has no {error}" if isinstance(error, KeyError) else error
        raise UserError(f"cannot read {path}: {told}; restore it from git, or move it away to time everything anew") from error


def keep(folder: Path, saved: Saved) -> list[Saved]:
    """Store a run, replacing the former run of its workload on its device. Returns all runs, in the order of ``workloads``."""
    others = [other for other in load(folder) if _place(other) != _place(saved)]
    kept = sorted([*others, saved], key=_order)
    content = {"format": FORMAT, "machine": identity(), "workloads": [_plain(each) for each in kept]}
    write_whole(folder / "speed.json", (json.dumps(content, indent=1) + "\n").encode())
    return kept


def _place(saved: Saved) -> tuple[str, Workload]:
    return saved.run.device, saved.run.workload


def _order(saved: Saved) -> tuple[str, int]:
    known = workloads(saved.run.device)
    return saved.run.device, known.index(saved.run.workload) if saved.run.workload in known else len(known)


def _plain(saved: Saved) -> dict[str, Any]:
    run = saved.run
    return {
        "workload": asdict(run.workload),
        "device": run.device,
        "threads": run.threads,
        "commit": saved.commit,
        "when": saved.when,
        "versions": dict(saved.versions),
        "digest": saved.digest,
        "rows": [
            {
                "algorithm": timed.row.algorithm,
                "backend": timed.row.backend,
                "options": dict(timed.row.options),
                "kernel": timed.kernel,
                "seconds": list(timed.seconds),
                "peak_bytes": timed.peak_bytes,
                "macs": timed.macs,
            }
            for timed in run.timed
        ],
        "refused": dict(run.refused),
    }


def _saved(entry: Mapping[str, Any]) -> Saved:
    run = Run(Workload(**entry["workload"]), entry["device"], tuple(_timed(entry["rows"])), entry["refused"], entry["threads"])
    return Saved(run, entry["commit"], entry["when"], entry["versions"], entry["digest"])


def _timed(rows: Iterable[Mapping[str, Any]]) -> list[Timed]:
    return [
        Timed(
            Row(row["algorithm"], row["backend"], tuple(row["options"].items())),
            row["kernel"],
            tuple(row["seconds"]),
            row["peak_bytes"],
            row["macs"],
        )
        for row in rows
    ]
