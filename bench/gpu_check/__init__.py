"""A GPU that is at hand for minutes: what is checked and measured on it. The command is bench/commands/gpu_check.py.

| file | what |
|---|---|
| steps.py | the steps in their order, the time that each may take, and what became of it |
| selection.py | the planned cases of a step, and those that this machine cannot run |
| findings.py | what records of these cases say, in words |
| kernels.py | the fused kernels against their references on a device |
| gates.py | the native modes on a device against plain PyTorch on the CPU |
| throughput.py | images per second, and MACs per second over those of a matrix product |
| worker.py | the process of one of the last three |

Nothing here is a probe: what it measures as records are cases of the papers' plans.
"""
