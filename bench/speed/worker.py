"""The process of one row: ``python -m bench.speed.worker '{"workload": [...], "row": [algorithm, backend, {}], ...}'``.

It prints the kernel; then, for every input line, it runs one training step and prints "done", until input ends. The parent
measures the time (bench/speed/turns.py).
"""

from __future__ import annotations

import json
import sys

import torch

from bench.speed.rows import Row, Workload
from bench.speed.steps import step_of


def main() -> None:
    asked = json.loads(sys.argv[1])
    torch.set_num_threads(asked["threads"])
    algorithm, backend, options = asked["row"]
    step = step_of(Workload(*asked["workload"]), Row(algorithm, backend, tuple(options.items())), asked["device"])
    print(step.kernel, flush=True)
    for _ in sys.stdin:
        step.run()
        print("done", flush=True)


if __name__ == "__main__":
    main()
