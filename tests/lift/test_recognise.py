"""What is recognised of a user's module: time, neurons, states, synapses that read spikes, blocks, and what is unknown."""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.errors import UserError
from bench.lift import frameworks
from bench.lift.recognition.recognise import Recognised, recognise
from bench.lift.recognition.twin import Fake, Meta, TensorKind, twin

sys.path.insert(0, str(Path(__file__).parent))
from nets import FRAME, NETS, STEPS, SjLoop, SjRepeats, SnnTutorial, seeded, sj_convolutional, snn_recurrent, snn_sequential


def recognised(net: nn.Module, T: int = STEPS, kind: TensorKind | None = None, **options: Any) -> Recognised:
    kind = kind or Meta()
    return recognise(twin(net, kind), FRAME, T, kind, **options)


def reads(found: Recognised) -> dict[str, bool]:
    return {synapse.path: synapse.reads_spikes for synapse in found.synapses}


@pytest.mark.sampled(every=3)
@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("T", [2, 3, STEPS])
def test_time_is_recognised_for_any_number_of_steps(name: str, T: int) -> None:
    make, time, takes = NETS[name]
    if name in ("sj-repeats", "snn-tutorial") and T != STEPS:
        pytest.skip("has a number of its own")
    found = recognised(seeded(make), T)
    assert (found.time, found.takes) == (time, takes)
    assert found.averages == (name in ("sj-averaging", "sj-repeats"))
    assert found.own_steps == (STEPS if name in ("sj-repeats", "snn-tutorial") else None)


@pytest.mark.sampled(every=2)
@pytest.mark.parametrize("name", NETS)
def test_fake_tensors_show_the_same(name: str) -> None:
    assert recognised(seeded(NETS[name][0])) == recognised(seeded(NETS[name][0]), kind=Fake())


def test_parts_of_a_spikingjelly_network() -> None:
    found = recognised(sj_convolutional("m", dropout=True))
    assert found.frameworks == ("SpikingJelly",)
    assert [(neuron.path, neuron.kind, neuron.states, neuron.binary) for neuron in found.neurons] == [
        ("2", "LIFNode", ("v",), True),
        ("5", "ParametricLIFNode", ("v",), True),
        ("10", "IFNode", ("v",), True),
    ]
    assert found.states == ("2.v", "5.v", "8.mask", "10.v")
    assert reads(found) == {"0": False, "4": True, "9": False}  # average pooling makes several levels
    assert found.blocks == tuple(map(str, range(11)))
    assert list(found.over_time) == ["1"]
    assert found.output == (STEPS, 2, 4)


def test_parts_of_an_snntorch_network() -> None:
    found = recognised(snn_sequential())
    assert [(neuron.kind, neuron.states) for neuron in found.neurons] == [
        ("Leaky", ("mem",)),
        ("Synaptic", ("syn", "mem")),
        ("Leaky", ("mem",)),
    ]
    assert reads(found) == {"0": False, "4": True, "6": True}  # max pooling and flattening keep spikes


def test_recurrent_synapses_read_spikes_of_the_step_before() -> None:
    found = recognised(snn_recurrent())
    assert reads(found) == {"1": False, "2.recurrent": True, "3": True, "5": True, "6.recurrent": True}
    assert found.states == ("2.spk", "2.mem", "4.syn_exc", "4.syn_inh", "4.mem", "6.spk", "6.syn", "6.mem")


def test_batch_norm_ties_time_steps_only_where_a_call_has_several() -> None:
    pytest.importorskip("spikingjelly")
    from spikingjelly.activation_based import layer, neuron

    def net(norm: nn.Module, mode: str) -> nn.Module:
        return nn.Sequential(layer.Conv2d(2, 3, 3, step_mode=mode), norm, neuron.IFNode(step_mode=mode))

    assert list(recognised(net(layer.BatchNorm2d(3, step_mode="m"), "m")).over_time) == ["1"]
    assert list(recognised(net(layer.SeqToANNContainer(nn.BatchNorm2d(3)), "m")).over_time) == ["1.0"]
    assert recognised(net(layer.MultiStepContainer(nn.BatchNorm2d(3)), "m")).over_time == {}
    assert recognised(net(layer.BatchNorm2d(3, step_mode="s"), "s")).over_time == {}
    assert recognised(net(nn.BatchNorm2d(3), "s")).over_time == {}


