"""What is measured for OTTT (Xiao et al., NeurIPS 2022): the networks and sizes of its tables and figures.

``cases(has)`` lists everything; a case's scale is the least one whose plan contains it. ``has(dataset)`` says whether a data set
is available here: without CIFAR-10, scikit-learn's digits are used, under their own name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

from bench.case import Case
from bench.zoo.r400_family import name_of

PAPER = "ottt"

# network, T, batch of its recipe (R400's batch is not stated: the image recipes' is used)
SIZES = (
    ("vgg-sws/cifar10", 6, 128),
    ("vgg-sws/cifar100", 6, 128),
    ("vgg-sws/cifar10-dvs", 10, 128),
    ("vgg-sws/dvs-gesture", 20, 16),
    ("vgg-f/cifar100", 6, 128),
    ("nf-resnet34/imagenet", 6, 256),
    ("r400/fashion-mnist", 5, 128),
)
ALGORITHMS = ("bptt", "ottt-a", "ottt-o", "sltt")
CHAINS = ("vgg-sws/cifar10", "vgg-sws/cifar100", "vgg-sws/cifar10-dvs", "vgg-sws/dvs-gesture")
DIVIDE = {"vgg-sws/dvs-gesture": 2, "nf-resnet34/imagenet": 4}  # the side of large images in the gates
MEMORY_FIGURE_T = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30)


MODES = (  # of the native backend
    ("bptt", "native-fast"),
    ("bptt", "native-balanced"),
    ("bptt", "native-small"),
    ("ottt-a", "native-fast"),
    ("sltt", "native-fast"),
)


def cases(has: Callable[[str], bool]) -> list[Case]:
    return [*_counts(), *_costs(), *_gates(), *_gradients(has), *_short_trainings(has), *_clocks(), *_recipes(), *_full()]


def _rows(network: str) -> Iterator[tuple[str, str]]:
    """Every algorithm on every backend that can run it."""
    for algorithm in ALGORITHMS:
        yield algorithm, "native"
        yield algorithm, "spikingjelly"
        yield algorithm, "snntorch"
        if algorithm == "bptt":
            yield algorithm, "spikingjelly-multistep"
        elif network in CHAINS:
            yield algorithm, "spikingjelly-shipped"


def _counts() -> Iterator[Case]:
    for network, _, _ in SIZES:
        yield Case(PAPER, "count", network, "bptt", "native", T=1, batch=1, scale="smoke")


def _costs() -> Iterator[Case]:
    for network, T, batch in SIZES:
        for algorithm, backend in _rows(network):
            steps = MEMORY_FIGURE_T if network == "vgg-sws/cifar10" else (T,)
            for t in steps:
                quick = network == "vgg-sws/cifar10" and t in (1, 2, T)
                yield Case(PAPER, "cost", network, algorithm, backend, t, batch, scale="smoke" if quick else "laptop")
    network, T, batch = SIZES[0]
    for algorithm, backend in MODES:
        yield Case(PAPER, "cost", network, algorithm, backend, T, batch)


def _gates() -> Iterator[Case]:
    for network in (*(network for network, _, _ in SIZES), "vgg-sws-small/cifar10"):
        scale = "smoke" if network == "r400/fashion-mnist" else "laptop"
        T, batch = (2, 1) if network in DIVIDE else (3, 2)  # double precision takes its time
        options = (("divide", DIVIDE[network]),) if network in DIVIDE else ()
        for backend in ("spikingjelly", "spikingjelly-multistep", "snntorch"):
            yield Case(PAPER, "equivalence", network, "bptt", backend, T, batch, scale=scale, options=options)
        if network in (*CHAINS, "vgg-sws-small/cifar10"):
            for algorithm in ("ottt-a", "sltt"):
                yield Case(PAPER, "equivalence", network, algorithm, "spikingjelly-shipped", T, batch, options=options)

    for network in (SIZES[0][0], "vgg-sws-small/cifar10"):
        for algorithm, backend in MODES:
            yield Case(PAPER, "equivalence", network, algorithm, backend, T=3, batch=2)


def _gradients(has: Callable[[str], bool]) -> Iterator[Case]:
    """OTTT-O follows the same gradient as OTTT-A; what sets it apart is when it is applied.

    First on one batch before training, as figures show it; then the sign of OTTT-A's on several batches and seeds, before and
    after a short training: of the full network four batches, which take their time, of the small one a hundred.
    """
    images = "cifar10" if has("cifar10") else "digits"
    small = f"vgg-sws-small/{images}"
    network, batch = ("vgg-sws/cifar10", 16) if images == "cifar10" else (small, 64)
    for algorithm in ("ottt-a", "sltt"):
        yield Case(PAPER, "gradient", network, algorithm, "native", T=6, batch=batch, dataset=images)
    signs = ((small, 4, 100), *((("vgg-sws/cifar10", 2, 4),) if images == "cifar10" else ()))
    for network, batches, training in signs:
        for seed in range(3):
            for before in ((), (("after_batches", training),)):
                options = (*before, ("batches", batches))
                yield Case(PAPER, "gradient", network, "ottt-a", "native", 6, 16, images, seed=seed, options=options)


def _short_trainings(has: Callable[[str], bool]) -> Iterator[Case]:
    dataset = "cifar10" if has("cifar10") else "digits"
    epochs, train, test = (3, 2500, 1000) if dataset == "cifar10" else (9, 1400, 300)  # of 1,797 digits in all
    for algorithm in ALGORITHMS:
        yield _training(dataset, algorithm, "laptop", epochs=epochs, train_images=train, test_images=test)
    few = {"epochs": 2, "train_images": 480} if dataset == "digits" else {"epochs": 1, "train_images": 640}
    yield _training(dataset, "ottt-a", "smoke", **few, test_images=200, optimizer="adam", lr=0.005)  # learns in seconds


def _training(dataset: str, algorithm: str, scale: str, **options: object) -> Case:
    network, sorted_options = f"vgg-sws-small/{dataset}", tuple(sorted(options.items()))
    return Case(PAPER, "training", network, algorithm, "native", 6, 64, dataset, scale, options=sorted_options)


def _clocks() -> Iterator[Case]:
    network = "vgg-sws-small/cifar10"
    for algorithm, backend in (*_rows(network), *((a, "spikingjelly-shipped") for a in ALGORITHMS if a != "bptt")):
        yield Case(PAPER, "clock", network, algorithm, backend, T=6, batch=32)


def _recipes() -> Iterator[Case]:
    """R400 by eight recipes, because its own is in none of our sources; a fifth of the training images are held out.

    Five choices of two each: optimizer with learning rate, initial weights, surrogate, epochs, dropout of neurons. Of the 32
    combinations a quarter: epochs follow from optimizer and initial weights, dropout from optimizer and surrogate, so that
    every choice occurs four times either way.
    """
    for seed in range(3):
        for slow, lecun, triangle in product((False, True), repeat=3):
            network = name_of(
                "triangle" if triangle else "sigmoid", "lecun" if lecun else "default", 0.2 if slow != triangle else 0
            )
            lr = (("lr", 0.001), ("optimizer", "adam")) if slow else (("lr", 0.1),)
            options = (("epochs", 8 if slow != lecun else 4), *lr, ("validation_images", 10000))
            for algorithm in ("bptt", "ottt-a", "ottt-o"):
                yield Case(PAPER, "training", network, algorithm, "native", 5, 128, "fashion-mnist", "night", seed, options)


def _full() -> Iterator[Case]:
    """The paper's schedules on the data sets this suite can load, three seeds; they need a GPU."""
    schedule = (("epochs", 300),)
    for seed in range(3):
        for dataset in ("cifar10", "cifar100"):
            for algorithm in ("bptt", "ottt-a", "ottt-o"):
                yield Case(PAPER, "training", f"vgg-sws/{dataset}", algorithm, "native", 6, 128, dataset, "full", seed, schedule)
            ann = f"vgg-sws-ann/{dataset}"
            yield Case(PAPER, "training", ann, "bptt", "native", 1, 128, dataset, "full", seed, schedule)
        for algorithm in ("bptt", "ottt-a", "ottt-o"):
            events = (("alpha", 0.001), *schedule)
            network = "vgg-sws/cifar10-dvs"
            yield Case(PAPER, "training", network, algorithm, "native", 10, 128, "cifar10-dvs", "full", seed, events)
        for algorithm in ("ottt-a", "bptt"):
            yield Case(PAPER, "training", "vgg-f/cifar100", algorithm, "native", 6, 128, "cifar100", "full", seed, schedule)
        for algorithm in ("bptt", "ottt-a"):
            gesture = (("alpha", 0.001), *schedule, ("lr", 0.001), ("optimizer", "adam"))
            network = "vgg-sws/dvs-gesture"
            yield Case(PAPER, "training", network, algorithm, "native", 20, 16, "dvs-gesture", "full", seed, gesture)
        for algorithm in ("ottt-a", "ottt-o"):
            short = (("epochs", 20),)
            yield Case(PAPER, "training", "vgg-sws/cifar10", algorithm, "native", 6, 128, "cifar10", "full", seed, short)
    few = (("epochs", 3),)  # no number of the paper: what a GPU shows in minutes (spikecost gpu-check)
    yield Case(PAPER, "training", "vgg-sws/cifar10", "ottt-a", "native", 6, 128, "cifar10", "full", options=few)
    for algorithm, backend in _rows("vgg-sws/cifar10"):
        for T in (1, 2, 4, 6, 8, 10, 15, 20, 25, 30):
            yield Case(PAPER, "cuda-memory", "vgg-sws/cifar10", algorithm, backend, T, 128, scale="full")
