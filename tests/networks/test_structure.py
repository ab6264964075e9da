"""Every network of the catalogue compared with an independent implementation (naive.py): shapes, outputs and gradients."""

from __future__ import annotations

import re
from dataclasses import replace
from math import prod
from typing import Any

import pytest
import torch
from torch import Tensor

from bench import backends, zoo
from bench.kernels import compiler
from bench.nets.build import Network, build
from bench.nets.layers import aligned
from bench.probes.equivalence import in_double
from bench.spec import NetworkSpec, Spike, every_layer
from tests.networks import naive, naive_beyond_lif
from tests.networks.pieces import Parameters, Wanted

OWN = "this suite"  # prefix of ``source`` for networks that are in no paper or public code


STATEMENTS = {**naive.STATEMENTS, **naive_beyond_lif.STATEMENTS}


def statement(name: str) -> Any:
    """Return ``forward(parameters, x)`` of naive.py; only this suite's own networks may lack one."""
    kind, dataset = name.split("/")
    if kind not in STATEMENTS:
        source = zoo.spec(name).source
        assert source.startswith(OWN), f"{name}, of {source}, has no second statement of its structure: add it to naive.py"
        pytest.skip(f"{name} is this suite's own")
    base = dataset.rstrip("0123456789").rstrip("-") if dataset.startswith("cifar10-dvs") else dataset
    return lambda w, x: STATEMENTS[kind](w, x, base)


def wanted(name: str, shape: tuple[int, ...]) -> tuple[list[tuple[int, ...]], tuple[int, ...]]:
    """Return the shapes of parameters and output (two time steps, three samples) according to naive.py."""
    w = Wanted()
    out = statement(name)(w, torch.empty(2, 3, *shape, device="meta"))
    return w.shapes, tuple(out.shape)


@pytest.mark.parametrize("name", zoo.names())
def test_parameters_have_the_shapes_of_the_fact_sheets(name):
    spec = zoo.spec(name)
    shapes, out = wanted(name, spec.input)
    net = build(spec, backends.load("native"), "meta")
    assert [tuple(parameter.shape) for _, parameter in aligned(net)] == shapes
    assert sum(map(prod, shapes)) == spec.parameters
    assert out == (2, 3, spec.classes)


# --------------------------------------------------------------------------- in numbers

SMALLER = {28: 28, 32: 16, 34: 18, 42: 18, 48: 16, 128: 16, 224: 32}  # reduced image sizes for the same structure
AT_LEAST = {"resnet18": 32, "vgg11-bn": 32}  # so that at least one pixel remains after their pools


def smaller(name: str) -> NetworkSpec:
    spec = zoo.spec(name)
    kind = name.split("/")[0]
    sides = [max(SMALLER[n], AT_LEAST.get(kind, 0)) for n in spec.input[1:]]
    shape = (spec.input[0], *sides)
    return replace(spec, input=shape, parameters=sum(map(prod, wanted(name, shape)[0])))


def drawn(net: Network) -> None:
    """Draw nonzero weights for which every layer fires."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in aligned(net):
            noise = torch.randn(parameter.shape, generator=generator)
            if name == "weight" and parameter.dim() > 1:
                parameter.copy_(3 * noise * parameter[0].numel() ** -0.5)
            else:
                parameter.copy_(0.1 * noise + {"bias": 0.0, "decay": 0.5}.get(name, 1.0))


def gradients(outs: Tensor, parameters: list[Tensor], weights: Tensor) -> list[Tensor]:
    """Return the gradients in ``.grad``; recomputed layers leave them only there."""
    for parameter in parameters:
        parameter.grad = None
    (outs * weights).sum().backward()
    return [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]


def assert_is_its_statement(name: str, backend: str, T: int = 3, batch: int = 2) -> None:
    with in_double():
        spec = smaller(name)
        net = build(spec, backends.load(backend)).train()
        drawn(net)
        generator = torch.Generator().manual_seed(4)
        coarse = torch.randn(T, batch, spec.input[0], *(-(-n // 4) for n in spec.input[1:]), generator=generator)
        x = 2 * coarse
        if len(spec.input) == 3:  # smooth in space
            x = x.repeat_interleave(4, -1).repeat_interleave(4, -2)[..., : spec.input[1], : spec.input[2]]
        weights = torch.randn(T, batch, spec.classes, generator=generator)
        parameters = [parameter for _, parameter in aligned(net)]
        torch.manual_seed(5)  # neuron dropout: the same masks for both
        outs, _ = net.window(x, net.initial_state(batch))
        mine = gradients(outs, parameters, weights)
        torch.manual_seed(5)
        w = Parameters(parameters)
        stated = statement(name)(w, x)
        assert not w.left
        expected = gradients(stated, parameters, weights)
    assert float(stated.detach().std()) > 1e-3
    torch.testing.assert_close(outs, stated, rtol=1e-9, atol=1e-9)
    whole = torch.stack([g.norm() for g in expected]).norm()
    for own, other in zip(mine, expected, strict=True):
        assert float((own - other).norm()) < 1e-9 * max(float(other.norm()), 1e-3 * float(whole))


def drops(name: str) -> bool:
    return any(isinstance(layer, Spike) and layer.dropout > 0 for layer in every_layer(zoo.spec(name).layers))


KINDS = {name.split("/")[0]: name for name in sorted(zoo.names(), key=drops)}  # one per kind, with dropout if possible
DEEP = re.compile("nf-resnet(50|101)|vgg-f/|vgg-sws-ann/")  # seconds each; a network of the same layers stays


def marks(name: str) -> list[pytest.MarkDecorator]:
    if name not in KINDS.values():
        return [pytest.mark.full]
    return [pytest.mark.slow] if DEEP.match(name) else []


EVERY = [pytest.param(name, marks=marks(name), id=name) for name in zoo.names()]


@pytest.mark.sampled(every=3)
@pytest.mark.parametrize("name", EVERY)
def test_outputs_and_gradients_equal_the_naive_network(name):
    assert_is_its_statement(name, "native")


@pytest.mark.full
@pytest.mark.skipif(not compiler.available(), reason=compiler.available().reason)
@pytest.mark.parametrize("backend", ["native-fast", "native-balanced", "native-small"])
@pytest.mark.parametrize("name", sorted(KINDS.values()))
def test_native_modes_equal_the_naive_network(name, backend):
    assert_is_its_statement(name, backend)
