"""What one network of the zoo costs by every algorithm, at its own input: a part of a line of results/zoo.jsonl."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from typing import TypeVar

from bench.lift.cost.compare import Compared, compare
from bench.lift.cost.measure import Measured, measure
from bench.lift.fitting.bound import bound
from bench.lift.recognition.source import build
from bench.lift.zoo.networks import BATCH, ZOO

Value = TypeVar("Value")


def of(name: str) -> dict[str, object]:
    """Return the costs of a network, seconds of this process, and the memory that it took; types that JSON has.

    Seconds are without imports: PyTorch imports its rules of shapes at their first use, so that a small step is counted before.
    """
    network = ZOO[name]
    real = network.real
    built, to_build = _timed(lambda: build(real.make))
    small = min(2, BATCH)
    measure(built.net, real.frame, T=real.T, batch=small, encoding=network.encoding)
    measured, to_measure = _timed(lambda: measure(built.net, real.frame, T=real.T, batch=BATCH, encoding=network.encoding))
    found, to_compare = _timed(
        lambda: compare(built.net, real.frame, T=real.T, batch=BATCH, encoding=network.encoding, cosine="none")
    )
    return {
        "network": name,
        "framework": network.framework,
        "frame": list(real.frame),
        "T": real.T,
        "batch": BATCH,
        "encoding": network.encoding,
        "built": built.note,
        **_recognised(measured),
        "bound": bound(built.net, real.frame, T=real.T, batch=BATCH, encoding=network.encoding).as_dict(),
        "rows": _rows(found),
        "seconds": {"build": to_build, "measure": to_measure, "compare": to_compare},
        "resident": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,  # Linux says it in KiB
    }


def _timed(run: Callable[[], Value]) -> tuple[Value, float]:
    """Return a value and the CPU seconds that it took: other processes of the machine do not count."""
    began = time.process_time()
    value = run()
    return value, round(time.process_time() - began, 3)


def _recognised(measured: Measured) -> dict[str, object]:
    found = measured.recognised
    return {
        "time": found.time,
        "averages": found.averages,
        "parameters": measured.parameters,
        "neurons": len(found.neurons),
        "synapses": len(found.synapses),
        "synapses that read spikes": sum(synapse.reads_spikes for synapse in found.synapses),
        "kernels": list(measured.kernels),
    }


def _rows(found: Compared) -> list[dict[str, object]]:
    rows = []
    for row in found.rows:
        entry: dict[str, object] = {"algorithm": row.algorithm, "options": dict(row.options), "exact": row.exact}
        if row.cost is None:
            entry["reason"] = row.reason
        else:
            entry |= {"peak": row.cost.memory.total, "macs": row.macs, "seconds": round(row.seconds, 3)}
        rows.append(entry)
    return rows
