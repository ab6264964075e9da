"""Multiply-accumulates of one training step by what they are for, and how many of them are multiplications."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bench.figures import rows, style
from bench.figures.paper import Paper, origin
from bench.figures.words import backends, by_backend, title
from bench.record import Record

name = "step_macs"
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def data(paper: Paper) -> dict[str, Any] | None:
    """The main network's step, dense and multiplications alone."""
    dense = paper.main("step_macs")
    if not dense:
        return None
    network, T, batch = setting = tuple(dense[0].case[name] for name in ("network", "T", "batch"))
    multiplications = {r.key: r for r in paper.counted("step_multiplications")}
    failed = [
        r
        for r in paper.failed("cost")
        if (r.case["network"], r.case["T"], r.case["batch"]) == setting and r.status != "unsupported"
    ]
    groups: dict[str, list[dict[str, Any]]] = {}
    known = {r.key for r in dense}
    lost = list({r.key: r for r in failed if r.key not in known}.values())
    for record in sorted([*dense, *lost], key=by_backend):
        groups.setdefault(record.case["backend"], []).append(_row(record, multiplications.get(record.key)))
    used = [*dense, *(multiplications[r.key] for r in dense if r.key in multiplications)]
    return {
        "title": "Multiply-accumulates of one training step",
        "subtitle": (
            f"{network}, T = {T}, batch {batch}. Bars: all products of convolutions and matrix products. "
            "Diamonds: those that are multiplications, for a product with a binary spike is an addition."
        ),
        "origin": origin(paper, used, "counted from shapes, one training step a row"),
        "network": network,
        "T": T,
        "batch": batch,
        "groups": _alike(groups),
    }


def render(data: dict[str, Any]) -> str:
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


def _row(record: Record, multiplications: Record | None) -> dict[str, Any]:
    row = {"algorithm": record.case["algorithm"], "title": title(record)}
    if record.status != "ok":
        return {**row, "lacking": record.status, "roles": {}, "total": None, "multiplications": None}
    roles: dict[str, int] = {}
    for role, count in record.detail.items():
        known = role if role in style.ROLES else "other"
        roles[known] = roles.get(known, 0) + count
    return {
        **row,
        "roles": roles,
        "total": record.value,
        "multiplications": multiplications.value if multiplications else None,
    }


def _alike(rows_of: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Backends whose counts are equal in every row share a group."""
    groups: list[dict[str, Any]] = []
    for backend, of_backend in rows_of.items():
        same = next((group for group in groups if group["rows"] == of_backend), None)
        if same:
            same["backends"].append(backend)
        else:
            groups.append({"backends": [backend], "rows": of_backend})
    return [{"heading": backends(group["backends"]), **group} for group in groups]


def _in(unit: int, count: float | None) -> str:
    return "–" if count is None else f"{count / unit:.{2 if unit > 1 else 0}f}"


def _description(groups: Sequence[dict[str, Any]], unit: int) -> str:
    said = [
        f"{row['title']} on {group['heading']}: {_in(unit, row['total'])}, "
        f"of these multiplications {_in(unit, row['multiplications'])}"
        for group in groups
        for row in group["rows"]
    ]
    return f"Stacked bars, in units of {unit:,} multiply-accumulates. " + "; ".join(said) + "."
