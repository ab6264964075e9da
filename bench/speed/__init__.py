"""Speed of a training step: all algorithms on all backends, compared with the best framework and with the convolutions alone.

| file | what |
|---|---|
| rows.py | the workloads, and the rows (training steps) of each |
| worker.py | a process that runs one row's training step on request and returns its seconds |
| turns.py | one run of a workload: its workers in turns, and the exact memory and MACs of each row |
| goals.py | the goals, and a table of the goals that a run meets |
| draw.py | a figure of a run |

Each row has its own process, so that rows do not share allocator, threads or caches. They take turns, so that a slow moment of
the machine affects all rows.
"""
