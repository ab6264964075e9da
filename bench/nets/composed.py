"""Layers made of layers: a chain, a residual block, a loop over time steps and self-attention."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.nets.spiking import Neurons
from bench.nets.state import State, fold
from bench.spec import NeuronSpec, ShortcutOf


class Chain(nn.Module):
    """A sequence of layers. State: a list with one entry per layer."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        states = state if state is not None else [None] * len(self.layers)
        for i, layer in enumerate(self.layers):
            entry, states[i] = states[i], None
            x, states[i] = layer(x, entry)
        return x, states

    def last(self, x: Tensor, state: State) -> Tensor:
        """As ``forward``, without the state after it: each layer's is freed as soon as the layer has run."""
        states = state if state is not None else [None] * len(self.layers)
        for i, layer in enumerate(self.layers):
            entry, states[i] = states[i], None
            x = layer(x, entry)[0]
        return x


class ResidualBlock(nn.Module):
    """a = pre(x);  y = body(a) + shortcut(x or a); no shortcut means the identity; ``shortcut_of``: which of x and a it reads."""

    def __init__(self, pre: Chain, body: Chain, shortcut: Chain | None, shortcut_of: ShortcutOf) -> None:
        super().__init__()
        self.pre, self.body, self.shortcut = pre, body, shortcut
        self.shortcut_of = shortcut_of

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        pre, body, shortcut = state or (None, None, None)
        del state
        a, pre = self.pre(x, pre)
        if self.shortcut_of == "activated":
            x = a
        if self.shortcut is not None:
            x, shortcut = self.shortcut(x, shortcut)
        y, body = self.body(a, body)
        return y + x, [pre, body, shortcut]


class FeedbackLoop(nn.Module):
    """y[t] = body(entry(x[t]) + feedback(upsample(y[t-1]))), without feedback at t = 0. Runs step by step."""

    def __init__(self, entry: Chain, body: Chain, feedback: Chain, upsample: int) -> None:
        super().__init__()
        self.entry, self.body, self.feedback = entry, body, feedback
        self.upsample = upsample

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        entry, body, feedback, y = state or (None, None, None, None)
        del state
        ys = []
        for t in range(x.shape[0]):
            current, entry = self.entry(x[t : t + 1], entry)
            if y is not None:
                source = y if self.upsample == 1 else fold(y, self._enlarge)
                back, feedback = self.feedback(source, feedback)
                current = current + back
            y, body = self.body(current, body)
            ys.append(y)
        return (ys[0] if len(ys) == 1 else torch.cat(ys)), [entry, body, feedback, y]

    def _enlarge(self, y: Tensor) -> Tensor:
        return F.interpolate(y, scale_factor=float(self.upsample), mode="nearest")


class Attention(nn.Module):
    """y = scale * (q k^T) v with q = query(x), k = key(x), v = value(x), for each head; places of the map are the rows.

    Spiking self-attention without softmax (Zhou et al., ICLR 2023); a head with q, k [N, d] and v [N, e] makes
    N^2 (d + e) products.
    """

    def __init__(self, query: Chain, key: Chain, value: Chain, heads: int, scale: float) -> None:
        super().__init__()
        self.query, self.key, self.value = query, key, value
        self.heads, self.scale = heads, scale

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        of_query, of_key, of_value = state or (None, None, None)
        del state
        q, of_query = self.query(x, of_query)
        k, of_key = self.key(x, of_key)
        v, of_value = self.value(x, of_value)
        size = q.shape[3:]
        y: Tensor = (self._rows(q) @ self._rows(k).transpose(-1, -2)) @ self._rows(v)
        y = y.transpose(-1, -2).flatten(1, 2).unflatten(0, x.shape[:2]).unflatten(-1, size)
        return y * self.scale, [of_query, of_key, of_value]

    def _rows(self, maps: Tensor) -> Tensor:
        """[K, B, heads * d, H, W] -> [K B, heads, H W, d]."""
        rows: Tensor = maps.flatten(0, 1).flatten(2).unflatten(1, (self.heads, -1)).transpose(-1, -2)
        return rows

    def products(self, y: Tensor) -> int:
        """Return the products of (q k^T) v for an output [..., C, H, W], if q and k have as many channels as v."""
        return 2 * y.numel() * y.shape[-1] * y.shape[-2]


def leak(module: nn.Module, state: State, steps: int) -> State:
    """Return the state after ``steps`` time steps without input and spikes: v * decay^steps; everything else is unchanged."""
    if state is None or steps == 0:
        return state
    parts: list[nn.Module | None] = []
    match module:
        case Neurons(spec=NeuronSpec(decay=decay)):
            v, mask = state
            return [v * decay**steps, mask]
        case Neurons():
            raise ValueError(f"{module.spec}: the state after time steps without input is stated for LIF neurons alone")
        case Chain():
            parts = list(module.layers)
        case ResidualBlock():
            parts = [module.pre, module.body, module.shortcut]
        case Attention():
            parts = [module.query, module.key, module.value]
        case FeedbackLoop():
            parts = [module.entry, module.body, module.feedback, None]  # the last is y, which does not change
    if not parts:
        return state
    return [entry if part is None else leak(part, entry, steps) for part, entry in zip(parts, state, strict=True)]
