"""Tables of all algorithms, backends, network families, data sets and probes, by name. Imports nothing of the suite, no torch.

Adding one is one file and one entry here. An entry says what must be known before the file is imported; everything else is in
the file. The shared tests go through these tables, so that a new entry is tested with the others. Papers are found as the
folders in reproductions/ (bench/plan.py).

The digest of a record does not cover this file: it names modules and shows them, and computes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Colour:
    """A colour on a white page and the same on a dark one; both reach a contrast of 4.5 as text."""

    light: str
    dark: str


@dataclass(frozen=True)
class Algorithm:
    """A training algorithm. Its module satisfies ``bench.contracts.Algorithm``.

    ``exact``: it gives BPTT's gradient up to rounding. ``memory``: whether the peak grows with T, at constant options.
    ``width`` of its line in figures: two lines of different width are both visible where they coincide.
    """

    title: str
    module: str
    colour: Colour
    width: float = 2.0
    exact: bool = False
    memory: Literal["grows with T", "constant in T"] = "grows with T"


ALGORITHMS: Mapping[str, Algorithm] = {  # in the order of figures and tables
    "bptt": Algorithm("BPTT", "bench.algorithms.bptt", Colour("#0064a6", "#58b2ee"), 2.4, exact=True),
    "ottt-a": Algorithm("OTTT-A", "bench.algorithms.ottt_a", Colour("#bf4b00", "#ff9a4d"), 4.2, memory="constant in T"),
    "ottt-o": Algorithm("OTTT-O", "bench.algorithms.ottt_o", Colour("#8a6d00", "#f0cd3c"), 2.8, memory="constant in T"),
    "sltt": Algorithm("SLTT", "bench.algorithms.sltt", Colour("#007a5a", "#3ad0a2"), 1.6, memory="constant in T"),
    "sltt-k": Algorithm("SLTT-K", "bench.algorithms.sltt_k", Colour("#a3377f", "#ee92cb"), 0.9, memory="constant in T"),
    "checkpointed": Algorithm(
        "checkpointed BPTT", "bench.algorithms.checkpointed", Colour("#40607a", "#a9c4da"), 3.2, exact=True
    ),
    "replay": Algorithm("one-bit replay", "bench.algorithms.replay", Colour("#4d7c00", "#b4e34e"), exact=True),
    "skipper": Algorithm("Skipper", "bench.algorithms.skipper", Colour("#6a43b8", "#bda2ff")),
    "tbptt": Algorithm("truncated BPTT", "bench.algorithms.tbptt", Colour("#00748a", "#4fd3e6"), memory="constant in T"),
    "local": Algorithm("local", "bench.algorithms.local", Colour("#7b5231", "#d3a77e"), 2.8),
    "ttl-bptt": Algorithm("TTL-BPTT", "bench.algorithms.ttl_bptt", Colour("#b3152f", "#ff7f8d"), 1.4, memory="constant in T"),
    "ottt-dense": Algorithm(
        "OTTT, traces everywhere", "bench.algorithms.ottt_dense", Colour("#8c4a2f", "#e8a383"), 3.4, memory="constant in T"
    ),
    "ostl": Algorithm("OSTL", "bench.algorithms.ostl", Colour("#5c5f00", "#cfd255"), 1.2, memory="constant in T"),
    "approximate-otpe": Algorithm(
        "approximate OTPE", "bench.algorithms.approximate_otpe", Colour("#2b5fd0", "#8fb0ff"), 2.6, memory="constant in T"
    ),
    "otpe": Algorithm("OTPE", "bench.algorithms.otpe", Colour("#7a1fa2", "#d79bf0"), 1.8, memory="constant in T"),
}


Dash = str | tuple[int, tuple[float, ...]]  # of a line, as matplotlib takes it


@dataclass(frozen=True)
class Backend:
    """Whose neurons and kernels. Its module satisfies ``bench.contracts.Backend``, or ``Shipped`` if it ``ships`` training.

    ``framework``: the installed package that it depends on (versions: FRAMEWORKS). ``compiles``: it needs a C++ compiler, or
    Triton on a GPU. ``marker`` and ``dash`` in figures.
    """

    title: str
    module: str
    framework: str
    marker: str
    dash: Dash = "-"
    ships: bool = False
    compiles: bool = False


BACKENDS: Mapping[str, Backend] = {
    "native": Backend("native", "bench.backends.native", "torch", "o"),
    "native-fast": Backend("native, fast", "bench.backends.native_fast", "torch", "*", compiles=True),
    "native-balanced": Backend("native, balanced", "bench.backends.native_balanced", "torch", "h", compiles=True),
    "native-small": Backend("native, small", "bench.backends.native_small", "torch", "X", compiles=True),
    "spikingjelly": Backend("SpikingJelly", "bench.backends.spikingjelly", "spikingjelly", "s", "--"),
    "spikingjelly-multistep": Backend(
        "SpikingJelly, multi-step", "bench.backends.spikingjelly_multistep", "spikingjelly", "D", "-."
    ),
    "spikingjelly-shipped": Backend(
        "SpikingJelly, as shipped", "bench.backends.spikingjelly_shipped", "spikingjelly", "^", ":", ships=True
    ),
    "spikingjelly-memopt": Backend(
        "SpikingJelly, memory optimiser", "bench.backends.spikingjelly_memopt", "spikingjelly", "p", (0, (3, 1, 1, 1, 1, 1)),
        ships=True,
    ),
    "snntorch": Backend("snnTorch", "bench.backends.snntorch", "snntorch", "v", (0, (5, 1, 1, 1))),
    "snntorch-shipped": Backend(
        "snnTorch, as shipped", "bench.backends.snntorch_shipped", "snntorch", "<", (0, (1, 2)), ships=True
    ),
}  # fmt: skip

# Supported versions of each framework: at least the first, below the second. The ranges in pyproject.toml lie within these
# (tests/unit/test_availability.py).
FRAMEWORKS: Mapping[str, tuple[str, str | None]] = {
    "torch": ("2.9", None),
    "spikingjelly": ("2.0", "2.1"),
    "snntorch": ("1.0", "1.1"),
}

# Each module has NETWORKS, a tuple of bench.spec.NetworkSpec.
NETWORK_FAMILIES: tuple[str, ...] = (
    "bench.zoo.vgg",
    "bench.zoo.resnet",
    "bench.zoo.nf_resnet",
    "bench.zoo.leaks",
    "bench.zoo.recurrent",
    "bench.zoo.r400_family",
    "bench.zoo.vgg5",
    "bench.zoo.lenet",
    "bench.zoo.alexnet",
    "bench.zoo.randman",
    "bench.zoo.beyond_lif",
)

# Each is a module, or an object in one ("module:name"), that satisfies bench.datasets.samples.Source.
DATA_SETS: Mapping[str, str] = {
    "cifar10": "bench.datasets.cifar:CIFAR10",
    "cifar100": "bench.datasets.cifar:CIFAR100",
    "cifar10-dvs": "bench.datasets.cifar10_dvs:CIFAR10_DVS",
    "cifar10-dvs-simulated": "bench.datasets.cifar10_dvs_simulated",
    "dvs-gesture": "bench.datasets.dvs_gesture:DVS_GESTURE",
    "fashion-mnist": "bench.datasets.fashion_mnist",
    "n-mnist": "bench.datasets.n_mnist",
    "digits": "bench.datasets.digits",
    "shd": "bench.datasets.shd",
    "randman-rate": "bench.datasets.randman:RATE",
    "randman-time": "bench.datasets.randman:TIME",
    **{f"randman-rate-{seed}": f"bench.datasets.randman:RATE_{seed}" for seed in (1, 2, 3)},
    **{f"randman-time-{seed}": f"bench.datasets.randman:TIME_{seed}" for seed in (1, 2, 3)},
}

Device = Literal["meta", "cpu", "best", "cuda"]


@dataclass(frozen=True)
class Probe:
    """A question about a case. Its module satisfies ``bench.contracts.Probe``.

    ``device``: "meta" (shapes alone), "cpu", "best" (a GPU if there is one, else the CPU) or "cuda" (a GPU only).
    ``typical_s``: typical seconds per case on 2 cores of a laptop. ``options``: names of its own options, which no algorithm,
    loss or optimizer has. ``precision`` of weights and activations ("half": of activations alone, under autocast).
    ``against``: algorithms and backends that it compares with.
    ``alone``: no other case may run at the same time; ``every_core``: it takes all CPU threads, others take one.
    ``depends_on_T``: whether the result depends on the case's T.
    ``steps``: whether it runs training steps on tensors with storage, so that the worker first checks that they fit.
    """

    module: str
    device: Device
    typical_s: float
    options: tuple[str, ...] = ()
    precision: Literal["float32", "float64", "half"] = "float32"
    against: tuple[tuple[str, str], ...] = ()
    alone: bool = False
    every_core: bool = False
    depends_on_T: bool = True
    steps: bool = True


_PART = ("train_images", "test_images", "validation_images", "preparation")  # of a data set
_REFERENCE = (("bptt", "native"),)
_MODES = ("native", "native-fast", "native-balanced", "native-small")
_TIMED = (
    *(("bptt", name) for name in (*_MODES, "spikingjelly", "spikingjelly-multistep", "spikingjelly-memopt", "snntorch")),
    *(("ottt-a", name) for name in ("native", "native-fast", "spikingjelly", "snntorch", "spikingjelly-shipped")),
    *(("sltt", name) for name in ("native-fast", "spikingjelly-shipped")),
    *(("tbptt", name) for name in ("native-fast", "snntorch", "snntorch-shipped")),
)
PROBES: Mapping[str, Probe] = {
    "count": Probe("bench.probes.count", "cpu", 0.4, depends_on_T=False, steps=False),
    "cost": Probe("bench.probes.cost", "meta", 0.6, steps=False),
    "cost-half": Probe("bench.probes.cost_half", "meta", 30, precision="half", steps=False),
    "equivalence": Probe("bench.probes.equivalence", "cpu", 16, ("divide",), precision="float64", against=_REFERENCE),
    "gradient": Probe("bench.probes.gradient", "cpu", 8, (*_PART, "batches", "after_batches"), against=_REFERENCE),
    "alignment": Probe("bench.probes.alignment", "cpu", 12, (*_PART, "batches", "after_batches", "every"), against=_REFERENCE),
    "training": Probe("bench.probes.train", "best", 50, (*_PART, "epochs", "accumulate")),
    "clock": Probe("bench.probes.clock", "best", 8, ("repeats",), against=_REFERENCE, alone=True),
    "speed": Probe("bench.probes.speed", "cpu", 180, ("turns",), against=_TIMED, alone=True, every_core=True),
    "cuda-speed": Probe("bench.probes.speed", "cuda", 180, ("turns",), against=_TIMED, alone=True, every_core=True, steps=False),
    "cuda-memory": Probe("bench.probes.cuda_memory", "cuda", 5, steps=False),
    "cuda-memory-half": Probe("bench.probes.cuda_memory_half", "cuda", 5, precision="half", steps=False),
    "longest": Probe("bench.probes.longest", "meta", 6, depends_on_T=False, steps=False),
    "coefficients": Probe("bench.probes.coefficients", "meta", 12, depends_on_T=False, steps=False),
    "energy": Probe("bench.probes.energy", "cpu", 6, _PART),
    "activity": Probe("bench.probes.activity", "cpu", 4, _PART),
    "events": Probe("bench.probes.events", "cpu", 16, _PART, depends_on_T=False, steps=False),
}
PROBE_OPTIONS: tuple[str, ...] = tuple(sorted({name for probe in PROBES.values() for name in probe.options}))

UNITS: tuple[str, ...] = (  # of measurements
    *("1", "%", "points", "B", "MAC", "AC", "J", "s", "steps", "pass/fail", "spikes/neuron/step", "events/pixel/s"),
    *("x BPTT's", "x native BPTT"),
)