def test_dropout_keeps_spikes_binary() -> None:
    snn = pytest.importorskip("snntorch")
    parts = (nn.Flatten(), nn.Linear(128, 8), snn.Leaky(beta=0.9, init_hidden=True), nn.Dropout(0.5), nn.Linear(8, 4))
    assert reads(recognised(nn.Sequential(*parts)))["4"]


def test_network_with_a_side_branch_is_no_chain() -> None:
    class Branched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.main, self.side, self.last = sj_convolutional("m", norm=False), sj_convolutional("m", norm=False), nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.main(x) + self.side(x))

    assert recognised(Branched()).blocks == ()


def test_state_of_its_own_is_found() -> None:
    class Trace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("trace", torch.zeros(()), persistent=False)

        def forward(self, x: Tensor) -> Tensor:
            self.trace = 0.9 * self.trace + x.detach().mean()
            return x

    assert recognised(nn.Sequential(Trace(), *snn_sequential())).other_state == ("0.trace",)
    assert recognised(snn_sequential()).other_state == ()


@pytest.mark.parametrize("name", NETS)
def test_everything_recognised_is_json(name: str) -> None:
    found = recognised(seeded(NETS[name][0]))
    assert json.loads(json.dumps(found.as_dict()))["time"] == found.time


# --------------------------------------------------------------------------- unclear


def test_module_that_returns_no_state_is_refused() -> None:
    class Forgets(nn.Module):
        def forward(self, x: Tensor, state: Any = None) -> Tensor:
            return x

    with pytest.raises(UserError, match=r"takes 1 state beside the input .* returns a Tensor: return \(output, state\)"):
        recognised(Forgets())


def test_loop_of_another_length_is_refused() -> None:
    with pytest.raises(UserError, match="repeats its input for 5 time steps itself: use T = 5"):
        recognised(SnnTutorial(), T=7)


def test_loop_over_an_image_takes_no_frames() -> None:
    with pytest.raises(UserError, match="loops over 5 time steps of one image, so it takes no frames"):
        recognised(SnnTutorial(), encoding="frames")


def test_neurons_that_run_too_often_are_refused() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = SjLoop()

        def forward(self, x: Tensor) -> Tensor:
            self.body(x)
            return self.body(x)

    with pytest.raises(UserError, match=r"Twice\.body\.body"):
        recognised(Twice())


def test_own_number_of_steps_gives_way_to_a_sequence() -> None:
    found = recognised(SjRepeats(5), T=3, encoding="frames")
    assert (found.takes, found.own_steps) == ("sequence", 5)


# --------------------------------------------------------------------------- neurons of the frameworks


def spikingjelly_neurons() -> list[str]:
    try:
        from spikingjelly.activation_based import neuron
    except ImportError:
        return []
    return [name for name, kind in vars(neuron).items() if inspect.isclass(kind) and issubclass(kind, nn.Module)]


@pytest.mark.parametrize("name", spikingjelly_neurons())
def test_neurons_said_to_be_binary_emit_two_values(name: str) -> None:
    """On random input; those that need more than the usual arguments are left out."""
    from spikingjelly.activation_based import neuron

    from bench.lift.frameworks import spikingjelly

    made = None
    for options in ({}, {"T": 4}, {"T": 4, "k": 2}, {"k": 2}, {"tau": 2.0, "decay_input": True}):
        try:
            made = getattr(neuron, name)(**options)
        except (TypeError, AssertionError, ValueError, RuntimeError):
            continue
        break
    if made is None or name in ("AdaptBaseNode", "BaseNode", "SimpleBaseNode", "NonSpikingBaseNode"):
        pytest.skip("needs more than the usual arguments")
    net = nn.Sequential(made)
    assert spikingjelly.neurons(net)
    if hasattr(made, "step_mode") and "m" in made.supported_step_mode() and name != "OTTTLIFNode":
        made.step_mode = "m"
    torch.manual_seed(0)
    x = 2 * torch.randn(4, 3, 5) + 0.5
    out = made(x if getattr(made, "step_mode", "m") == "m" else x[0])
    values = (out[0] if isinstance(out, list | tuple) else out).detach().unique()
    if spikingjelly.binary(made):
        assert len(values) <= 2
        assert values[0] == 0


def test_every_adapter_has_what_the_protocol_asks() -> None:
    for package, where in frameworks.ADAPTERS.items():
        adapter: Any = pytest.importorskip(package) and __import__(where, fromlist=["name"])
        asked = [name for name in vars(frameworks.Framework) if not name.startswith("_")]
        assert all(callable(getattr(adapter, name)) for name in asked)
        assert adapter.name
