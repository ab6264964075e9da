"""The files of a store, below results/."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from bench.errors import UserError
from bench.files import write_whole
from bench.machine import Identity
from bench.record import Record
from bench.record_store.checks import complete_cases, why_rejected
from bench.record_store.counting import DoneKey, done_key
from bench.record_store.disk import append_to, listed, writing
from bench.record_store.lines import LeftOut, Line, encoded, read
from bench.record_store.machines import description, no_description


@dataclass(frozen=True)
class Store:
    """Records under ``root`` (results/). Those of different machines are in different files and are never merged."""

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
        return {path.stem: description(path) for path in listed(self.root / "machines", "*.json")}

    def _runs(self, paper: str) -> list[Path]:
        """The files of a paper, one per machine."""
        machines = [folder for folder in listed(self.root / "runs", "*") if folder.is_dir()]
        return [path for folder in machines for path in listed(folder, f"{paper}.jsonl")]

    def describe(self, machine: str, identity: Identity) -> None:
        """Write the description of the machine if there is none yet."""
        path = self.root / "machines" / f"{machine}.json"
        if path.exists():
            return
        write_whole(path, (json.dumps(identity, indent=2, sort_keys=True) + "\n").encode())

    @contextmanager
    def locked(self, paper: str, machine: str, wait_s: float = 0) -> Iterator[None]:
        """Hold the paper's file on this machine, so that two runs do not measure the same at once; may be nested.

        Raises UserError if another run holds it for longer than ``wait_s``. Where a file system has no locks (Lustre without
        ``flock``), filelock holds the file by the existence of another.
        """
        path = self.path(paper, machine)
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=wait_s, thread_local=False, is_singleton=True)
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
        blob = b"".join(encoded(record, len(records)) for record in records)
        with self.locked(paper, machine), writing(path):
            append_to(path, blob)

    def load(self, paper: str) -> tuple[list[Record], list[LeftOut]]:
        """Return the records of all machines, oldest first within a machine, and the lines that were left out, with reasons."""
        records: list[Record] = []
        left_out: list[LeftOut] = []
        machines = self._descriptions()
        for path in self._runs(paper):
            known = machines.get(path.parent.name, no_description(path, self.root))
            if isinstance(known, LeftOut):
                left_out.append(known)
                continue
            lines: list[Line] = []
            for found in read(path):
                rejected = found if isinstance(found, LeftOut) else why_rejected(path, found, known["gpus"])
                if rejected:
                    left_out.append(rejected)
                elif isinstance(found, Line):
                    lines.append(found)
            complete, incomplete = complete_cases(path, lines)
            records += complete
            left_out += incomplete
        return records, left_out

    def done(self, paper: str, machine: str) -> set[DoneKey]:
        """The cases on this machine whose records are complete, with any status."""
        return {done_key(record) for record in self.load(paper)[0] if record.machine == machine}
