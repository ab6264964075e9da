"""A user's module made ready for an algorithm: the network with explicit state that the algorithm's file is written for.

bptt, checkpointed, skipper, tbptt, sltt, sltt-k     the module as it is (stepped.py)
ottt-a, ottt-o                                       the same, its synapses with ports for traces (ports.py)
replay                                               the same, its neurons with the settings that run them backwards in time
local, ttl-bptt                                      a chain of blocks with classifiers (blocks.py)
ottt-dense, ostl, approximate-otpe, otpe             a chain of linear layers and neurons (dense.py)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from bench import algorithms
from bench.algorithms import replay
from bench.errors import UserError
from bench.lift.frameworks.lif import Lif
from bench.lift.recognition.chain import Link, chain_of
from bench.lift.recognition.origins import inputs_of_synapses
from bench.lift.recognition.parts import dropouts
from bench.lift.recognition.recognise import Recognised
from bench.lift.recognition.timing import given
from bench.lift.recognition.trial import Trials
from bench.lift.running.blocks import block_network, cut
from bench.lift.running.dense import DenseChain, dense_chain
from bench.lift.running.ports import Port, port_of, unported
from bench.lift.running.stepped import Known, Lifted
from bench.nets.layers import Presynaptic
from bench.options import Declared
from bench.spec import Flatten, NetworkSpec, NeuronSpec, Spike


@dataclass(frozen=True)
class Given:
    """A user's module, and a copy of it without storage to try things on; ``ends``: names of the last parts of blocks."""

    module: nn.Module
    trials: Trials
    recognised: Recognised
    frame: tuple[int, ...]
    options: Declared
    ends: Sequence[str] | None = None

    @property
    def once(self) -> bool:
        return self.recognised.time != "multi-step"

    def example(self) -> tuple[object, ...]:
        return given(self.trials, self.recognised.takes, self.recognised.state_arguments)

    def at(self, path: str) -> str:
        """Return the path of a part with the name of the module before it."""
        return f"{self.recognised.module}.{path}"

    def links(self) -> list[Link]:
        return chain_of(self.trials, self.example(), 1 if self.once else 2)

    def leaks(self) -> dict[str, float]:
        """Return the decay of each layer of neurons. Raises UserError, with the path, if one is no constant number."""
        found = {}
        for path, neuron in self.trials.neurons.items():
            decay = self.trials.owner[path].leak(neuron)
            if isinstance(decay, str):
                raise UserError(f"{self.at(path)} {decay}, and the traces decay by one constant factor: use sltt")
            found[path] = decay
        return found


@dataclass(frozen=True)
class Prepared:
    """``net``: what the algorithm trains; ``entry``: makes its input of the user's sequence x [T, B, ...]; ``blocks``: how many
    losses there are, of which the last is that of the module's own output; ``classifiers``: what is trained beside the module."""

    net: Any
    entry: Callable[[Tensor], Tensor] = lambda x: x
    blocks: int = 1
    classifiers: nn.Module | None = None


def prepared(algorithm: str, it: Given) -> Prepared:
    """Return the module ready for an algorithm. Raises UserError, with the path and the remedy, if it does not apply."""
    return _WAYS.get(algorithm, _as_it_is)(algorithm, it)


def _as_it_is(algorithm: str, it: Given) -> Prepared:
    net = Lifted(it.module, it.frame, it.recognised)
    return Prepared(algorithms.load(algorithm).prepare(net, it.options))


# --------------------------------------------------------------------------- traces of synapses


def _with_ports(algorithm: str, it: Given) -> Prepared:
    decays = it.leaks()
    if len(set(decays.values())) > 1:
        one, other = _two_of({it.at(path): decay for path, decay in decays.items()})
        raise UserError(f"{one} and {other}: the traces of {algorithm} have one decay for all synapses; use sltt")
    if not decays:
        raise UserError(f"{it.recognised.module} has no neurons that are known, and the traces have their decay: use sltt")
    ports = _ports(it)
    decay = next(iter(decays.values()))
    spec = Known(it.frame, it.recognised.output[2] if len(it.recognised.output) > 2 else 1, NeuronSpec(decay))
    net = Lifted(it.module, it.frame, it.recognised, ports, spec)
    return Prepared(algorithms.load(algorithm).prepare(net, it.options))


def _two_of(decays: Mapping[str, float]) -> tuple[str, str]:
    (path, decay), *others = decays.items()
    other = next(name for name, value in others if value != decay)
    return f"{path} decays by {decay:g}", f"{other} by {decays[other]:g}"


