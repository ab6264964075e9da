"""``plan --forecast`` and ``run --budget``: what the missing cases will take here, and as many of them as fit into a time."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from bench.case import Case
from bench.claims import load_claims
from bench.claims.judge import planned_by
from bench.commands.duration import words_of
from bench.commands.measuring import Folders, Here, Tally, measure_cases, missing_cases, scratch_of
from bench.commands.printing import bold
from bench.commands.reporting import write_report
from bench.forecast.deciding import ClaimId, needed_by
from bench.forecast.forecast import Forecast, Forecaster
from bench.forecast.outlook import Outlook, outlook
from bench.places import Project
from bench.quantity import count_of, seconds, significant, size
from bench.record_store import Store
from bench.runner.worker import Job, checkpoint_of

if TYPE_CHECKING:
    from bench.forecast.rates import Rates

REPORT_SHARE, REPORT_S = 0.1, 60.0  # judging and drawing keep this share of a budget, at most these seconds


def show_forecast(place: Project, wanted: Mapping[str, Sequence[Case]], scale: str, folders: Folders) -> None:
    """Print the missing cases of each paper with their forecasts, in the order in which a budget would be spent on them."""
    here, store = Here(), Store(place.results)
    for name, cases in wanted.items():
        missing = missing_cases(list(cases), store, name, here)
        click.echo(bold(f"{name}, scale {scale}: {count_of(len(cases), 'case')}, {len(missing)} to measure on {here}"))
        if not missing:
            continue
        forecaster = forecaster_of(place, store, [name], here, folders)
        ahead = outlook_of(place, {name: cases}, missing, forecaster)
        able = [ahead.forecasts[case.key] for case in ahead.order]
        click.echo(f"    {'each':>9}  {'memory':>9}  {'known from':15}  case: the claims it decides")
        for alike in _alike([*able, *ahead.blocked]):
            click.echo(_line(alike, ahead.claims))
        takes = words_of(sum(forecast.seconds for forecast in able))
        click.echo(f"  {takes} in all, one case after another{_but(ahead.blocked)}")
        if forecaster.rates is not None:
            click.echo(f"  counted steps take what they take at this machine's rates: {_rates(forecaster.rates)}")


def measure_within(
    place: Project,
    wanted: Mapping[str, list[Case]],
    scale: str,
    folders: Folders,
    budget: float,
    *,
    workers: int | None = None,
    retry: bool = False,
) -> None:
    """Measure missing cases for ``budget`` seconds, most claims per second first; judge, draw, and say what is left."""
    from bench.runner.store import new_run

    ends = time.monotonic() + budget - min(REPORT_SHARE * budget, REPORT_S)
    store, here, run_id = Store(place.results), Here(), new_run()
    missing = [case for name, cases in wanted.items() for case in missing_cases(cases, store, name, here, retry=retry)]
    tally = Tally(sum(map(len, wanted.values())), len(missing))
    forecaster = forecaster_of(place, store, list(wanted), here, folders)
    ahead = outlook_of(place, wanted, missing, forecaster)
    click.echo(
        bold(f"scale {scale}: {count_of(tally.wanted, 'case')}, {len(missing)} to measure on {here} in {words_of(budget)}")
    )
    forecast = {case.key: ahead.forecasts[case.key].seconds for case in ahead.order if case.probe == "training"}
    try:
        if ahead.order:
            measure_cases(place, ahead.order, run_id, tally, folders, workers=workers, forecast=forecast, ends=ends)
        left = [case for case in ahead.order if case.key not in tally.keys]
        stopped = sum(checkpoint_of(Job(case, folders.data_root, scratch_of(place))).exists() for case in left)
        click.echo(
            _spent(tally, [forecaster.of(case) for case in left], stopped, ahead.blocked)
        )  # in time; the rest may take some
        write_report(place, list(wanted), run_id)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(tally.so_far()) from None
    tally.require_unbroken()


def forecaster_of(place: Project, store: Store, papers: Sequence[str], here: Here, folders: Folders) -> Forecaster:
    records = [record for name in papers for record in store.load(name)[0]]
    return Forecaster(here.machine, here.gpu, records, scratch_of(place), folders.data_root, folders.cache)


def outlook_of(place: Project, wanted: Mapping[str, Sequence[Case]], missing: Sequence[Case], forecaster: Forecaster) -> Outlook:
    needed = {
        claim: keys
        for name in wanted
        for claim, keys in needed_by(load_claims(place.reproductions / name), planned_by(name)).items()
    }
    there = {case.key for cases in wanted.values() for case in cases} - {case.key for case in missing}
    return outlook(missing, frozenset(there), needed, forecaster)


def _alike(forecasts: Sequence[Forecast]) -> list[list[Forecast]]:
    """Join those whose cases differ in the seed alone, and those of a probe that cannot be measured and were not counted."""
    groups: dict[object, list[Forecast]] = {}
    for forecast in forecasts:
        case, uncounted = forecast.case, bool(forecast.obstacle) and forecast.memory is None
        kind = (case.paper, case.probe, forecast.obstacle) if uncounted else (replace(case, seed=0), forecast.basis)
        groups.setdefault(kind, []).append(forecast)
    return list(groups.values())


def _line(alike: Sequence[Forecast], claims: Mapping[str, Sequence[ClaimId]]) -> str:
    first = alike[0]
    memory = "" if first.memory is None else size(first.memory)
    words = f"    {words_of(first.seconds):>9}  {memory:>9}  {first.basis:15}  {first.case.key}"
    others = len(alike) - 1
    if others:
        words += f" and {count_of(others, 'more such case' if first.obstacle and first.memory is None else 'other seed')}"
    decides = dict.fromkeys(claim for forecast in alike for _, claim in claims.get(forecast.case.key, ()))
    words += f": {', '.join(decides)}" if decides else ""
    return words + (f" ({first.obstacle})" if first.obstacle else "")


def _but(blocked: Sequence[Forecast]) -> str:
    reasons = ", ".join(f"{count} {why}" for why, count in Counter(forecast.obstacle for forecast in blocked).items())
    return f"; {count_of(len(blocked), 'case')} cannot be measured here: {reasons}" if blocked else ""


def _spent(tally: Tally, left: Sequence[Forecast], stopped: int, blocked: Sequence[Forecast]) -> str:
    """One line: what was done, what is left, and the command that goes on."""
    statuses = ", ".join(f"{count} {status}" for status, count in sorted(tally.ended.items()))
    done = f"Measured {count_of(tally.ended.total(), 'case')}{f' ({statuses})' if statuses else ''}"
    if not left:
        return f"{done}; nothing is left that can be measured here{_but(blocked)}."
    takes = words_of(sum(forecast.seconds for forecast in left))
    saved = f", {stopped} of them from a checkpoint" if stopped else ""
    return f"{done}; left: {count_of(len(left), 'case')}, {takes}{saved}{_but(blocked)}. Go on: {same_command()}"


def same_command() -> str:
    """Return the command as it was typed, for a shell."""
    context = click.get_current_context()
    words = context.command_path.split()
    for parameter in context.command.params:
        assert parameter.name is not None, "each has a name"
        value = context.params.get(parameter.name)
        if context.get_parameter_source(parameter.name) is not ParameterSource.COMMANDLINE:
            continue
        if isinstance(parameter, click.Argument):
            words.insert(2, str(value))
        else:
            words += [parameter.opts[0]] if value is True else [parameter.opts[0], str(value)]
    return shlex.join(words)


def _rates(rates: Rates) -> str:
    """Return the measured rates in words."""
    return (
        f"{significant(rates.product / 1e9)} billion MACs/s in matrix products, {significant(rates.convolution / 1e9)} in "
        f"convolutions, {significant(rates.moved / 1e9)} GB/s moved, {seconds(rates.operator)} for an operator"
    )
