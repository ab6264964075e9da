"""docs/zoo.md from results/zoo.jsonl. The same results give the same bytes. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from bench.errors import UserError
from bench.json_object import Json
from bench.lift.zoo import front_page as zoo_front_page
from bench.quantity import count_of, significant, size
from bench.registry import ALGORITHMS

Key = TypeVar("Key")

RESULTS, PAGE = "zoo.jsonl", "zoo.md"
SECONDS, RESIDENT = 5.0, 2 * 2**30  # that measuring a network may take
AS_WRITTEN = "as written"
_WHERE = re.compile(r"^[A-Z]\w*(\.[\w.]+)?(: |\.forward )")  # the module's own path at the head of a reason
_CHECKS = {
    "gradients": "gradients and running statistics by every exact algorithm against the author's loop, in float64, small variant",
    "bytes": "bytes, MACs and traffic without storage against real CPU tensors, small variant",
    "tracker": "the peak against that of torch's MemTracker, at the network's own input",
}


def page(lines: Sequence[Json]) -> str:
    """Return docs/zoo.md. Raises UserError if nothing was measured."""
    lines = sorted(
        lines, key=lambda line: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", line["network"])]
    )
    measured = [line for line in lines if "rows" in line.get("cost", {})]
    if not measured:
        raise UserError(f"no network is measured in results/{RESULTS}: run `make zoo`")
    parts = (
        *_head(lines),
        "## What bounds a network, and the checks\n",
        "Recomputation cannot lower the memory of the weights with their gradients and optimizer state, of the input of one "
        "layer of batch norm (of all time steps in multi-step mode), and of the input batch. The largest of these bounds the "
        "network. s: seconds of CPU time of a count.\n",
        *_table(_BOUNDS, (_bounds(line) for line in measured)),
        "",
        *_words_of_checks(lines),
        "## By algorithm\n",
        "saved: of the peak of the module as written. times: MACs over its MACs. exact: BPTT's gradient. s: seconds of CPU "
        "time of a count.\n",
        *_table(_ROWS, (row for line in measured for row in _rows(line))),
        "",
        "## What does not apply\n",
        *_table(("algorithm", "reason", "networks"), _reasons(measured)),
        *_failures(lines),
        *filter(None, [zoo_front_page.section(lines)]),
    )
    return "\n".join(parts) + "\n"


def _head(lines: Sequence[Json]) -> Iterator[str]:
    costs = [line["cost"] for line in lines if "cost" in line]
    first, last = min(cost["when"] for cost in costs), max(cost["when"] for cost in costs)
    versions = ", ".join(f"{name} {version}" for name, version in costs[-1]["versions"].items())
    commits = ", ".join(dict.fromkeys(cost["commit"] for cost in costs))
    machines = ", ".join(dict.fromkeys(cost["machine"] for cost in costs))
    measured = [cost for cost in costs if "rows" in cost]
    slow = [cost["network"] for cost in measured if cost["seconds"]["measure"] > SECONDS]
    large = [cost["network"] for cost in measured if cost["resident"] > RESIDENT]
    most = max(cost["seconds"]["measure"] for cost in measured)
    resident = max(cost["resident"] for cost in measured)
    yield "# SpikingJelly's model zoo and snnTorch's tutorial networks\n"
    yield (
        "Networks that were not written for this suite, each at the input that it was made for "
        "([the list](../bench/lift/zoo/networks.py)): batch 32, T as given, float32, SGD with momentum. A name that ends in "
        "/s or /m is in single-step or multi-step mode. How a module is measured: [your network](your_network.md).\n"
    )
    yield (
        f"This page is made from results/{RESULTS} by `make zoo`. {count_of(len(costs), 'network')}, {first[:10]} to "
        f"{last[:10]}, commit {commits}, {versions}, machine {machines}.\n"
    )
    yield (
        f"Each was measured in a process of its own, without a GPU. Measuring one took at most {significant(most)} s of a CPU "
        f"without imports ({'over 5 s: ' + ', '.join(slow) if slow else 'all under 5 s'}), and comparing it by all algorithms "
        f"at most {size(resident)} of resident memory ({'over 2 GiB: ' + ', '.join(large) if large else 'all under 2 GiB'}).\n"
    )


# --------------------------------------------------------------------------- tables

_BOUNDS = (
    *(
        "network",
        "input",
        "T",
        "parameters",
        "neurons run as",
        "as written",
        "weights and optimizer",
        "one layer",
        "input, batch",
    ),
    *("bounded by", *_CHECKS, "s"),
)
_ROWS = ("network", "algorithm", "options", "peak, GiB", "saved", "MACs", "times", "exact", "s")


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(titles)} |"
    yield f"|{'|'.join('---' for _ in titles)}|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _bounds(line: Json) -> tuple[str, ...]:
    cost = line["cost"]
    bound = cost["bound"]
    parts = {"weights": bound["weights"], f"batch norm {bound['layer']}": bound["norm"], "input": bound["input"]}
    written = next(row for row in cost["rows"] if row["algorithm"] == AS_WRITTEN)
    return (
        cost["network"],
        " x ".join(map(str, cost["frame"])),
        str(cost["T"]),
        significant(cost["parameters"]),
        "; ".join(_kernel(kernel) for kernel in cost["kernels"]),
        size(written["peak"]),
        *(size(count) for count in parts.values()),
        max(parts, key=lambda part: parts[part]),
        *(line.get("checks", {}).get(check, {}).get("outcome", "not run") for check in _CHECKS),
        significant(cost["seconds"]["measure"]),
    )


def _kernel(words: str) -> str:
    """SpikingJelly's neurons, operator by operator -> operator by operator."""
    return words.partition("neurons")[2].strip(", ")


