"""Small networks around one kind of neurons or stateful layers each, on frames [6]; for tests of all kinds that there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from nets import fire
from torch import Tensor, nn

FEATURES, CLASSES, STEPS = 6, 3, 5


def around(layer: nn.Module, out: int = 8) -> nn.Sequential:
    return nn.Sequential(nn.Linear(FEATURES, 8), layer, nn.Linear(out, CLASSES))


def multi_step(net: nn.Module) -> nn.Module:
    from spikingjelly.activation_based import functional

    functional.set_step_mode(net, "m")
    return net


def spikingjelly() -> dict[str, Callable[[], nn.Module]]:
    from spikingjelly.activation_based import layer, neuron, surrogate

    smooth: dict[str, Any] = {"surrogate_function": surrogate.ATan()}
    kinds: dict[str, Callable[[], nn.Module]] = {
        "IFNode": lambda: neuron.IFNode(**smooth),
        "LIFNode": lambda: neuron.LIFNode(**smooth),
        "LIFNode, potentials stored": lambda: neuron.LIFNode(store_v_seq=True, **smooth),
        "LIFNode, resets to -0.5": lambda: neuron.LIFNode(v_reset=-0.5, **smooth),
        "LIFNode, smooth": lambda: neuron.LIFNode(surrogate_function=surrogate.Sigmoid(spiking=False)),
        "SimpleLIFNode": lambda: neuron.SimpleLIFNode(tau=2.0, decay_input=True, **smooth),
        "ParametricLIFNode": lambda: neuron.ParametricLIFNode(**smooth),
        "QIFNode": lambda: neuron.QIFNode(**smooth),
        "EIFNode": lambda: neuron.EIFNode(**smooth),
        "IzhikevichNode": lambda: neuron.IzhikevichNode(**smooth),
        "KLIFNode": lambda: neuron.KLIFNode(**smooth),
        "ComplementaryLIFNode": lambda: neuron.ComplementaryLIFNode(**smooth),
        "CUBALIFNode": lambda: neuron.CUBALIFNode(**smooth),
        "TernaryLIFNode": lambda: neuron.TernaryLIFNode(),
        "ILIFNode": lambda: neuron.ILIFNode(),
        "SlidingPSN": lambda: neuron.SlidingPSN(k=2, **smooth),
        "SynapseFilter": lambda: nn.Sequential(neuron.LIFNode(**smooth), layer.SynapseFilter(tau=3.0, learnable=True)),
        "Delay": lambda: nn.Sequential(neuron.LIFNode(**smooth), layer.Delay(2)),
        "Dropout": lambda: nn.Sequential(neuron.LIFNode(**smooth), layer.Dropout(0.3)),
        "DropConnectLinear": lambda: nn.Sequential(neuron.LIFNode(**smooth), layer.DropConnectLinear(8, 8)),
        "LinearRecurrentContainer": lambda: layer.LinearRecurrentContainer(neuron.LIFNode(**smooth), 8, 8),
        "ElementWiseRecurrentContainer": lambda: layer.ElementWiseRecurrentContainer(
            neuron.LIFNode(**smooth), element_wise_function=lambda x, y: x + y
        ),
        "BatchNormThroughTime1d": lambda: nn.Sequential(layer.BatchNormThroughTime1d(STEPS, 8), neuron.LIFNode(**smooth)),
    }
    whole: dict[str, Callable[[], nn.Module]] = {
        "PSN": lambda: neuron.PSN(T=STEPS, **smooth),
        "MaskedPSN": lambda: neuron.MaskedPSN(k=2, T=STEPS, **smooth),
        "TemporalEffectiveBatchNorm1d": lambda: nn.Sequential(
            layer.TemporalEffectiveBatchNorm1d(STEPS, 8), neuron.LIFNode(**smooth)
        ),
    }
    single = {f"SpikingJelly {name}, s": (lambda make=make: around(make())) for name, make in kinds.items()}
    multi = {f"SpikingJelly {name}, m": (lambda make=make: multi_step(around(make()))) for name, make in (kinds | whole).items()}
    return single | multi


def snntorch() -> dict[str, Callable[[], nn.Module]]:
    import snntorch as snn

    kept: dict[str, Any] = {"init_hidden": True, "spike_grad": fire}
    each = torch.linspace(0.5, 0.9, 8)
    return {
        f"snnTorch {name}": (lambda make=make: around(make()))
        for name, make in {
            "Leaky": lambda: snn.Leaky(beta=0.9, **kept),
            "Leaky, learnt": lambda: snn.Leaky(beta=0.9, learn_beta=True, learn_threshold=True, **kept),
            "Leaky, a decay for each": lambda: snn.Leaky(beta=each, learn_beta=True, **kept),
            "Leaky, graded": lambda: snn.Leaky(beta=0.9, graded_spikes_factor=0.5, learn_graded_spikes_factor=True, **kept),
            "Leaky, resets to zero at once": lambda: snn.Leaky(beta=0.9, reset_mechanism="zero", reset_delay=False, **kept),
            "Lapicque": lambda: snn.Lapicque(beta=0.9, **kept),
            "Synaptic": lambda: snn.Synaptic(alpha=0.8, beta=0.9, learn_alpha=True, **kept),
            "Alpha": lambda: snn.Alpha(alpha=0.9, beta=0.8, **kept),
            "RLeaky": lambda: snn.RLeaky(beta=0.9, linear_features=8, **kept),
            "RLeaky, one to one": lambda: snn.RLeaky(beta=0.9, all_to_all=False, V=0.5, learn_recurrent=True, **kept),
            "RSynaptic": lambda: snn.RSynaptic(alpha=0.8, beta=0.9, linear_features=8, **kept),
        }.items()
    }


def run(net: nn.Module, x: Tensor, multi: bool) -> Tensor:
    """The loop that the author of the network would write."""
    from spikingjelly.activation_based import functional

    functional.reset_net(net)
    out: Tensor = net(x) if multi else torch.stack([net(frame) for frame in x])
    functional.reset_net(net)
    return out
