"""The steps of ``spikecost gpu-check`` in the order of what they decide, and the time that each may take. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from bench.quantity import seconds

Status = Literal["passed", "failed", "left out"]


@dataclass(frozen=True)
class Step:
    """``share``: seconds that it gets of ``WHOLE_S``. ``without``: why it is left out without a GPU; "" if it runs there too."""

    name: str
    title: str
    share: float
    without: str = ""


STEPS: tuple[Step, ...] = (
    Step("kernels", "fused kernels against their references", 80),
    Step("gates", "native modes against plain PyTorch on the CPU", 40),
    Step("memory", "peaks of CUDA's allocator beside live bytes", 140, "it measures CUDA's allocator"),
    Step("speed", "seconds of training steps, in turns", 70, "`make speed` times this machine's CPU, in an hour"),
    Step("throughput", "images per second, share of the matrix-product peak", 30),
    Step("training", "three epochs of OTTT-A on CIFAR-10", 90),
)
WHOLE_S = sum(step.share for step in STEPS)  # under 8 minutes, with the start of Python and of the processes


@dataclass(frozen=True)
class Result:
    """What became of a step: ``words`` are its findings, or the reason why it failed or was left out."""

    step: str
    status: Status
    words: str
    seconds: float = 0.0
    detail: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def line(self) -> str:
        took = f" in {seconds(self.seconds)}" if self.status != "left out" else ""
        return f"{self.step}: {self.status}{took}: {self.words}"


def allowed(step: Step, following: Sequence[Step], left: float) -> float:
    """Return the seconds that a step may take of those ``left``: its share among itself and those ``following``.

    What earlier steps did not use goes to later ones.
    """
    return max(0.0, left) * step.share / (step.share + sum(other.share for other in following))


def left_out(step: Step, gpu: str | None) -> str:
    """Return why a step is left out on a machine whose GPU is ``gpu``; "" if it can run."""
    return f"needs an NVIDIA GPU: {step.without}" if gpu is None and step.without else ""


def failed(results: Sequence[Result]) -> list[str]:
    return [result.step for result in results if result.status == "failed"]
