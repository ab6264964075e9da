"""Converts a worker's outcome to records, with machine, commit and versions of libraries."""

from __future__ import annotations

import hashlib
import importlib.metadata
import secrets
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bench import backends
from bench.case import Case
from bench.digest import LANGUAGES, PACKAGES
from bench.machine import identity
from bench.measurement import Measurement
from bench.places import CODE
from bench.plan import backends_of, digest_of
from bench.record import Record, apart
from bench.record_store import Store
from bench.runner.worker import Outcome

MISSING = "not installed"  # instead of a version


def new_run() -> str:
    """Return an id for one call of the run command: start time and six random digits."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def recorder(store: Store, machine: str, run: str, code: Path = CODE) -> Callable[[Case, Outcome], None]:
    """Return a function that appends all records of a case's outcome to the store in one write, or raises UserError.

    ``run`` identifies the call of the run command; ``code`` is the folder of the packages that run.
    """
    store.describe(machine, identity())
    commit = commit_of(code)

    def keep(case: Case, outcome: Outcome) -> None:
        nothing = Measurement("none", None, "")
        records = [_record(case, outcome, m, machine, commit, run) for m in outcome.measurements or (nothing,)]
        store.append(case.paper, machine, records)

    return keep


def _record(case: Case, outcome: Outcome, measured: Measurement, machine: str, commit: str, run: str) -> Record:
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
        digest=digest_of(case, apart(outcome.device)[0]),
        versions=_versions(case, *filter(None, [outcome.missing])),
        commit=commit,
        machine=machine,
        device=outcome.device,
        threads=outcome.threads,
        precision=outcome.precision,
        run=run,
        when=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )


def _versions(case: Case, *more: str) -> dict[str, str]:
    names = {"torch", *map(backends.framework, backends_of(case.probe, case.backend)), *more}
    return {name: version_of(name) for name in sorted(names)}


def version_of(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return MISSING


def commit_of(root: Path) -> str:
    """Return the commit of the code below ``root``, followed by '+' if the code differs from it.

    Code is what a digest may include (bench/digest.py): .py, .cpp and .cu files below bench/ and reproductions/, also new ones.
    Claims, pages, plots and results are not code, because an interrupted run may have written them itself. Code outside git (an
    installed package or an archive) has no commit: the result is 'tree-', a digest of all its files, and '+'.
    """
    patterns = [f":(glob){package}/**/*{ending}" for package in PACKAGES for ending in (".py", *LANGUAGES)]
    try:
        _git(root, "ls-files", "--error-unmatch", "bench/case.py")  # fails if the code is inside an unrelated repository
        head = _git(root, "rev-parse", "--short=12", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=all", "--", *patterns)
    except (OSError, subprocess.CalledProcessError):
        return f"tree-{_digest_of_tree(root)}+"
    return head + ("+" if changed else "")


def _digest_of_tree(root: Path) -> str:
    files = sorted(path for package in PACKAGES for path in (root / package).rglob("*") if path.suffix in (".py", *LANGUAGES))
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(root).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:12]


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout.strip()
