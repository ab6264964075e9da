"""A sequence through a module, as its author would run it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bench.lift.recognition.parts import first, initial_states
from bench.lift.recognition.recognise import Recognised


def forward(net: nn.Module, x: Tensor, T: int, is_image: bool, recognised: Recognised) -> Tensor:
    """Return the outputs of T time steps: [T, B, ...], or [B, ...] if the module averages over time itself.

    x [B, ...] is an image that is repeated (``is_image``), or x [T, B, ...] a sequence. Neurons start where they are: reset them
    before.
    """
    if recognised.takes == "frame" and recognised.own_steps is not None:
        return first(net(x))
    sequence = x.expand(T, *x.shape) if is_image else x
    match recognised.time:
        case "single-step":
            return torch.stack([first(net(frame)) for frame in sequence])
        case "explicit state":
            return _with_state(net, sequence, recognised.state_arguments)
    if recognised.takes == "sequence, batch first":
        out = first(net(sequence.transpose(0, 1)))
        return out if recognised.averages else out.transpose(0, 1)
    return first(net(sequence))


def _with_state(net: nn.Module, sequence: Tensor, arguments: int) -> Tensor:
    state: Sequence[object] = initial_states(net, sequence.shape[1], arguments)
    outs = []
    for frame in sequence:
        out, *state = net(frame, *state)
        outs.append(first(out))
    return torch.stack(outs)
