"""The command line. Only workers, ``measure``, ``compare``, ``fit`` and ``list NAME`` import torch. Places: bench/places.py."""

from __future__ import annotations

import contextlib
import difflib
import errno
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from bench import backends, datasets, listing, zoo
from bench.case import SCALES, Case
from bench.errors import UserError, choose
from bench.lift.command import compare, measure
from bench.lift.fit_command import fit
from bench.places import CODE, Project, project_of
from bench.plan import backends_of, digest_of, papers, plan, wanted_key
from bench.quantity import count_of
from bench.record import Record
from bench.record_store import LeftOut, Store, done_key, latest

if TYPE_CHECKING:
    from bench.runner.worker import Outcome

GOALS = "native"  # the folder in reproductions/ whose claims are the goals of the native backend
INTERRUPTED = 130  # as a shell says of what Ctrl-C ended
_WARNINGS = 10  # shown in full; of more, the number


class _Group(click.Group):
    """Shows a UserError as one line, suggests similar commands, and ends on Ctrl-C without a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except UserError as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt as stop:
            click.echo(f"\nStopped{'; ' if str(stop) else ''}{stop}", err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None
        except OSError as error:
            raise click.ClickException(_refused(error)) from error

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-"):
            try:
                choose("command", args[0], self.list_commands(ctx))
            except UserError as error:
                raise click.UsageError(str(error), ctx) from error
        return super().resolve_command(ctx, args)


def _refused(error: OSError) -> str:
    """An OSError of a file or of printing in one line. Raises a broken pipe again: its reader has closed, which is no mistake."""
    if error.errno == errno.EPIPE:
        raise error
    if error.filename is not None:
        return f"{error.filename}: {error.strerror}; change the permissions or choose another path"
    with contextlib.suppress(OSError):
        sys.stdout.close()  # else what could not be printed is tried again at the end
    return f"{error.strerror or error}; what was measured is kept. If printing failed, redirect the output elsewhere"


def _version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        from bench.runner.store import commit_of, version_of

        click.echo(f"spikecost {version_of('spikecost')}, code of {commit_of(CODE)}")
        ctx.exit()


Command = TypeVar("Command", bound=Callable[..., object])


def _place(flag: str, variable: str, what: str) -> Callable[[Command], Command]:
    """An option that names a folder; an environment variable that is set to nothing is not set."""
    return click.option(flag, envvar=variable, type=click.Path(path_type=Path), help=f"{what}; environment: {variable}")


_paper = click.argument("paper", required=False)
_scale = click.option("--scale", default="laptop", show_default=True, help=f"{', '.join(SCALES)}")
_data_root = _place("--data-root", "SPIKECOST_DATA_ROOT", "folder with the data sets, only read [default: a cache folder]")
_cache = _place("--cache", "SPIKECOST_CACHE", "folder for prepared data sets [default: a cache folder]")
_project = _place(
    "--project",
    "SPIKECOST_PROJECT",
    "folder that holds reproductions/ and README.md [default: upwards from the current folder, else the checkout]",
)
_results = _place("--results", "SPIKECOST_RESULTS", "folder of the measured records [default: results/ in the project]")

_retry = click.option("--retry", is_flag=True, help="measure again what failed, was refused or ran out of memory or time")


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show version and commit.")
def main() -> None:
    """Measure memory-saving training algorithms for spiking networks and compare them with what their papers report."""


@main.command("list")
@click.argument("name", required=False)
@_data_root
def list_(name: str | None, data_root: Path | None) -> None:
    """List what there is and what of it can be used here; with NAME, the options of an algorithm, backend or probe."""
    if name is not None:
        click.echo("\n".join(listing.about(name)))
        return
    datasets.data_root(data_root)
    _line("papers", papers())
    _line("algorithms", listing.of_algorithms())
    _line("backends, with the installed framework (imported when it is used)", listing.of_backends())
    _line("networks", zoo.names())
    _line("data sets", listing.of_data_sets(data_root))
    _line("probes", listing.of_probes())
    click.echo("options of an algorithm, backend or probe: spikecost list NAME")


@main.command("plan")
@_paper
@_scale
@_data_root
@_project
@_results
def plan_(paper: str | None, scale: str, data_root: Path | None, project: Path | None, results: Path | None) -> None:
    """Show which cases a run would measure, and which are measured already."""
    datasets.data_root(data_root)
    store, here = Store(project_of(project, results).results), _Here()
    for damage in store.damaged_machines():
        _warn(damage)
    for name in _chosen(paper):
        cases = plan(name, scale, _has(data_root))
        missing = _missing(cases, store, name, here)
        click.echo(_bold(f"{name}, scale {scale}: {count_of(len(cases), 'case')}, {len(missing)} to measure on {here}"))
        for probe, count in sorted(Counter(case.probe for case in cases).items()):
            left = sum(case.probe == probe for case in missing)
            click.echo(f"  {probe:12} {count_of(count, 'case'):>11}, {left:5} to measure")
        for case in missing:
            click.echo(f"    {case.key}")


@main.command()
@_paper
@_scale
@_data_root
@_cache
@_project
@_results
@click.option("--workers", type=click.IntRange(min=1), help="parallel processes [default: one per core]")
@_retry
@click.option("--only", metavar="TEXT", help="only cases whose key contains TEXT (see plan)")
def run(
    paper: str | None,
    scale: str,
    data_root: Path | None,
    cache: Path | None,
    project: Path | None,
    results: Path | None,
    workers: int | None,
    retry: bool,
    only: str | None,
) -> None:
    """Measure the missing cases of PAPER (default: every paper), judge its claims and draw its figures."""
    datasets.data_root(data_root)
    place, has = _writable(project, results), _fetching(data_root, cache)
    chosen = _chosen(paper)
    planned = {name: plan(name, scale, has) for name in chosen}
    wanted = {name: [case for case in cases if only is None or only in case.key] for name, cases in planned.items()}
    if only is not None and not any(wanted.values()):
        others = [at for at in SCALES if at != scale]
        elsewhere = {at: [case.key for name in chosen for case in plan(name, at, _has(data_root))] for at in others}
        raise UserError(_matches_nothing(only, scale, [case.key for cases in planned.values() for case in cases], elsewhere))
    _measure(place, wanted, scale, _Folders(data_root, cache), workers=workers, retry=retry)


@main.command()
@_project
@_results
@click.option("--workload", "names", multiple=True, metavar="NAME", help="only this workload; may be repeated [default: all]")
@click.option(
    "--turns",
    type=click.IntRange(min=2),
    help="time this number of turns; such a trial judges no goal [default: as many as fit into a minute]",
)
@_retry
def speed(project: Path | None, results: Path | None, names: tuple[str, ...], turns: int | None, retry: bool) -> None:
    """Time training steps on every backend in turns, and judge the goals of the native backend (reproductions/native).

    NAME is a network and its time steps, as vgg-sws/cifar10/T4, or a network for all of its time steps.
    """
    from bench.speed.rows import TIMING

    place, here = _writable(project, results), _Here()
    planned = plan(GOALS, SCALES[-1], lambda _: False)
    known = {name for case in planned if case.probe in TIMING for name in (_workload(case), case.network)}
    for name in names:
        choose("workload", name, known)
    other = TIMING[0] if here.gpu else TIMING[1]  # a machine with a GPU times on it
    wanted = [case for case in planned if case.probe != other and (not names or _is_of(case, names))]
    if turns is not None:
        click.echo(f"a trial of {turns} turns: its records judge no goal")
        wanted = [replace(case, options=(("turns", turns),)) for case in wanted if case.probe in TIMING]
    _measure(place, {GOALS: wanted}, SCALES[-1], _Folders(), retry=retry)
    _tell_times(Store(place.results), here, wanted)


def _workload(case: Case) -> str:
    return f"{case.network}/T{case.T}"


def _is_of(case: Case, names: Sequence[str]) -> bool:
    """Whether a case is of one of the workloads; a gate is of every workload of its network."""
    workloads = {name.rpartition("/T")[0] for name in names} if case.probe == "equivalence" else set()
    return bool({_workload(case), case.network} & set(names)) or case.network in workloads


def _tell_times(store: Store, here: _Here, cases: Sequence[Case]) -> None:
    """Print, for each timed workload, the time of every row over that of the convolutions alone."""
    from bench.figures.speed import over_the_floor

    keys = {case.key for case in cases}
    found = latest(record for record in store.load(GOALS)[0] if record.machine == here.machine and record.key in keys)
    for heading, timed in over_the_floor(found).items():
        click.echo(_bold(heading) + ": time over the convolutions alone, with quartiles")
        for row in timed:
            click.echo(f"  {row.ratio:6.2f}  {row.low:6.2f} to {row.high:6.2f}  {row.name}")


@main.command()
@_project
@_results
@click.option("--check", is_flag=True, help="write nothing; fail if a generated file does not match the results")
def report(project: Path | None, results: Path | None, check: bool) -> None:
    """Judge every claim from the records in results/ and draw the figures."""
    place = project_of(project, results)
    if check:
        _check(place)
    else:
        _report(place)


main.add_command(measure)
main.add_command(compare)
main.add_command(fit)


# --------------------------------------------------------------------------- helpers


@dataclass(frozen=True)
class _Here:
    """The machine that measures, and its GPU, if a computation would use one."""

    machine: str = field(default_factory=lambda: _machine())
    gpu: str | None = field(default_factory=lambda: _gpu())

    def __str__(self) -> str:
        return self.machine


@dataclass
class _Tally:
    """Counts of one ``run``: cases requested, cases missing, and measured cases by status."""

    wanted: int
    missing: int
    ended: Counter[str] = field(default_factory=Counter)

    def counting(self, keep: Callable[[Case, Outcome], None]) -> Callable[[Case, Outcome], None]:
        def keep_and_count(case: Case, outcome: Outcome) -> None:
            keep(case, outcome)
            self.ended[outcome.status] += 1

        return keep_and_count

    def so_far(self) -> str:
        done = self.wanted - self.missing + self.ended.total()
        return f"{done} of {count_of(self.wanted, 'case')} kept; the same command goes on from there"

    def summary(self, machine: str) -> str:
        if not self.missing:
            cases = "its one case was" if self.wanted == 1 else f"all {self.wanted} cases were"
            return f"This run measured nothing: {cases} there."
        statuses = ", ".join(f"{count} {status}" for status, count in sorted(self.ended.items()))
        cases = count_of(self.ended.total(), "case")
        return f"This run measured {cases} on {machine}: {statuses}; {self.wanted - self.missing} were there."


@dataclass(frozen=True)
class _Folders:
    """Of the data sets, and of what is prepared from them; None: the default."""

    data_root: Path | None = None
    cache: Path | None = None


def _writable(project: Path | None, results: Path | None) -> Project:
    """The project to measure in. UserError now, not after an hour, if a file could not be written."""
    from bench import report as reporting

    place = project_of(project, results)
    place.require_writable()
    for page in reporting.pages_of(place):
        reporting.blocks_of(page)
    return place


def _measure(
    place: Project,
    wanted: Mapping[str, list[Case]],
    scale: str,
    folders: _Folders,
    *,
    workers: int | None = None,
    retry: bool = False,
) -> None:
    """Measure the missing ones of the cases ``wanted`` of each paper, judge and draw."""
    from bench.machine import usable_cores
    from bench.runner.run import BROKEN
    from bench.runner.run import run as run_cases
    from bench.runner.screen import Screen
    from bench.runner.store import new_run, recorder

    store, here, run_id = Store(place.results), _Here(), new_run()
    missing = {name: _missing(cases, store, name, here, retry=retry) for name, cases in wanted.items()}
    tally = _Tally(sum(map(len, wanted.values())), sum(map(len, missing.values())))
    try:
        for name, cases in missing.items():
            click.echo(_bold(f"{name}, scale {scale}: {count_of(len(wanted[name]), 'case')}, {len(cases)} to measure on {here}"))
            if not cases:
                continue
            for dataset in sorted({case.dataset for case in cases} - {"none"}):
                datasets.load(dataset, folders.data_root, cache=folders.cache)  # fails now, not after an hour, if damaged
            side_by_side = workers or usable_cores()
            with store.locked(name, here.machine), Screen(cases, side_by_side) as screen:
                run_cases(
                    cases,
                    tally.counting(recorder(store, here.machine, run_id)),
                    screen,
                    data_root=folders.data_root,
                    scratch=place.results / "scratch",
                    workers=side_by_side,
                    cache=folders.cache,
                )
        _report(place, list(wanted), run_id)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(tally.so_far()) from None
    click.echo(tally.summary(str(here)))
    broken = {status: count for status, count in sorted(tally.ended.items()) if status in BROKEN}
    if broken:
        counts = ", ".join(f"{count} {status}" for status, count in broken.items())
        raise UserError(f"of the cases run, {counts}; the reasons are above. Measure them again with --retry")


def _report(place: Project, shown: Sequence[str] = (), run: str = "") -> None:
    """Write the generated files and print a summary of the papers ``shown`` (default: all)."""
    from bench import report as reporting

    found = reporting.read(place, fresh)
    written = reporting.write(found)
    _warn_of(found.left_out)
    click.echo(reporting.summary(found, shown or [chapter.name for chapter in found.chapters], run))
    if found.left_out:
        click.echo(f"{count_of(len(found.left_out), 'warning')}: the verdicts above do not use every record in {place.results}")
    click.echo(f"{count_of(len(written), 'file')} changed; open {_from_here(place.plots / 'index.html')}")


def _check(place: Project) -> None:
    from bench import report as reporting

    found = reporting.read(place, fresh)
    stale = reporting.check(found)
    for line in stale:
        click.echo(line)
    _warn_of(found.left_out)
    problems = []
    if found.left_out:
        problems.append(f"{len(found.left_out)} lines or files of {place.results} were left out, see above")
    if stale:
        problems.append("generated files do not match results/: run `spikecost report`")
    if problems:
        raise UserError("; ".join(problems))
    click.echo("every generated file matches results/")


def _from_here(path: Path) -> Path:
    """As it can be opened from the current folder."""
    path = path.absolute()
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _warn_of(left_out: Sequence[LeftOut]) -> None:
    for line in left_out[:_WARNINGS]:
        _warn(line)
    if len(left_out) > _WARNINGS:
        _warn(f"{len(left_out) - _WARNINGS} more like these")


def _warn(what: object) -> None:
    click.echo(f"warning: {what}", err=True)


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


def fresh(record: Record) -> bool:
    """Whether the code that made a record is the code that is here."""
    try:
        return digest_of(Case.of(record.case)) == record.digest
    except (UserError, TypeError):  # a case of an older version, naming what is no longer there
        return False


def _missing(cases: list[Case], store: Store, paper: str, here: _Here, *, retry: bool = False) -> list[Case]:
    records, left_out = store.load(paper)
    _warn_of(left_out)
    on_this_machine = [record for record in records if record.machine == here.machine]
    failed = [record for record in latest(on_this_machine) if record.status != "ok"]
    done = {done_key(record) for record in on_this_machine}
    done -= {done_key(record) for record in failed if retry or _installed_since(record)}
    return [case for case in cases if wanted_key(case, here.gpu) not in done]


def _installed_since(record: Record) -> bool:
    """Whether a case was unsupported because a library was missing or its framework had another version, and is available now."""
    from bench.runner.store import MISSING, version_of

    ran = backends_of(record.case["probe"], record.case["backend"])
    if record.status != "unsupported" or not all(backends.available(name) for name in ran):
        return False
    came = any(version == MISSING != version_of(name) for name, version in record.versions.items())
    return came or any(record.versions.get(backends.framework(name)) != backends.version(name) for name in ran)


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


def _machine() -> str:
    from bench.machine import identity, machine_id

    return machine_id(identity())


def _gpu() -> str | None:
    from bench.machine import gpu

    return gpu()


def _line(title: str, values: list[str]) -> None:
    click.echo(_bold(title) + "\n  " + "\n  ".join(values))


def _bold(text: str) -> str:
    return click.style(text, bold=True)  # click.echo takes it away where there is no terminal
