"""README's first table: which network it is about, and what stands in its rows."""

from __future__ import annotations

from collections.abc import Iterable

from bench import algorithms, front
from bench.front import CHOICES, Choice


def row(choice: Choice, network: str = "a", T: int = 10, backend: str = "native", peak: int = 2**30) -> dict[str, str]:
    return {
        "network": network, "algorithm": choice.algorithm, "backend": backend, "T": str(T), "batch": "64",
        "options": choice.options, "peak live bytes": str(peak), "step MACs": str(2 * 10**12),
    }  # fmt: skip


def about(costs: Iterable[dict[str, str]]) -> tuple[str, int]:
    found = front.table(costs)
    assert found is not None
    return found["network"], found["T"]


def test_front_table_shows_the_network_with_most_algorithms() -> None:
    few = [row(choice, "few", backend=backend) for choice in CHOICES[:2] for backend in ("native", "snntorch", "spikingjelly")]
    assert about([*few, *(row(choice, "all") for choice in CHOICES)]) == ("all", 10)


def test_front_table_prefers_the_setting_with_most_rows() -> None:
    both = [row(choice, T=T) for choice in CHOICES for T in (10, 100, 1000)]
    assert about([*both, row(CHOICES[0], T=100, backend="snntorch")]) == ("a", 100)


def test_front_table_rows_have_three_digits_and_omit_algorithms_without_counts() -> None:
    found = front.table([row(CHOICES[0], peak=3 * 2**29), row(CHOICES[1], backend="snntorch")])
    assert found is not None
    assert [line["GiB"] for line in found["rows"]] == ["1.50", *["–"] * (len(CHOICES) - 1)]
    assert found["rows"][0]["MACs"] == "2.00"
    assert front.table([]) is None


def test_front_table_choices_are_valid_options() -> None:
    assert {choice.algorithm for choice in CHOICES} <= set(algorithms.names())
    for choice in CHOICES:
        known = algorithms.load(choice.algorithm).Options.__dataclass_fields__
        assert {part.split(" = ")[0] for part in choice.options.split(", ") if part} <= set(known)
        assert choice.when
