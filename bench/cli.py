"""The command line: list, plan, run, fit, report. Only workers and ``fit`` import torch."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import click

from bench import algorithms, backends, datasets, networks
from bench.overhead import HEADROOM, usable
from bench.plan import ROOT, digest_of, papers, plan
from bench.records import Store, latest
from bench.spec import SCALES, Case, Record, UserError, choose


class _Group(click.Group):
    """Shows a user's mistake as one line with its remedy, and suggests close commands."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except UserError as error:
            raise click.ClickException(str(error)) from error

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-"):
            try:
                choose("command", args[0], self.list_commands(ctx))
            except UserError as error:
                raise click.UsageError(str(error), ctx) from error
        return super().resolve_command(ctx, args)


_paper = click.argument("paper", required=False)
_scale = click.option("--scale", default="laptop", show_default=True, help=f"{', '.join(SCALES)}")
_data_root = click.option(
    "--data-root",
    envvar="SPIKECOST_DATA_ROOT",
    type=click.Path(path_type=Path),
    help="folder with the data sets [default: a cache folder; environment: SPIKECOST_DATA_ROOT]",
)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """What a memory-saving training algorithm for spiking networks costs and gives, beside what its paper reports."""


@main.command("list")
@_data_root
def list_(data_root: Path | None) -> None:
    """List papers, algorithms, backends, networks and data sets, and what can be used here."""
    _line("papers", papers())
    _line("algorithms", algorithms.names())
    click.echo(_bold("backends"))
    for name in backends.names():
        support = backends.available(name)
        click.echo(f"  {name}" + ("" if support else f"  - {support.reason}"))
    _line("networks", networks.names())
    click.echo(_bold("data sets"))
    for name in datasets.names():
        support = datasets.available(name, data_root)
        click.echo(f"  {name}" + ("" if support else f"  - {support.reason}"))


@main.command("plan")
@_paper
@_scale
@_data_root
def plan_(paper: str | None, scale: str, data_root: Path | None) -> None:
    """Show which cases a run would measure, and which are there already."""
    store, machine = Store(ROOT / "results"), _machine()
    for name in _chosen(paper):
        cases = plan(name, scale, _has(data_root))
        missing = _missing(cases, store, name, machine)
        click.echo(_bold(f"{name}, scale {scale}: {len(cases)} cases, {len(missing)} to measure on {machine}"))
        for probe, count in sorted(Counter(case.probe for case in cases).items()):
            left = sum(case.probe == probe for case in missing)
            click.echo(f"  {probe:12} {count:5} cases, {left:5} to measure")
        for case in missing:
            click.echo(f"    {case.key}")


@main.command()
@_paper
@_scale
@_data_root
@click.option("--workers", type=click.IntRange(min=1), help="processes side by side [default: one a core]")
@click.option("--retry", is_flag=True, help="measure again what failed, was refused or ran out of memory or time")
@click.option("--only", metavar="TEXT", help="only cases whose key contains TEXT (see plan)")
def run(paper: str | None, scale: str, data_root: Path | None, workers: int | None, retry: bool, only: str | None) -> None:
    """Measure what is missing of PAPER (default: every paper), judge its claims, and draw."""
    from bench.runner.run import default_workers
    from bench.runner.run import run as run_cases
    from bench.runner.screen import Screen
    from bench.runner.store import keeper

    store, machine = Store(ROOT / "results"), _machine()
    has = _fetching(data_root)
    broken: Counter[str] = Counter()
    for name in _chosen(paper):
        cases = [case for case in plan(name, scale, has) if only is None or only in case.key]
        missing = _missing(cases, store, name, machine, retry=retry)
        click.echo(_bold(f"{name}, scale {scale}: {len(cases)} cases, {len(missing)} to measure on {machine}"))
        if not missing:
            continue
        for dataset in sorted({case.dataset for case in missing} - {"none"}):
            datasets.load(dataset, data_root)  # a damaged file is told now, not after an hour
        with store.locked(name, machine), Screen(len(missing)) as screen:
            broken += run_cases(
                missing,
                keeper(store, machine, ROOT),
                screen,
                data_root=data_root,
                scratch=ROOT / "results" / "scratch",
                workers=workers or default_workers(),
            )
    _report(_chosen(paper))
    if broken:
        told = ", ".join(f"{count} {status}" for status, count in sorted(broken.items()))
        raise UserError(f"of the cases run, {told}; the reasons stand above. Measure them again with --retry")


