"""The evidence on a paper, and the selections that figures make from it. Imports no matplotlib."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypedDict, TypeVar

from bench.case import SCALES, Case
from bench.claims import Verdict
from bench.claims.claim import selectors
from bench.claims.gates import comparable, gates_of
from bench.record import Record
from bench.registry import PROBE_OPTIONS

Origin = TypedDict(
    "Origin",
    {
        "caption": str,  # all of it in a line
        "machines": list[str],
        "commits": list[str],
        "scales": list[str],
        "records": int,
        "records by older code": int,
    },
)
Group = TypeVar("Group", bound=Hashable)
Batch = tuple[str, str, int, int]  # data set, network, T, batch


class Plotted(TypedDict):
    """What the data of every figure have."""

    title: str
    subtitle: str
    origin: Origin


@dataclass(frozen=True)
class Paper:
    """Evidence on one paper, as figures read it.

    ``records`` hold what still counts (bench.record_store.latest), in any order; ``context`` holds numbers reported elsewhere, by
    figure, that are drawn beside ours and not judged; ``fresh`` says whether today's code would make a record so; a gate
    of ``planned`` that was not measured is closed.
    """

    name: str
    records: Sequence[Record]
    verdicts: Sequence[Verdict] = ()
    context: Mapping[str, object] = field(default_factory=dict)
    fresh: Callable[[Record], bool] = lambda _: True
    planned: Sequence[Case] = ()

    @cached_property
    def gates(self) -> dict[tuple[str, str], bool]:
        """Which (network, backend) pairs may be compared."""
        return gates_of(self.records, self.fresh, self.planned)

    def measured(self, metric: str) -> list[Record]:
        """Records with a number, comparable, of every machine, in an order that does not depend on theirs."""
        found = (r for r in self.records if r.metric == metric and r.status == "ok" and comparable(r, self.gates))
        return sorted((r for r in found if isinstance(r.value, int | float)), key=identity)

    def counted(self, metric: str) -> list[Record]:
        """Like ``measured``, for numbers that do not depend on the machine: the latest record of each case."""
        by_key: dict[str, Record] = {}
        for record in sorted(self.measured(metric), key=lambda r: (r.when, r.machine)):
            by_key[record.key] = record
        return sorted(by_key.values(), key=identity)

    def gradients(self) -> list[Record]:
        """Cosines to BPTT's gradient as figures show them: on the first batch, at the initial weights of the first seed."""
        probes = {"batches", "after_batches"}
        return [r for r in self.counted("gradient_cosine") if r.case["seed"] == 0 and not probes & r.case["options"].keys()]

    def main(self, metric: str) -> list[Record]:
        """Usual counts of the network of most cases, at the T of the claims and, of its batches, that of most cases."""
        everywhere = self.counted(metric)
        network = most(everywhere, lambda r: r.case["network"], lambda r: r.key)
        here = [r for r in everywhere if r.case["network"] == network and r.case["T"] == self.T_of(network)]
        batch = most(here, lambda r: r.case["batch"], lambda r: r.key)
        return self.usual(r for r in here if r.case["batch"] == batch)

    def usual(self, records: Iterable[Record]) -> list[Record]:
        """Without the settings tried beside: an algorithm's options stay if it was measured more than half as often with them,
        on the same network and backend, as with those most used."""
        return [r for r in records if 2 * self._uses[_settings(r)] > self._most_used[_settings(r)[:-1]]]

    @cached_property
    def _uses(self) -> Counter[tuple[str, ...]]:
        return Counter(_settings(r) for r in {r.key: r for r in self.records if r.status == "ok"}.values())

    @cached_property
    def _most_used(self) -> dict[tuple[str, ...], int]:
        most_used: dict[tuple[str, ...], int] = {}
        for settings, count in self._uses.items():
            most_used[settings[:-1]] = max(count, most_used.get(settings[:-1], 0))
        return most_used

    def failed(self, probe: str) -> list[Record]:
        """Cases of a probe that gave no number, with their reasons."""
        return sorted((r for r in self.records if r.status != "ok" and r.case["probe"] == probe), key=identity)

    def T_of(self, network: str | None) -> int | None:
        """The number of time steps at which the paper's claims ask for a network; without claims, where most was measured."""
        of_claims = [selector for verdict in self.verdicts for selector in selectors(verdict.claim.parts)]
        asked = Counter(s["T"] for s in of_claims if s.get("network") == network and "T" in s)
        if not asked:
            asked = Counter(r.case["T"] for r in self.records if r.case["network"] == network)
        return max(asked, key=lambda T: (asked[T], -T), default=None)


def identity(record: Record) -> tuple[object, ...]:
    """Sort key of records: algorithms and backends side by side, T and epochs by number."""
    case = record.case
    options = sorted((name, str(value)) for name, value in case["options"].items())
    setting = (case["dataset"], case["network"], case["algorithm"], case["backend"], case["T"], case["batch"])
    return (*setting, case["seed"], options, natural(record.metric), record.machine)


def natural(text: str) -> list[tuple[int, str]]:
    """Sort key in which "layer 10" follows "layer 9"."""
    return [(int(number or -1), word) for number, word in re.findall(r"(\d+)|(\D+)", text)]


def most(records: Iterable[Record], group: Callable[[Record], Group], what: Callable[[Record], Hashable]) -> Group | None:
    """The group with the most different ``what``; between equals the first by name; None without records."""
    seen: dict[Group, set[Hashable]] = {}
    for record in records:
        seen.setdefault(group(record), set()).add(what(record))
    return min(seen, key=lambda name: (-len(seen[name]), name), default=None)


def on_batch(record: Record) -> Batch:
    """Data set, network, T and batch size: gradients are compared where all are equal."""
    case = record.case
    return (case["dataset"], case["network"], case["T"], case["batch"])


def exact(cosine: float) -> bool:
    """Whether a gradient is BPTT's but for rounding."""
    return 1 - cosine < 1e-6


def _settings(record: Record) -> tuple[str, ...]:
    case = record.case
    return (case["network"], case["backend"], case["algorithm"], options(record, PROBE_OPTIONS))


def options(record: Record, leaving_out: Iterable[str] = ()) -> str:
    """The options that distinguish two cases of one algorithm, as written after its name."""
    shown = {name: value for name, value in record.case["options"].items() if name not in set(leaving_out)}
    return ", ".join(f"{name} = {value}" for name, value in sorted(shown.items()))


def origin(paper: Paper, used: Sequence[Record], n: str) -> Origin:
    """Where the plotted numbers come from; ``n`` says what one of them represents. ``caption`` puts it in a line."""
    machines = sorted({record.machine for record in used})
    commits = sorted({record.commit for record in used})
    scales = sorted({record.case["scale"] for record in used}, key=SCALES.index)
    older = sum(not paper.fresh(record) for record in used)
    parts = [
        f"{'machine' if len(machines) == 1 else 'machines'} {_few(machines)}",
        f"commit {_few([commit[:10] for commit in commits])}",
        n,
        f"scale {', '.join(scales)}",
    ]
    if older:
        parts.append(f"{older} of {len(used)} numbers were made by code that has changed since")
    return {
        "caption": " · ".join(parts),
        "machines": machines,
        "commits": commits,
        "scales": scales,
        "records": len(used),
        "records by older code": older,
    }


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
