"""The store of measurements: files of JSON lines, to which lines are only appended. Imports no torch.

    results/machines/<machine>.json          what the machine is, written once
    results/runs/<machine>/<paper>.jsonl     one Record per line

The records of a case are written in one write. Each line also states their number (``of``), so that a case whose write was cut
short is recognised and measured again. A line that cannot be read, or is rejected, stays in the file, is reported with a remedy,
and affects no other line. A record is rejected if it contradicts itself (a key or a recipe that is not its case's, 150 %) or its
place (another machine or paper than the file's, a GPU on a machine without one), or if its machine is not described or its commit
is not the name of one.

| file | what |
|---|---|
| store.py | the files: records are appended, and read with the lines that are left out |
| lines.py | one record as one line |
| checks.py | which lines are rejected, and which cases are incomplete |
| machines.py | descriptions of machines |
| adopting.py | takes records of another store over |
| counting.py | which records still count, and what makes a case done |
| disk.py | bytes on the disk |
"""

from __future__ import annotations

from bench.record_store.adopting import adopt
from bench.record_store.counting import DoneKey, Place, done_key, latest, place_of, uncommitted
from bench.record_store.lines import LeftOut
from bench.record_store.store import Store

__all__ = ["DoneKey", "LeftOut", "Place", "Store", "adopt", "done_key", "latest", "place_of", "uncommitted"]
