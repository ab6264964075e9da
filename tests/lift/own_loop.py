"""Small networks in double precision, the loop that their author would write, and what both give."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.lift.running.training import instantaneous, training_step

sys.path.insert(0, str(Path(__file__).parent))
from nets import CLASSES, FRAME, NETS, seeded

T, BATCH = 12, 3
STEPWISE = [
    *("sj-single-step", "sj-multi-step", "snn-sequential", "snn-recurrent", "snn-lstm"),
    *("snn-explicit", "plain-explicit"),
]


SINGLE = ("snn-lstm",)  # its neurons make float32 states whatever their weights are


def made(name: str) -> nn.Module:
    net = seeded(NETS[name][0])
    return net if name in SINGLE else net.double()


def type_of(net: nn.Module) -> torch.dtype:
    return next(net.parameters()).dtype


def batch(seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = 3 * torch.rand(T, BATCH, *FRAME, generator=generator, dtype=torch.float64)
    return x, torch.randint(CLASSES, (BATCH,), generator=generator)


def own_loop(name: str, net: nn.Module, x: Tensor) -> Tensor:
    """The loop that the author of the network would write."""
    if name.startswith("sj"):
        from spikingjelly.activation_based import functional

        functional.reset_net(net)
        out = net(x) if name == "sj-multi-step" else torch.stack([net(frame) for frame in x])
        functional.reset_net(net)
        return out
    if NETS[name][1] == "explicit state":
        state = net.init_state(BATCH) if name == "plain-explicit" else None  # type: ignore[operator]
        outs = []
        for frame in x:
            out, state = net(frame, state)
            outs.append(out)
        return torch.stack(outs)
    outs = [net(frame) for frame in x]
    return torch.stack([out[0] if isinstance(out, tuple) else out for out in outs])


def gradients(net: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}


def buffers(net: nn.Module) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in net.state_dict().items() if "running" in name or "tracked" in name}


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        relative, absolute = (1e-9, 1e-12) if value.dtype == torch.float64 else (1e-4, 1e-6)
        torch.testing.assert_close(found[name], value, rtol=relative, atol=absolute, msg=lambda m, name=name: f"{name}: {m}")


def by(name: str, algorithm: str, loss: Callable[[Tensor, Tensor], Tensor] = instantaneous, **options: Any) -> Any:
    """Return gradients, running statistics and loss of one step."""
    net = made(name)
    step = training_step(net, algorithm, loss=loss, **options)
    x, target = batch()
    value = step(x.to(type_of(net)), target)
    return gradients(net), buffers(net), value


def reference(name: str, loss: Callable[[Tensor, Tensor], Tensor] = instantaneous) -> Any:
    net = made(name)
    x, target = batch()
    value = loss(own_loop(name, net, x.to(type_of(net))), target)
    value.backward()
    return gradients(net), buffers(net), value.detach()
