"""Randman: smooth random manifolds, one per class, as spikes in a rate or a time code. Generated; needs no files.

Definition: github.com/fzenke/randman (MIT), with settings, codes and draws of OTPE (Summe, Schaefer, Joshi 2023, public code).

    f_jd(x) = sum over i = 0 .. F - 1 of a_jdi / (i + 2) * sin(2 pi (i x w_jdi + p_jdi)),   y_j(x) = prod over d of f_jd(x_d)

    j    embedding unit, 1 .. 50;  d  dimension of the manifold, 1 .. 3;  F = 1000 frequencies (smoothness 1, precision 1e-3)
    a, w, p   uniform in [0, 1), drawn per class; a of i = 0 is 0.  The spectrum starts one frequency late, as in the original
    x    uniform in [0, 1)^3

A draw is 1,000 points per class. Within it, each unit of a class is scaled to [0, 1]: (y - min) / (max - min + 1e-7) in float32.
The extremes of a draw vary, so that the values of a class move from draw to draw. With k = floor(T y):

    time code   one spike, at step k
    rate code   spikes at the steps 0 .. k, then moved to random steps, independently for each unit and sample

Oddities of that code, kept unless an option says otherwise: ``same_points``: all classes of a draw use the same x.
``last_silent``: where max - min is above about 1, float32 loses the 1e-7, and the largest sample of a unit has y = 1, so k = T:
no spike in the time code, T in the rate code; else k is at most T - 1. Our manifolds of seed 0 have smaller ranges.

The authors draw new samples for every batch and use the first 128 of 10,000 samples. Here the training set has 64 draws, 640,000
samples, so that 5,000 batches of 128 are one pass, each sample seen once; the test set is one draw, as there. Random numbers are
PyTorch's, so that the manifolds are others than theirs.

The functions f_jd are tabulated at 8,193 points, once (seconds), and read by cubic interpolation. The error of y is at most
2e-4 of a unit's range, 6e-6 in the mean square (tests/datasets/test_randman.py): at T = 50 about one k in 4,000 is a step off.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from bench.datasets.frames import cached
from bench.errors import YES, Support, choose
from bench.seeds import seed_of
from bench.spec import NetworkSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Generator, Tensor

    from bench.datasets.sequences import Sequences

Code = Literal["rate", "time"]
TRAIN_DRAWS = 64
INTERVALS = 1 << 13  # of the tables
BLOCK = 1 << 7  # of them, whose sines are computed together
_VERSION = 1  # of the tables; must change with them, so that cached ones of an old rule are not used


@dataclass(frozen=True)
class Randman:
    """A data set. ``seed`` draws the manifolds, the points and the test set."""

    code: Code
    seed: int = 0
    classes: int = 10
    units: int = 50
    dimensions: int = 3
    smoothness: float = 1.0
    per_class: int = 1000  # points of a draw
    train_draws: int = TRAIN_DRAWS
    same_points: bool = True
    last_silent: bool = True

    def __post_init__(self) -> None:
        choose("code of Randman", self.code, get_args(Code))

    @property
    def name(self) -> str:
        return f"randman-{self.code}" + (f"-{self.seed}" if self.seed else "")

    def available(self, root: Path) -> Support:
        return YES

    def load(self, root: Path, download: bool, cache: Path) -> Manifolds:
        return Manifolds.of(self, cache)

    def parameters(self) -> Tensor:
        """Return a, w, p float64 [classes, units, dimensions, 3, F]."""
        import torch

        shape = (self.units, self.dimensions, 3, frequencies(self.smoothness))
        drawn = [torch.rand(shape, generator=_generator("manifold", self.seed, label)) for label in range(self.classes)]
        theta = torch.stack(drawn).double()
        theta[:, :, :, 0, 0] = 0
        return theta

    def points(self, split: str, draws: int) -> Tensor:
        """Return x float32 [draws, classes, per_class, dimensions]."""
        import torch

        drawn = torch.rand(
            (draws, 1 if self.same_points else self.classes, self.per_class, self.dimensions),
            generator=_generator("points", split, self.seed, self.same_points),
        )
        return drawn.expand(-1, self.classes, -1, -1)


RATE, TIME = Randman("rate"), Randman("time")
RATE_1, RATE_2, RATE_3 = (Randman("rate", seed) for seed in (1, 2, 3))  # other manifolds, points and test sets
TIME_1, TIME_2, TIME_3 = (Randman("time", seed) for seed in (1, 2, 3))


def frequencies(smoothness: float, precision: float = 1e-3, most: int = 1000) -> int:
    """Return F: the frequencies whose amplitude is above ``precision``, at most ``most``."""
    return min(math.ceil(math.pow(precision, -1 / smoothness)), most)


# --------------------------------------------------------------------------- the functions


def direct(theta: Tensor, x: Tensor, smoothness: float) -> Tensor:
    """Return f(x) by its definition: theta [..., 3, F], x [N] -> [..., N]."""
    import torch

    a, w, p = theta.unbind(-2)
    i = torch.arange(theta.shape[-1], dtype=theta.dtype)
    amplitude = a / ((i + 1) ** smoothness + 1)
    angle = 2 * torch.pi * ((i * w)[..., None, :] * x.to(theta.dtype)[:, None] + p[..., None, :])
    return (amplitude[..., None, :] * angle.sin()).sum(-1)


def table(theta: Tensor, smoothness: float) -> Tensor:
    """Return f at the points -1 .. INTERVALS + 1 of a grid over [0, 1]: theta [n, 3, F] -> float32 [n, INTERVALS + 3].

    A point is block + offset; sin(block + offset) = sin(block) cos(offset) + cos(block) sin(offset): two products of matrices.
    """
    import torch

    a, w, p = theta.unbind(-2)
    i = torch.arange(theta.shape[-1], dtype=theta.dtype)
    amplitude = a / ((i + 1) ** smoothness + 1)
    step = torch.polar(torch.ones_like(a), 2 * torch.pi / INTERVALS * i * w)  # turn from one point to the next
    first = torch.polar(amplitude, 2 * torch.pi * p) * step.conj()
    blocks = first * _powers(step**BLOCK, -(-(INTERVALS + 3) // BLOCK))
    offsets = _powers(step, BLOCK)
    sines, cosines = (each.float().permute(1, 0, 2) for each in (blocks.imag, blocks.real))  # [n, blocks, F]
    of_cosine, of_sine = (each.float().permute(1, 2, 0) for each in (offsets.real, offsets.imag))  # [n, F, BLOCK]
    return (sines @ of_cosine + cosines @ of_sine).flatten(1)[:, : INTERVALS + 3]


def _powers(z: Tensor, count: int) -> Tensor:
    """Return z^0 .. z^(count - 1): [count, ...]."""
    import torch

    found = torch.ones_like(z)[None]
    while len(found) < count:
        found = torch.cat([found, found * z])
        z = z * z
    return found[:count]


def interpolated(tables: Tensor, x: Tensor, labels: Tensor | None = None) -> Tensor:
    """Return y = product over d of f_d(x_d): tables [d, INTERVALS + 3, classes, units], x [N, d] -> [N, classes, units].

    With ``labels`` [N], only of these classes: [N, units].
    """
    y: Tensor | None = None
    for of_dimension, x_d in zip(tables, x.unbind(1), strict=True):
        at = x_d.double() * INTERVALS
        left = at.long().clamp(max=INTERVALS - 1)
        f: Tensor | None = None
        for tap, weight in enumerate(_cubic((at - left).float())):
            rows = of_dimension.index_select(0, left + tap) if labels is None else of_dimension[left + tap, labels]
            term = rows.mul_(weight.reshape(-1, *[1] * (rows.dim() - 1)))
            f = term if f is None else f.add_(term)
        assert f is not None
        y = f if y is None else y.mul_(f)
    assert y is not None
    return y


def _cubic(t: Tensor) -> tuple[Tensor, ...]:
    """Weights of the points -1, 0, 1, 2 of Lagrange's cubic polynomial at 0 <= t <= 1."""
    return (
        -t * (t - 1) * (t - 2) / 6,
        (t + 1) * (t - 1) * (t - 2) / 2,
        -(t + 1) * t * (t - 2) / 2,
        (t + 1) * t * (t - 1) / 6,
    )


