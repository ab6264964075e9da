"""Dense layers that are trained from traces: what OSTL, OTPE, approximate OTPE and OTTT of the OTPE paper share.

A layer, at step t, with input x[t] [B, n], spikes s[t] [B, m], slope D[t] of the surrogate at the membrane v[t] before the reset:

    v[t] = decay * U[t-1] + W x[t] + b,   s[t] = H(v[t] - V_th),   U[t] = v[t] - V_th * s[t]
    d[t] = dU[t]/dv[t] = 1 - V_th * D[t]      (1 if the reset is detached)
    g[t] = error at s[t], from the layer above at step t alone;   of the layer below: g[t] = q[t] W

A rule (one in each algorithm's file) makes the gradients of W and b, and q[t], of g[t], D[t] and its traces. Two forms:

    traces    step by step: the traces are state, and memory does not depend on T. This is the algorithm
    adjoint   all T steps, then one recursion per neuron backwards in time and one matrix product per layer:
              dL/dW = sum_t e[t]^T x[t]. The same gradient at BPTT's cost; only if weights change once, at the end

``update``: once after the sequence ("end"), or after every step ("step"). Updates at every step are not divided by T, as in the
public code of OTPE; traces are carried across updates. The slope is that of the backend's own neurons.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from bench.algorithms.context import StepContext
from bench.errors import YES, Support, UserError, no
from bench.nets.build import Network
from bench.nets.layers import Chain, DenseSynapse, Neurons, Scaled, State, map_state
from bench.options import Declared, one_of
from bench.spec import Dense, NetworkSpec, NeuronSpec, Spike, lif_of

Traces = list[Tensor]


class Gradients(NamedTuple):
    """Of a time step: of the weight [m, n] and the bias [m], summed over samples, and q [B, m]."""

    weight: Tensor
    bias: Tensor
    down: Tensor


class Adjoint(NamedTuple):
    """Of a sequence, all [T, B, m]: dL/dW = sum_t weight[t]^T x[t], dL/db = sum_t bias[t], and q[t] = down[t]."""

    weight: Tensor
    bias: Tensor
    down: Tensor


class Rule(Protocol):
    """How a layer's gradients follow from errors, slopes and inputs."""

    def traces(self, x: Tensor, slope: Tensor, passed: Tensor, before: Traces | None) -> Traces:
        """Traces after a step from those before (None: zero), which are consumed. x [B, n], D [B, m], d [B, m]."""

    def gradients(self, g: Tensor, slope: Tensor, traces: Traces) -> Gradients:
        """Of a step from g [B, m], D [B, m] and the traces after it."""

    def adjoint(self, g: Tensor, slope: Tensor, reset: float) -> Adjoint:
        """Of a sequence from g, which is consumed, and D, both [T, B, m]; d = 1 - reset * D."""


# --------------------------------------------------------------------------- parts of rules


def discounted_(a: Tensor, decay: float) -> Tensor:
    """b[t] = a[t] + decay * b[t+1], backwards over the first dimension, in the place of ``a``."""
    steps = a.unbind()
    for t in reversed(range(len(steps) - 1)):
        steps[t].add_(steps[t + 1], alpha=decay)
    return a


def passed_back_(a: Tensor, decay: float, slope: Tensor, reset: float) -> Tensor:
    """b[t] = a[t] + decay * d[t] * b[t+1] with d = 1 - reset * D, backwards over the first dimension, in the place of ``a``."""
    steps, slopes = a.unbind(), slope.unbind()
    for t in reversed(range(len(steps) - 1)):
        steps[t].add_(steps[t + 1], alpha=decay)
        if reset:
            steps[t].addcmul_(steps[t + 1], slopes[t], value=-decay * reset)
    return a


def mean_slope(slope: Tensor, before: Tensor | None, rho: Tensor | None, decay: float) -> tuple[Tensor, Tensor]:
    """One step of the decay-weighted mean of slopes, normalised: mean[t] and rho[t]; ``before`` [B, m] is overwritten.

    rho[t] = decay * rho[t-1] + 1,   mean[t] = (1 - 1/rho[t]) * mean[t-1] + D[t] / rho[t]
    """
    if before is None or rho is None:
        return slope.clone(), slope.new_ones(())
    rho = rho * decay + 1
    return before.lerp_(slope, 1 / rho), rho


def mean_slopes(slope: Tensor, decay: float) -> Tensor:
    """As ``mean_slope``, of all steps: D [T, B, m] -> [T, B, m]."""
    means, rho = torch.empty_like(slope), 1.0
    means[0] = slope[0]
    for t in range(1, len(slope)):
        rho = decay * rho + 1
        torch.lerp(means[t - 1], slope[t], 1 / rho, out=means[t])
    return means


