"""Speed of a training step: all algorithms on all backends, compared with the best framework and with the convolutions alone.

| file | what |
|---|---|
| rows.py | the workloads, and the rows (training steps) of each |
| steps.py | builds a row's training step, and counts its bytes and MACs |
| floor.py | the convolutions alone |
| worker.py | a process that runs one row's training step on request |
| turns.py | one run of a workload: its workers in turns, timed by probes/clock.py |
| saved.py | stored runs, each with commit and digest of the timed code |
| goals.py | the goals, and a table of the goals that a run meets |
| draw.py | a figure of a run |
| pages.py | writes table and figure |

Each row has its own process, so that rows do not share allocator, threads or caches. They take turns, so that a slow moment of
the machine affects all rows. The command is ``spikecost speed``. The same rows at a smaller size, in one process, are benchmarks
of pytest-benchmark (tests/benchmarks).
"""