@cache  # the codes of one seed share their manifolds
def _tables(seed: int, classes: int, units: int, dimensions: int, smoothness: float, folder: Path) -> Tensor:
    """Return the tables float32 [dimensions, INTERVALS + 3, classes, units]; kept in the cache."""
    import numpy
    import torch

    source = Randman("rate", seed, classes, units, dimensions, smoothness)
    shape = (classes, dimensions, INTERVALS + 3, units)

    def rows() -> Iterator[NDArray[Any]]:
        for theta in source.parameters():
            found = [table(of_unit, smoothness) for of_unit in theta]  # a unit at a time: [dimensions, points]
            yield torch.stack(found, -1).numpy().view(numpy.uint32)  # the cache holds whole numbers: the bits of the floats

    name = f"randman-{_VERSION}-s{seed}-{classes}x{units}x{dimensions}-{smoothness:g}-{INTERVALS}.npy"
    by_class = torch.from_numpy(numpy.array(cached(folder / name, shape, rows)).view(numpy.float32))
    return by_class.permute(1, 2, 0, 3).contiguous()


# --------------------------------------------------------------------------- the set


@dataclass(frozen=True, eq=False)
class Split:
    """Points of one split: x float32 [draws * classes * per_class, dimensions], and the range [draws, classes, units] of y."""

    source: Randman
    tables: Tensor
    x: Tensor
    draws: int

    @property
    def labels(self) -> Tensor:
        import torch

        return torch.arange(self.source.classes).repeat_interleave(self.source.per_class).repeat(self.draws)

    @cached_property
    def ranges(self) -> tuple[Tensor, Tensor]:
        """Least and largest y of each unit, over the points of a class in a draw: float32 [draws, classes, units] each."""
        import torch

        shape = (self.draws, self.source.classes, self.source.per_class)
        lows, highs = (torch.empty(*shape[:2], self.source.units) for _ in range(2))
        for draw, of_draw in enumerate(self.x.unflatten(0, shape)):
            if self.source.same_points:
                torch.aminmax(interpolated(self.tables, of_draw[0]), dim=0, out=(lows[draw], highs[draw]))
                continue
            for label, x in enumerate(of_draw):
                y = interpolated(self.tables, x, torch.full((len(x),), label))
                torch.aminmax(y, dim=0, out=(lows[draw, label], highs[draw, label]))
        return lows, highs

    def values(self, indices: Tensor) -> Tensor:
        """Return y scaled to [0, 1] of the samples [B]: float32 [B, units]."""
        per_draw = self.source.classes * self.source.per_class
        labels, draws = indices % per_draw // self.source.per_class, indices // per_draw
        y = interpolated(self.tables, self.x[indices], labels)
        low, high = (each[draws, labels] for each in self.ranges)
        return (y - low) / (high - low + 1e-7)


