"""Every kind of neurons and stateful layers: an exact algorithm gives the gradient of the user's own loop, or says why not."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bench.errors import UserError
from bench.lift.running.training import instantaneous, training_step

pytest.importorskip("spikingjelly")
pytest.importorskip("snntorch")
sys.path.insert(0, str(Path(__file__).parent))
from kinds import CLASSES, FEATURES, STEPS, run, snntorch, spikingjelly

KINDS = spikingjelly() | snntorch()
EXACT = {"bptt": {}, "checkpointed": {"segments": 2}, "local": {"b": 99}}
REFUSED = {  # algorithm and what it says, by kind
    "SpikingJelly PSN, m": {"checkpointed": r"Sequential\.1: its neurons read the whole sequence"},
    "SpikingJelly MaskedPSN, m": {"checkpointed": r"Sequential\.1: its neurons read the whole sequence"},
    "SpikingJelly SlidingPSN, m": {"checkpointed": r"Sequential\.1: its neurons read the whole sequence"},
    **{
        f"SpikingJelly {name}RecurrentContainer, m": dict.fromkeys(("checkpointed", "local"), "forward loops over time")
        for name in ("Linear", "ElementWise")
    },
    "SpikingJelly TemporalEffectiveBatchNorm1d, m": {"checkpointed": "mixes time steps|statistics over all time steps"},
}


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = 4 * torch.rand(STEPS, 3, FEATURES, generator=generator, dtype=torch.float64)
    return x, torch.randint(CLASSES, (3,), generator=generator)


def made(kind: str) -> nn.Module:
    torch.manual_seed(0)
    net = KINDS[kind]().double()
    torch.manual_seed(3)  # dropout masks
    return net


def seen(net: nn.Module) -> dict[str, Tensor]:
    """Gradients, and running statistics."""
    running = {name: buffer for name, buffer in net.named_buffers() if "running" in name}
    return {name: p.grad for name, p in net.named_parameters() if p.grad is not None} | running


@pytest.mark.sampled(every=3)
@pytest.mark.parametrize("kind", KINDS)
def test_exact_algorithms_give_the_gradient_of_the_users_own_loop_or_say_why_not(kind: str) -> None:
    net, (x, target) = made(kind), batch()
    instantaneous(run(net, x, kind.endswith(", m")), target).backward()
    expected = seen(net)
    assert any(value.abs().max() > 0 for value in expected.values())
    for algorithm, options in EXACT.items():
        net, words = made(kind), REFUSED.get(kind, {}).get(algorithm)
        keys = list(net.state_dict())
        step = training_step(net, algorithm, **options)
        if words is not None:
            with pytest.raises(UserError, match=words):
                step(x, target)
            continue
        step(x, target)
        found = seen(net)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(
                found[name], value, rtol=1e-9, atol=1e-12, msg=partial("{} {}: {}".format, algorithm, name)
            )
        assert list(net.state_dict()) == keys
