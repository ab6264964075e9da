"""The contracts of the suite as types: what a network, an algorithm, a backend and a probe must have.

Modules satisfy them as they are (``bench.algorithms.bptt`` is an ``Algorithm``); nothing inherits from them.

Shapes: T time steps of a sequence, K time steps of a window, B samples of a batch, C classes. ``State`` is a tensor, None (zero)
or a list of states. A state that is passed in is consumed: use the returned one from then on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.algorithms.context import StepContext
    from bench.case import Case
    from bench.errors import Support
    from bench.measurement import Measurement
    from bench.options import Declared
    from bench.probes.resources import Resources
    from bench.spec import NetworkSpec, Neuron

State = Any  # Tensor | None | list[State]: nn.Module.__call__ returns Any, so that checkers cannot follow the recursion


class Trainable(Protocol):
    """A network that can be trained, evaluated and observed, built here or shipped by a framework. It is an ``nn.Module``."""

    @property
    def spec(self) -> NetworkSpec: ...

    @property
    def training(self) -> bool: ...

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]: ...

    def train(self, mode: bool = True) -> Self: ...

    def eval(self) -> Self: ...

    def outputs(self, x: Tensor) -> Tensor:
        """Run a sequence from the zero state: x [T, B, ...] -> [T, B, C]."""

    def neurons(self) -> Sequence[nn.Module]:
        """Return the layers of neurons, in order; the first output of each is spikes."""

    def spiking(self) -> Sequence[nn.Module]:
        """Return the modules whose first output is binary up to a constant factor; some run in training only."""

    def carried(self, output: Any) -> Iterator[Tensor]:
        """Yield the tensors of an output of ``forward`` that are passed to the next time step."""

    def reset_parameters(self, seed: int) -> None:
        """Draw the initial weights; the same seed gives the same weights on every backend."""


class Stepped(Trainable, Protocol):
    """A network as a function with explicit state. All algorithms of this suite are written for it."""

    @property
    def graph_to_state(self) -> float:
        """Bytes that a time step saves for backward, over bytes of state."""

    def initial_state(self, batch: int) -> State: ...

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One time step: x [B, ...] -> out [B, C]."""

    def window(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """K time steps: x [K, B, ...] -> out [K, B, C]."""

    def last_window(self, x: Tensor, state: State) -> Tensor:
        """As ``window``, without the state after it, whose memory is freed as early as possible."""


class Algorithm(Protocol):
    """How gradients are obtained. ``in_windows``: whether it runs windows of several steps, as multi-step backends need."""

    Options: type[Declared]
    in_windows: bool

    def supports(self, spec: NetworkSpec) -> Support:
        """Whether it can train the network, with the reason if not."""

    def prepare(self, net: Any, options: Any) -> Stepped:
        """Return the network to be trained: ``net`` itself, or ``net`` with what the algorithm adds to it."""

    def train_step(self, net: Any, x: Tensor, context: StepContext, options: Any) -> Tensor:
        """Train on one batch x [T, B, ...]; ``.grad`` is clear. Returns the outputs summed over time [B, C], detached."""

    # optional
    #   only_on: str                                    the one backend that it runs on
    #   runs_on(backend, spec, options) -> Support      whether it runs on this backend with these options


class NeuronSource(Protocol):
    """What building a network needs of a backend."""

    @property
    def name(self) -> str:
        """As in the registry and in records."""

    @property
    def layerwise(self) -> bool:
        """Whether a window runs layer by layer (True) or step by step (False), as in the framework's normal use."""

    def neurons(self, spec: Neuron) -> nn.Module:
        """Return a module (x [K, B, ...], state or None) -> (s [K, B, ...], state)."""


class Backend(NeuronSource, Protocol):
    """Whose neurons and kernels. It never substitutes other neurons for those that it lacks."""

    def kernel(self) -> str:
        """The kernel that runs on this machine; part of every record."""

    def has(self, neuron: Neuron) -> Support:
        """Whether it has exactly these neurons, including the surrogate."""

    # optional
    #   rewritten(net) -> net        changes how the network is run, not the function that it computes
    #   beside(neuron) -> str        what runs these neurons beside kernel(), for the record; "" if nothing


class TrainStep(Protocol):
    """A training step: x [T, B, ...] -> outputs summed over time [B, C], detached."""

    def __call__(self, net: Any, x: Tensor, context: StepContext, options: Any) -> Tensor: ...


class Shipped(Protocol):
    """A framework's own network and training together, where it ships them."""

    Options: type[Declared]

    @property
    def name(self) -> str: ...

    @property
    def layerwise(self) -> bool: ...

    def kernel(self) -> str: ...

    def has(self, neuron: Neuron) -> Support: ...

    def ships(self, spec: NetworkSpec, algorithm: str) -> Support: ...

    def shipped(self, spec: NetworkSpec, algorithm: str, device: str, options: Any) -> tuple[nn.Module, TrainStep]: ...


class Probe(Protocol):
    """A question about a case. ``Options``: its own, with the names that its entry in the registry lists."""

    Options: type[Declared]

    def measure(self, case: Case, resources: Resources) -> list[Measurement]:
        """Raises UserError for a case that it does not apply to, Unavailable if this machine lacks something."""
