"""The store of what was measured: JSON lines that only ever grow. Nothing here imports torch.

    results/machines/<machine>.json          what the machine is, written once
    results/runs/<machine>/<paper>.jsonl     one Record a line

The records of a case are written together, in one write; each line also says of how many (``of``), so that a case whose
write was cut short, at whatever byte, is known and measured again. A line that cannot be read or believed stays in the file, is
reported with what to do, and harms no other line. Not believed is a record that contradicts itself (a key that is not its
case's, a recipe in its detail that is not its case's, 150 %), its place (another machine or paper than the file's, a GPU on a
machine without one) or nothing at all (a machine nowhere described, code nobody could find again).

| file | what |
|---|---|
| store.py | the files: records are appended, and read with the lines that are left out |
| lines.py | one record as one line |
| checks.py | which lines are not believed, and which cases are incomplete |
| machines.py | descriptions of machines |
| counting.py | which records still count, and what makes a case done |
| disk.py | bytes on the disk |
"""

from __future__ import annotations

from bench.record_store.counting import DoneKey, Place, done_key, latest, place_of, to_frame, uncommitted
from bench.record_store.lines import LeftOut
from bench.record_store.store import Store

__all__ = ["DoneKey", "LeftOut", "Place", "Store", "done_key", "latest", "place_of", "to_frame", "uncommitted"]
