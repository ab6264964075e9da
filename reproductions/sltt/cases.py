"""What is measured for SLTT (Meng et al., ICCV 2023): the networks and sizes of its tables.

``cases(has)`` lists everything; the scale of a case is the smallest whose plan contains it. ``has(dataset)`` says whether a data
set is available: without CIFAR-10, scikit-learn's digits replace it, under their own name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench.case import Case

PAPER = "sltt"

# network, T, batch of its recipe
SIZES = (
    ("resnet18/cifar10", 6, 128),
    ("resnet18/cifar100", 6, 128),
    ("vgg11-bn/cifar10-dvs", 10, 128),
    ("vgg11-bn/dvs-gesture", 20, 16),
    ("nf-resnet34-sltt/imagenet", 6, 256),
    ("nf-resnet50-sltt/imagenet", 6, 256),
    ("nf-resnet101-sltt/imagenet", 6, 256),
)
OF_OTTT = ("nf-resnet34/imagenet", 6, 256)  # the same network with OTTT's neurons
CURVES = ("resnet18/cifar10", "nf-resnet34-sltt/imagenet")  # memory against T, with and without batch norm
STEPS = (1, 2, 4, 6, 10, 20)
ONE = (("k", 1),)  # SLTT-1
K = {"resnet18/cifar10": 2, "vgg11-bn/cifar10-dvs": 2, "vgg11-bn/dvs-gesture": 4, "nf-resnet34-sltt/imagenet": 2}
ALGORITHMS = ("bptt", "ottt-a", "sltt")
PUBLISHED = "spikingjelly"  # the library of the paper's runs
LEAKS = ("0.0909", "0.25", "0.5", "0.9")
SEEDS = range(3)


def cases(has: Callable[[str], bool]) -> list[Case]:
    return [*_counts(), *_costs(), *_half(), *_gates(), *_gradients(has), *_short_trainings(has), *_night(has), *_full()]


def _counts() -> Iterator[Case]:
    for network, _, _ in SIZES:
        yield Case(PAPER, "count", network, "bptt", "native", T=1, batch=1, scale="smoke")


def _costs() -> Iterator[Case]:
    """In float32, on shapes: every network at its recipe, and the curves over T of one with and one without batch norm."""
    for network, T, batch in SIZES:
        for t in STEPS if network in CURVES else (T,):
            for algorithm in ALGORITHMS:
                quick = network == CURVES[0] or (network in CURVES and algorithm == "sltt")
                yield Case(PAPER, "cost", network, algorithm, "native", t, batch, scale="smoke" if quick else "laptop")
            if network in K and t >= K[network]:
                few = (("k", K[network]),)
                scale = "smoke" if network == CURVES[0] else "laptop"
                yield Case(PAPER, "cost", network, "sltt-k", "native", t, batch, scale=scale, options=few)
    network, T, batch = SIZES[0]
    for algorithm in ALGORITHMS:
        yield Case(PAPER, "cost", network, algorithm, PUBLISHED, T, batch)


def _half() -> Iterator[Case]:
    """In half precision, as the paper's runs."""
    for network, T, batch in SIZES:
        for algorithm in ("bptt", "sltt"):
            yield Case(PAPER, "cost-half", network, algorithm, PUBLISHED, T, batch)
    yield Case(PAPER, "cost-half", "nf-resnet34-sltt/imagenet", "sltt-k", PUBLISHED, 6, 256, options=ONE)
    network, T, batch = OF_OTTT
    for algorithm in ("ottt-a", "sltt"):
        yield Case(PAPER, "cost-half", network, algorithm, PUBLISHED, T, batch)


def _gates() -> Iterator[Case]:
    """Those of the networks for large images on images of a fourth or a half of the side: the same layers and weights."""
    for network, _, _ in (*SIZES, OF_OTTT):
        T, batch = (3, 2) if network.endswith(("cifar10", "cifar100", "cifar10-dvs")) else (2, 2 if "vgg" in network else 1)
        divide = {"imagenet": 4, "dvs-gesture": 2}.get(network.split("/")[1])
        options = (("divide", divide),) if divide else ()
        yield Case(PAPER, "equivalence", network, "bptt", PUBLISHED, T, batch, options=options)


