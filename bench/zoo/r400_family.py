"""R400 of OTTT's appendix in eight variants of what no source states: surrogate, initial weights, dropout of neurons.

The structure is that of recurrent.py: 784 -> 400 recurrent LIF neurons -> readout, for Fashion-MNIST with T = 5.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from bench.spec import Dense, DenseInit, Flatten, Loop, NetworkSpec, NeuronSpec, Spike, Surrogate
from bench.zoo.recurrent import R400
from bench.zoo.vgg import OTTT_NEURON

SURROGATES = {"sigmoid": Surrogate("sigmoid", 4.0), "triangle": Surrogate("triangle", 1.0)}
INITS: tuple[DenseInit, ...] = ("default", "lecun")
DROPOUTS = (0.0, 0.2)


def name_of(surrogate: str, init: str, dropout: float) -> str:
    return f"r400-{surrogate}-{init}-{dropout:g}/fashion-mnist"


def _variant(surrogate: str, init: DenseInit, dropout: float) -> NetworkSpec:
    neuron: NeuronSpec = replace(OTTT_NEURON, surrogate=SURROGATES[surrogate])
    loop = Loop(entry=(Dense(400, init=init),), body=(Spike(neuron, dropout),), feedback=(Dense(400, init=init),))
    layers = (Flatten(), loop, Dense(10, init=init))
    source = "this suite: variants of OTTT's R400, of which its appendix states the layer sizes only"
    return replace(R400, name=name_of(surrogate, init, dropout), layers=layers, neuron=neuron, source=source)


NETWORKS = tuple(_variant(*each) for each in product(SURROGATES, INITS, DROPOUTS))
