"""Training steps timed against one another; the probe is bench/probes/speed.py.

| file | what |
|---|---|
| rows.py | the rows (training steps) of a workload |
| steps.py | builds a row's training step, and counts its bytes and MACs |
| floor.py | the convolutions alone |
| timing.py | the one timing function |
| worker.py | a process that runs one row's training step on request |
| turns.py | the processes of all rows, timed in turns (timing.py) |

The same rows at a smaller size, in one process, are benchmarks of pytest-benchmark (tests/benchmarks).
"""
