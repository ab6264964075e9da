"""The store of what was measured: JSON lines that only ever grow. Nothing here imports torch.

    results/machines/<machine>.json          what the machine is, written once
    results/runs/<machine>/<paper>.jsonl     one Record a line

The records of a case are written together, in one write; each line also says of how many (``of``), so that a case whose
write was cut short, at whatever byte, is known and measured again. A line that cannot be read or believed stays in the file, is
reported with what to do, and harms no other line. Not believed is a record that contradicts itself (a key that is not its
case's, a recipe in its detail that is not its case's, 150 %), its place (another machine or paper than the file's, a GPU on a
machine without one) or nothing at all (a machine nowhere described, code nobody could find again).
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard, get_args

from filelock import FileLock, Timeout

from bench.case import Case
from bench.errors import UserError
from bench.files import write_whole
from bench.machine import LASTING, Identity, machine_id
from bench.record import Record, Status

if TYPE_CHECKING:
    import pandas

Place = tuple[str, str, int, str]  # machine, device, threads, precision
DoneKey = tuple[str, str, str, int, str]
"""What makes a case done: its key, the code's digest, and the device, threads and precision that computed it."""

_FIELDS = frozenset(field.name for field in fields(Record))
_TYPES: Mapping[str, type | tuple[type, ...]] = {  # of what JSON gives; all others are texts
    "case": dict, "detail": dict, "versions": dict, "version": int, "threads": int, "value": (int, float, str, type(None)),
}  # fmt: skip
_WHEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")  # one form, so that texts sort as times do
_RANGE = {"%": (0, 100), "B": (0, math.inf), "MAC": (0, math.inf)}  # of a value, by its unit
_UNITS = {"test_accuracy": "%", "test_accuracy_best": "%", "train_test_gap": "points"}  # how noisy a number is hangs on it
_LARGEST = 1e100  # nothing measured here comes near; sums and squares of numbers up to it are finite
_COMMIT = re.compile(r"[0-9a-f]{7,40}\+?|tree-[0-9a-f]{12}\+")  # see bench.runner.store.commit_of
_CONFLICT = re.compile(rb"(<<<<<<<|=======|>>>>>>>|\|\|\|\|\|\|\|)( |\r?$)")


_NAMED_BY_HASH = re.compile(r".+-[0-9a-f]{6}")


@dataclass(frozen=True)
class LeftOut:
    """A line that is left out, why, and what to do; ``line`` counts from 1."""

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
        return sorted({path.stem for path in self._runs("*")})

    def strays(self, papers: Collection[str]) -> list[LeftOut]:
        """Files under runs/ that are no <machine>/<paper>.jsonl of these papers, and so are never read; hidden ones aside."""
        runs = self.root / "runs"
        found = [runs] if runs.exists() and not runs.is_dir() else []
        for path in sorted(runs.rglob("*")):
            if path.name.startswith(".") or (path.is_dir() and path.suffix != ".jsonl"):
                continue
            known = path.parent.parent == runs and path.suffix == ".jsonl" and path.stem in papers
            if not known or not path.exists():  # a link that leads nowhere does not exist
                found.append(path)
        return [
            LeftOut(path, 1, "never read: records belong in runs/<machine>/<paper>.jsonl; move it there, or out of results/")
            for path in found
        ]

    def machines(self) -> dict[str, Identity]:
        """What each machine is, by its id; without those whose description is damaged."""
        return {name: found for name, found in self._descriptions().items() if not isinstance(found, LeftOut)}

    def damaged_machines(self) -> list[LeftOut]:
        """Descriptions of machines that cannot be read."""
        return [found for found in self._descriptions().values() if isinstance(found, LeftOut)]

    def _descriptions(self) -> dict[str, Identity | LeftOut]:
        return {path.stem: _description(path) for path in _listed(self.root / "machines", "*.json")}

    def _runs(self, paper: str) -> list[Path]:
        """The files of a paper, one a machine."""
        machines = [folder for folder in _listed(self.root / "runs", "*") if folder.is_dir()]
        return [path for folder in machines for path in _listed(folder, f"{paper}.jsonl")]

    def describe(self, machine: str, identity: Identity) -> None:
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

    def load(self, paper: str) -> tuple[list[Record], list[LeftOut]]:
        """Every line of every machine that can be believed, oldest first within a machine; and those left out, with reasons."""
        records: list[Record] = []
        left_out: list[LeftOut] = []
        machines = self._descriptions()
        for path in self._runs(paper):
            known = machines.get(path.parent.name, _no_description(path, self.root))
            if isinstance(known, LeftOut):
                left_out.append(known)
                continue
            lines: list[_Line] = []
            for found in _read(path):
                rejected = found if isinstance(found, LeftOut) else _why_rejected(path, found, known["gpus"])
                if rejected:
                    left_out.append(rejected)
                elif isinstance(found, _Line):
                    lines.append(found)
            complete, incomplete = _complete(path, lines)
            records += complete
            left_out += incomplete
        return records, left_out

    def done(self, paper: str, machine: str) -> set[DoneKey]:
        """The cases on this machine whose records are all there, whatever their status."""
        return {done_key(record) for record in self.load(paper)[0] if record.machine == machine}