@main.command()
@click.argument("network")
@click.option("--T", "T", type=click.IntRange(min=1), required=True, help="time steps")
@click.option("--batch", type=click.IntRange(min=1), required=True)
@click.option("--budget", "GiB", type=float, required=True, help="the card's memory, in GiB")
@click.option(
    "--headroom",
    type=float,
    default=HEADROOM / 2**30,
    show_default=True,
    help="GiB of it that are not for live tensors: CUDA's context and workspaces",
)
def fit(network: str, T: int, batch: int, GiB: float, headroom: float) -> None:
    """Find the cheapest exact training step of NETWORK that fits a card's memory. Counted, without a GPU and without data."""
    choose("network", network, networks.names())
    live = usable(GiB * 2**30, headroom * 2**30)
    from bench.fit.plan import cheapest

    plan = cheapest(network, T, batch, GiB * 2**30, headroom * 2**30)
    algorithm, options, again = plan.schedule.algorithm, plan.schedule.options, plan.schedule.again
    told = "".join(f", {name}={value!r}" for name, value in options.items())
    click.echo(_bold(algorithms.load(algorithm).title) + told)
    allowed = f"{live / 2**30:g} GiB allowed: {GiB:g} GiB less a headroom of {headroom:g}"
    click.echo(f"  peak     {plan.peak / 2**30:.3f} GiB of live tensors, counted; {allowed}")
    click.echo(f"  forward  {again} of {T} steps run twice: {plan.macs_ratio:.3f} times BPTT's multiply-accumulates")
    click.echo(f'  Python   training_step("{network}", "{algorithm}", "native"{told})')


@main.command()
@click.option("--check", is_flag=True, help="write nothing; fail if a generated file is out of step with the results")
def report(check: bool) -> None:
    """Judge every claim from what is in results/, and draw."""
    _report(papers(), check)


# --------------------------------------------------------------------------- helpers


def _report(shown: list[str], check: bool = False) -> None:
    from bench import report as reporting

    if check:
        stale = reporting.check(ROOT, fresh)
        for line in stale:
            click.echo(line)
        if stale:
            raise UserError("generated files are out of step with results/: run `make report`")
        click.echo("every generated file is in step with results/")
        return
    written = reporting.write(ROOT, fresh)
    click.echo(reporting.summary(ROOT, fresh, shown))
    click.echo(f"{len(written)} files changed; open plots/index.html")


def fresh(record: Record) -> bool:
    """Whether the code that made a record is the code that is here."""
    case = {**record.case, "options": tuple(sorted(record.case["options"].items()))}
    try:
        return digest_of(Case(**case)) == record.digest
    except (UserError, TypeError):  # a case of an older version, naming what is no longer there
        return False


def _missing(cases: list[Case], store: Store, paper: str, machine: str, *, retry: bool = False) -> list[Case]:
    records, torn = store.load(paper)
    for line in torn:
        click.echo(f"warning: {line}", err=True)
    done = store.done(paper, machine)
    failed = [r for r in latest(records) if r.machine == machine and r.status != "ok"]
    done -= {(r.key, r.digest) for r in failed if retry or _installed_since(r)}
    return [case for case in cases if (case.key, digest_of(case)) not in done]


def _installed_since(record: Record) -> bool:
    """Whether a case was not measured for want of a framework that is here now."""
    backend = record.case["backend"]
    return record.versions.get(backends.framework(backend)) == "not installed" and bool(backends.available(backend))


def _chosen(paper: str | None) -> list[str]:
    return papers() if not paper else [choose("paper", paper, papers())]


def _has(data_root: Path | None) -> Callable[[str], bool]:
    return lambda name: bool(datasets.available(name, data_root))


def _fetching(data_root: Path | None) -> Callable[[str], bool]:
    """Whether a data set can be had, downloading it if need be; says what stands in where it cannot."""

    @cache
    def has(name: str) -> bool:
        if datasets.available(name, data_root):
            return True
        click.echo(f"{name} is not under {datasets.data_root(data_root)}: trying to download it ...")
        try:
            datasets.load(name, data_root)
        except UserError as error:
            click.echo(f"{error}\n{datasets.fallback()} stand in: no number on them counts as a result on {name}.")
            return False
        return True

    return has


def _machine() -> str:
    from bench.machine import identity, machine_id

    return machine_id(identity())


def _line(title: str, values: list[str]) -> None:
    click.echo(_bold(title) + "\n  " + "\n  ".join(values))


def _bold(text: str) -> str:
    return click.style(text, bold=sys.stdout.isatty())
