"""The store of what was measured: JSON lines that only ever grow. Nothing here imports torch.

    results/machines/<machine>.json          what the machine is, written once
    results/runs/<machine>/<paper>.jsonl     one Record a line

The records of a case are written together, in one write; each line also says of how many (``of``), so that a case whose
write was cut short, at whatever byte, is known and measured again. A line that cannot be read stays in the file, is
reported, and harms no other line.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from bench.files import write_whole
from bench.spec import Record, UserError

if TYPE_CHECKING:
    import pandas

_FIELDS = frozenset(field.name for field in fields(Record))


@dataclass(frozen=True)
class Torn:
    """A line that is no record, and why; ``line`` counts from 1."""

    path: Path
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}, line {self.line}: {self.reason}"


@dataclass(frozen=True)
class Store:
    """Records under ``root`` (results/). Those of different machines stand in different files and are never merged."""

    root: Path

    def path(self, paper: str, machine: str) -> Path:
        return self.root / "runs" / machine / f"{paper}.jsonl"

    def papers(self) -> list[str]:
        return sorted({path.stem for path in self.root.glob("runs/*/*.jsonl")})

    def machines(self) -> dict[str, dict[str, Any]]:
        """What each machine is, by its id."""
        return {path.stem: json.loads(path.read_bytes()) for path in sorted(self.root.glob("machines/*.json"))}

    def describe(self, machine: str, identity: Mapping[str, Any]) -> None:
        """Write down what the machine is, the first time it is met."""
        path = self.root / "machines" / f"{machine}.json"
        if path.exists():
            return
        write_whole(path, (json.dumps(identity, indent=2, sort_keys=True) + "\n").encode())

    @contextmanager
    def locked(self, paper: str, machine: str) -> Iterator[None]:
        """Hold the paper's file on this machine, so that two runs do not measure the same at once; may be nested."""
        path = self.path(paper, machine)
        with _writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=0, thread_local=False, is_singleton=True)
        try:
            lock.acquire()
        except Timeout:
            raise UserError(f"{path} is being written by another run: wait for it to end, or stop it") from None
        try:
            yield
        finally:
            lock.release()

    def append(self, paper: str, machine: str, records: Sequence[Record]) -> None:
        """Add the records of one case: all of them or, with a UserError, none. They are on the disk on return."""
        if not records:
            return
        path = self.path(paper, machine)
        blob = b"".join(_line(record, len(records)) for record in records)
        with self.locked(paper, machine), _writing(path):
            existed = path.exists()
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                _append(file, blob)
            finally:
                os.close(file)
            if not existed:
                _sync_directory(path.parent)

    def load(self, paper: str) -> tuple[list[Record], list[Torn]]:
        """Every good line of every machine, oldest first within a machine, and the lines that are none."""
        records: list[Record] = []
        torn: list[Torn] = []
        for path in sorted(self.root.glob(f"runs/*/{paper}.jsonl")):
            for line in _read(path):
                if isinstance(line, Torn):
                    torn.append(line)
                else:
                    records.append(line[0])
        return records, torn

    def done(self, paper: str, machine: str) -> set[tuple[str, str]]:
        """(key, digest) of the cases on this machine whose records are all there, whatever their status."""
        path = self.path(paper, machine)
        metrics: dict[tuple[str, str], set[str]] = {}
        complete: set[tuple[str, str]] = set()
        for line in _read(path) if path.exists() else ():
            if isinstance(line, Torn):
                continue
            record, of = line
            case = (record.key, record.digest)
            metrics.setdefault(case, set()).add(record.metric)
            if len(metrics[case]) >= of:
                complete.add(case)
        return complete


def latest(records: Iterable[Record]) -> list[Record]:
    """What still counts: the last record of each (machine, key, metric), and no failure that a later success made good.

    Records come oldest first within a machine, as ``Store.load`` gives them; the order is kept.
    """
    last: dict[tuple[str, str, str], Record] = {}
    succeeded: dict[tuple[str, str], str] = {}
    for record in records:
        identity = (record.machine, record.key, record.metric)
        last.pop(identity, None)
        last[identity] = record
        if record.status == "ok":
            case = (record.machine, record.key)
            succeeded[case] = max(record.when, succeeded.get(case, ""))
    return [r for r in last.values() if r.status == "ok" or succeeded.get((r.machine, r.key), "") <= r.when]


def to_frame(records: Iterable[Record]) -> pandas.DataFrame:
    """A table for people: one row a record; the case's fields, options and library versions as columns of their own."""
    import pandas

    rows = []
    for record in records:
        row = {name: getattr(record, name) for name in sorted(_FIELDS - {"case", "versions"})}
        options = record.case.get("options", {})
        row |= {name: value for name, value in record.case.items() if name != "options"}
        row |= {f"option {name}": value for name, value in options.items()}
        row |= {f"version {name}": value for name, value in record.versions.items()}
        rows.append(row)
    return pandas.DataFrame(rows)


# --------------------------------------------------------------------------- lines


def _line(record: Record, of: int) -> bytes:
    content = {"of": of, **{name: _plain(getattr(record, name)) for name in _FIELDS}}
    return (json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False) + "\n").encode()


def _plain(value: Any) -> Any:
    """As JSON has it; what JSON has no number for ('nan', 'inf') becomes its name: a diverged run is a result."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _read(path: Path) -> Iterator[tuple[Record, int] | Torn]:
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
            of = content.pop("of")
            missing = _FIELDS - content.keys()
            if missing:
                raise ValueError(f"no {', '.join(sorted(missing))}")
            yield Record(**content), int(of)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            start = line[:40].decode(errors="replace")
            yield Torn(path, number, f"not a record, left out ({type(error).__name__}: {error}): {start}...")


# --------------------------------------------------------------------------- bytes


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}. What was measured before is kept; "
            "free some space or mend the permissions and run the same command again"
        ) from error


def _append(file: int, blob: bytes) -> None:
    """All of ``blob`` at the end of the file and on the disk, or the file as it was."""
    length = os.fstat(file).st_size
    if length and os.pread(file, 1, length - 1) != b"\n":
        blob = b"\n" + blob  # a crash cut the last line: it stays, on a line of its own
    try:
        rest = memoryview(blob)
        while rest:
            rest = rest[os.write(file, rest) :]
        os.fsync(file)
    except BaseException:
        os.ftruncate(file, length)
        os.fsync(file)
        raise


def _sync_directory(path: Path) -> None:
    """A new file's name is on the disk only once its directory is."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
