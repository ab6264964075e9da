"""The nouns of the suite as frozen values. Nothing here imports torch.

Shapes in this package: K time steps of a window, B samples of a batch, T time steps of a sample.
A sequence is a tensor [K, B, ...]; a single step is a window of K = 1.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal


class UserError(Exception):
    """A mistake of the person at the keyboard: the message names the value and the remedy; no traceback is shown."""


@dataclass(frozen=True)
class Support:
    """Whether something can be done here. ``reason`` is shown to people and is empty only when ``ok``."""

    ok: bool
    reason: str = ""

    def __bool__(self) -> bool:
        return self.ok


YES = Support(True)


def no(reason: str) -> Support:
    return Support(False, reason)


def choose(kind: str, value: str, known: Iterable[str]) -> str:
    """Return ``value`` if it is known, else raise UserError with the closest known names."""
    names = sorted(known)
    if value in names:
        return value
    close = difflib.get_close_matches(value.lower(), names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(names)}"
    raise UserError(f"unknown {kind} {value!r}: {hint}")


def seed_of(*names: object) -> int:
    """A 63-bit seed from names alone, so that a run's randomness is told by what it is, not by when it ran."""
    digest = hashlib.sha256("/".join(str(name) for name in names).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


# --------------------------------------------------------------------------- neurons


SurrogateKind = Literal["sigmoid", "triangle", "rectangle", "arctangent", "fast sigmoid"]


@dataclass(frozen=True)
class Surrogate:
    """Derivative used in place of the Heaviside step's: which function of x = u - V_th, and its steepness.

    Equations: kernels/surrogate.py.
    """

    kind: SurrogateKind = "sigmoid"
    alpha: float = 4.0


@dataclass(frozen=True)
class NeuronSpec:
    """Leaky integrate-and-fire neuron, every setting explicit.

    u[t] = decay * v[t-1] + x[t];  s[t] = 1 if u[t] >= threshold else 0
    soft reset: v[t] = u[t] - threshold * s[t];  hard reset: v[t] = u[t] * (1 - s[t])
    ``detach_reset``: the gradient does not pass through the s[t] of the reset.
    """

    decay: float = 0.5
    threshold: float = 1.0
    reset: Literal["soft", "hard"] = "soft"
    detach_reset: bool = True
    surrogate: Surrogate = Surrogate()


# --------------------------------------------------------------------------- layers as data


@dataclass(frozen=True)
class Conv:
    """2-D convolution. ``standardised``: scaled weight standardisation (sWS) with a learnable gain per channel."""

    channels: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    bias: bool = True
    standardised: bool = False
    init: Literal["kaiming", "zero"] = "kaiming"


@dataclass(frozen=True)
class Dense:
    """Fully connected layer; ``init`` names its weight's initial distribution."""

    features: int
    bias: bool = True
    init: Literal["normal_0.01", "zero", "default"] = "normal_0.01"


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalisation over the channels, with the statistics of one time step's batch at a time."""


@dataclass(frozen=True)
class Spike:
    """A layer of neurons; ``dropout`` masks whole neurons with one Bernoulli mask for all T steps."""

    neuron: NeuronSpec
    dropout: float = 0.0


@dataclass(frozen=True)
class Scale:
    """Multiply by a constant."""

    factor: float


@dataclass(frozen=True)
class Gain:
    """Multiply by ``factor`` and a learnable scalar that starts at ``init``."""

    factor: float
    init: float = 0.0


@dataclass(frozen=True)
class AvgPool:
    kernel: int
    stride: int
    padding: int = 0


@dataclass(frozen=True)
class AdaptiveAvgPool:
    size: int


@dataclass(frozen=True)
class Flatten:
    """[B, C, H, W] -> [B, C*H*W]."""


@dataclass(frozen=True)
class ReLU:
    """Rectifier of the non-spiking (ANN) counterpart of a network."""


@dataclass(frozen=True)
class Residual:
    """a = pre(x);  y = body(a) + (shortcut(a) if there is one, else x)."""

    pre: tuple[Layer, ...]
    body: tuple[Layer, ...]
    shortcut: tuple[Layer, ...] = ()


@dataclass(frozen=True)
class Loop:
    """Recurrence over time steps: y[t] = body(entry(x[t]) + feedback(upsample(y[t-1]))), no feedback at t = 0."""

    entry: tuple[Layer, ...]
    body: tuple[Layer, ...]
    feedback: tuple[Layer, ...]
    upsample: int = 1


Layer = Conv | Dense | BatchNorm | Spike | Scale | Gain | AvgPool | AdaptiveAvgPool | Flatten | ReLU | Residual | Loop


def every_layer(layers: Iterable[Layer]) -> Iterator[Layer]:
    """All of them, also those that residual blocks and loops are made of."""
    for layer in layers:
        yield layer
        match layer:
            case Residual(pre, body, shortcut):
                yield from every_layer((*pre, *body, *shortcut))
            case Loop(entry, body, feedback):
                yield from every_layer((*entry, *body, *feedback))


@dataclass(frozen=True)
class NetworkSpec:
    """What is trained.

    ``parameters`` is the count that its source states; building checks it. ``encoding`` says what a sample is over time:
    the same image at every step ("static") or one frame a step ("frames").
    """

    name: str
    input: tuple[int, ...]  # shape of one sample at one time step: (C, H, W) or (features,)
    classes: int
    layers: tuple[Layer, ...]
    neuron: NeuronSpec
    parameters: int
    source: str
    encoding: Literal["static", "frames"] = "static"

    @property
    def neuron_layers(self) -> int:
        """The number of layers of neurons, on every backend."""
        return sum(isinstance(layer, Spike) for layer in every_layer(self.layers))


# --------------------------------------------------------------------------- cases

PROBES = ("count", "cost", "equivalence", "gradient", "training", "clock", "cuda-memory", "longest", "activity", "events")
SCALES = ("smoke", "laptop", "full")
PROBE_OPTIONS = ("accumulate", "epochs", "repeats", "test_images", "train_images")  # options of a case that are no algorithm's


@dataclass(frozen=True)
class Case:
    """One thing to measure, in a process of its own. Two equal cases are the same measurement."""

    paper: str
    probe: str
    network: str
    algorithm: str
    backend: str
    T: int
    batch: int
    dataset: str = "none"  # cost needs none: only shapes matter
    scale: str = "laptop"  # the least scale whose plan contains this case
    seed: int = 0
    options: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        choose("probe", self.probe, PROBES)
        choose("scale", self.scale, SCALES)
        for name in ("T", "batch", "seed"):
            if type(getattr(self, name)) is not int:
                raise UserError(f"{name} = {getattr(self, name)!r} is no whole number; use one, as {name} = 1")
        if self.T < 1:
            raise UserError(f"T = {self.T}: a sample has at least one time step; use T >= 1")
        if self.batch < 1:
            raise UserError(f"batch = {self.batch}: a batch has at least one sample; use batch >= 1")

    @property
    def settings(self) -> dict[str, Any]:
        return dict(self.options)

    @property
    def algorithm_options(self) -> dict[str, Any]:
        return {name: value for name, value in self.options if name not in PROBE_OPTIONS}

    @property
    def key(self) -> str:
        """Readable identity; the scale is left out because it says when to run, not what."""
        parts = [self.paper, self.probe, self.dataset, self.network, self.algorithm, self.backend]
        parts += [f"T{self.T}", f"b{self.batch}", f"s{self.seed}"]
        parts += [f"{name}={json.dumps(value)}" for name, value in self.options]
        return "/".join(parts)

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "options": self.settings}


# --------------------------------------------------------------------------- records

Status = Literal["ok", "unsupported", "refused", "out of memory", "crashed", "failed", "timeout"]


@dataclass(frozen=True)
class Measurement:
    """What a probe returns: one value, with its unit and the probe's version."""

    metric: str
    value: float | int | str | None
    unit: str
    version: int = 1
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """One line of results/runs/<machine>/<paper>.jsonl: one measured value, or the reason there is none."""

    case: Mapping[str, Any]
    key: str
    metric: str
    value: float | int | str | None
    unit: str
    version: int
    detail: Mapping[str, Any]
    status: Status
    reason: str
    kernel: str
    digest: str  # of the code that made this number
    versions: Mapping[str, str]
    commit: str
    machine: str
    when: str
