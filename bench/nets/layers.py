"""The layers of a network as modules with explicit state: ``forward(x[K, B, ...], state) -> (y[K, B, ...], state)``.

One import for all of them; each idea has a file of its own.
"""

from bench.nets.composed import Attention, Chain, FeedbackLoop, ResidualBlock, leak
from bench.nets.norms import NORMS, StepwiseBatchNorm, StepwiseGroupNorm, StepwiseLayerNorm
from bench.nets.pointwise import AvgPool, LearnableGain, MaxPool, Rectified, Scaled, Weightless
from bench.nets.spiking import Neurons
from bench.nets.state import State, fold, leaf, leaves, map_state, shallow, state_tensors
from bench.nets.synapses import (
    LECUN_STD,
    WS_EPS,
    ConvSynapse,
    DenseSynapse,
    Presynaptic,
    Synapse,
    holding_weights,
    standardised,
)
from bench.nets.weights import aligned

__all__ = [
    "LECUN_STD",
    "NORMS",
    "WS_EPS",
    "Attention",
    "AvgPool",
    "Chain",
    "ConvSynapse",
    "DenseSynapse",
    "FeedbackLoop",
    "LearnableGain",
    "MaxPool",
    "Neurons",
    "Presynaptic",
    "Rectified",
    "ResidualBlock",
    "Scaled",
    "State",
    "StepwiseBatchNorm",
    "StepwiseGroupNorm",
    "StepwiseLayerNorm",
    "Synapse",
    "Weightless",
    "aligned",
    "fold",
    "holding_weights",
    "leaf",
    "leak",
    "leaves",
    "map_state",
    "shallow",
    "standardised",
    "state_tensors",
]
