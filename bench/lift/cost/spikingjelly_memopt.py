"""SpikingJelly's own memory optimiser on a user's multi-step module, counted without storage.

``optimize_memory(model, targets, example_forward, level=...)`` wraps modules of the types ``targets`` in checkpoints that save
their input, spikes as bits (level 1), then splits checkpoints into parts (2), divides them in time (3) and takes them away
again (4) where that lowers the peak, measured on a GPU.

Level 1 is applied as shipped; which inputs are spikes is known from the flow of the module, where the framework looks at the
values of one example. The levels 2 to 4 are the framework's own greedy search with the counted peak of a training step in place
of CUDA's, and counted products in place of seconds: they are called "emulated". What a user has to choose (``targets``,
``split_fn``, ``can_chunk``) is tried in several ways, as in the framework's examples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import mock

from spikingjelly.activation_based import layer, neuron
from spikingjelly.activation_based.memopt import pipeline
from torch import nn

from bench.counting.any_step import Cost
from bench.errors import UserError
from bench.lift.cost.measure import checked
from bench.lift.cost.subject import Optimizer, Subject, subject
from bench.lift.recognition.flow import flow_of
from bench.lift.recognition.levels import SPIKES
from bench.lift.recognition.timing import Encoding
from bench.lift.recognition.trial import Trials
from bench.lift.recognition.twin import Meta
from bench.lift.running.training import LiftedStep, training_step

BUDGETS = ("speed", "balanced", "memory")  # the framework's: a half, three quarters, and all of the candidates
LEVELS = (1, 2, 3, 4)
COUNTS = 30  # of training steps in one search; a search that needs more stops there and says so


@dataclass(frozen=True)
class Optimised:
    """One result of the optimiser: its level and targets, whether it was emulated, and the counted training step."""

    level: int
    targets: tuple[str, ...]
    budget: str
    emulated: bool
    cost: Cost
    stopped: bool = False

    @property
    def peak(self) -> int:
        return self.cost.memory.total

    @property
    def macs(self) -> int:
        return sum(self.cost.macs.dense.values())

    @property
    def options(self) -> dict[str, object]:
        """What was given to ``optimize_memory``."""
        return {"level": self.level, "targets": list(self.targets), "checkpoint_budget": self.budget}

    def as_dict(self) -> dict[str, object]:
        own = {"level": self.level, "targets": list(self.targets), "budget": self.budget, "emulated": self.emulated}
        return own | {"peak": self.peak, "macs": self.macs, "stopped": self.stopped}


Targets = tuple[type[nn.Module], ...]


class _Enough(Exception):
    """The search has counted as many steps as it may."""


def optimised(
    module: nn.Module,
    x_shape: Sequence[int],
    *,
    T: int,
    batch: int,
    encoding: Encoding = "repeat",
    optimizer: Optimizer = "sgd",
    levels: Sequence[int] = LEVELS,
) -> list[Optimised]:
    """Return what the optimiser reaches with each choice of targets. Arguments are those of ``measure``.

    Raises UserError for a module that is not multi-step.
    """
    frame = checked(module, x_shape, T, batch, encoding, "float32")
    with subject(module, optimizer, Meta(), frame, T, batch, encoding) as it:
        if it.recognised.time != "multi-step":
            raise UserError(f"{it.recognised.module} is no multi-step module of SpikingJelly's, which its optimiser needs")
        run = _Run(it, T, batch, encoding)
        return [
            each
            for targets in run.choices()
            for budget in BUDGETS
            for each in run.levels(targets, budget, levels if budget == "memory" else (1,))
        ]


class _Run:
    """A copy of the module, changed by the optimiser and put back."""

    def __init__(self, it: Subject, T: int, batch: int, encoding: Encoding) -> None:
        self.it, self.batch = it, batch
        self.x = it.x.expand(T, *it.x.shape) if encoding == "repeat" else it.x
        self.step: LiftedStep = training_step(it.net, "bptt", optimizer=it.optimizer)
        self.lifted = self.step.lifted(self.x)
        self.flow = flow_of(self.lifted.recognised, Trials(it.net, self.lifted.frame, T, Meta()))
        self.left = COUNTS
        modules = {it.net.get_submodule(path): part for path, part in self.flow.parts.items()}
        self.bytes = {
            each: modules[each].sizes[0] * batch * it.x.element_size() if each in modules else 0 for each in it.net.modules()
        }
        self.binary = {each: each in modules and modules[each].reads == SPIKES for each in it.net.modules()}
        self.lengths = dict.fromkeys(modules, T)
        self.products = {each: part.macs for each, part in modules.items()}

    def choices(self) -> list[Targets]:
        """Return choices of targets: blocks, containers, neurons, and every layer with weights or neurons."""
        net = self.it.net
        kinds = {path: type(net.get_submodule(path)) for path in self.flow.parts}
        blocks = [kinds[path] for path, part in self.flow.parts.items() if path in self.flow.runs and part.macs]
        containers = [type(child) for child in net.children() if isinstance(child, nn.Sequential) and len(child) > 1]
        neurons = [kind for kind in kinds.values() if issubclass(kind, neuron.BaseNode)]
        layers = [kind for path, kind in kinds.items() if path not in self.flow.runs]
        return list(dict.fromkeys(tuple(dict.fromkeys(kinds)) for kinds in (blocks, containers, neurons, layers) if kinds))

    def count(self) -> Cost:
        return self.it.count(
            lambda watcher: self.step(self.x, self.it.target, watcher), [(self.lifted, self.lifted.carried)], settled=True
        )

    def peak(self, *_: object) -> float:
        if self.left == 0:
            raise _Enough
        self.left -= 1
        return float(self.count().memory.total)

    def levels(self, targets: Targets, budget: str, levels: Sequence[int]) -> Iterator[Optimised]:
        """Yield what each level reaches, on from the one before."""
        net, names, best = self.it.net, tuple(kind.__name__ for kind in targets), float("inf")
        self.left = COUNTS
        try:
            with self._counted():
                pipeline.optimize_memory(net, targets, self._forward, level=1, checkpoint_budget=budget)
                for level in levels:
                    try:
                        best = self._search(level, best)
                        stopped = False
                    except _Enough:
                        stopped = True
                    yield Optimised(level, names, budget, level > 1, self.count(), stopped)
        finally:
            for path, wrapper in pipeline._checkpoint_leaves(net):
                net.set_submodule(path, pipeline._unwrap_checkpoint_module(wrapper))

    def _search(self, level: int, best: float) -> float:
        net = self.it.net
        if level == 2:
            return float(pipeline._spatial_split(net, self._forward, _split, self.bytes, self.binary, True, None))
        if level == 3:
            return float(pipeline._temporal_split(net, self._forward, _can_chunk, self.bytes, self.lengths, best, None))
        if level == 4:
            pipeline._greedy_unwrap(net, self._forward, best, None)
        return best

    def _forward(self, net: nn.Module) -> object:
        return net(self.x)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """In this context, the framework's search asks for counts in place of a GPU's measurements and of values."""
        with (
            mock.patch.object(pipeline, "_probe_inputs", return_value=(self.bytes, self.binary, self.lengths)),
            mock.patch.object(pipeline, "_measure_peak", self.peak),
            mock.patch.object(pipeline, "_forward_costs", self._costs),
        ):
            yield

    def _costs(self, net: nn.Module, *_: object) -> Mapping[str, float]:
        leaves = pipeline._checkpoint_leaves(net)
        return {path: float(self.products.get(pipeline._unwrap_checkpoint_module(wrapper), 0)) for path, wrapper in leaves}


def _split(module: nn.Module) -> Sequence[nn.Module]:
    """Return the parts of a module, as the framework's examples choose them: its children."""
    return [child for child in module.children() if any(True for _ in child.parameters()) or isinstance(child, neuron.BaseNode)]


def _can_chunk(module: nn.Module) -> bool:
    return isinstance(module, layer.Conv2d | layer.Conv1d | layer.Linear | neuron.BaseNode)
