"""SpikingJelly's model zoo: measured at its own input in seconds, the same on real tensors, and lifted with its own gradients."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.errors import UserError
from bench.lift.measure import Measured, measure
from bench.lift.training import instantaneous, training_step

sys.path.insert(0, str(Path(__file__).parent))
from zoo import FEW, SMALL, ZOO, build


def marked(few: tuple[str, ...]) -> list[Any]:
    return [name if name in few else pytest.param(name, marks=pytest.mark.full) for name in ZOO]


def numbers(found: Measured) -> tuple[Any, ...]:
    cost = found.cost
    return cost.memory.total, cost.memory.by_category, cost.macs.dense, cost.macs.multiplications, cost.traffic.conventions()


@pytest.mark.parametrize("name", marked(FEW))
def test_network_is_measured_at_its_own_input_in_seconds(name: str) -> None:
    model = ZOO[name]
    net = build(name, empty=not model.own_steps)
    measure(net, model.frame, T=model.T, batch=2)  # PyTorch imports its rules of shapes at their first use
    began = time.process_time()
    found = measure(net, model.frame, T=model.T, batch=32)
    assert time.process_time() - began < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2 * 2**20  # KiB
    assert found.recognised.time == ("multi-step" if name.endswith("m") or model.own_steps else "single-step")
    assert found.recognised.own_steps == (model.T if model.own_steps else None)
    assert found.recognised.neurons
    assert not found.recognised.other_state
    assert sum(found.cost.macs.multiplications.values()) < sum(found.cost.macs.dense.values())


@pytest.mark.parametrize("name", marked(SMALL))
def test_bytes_without_storage_equal_real_tensors(name: str) -> None:
    model = ZOO[name]
    T = min(model.T, 4) if not model.own_steps else model.T
    net = build(name)
    meta, real = (measure(net, model.small, T=T, batch=2, device=device) for device in ("meta", "cpu"))
    assert numbers(meta) == numbers(real)


SEQUENCES = [name for name in ZOO if not ZOO[name].own_steps]


@pytest.mark.parametrize("name", [n if n in SMALL else pytest.param(n, marks=pytest.mark.full) for n in SEQUENCES])
def test_lifted_gradients_equal_the_networks_own_in_float64(name: str) -> None:
    """BPTT and, where no batch norm ties the time steps, checkpointed BPTT."""
    from spikingjelly.activation_based import functional

    model, T, batch = ZOO[name], 4, 2
    net = build(name).double()
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(T, batch, *model.small, generator=generator, dtype=torch.float64)
    target = torch.randint(10, (batch,), generator=generator)

    def gradients(run: Any) -> dict[str, Tensor]:
        torch.manual_seed(3)  # dropout
        net.zero_grad(set_to_none=True)
        run()
        return {key: parameter.grad.clone() for key, parameter in net.named_parameters() if parameter.grad is not None}

    def own() -> None:
        functional.reset_net(net)
        out = net(x) if name.endswith("m") else torch.stack([net(frame) for frame in x])
        instantaneous(out, target).backward()
        functional.reset_net(net)

    expected = gradients(own)
    assert_equal(gradients(lambda: training_step(net, "bptt")(x, target)), expected)
    checkpointed = training_step(net, "checkpointed", segments=2)
    if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in net.modules()) and name.endswith("m"):
        with pytest.raises(UserError, match="batch norm takes its statistics over all time steps"):
            checkpointed(x, target)
    else:
        assert_equal(gradients(lambda: checkpointed(x, target)), expected)


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-8, atol=1e-12, msg=lambda m, key=key: f"{key}: {m}")
