"""An invalid value in any field of a layer or neuron is an error in its constructor."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from bench.backends import native
from bench.errors import UserError
from bench.nets.build import build
from bench.spec import (
    AdaptiveAvgPool,
    AdaptiveLIF,
    Attention,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    Gain,
    GroupNorm,
    Layer,
    LayerNorm,
    Loop,
    MaxPool,
    NetworkSpec,
    Neuron,
    NeuronSpec,
    ParametricLIF,
    RefractoryLIF,
    ReLU,
    Residual,
    Scale,
    Spike,
    Surrogate,
    SynapticLIF,
    every_layer,
)
from bench.zoo import names
from bench.zoo import spec as network

NEURON = NeuronSpec()
EXAMPLES = (
    Surrogate(), NEURON, Conv(3), Dense(3), BatchNorm(), Spike(NEURON), Scale(2.0), Gain(2.0), AvgPool(2, 2), AdaptiveAvgPool(1),
    Flatten(), ReLU(), Residual((), (Flatten(),)), Loop((), (Flatten(),), ()),
    MaxPool(2, 2), GroupNorm(1), LayerNorm(), Attention((), (), ()),
    ParametricLIF(), SynapticLIF(), AdaptiveLIF(), RefractoryLIF(),
    NetworkSpec("one", (2,), 2, (Flatten(),), NEURON, 0, "this test"),
)  # fmt: skip


def wrong_values(hint: Any) -> list[Any]:
    if get_origin(hint) is Literal:
        return ["none", "", None, 3]
    if hint == tuple[Layer, ...]:
        return ["Conv", (3,), [Flatten()], None]
    return {
        int: [1.5, True, "1", -1, None],
        float: [math.nan, math.inf, "1", True, None],
        bool: [1, "yes", None],
        tuple[int, ...]: [(0,), (2, 1.5)],
        NeuronSpec: ["LIF", None],
        Neuron: ["LIF", None],
        Surrogate: ["sigmoid", None],
    }[hint]


def cases() -> list[Any]:
    found = []
    for example in EXAMPLES:
        hints = get_type_hints(type(example))
        for field in fields(example):
            if field.name in ("name", "source", "parameters"):  # free text, and a count that is checked when the network is built
                continue
            for value in wrong_values(hints[field.name]):
                found.append(pytest.param(example, field.name, value, id=f"{type(example).__name__}.{field.name}={value}"))
    return found


def test_examples_include_every_layer():
    assert {type(example) for example in EXAMPLES} == {*get_args(Layer), *get_args(Neuron), Surrogate, NetworkSpec}


@pytest.mark.parametrize(("example", "field", "value"), cases())
def test_layers_reject_values_of_the_wrong_kind(example, field, value):
    with pytest.raises(UserError):
        replace(example, **{field: value})


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: NeuronSpec(decay=1.01), "decay of a neuron = 1.01: use 0 <= decay <= 1"),
        (lambda: NeuronSpec(decay=-0.1), "decay of a neuron = -0.1"),
        (lambda: NeuronSpec(threshold=0), "threshold of a neuron = 0: use a finite number > 0"),
        (lambda: NeuronSpec(reset="none"), "unknown reset of a neuron 'none': known: hard, soft"),
        (lambda: Surrogate("sigmoyd"), "unknown surrogate 'sigmoyd': did you mean sigmoid"),
        (lambda: Surrogate(alpha=0.0), "alpha of a surrogate = 0.0"),
        (lambda: Spike(NEURON, 1.0), "dropout = 1.0: use 0 <= dropout < 1"),
        (lambda: Spike(NEURON, -0.5), "dropout = -0.5"),
        (lambda: ParametricLIF(NeuronSpec(decay=1.0)), "decay of a neuron = 1.0: use 0 < decay < 1 where it is learnt through"),
        (lambda: RefractoryLIF(steps=128), "steps of a refractory period = 128: use at most 127"),
        (lambda: MaxPool(2, 2, 2), "padding of a pool = 2: use at most half of kernel = 2"),
        (lambda: Residual((), (), (), "body"), "unknown shortcut_of of a residual block 'body': known: activated, input"),
    ],
    ids=[
        "decay over 1",
        "decay under 0",
        "threshold",
        "reset",
        "surrogate",
        "alpha",
        "dropout",
        "dropout under 0",
        "learnt decay",
        "refractory steps",
        "padding",
        "shortcut_of",
    ],
)
def test_layer_errors_name_value_and_remedy(make, told):
    with pytest.raises(UserError) as error:
        make()
    assert told in str(error.value)


def test_layers_accept_values_at_the_bounds():
    for decay in (0, 1, 0.0, 1.0):
        assert NeuronSpec(decay=decay, threshold=1).decay == decay
    assert Spike(NEURON, 0).dropout == 0


@pytest.mark.parametrize("name", names())
def test_every_layer_includes_nested_layers(name):
    """It finds as many layers of neurons as the built network has."""
    found = [layer for layer in every_layer(network(name).layers) if isinstance(layer, Spike)]
    assert len(found) == len(build(network(name), native, "meta").neurons())
