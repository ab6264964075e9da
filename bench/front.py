"""README's first table: one algorithm per row, all on one network, and when to choose it. Imports no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypedDict

from bench.figures import style
from bench.quantity import significant

Row = Mapping[str, str]  # of results/cost.csv
Setting = tuple[str, int, int]  # network, T, batch


@dataclass(frozen=True)
class Choice:
    """An algorithm with its options (as in results/cost.csv), whether its gradient is BPTT's, and when to choose it."""

    algorithm: str
    options: str
    gradient: str
    when: str


CHOICES = (
    Choice("bptt", "", "exact", "it fits: nothing is computed twice"),
    Choice("checkpointed", "", "exact", "the gradient must stay BPTT's and a second forward pass is affordable"),
    Choice("skipper", "p = 50", "approximate", "checkpointing takes too long and a few steps can be left out"),
    Choice("ttl-bptt", "K = 10, b = 1", "approximate", "dependencies are short and layers may learn from losses of their own"),
    Choice("ottt-a", "", "approximate", "T is large or open-ended and past spikes should count, through a trace"),
    Choice("sltt", "", "approximate", "T is large and the error within a time step is enough"),
)


class Table(TypedDict):
    network: str
    T: int
    batch: int
    rows: list[dict[str, str]]


def table(costs: Iterable[Row]) -> Table | None:
    """The choices at the network, T and batch where most of them were counted; between equals, where most rows were.

    ``costs``: rows of the cost table. None where no choice was counted; a choice that was not, there, has no numbers.
    """
    found: dict[Setting, dict[Choice, Row]] = {}
    rows: Counter[Setting] = Counter()
    for row in costs:
        setting = (row["network"], int(row["T"]), int(row["batch"]))
        rows[setting] += 1
        for choice in CHOICES:
            if (row["algorithm"], row["backend"], row["options"]) == (choice.algorithm, "native", choice.options):
                found.setdefault(setting, {})[choice] = row
    if not found:
        return None
    network, T, batch = setting = max(found, key=lambda setting: (len(found[setting]), rows[setting], setting))
    return {"network": network, "T": T, "batch": batch, "rows": [_row(choice, found[setting].get(choice)) for choice in CHOICES]}


def _row(choice: Choice, counted: Row | None) -> dict[str, str]:
    title = style.algorithm(choice.algorithm).title
    return {
        "title": f"{title} ({choice.options})" if choice.options else title,
        "GiB": significant(int(counted["peak live bytes"]) / 2**30) if counted else "–",
        "MACs": significant(int(counted["step MACs"]) / 1e12) if counted else "–",
        "gradient": choice.gradient,
        "when": choice.when,
    }
