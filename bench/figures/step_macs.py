"""Multiply-accumulates of one training step by what they are for, and how many of them are multiplications."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench import readers
from bench.figures import rows, style
from bench.figures.paper import Paper, Plotted, origin
from bench.figures.words import backends, by_backend, title
from bench.record import Record

name = "step_macs"
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


class Row(rows.Row):
    roles: dict[str, float]
    total: float | None
    multiplications: float | None


class Group(rows.Group[Row]):
    backends: list[str]


class Data(Plotted):
    network: str
    T: int
    batch: int
    groups: list[Group]


def data(paper: Paper) -> Data | None:
    """The main network's step, dense and multiplications alone."""
    dense = paper.main("step_macs")
    if not dense:
        return None
    first = dense[0].case
    network, T, batch = setting = first["network"], first["T"], first["batch"]
    multiplications = {r.key: r for r in paper.counted("step_multiplications")}
    failed = [
        r
        for r in paper.failed("cost")
        if (r.case["network"], r.case["T"], r.case["batch"]) == setting and r.status != "unsupported"
    ]
    groups: dict[str, list[Row]] = {}
    known = {r.key for r in dense}
    lost = list({r.key: r for r in failed if r.key not in known}.values())
    for record in sorted([*dense, *lost], key=by_backend):
        groups.setdefault(record.case["backend"], []).append(_row(record, multiplications.get(record.key)))
    used = [*dense, *(multiplications[r.key] for r in dense if r.key in multiplications)]
    return {
        "title": "Multiply-accumulates of one training step",
        "subtitle": (
            f"{network}, T = {T}, batch {batch}. Bars: all products of convolutions and matrix products. "
            "Diamonds: those that are multiplications, because a product with a binary spike is an addition."
        ),
        "origin": origin(paper, used, "each row is one training step, counted from shapes"),
        "network": network,
        "T": T,
        "batch": batch,
        "groups": _alike(groups),
    }


def render(data: Data) -> str:
    with style.canvas():
        groups = data["groups"]
        figure = style.sheet(data, rows.height(groups) + 0.25)
        axes = figure.subplots()
        style.plain(axes, grid="x")
        axes.spines["left"].set_visible(False)
        placed = rows.lay(axes, groups)
        roles = [role for role in style.ROLES if any(role in row["roles"] for _, row in placed)]
        most_of_all = max(row["total"] or 0 for _, row in placed)
        exponent = 3 * int(math.log10(most_of_all) // 3)
        unit = 10**exponent
        for y, row in placed:
            left = 0.0
            for role in roles:
                width = row["roles"].get(role, 0) / unit
                axes.barh(y, width, 0.66, left=left, color=style.ROLES[role].colour.light)
                left += width
            if row["multiplications"] is not None:
                done = row["multiplications"] / unit
                axes.plot([done], [y], "D", ms=5, mec=style.PAPER.light, mew=0.8, color=style.INK.light)
        axes.set_xlim(0, 1.03 * most_of_all / unit)
        axes.set_xlabel(f"10{str(exponent).translate(_RAISED)} multiply-accumulates")
        rows.lacking(axes, placed, 0.008 * axes.get_xlim()[1])
        rows.column(axes, 0.42, "all", placed, [_in(unit, row["total"]) for _, row in placed])
        rows.column(axes, 1.4, "multiplications", placed, [_in(unit, row["multiplications"]) for _, row in placed])
        style.key(figure, [style.ROLES[role] for role in roles])
        return style.svg(figure, data["title"], _description(groups, unit))


def _row(record: Record, multiplications: Record | None) -> Row:
    algorithm, words = record.case["algorithm"], title(record)
    if record.status != "ok":
        return {
            "algorithm": algorithm, "title": words, "lacking": record.status, "roles": {}, "total": None, "multiplications": None,
        }  # fmt: skip
    roles: dict[str, float] = {}
    for role, count in record.detail.items():
        known = role if role in style.ROLES else "other"
        roles[known] = roles.get(known, 0) + readers.number(count, role)
    return {
        "algorithm": algorithm,
        "title": words,
        "roles": roles,
        "total": record.number,
        "multiplications": multiplications.number if multiplications else None,
    }


def _alike(rows_of: dict[str, list[Row]]) -> list[Group]:
    """Backends whose counts are equal in every row share a group."""
    groups: list[tuple[list[str], list[Row]]] = []
    for backend, of_backend in rows_of.items():
        same = next((names for names, of_group in groups if of_group == of_backend), None)
        if same:
            same.append(backend)
        else:
            groups.append(([backend], of_backend))
    return [{"heading": backends(names), "backends": names, "rows": of_group} for names, of_group in groups]


def _in(unit: int, count: float | None) -> str:
    return "–" if count is None else f"{count / unit:.{2 if unit > 1 else 0}f}"


def _description(groups: Sequence[Group], unit: int) -> str:
    described = [
        f"{row['title']} on {group['heading']}: {_in(unit, row['total'])}, "
        f"of these multiplications {_in(unit, row['multiplications'])}"
        for group in groups
        for row in group["rows"]
    ]
    return f"Stacked bars, in units of {unit:,} multiply-accumulates. " + "; ".join(described) + "."