def _gradients(has: Callable[[str], bool]) -> Iterator[Case]:
    """At the initial weights: the paper's network, and a small one at several leaks."""
    images = "cifar10" if has("cifar10") else "digits"
    networks: list[tuple[str, int, tuple[str, ...]]] = [(f"vgg-bn-small-{leak}/{images}", 64, ALGORITHMS) for leak in LEAKS]
    if images == "cifar10":
        networks.append(("resnet18/cifar10", 8, ("bptt", "sltt")))
    for network, batch, algorithms in networks:
        for algorithm in algorithms:
            for seed in SEEDS:
                two = (("batches", 2),)
                yield Case(PAPER, "gradient", network, algorithm, "native", 6, batch, images, seed=seed, options=two)
    network, batch, _ = networks[-1]  # for the figures of one batch
    for algorithm in ("ottt-a", "sltt"):
        yield Case(PAPER, "gradient", network, algorithm, "native", 6, batch, images)


def _short_trainings(has: Callable[[str], bool]) -> Iterator[Case]:
    """One seed of the small network with the paper's leak: does each algorithm learn?"""
    images = "cifar10" if has("cifar10") else "digits"
    network = f"vgg-bn-small-0.0909/{images}"
    size = (
        {"epochs": 2, "train_images": 2000, "test_images": 1000} if images == "cifar10" else {"epochs": 4, "train_images": 1400}
    )
    for algorithm, own in (("bptt", {}), ("ottt-a", {}), ("sltt", {}), ("sltt-k", {"k": 2})):
        yield _training(network, algorithm, 6, 64, images, "laptop", 0, squared_target="ones", **size, **own)


def _night(has: Callable[[str], bool]) -> Iterator[Case]:
    """Cosines at several leaks along 200 batches of BPTT's training, at its weights: is it the leak after training too?"""
    images = "cifar10" if has("cifar10") else "digits"
    for seed in SEEDS:
        for leak in LEAKS:
            for algorithm in ("ottt-a", "sltt"):
                options = (("after_batches", 200), ("batches", 2), ("every", 100))
                yield Case(
                    PAPER,
                    "alignment",
                    f"vgg-bn-small-{leak}/{images}",
                    algorithm,
                    "native",
                    6,
                    64,
                    images,
                    "night",
                    seed,
                    options,
                )


def _training(network: str, algorithm: str, T: int, batch: int, dataset: str, scale: str, seed: int, **options: object) -> Case:
    return Case(PAPER, "training", network, algorithm, "native", T, batch, dataset, scale, seed, tuple(sorted(options.items())))


def _full() -> Iterator[Case]:
    """The schedules of the public commands on the data sets that this suite can load, three seeds; they need a GPU."""
    recipes: tuple[tuple[str, int, int, dict[str, object]], ...] = (
        ("resnet18/cifar10", 6, 128, {"epochs": 200, "squared_target": "ones", "weight_decay": 5e-5}),
        ("resnet18/cifar100", 6, 128, {"epochs": 200, "preparation": "sltt", "squared_target": "ones", "weight_decay": 5e-4}),
        ("vgg11-bn/cifar10-dvs", 10, 128, {"epochs": 300, "lr": 0.05, "weight_decay": 5e-4}),
        ("vgg11-bn/dvs-gesture", 20, 16, {"epochs": 300, "squared_target": "ones", "weight_decay": 5e-4}),
    )
    for network, T, batch, recipe in recipes:
        for algorithm in ("bptt", "sltt"):
            for seed in SEEDS:
                yield _training(network, algorithm, T, batch, network.split("/")[1], "full", seed, **recipe)
    for network, T, batch in SIZES[:5]:
        for algorithm in ("bptt", "sltt"):
            yield Case(PAPER, "cuda-memory-half", network, algorithm, PUBLISHED, T, batch, scale="full")
            yield Case(PAPER, "clock", network, algorithm, "native", T, batch, scale="full")
    network, T, batch = SIZES[4]
    yield Case(PAPER, "cuda-memory-half", network, "sltt-k", PUBLISHED, T, batch, scale="full", options=ONE)
    yield Case(PAPER, "clock", network, "sltt-k", "native", T, batch, scale="full", options=ONE)
    network, T, batch = OF_OTTT
    for algorithm in ("ottt-a", "sltt"):
        yield Case(PAPER, "cuda-memory-half", network, algorithm, PUBLISHED, T, batch, scale="full")
        yield Case(PAPER, "clock", network, algorithm, "native", T, batch, scale="full")