def _ports(it: Given) -> dict[str, Port]:
    found: dict[str, Port] = {}
    for read in inputs_of_synapses(it.trials, it.example()):
        if read.origin == "analog":
            raise UserError(
                f"{it.at(read.path)} reads real numbers in place of spikes, and traces are of spikes: put neurons before it, "
                "or use sltt"
            )
        if read.runs > 1:
            raise UserError(f"{it.at(read.path)} runs {read.runs} times in a time step, and its trace is of one input: use sltt")
        presynaptic: Presynaptic = "spikes" if read.origin == "spikes" else "analog"
        found[read.path] = port_of(it.at(read.path), it.module.get_submodule(read.path), presynaptic)
    missed = unported(it.module, list(found))
    if missed is not None:
        raise UserError(f"{it.at(missed)} belongs to no convolution or linear layer, so that it has no trace: use sltt")
    return found


# --------------------------------------------------------------------------- backwards in time


def _backwards(algorithm: str, it: Given) -> Prepared:
    chosen: Any = it.options
    if it.recognised.time not in ("single-step", "multi-step"):
        raise UserError("its neurons are not run from outside of forward: keep the state in the neurons (init_hidden, step_mode)")
    if chosen.K > 1 and it.once:
        raise UserError(f"K = {chosen.K}: a window of several steps runs backwards layer by layer; use K = 1, or multi-step mode")
    lifs = []
    for path, neuron in it.trials.neurons.items():
        lif = it.trials.owner[path].lif(neuron)
        if not isinstance(lif, Lif):
            raise UserError(
                f"{it.at(path)} {lif}, and replay runs LIF neurons with constant settings backwards: use checkpointed"
            )
        if lif.surrogate is None:
            raise UserError(
                f"{it.at(path)} has a surrogate that replay does not have: use sigmoid or arctangent, or checkpointed"
            )
        able = replay.supports(_of_neurons(lif.spec()))
        if not able:
            raise UserError(f"{it.at(path)}: {able.reason}")
        lifs.append(lif)
    known = {*it.trials.neurons, *(path for path, module in it.trials.net.named_modules() if module in dropouts(it.trials.net))}
    other = next(
        (slot for adapter in it.trials.adapters for slot in adapter.slots(it.trials.net) if slot.path not in known), None
    )
    if other is not None:
        raise UserError(f"{it.at(other.key)} is a state that cannot be recomputed backwards in time: use checkpointed")
    noise = _draws(it.trials.net)
    if noise is not None:
        raise UserError(f"{it.at(noise)} draws random numbers at every time step, which replay does not repeat: use checkpointed")
    net = Lifted(it.module, it.frame, it.recognised, lifs=lifs)
    return Prepared(algorithms.load(algorithm).prepare(net, it.options))


def _of_neurons(neuron: NeuronSpec) -> NetworkSpec:
    return NetworkSpec("neurons", (1,), 1, (Flatten(), Spike(neuron)), neuron, 0, "the module itself")


def _draws(net: nn.Module) -> str | None:
    """Return the path of a layer of PyTorch that draws new random numbers in every call."""
    kinds = (nn.modules.dropout._DropoutNd, nn.RReLU)
    return next((path for path, each in net.named_modules() if isinstance(each, kinds) and each.training), None)


# --------------------------------------------------------------------------- chains


def _in_blocks(algorithm: str, it: Given) -> Prepared:
    chosen: Any = it.options
    if it.recognised.averages or len(it.recognised.output) != 3:
        raise UserError(
            f"{algorithm} reads class scores [T, B, C] of every time step, and {it.recognised.module} returns shape "
            f"{it.recognised.output}: return one score for each class and time step"
        )
    links = it.links()
    parts = cut(it.module, links, chosen.b, it.ends)
    net = block_network(it.module, links, parts, it.once, it.recognised.output[2], chosen.classifier)
    return Prepared(net, blocks=len(parts), classifiers=net.classifiers)


def _dense(algorithm: str, it: Given) -> Prepared:
    net = dense_chain(it.module, it.links(), it.frame, it.once)
    return Prepared(algorithms.load(algorithm).prepare(net, it.options), entry=DenseChain.flat)


_WAYS: Mapping[str, Callable[[str, Given], Prepared]] = {
    **dict.fromkeys(("ottt-a", "ottt-o"), _with_ports),
    "replay": _backwards,
    **dict.fromkeys(("local", "ttl-bptt"), _in_blocks),
    **dict.fromkeys(("ottt-dense", "ostl", "approximate-otpe", "otpe"), _dense),
}
