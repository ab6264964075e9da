"""How fast a training step is: every algorithm on every backend, in turns, against the best framework and the convolutions alone.

| file | what |
|---|---|
| rows.py | what is timed: workloads and, for each, its rows |
| worker.py | a process that runs one row's training step whenever it is told to, and says how long it took |
| turns.py | one run of a workload: all its workers in turns, and what is known exactly of every row beside its time |
| goals.py | the goals, and how a run stands to them |
| draw.py | the same as a figure |

A row has a process of its own, so that no other row's allocator, threads or caches serve it; the turns make a slow moment of the
machine fall on all rows.
"""
