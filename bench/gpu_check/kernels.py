"""The fused kernels against their references on a device, in every type that they support: as tests/kernels, in seconds.

Spikes and membrane potentials must be equal to the bit. Gradients may differ

    float64    by 1e-12 of the largest entry
    float32    by twice the reference's own error against float64, and 4 roundings of the largest entry, or of the square root of
               the number of terms for a sum; not compared where the two types differ in a spike
    bfloat16   by one unit in the last place of an entry, 2^-7, and 1e-5 of the largest; potentials are float32 there

The settings are all combinations of surrogate, reset and its gradient in float64; in the other types half of them, so that every
pair occurs. A compiled program serves one setting: that is what takes the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Literal, get_args

import torch
from torch import Tensor

from bench.kernels import bits, fused, lif
from bench.spec import NeuronSpec, Surrogate, SurrogateKind
from bench.spec.neurons import Reset

Kernel = Callable[..., tuple[Tensor, Tensor]]
SHAPE = (5, 3, 4, 9, 11)  # T, B, C, H, W: more neurons than one program of a GPU runs
KINDS, RESETS = get_args(SurrogateKind), get_args(Reset)
Form = Literal["fixed", "learnt", "in space"]
FORMS: tuple[Form, ...] = ("fixed", "learnt", "in space")
PACKED = (0, 1, 7, 8, 9, 4097)


@dataclass(frozen=True)
class Setting:
    """``decay``: the neuron's own, one for each channel that gets a gradient, or none through time at all."""

    dtype: torch.dtype
    neuron: NeuronSpec
    decay: Form
    carried: bool

    def __str__(self) -> str:
        n = self.neuron
        through = "detached" if n.detach_reset else "through reset"
        carried = ", from a window before" if self.carried else ""
        return f"{name_of(self.dtype)}, {n.surrogate.kind}, {n.reset} reset {through}, decay {self.decay}{carried}"


@dataclass(frozen=True)
class Ran:
    spikes: Tensor
    potential: Tensor
    gradients: dict[str, Tensor]


@dataclass(frozen=True)
class Found:
    """``compared``: number of settings by type; ``largest``: difference of a gradient over its largest entry, by type."""

    compared: dict[str, int]
    largest: dict[str, float]
    failures: tuple[str, ...]


def settings() -> Iterator[Setting]:
    """Yield the settings; forms of the decay and windows that follow others are spread over them."""
    for dtype in fused.TYPES:
        for (k, kind), (r, reset), (d, detached) in product(enumerate(KINDS), enumerate(RESETS), enumerate((True, False))):
            if dtype == torch.float64 or (k + r + d) % 2 == 0:
                neuron = NeuronSpec(0.7, 0.8, reset, detached, Surrogate(kind, 1.5))
                yield Setting(dtype, neuron, FORMS[(k + r + d) % len(FORMS)], carried=(k + d) % 2 == 1)


def compared(device: str) -> Found:
    """Run every setting through the kernels of ``device`` and their references there. Raises UserError if they cannot run."""
    counts: dict[str, int] = {}
    largest: dict[str, float] = {}
    failures: list[str] = []
    for setting in settings():
        name = name_of(setting.dtype)
        counts[name] = counts.get(name, 0) + 1
        problem, difference = _difference(setting, device)
        largest[name] = max(largest.get(name, 0.0), difference)
        if problem:
            failures.append(f"{setting}: {problem}")
    for dtype in fused.TYPES:
        failures += [f"{name_of(dtype)}, {n} spikes packed: {problem}" for n in PACKED if (problem := _packed(n, dtype, device))]
    return Found(counts, largest, tuple(failures))