# --------------------------------------------------------------------------- a layer


class _ByRule(torch.autograd.Function):
    """Returns the spikes unchanged; the backward pass is the rule's."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, s: Tensor, slope: Tensor, rule: Rule, traces: Traces
    ) -> Tensor:
        ctx.save_for_backward(weight, slope, *traces)
        ctx.rule, ctx.has_bias = rule, bias is not None
        return s.view_as(s)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None, None, None, None, None]:
        weight, slope, *traces = ctx.saved_tensors
        found: Gradients = ctx.rule.gradients(g, slope, traces)
        down = found.down @ weight if ctx.needs_input_grad[0] else None
        return down, found.weight, found.bias if ctx.has_bias else None, None, None, None, None


class TracedLayer(nn.Module):
    """A dense synapse and its neurons, trained by a rule. State: [that of the neurons, the rule's traces]."""

    emits_spikes = True

    def __init__(self, synapse: DenseSynapse, neurons: Neurons, rule: Rule) -> None:
        super().__init__()
        self.synapse = synapse
        self.neurons = neurons
        self.rule = rule
        self.at_once = False  # whether a window of several steps gives the slopes of each

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One time step x [1, B, n] if gradients are enabled, else any number."""
        potential, before = state or (None, None)
        del state
        if not torch.is_grad_enabled():
            current, _ = self.synapse(x, None)
            s, potential = self.neurons(current, potential)
            return s, [potential, before]
        with torch.no_grad():
            current, _ = self.synapse(x.detach(), None)
        s, slope, potential = self.fired(current, potential)
        (x_t,), (s_t,) = x, s
        traces = self.rule.traces(x_t.detach(), slope, passed(slope, lif_of(self.neurons.spec)), before)
        out = _ByRule.apply(x_t, self.synapse.weight, self.synapse.bias, s_t, slope, self.rule, traces)
        return out.unsqueeze(0), [potential, traces]

    def fired(self, current: Tensor, potential: State) -> tuple[Tensor, Tensor, State]:
        """One time step of the neurons: current [1, B, m] -> spikes [1, B, m], slopes [B, m], state after the step."""
        s, slope, potential = self._slopes(current, potential)
        return s, slope.squeeze(0), potential

    def all_fired(self, current: Tensor) -> tuple[Tensor, Tensor]:
        """All time steps from a membrane at zero: current [T, B, m] -> spikes and slopes [T, B, m]."""
        if self.at_once:
            s, slope, _ = self._slopes(current, None)
            return s, slope
        s, slope, potential = torch.empty_like(current), torch.empty_like(current), None
        for t in range(len(current)):
            (s[t],), slope[t], potential = self.fired(current[t : t + 1], potential)
        return s, slope

    def _slopes(self, current: Tensor, potential: State) -> tuple[Tensor, Tensor, State]:
        with torch.enable_grad():
            current = current.detach().requires_grad_()
            s, potential = self.neurons(current, potential)
            (slope,) = torch.autograd.grad(s, current, s.new_ones(()).expand_as(s))
        return s.detach(), slope, map_state(torch.Tensor.detach, potential)

    def in_space(self) -> None:
        """Let the gradient of a window be the slopes of its steps, if these neurons can; then all steps run as one window."""
        stop = getattr(self.neurons.neurons, "in_space", None)
        if stop is not None:
            stop()
            self.at_once = True


def passed(slope: Tensor, neuron: NeuronSpec) -> Tensor:
    """d = dU/dv, from the slope D."""
    return torch.ones_like(slope) if neuron.detach_reset else 1 - reset_of(neuron) * slope


def reset_of(neuron: NeuronSpec) -> float:
    """The factor of D in d: what the reset takes from the membrane's derivative."""
    return 0.0 if neuron.detach_reset else neuron.threshold


def with_rules(net: Network, hidden: Rule, last: Rule, form: str) -> Network:
    """Join each dense synapse of ``net`` and its neurons into a layer with a rule; changes ``net`` in place and returns it.

    An identity takes the former place of the neurons, so that parameters have the same names as under BPTT.
    """
    layers = list(net.body.layers)
    joined: list[nn.Module] = []
    for i in range(0, len(layers), 2):
        synapse, neurons = layers[i : i + 2]
        assert isinstance(synapse, DenseSynapse), "see supports"
        assert isinstance(neurons, Neurons), "see supports"
        layer = TracedLayer(synapse, neurons, last if i + 2 == len(layers) else hidden)
        if form == "adjoint":
            layer.in_space()
        joined += [layer, Scaled(1.0)]
    net.body = Chain(joined)
    return net


# --------------------------------------------------------------------------- training


@dataclass(frozen=True)
class FromTraces(Declared):
    update: str = one_of("end", ("end", "step"), meaning="when weights are updated: after the sequence, or after every step")
    form: str = one_of("traces", ("traces", "adjoint"), meaning="the algorithm with its traces, or its offline adjoint")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.form == "adjoint" and self.update == "step":
            raise UserError(
                "form = 'adjoint' with update = 'step': the adjoint needs all steps at one weight; use form = 'traces'"
            )

    @property
    def updates_once(self) -> bool:
        return self.update == "end"


def supports(spec: NetworkSpec) -> Support:
    """Whether the network is a chain of dense layers, each with neurons, to which the equations apply."""
    pairs = list(zip(spec.layers[::2], spec.layers[1::2], strict=False))
    for layer in spec.layers:
        if not isinstance(layer, Dense | Spike):
            return no(f"its traces are defined for dense layers with neurons, and this network has {type(layer).__name__}")
    if not all(isinstance(dense, Dense) and isinstance(spike, Spike) for dense, spike in pairs) or len(spec.layers) % 2:
        return no("every dense layer must be followed by neurons, the last one too: class scores are its spikes")
    other = spec.beyond_lif
    if other is not None:
        return no(f"its equations are those of LIF neurons of a fixed decay, and this network has {other.words}")
    if any(isinstance(layer, Spike) and layer.dropout for layer in spec.layers):
        return no("its equations have no dropout of neurons")
    if any(lif_of(neuron).reset == "hard" for neuron in spec.neurons):
        return no("its equations are those of a reset by subtraction, and these neurons reset to zero")
    if len(spec.neurons) > 1:
        return no("it assumes the same leak and threshold in all layers")
    return YES


def train(
    net: Network,
    x: Tensor,
    context: StepContext,
    options: FromTraces,
    front: Callable[[Tensor, Tensor | None], Tensor] | None = None,
) -> Tensor:
    """Train on one batch; returns the spikes of the last layer summed over time [B, C].

    ``front(s, before)`` makes the class scores [B, C] of a step from its spikes and the scores before; None: the spikes.
    """
    if options.form == "adjoint":
        return _by_adjoint(net, x, context, front)
    return _by_traces(net, x, context, options.update, front)


def _by_traces(
    net: Network, x: Tensor, context: StepContext, update: str, front: Callable[[Tensor, Tensor | None], Tensor] | None
) -> Tensor:
    T = x.shape[0]
    state = net.initial_state(x.shape[1])
    total = x.new_zeros(())
    scores: Tensor | None = None
    for x_t in x:
        s, state = net.step(x_t, state)
        scores = s if front is None else front(s, None if scores is None else scores.detach())
        loss = context.loss(scores[None])
        (loss * T if update == "step" else loss).backward()
        state = map_state(torch.Tensor.detach, state)
        total = total + s.detach()
        if update == "step":
            context.update()
    if update == "end":
        context.update()
    return total


def _by_adjoint(net: Network, x: Tensor, context: StepContext, front: Callable[[Tensor, Tensor | None], Tensor] | None) -> Tensor:
    layers = [layer for layer in net.body.layers if isinstance(layer, TracedLayer)]
    inputs, slopes = [x], []
    with torch.no_grad():
        for layer in layers:
            current, _ = layer.synapse(inputs[-1], None)
            s, slope = layer.all_fired(current)
            inputs.append(s)
            slopes.append(slope)
    spikes = inputs.pop()
    g = _error(spikes, context, front)
    for layer, read, slope in zip(reversed(layers), reversed(inputs), reversed(slopes), strict=True):
        weight, bias = layer.synapse.weight, layer.synapse.bias
        with torch.no_grad():
            found = layer.rule.adjoint(g, slope, reset_of(lif_of(layer.neurons.spec)))
            of_weight = found.weight.flatten(0, 1).t() @ read.flatten(0, 1)
            of_bias = found.bias.sum((0, 1))
            if layer is not layers[0]:
                g = found.down @ weight
        torch.autograd.backward(weight, of_weight)
        if bias is not None:
            torch.autograd.backward(bias, of_bias)
    context.update()
    return spikes.sum(0)


def _error(spikes: Tensor, context: StepContext, front: Callable[[Tensor, Tensor | None], Tensor] | None) -> Tensor:
    """g[t] at the spikes of the last layer [T, B, C]: the derivative of a step's loss by the scores of that step."""
    scores = spikes
    if front is not None:
        scores = torch.empty_like(spikes)
        for t in range(len(spikes)):
            scores[t] = front(spikes[t], scores[t - 1] if t else None)
    scores = scores.detach().requires_grad_()
    (g,) = torch.autograd.grad(context.loss(scores), scores)
    return g