@dataclass(frozen=True, eq=False)
class Manifolds:
    """The loaded set (see ``samples.Samples``). ``train_i`` and ``test_i``: indices of its samples among all of their split."""

    source: Randman
    train: Split
    test: Split
    train_i: Tensor
    test_i: Tensor
    checksum: str
    kind: Literal["generated"] = "generated"
    part: str = ""
    citation: str = "github.com/fzenke/randman; Summe, Schaefer, Joshi 2023, arXiv 2311.16151, public code"
    licence: str = "MIT (the definition); generated here"

    @classmethod
    def of(cls, source: Randman, cache: Path) -> Manifolds:
        import torch

        tables = _tables(source.seed, source.classes, source.units, source.dimensions, source.smoothness, cache)
        train, test = (
            Split(source, tables, source.points(split, draws).flatten(0, 2), draws)
            for split, draws in (("train", source.train_draws), ("test", 1))
        )
        contents = hashlib.sha256(f"{source} {_VERSION}".encode())
        for split in (train, test):
            contents.update(split.x.contiguous().numpy().tobytes())
        return cls(source, train, test, torch.arange(len(train.x)), torch.arange(len(test.x)), contents.hexdigest())

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def classes(self) -> int:
        return self.source.classes

    @property
    def train_y(self) -> Tensor:
        return self.train.labels[self.train_i]

    @property
    def test_y(self) -> Tensor:
        return self.test.labels[self.test_i]

    def chosen(self, train: Tensor, test: Tensor, checksum: str) -> Manifolds:
        return replace(self, train_i=self.train_i[train], test_i=self.test_i[test], checksum=checksum)

    def over_time(self, network: NetworkSpec) -> Sequences:
        return Spikes(self)


@dataclass(frozen=True)
class Spikes:
    """The samples in their code. ``names`` seed the random steps of the rate code; those of a test sample are always the same."""

    of: Manifolds

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.of.source.units,)

    def train(self, chosen: Tensor, T: int, *names: object) -> Tensor:
        import torch

        k, source = self._steps(self.of.train, self.of.train_i[chosen], T), self.of.source
        if source.code == "time":
            return in_time(k, T)
        return in_rate(k, T, torch.rand((*k.shape, T), generator=_generator("steps", source.seed, "train", *names)))

    def test(self, chosen: Tensor, T: int) -> Tensor:
        import torch

        own, source = self.of.test_i[chosen], self.of.source
        k = self._steps(self.of.test, own, T)
        if source.code == "time":
            return in_time(k, T)
        keys = [torch.rand((source.units, T), generator=_generator("steps", source.seed, "test", int(i))) for i in own]
        return in_rate(k, T, torch.stack(keys))

    def _steps(self, split: Split, indices: Tensor, T: int) -> Tensor:
        """k of the samples: int64 [B, units]."""
        k = (T * split.values(indices)).floor().long()
        return k if self.of.source.last_silent else k.clamp(max=T - 1)


def in_time(k: Tensor, T: int) -> Tensor:
    """One spike at step k, none for k = T: [B, units] -> float32 [T, B, units]."""
    import torch

    return (torch.arange(T)[:, None, None] == k).float()


def in_rate(k: Tensor, T: int, keys: Tensor) -> Tensor:
    """Spikes at k + 1 steps, at most T: where the random ``keys`` [B, units, T] are least; -> float32 [T, B, units]."""
    import numpy
    import torch

    ordered = torch.from_numpy(numpy.sort(keys.numpy(), -1))  # ten times as fast as torch's
    at = ordered.gather(-1, k.clamp(max=T - 1)[..., None])
    return (keys <= at).float().permute(2, 0, 1).contiguous()


def _generator(*names: object) -> Generator:
    import torch

    return torch.Generator().manual_seed(seed_of("randman", *names))