def run(kernel: Kernel, setting: Setting, device: str, dtype: torch.dtype) -> Ran:
    """Run a window in ``dtype``, forward and backward. All numbers drawn are exact in every type."""
    generator = torch.Generator().manual_seed(1)

    def drawn(*shape: int, centre: float = 0.0) -> Tensor:
        return (torch.randn(shape, generator=generator, dtype=torch.float32) + centre).bfloat16().to(device)

    potential_type = fused.TYPES[dtype]
    leaf = drawn(*SHAPE, centre=0.6).to(dtype).requires_grad_()
    v = drawn(*SHAPE[1:]).to(potential_type).requires_grad_(setting.decay != "in space")
    g_s, g_v = drawn(*SHAPE).to(dtype), drawn(*SHAPE[1:]).to(potential_type)
    decay = (0.5 + 0.25 * drawn(SHAPE[2], 1, 1).tanh()).bfloat16().to(potential_type).requires_grad_()

    learns, through_time = setting.decay == "learnt", setting.decay != "in space"
    s, after = kernel(leaf * 1, v if setting.carried else None, setting.neuron, *([decay] if learns else []))
    wanted = {"x": leaf, **({"v": v} if setting.carried and through_time else {}), **({"decay": decay} if learns else {})}
    outputs = [(s, g_s), *([(after, g_v)] if through_time else [])]
    found = torch.autograd.grad([out for out, _ in outputs], list(wanted.values()), [g for _, g in outputs])
    return Ran(s.detach(), after.detach(), dict(zip(wanted, found, strict=True)))


def _difference(setting: Setting, device: str) -> tuple[str, float]:
    """Return what is wrong ("" if nothing), and the largest difference of a gradient over its largest entry."""
    in_space = setting.decay == "in space"
    kernel, reference = (fused.lif_in_space_, lif.lif_in_space) if in_space else (fused.lif_, lif.lif)
    mine, other = run(kernel, setting, device, setting.dtype), run(reference, setting, device, setting.dtype)
    if not torch.equal(mine.spikes, other.spikes):
        return f"{int((mine.spikes != other.spikes).sum())} of {mine.spikes.numel()} spikes differ", 0.0
    if not torch.equal(mine.potential, other.potential):
        return "spikes are equal, membrane potentials differ", 0.0
    if not 0 < float(mine.spikes.float().mean()) < 1:
        return "no neuron fires, or every one: nothing is compared", 0.0
    exact = run(reference, setting, device, torch.float64)
    same_as_exact = torch.equal(exact.spikes, other.spikes.double())
    largest, wrong = 0.0, []
    for name, g in other.gradients.items():
        size = _largest(g)
        difference = _largest(mine.gradients[name].double() - g.double())
        excess = _excess(setting.dtype, mine.gradients[name], g, exact.gradients[name] if same_as_exact else None)
        largest = max(largest, difference / size if size else difference)
        if not excess <= 0:  # also if it is not a number
            wrong.append(f"the gradient of {name} differs by {difference:.1e}, with a largest entry of {size:.1e}")
    return "; ".join(wrong), largest


def _excess(dtype: torch.dtype, mine: Tensor, other: Tensor, exact: Tensor | None) -> float:
    """Return by how much a gradient exceeds what its type allows; negative or zero if it does not."""
    size = _largest(other)
    if dtype == torch.float64:
        return _largest(mine - other) - 1e-12 * size
    if dtype == torch.float32:
        if exact is None:
            return 0.0
        size = max(size, prod(SHAPE) ** 0.5) if other.numel() == SHAPE[2] else size  # of a decay: a sum over all others
        return _largest(mine - exact) - 2 * _largest(other - exact) - 4 * 2**-24 * size
    bound = 2**-7 * other.double().abs() if other.dtype == torch.bfloat16 else 0.0
    return float(((mine.double() - other.double()).abs() - bound).max()) - 1e-5 * size


def _packed(n: int, dtype: torch.dtype, device: str) -> str:
    s = (torch.rand(n, generator=torch.Generator().manual_seed(2)) < 0.4).to(device, dtype)
    packed = fused.pack(s)
    if not torch.equal(packed, bits.pack(s)):
        return "the bytes differ"
    return "" if torch.equal(fused.unpack(packed, n, dtype), s) else "what is unpacked differs"


def _largest(x: Tensor) -> float:
    return float(x.double().abs().max())


def name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
