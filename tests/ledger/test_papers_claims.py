"""Every paper's claims as they stand: each can be decided by what is planned, or says what it would take."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bench import algorithms, backends, datasets, zoo
from bench.case import SCALES, Case
from bench.claims import Claim, load_claims
from bench.claims.claim import alternatives
from bench.claims.estimate import EXACT
from bench.claims.evidence import matches
from bench.claims.rules.memory import OF_CUDA
from bench.design_space import OF_THE_CELL, cell_of
from bench.plan import papers, plan
from bench.speed.rows import TIMING, Workload, rows
from bench.speed.steps import able
from tests.ledger.honest import backend_behind

ROOT = Path(__file__).resolve().parents[2]
CLAIMS = [claim for paper in papers() for claim in load_claims(ROOT / "reproductions" / paper)]
PLANNED = {paper: plan(paper, "full", lambda _: True) for paper in papers()}


def selectors(claim: Claim) -> Iterator[Mapping[str, Any]]:
    for part in claim.parts:
        for one in alternatives(part):
            yield from (one[side] for side in ("select", "over") if side in one)


def loadable(claim: Claim) -> bool:
    return all(selector.get("dataset", "none") in ("none", *datasets.names()) for selector in selectors(claim))


DECIDABLE = [claim for claim in CLAIMS if claim.parts]
REACHABLE = [claim for claim in DECIDABLE if loadable(claim)]
OUT_OF_REACH = [claim for claim in DECIDABLE if not loadable(claim)]


def named(claims: list[Claim]) -> Any:
    return pytest.mark.parametrize("claim", claims, ids=lambda claim: f"{claim.paper}-{claim.id}")


def reached(paper: str, selector: Mapping[str, Any], scale: str) -> list[Case]:
    """Planned cases up to ``scale`` that the judge takes for the selector."""
    return [
        case
        for case in PLANNED[paper]
        if SCALES.index(case.scale) <= SCALES.index(scale) and matches(selector, case.as_dict(), free=OF_THE_CELL)
    ]


def test_claims_are_unique_and_of_every_scale() -> None:
    assert len({(claim.paper, claim.id) for claim in CLAIMS}) == len(CLAIMS) > 40
    assert {claim.scale for claim in CLAIMS} == set(SCALES)
    assert DECIDABLE
    assert OUT_OF_REACH
    assert len(DECIDABLE) + sum(bool(claim.undecidable) for claim in CLAIMS) == len(CLAIMS)


@named(DECIDABLE)
def test_claim_names_known_entries_alone(claim: Claim) -> None:
    for selector in selectors(claim):
        assert selector["network"] in zoo.names()
        assert selector.get("algorithm", "bptt") in algorithms.names()  # a cut is asked of all that differ in it
        assert selector["backend"] in backends.names()
        assert selector.get("dataset", "none") in ("none", *datasets.names()) or claim.needs


@named(OUT_OF_REACH)
def test_claim_on_unavailable_data_names_them(claim: Claim) -> None:
    for selector in selectors(claim):
        spelled = selector["dataset"].replace("-", "").lower()
        assert spelled in claim.needs.replace("-", "").lower()
        assert selector["dataset"] not in {case.dataset for case in PLANNED[claim.paper]}
    assert claim.scale == "full"


@named(REACHABLE)
def test_claim_is_decided_by_planned_cases(claim: Claim) -> None:
    for selector in selectors(claim):
        scales = {case.scale for case in reached(claim.paper, selector, claim.scale)}
        assert claim.scale in scales, f"no case of scale {claim.scale} itself for {dict(selector)}"


@named([claim for claim in REACHABLE if claim.n])
def test_plan_has_as_many_seeds_as_the_paper(claim: Claim) -> None:
    for selector in selectors(claim):
        seeds = {case.seed for case in reached(claim.paper, selector, claim.scale)}
        assert len(seeds) >= (claim.n or 0)


@named([claim for claim in REACHABLE if any(s["probe"] not in (*EXACT, "clock", *TIMING) for s in selectors(claim))])
def test_plan_has_several_seeds_where_values_vary_with_the_seed(claim: Claim) -> None:
    """One run has no spread, so a case that cannot give a verdict is not planned."""
    for selector in selectors(claim):
        assert len({case.seed for case in reached(claim.paper, selector, claim.scale)}) >= 3


@named([claim for claim in REACHABLE if any(s["probe"] in TIMING for s in selectors(claim))])
def test_claim_on_times_names_rows_supported_by_its_network(claim: Claim) -> None:
    """A row that is never timed would leave the claim undecided for ever."""
    for selector in selectors(claim):
        row = {str(row): row for row in rows(selector["T"])}[selector["metric"]]
        assert able(Workload(selector["network"], selector["T"], selector["batch"]), row)


@named([claim for claim in REACHABLE if any(s["probe"] in TIMING or s["backend"] != "native" for s in selectors(claim))])
def test_plan_has_a_gate_for_every_backend_and_network_of_a_claim(claim: Claim) -> None:
    gates = {(case.network, case.backend) for case in PLANNED[claim.paper] if case.probe == "equivalence"}
    pairs = {(selector["network"], backend_behind(selector)) for selector in selectors(claim)}
    assert {pair for pair in pairs if pair[1] != "native"} <= gates


@named([claim for claim in REACHABLE if any(part["rule"] == "memory_ratio" for part in claim.parts)])
def test_plan_has_cudas_peaks_for_claims_on_gpu_memory(claim: Claim) -> None:
    for selector in selectors(claim):
        assert reached(claim.paper, {**selector, "probe": OF_CUDA[selector["probe"]]}, "full")


@named([claim for claim in REACHABLE if any("cut" in part for part in claim.parts)])
def test_plan_has_several_seeds_on_both_sides_of_a_cut(claim: Claim) -> None:
    for part in claim.parts:
        planned = [(cell_of(case.as_dict()), case.seed) for case in reached(claim.paper, part["select"], claim.scale)]
        pairs = [(cell, cell.without(part["cut"], part["select"]["T"]), seed) for cell, seed in planned if cell]
        found = [(cell, seed) for cell, whole, seed in pairs if whole and (whole, seed) in planned]
        assert len({seed for _, seed in found}) >= 3
        assert len({cell for cell, _ in found}) >= 3


@named([claim for claim in REACHABLE if any("to_T" in part for part in claim.parts)])
def test_plan_has_both_ends_of_a_curve_over_T(claim: Claim) -> None:
    for part in claim.parts:
        steps = {case.T for case in reached(claim.paper, part["select"], claim.scale)}
        assert {part["from_T"], part["to_T"]} <= steps
        assert len([T for T in steps if part["from_T"] < T < part["to_T"]]) >= 3


@named([claim for claim in CLAIMS if claim.parts and any(part["rule"] == "within" for part in claim.parts)])
def test_value_of_a_claim_is_the_printed_number(claim: Claim) -> None:
    """The number that is judged is the one that the paper prints, with its spread and its best run."""
    mean, *spread = claim.printed.removeprefix("≈").replace("±", " ").replace("(", "").replace(")", "").split()
    assert float(mean) == claim.value
    assert [float(text) for text in spread] == [v for v in (claim.spread, claim.best) if v is not None]


@named([claim for claim in CLAIMS if claim.undecidable])
def test_undecidable_claims_have_no_rule(claim: Claim) -> None:
    assert not claim.measure


@pytest.mark.parametrize("paper", papers())
def test_sources_of_claims_are_explained(paper: str) -> None:
    """Every tag under ``source`` is in paper.toml."""
    known = tomllib.loads((ROOT / "reproductions" / paper / "paper.toml").read_text())["sources"]
    used = {tag for claim in CLAIMS if claim.paper == paper for tag in re.findall(r"[A-Z][A-Z-]{2,}", claim.source)}
    assert used == set(known)
