"""From a worker's answer to records: who measured it, with which code and which libraries."""

from __future__ import annotations

import importlib.metadata
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bench import backends
from bench.machine import identity
from bench.plan import digest_of
from bench.records import Store
from bench.runner.worker import Outcome
from bench.spec import Case, Measurement, Record


def keeper(store: Store, machine: str, root: Path) -> Callable[[Case, Outcome], None]:
    """A function that appends a case's outcome to the store: all its records in one write, or a UserError."""
    store.describe(machine, identity())
    commit = commit_of(root)

    def keep(case: Case, outcome: Outcome) -> None:
        nothing = Measurement("none", None, "")
        records = [_record(case, outcome, m, machine, commit) for m in outcome.measurements or (nothing,)]
        store.append(case.paper, machine, records)

    return keep


def _record(case: Case, outcome: Outcome, measured: Measurement, machine: str, commit: str) -> Record:
    return Record(
        case=case.as_dict(),
        key=case.key,
        metric=measured.metric,
        value=measured.value,
        unit=measured.unit,
        version=measured.version,
        detail=measured.detail,
        status=outcome.status,
        reason=outcome.reason,
        kernel=outcome.kernel,
        digest=digest_of(case),
        versions=_versions(case.backend),
        commit=commit,
        machine=machine,
        device=outcome.device,
        threads=outcome.threads,
        precision=outcome.precision,
        run=run,
        when=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )


def _versions(backend: str) -> dict[str, str]:
    names = {"torch", backends.framework(backend)}
    return {name: version_of(name) for name in sorted(names)}


def version_of(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def commit_of(root: Path) -> str:
    """The commit that is checked out; '+' if files that results depend on differ from it; 'unknown' outside git."""
    try:
        head = _git(root, "rev-parse", "--short=12", "HEAD")
        changed = _git(root, "status", "--porcelain", "--", "bench", "reproductions")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+" if changed else "")


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout.strip()
