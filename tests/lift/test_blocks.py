"""Local training and TTL-BPTT on a user's module: where blocks end, what trains their classifiers, and what cannot be cut."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.errors import UserError
from bench.lift.running.training import training_step

sys.path.insert(0, str(Path(__file__).parent))
from nets import CLASSES, FRAME, NETS, SjResidual, seeded, sj_catalogue, sj_lif

T, BATCH = 6, 3
CHAINS = [
    *("sj-single-step", "sj-multi-step", "sj-residual", "sj-dropout"),
    *("snn-sequential", "snn-recurrent", "snn-leaky"),
]


def made(name: str) -> nn.Module:
    return seeded(NETS[name][0]).double()


def batch(frame: tuple[int, ...] = FRAME) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = 3 * torch.rand(T, BATCH, *frame, generator=generator, dtype=torch.float64)
    return x, torch.randint(CLASSES, (BATCH,), generator=generator)


def gradients(net: nn.Module, algorithm: str, **options: Any) -> dict[str, Tensor]:
    torch.manual_seed(2)
    training_step(net, algorithm, **options)(*batch())
    found = {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}
    net.zero_grad()
    return found


def ends(net: nn.Module, **options: Any) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = training_step(net, "local", **options).lifted(batch()[0]).parts
    return found


@pytest.mark.parametrize("name", CHAINS)
def test_one_block_is_bptt(name: str) -> None:
    net = made(name)
    for local, other in (
        (("local", {"b": 99}), ("bptt", {})),
        (("ttl-bptt", {"b": 99, "K": 4, "update": "end"}), ("tbptt", {"K": 4})),
    ):
        found, expected = gradients(net, local[0], **local[1]), gradients(net, other[0], **other[1])
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            torch.testing.assert_close(found[key], value, rtol=1e-9, atol=1e-12)
        assert any(value.abs().max() > 0 for value in expected.values())


def test_blocks_end_before_a_synapse_after_b_layers_of_neurons_or_at_the_parts_that_are_named() -> None:
    net = seeded(sj_catalogue).double()
    assert ends(net, b=1) == [(0, 4), (4, 6), (6, 10)]
    assert ends(net, b=2) == [(0, 6), (6, 10)]
    assert ends(net, blocks=["3", "5"]) == ends(net, blocks=["3", "5", "9"]) == ends(net, b=1)
    assert ends(net, blocks=["2"]) == [(0, 3), (3, 10)]


def test_forward_that_reshapes_between_its_parts_is_a_chain() -> None:
    net = seeded(SjResidual).double()
    assert ends(net, b=1) == [(0, 2), (2, 5)]  # entry and neurons; block, reshape and readout
    assert ends(net, blocks=["first", "block"]) == [(0, 2), (2, 3), (3, 5)]


class Pooled(nn.Module):
    """Calls functions between its parts, and has a container with a chain inside."""

    def __init__(self) -> None:
        super().__init__()
        self.front = Front()
        self.readout = nn.Linear(6 * 4 * 4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.front(x), 2)
        out: Tensor = self.readout(torch.flatten(x, 1))
        return out


class Front(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.lif = nn.Conv2d(2, 6, 3, padding=1), sj_lif()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.lif(self.conv(x))
        return out


def test_functions_of_one_tensor_are_links_of_a_chain() -> None:
    pytest.importorskip("spikingjelly")
    net = seeded(Pooled).double()
    assert ends(net, blocks=["front.lif"]) == ends(net, blocks=["front"]) == [(0, 2), (2, 5)]
    found, expected = gradients(net, "local", b=99), gradients(net, "bptt")
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-9, atol=1e-12)


def test_module_with_hooks_of_the_user_is_not_opened() -> None:
    pytest.importorskip("spikingjelly")
    net = seeded(Pooled).double()
    net.front.register_forward_hook(lambda _, __, out: 2 * out)
    assert ends(net, b=1) == [(0, 4)]  # front, pooling, flatten, readout
    found, expected = gradients(net, "local", b=99), gradients(net, "bptt")
    torch.testing.assert_close(found["front.conv.weight"], expected["front.conv.weight"])


# --------------------------------------------------------------------------- classifiers


def test_classifiers_are_trained_beside_the_module_by_an_optimizer_of_the_same_settings() -> None:
    net = seeded(sj_catalogue).double()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1, weight_decay=0.3)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    step = training_step(net, "local", optimizer=optimizer)
    blocks = step.lifted(batch()[0])
    before = [weight.detach().clone() for weight in blocks.classifiers.parameters()]
    step(*batch())
    schedule.step()
    step(*batch())
    assert len(optimizer.param_groups) == 1
    assert len(optimizer.param_groups[0]["params"]) == len(list(net.parameters())) == len(optimizer.state)
    beside = step.update.beside
    assert beside is not None
    assert (beside.param_groups[0]["lr"], beside.param_groups[0]["weight_decay"]) == (0.05, 0.3)
    assert len(beside.state) == len(before) == 4
    for weight, former in zip(blocks.classifiers.parameters(), before, strict=True):
        assert not torch.equal(weight, former)
        assert weight.grad is None


def test_without_an_optimizer_gradients_of_classifiers_add_up_too() -> None:
    net = seeded(sj_catalogue).double()
    step = training_step(net, "local")
    step(*batch())
    assert step.classifiers is not None
    once = [weight.grad.clone() for weight in step.classifiers.parameters() if weight.grad is not None]
    step(*batch())
    twice = [weight.grad for weight in step.classifiers.parameters()]
    assert len(once) == 4
    for mine, other in zip(twice, once, strict=True):
        torch.testing.assert_close(mine, 2 * other)


def test_seed_of_torch_decides_the_weights_of_classifiers() -> None:
    def weights(seed: int) -> Tensor:
        torch.manual_seed(seed)
        net = training_step(seeded_once, "local").lifted(batch()[0])
        return torch.cat([weight.detach().flatten() for weight in net.classifiers.parameters()])

    seeded_once = seeded(sj_catalogue).double()
    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_clipping_bounds_the_gradient_of_module_and_classifiers_together() -> None:
    net = seeded(sj_catalogue).double()
    step = training_step(net, "local", optimizer=torch.optim.SGD(net.parameters(), lr=1.0), clip=1e-3)
    weights = [*net.parameters(), *step.lifted(batch()[0]).classifiers.parameters()]
    before = [weight.detach().clone() for weight in weights]
    step(*batch())
    moved = torch.stack([(w.detach() - b).norm() for w, b in zip(weights, before, strict=True)]).norm()
    torch.testing.assert_close(moved, torch.tensor(1e-3, dtype=torch.float64))


def test_local_training_takes_any_loss() -> None:
    def of_mean(outputs: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(outputs.mean(0), target)

    net = seeded(sj_catalogue).double()
    found, expected = gradients(net, "local", loss=of_mean, b=99), gradients(net, "bptt", loss=of_mean)
    torch.testing.assert_close(found["0.weight"], expected["0.weight"])


# --------------------------------------------------------------------------- refused


class Skips(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.lif, self.two = nn.Linear(8, 8), sj_lif(), nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.two(self.lif(self.one(x)) + x)
        return out


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.lif, self.two = nn.Linear(8, 8), sj_lif(), nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.two(self.one(self.lif(self.one(x))))
        return out


def tied() -> nn.Module:
    net = nn.Sequential(nn.Linear(8, 8), sj_lif(), nn.Linear(8, 8), sj_lif(), nn.Linear(8, CLASSES))
    net[2].weight = net[0].weight
    return net


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (Skips, r"Skips is no chain of parts: the function add does not read the output of lif alone"),
        (Twice, "one runs twice in a call of forward"),
        (tied, r"0\.weight and 2\.weight are one parameter in two blocks"),
    ],
)
def test_what_cannot_be_cut_is_refused_with_its_place(make: Any, words: str) -> None:
    pytest.importorskip("spikingjelly")
    with pytest.raises(UserError, match=words):
        training_step(seeded(make).double(), "local")(*batch((8,)))


def test_parameters_shared_inside_a_block_are_allowed() -> None:
    pytest.importorskip("spikingjelly")
    training_step(seeded(tied).double(), "local", blocks=["3"])(*batch((8,)))
