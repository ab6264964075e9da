"""Which settings agree with a report, and the two figures that show it."""

from __future__ import annotations

from typing import Any

import pytest

from bench.case import Case
from bench.figures import design_space, inverse_problem
from bench.figures.paper import Paper
from bench.record import Record
from bench.setting_search import CONVENTIONS, Report, Setting, agreeing_with_all, chance_level, distance, fits, nearest, settings

BY_NAME = {convention.name: convention for convention in CONVENTIONS}
LIVE, TRANSPORT = BY_NAME["peak live bytes"], BY_NAME["back-propagated errors alone"]


def records(algorithm: str, peak: int, transport: int, T: int = 10, **options: Any) -> list[Record]:
    case = Case("p", "cost", "net", algorithm, "native", T, 8, options=tuple(sorted(options.items())))
    values = {
        "peak_live_bytes": (peak, {"saved for backward": peak // 2}),
        "step_macs": (1000 + transport, {"error to input": transport}),
        "step_multiplications": (500 + transport, {}),
        "traffic_bytes": (4 * peak, {"weights": 7, "weights and saved": 7 + peak}),
    }
    return [
        Record(
            case=case.as_dict(), key=case.key, metric=metric, value=value, unit="B", version=1, detail=detail, status="ok",
            reason="", kernel="k", digest="d", versions={}, commit="c", machine="m",
            device="meta", threads=1, precision="float32", run="r", when="2026-01-01T00:00:00+00:00",
        )
        for metric, (value, detail) in values.items()
    ]  # fmt: skip


KNOWN = [
    *records("bptt", 1000, 800),
    *records("ttl-bptt", 100, 8, K=1, b=1),
    *records("ttl-bptt", 104, 400, K=1, b=2),
    *records("ttl-bptt", 900, 8, K=10, b=1),
    *records("ttl-bptt", 990, 400, K=10, b=2),
    *records("ttl-bptt", 50, 8, T=20, K=1, b=1),  # whose BPTT was not counted
]
REPORTS = {"memory": Report(-90.0, 0.5), "MACs": Report(-99.0, 0.005)}


def test_setting_is_compared_with_bptt_of_its_network_and_T() -> None:
    found = settings(KNOWN, "ttl-bptt")
    assert [dict(s.options) for s in found] == [{"K": 1, "b": 1}, {"K": 1, "b": 2}, {"K": 10, "b": 1}, {"K": 10, "b": 2}]
    assert found[0].changes[LIVE] == pytest.approx(-90)
    assert found[0].changes[TRANSPORT] == pytest.approx(-99)
    assert BY_NAME["weights alone"] in found[0].changes
    assert str(found[0]) == "net, T = 10, K = 1, b = 1"


def test_search_finds_settings_that_meet_one_or_all_reports() -> None:
    found = settings(KNOWN, "ttl-bptt")
    assert [dict(s.options) for s in fits(found, LIVE, REPORTS["memory"])] == [{"K": 1, "b": 1}, {"K": 1, "b": 2}]
    assert [dict(s.options)["K"] for s in fits(found, TRANSPORT, REPORTS["MACs"])] == [1, 10]
    assert [dict(s.options) for s in agreeing_with_all(found, REPORTS)] == [{"K": 1, "b": 1}]
    assert agreeing_with_all(found[1:], REPORTS) == []


def test_nearest_setting_has_the_least_worst_difference() -> None:
    found = settings(KNOWN, "ttl-bptt")
    best = nearest(found, REPORTS)
    assert dict(best.options) == {"K": 1, "b": 1}
    assert distance(best, REPORTS) == pytest.approx(0, abs=1e-9)
    assert distance(found[3], REPORTS) == pytest.approx(89)  # 990 of 1000 bytes, where 100 were reported


def paper(context: dict[str, Any]) -> Paper:
    return Paper("p", KNOWN, context=context)


ASKED = {
    "inverse_problem": {"algorithm": "ttl-bptt", "label": "reported", "reports": {"memory": [-90, 0.5], "MACs": [-99, 0.005]}}
}


def test_figure_counts_settings_that_agree_per_convention() -> None:
    data = inverse_problem.data(paper(ASKED))
    assert data is not None
    assert data["settings"] == 4
    assert data["together"] == ["net, T = 10, K = 1, b = 1"]
    agree = {row["convention"]: len(row["fits"]) for row in data["rows"]}
    assert agree[TRANSPORT.name] == 2
    assert agree["all products"] == 0
    svg = inverse_problem.render(data)
    assert svg == inverse_problem.render(data)
    assert "2 of 4 agree" in svg
    assert inverse_problem.data(paper({})) is None


def test_heat_map_has_a_cell_for_every_K_and_b() -> None:
    data = design_space.data(paper({}))
    assert data is not None
    memory = data["panels"][0]
    assert memory["cells"] == [[1, 1, -90.0], [1, 2, -89.6], [10, 1, -10.0], [10, 2, -1.0]]
    assert (memory["reported"], memory["nearest"]) == (None, [])
    svg = design_space.render(data)
    assert svg == design_space.render(data)
    assert "least -90 % at K = 1, b = 1" in svg
    assert design_space.data(Paper("p", KNOWN[:4])) is None


def test_heat_map_outlines_the_cells_nearest_to_a_report() -> None:
    data = design_space.data(paper(ASKED))
    assert data is not None
    by_title = {panel["title"]: (panel["reported"], panel["nearest"]) for panel in data["panels"]}
    assert by_title["memory: peak live bytes"] == (-90, [[1, 1]])
    assert by_title["MACs: back-propagated errors alone"] == (-99, [[1, 1], [10, 1]])  # all that are as near
    assert by_title["memory access: every operator's reads and writes"] == (None, [])
    svg = design_space.render(data)
    assert "reported -99 %, nearest -99 %: K = 1, b = 1 and K = 10, b = 1" in svg
    assert svg != design_space.render(design_space.data(paper({})))  # type: ignore[arg-type]


def test_search_ignores_steps_with_another_optimizer() -> None:
    """Their costs are counted for the figure of accuracy; BPTT's default stands beside none of them."""
    trained = [*records("bptt", 9, 8, optimizer="adam"), *records("ttl-bptt", 1, 1, K=1, b=1, optimizer="adam")]
    assert settings(trained, "ttl-bptt") == []


def test_chance_level_is_the_share_of_similar_reports_met_by_some_setting() -> None:
    """Live bytes change by -90, -89.6, -10 and -1 %, half of them saved for backward alike: two intervals near -90 overlap."""
    found = settings(KNOWN, "ttl-bptt")
    assert chance_level(found, {"memory": Report(-90.0, 0.5)}) == pytest.approx(1.4 / 20)
    assert chance_level(found, {"memory": Report(-50.0, 0.5)}) == 0
    assert chance_level(found, {"memory": Report(-90.0, 20.0)}) == pytest.approx(1)


def test_chance_level_uses_possible_reports_alone() -> None:
    """Between -100 and -89 %, not between -109 and -89 %: of 11 points, 0.2 are met."""
    found = [s for s in settings(KNOWN, "ttl-bptt") if dict(s.options) == {"K": 1, "b": 1}]
    alone = Setting("net", 10, 8, (), {TRANSPORT: found[0].changes[TRANSPORT]})
    assert chance_level([alone], {"MACs": Report(-99.0, 0.1)}) == pytest.approx(0.2 / 11)


def test_chance_level_of_several_reports_is_bounded() -> None:
    """One setting meets both of two quantities by the product of its shares; it is never above either alone."""
    alone = Setting("net", 10, 8, (), {LIVE: -50.0, TRANSPORT: -50.0})
    reports = {"memory": Report(-50.0, 1.0), "MACs": Report(-50.0, 2.0)}
    assert chance_level([alone], reports) == pytest.approx(0.1 * 0.2)
    assert chance_level([alone] * 100, reports) == pytest.approx(0.1)


def test_setting_with_another_optimizer_is_compared_with_nothing() -> None:
    """The optimizer's state would stand on one side alone."""
    found = settings([*KNOWN, *records("ttl-bptt", 100, 8, K=2, b=1, optimizer="adam")], "ttl-bptt")
    assert {2} & {dict(s.options)["K"] for s in found} == set()
