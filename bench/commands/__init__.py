"""The commands of ``spikecost``, one group of them per file; bench/cli.py joins them.

| file | what |
|---|---|
| group.py | how a mistake or Ctrl-C ends a command |
| options.py | options that several commands share |
| printing.py | headings and warnings |
| catalogue.py | ``list`` |
| fitting.py | ``fit`` |
| modules.py | ``measure`` and ``compare``, of one's own network |
| papers.py | ``plan`` and ``run`` |
| cluster.py | ``run --on``: a plan as jobs of a cluster, and ``status`` |
| timing.py | ``speed`` |
| gpu_check.py | ``gpu-check`` |
| reporting.py | ``report`` |
| zoo.py | ``zoo`` |
| measuring.py | measures the missing cases of a plan, then judges and draws: for ``run`` and ``speed`` |

``new`` and ``train`` are in bench/comparison/command.py.
"""
