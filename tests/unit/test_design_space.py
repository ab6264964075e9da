"""The design space of two cuts: which algorithm a cell is, and which cell a case stands in."""

from __future__ import annotations

from typing import Any

import pytest

from bench.case import Case
from bench.design_space import Cell, cell_of, setting, without_cell
from bench.errors import UserError
from reproductions.ttl_bptt.cases import AT_SIZE, ON_EVENTS, ON_IMAGES, SEEDS, Space, cases

T = 10
ALGORITHMS = {
    Cell(10): ("bptt", {}),
    Cell(2): ("tbptt", {"K": 2}),
    Cell(10, 1): ("local", {"b": 1}),
    Cell(2, 1): ("ttl-bptt", {"K": 2, "b": 1, "update": "end"}),
}


def case(algorithm: str, options: dict[str, Any], **more: Any) -> dict[str, Any]:
    return Case("p", "training", "net", algorithm, "native", T, 8, options=tuple(sorted(options.items())), **more).as_dict()


@pytest.mark.parametrize("cell", ALGORITHMS, ids=str)
def test_cell_maps_to_a_case_and_back(cell: Cell) -> None:
    assert setting(cell, T) == ALGORITHMS[cell]
    algorithm, own = ALGORITHMS[cell]
    assert cell_of(case(algorithm, {**own, "lr": 0.1, "epochs": 3})) == cell


@pytest.mark.parametrize(
    ("algorithm", "options"),
    [
        ("skipper", {"p": 50}),
        ("sltt", {}),
        ("ttl-bptt", {"K": 2, "b": 1}),  # updates after every window
        ("ttl-bptt", {"K": 2, "b": 1, "update": "block"}),
        ("tbptt", {"K": 2, "update": "window"}),
        ("ttl-bptt", {"K": 10, "b": 1, "update": "end"}),  # local, by another name
    ],
)
def test_other_algorithms_and_updates_have_no_cell(algorithm: str, options: dict[str, Any]) -> None:
    assert cell_of(case(algorithm, options)) is None


def test_cell_without_one_cut_keeps_the_other() -> None:
    assert Cell(2, 1).without("time", T) == Cell(10, 1)
    assert Cell(2, 1).without("layers", T) == Cell(2)
    assert Cell(2).without("time", T) == Cell(10)
    assert Cell(10, 1).without("time", T) is None
    assert Cell(2).without("layers", T) is None
    with pytest.raises(UserError, match="unknown cut 'lines'"):
        Cell(2, 1).without("lines", T)  # type: ignore[arg-type]


def test_cells_of_one_space_differ_in_their_cuts_alone() -> None:
    cells = [case(algorithm, {**own, "lr": 0.1}, seed=3) for algorithm, own in ALGORITHMS.values()]
    assert all(without_cell(c) == without_cell(cells[0]) for c in cells)
    assert without_cell(case("bptt", {"lr": 0.2})) != without_cell(cells[0])
    assert without_cell(case("local", {"b": 1, "lr": 0.1, "classifier": "fixed"})) != without_cell(cells[0])


def test_cells_sort_with_one_block_last() -> None:
    cells = [Cell(10), Cell(2), Cell(2, 10), Cell(2, 9)]
    assert sorted(cells, key=lambda cell: cell.order) == [Cell(2, 9), Cell(2, 10), Cell(2), Cell(10)]


@pytest.mark.parametrize("space", [ON_IMAGES, ON_EVENTS, *AT_SIZE], ids=lambda space: space.dataset)
def test_plan_trains_every_cell_once_per_seed(space: Space) -> None:
    planned = [
        c for c in cases(lambda _: True)
        if (c.probe, c.dataset, c.network) == ("training", space.dataset, space.network)
    ]  # fmt: skip
    found = [(cell_of(c.as_dict()), c.seed) for c in planned]
    assert len(found) == len(set(found)) == len(space.lengths) * len(space.blocks) * len(SEEDS)
    assert {cell for cell, _ in found} == set(space.cells)
    assert {c.scale for c in planned} == {space.scale}
    assert len({repr(without_cell(c.as_dict())) for c in planned}) == 1
