"""``speed``: training steps in turns on every backend, and the goals of the native backend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from bench.case import SCALES, Case
from bench.commands import options
from bench.commands.measuring import Folders, Here, measure, writable
from bench.commands.printing import bold
from bench.errors import choose
from bench.plan import plan
from bench.record_store import Store, latest

GOALS = "native"  # the folder in reproductions/ whose claims are the goals of the native backend


@click.command()
@options.project
@options.results
@click.option("--workload", "names", multiple=True, metavar="NAME", help="only this workload; may be repeated [default: all]")
@click.option(
    "--turns",
    type=click.IntRange(min=2),
    help="time this number of turns; such a trial judges no goal [default: as many as fit into a minute]",
)
@options.retry
def speed(project: Path | None, results: Path | None, names: tuple[str, ...], turns: int | None, retry: bool) -> None:
    """Time training steps on every backend in turns, and judge the goals of the native backend (reproductions/native).

    NAME is a network and its time steps, as vgg-sws/cifar10/T4, or a network for all of its time steps.
    """
    from bench.speed.rows import TIMING

    place, here = writable(project, results), Here()
    planned = plan(GOALS, SCALES[-1], lambda _: False)
    known = {name for case in planned if case.probe in TIMING for name in (_workload(case), case.network)}
    for name in names:
        choose("workload", name, known)
    other = TIMING[0] if here.gpu else TIMING[1]  # a machine with a GPU times on it
    wanted = [case for case in planned if case.probe != other and (not names or _is_of(case, names))]
    if turns is not None:
        click.echo(f"a trial of {turns} turns: its records judge no goal")
        wanted = [replace(case, options=(("turns", turns),)) for case in wanted if case.probe in TIMING]
    measure(place, {GOALS: wanted}, SCALES[-1], Folders(), retry=retry)
    _print_times(Store(place.results), here, wanted)


def _workload(case: Case) -> str:
    return f"{case.network}/T{case.T}"


def _is_of(case: Case, names: Sequence[str]) -> bool:
    """Whether a case is of one of the workloads; a gate is of every workload of its network."""
    workloads = {name.rpartition("/T")[0] for name in names} if case.probe == "equivalence" else set()
    return bool({_workload(case), case.network} & set(names)) or case.network in workloads


def _print_times(store: Store, here: Here, cases: Sequence[Case]) -> None:
    """Print, for each timed workload, the time of every row over that of the convolutions alone."""
    from bench.figures.speed import over_the_floor

    keys = {case.key for case in cases}
    found = latest(record for record in store.load(GOALS)[0] if record.machine == here.machine and record.key in keys)
    for heading, timed in over_the_floor(found).items():
        click.echo(bold(heading) + ": time over the convolutions alone, with quartiles")
        for row in timed:
            click.echo(f"  {row.ratio:6.2f}  {row.low:6.2f} to {row.high:6.2f}  {row.name}")
