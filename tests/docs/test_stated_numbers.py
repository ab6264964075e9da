"""Numbers in the text of pages: each sentence is made again from results/ and plans, and must be on its page."""

from __future__ import annotations

import csv
import io
import math
import re
import statistics
from collections.abc import Iterator, Mapping

import pytest

from bench.places import CODE
from bench.plan import plan
from bench.record_store import Store

RESULTS = CODE / "results"


def rows_of(table: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((RESULTS / table).read_text(encoding="utf-8"))))


LEDGER: Mapping[tuple[str, str], Mapping[str, str]] = {(row["paper"], row["claim"]): row for row in rows_of("ledger.csv")}
COSTS: Mapping[tuple[str, ...], int] = {
    tuple(row[name] for name in ("network", "algorithm", "backend", "T", "options")): int(row["peak live bytes"])
    for row in rows_of("cost.csv")
}


def measured(paper: str, claim: str) -> list[float]:
    return [float(value) for value in LEDGER[paper, claim]["measured"].split("; ")]


def peak(network: str, algorithm: str, T: int) -> int:
    return COSTS[network, algorithm, "native", str(T), ""]


def longest_with_more_than_bptt(network: str) -> int:
    """Return the largest counted T at which OTPE needs more than BPTT; the next T is counted too, and there it does not."""
    counted = sorted(
        int(T) for name, algorithm, backend, T, _ in COSTS if (name, algorithm, backend) == (network, "otpe", "native")
    )
    more = [T for T in counted if peak(network, "otpe", T) > peak(network, "bptt", T)]
    assert more[-1] + 1 in counted
    assert more == counted[: len(more)]
    return more[-1]


def chance(claim: str) -> str:
    """Return the chance level of a search, in per cent, as its reason states it."""
    found = re.search(r"([\d.]+) % would be met", LEDGER["ttl_bptt", claim]["reason"])
    assert found
    return found[1]


def images(paper: str, network: str) -> tuple[int, int, int]:
    """Return epochs, training images and test images of the trainings of a network at scale laptop; all have the same."""
    cases = [case for case in plan(paper, "laptop", lambda _: True) if (case.probe, case.network) == ("training", network)]
    chosen = {tuple(dict(case.options)[name] for name in ("epochs", "train_images", "test_images"))
              for case in cases if case.scale == "laptop"}  # fmt: skip
    ((epochs, train, test),) = chosen
    return epochs, train, test  # type: ignore[return-value]


def ottt() -> Iterator[str]:
    native, shipped = measured("ottt", "memory-ratio")
    yield f"It needs {native:.1f} times fewer live bytes than BPTT in this implementation"
    yield f"and {shipped:.1f} times fewer in SpikingJelly's own"


def sltt() -> Iterator[str]:
    pairs = ("cifar10", "cifar100", "imagenet", "cifar10-dvs", "gesture")
    ratios = [measured("sltt", f"memory-ratio-{pair}")[0] for pair in pairs]
    yield f"BPTT needs {min(ratios):.1f} to {max(ratios):.1f} times its live bytes"
    of_cifar10 = LEDGER["sltt", "memory-ratio-cifar10"]["printed"]
    yield f"the paper reports {of_cifar10}, where the ratio of the tensors is {measured('sltt', 'memory-ratio-cifar10')[0]:.1f}"


def otpe() -> Iterator[str]:
    small, middle, large = map(
        longest_with_more_than_bptt, ("otpe-3x128/randman-k25", "otpe-3x256/randman-k10", "otpe-3x512/shd-k25")
    )
    yield f"up to T = {small} for 3 x 128 and T = {middle} for 3 x 256 on Randman, up to T = {large} for 3 x 512 on SHD"
    mib = [peak("otpe-3x256/randman-k10", algorithm, 50) / 2**20 for algorithm in ("otpe", "bptt", "approximate-otpe")]
    yield f"at the paper's T = 50 it is {mib[0]:.0f} MiB against {mib[1]:.0f} MiB for 3 x 256"
    yield f"take approximate OTPE: there a step needs {mib[2]:.0f} MiB"
    yield from on_randman()
    yield f"sigmoid(3) = {1 / (1 + math.exp(-3)):.4f}"


def full_length() -> dict[tuple[str, str], dict[int, float]]:
    """The accuracies of OTPE's full-length trainings on four draws of Randman, by code and algorithm, and by draw."""
    records, _ = Store(RESULTS).load("otpe")
    found: dict[tuple[str, str], dict[int, float]] = {}
    for record in records:
        whole = record.case["scale"] == "night" and record.metric == "test_accuracy" and record.case["seed"] < 4
        if whole and record.status == "ok":
            code = "-".join(record.case["dataset"].split("-")[:2])
            found.setdefault((code, record.case["algorithm"]), {})[record.case["seed"]] = record.number
    return found


def on_randman() -> Iterator[str]:
    found = full_length()
    assert {draws.keys() == {0, 1, 2, 3} for draws in found.values()} == {True}
    below = {
        (code, algorithm): statistics.fmean(found[code, "bptt"][draw] - value for draw, value in draws.items())
        for (code, algorithm), draws in found.items()
    }
    most = max(abs(points) for (code, _), points in below.items() if code == "randman-rate")
    yield f"all rules end within {math.ceil(most)} points of BPTT on the rate code"
    close = max(abs(below["randman-time", algorithm]) for algorithm in ("otpe", "approximate-otpe"))
    yield f"OTPE and approximate OTPE end within {math.ceil(close)} point of it"
    yield f"OSTL {below['randman-time', 'ostl']:.0f} and OTTT {below['randman-time', 'ottt-dense']:.0f} points below"
    spread = max(max(draws.values()) - min(draws.values()) for draws in found.values())
    yield f"the accuracy of one rule changes by up to {math.ceil(spread)} points"


def ttl_bptt() -> Iterator[str]:
    yield f"of reports drawn within 10 points of this one, {chance('memory')} % would agree as well"
    yield f"of such reports {chance('memory-access')} % would agree"
    yield f"Of reports drawn evenly {chance('macs')} % would agree"


def skipper() -> Iterator[str]:
    _, train, test = images("skipper", "custom/n-mnist")
    yield f"the available part of N-MNIST ({train} recordings to train, {test} to test)"
    yield f"on {images('skipper', 'vgg5-small/cifar10')[1]:,} CIFAR-10 images"


def method() -> Iterator[str]:
    epochs, train, _ = images("ottt", "vgg-sws-small/cifar10")
    yield f"for OTTT, {epochs} epochs of a small network on {train:,} CIFAR-10 images"
    records, _ = Store(RESULTS).load("ottt")
    (whole,) = {
        (record.number, min(record.detail.values()))  # type: ignore[type-var]
        for record in records
        if record.metric == "gradient_cosine" and record.key == "ottt/gradient/cifar10/vgg-sws/cifar10/ottt-a/native/T6/b16/s0"
    }
    yield f"the least cosine of a weight tensor is {whole[1]:.2f} and that of the whole gradient is {whole[0]:.2f}"


PAGES = {
    "docs/method.md": method,
    **{f"reproductions/{of.__name__}/README.md": of for of in (otpe, ottt, skipper, sltt, ttl_bptt)},
}


@pytest.mark.parametrize("page", PAGES)
def test_numbers_in_the_words_of_page_are_those_of_the_results(page: str) -> None:
    text = " ".join((CODE / page).read_text(encoding="utf-8").split())
    for sentence in PAGES[page]():
        assert sentence in text, f"{page} must say: {sentence}"
