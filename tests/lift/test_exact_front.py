"""The figure and the table of the exact front are made from the zoo's lines alone."""

from __future__ import annotations

import copy
import json
from typing import Any

from bench.figures import exact_front
from bench.lift.zoo.front_page import DRAWN, section
from bench.lift.zoo.page import RESULTS
from bench.places import CODE

GIB = 2**30
NETWORK, T = DRAWN[0]


def line() -> dict[str, Any]:
    def result(peak: float, macs: int, level: int) -> dict[str, Any]:
        fields = {"targets": ["Block"], "budget": "memory", "stopped": False}
        return fields | {"level": level, "emulated": level > 1, "peak": int(peak * GIB), "macs": macs}

    case = {
        "T": T,
        "batch": 32,
        "bound": {"weights": GIB, "input": 1024, "norm": 2 * GIB, "layer": "bn1", "total": 3 * GIB + 1024},
        "schedules": [{"peak": 20 * GIB, "macs": 300}, {"peak": 8 * GIB, "macs": 300}, {"peak": 4 * GIB, "macs": 390}],
        "spikingjelly": [result(10, 300, 1), result(9, 400, 1), result(8.5, 380, 2)],
    }
    made = {"commit": "0123456789abcdef", "machine": "m", "versions": {"torch": "2", "spikingjelly": "2"}}
    return {"network": NETWORK, "front": {"cases": [case], **made}}


def test_table_says_whether_the_optimiser_has_less_memory_than_the_front() -> None:
    found = section([line()])
    assert "no more memory than any result of the optimiser on all 1 of them" in found
    assert (
        f"| {NETWORK} | {T} | 3.00 GiB, batch norm bn1 | 20.0 GiB | 8.00 GiB | 4.00 GiB (1.30 x) | 9.00 GiB (1.33 x) |" in found
    )
    assert "| 17.0 x | yes |" in found
    assert "exact_front.svg" in found
    better = line()
    better["front"]["cases"][0]["spikingjelly"][0]["peak"] = 7 * GIB  # at 300 products, where the front has 8 GiB
    found = section([better])
    assert f"than any result of the optimiser not on {NETWORK}" in found
    assert "| 17.0 x | no |" in found
    assert section([{"network": "other"}]) == ""


def test_figure_is_the_same_for_the_same_lines_and_names_every_network() -> None:
    data = exact_front.data([line()])
    assert data is not None
    (panel,) = data["panels"]
    assert panel["ours"] == [[1.0, 20 * GIB], [1.0, 8 * GIB], [1.3, 4 * GIB]]
    assert panel["shipped"] == [[1.0, 10 * GIB], [1.3333, 9 * GIB]]
    assert panel["emulated"] == [[1.2667, int(8.5 * GIB)]]
    drawn = exact_front.render(data)
    assert drawn == exact_front.render(copy.deepcopy(data))
    assert f"{NETWORK}: BPTT 20.0 GiB, at least 4.00 GiB at 1.30 times its MACs" in drawn
    assert exact_front.data([{"network": NETWORK, "cost": {}}]) is None


def test_figure_in_plots_is_that_of_the_results() -> None:
    results, place = CODE / "results" / RESULTS, CODE / "plots" / "zoo" / "exact_front.json"
    lines = [json.loads(each) for each in results.read_text(encoding="utf-8").splitlines()] if results.is_file() else []
    expected = exact_front.data(lines)
    assert place.is_file() == (expected is not None), "run `spikecost zoo --page`"
    if expected is not None:
        assert json.loads(place.read_text(encoding="utf-8")) == expected
        assert place.with_suffix(".svg").read_text(encoding="utf-8") == exact_front.render(expected)
