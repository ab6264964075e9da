"""``gpu-check``: the most of a GPU in minutes, step by step; a step that fails does not keep the others from running."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from bench import backends, datasets
from bench.case import NO_DATA, Case
from bench.claims.judge import planned_by
from bench.commands import options
from bench.commands.duration import seconds_of, words_of
from bench.commands.forecasting import forecaster_of, outlook_of
from bench.commands.measuring import Folders, Here, Tally, measure_cases, missing_cases, writable
from bench.commands.printing import bold
from bench.errors import UserError, choose
from bench.files import write_whole
from bench.forecast.outlook import Outlook
from bench.gpu_check.findings import found
from bench.gpu_check.selection import Planned, cases_of, runnable, short_first
from bench.gpu_check.steps import STEPS, WHOLE_S, Result, Step, allowed, failed, left_out
from bench.places import CODE, Project
from bench.plan import papers
from bench.quantity import count_of
from bench.record_store import Store, latest

WORKER = "bench.gpu_check.worker"
COMPILED = "native-fast"  # a backend whose kernels the steps without cases run


@dataclass(frozen=True)
class Check:
    """Where and with what a check runs."""

    place: Project
    here: Here
    folders: Folders
    retry: bool
    planned: Planned


@click.command("gpu-check")
@options.data_root
@options.cache
@options.project
@options.results
@click.option("--budget", default=f"{WHOLE_S:g}s", show_default=True, metavar="TIME", help="for all steps; 90s, 25m, 3h")
@click.option("--step", "names", multiple=True, metavar="NAME", help="only this step; may be repeated [default: all]")
@click.option("--dry-run", is_flag=True, help="show the steps, their missing cases and a forecast; measure nothing")
@options.retry
def gpu_check(
    data_root: Path | None,
    cache: Path | None,
    project: Path | None,
    results: Path | None,
    budget: str,
    names: tuple[str, ...],
    dry_run: bool,
    retry: bool,
) -> None:
    """Check the kernels on a GPU and measure on it what decides most, in minutes.

    Without a GPU the steps that need none are run, and the others are named with the reason. What is measured as cases of the
    papers' plans goes into the results; `spikecost report` judges by it.
    """
    for name in names:
        choose("step", name, [step.name for step in STEPS])
    whole = seconds_of(budget)
    datasets.data_root(data_root)
    chosen = [step for step in STEPS if not names or step.name in names]
    planned = {name: planned_by(name) for name in papers()}
    check = Check(writable(project, results), Here(), Folders(data_root, cache), retry, planned)
    click.echo(bold(f"gpu-check on {check.here}, {check.here.gpu or 'without a GPU'}: {words_of(whole)}"))
    reasons = {step.name: _reason(step, check) for step in chosen}
    able = [step for step in chosen if not reasons[step.name]]
    if dry_run:
        for step in chosen:
            click.echo(f"{step.name}: {_forecast(step, check, reasons[step.name], whole * step.share / WHOLE_S)}")
        return
    ends, done = time.monotonic() + whole, list[Result]()
    for step in chosen:
        if reasons[step.name]:
            done.append(Result(step.name, "left out", reasons[step.name]))
        else:
            following = able[able.index(step) + 1 :]
            done.append(_performed(step, check, allowed(step, following, ends - time.monotonic())))
        click.echo(done[-1].line)
    click.echo(f"Judge the claims by what was measured: spikecost report. The check itself: {_written(check, done)}")
    if broken := failed(done):
        raise UserError(f"failed: {', '.join(broken)}; the reasons are above")


def _reason(step: Step, check: Check) -> str:
    """Return why a step is left out here, or ""."""
    if reason := left_out(step, check.here.gpu):
        return reason
    cases = cases_of(step.name, check.planned, check.here.gpu)
    if not cases:
        return backends.available(COMPILED).reason
    for dataset in sorted({case.dataset for case in cases} - {NO_DATA}):
        if not (there := datasets.available(dataset, check.folders.data_root)):
            return there.reason
    able, reasons = runnable(cases)
    return "" if able else "; ".join(reasons)


def _performed(step: Step, check: Check, seconds: float) -> Result:
    """Run a step for at most ``seconds``; an error in it is its result."""
    began = time.monotonic()
    click.echo(bold(f"{step.name}: {step.title}, at most {words_of(seconds)}"))
    try:
        measures = bool(cases_of(step.name, check.planned, check.here.gpu))
        ended = _measured(step, check, seconds) if measures else _answered(step, check.here, seconds)
    except UserError as error:
        ended = Result(step.name, "failed", str(error))
    except Exception as error:  # the other steps run all the same
        ended = Result(step.name, "failed", f"{type(error).__name__}: {error}")
    return Result(step.name, ended.status, ended.words, time.monotonic() - began, ended.detail)


def _answered(step: Step, here: Here, seconds: float) -> Result:
    """Run a step that measures no cases, in its own process (bench/gpu_check/worker.py)."""
    from bench.machine import usable_cores

    device = "cpu" if here.gpu is None else "cuda"
    command = [sys.executable, "-W", "ignore", "-m", WORKER, step.name, device, str(usable_cores())]
    try:
        ended = subprocess.run(command, cwd=CODE, capture_output=True, text=True, timeout=max(seconds, 1.0))
    except subprocess.TimeoutExpired:
        return Result(step.name, "failed", f"not done in {words_of(seconds)}; give it longer by --step {step.name} --budget")
    try:
        answer = json.loads(ended.stdout.splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        last = (ended.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return Result(step.name, "failed", f"its process ended with status {ended.returncode}: {last}")
    return Result(step.name, "passed" if answer["passed"] else "failed", answer["words"], detail=answer["detail"])


def _measured(step: Step, check: Check, seconds: float) -> Result:
    """Measure the missing cases of a step by the ordinary run, most claims per second first, until its time is over."""
    from bench.runner.run import BROKEN
    from bench.runner.store import new_run

    ends = time.monotonic() + seconds
    able, reasons = runnable(cases_of(step.name, check.planned, check.here.gpu))
    ahead, missing = _ahead(check, able)
    tally = Tally(len(able), missing)
    if ahead.order:
        forecast = {case.key: ahead.forecasts[case.key].seconds for case in ahead.order if case.probe == "training"}
        measure_cases(check.place, short_first(ahead.order), new_run(), tally, check.folders, forecast=forecast, ends=ends)
    broken = {status: count for status, count in sorted(tally.ended.items()) if status in BROKEN}
    words = [_counts(tally), _shown(step, check, able), *(f"{count} left out: {why}" for why, count in reasons.items())]
    words += sorted({f"{forecast.case.key}: {forecast.obstacle}" for forecast in ahead.blocked})
    if broken:
        words.insert(0, ", ".join(f"{count} {status}" for status, count in broken.items()) + ", for the reasons above")
    return Result(step.name, "failed" if broken else "passed", "; ".join(filter(None, words)))


def _ahead(check: Check, cases: Sequence[Case]) -> tuple[Outlook, int]:
    """Return the missing ones of ``cases`` in the order in which to measure them, and their number."""
    store = Store(check.place.results)
    names = list(dict.fromkeys(case.paper for case in cases))
    wanted = {name: [case for case in cases if case.paper == name] for name in names}
    missing = [c for name in names for c in missing_cases(wanted[name], store, name, check.here, retry=check.retry)]
    forecaster = forecaster_of(check.place, store, names, check.here, check.folders)
    return outlook_of(check.place, wanted, missing, forecaster), len(missing)


def _counts(tally: Tally) -> str:
    """Say what was measured, was there before, and had no time."""
    there, left = tally.wanted - tally.missing, tally.missing - tally.ended.total()
    statuses = ", ".join(f"{count} {status}" for status, count in sorted(tally.ended.items()))
    words = f"{count_of(tally.ended.total(), 'case')} measured" + (f" ({statuses})" if set(tally.ended) - {"ok"} else "")
    return words + (f", {there} there before" if there else "") + (f", {left} left for the next time" if left else "")


def _shown(step: Step, check: Check, cases: Sequence[Case]) -> str:
    keys, store = {case.key for case in cases}, Store(check.place.results)
    records = [record for name in dict.fromkeys(case.paper for case in cases) for record in store.load(name)[0]]
    return found(step.name, latest(r for r in records if r.machine == check.here.machine and r.key in keys))


def _forecast(step: Step, check: Check, reason: str, seconds: float) -> str:
    """Say what a step would do."""
    if reason:
        return f"left out: {reason}"
    able, reasons = runnable(cases_of(step.name, check.planned, check.here.gpu))
    if not able:
        return f"{step.title}, {words_of(seconds)}"
    ahead, missing = _ahead(check, able)
    takes = words_of(sum(ahead.forecasts[case.key].seconds for case in ahead.order)) if ahead.order else "nothing"
    words = f"{step.title}, {words_of(seconds)}: {missing} of {count_of(len(able), 'case')} to measure, {takes} in all"
    keys = [case.key for case in short_first(ahead.order)]
    return "\n  ".join([words, *keys, *(f"{count} left out: {why}" for why, count in reasons.items())])


def _written(check: Check, done: Sequence[Result]) -> str:
    """Keep what became of the steps, beside the records; those of an earlier check that were not run now stay."""
    from bench.runner.store import commit_of, version_of

    path = check.place.results / "gpu-check" / f"{check.here.machine}.json"
    about = {"commit": commit_of(CODE), "when": datetime.now(UTC).isoformat(timespec="seconds"), "torch": version_of("torch")}
    steps = {result.step: {**vars(result), "detail": dict(result.detail), **about} for result in done}
    write_whole(path, f"{json.dumps({**_before(path), **steps, 'gpu': check.here.gpu}, indent=1)}\n".encode())
    return check.place.name(path)


def _before(path: Path) -> Mapping[str, object]:
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}): delete it; the next check writes it anew") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no check: delete it; the next check writes it anew")
    return content
