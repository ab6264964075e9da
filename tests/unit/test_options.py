"""Options: an unknown name, or a value of wrong type or range, is rejected before anything is computed."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor

from bench import algorithms, backends, optimizers, probes, zoo
from bench.case import Case
from bench.errors import UserError
from bench.losses import Loss
from bench.options import Declared
from bench.plan import papers, plan
from bench.probes.check import check
from bench.registry import PROBE_OPTIONS, PROBES
from bench.spec import Conv, Dense, Flatten, NetworkSpec, NeuronSpec, Spike
from bench.training_step import recipe, support, training_step
from tests.registered import SHIPPED, shipped_by

SMALL = "vgg5-small/digits"

OF_PROBES = {name: probes.load(name).Options for name in PROBES}


def shipping() -> list[str]:
    return [name for name in SHIPPED if backends.available(name)]


def declared() -> dict[str, type[Declared]]:
    """Return every class that declares options, by name."""
    found = {f"algorithm {name}": algorithms.load(name).Options for name in algorithms.names()}
    found |= {f"backend {name}": backends.load(name).Options for name in shipping()}
    found |= {f"optimizer {name}": kind for name, kind in optimizers.KINDS.items()}
    return found | {f"probe {name}": kind for name, kind in OF_PROBES.items()} | {"loss": Loss}


WRONG: dict[type, list[Any]] = {
    int: [1.5, True, "1", math.nan, -1, [1]],
    float: ["0.1", True, math.nan, math.inf, None, -1.0, [0.1]],
    str: [3, None, True, "nonsense", ""],
    bool: [1, 0, None, "yes"],
    type(None): [1.5, True, "1", math.nan, 0, -1],
}
OPTIONS = [(of, kind, each) for of, kind in declared().items() for each in fields(kind)]


@pytest.mark.parametrize(("of", "kind", "each"), OPTIONS, ids=[f"{of} {each.name}" for of, _, each in OPTIONS])
def test_options_reject_values_of_wrong_type_or_range(of: str, kind: type[Declared], each: Any) -> None:
    wrong = WRONG[float if each.type == "float" else type(each.default)]
    for value in wrong:
        with pytest.raises(UserError) as refused:
            kind(**{each.name: value})
        assert each.name in str(refused.value)
        assert repr(value) in str(refused.value) or f"{value:g}" in str(refused.value)
        assert "use " in str(refused.value) or "known: " in str(refused.value) or "did you mean" in str(refused.value)
    assert getattr(kind(), each.name) == each.default
    assert each.metadata["meaning"]
    assert each.name in kind.meanings()


@pytest.mark.parametrize("algorithm", algorithms.names())
def test_option_names_are_unique(algorithm: str) -> None:
    """Options of an algorithm, the loss, an optimizer and a probe share one namespace."""
    owners = [algorithms.load(algorithm).Options, *(backends.load(name).Options for name in shipping())]
    for own in owners:
        for optimizer in optimizers.KINDS.values():
            names = [*own.names(), *Loss.names(), *optimizer.names(), "optimizer", *PROBE_OPTIONS]
            assert len(names) == len(set(names))


def test_probe_options_are_those_of_the_probes() -> None:
    for name, kind in OF_PROBES.items():
        assert sorted(kind.names()) == sorted(PROBES[name].options), name


@pytest.mark.parametrize("backend", backends.names())
def test_unknown_option_error_lists_the_known_ones(backend: str) -> None:
    able = [algorithm for algorithm in algorithms.names() if support(SMALL, algorithm, backend)]
    if not able:
        pytest.skip(support(SMALL, "bptt", backend).reason)
    for algorithm in able:
        with pytest.raises(
            UserError, match=rf"{algorithm} on {backend} has no option 'optimiser': did you mean optimizer.*takes"
        ):
            training_step(SMALL, algorithm, backend, device="meta", optimiser="adam")


@pytest.mark.parametrize(
    "told", [{"optimizer": "adamv"}, {"optimizer": "Adam"}, {"optimizer": 3}, {"optimizer": "adam", "momentum": 0.5}], ids=str
)
def test_recipe_rejects_unknown_optimizers_and_options_of_others(told: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"did you mean|it takes|use one of"):
        training_step(SMALL, "bptt", "native", device="meta", **told)


@pytest.mark.parametrize(
    ("algorithm", "options", "T", "reason"),
    [
        ("tbptt", {"K": 5}, 4, "K = 5 of T = 4"),
        ("ttl-bptt", {"K": 5}, 4, "K = 5 of T = 4"),
        ("replay", {"K": 5}, 4, "K = 5 of T = 4"),
        ("sltt-k", {"k": 5}, 4, "k = 5 of T = 4"),
        ("checkpointed", {"segments": 5}, 4, "segments = 5 of T = 4"),
        ("checkpointed", {"lengths": [1, 2]}, 4, "add up to 3, not T = 4"),
        ("checkpointed", {"lengths": [1.0, 3]}, 4, "whole numbers"),
        ("checkpointed", {"lengths": []}, 4, "whole numbers"),
        ("skipper", {"p": 0.5}, 9, r"p = 0\.5 is less than one per cent: did you mean 50\?"),
        ("skipper", {"p": 50}, 4, "over the bound"),
        ("sltt", {"K": 5}, 4, "K = 5 of T = 4"),
        ("ottt-a", {"K": 5}, 4, "K = 5 of T = 4"),
        ("skipper", {"p": 50, "segments": 2}, 18, "over the bound"),
    ],
    ids=str,
)  # fmt: skip
def test_support_rejects_options_that_do_not_fit_the_sequence(
    algorithm: str, options: dict[str, Any], T: int, reason: str
) -> None:
    network = "vgg5/cifar10"  # five layers of neurons
    with pytest.raises(UserError, match=reason):
        support(network, algorithm, "native", T=T, options=options)
    case = Case("p", "training", network, algorithm, "native", T, 2, options=tuple(options.items()))
    with pytest.raises(UserError, match=reason):
        check(case)


def test_training_step_rejects_replay_with_hard_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    hard = NeuronSpec(reset="hard")
    spec = NetworkSpec("hard", (4,), 2, (Dense(3), Spike(hard), Dense(2)), hard, 23, "this test")
    monkeypatch.setattr(zoo, "spec", lambda _: spec)
    with pytest.raises(UserError, match="a hard reset cannot be undone"):
        training_step("hard", "replay", "native")


@pytest.mark.parametrize(
    ("probe", "options", "reason"),
    [
        ("training", {"epochs": 1.5}, "epochs = 1.5"),
        ("training", {"epochs": 0}, "epochs = 0"),
        ("training", {"train_images": True}, "train_images = True"),
        ("training", {"test_images": "all"}, "test_images = 'all'"),
        ("training", {"repeats": 3}, "has no option 'repeats'"),
        ("training", {"accumulate": 0}, "accumulate = 0"),
        ("clock", {"repeats": 1}, "repeats = 1"),
        ("clock", {"epochs": 3}, "has no option 'epochs'"),
        ("cost", {"epochs": 3}, "has no option 'epochs'"),
        ("cost", {"b": 1.5}, "has no option 'b'"),
    ],
    ids=str,
)
def test_check_rejects_invalid_probe_options(probe: str, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        check(Case("p", probe, SMALL, "bptt", "native", 4, 2, options=tuple(options.items())))


@pytest.mark.parametrize("wrong", [{"T": 2.5}, {"T": True}, {"batch": "8"}, {"seed": None}], ids=str)
def test_case_rejects_numbers_that_are_not_whole(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="is not a whole number"):
        Case(
            **{"paper": "p", "probe": "cost", "network": SMALL, "algorithm": "bptt", "backend": "native", "T": 2, "batch": 2}
            | wrong
        )


@pytest.mark.parametrize("backend", shipping())
def test_check_names_what_a_probe_needs_of_shipped_implementations(backend: str) -> None:
    for probe, reason in (("count", "shipped implementation"), ("gradient", "BPTT on the same backend")):
        algorithm = shipped_by(backend, SMALL)
        if algorithm is None:
            continue
        answer = check(Case("p", probe, SMALL, algorithm, backend, 4, 2))
        if probe == "gradient" and support(SMALL, "bptt", backend):
            assert answer
        else:
            assert reason in answer.reason


@pytest.mark.parametrize("paper", papers())
def test_check_accepts_every_planned_case(paper: str) -> None:
    cases = plan(paper, "full", lambda _: True)
    assert cases
    for case in cases:
        check(case)  # raises if an option is invalid


# --------------------------------------------------------------------------- optimizers


def test_recipe_lists_every_value() -> None:
    told = recipe("tbptt", "native", {"K": 3, "optimizer": "rmsprop", "smoothing": 0.9}).as_dict()
    assert told == {
        "K": 3, "update": "end", "alpha": 0.05, "squared_target": "one-hot", "optimizer": "rmsprop", "lr": 0.01,
        "smoothing": 0.9, "eps": 1e-8, "momentum": 0.0, "centered": False, "weight_decay": 0.0,
    }  # fmt: skip


TORCHS = {
    "sgd": ({"momentum": 0.5, "nesterov": True, "weight_decay": 0.1}, torch.optim.SGD,
            {"momentum": 0.5, "nesterov": True, "weight_decay": 0.1}),
    "adam": ({"beta1": 0.8, "beta2": 0.9, "eps": 1e-4}, torch.optim.Adam, {"betas": (0.8, 0.9), "eps": 1e-4}),
    "adamw": ({"weight_decay": 0.3}, torch.optim.AdamW, {"weight_decay": 0.3, "betas": (0.9, 0.999)}),
    "adamax": ({"beta2": 0.9}, torch.optim.Adamax, {"betas": (0.9, 0.9), "lr": 2e-3}),
    "rmsprop": ({"smoothing": 0.8, "momentum": 0.1, "centered": True}, torch.optim.RMSprop,
                {"alpha": 0.8, "momentum": 0.1, "centered": True}),
}  # fmt: skip


@pytest.mark.parametrize("name", optimizers.KINDS)
def test_optimizers_are_those_of_pytorch(name: str) -> None:
    options, kind, group = TORCHS[name]
    made = training_step(SMALL, "bptt", "native", device="meta", optimizer=name, **options).optimizer
    assert type(made) is kind
    assert {key: made.param_groups[0][key] for key in group} == group


# --------------------------------------------------------------------------- gradients of several batches


@pytest.mark.parametrize("algorithm", algorithms.names())
def test_gathered_gradients_equal_those_of_the_joint_batch(algorithm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also for unequal batches, on a network without batch norm or dropout. Skipper is excluded: it chooses steps per batch."""
    neuron = NeuronSpec(threshold=0.3)
    layers = (Conv(4), Spike(neuron), Conv(4), Spike(neuron), Flatten(), Dense(3, init="default"))
    spec = NetworkSpec("chain", (2, 4, 4), 3, layers, neuron, 419, "this test")
    monkeypatch.setattr(zoo, "spec", lambda _: spec)
    if not support("chain", algorithm, "native"):
        layers = (Dense(4, init="default"), Spike(neuron), Dense(3, init="default"), Spike(neuron))
        spec = NetworkSpec("dense", (8,), 3, layers, neuron, 51, "this test")
    options: dict[str, Any] = {"ttl-bptt": {"update": "end"}, "skipper": {"p": 0}}.get(algorithm, {})
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(6, 5, *spec.input, generator=generator, dtype=torch.float64), torch.tensor([0, 1, 2, 1, 0])

    def gradient(parts: list[int]) -> Tensor:
        step = training_step("chain", algorithm, "native", **options)
        step.net.double()
        for part_x, part_y in zip(x.split(parts, 1), y.split(parts), strict=True):
            torch.manual_seed(0)
            step.accumulate(part_x, part_y, len(part_y) / len(y))
        return torch.cat([p.grad.flatten() for p in step.net.parameters() if p.grad is not None])

    if algorithm == "ottt-o":
        with pytest.raises(UserError, match="use accumulate = 1"):
            gradient([5])
        return
    whole = gradient([5])
    assert float(whole.norm()) > 0
    torch.testing.assert_close(gradient([2, 2, 1]), whole, rtol=1e-9, atol=1e-12)
