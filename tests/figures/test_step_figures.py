"""Figures of single training steps: memory saved, multiply-accumulates, times."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.figures import (
    fidelity_against_memory,
    speed,
    step_macs,
    step_time,
)
from bench.figures.paper import Paper
from tests.figures.records import EVIDENCE, FALLING, NETWORK, ROWS, clock, cost, gradient, record, shown


class TestFidelityAgainstMemory:
    def test_points_are_memory_saved_and_cosine(self) -> None:
        points = {p["algorithm"]: (p["saved"], p["cosine"]) for p in shown(fidelity_against_memory)["points"]}
        assert points == {"bptt": (1.0, 1.0), "ottt-a": (4.0, 0.75), "sltt": (5.0, 0.5)}

    def test_no_point_without_a_gradient(self) -> None:
        only_sltt = [r for r in EVIDENCE if r.metric != "gradient_cosine" or r.case["algorithm"] == "sltt"]
        algorithms = [p["algorithm"] for p in shown(fidelity_against_memory, only_sltt)["points"]]
        assert algorithms == ["bptt", "sltt"]

    def test_no_point_without_the_memory_of_the_same_network(self) -> None:
        elsewhere = [*cost("bptt", 4000), *cost("sltt", 800), gradient("sltt", 0.5, {}, network="vgg-f/cifar100")]
        assert fidelity_against_memory.data(Paper("ottt", elsewhere)) is None

    def test_subtitle_mentions_digits_as_a_replacement(self) -> None:
        digits = [*cost("bptt", 4000), *cost("sltt", 800), gradient("sltt", 0.5, {}, dataset="digits")]
        assert "stand-in" in shown(fidelity_against_memory, digits)["subtitle"]
        assert "stand-in" not in shown(fidelity_against_memory)["subtitle"]


class TestStepMacs:
    def test_rows_have_roles_total_and_multiplications(self) -> None:
        native, shipped = shown(step_macs)["groups"]
        assert native["backends"] == ["native"]
        assert shipped["rows"] == [
            {
                "algorithm": "ottt-a",
                "title": "OTTT-A",
                "roles": {"forward": 20 * 10**9, "error to input": 20 * 10**9, "error to weight": 30 * 10**9},
                "total": 70 * 10**9,
                "multiplications": 25 * 10**9,
            }
        ]

    def test_failed_row_shows_its_status(self) -> None:
        rows = {row["algorithm"]: row for row in shown(step_macs)["groups"][0]["rows"]}
        assert list(rows) == ["bptt", "ottt-a", "ottt-o", "sltt"]
        assert (rows["ottt-o"]["lacking"], rows["ottt-o"]["total"]) == ("out of memory", None)

    def test_backends_with_equal_counts_share_a_group(self) -> None:
        records = [*cost("bptt", 1), *cost("bptt", 2, "snntorch"), *cost("bptt", 2, "spikingjelly", forward=11)]
        records += [record("gate", "pass", "equivalence", backend=backend) for backend in ("snntorch", "spikingjelly")]
        groups = shown(step_macs, records)["groups"]
        assert [group["backends"] for group in groups] == [["native", "snntorch"], ["spikingjelly"]]

    def test_figure_shows_the_network_with_most_cases_at_its_T(self) -> None:
        records = [*EVIDENCE, *cost("bptt", 1, network="vgg-f/cifar100"), *cost("bptt", 1, T=2)]
        data = shown(step_macs, records)
        assert (data["network"], data["T"]) == (NETWORK, 6)
        assert sum(row["algorithm"] == "bptt" for group in data["groups"] for row in group["rows"]) == 1


class TestSpeed:
    def test_rows_are_ratios_to_the_faster_layout_from_fastest_to_slowest(self) -> None:
        (group,) = shown(speed)["groups"]
        assert group["heading"] == f"{NETWORK}, T = 10, batch 2 (3 turns)"
        assert [(row["title"], row["ratio"]) for row in group["rows"]] == [("BPTT, native, fast", 1.5), ("BPTT, snnTorch", 3.0)]
        assert group["rows"][1]["quartiles"] == [3.0, 3.5]

    def test_peaks_are_those_of_the_same_row(self) -> None:
        fast, other = shown(speed)["groups"][0]["rows"]
        assert fast["peak"] == "500 B"
        assert "peak" not in other
        assert "peak live bytes at batch 128" in shown(speed)["subtitle"]

    def test_rows_of_another_run_are_not_divided(self) -> None:
        later = [replace(r, run="later") if r.metric == "bptt on snntorch" else r for r in ROWS]
        assert [row["backend"] for row in shown(speed, later)["groups"][0]["rows"]] == ["native-fast"]

    def test_other_workloads_are_shown_if_none_has_ten_steps(self) -> None:
        few = [r for r in ROWS if r.case["probe"] != "speed" or r.case["T"] == 4]
        (group,) = shown(speed, few)["groups"]
        assert [row["ratio"] for row in group["rows"]] == [1.0]


class TestStepTime:
    def test_rows_are_ratios_and_quartiles_by_backend_and_algorithm(self) -> None:
        rows = [(g["backend"], r["algorithm"], r.get("ratio")) for g in shown(step_time)["groups"] for r in g["rows"]]
        assert rows == [
            ("native", "bptt", 1.0),
            ("native", "ottt-a", None),
            ("native", "sltt", 1.5),
            ("snntorch", "sltt", 2.0),
        ]
        last = shown(step_time)["groups"][-1]["rows"][-1]
        assert last["quartiles"] == pytest.approx([1.8, 2.4])

    def test_failed_row_shows_its_status_and_unsupported_ones_are_omitted(self) -> None:
        native, snntorch = shown(step_time)["groups"]
        assert [row.get("lacking") for row in native["rows"]] == [None, "timeout", None]
        assert len(snntorch["rows"]) == 1

    def test_figure_shows_the_machine_with_most_cases(self) -> None:
        data = shown(step_time, [*EVIDENCE, clock("sltt", "native", 9.0, machine="bench-2")])
        assert data["machine"] == "bench-1"
        assert all(row.get("ratio") != 9.0 for group in data["groups"] for row in group["rows"])

    def test_subtitle_names_the_setting(self) -> None:
        for words in ("time ratios on a cpu (bench-1)", "batch 128", "t = 6", NETWORK):
            assert words in shown(step_time)["subtitle"].lower()

    def test_predicted_ratio_is_that_of_macs_of_the_same_step(self) -> None:
        counts = [*cost("bptt", 1), *cost("sltt", 1, forward=70), *cost("sltt", 1, T=2)]
        native, snntorch = shown(step_time, [*EVIDENCE, *counts])["groups"]
        assert [row.get("predicted") for row in native["rows"]] == [1.0, 1.0, 2.0]
        assert "predicted" not in snntorch["rows"][0]  # counted on another backend only
        of_each_K = [*cost("bptt", 1), *(r for K in (5, 10) for r in cost("tbptt", 1, forward=10 * K, options=(("K", K),)))]
        timed = clock("tbptt", "native", 0.9, options=(("K", 10), ("repeats", 3)))
        (group,) = shown(step_time, [timed, *of_each_K])["groups"]
        assert group["rows"][0]["predicted"] == 2.5
        elsewhere = [r for r in EVIDENCE if r.case["probe"] != "cost"] + cost("bptt", 1, T=2) + cost("sltt", 1, T=2)
        data = shown(step_time, elsewhere)
        assert not any("predicted" in row for group in data["groups"] for row in group["rows"])
        assert "Hollow" not in data["subtitle"]


class TestUsual:
    def test_settings_of_few_cases_are_omitted(self) -> None:
        records = [
            *(r for T in (6, 7, 8) for r in cost("skipper", 5, T=T, options=(("p", 50),))),
            *cost("skipper", 9, options=(("p", 70),)),
            *cost("bptt", 10),
        ]
        titles = [row["title"] for group in shown(step_macs, records)["groups"] for row in group["rows"]]
        assert titles == ["BPTT", "Skipper (p = 50)"]

    def test_settings_of_equally_many_cases_are_kept(self) -> None:
        records = [*cost("checkpointed", 5), *cost("checkpointed", 4, options=FALLING)]
        assert len(shown(step_macs, records)["groups"][0]["rows"]) == 2
