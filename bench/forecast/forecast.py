"""What a case will take here: seconds that are left, peak bytes, and what keeps it from being measured at all.

    seconds of a training = seconds per sample * (training samples left + forward share * test samples left)

The seconds per sample are those of its own finished batches if it was stopped, else of finished epochs of its kind here
(history.py), else of a counted step at the measured rates (counting.py, rates.py). Reading samples is not counted. Every other
case takes what its probe typically takes (bench/registry.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import psutil

from bench import datasets
from bench.case import NO_DATA, Case
from bench.errors import Unavailable
from bench.forecast.counted import Counted
from bench.forecast.history import finished_epochs, kind_of
from bench.forecast.sizes import samples_of
from bench.plan import THREADS, conditions
from bench.quantity import size
from bench.record import Record
from bench.registry import PROBES
from bench.runner.checkpoints import Standing, standing
from bench.runner.worker import FORECAST, Job, checkpoint_of

if TYPE_CHECKING:
    from bench.forecast.rates import Rates
    from bench.forecast.work import Work

Basis = Literal["its own batches", "epochs here", "counted", "typical"]


@dataclass(frozen=True)
class Forecast:
    """``seconds`` that are left; ``memory``: peak live bytes, where they were counted; ``obstacle``: empty if it can run here."""

    case: Case
    seconds: float
    basis: Basis
    memory: int | None
    obstacle: str


class Forecaster:
    """Forecasts for one machine."""

    def __init__(
        self, machine: str, gpu: str | None, records: Sequence[Record], scratch: Path, data_root: Path | None, cache: Path | None
    ) -> None:
        """``gpu``: that which computations use here; ``records``: of the store; ``scratch``: the folder of checkpoints."""
        self._gpu, self._scratch, self._data_root, self._cache = gpu, scratch, data_root, cache
        self._history = finished_epochs(records, machine, gpu or "cpu")
        self._counted = Counted(scratch / "work.json")
        self.rates: Rates | None = None  # measured when first needed

    def of(self, case: Case) -> Forecast:
        """Forecast a case. Raises UserError for a checkpoint or a file of counted steps that is damaged."""
        obstacle = self._obstacle(case)
        if case.probe != "training":
            return Forecast(case, PROBES[case.probe].typical_s, "typical", None, obstacle)
        try:
            work = self._counted.of(case)
        except Unavailable as error:
            return Forecast(case, PROBES[case.probe].typical_s, "typical", None, obstacle or str(error))
        per_sample, basis, done = self._per_sample(case, work)
        train, test = samples_of(case, self._data_root, self._cache)
        epochs = case.probe_options.get("epochs", 1)
        tests = epochs - done.epochs + 1  # one after every epoch, and one for the firing rates
        seconds = per_sample * (epochs * train - done.samples + work.forward * tests * test)
        return Forecast(case, seconds, basis, work.peak_bytes, obstacle or self._too_large(work))

    def _obstacle(self, case: Case) -> str:
        if conditions(case, self._gpu).device == "none":
            return "needs a GPU"
        if case.dataset != NO_DATA and not datasets.available(case.dataset, self._data_root):
            return f"{case.dataset} is not here"
        return ""

    def _too_large(self, work: Work) -> str:
        """As a worker will refuse it (bench/runner/worker.py)."""
        needed, free = FORECAST * work.peak_bytes, psutil.virtual_memory().available
        return f"needs {size(needed)}, {size(free)} are free" if needed > free else ""

    def _per_sample(self, case: Case, work: Work) -> tuple[float, Basis, Standing]:
        """Return the seconds per training sample, what they are known from, and what is done of the case."""
        checkpoint = checkpoint_of(Job(case, self._data_root, self._scratch))
        done = standing(checkpoint) if checkpoint.exists() else Standing()
        if done.samples:
            return done.seconds / done.samples, "its own batches", done
        seen = self._history.get(kind_of(case))
        if seen is not None:
            return seen.seconds / seen.samples, "epochs here", done
        if self.rates is None:
            from bench.forecast.rates import measured

            self.rates = measured("cuda" if self._gpu else "cpu", THREADS)
        return self.rates.seconds(work) / case.batch, "counted", done