def done_key(record: Record) -> DoneKey:
    """What of a record makes its case done."""
    return (record.key, record.digest, record.device, record.threads, record.precision)


def uncommitted(record: Record) -> bool:
    """Whether the code that made it differed from its commit, so that nobody else can have that code from there."""
    return record.commit.endswith("+")


def latest(records: Iterable[Record]) -> list[Record]:
    """What still counts: the last record of each place, key and metric, and no failure that a later success made good there.

    A place is a machine, a device, a number of threads and a precision. Records come oldest first within a machine, as
    ``Store.load`` gives them; the order is kept.
    """
    last: dict[tuple[object, ...], Record] = {}
    succeeded: dict[tuple[object, ...], str] = {}
    for record in records:
        case = (*place_of(record), record.key)
        identity = (*case, record.metric)
        last.pop(identity, None)
        last[identity] = record
        if record.status == "ok":
            succeeded[case] = max(record.when, succeeded.get(case, ""))
    return [r for r in last.values() if r.status == "ok" or succeeded.get((*place_of(r), r.key), "") <= r.when]


def place_of(record: Record) -> Place:
    """Where it was measured: numbers of different places never meet in one."""
    return (record.machine, record.device, record.threads, record.precision)


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


def _plain(value: object) -> object:
    """As JSON has it; what JSON has no number for ('nan', 'inf') becomes its name: a diverged run is a result."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


@dataclass(frozen=True)
class _Line:
    number: int
    record: Record
    of: int


def _read(path: Path) -> Iterator[_Line | LeftOut]:
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        yield LeftOut(path, 1, f"cannot be read ({error.strerror}): change the permissions; all of the file is left out")
        return
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if _CONFLICT.match(line):
            yield LeftOut(path, number, "a merge left its marker here: delete this line; the lines of both sides may stay")
            continue
        try:
            yield _parsed(number, line)
        except _OtherSchema as error:
            yield LeftOut(path, number, f"left out: {error}; {_measure_again(path)}")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            start = line[:40].decode(errors="replace")
            yield LeftOut(
                path, number,
                f"not a record, left out ({type(error).__name__}: {error}): {start}...; delete the line and run again",
            )  # fmt: skip


class _OtherSchema(ValueError):
    """A record with fields that records no longer have, or without some that they have now."""


def _measure_again(path: Path) -> str:
    """What to do about a record of another version of the suite. Its line need not be touched."""
    return (
        f"another version of spikecost wrote it: `spikecost run {path.stem}` measures it again; "
        "to be rid of this warning move the file out of results/ before"
    )


def _parsed(number: int, line: bytes) -> _Line:
    content = json.loads(line, parse_constant=_no_constant, parse_int=_whole_number, parse_float=_decimal_number)
    of = content.pop("of")
    for problem, names in (("no field", _FIELDS - content.keys()), ("an unknown field", content.keys() - _FIELDS)):
        if names and _FIELDS & content.keys():
            raise _OtherSchema(f"{problem} {', '.join(sorted(names))}")
    if not _FIELDS & content.keys():
        raise ValueError("none of a record's fields")
    for name, value in content.items():
        if not isinstance(value, _TYPES.get(name, str)) or isinstance(value, bool):
            raise TypeError(f"{name} is {value!r}")
    if type(of) is not int or of < 1:
        raise TypeError(f"of is {of!r}")
    if not _WHEN.fullmatch(content["when"]):
        raise ValueError(f"when is {content['when']!r}")
    datetime.fromisoformat(content["when"])
    return _Line(number, Record(**content), of)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _whole_number(text: str) -> int:
    value = int(text)
    _require_measurable(value, text)
    return value


def _decimal_number(text: str) -> float:
    value = float(text)
    _require_measurable(value, text)
    return value


def _require_measurable(value: float, text: str) -> None:
    if not -_LARGEST <= value <= _LARGEST:
        raise ValueError(f"{text[:20]} is no number that could be measured")


def _why_rejected(path: Path, line: _Line, gpus: Sequence[str]) -> LeftOut | None:
    """Why a record is not believed, if it is not."""
    record = line.record
    try:
        case = Case.of(record.case)
        key = case.key
    except (UserError, TypeError) as error:
        return LeftOut(path, line.number, f"left out: its case is none ({error}); {_measure_again(path)}")
    problem = ""
    if record.key != key:
        problem = f"its key {record.key} is not that of its case, {key}"
    elif case.paper != path.stem:
        problem = f"a record of paper {case.paper!r} in the file of {path.stem!r}"
    elif record.machine != path.parent.name:
        problem = f"a record of machine {record.machine!r} in the folder of {path.parent.name!r}"
    elif not _COMMIT.fullmatch(record.commit):
        problem = f"its commit {record.commit!r} names no code"
    elif record.status not in get_args(Status):
        problem = f"its status {record.status!r} is none"
    elif record.device not in ("meta", "cpu", "none") and not any(map(record.device.startswith, gpus)):
        problem = (
            f"computed on {record.device!r}, and machine {record.machine} has no such GPU"  # a slice of one adds to its name
        )
    elif record.unit != _UNITS.get(record.metric, record.unit):
        problem = f"its unit {record.unit!r} is not that of {record.metric}"
    elif isinstance(record.value, int | float) and not _in_range(record.value, record.unit):
        problem = f"its value {record.value} {record.unit} cannot be"
    else:
        problem = _contradiction(record.detail, case.settings)
    return LeftOut(path, line.number, f"left out: {problem}; delete the line and run again") if problem else None


def _in_range(value: float, unit: str) -> bool:
    low, high = _RANGE.get(unit, (-math.inf, math.inf))
    return low <= value <= high


def _contradiction(detail: Mapping[str, object], options: Mapping[str, object]) -> str:
    """Where the detail of a training has another recipe or other numbers of samples than its case asks for."""
    recipe = detail.get("recipe", {})
    used = {**(recipe if isinstance(recipe, Mapping) else {})}
    used |= {f"{part}_images": detail[f"{part} images"] for part in ("train", "test") if f"{part} images" in detail}
    rejected = [name for name, asked in options.items() if name in used and used[name] != asked]
    return f"its detail says {rejected[0]} = {used[rejected[0]]!r}, its case {options[rejected[0]]!r}" if rejected else ""


def _complete(path: Path, lines: Sequence[_Line]) -> tuple[list[Record], list[LeftOut]]:
    """The records of cases whose lines are all there; the others, but for those that a later run has measured whole."""
    groups: dict[tuple[DoneKey, str], list[_Line]] = {}
    for line in lines:
        groups.setdefault((done_key(line.record), line.record.run), []).append(line)
    complete = {group for group, found in groups.items() if len({line.record.metric for line in found}) >= found[-1].of}
    repaired = {done_key for done_key, _ in complete}
    left_out = [
        LeftOut(
            path, found[-1].number,
            f"left out: {found[-1].record.key} has {len(found)} of its {found[-1].of} lines; run again to measure it anew",
        )
        for group, found in groups.items()
        if group not in complete and group[0] not in repaired
    ]  # fmt: skip
    return [line.record for line in lines if (done_key(line.record), line.record.run) in complete], left_out


def _description(path: Path) -> Identity | LeftOut:
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


def _no_description(path: Path, root: Path) -> LeftOut:
    place = root / "machines" / f"{path.parent.name}.json"
    return LeftOut(path, 1, f"left out as a whole: {place} is not there to say what machine this is; take it back from git")


# --------------------------------------------------------------------------- bytes


def _listed(folder: Path, pattern: str) -> list[Path]:
    """What lies in a folder, in order. UserError if it may not be looked into: what is there is not nothing."""
    try:
        return sorted(path for path in folder.iterdir() if path.match(pattern))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror or error}; change the permissions") from error


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}. What was measured before is kept; "
            "free some space or change the permissions and run the same command again"
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
