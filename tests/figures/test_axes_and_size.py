"""What every figure keeps: two numbers or names on each axis, a file of bounded size, and the same rules in the dark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.figures import FIGURES, inverse_problem, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PLOTS = Path(__file__).parents[2] / "plots"
PLOTTED = sorted(PLOTS.glob("*/*.json"))
BY_NAME = {figure.name: figure for figure in FIGURES}
LARGEST_KB = 400


def drawn(path: Path, monkeypatch: pytest.MonkeyPatch) -> Figure:
    """Draw a figure from its plotted data, without its conversion to SVG."""
    kept: list[Figure] = []
    monkeypatch.setattr(style, "svg", lambda figure, *_: kept.append(figure))
    BY_NAME[path.stem].render(json.loads(path.read_text(encoding="utf-8")))
    (figure,) = kept
    return figure


def labelled(axes: Axes, side: str) -> list[str] | None:
    """The texts of the ticks inside the axes; None where another panel in its row or column carries them."""
    axis = axes.xaxis if side == "x" else axes.yaxis
    if not axis.get_tick_params().get("labelbottom" if side == "x" else "labelleft", True):
        return None
    low, high = sorted(axis.get_view_interval())
    places = [place for place in axis.get_majorticklocs() if low <= place <= high]
    return [text for text in axis.get_major_formatter().format_ticks(places) if text]


@pytest.mark.sampled(every=3)
@pytest.mark.parametrize("path", PLOTTED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_axis_has_two_labelled_ticks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for axes in drawn(path, monkeypatch).axes:
        for side in ("x", "y") if axes.get_visible() and axes.axison else ():
            texts = labelled(axes, side)
            assert texts is None or len(texts) > 1, f"{axes.get_title(loc='left')!r}, {side} axis: {texts}"


@pytest.mark.parametrize("low", [0.0021, 0.58, 1.04, 3.1, 31, 9.99e5])
@pytest.mark.parametrize("factor", [1.02, 1.3, 1.9, 4, 9, 80, 1e5])
def test_a_logarithmic_axis_has_two_to_eight_numbers_whatever_its_range(low: float, factor: float) -> None:
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    style.logarithmic(axes, "y", low, low * factor, [0.25, 0.5, 1, 2, 5, 10])
    texts = labelled(axes, "y")
    assert texts is not None
    assert 2 <= len(texts) <= 8
    assert len(set(texts)) == len(texts)


def test_an_axis_uses_the_ticks_that_it_is_given_where_two_lie_inside() -> None:
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    style.logarithmic(axes, "x", 0.9, 7, [1, 3, 6, 12])
    assert labelled(axes, "x") == ["1", "3", "6"]


@pytest.mark.parametrize("path", sorted(PLOTS.glob("*/*.svg")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_figure_is_small_enough_for_a_page(path: Path) -> None:
    assert path.stat().st_size < 1000 * LARGEST_KB


def test_marks_of_many_settings_are_binned_and_none_is_lost() -> None:
    changes = [-90.0, -89.9, *[-10.1] * 5, 3.0, *[3.2] * 20]
    places = inverse_problem._by_shade(changes)
    assert places == {0.5: [-90.0], 0.75: [-10.5], 1.0: [3.0]}
    xs, ys = inverse_problem._rectangles(places[0.5], 2.0)
    assert (min(xs), max(xs[:4]), ys[:4]) == (-90.0, -89.5, [1.7, 1.7, 2.3, 2.3])
