"""OSTL, OTPE and approximate OTPE by their equations, sample by sample."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench import backends
from bench.nets.build import Network
from bench.nets.layers import aligned
from bench.spec import NeuronSpec
from tests.unit.dense_networks import FAST, SMOOTH, VARIANTS, dense, difference, drawn, gradient, slope_of

BACKENDS = [
    "native", "native-fast", "native-balanced", "native-small", "spikingjelly", "snntorch",
]  # fmt: skip


@dataclass
class Neuron:
    """One neuron of one sample with every variable of section 3 of the fact sheet, in plain numbers and vectors."""

    w: Tensor  # [n + 1]: its weights, and the bias as the weight of a constant input of 1
    spec: NeuronSpec
    v: Tensor = field(default_factory=lambda: torch.zeros(()).double())
    U: Tensor = field(default_factory=lambda: torch.zeros(()).double())
    E: Tensor | float = 0.0  # of the state after the reset
    P: Tensor | float = 0.0
    R: Tensor | float = 0.0
    a: Tensor | float = 0.0
    z: Tensor | float = 0.0
    mean: Tensor | float = 0.0
    rho: float = 0.0
    D: Tensor = field(default_factory=lambda: torch.zeros(()).double())

    def step(self, x: Tensor) -> Tensor:
        n, decay = self.spec, self.spec.decay
        x = torch.cat([x, torch.ones(1, dtype=x.dtype)])
        self.v = decay * self.U + self.w @ x
        s = (self.v >= n.threshold).double()
        self.U = self.v - n.threshold * s
        self.D = slope_of(self.v, n)
        self.P = decay * self.E + x
        self.E = (1 if n.detach_reset else 1 - n.threshold * self.D) * self.P
        self.R = decay * self.R + self.D * self.P
        self.a = decay * self.a + x
        self.z = decay * self.z + self.a
        self.rho = decay * self.rho + 1
        self.mean = (1 - 1 / self.rho) * self.mean + self.D / self.rho
        return s

    def grad(self, rule: str, g: Tensor) -> Tensor:
        """The gradient of its weights and bias; without a trace of the bias for the rules with presynaptic traces."""
        if rule == "ostl":
            return g * self.D * self.P
        if rule == "otpe":
            return g * self.R
        slope, trace = (self.D, self.a) if rule == "ottt-dense" else (self.mean, self.z)
        assert isinstance(trace, Tensor)
        return torch.as_tensor(g * slope * torch.cat([trace[:-1], torch.ones(1, dtype=trace.dtype)]))

    def down(self, rule: str) -> Tensor:
        return torch.as_tensor(self.mean if rule in ("otpe", "approximate-otpe") else self.D)


LAST = {"otpe": "ostl", "approximate-otpe": "ottt-dense"}


def by_hand(net: Network, x: Tensor, target: Tensor, rule: str, front: bool) -> list[Tensor]:
    """The offline gradient of the loss 0.95 CE + 0.05 MSE, per sample, layer, neuron and step."""
    parameters = [p.detach() for _, p in aligned(net)]
    weights = [torch.cat([w, b[:, None]], 1) for w, b in zip(parameters[::2], parameters[1::2], strict=True)]
    total = [torch.zeros_like(w) for w in weights]
    n = net.spec.neuron
    rules = [rule] * (len(weights) - 1) + [rule if front else LAST.get(rule, rule)]
    for sample in range(x.shape[1]):
        layers = [[Neuron(row, n) for row in w] for w in weights]
        scores = torch.zeros(len(weights[-1]), dtype=x.dtype)
        for x_t in x[:, sample]:
            s = x_t
            for layer in layers:
                s = torch.stack([neuron.step(s) for neuron in layer])
            scores = (n.decay * scores if front else 0) + s
            onehot = F.one_hot(target[sample], len(scores)).double()
            g = (0.95 * (scores.softmax(0) - onehot) + 0.05 * 2 * (scores - onehot) / len(scores)) / x.shape[1] / len(x)
            for i in reversed(range(len(layers))):
                below = torch.zeros(weights[i].shape[1] - 1, dtype=x.dtype)
                for j, neuron in enumerate(layers[i]):
                    total[i][j] += neuron.grad(rules[i], g[j])
                    below += g[j] * neuron.down(rules[i]) * weights[i][j, :-1]
                g = below
    return [part for w in total for part in (w[:, :-1], w[:, -1])]


@pytest.mark.sampled(every=3)
@pytest.mark.parametrize("form", ["traces", "adjoint"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("rule", "options"), VARIANTS, ids=str)
def test_otpe_gradients_equal_the_equations_sample_by_sample(rule: str, options: dict[str, Any], backend: str, form: str) -> None:
    able = backends.available(backend)
    if not able:
        pytest.skip(able.reason)
    spec = dense(SMOOTH if backend == "spikingjelly" else FAST)
    net, x, target = drawn(spec, rule, backend, **options)
    formula = by_hand(net, x, target, rule, options.get("front", False))
    assert all(float(g.norm()) > 0 for g in formula)
    assert difference(gradient(rule, backend, spec, form=form, **options), formula) < 1e-10


@pytest.mark.parametrize("detached", [False, True])
def test_otpe_equations_include_the_detached_reset(detached: bool) -> None:
    spec = dense(replace(FAST, detach_reset=detached))
    net, x, target = drawn(spec, "otpe")
    assert difference(gradient("otpe", spec=spec), by_hand(net, x, target, "otpe", False)) < 1e-10
    assert difference(gradient("otpe", spec=dense(replace(FAST, detach_reset=not detached))), gradient("otpe", spec=spec)) > 1e-3
