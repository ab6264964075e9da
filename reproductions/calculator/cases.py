"""What the page's calculator needs: the coefficients of every algorithm on the papers' networks.

Segments of checkpointing and Skipper, and one-bit replay, are known by formula on the native backend only, whose windows run
layer by layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench.case import Case

PAPER = "calculator"
NETWORKS = (
    "vgg-sws/cifar10", "vgg-sws/cifar10-dvs", "vgg-sws/dvs-gesture", "nf-resnet34/imagenet", "r400/fashion-mnist",
    "resnet18/cifar10", "vgg11-bn/cifar10-dvs", "vgg5/cifar10", "vgg11/cifar100", "resnet20/cifar10", "lenet/dvs-gesture",
    "custom/n-mnist", "alexnet/cifar10", "alexnet/cifar10-dvs-42",
)  # fmt: skip
DENSE = "otpe-3x256/randman-k10"
SMOKE = "custom/n-mnist"

Options = tuple[tuple[str, object], ...]
WINDOWS: Options = (("K", 10),)
ON_NATIVE: tuple[tuple[str, Options], ...] = (
    ("bptt", ()), ("checkpointed", ()), ("replay", ()), ("skipper", (("p", 50),)), ("tbptt", WINDOWS), ("sltt", ()),
    ("ottt-a", ()), ("ottt-o", ()), ("ttl-bptt", (*WINDOWS, ("b", 1))),
)  # fmt: skip
ON_FRAMEWORKS = (
    *(("bptt", backend) for backend in ("spikingjelly", "spikingjelly-multistep", "snntorch")),
    *((algorithm, backend) for algorithm in ("sltt", "ottt-a") for backend in ("spikingjelly", "snntorch")),
)
ON_DENSE = ("bptt", "checkpointed", "sltt", "ottt-dense", "approximate-otpe", "ostl", "otpe")
T = 100  # any that suits all options


def cases(has: Callable[[str], bool]) -> list[Case]:
    return list(_coefficients())


def _coefficients() -> Iterator[Case]:
    for network in NETWORKS:
        scale = "smoke" if network == SMOKE else "laptop"
        for algorithm, options in ON_NATIVE:
            yield Case(PAPER, "coefficients", network, algorithm, "native", T, 2, scale=scale, options=options)
        for algorithm, backend in ON_FRAMEWORKS:
            yield Case(PAPER, "coefficients", network, algorithm, backend, T, 2, scale=scale)
    for algorithm in ON_DENSE:
        yield Case(PAPER, "coefficients", DENSE, algorithm, "native", T, 2)
