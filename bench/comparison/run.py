"""Complete a comparison: train what is missing, keep every result at once, and draw."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import nn

from bench.comparison import curves, front, plan, results, summary, train
from bench.comparison.samples import Samples
from bench.errors import UserError
from bench.files import write_whole
from bench.lift.recognition.source import load

Say = Callable[[str], None]


def complete(folder: Path, say: Say = lambda _: None, progress: Say = lambda _: None) -> list[summary.Row]:
    """Train the missing cases of the comparison in ``folder`` and draw it again; return the rows of its table.

    ``say`` gets a line per event, ``progress`` one per training step. Raises UserError for what is wrong in the folder, before
    anything is trained.
    """
    settings = plan.read(folder)
    make_net = _network(load(f"{folder / 'network.py'}:make_net"))
    samples = load(f"{folder / 'data.py'}:load")()
    if not isinstance(samples, Samples):
        found = type(samples).__name__
        raise UserError(f"{folder / 'data.py'}: load() returns a {found}; use a function of bench.comparison.samples")
    digests = {case.title: results.digest_of(case, folder / "network.py", samples.identity) for case in settings.cases}
    lines = results.current(results.read(folder), settings, digests)
    missing, at = _missing(settings, lines), results.here()
    costs = {case.title: train.cost(make_net, samples, settings, case) for case in settings.cases if case.title in missing}
    for seed in settings.seeds:  # all algorithms from one seed, then from the next: a first answer comes early
        for case in settings.cases:
            if seed not in missing.get(case.title, ()):
                continue
            run = train.train(make_net, samples, settings, case, seed, progress)
            say(f"{case.title}, seed {seed}: test accuracy {run.tests[-1]:.1f} %, {run.seconds:g} s")
            lines.append(results.line(settings, case, seed, run, costs[case.title], samples.name, digests[case.title], at))
            lines = results.current(lines, settings, digests)  # in the order of the plan
            results.write(folder, lines)
    return draw(folder, settings.title, lines)


def _missing(settings: plan.Plan, lines: Sequence[results.Line]) -> dict[str, list[int]]:
    """Return the seeds that are not there yet, by the title of the case."""
    there = {(line.title, line.seed) for line in lines}
    missing = {case.title: [seed for seed in settings.seeds if (case.title, seed) not in there] for case in settings.cases}
    return {title: seeds for title, seeds in missing.items() if seeds}


def draw(folder: Path, title: str, lines: list[results.Line]) -> list[summary.Row]:
    """Write the figures and the table from results; return its rows."""
    rows = summary.rows(lines)
    plotted = curves.data(title, rows), front.data(title, rows)
    files = {
        "curves.json": _json(plotted[0]),
        "curves.svg": curves.render(plotted[0], rows),
        "front.json": _json(plotted[1]),
        "front.svg": front.render(plotted[1], rows),
    }
    page = folder / "README.md"
    if page.exists():
        files["README.md"] = summary.filled(page.read_text(encoding="utf-8"), summary.table(rows))
    for name, text in files.items():
        write_whole(folder / name, text.encode())
    return rows


def _network(make: Callable[[], object]) -> Callable[[], nn.Module]:
    def network() -> nn.Module:
        made = make()
        if not isinstance(made, nn.Module):
            raise UserError(f"make_net() returns a {type(made).__name__}; let it return a torch.nn.Module")
        return made

    return network


def _json(data: object) -> str:
    return json.dumps(data, indent=1, sort_keys=True) + "\n"
