"""``plan`` and ``run``: what a paper measures, and measuring it."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import click

from bench import datasets
from bench.case import SCALES
from bench.commands import cluster, options
from bench.commands.duration import seconds_of
from bench.commands.measuring import Folders, Here, measure, missing_cases, writable
from bench.commands.printing import bold, warn
from bench.errors import UserError, choose
from bench.places import project_of
from bench.plan import papers, plan
from bench.quantity import count_of
from bench.record_store import Store


@click.command("plan")
@options.paper
@options.scale
@options.data_root
@options.project
@options.results
@options.cache
@click.option("--forecast", is_flag=True, help="count and time what each case will take here, and show the claims it decides")
def plan_(
    paper: str | None,
    scale: str,
    data_root: Path | None,
    project: Path | None,
    results: Path | None,
    cache: Path | None,
    forecast: bool,
) -> None:
    """Show which cases a run would measure, and which are measured already."""
    datasets.data_root(data_root)
    place, here = project_of(project, results), Here()
    store = Store(place.results)
    for damage in store.damaged_machines():
        warn(damage)
    if forecast:
        from bench.commands.forecasting import show_forecast

        planned = {name: plan(name, scale, _has(data_root)) for name in _chosen(paper)}
        show_forecast(place, planned, scale, Folders(data_root, cache))
        return
    for name in _chosen(paper):
        cases = plan(name, scale, _has(data_root))
        missing = missing_cases(cases, store, name, here)
        click.echo(bold(f"{name}, scale {scale}: {count_of(len(cases), 'case')}, {len(missing)} to measure on {here}"))
        for probe, count in sorted(Counter(case.probe for case in cases).items()):
            left = sum(case.probe == probe for case in missing)
            click.echo(f"  {probe:12} {count_of(count, 'case'):>11}, {left:5} to measure")
        for case in missing:
            click.echo(f"    {case.key}")


@click.command()
@options.paper
@options.scale
@options.data_root
@options.cache
@options.project
@options.results
@click.option("--workers", type=click.IntRange(min=1), help="parallel processes [default: one per core]")
@click.option("--processes", type=click.IntRange(min=2), help="train alone: each training by several processes, one per GPU")
@options.retry
@click.option("--only", metavar="TEXT", help="only cases whose key contains TEXT (see plan)")
@click.option(
    "--budget",
    metavar="TIME",
    help="measure for a time like 90s, 25m or 3h, first what decides most claims per hour (see plan --forecast), and stop; "
    "a tenth of it, at most a minute, is left for judging and drawing",
)
@click.option("--on", metavar="TOML", help="submit to a SLURM cluster: its settings, or `slurm` for defaults (docs/cluster.md)")
def run(
    paper: str | None,
    scale: str,
    data_root: Path | None,
    cache: Path | None,
    project: Path | None,
    results: Path | None,
    workers: int | None,
    processes: int | None,
    retry: bool,
    only: str | None,
    budget: str | None,
    on: str | None,
) -> None:
    """Measure the missing cases of PAPER (default: every paper), judge its claims and draw its figures."""
    within = None if budget is None else seconds_of(budget)
    if processes is not None and (on is not None or within is not None):
        raise UserError("--processes is for a run on this machine to the end: leave out --on and --budget")
    if processes is not None and workers is not None:
        raise UserError("--processes trains one case at a time, on every GPU that it was given: leave out --workers")
    datasets.data_root(data_root)
    place, has = writable(project, results), _fetching(data_root, cache) if on is None else cluster.has(data_root, on)
    chosen = _chosen(paper)
    planned = {name: plan(name, scale, has) for name in chosen}
    wanted = {name: [case for case in cases if only is None or only in case.key] for name, cases in planned.items()}
    if only is not None and not any(wanted.values()):
        others = [at for at in SCALES if at != scale]
        elsewhere = {at: [case.key for name in chosen for case in plan(name, at, _has(data_root))] for at in others}
        raise UserError(_matches_nothing(only, scale, [case.key for cases in planned.values() for case in cases], elsewhere))
    folders = Folders(data_root, cache)
    if processes is not None:
        wanted = {name: [case for case in cases if case.probe == "training"] for name, cases in wanted.items()}
        if not any(wanted.values()):
            raise UserError(
                f"--processes {processes}: none of the cases is a training, and others are of one process; leave it out"
            )
    if on is not None:
        if workers is not None:
            raise UserError("--workers is for a run on this machine; with --on, set `workers` in the settings of the cluster")
        if within is not None:
            raise UserError("--budget is for a run on this machine; with --on, set the time limit in the settings of the cluster")
        cluster.submit(place, wanted, scale, folders, on, retry=retry)
    elif within is not None:
        from bench.commands.forecasting import measure_within

        measure_within(place, wanted, scale, folders, within, workers=workers, retry=retry)
    else:
        measure(place, wanted, scale, folders, workers=workers, processes=processes or 1, retry=retry)


def _matches_nothing(only: str, scale: str, keys: Sequence[str], elsewhere: Mapping[str, Sequence[str]]) -> str:
    """With a scale that has such cases, else the keys that come closest: those that hold a word like it, else any like it."""
    nothing = f"--only {only!r} matches none of {count_of(len(keys), 'case')} at scale {scale}"
    for at, others in elsewhere.items():
        if found := sum(only in key for key in others):
            return f"{nothing}; at --scale {at} it matches {found}"
    words = sorted({word for key in keys for word in key.split("/")})
    alike = difflib.get_close_matches(only.strip("/"), words, n=3, cutoff=0.6)
    close = [next(key for key in keys if word in key.split("/")) for word in alike]
    close = close or difflib.get_close_matches(only, keys, n=3, cutoff=0.3) or list(keys[:3])
    return f"{nothing}; cases are called {', '.join(close)} (all: see plan)"


def _chosen(paper: str | None) -> list[str]:
    return papers() if not paper else [choose("paper", paper, papers())]


def _has(data_root: Path | None) -> Callable[[str], bool]:
    return lambda name: bool(datasets.available(name, data_root))


def _fetching(data_root: Path | None, prepared: Path | None) -> Callable[[str], bool]:
    """Whether a data set can be had, downloading it if need be; prints which data set replaces it where it is not."""

    @cache
    def has(name: str) -> bool:
        if datasets.available(name, data_root):
            return True
        click.echo(f"{name} is not under {datasets.data_root(data_root)}: trying to download it ...")
        try:
            datasets.load(name, data_root, cache=prepared)
        except UserError as error:
            click.echo(f"{error}\n{datasets.fallback()} are used instead: no number on them counts as a result on {name}.")
            return False
        return True

    return has
