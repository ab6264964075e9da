"""R400 of OTTT (appendix): 784 -> 400 recurrent LIF neurons -> readout, for Fashion-MNIST with T = 5.

Not stated in the paper and chosen here: the recurrent synapse is dense with bias, with default initialisation.
"""

from __future__ import annotations

from bench.spec import Dense, Flatten, Loop, NetworkSpec, Spike
from bench.zoo.vgg import OTTT_NEURON

R400 = NetworkSpec(
    name="r400/fashion-mnist",
    input=(1, 28, 28),
    classes=10,
    layers=(
        Flatten(),
        Loop(
            entry=(Dense(400, init="default"),),
            body=(Spike(OTTT_NEURON),),
            feedback=(Dense(400, init="default"),),
        ),
        Dense(10, init="default"),
    ),
    neuron=OTTT_NEURON,
    parameters=784 * 400 + 400 + 400 * 400 + 400 + 400 * 10 + 10,
    source="OTTT, Xiao et al. 2022, appendix (layer sizes only)",
)

NETWORKS = (R400,)
