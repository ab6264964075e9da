"""What plots/index.html knows beside the report: the formulas of its calculator, and claims on one axis. Imports no torch.

The page of a user's own network (module_page.py) has the same calculator.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files

from bench.claims import Claim, Verdict
from bench.figures import reported_against_measured, style
from bench.figures.paper import Paper, options
from bench.overhead import HEADROOM
from bench.record import Record
from bench.registry import ALGORITHMS, BACKENDS

CARDS = {  # memory of cards that are sold under these names, in GiB
    "4 GiB": 4, "RTX 4060, 8 GiB": 8, "RTX 3060, 12 GiB": 12, "RTX 4080, T4, 16 GiB": 16, "RTX 4090, L4, 24 GiB": 24,
    "A100, 40 GiB": 40, "L40S, 48 GiB": 48, "A100, H100, 80 GiB": 80, "H200, 141 GB": 131,
}  # fmt: skip
ERROR = 0.02  # that the page states of every formula; one that was further off at a setting that was checked is left out
FIT, CLAIMS = ("calculator.js", "fit.js"), ("claims.js",)  # code of "Will it fit?" and of "Which claims hold?"
_LIBRARIES = ("vega-6.4.0.min.js", "vega-lite-6.4.3.min.js", "vega-embed-7.3.0.min.js")
_PYTHON = (
    "import spikecost",
    'step = spikecost.training_step("{network}", "{algorithm}", "{backend}"{options})',
    'cost = spikecost.cost("{network}", "{algorithm}", "{backend}", T={T}, batch={batch}{options})',
    'print(f"{cost.memory.total / 2**30:.2f} GiB")',
)
LINES = {  # to copy: of an algorithm, and of the fewest recomputed steps that fit (templates/page/fit.js fills in the choice)
    "algorithm": _PYTHON,
    "schedule": ("spikecost fit {network} --T {T} --batch {batch} --budget {GiB}", "", *_PYTHON),
}
KINDS = {  # of a claim, by words of its quantity
    "accuracy": ("accuracy", "top-1", "test result"),
    "gradient": ("cosine", "gradient"),
    "memory": ("memory", "bytes", "longest", "sequence"),
    "MACs": ("mac", "multiplication", "products"),
    "time": ("seconds", "time", "hours", "speed"),
    "size": ("parameter",),
    "other": (),
}


def kind_of(claim: Claim) -> str:
    """Return what a claim is about, for the filter of the page."""
    quantity = claim.quantity.lower()
    return next((kind for kind, words in KINDS.items() if any(word in quantity for word in words)), "other")


def scripts(*parts: str) -> str:
    """Return the libraries and the code of these parts of a page, for one script element each."""
    folder = files("bench") / "templates"
    texts = [(folder / "vendor" / name).read_text(encoding="utf-8").split("//# sourceMappingURL")[0] for name in _LIBRARIES]
    texts += [(folder / "page" / name).read_text(encoding="utf-8") for name in ("shared.js", *parts)]
    return "\n".join(f"<script>\n{text.strip()}\n</script>" for text in texts)


def data(papers: Sequence[Paper]) -> str:
    """Return what the page's code reads."""
    found = {
        **calculator({"network": "vgg-sws/cifar10", "T": 30, "batch": 256, "GiB": 8}, 1, "native", LINES),
        "formulas": formulas(papers),
        "cosines": cosines(papers),
        "claims": [point for paper in papers for point in _points(paper)],
        "verdicts": {name: [look.colour.light, look.colour.dark] for name, look in style.VERDICTS.items()},
    }
    return embedded(found)


def calculator(
    start: Mapping[str, object], least_batch: int, reference: str, lines: Mapping[str, Sequence[str]]
) -> dict[str, object]:
    """Return what "Will it fit?" reads beside formulas and cosines.

    ``start``: the first choice; ``reference``: the backend whose BPTT others are compared with; ``lines``: see ``LINES``.
    """
    known = {"start": start, "leastBatch": least_batch, "reference": reference, "lines": lines}
    return {"cards": CARDS, "headroom": HEADROOM, **known}


def embedded(values: Mapping[str, object]) -> str:
    """Return JSON for a script element of a page: it cannot end the element early."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")


def formulas(papers: Iterable[Paper]) -> list[dict[str, object]]:
    """Return every formula that was counted by today's code, with its stated error; of backends behind a closed gate none."""
    listed = list(papers)
    gates = _gates(listed)
    found = []
    for paper in listed:
        for record in _formula_records(paper):
            case = record.case
            if float(record.value or 0) > ERROR or not (
                case["backend"] == "native" or gates.get((case["network"], case["backend"]), False)
            ):
                continue
            look, backend = ALGORITHMS[case["algorithm"]], BACKENDS[case["backend"]]
            found.append(
                {
                    "network": case["network"], "algorithm": case["algorithm"], "backend": case["backend"],
                    "options": dict(case["options"]), "title": titled(look.title, options(record)), "backendTitle": backend.title,
                    "colour": [look.colour.light, look.colour.dark], "exact": look.exact, "error": ERROR,
                    **{name: value for name, value in record.detail.items() if name != "checked"},
                }
            )  # fmt: skip
    return found


def titled(title: str, options: str) -> str:
    """Return the title of an algorithm with its options."""
    return f"{title} ({options})" if options else title


def _formula_records(paper: Paper) -> list[Record]:
    """The latest of each case, whatever the machine: counts do not depend on it."""
    by_key: dict[str, Record] = {}
    for record in sorted(paper.records, key=lambda r: (r.when, r.machine)):
        if record.metric == "formula_error" and record.status == "ok" and paper.fresh(record):
            by_key[record.key] = record
    return list(by_key.values())


def _gates(papers: Iterable[Paper]) -> dict[tuple[str, str], bool]:
    """A backend may be shown on a network if some paper's gate is open there and none is closed."""
    gates: dict[tuple[str, str], bool] = {}
    for paper in papers:
        measured = {(r.case["network"], r.case["backend"]) for r in paper.records if r.case["probe"] == "equivalence"}
        for pair in measured:
            gates[pair] = gates.get(pair, True) and paper.gates[pair]
    return gates


def cosines(papers: Iterable[Paper]) -> dict[str, list[dict[str, object]]]:
    """Return by algorithm the cosines of its gradient to BPTT's at initial weights, each with where it was measured."""
    found: dict[str, list[dict[str, object]]] = {}
    for paper in papers:
        for record in paper.gradients():
            case = record.case
            where = {"network": case["network"], "T": case["T"], "options": options(record), "cosine": record.value}
            found.setdefault(case["algorithm"], []).append(where)
    return found


def _points(paper: Paper) -> list[dict[str, object]]:
    """Claims with a number and a measurement, as measured / reported."""
    drawn = reported_against_measured.data(paper)
    by_id: dict[str, Verdict] = {verdict.claim.id: verdict for verdict in paper.verdicts}
    found = []
    for group in drawn["groups"] if drawn else ():
        for row in group["rows"]:
            for point in row["points"]:
                found.append(
                    {
                        "claim": f"{paper.name}-{row['id']}", "paper": paper.name, "verdict": row["verdict"],
                        "kind": kind_of(by_id[row["id"]].claim), "statement": by_id[row["id"]].claim.statement,
                        "reported": row["printed"], "measured": row["measured"], "label": point["label"], "ratio": point["ratio"],
                        "allowed": row["allowed"],
                    }
                )  # fmt: skip
    return found
