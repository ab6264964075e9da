"""Speed of a training step: all algorithms on all backends, compared with the best framework and with the convolutions alone.

| file | what |
|---|---|
| rows.py | what is timed: workloads and, for each, its rows |
| steps.py | a row made ready to run, and its exact bytes and multiplications |
| floor.py | the convolutions alone |
| worker.py | a process that runs one row's training step whenever it is told to |
| turns.py | one run of a workload: all its workers in turns, timed by probes/clock.py |
| saved.py | runs as they are kept, each with the commit and the digest of the code that was timed |
| goals.py | the goals, and how a run stands to them |
| draw.py | the same as a figure |
| pages.py | the files that people read |

A row has a process of its own, so that no other row's allocator, threads or caches serve it; the turns make a slow moment of the
machine fall on all rows. The command is ``spikecost speed``. The same rows, small and in one process, are benchmarks of
pytest-benchmark (tests/benchmarks).
"""