def _rows(line: Json) -> Iterator[tuple[str, ...]]:
    rows = [row for row in line["cost"]["rows"] if "peak" in row]
    written = rows[0]
    for row in rows:
        yield (
            line["network"],
            row["algorithm"] if row is written else ALGORITHMS[row["algorithm"]].title,
            ", ".join(f"{name} = {value}" for name, value in row["options"].items()),
            significant(row["peak"] / 2**30),
            "" if row is written else f"{100 * (1 - row['peak'] / written['peak']):.1f} %",
            f"{row['macs']:.3g}",
            f"{row['macs'] / written['macs']:.2f}",
            "yes" if row["exact"] else "no",
            significant(row["seconds"], 2),
        )


def _words_of_checks(lines: Sequence[Json]) -> Iterator[str]:
    """Yield what each check compares, its counts, and what is not equal."""
    checked = [(line["network"], line["checks"]) for line in lines if "gradients" in line.get("checks", {})]
    for check, meaning in _CHECKS.items():
        outcomes = [checks[check]["outcome"] for _, checks in checked]
        counts = ", ".join(
            f"{outcomes.count(each)} {each}" for each in ("equal", "not comparable", "differs") if each in outcomes
        )
        yield f"- **{check}**: {meaning}: {counts or 'not run'}."
        for words, names in _grouped((_short(checks[check].get("words", "")), name) for name, checks in checked):
            if words:
                yield f"  - {', '.join(names)}: {words}"
    yield ""


def _reasons(lines: Sequence[Json]) -> Iterator[tuple[str, str, str]]:
    left_out = [(row["algorithm"], _short(row["reason"]), line["network"]) for line in lines for row in line["cost"]["rows"]
                if "reason" in row]  # fmt: skip
    by_reason = _grouped(((reason, network), algorithm) for algorithm, reason, network in left_out)
    merged = _grouped(((tuple(algorithms), reason), network) for (reason, network), algorithms in by_reason)
    for (algorithms, reason), networks in merged:
        yield ", ".join(ALGORITHMS[name].title for name in algorithms), reason, _named(networks, len(lines))


def _named(networks: Sequence[str], all_of_them: int) -> str:
    return f"all {all_of_them}" if len(networks) == all_of_them else f"{len(networks)}: {', '.join(networks)}"


def _failures(lines: Sequence[Json]) -> Iterator[str]:
    failed = [
        (line["network"], part, line[part]["failed"])
        for line in lines
        for part in ("cost", "checks")
        if "failed" in line.get(part, {})
    ]
    if failed:
        yield "\n## Failed\n"
        yield from (f"- {network}, {part}: {words}" for network, part, words in failed)


def _short(reason: str) -> str:
    return _WHERE.sub(lambda head: "forward " if "forward" in head[0] else "", reason).replace("|", "/")


def _grouped(pairs: Iterable[tuple[Key, str]]) -> list[tuple[Key, list[str]]]:
    found: dict[Key, list[str]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return list(found.items())
