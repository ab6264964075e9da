"""From the command line to merged records: SLURM starts nothing, jobs are called here, and their loop measures nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from bench.case import Case
from bench.cluster.submission import Submission, submissions
from bench.commands.cluster import Merge, Work
from bench.machine import Identity
from bench.measurement import Measurement
from bench.plan import conditions
from bench.progress import Progress
from bench.record_store import Store
from bench.runner.worker import Outcome
from tests.cluster.conftest import REPOSITORY, Slurm

Invoke = Callable[..., Result]
Submitted = Callable[..., Submission]
COUNTS = 7  # cases of OTTT's smoke plan that count parameters


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``loop(most, status)``: the run loop of jobs ends after so many cases, as if killed during the next one."""

    def use(most: int = 1000, status: Any = "ok") -> None:
        def run(cases: Sequence[Case], keep: Any, listener: Any, **folders: Any) -> None:
            for i, case in enumerate(cases):
                listener.started(case)
                if i == most:
                    listener.progress(case, Progress(1, 10, 2, 3, 0.5, 60.0, 7.0))
                    raise KeyboardInterrupt
                how = conditions(case, None)
                values = (Measurement("parameters", 1, "1"), Measurement("layers", 2, "1")) if status == "ok" else ()
                outcome = Outcome(status, "" if status == "ok" else "broken", values, "", how.device, how.threads, how.precision)
                keep(case, outcome)
                listener.finished(case, outcome)

        monkeypatch.setattr("bench.runner.run.run", run)

    use()
    monkeypatch.setattr("bench.commands.cluster.write_report", lambda *_: None)  # it takes seconds
    return use


def work(submission: Submission, number: int = 0) -> None:
    Work(str(submission.folder), number)()


def keys(root: Path) -> list[str]:
    """Keys of the cases that are in results/, once for each record of them."""
    records, left_out = Store(root / "results").load("ottt")
    assert left_out == []
    return [record.key for record in records]


def test_submitted_plan_is_measured_and_merged(root: Path, slurm: Slurm, invoke: Invoke, submitted: Submitted, loop: Any) -> None:
    submission = submitted('partition = "low"\ncpus = 3\ntime = 90\nsetup = ["module load x"]\n[sbatch]\nnice = 5\n')
    script = slurm.script(7)
    for line in ("--partition=low", "--cpus-per-task=3", "--time=90", "--signal=USR2@90", "--requeue", "--nice=5"):
        assert f"#SBATCH {line}\n" in script
    assert "\nmodule load x\n" in script
    assert "--wckey" not in script
    assert "#SBATCH --dependency=afterany:7\n" in slurm.script(8)
    slurm.queue({"7": "PENDING", "8": "PENDING"})
    assert f"{COUNTS} queued of {COUNTS} cases in 1 job" in invoke("status").output
    work(submission)
    assert keys(root) == []
    slurm.queue({})
    assert f"{COUNTS} done of {COUNTS} cases" in invoke("status").output
    Merge(str(submission.folder), str(root))()
    Merge(str(submission.folder), str(root))()
    assert len(keys(root)) == 2 * COUNTS
    assert {record.run for record in Store(root / "results").load("ottt")[0]} == {submission.id}
    told = invoke("run", "ottt", "--scale", "smoke", "--only", "/count/", "--on", str(root / "cluster.toml"))
    assert told.output.endswith(f"nothing to submit: {COUNTS} measured, 0 in the queue (spikecost status)\n")


def test_requeued_job_measures_the_rest_once(root: Path, slurm: Slurm, invoke: Invoke, submitted: Submitted, loop: Any) -> None:
    submission = submitted()
    loop(3)
    with pytest.raises(KeyboardInterrupt):
        work(submission)
    slurm.queue({"7": "RUNNING"})
    shown = invoke("status").output
    assert f"{COUNTS - 4} queued, 1 running, 3 done" in shown
    assert "epoch 2/3, loss 0.500, accuracy 60.0 %, 7 images/s" in shown
    slurm.queue({"7": "PENDING"})
    assert f"{COUNTS - 3} queued, 3 done" in invoke("status").output
    loop()
    work(submission)
    slurm.queue({})
    Merge(str(submission.folder), str(root))()
    assert len(keys(root)) == 2 * COUNTS
    assert len(set(keys(root))) == COUNTS


def test_cancelled_job_is_lost_and_submitted_again(
    root: Path, slurm: Slurm, invoke: Invoke, submitted: Submitted, loop: Any
) -> None:
    first = submitted()
    loop(3)
    with pytest.raises(KeyboardInterrupt):
        work(first)
    shown = invoke("status").output
    assert f"3 done, {COUNTS - 3} lost" in shown
    assert "the same `run --on` submits them again" in shown
    again = submitted()
    assert len(set(keys(root))) == 3  # merged before anything is submitted
    assert [case.key for share in again.shares for case in share.cases] == [case.key for case in first.shares[0].cases[3:]]
    slurm.queue({"9": "PENDING"})
    told = invoke("run", "ottt", "--scale", "smoke", "--only", "/count/", "--on", "slurm").output
    assert told.endswith(f"nothing to submit: 3 measured, {COUNTS - 3} in the queue (spikecost status)\n")


def test_failed_cases_are_shown_with_their_log_and_submitted_with_retry(
    slurm: Slurm, invoke: Invoke, submitted: Submitted, loop: Any
) -> None:
    submission = submitted()
    loop(status="crashed")
    work(submission)
    submission.logs.joinpath("7_0_log.out").touch()
    shown = invoke("status").output
    key = submission.shares[0].cases[0].key
    assert f"failed: {key}: crashed: broken ({submission.logs}/7_0_log.out)" in shown
    assert f"failed  {key}: {submission.logs}/7_0_log.out\n" in invoke("status", "--log", key).output
    assert "no submitted case; cases are called ottt/" in invoke("status", "--log", "nothing").output
    call = ("run", "ottt", "--scale", "smoke", "--only", "/count/", "--on", "slurm")
    assert "nothing to submit" in invoke(*call).output
    assert f"{COUNTS} cases submitted" in invoke(*call, "--retry").output


def test_job_leaves_out_what_is_measured_on_its_machine(
    root: Path, slurm: Slurm, invoke: Invoke, submitted: Submitted, loop: Any
) -> None:
    """On the first submission to a cluster the login node does not know which machine its nodes are."""
    before = submitted()
    work(before)
    Merge(str(before.folder), str(root))()
    before.machine.unlink()
    again = submitted()
    work(again)
    assert f"{COUNTS} done of {COUNTS} cases" in invoke("status").output
    Merge(str(again.folder), str(root))()
    assert len(keys(root)) == 2 * COUNTS


def test_job_on_another_kind_of_node_measures_nothing(
    invoke: Invoke, submitted: Submitted, loop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    submission = submitted()
    other: Identity = {
        "cpu": "other", "cores": 1, "memory_gib": 1, "os": "Linux", "architecture": "x86_64", "python": "3", "gpus": []
    }  # fmt: skip
    submission.machine.write_text(json.dumps(other))
    with pytest.raises(Exception, match="records of different machines are not combined"):
        work(submission)
    shown = invoke("status").output
    assert f"{COUNTS} lost" in shown
    assert "a job measured nothing: this node is" in shown


def test_job_with_other_code_measures_nothing(submitted: Submitted, loop: Any, tmp_path: Path) -> None:
    submission = submitted()
    plan = submission.folder / "plan.json"
    plan.write_text(plan.read_text().replace(json.dumps(str(submission.code)), json.dumps(str(tmp_path))))
    with pytest.raises(Exception, match=r"the job runs the code in .*, submitted was"):
        work(submission)


def test_gpu_hours_are_those_of_all_attempts(root: Path, slurm: Slurm, invoke: Invoke, submitted: Submitted) -> None:
    slurm.nodes("low*|a|8|gpu:a100:4|x")
    submission = submitted('gpus = "a100:2"\n')
    assert "#SBATCH --gpus-per-node=a100:2\n" in slurm.script(7)
    assert "gpus" not in slurm.script(8)
    state = {"node": "a", "gpus": 2, "attempts": [[0, 3600], [7200, 9000]], "running": {}, "there": [], "problem": ""}
    submission.state(0).parent.mkdir(parents=True)
    submission.state(0).write_text(json.dumps(state))
    assert "3.00 GPU hours used" in invoke("status").output


def test_arrays_keep_to_their_size_and_share_the_throttle(slurm: Slurm, submitted: Submitted, loop: Any) -> None:
    submission = submitted("cpus = 1\nminutes = 1\narray_size = 2\nat_once = 3\n", "--only", "/")
    assert [len(share.cases) > 0 for share in submission.shares] == [True, True]
    assert "#SBATCH --array=0-1%2\n" in slurm.script(7)
    assert submission.slurm_ids() == {0: "7_0", 1: "7_1"}


def test_job_is_requeued_at_its_limit_unless_the_settings_say_otherwise(slurm: Slurm, submitted: Submitted) -> None:
    requeued = Work(str(submitted().folder), 0)
    assert requeued.checkpoint().function == requeued
    assert "#SBATCH --requeue\n" in slurm.script(7)
    assert Work(str(submitted("requeue = false\n").folder), 0).checkpoint() is None
    assert "#SBATCH --no-requeue\n" in slurm.script(9)


def test_refusal_of_slurm_is_told_in_its_words(root: Path, slurm: Slurm, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SBATCH_SAYS", "sbatch: error: invalid partition specified: low")
    told = invoke("run", "ottt", "--scale", "smoke", "--only", "/count/", "--on", "slurm")
    assert told.exit_code == 1
    assert "Error: SLURM took no jobs: sbatch: error: invalid partition specified: low; change the settings" in told.output
    assert submissions(root / "results") == []


@pytest.mark.parametrize("command", ["sbatch", "squeue", "sinfo"])
def test_missing_slurm_is_told_before_anything_is_planned(invoke: Invoke, slurm: Slurm, command: str, monkeypatch: Any) -> None:
    (slurm.folder / command).unlink()
    monkeypatch.setenv("PATH", str(slurm.folder))
    told = invoke("run", "ottt", "--scale", "smoke", "--on", "slurm")
    assert told.exit_code == 1
    assert f"SLURM's command {command}, which is not on this machine" in told.output


def test_status_without_slurm_says_what_it_does_not_know(
    invoke: Invoke, slurm: Slurm, submitted: Submitted, monkeypatch: Any
) -> None:
    submitted()
    monkeypatch.setenv("PATH", "/nowhere")
    shown = invoke("status").output
    assert "squeue is not on this machine" in shown
    assert f"{COUNTS} queued of {COUNTS}" in shown


def test_status_without_submissions_says_how_to_submit(invoke: Invoke) -> None:
    told = invoke("status")
    assert told.exit_code == 1
    assert "nothing was submitted here; `spikecost run PAPER --on slurm` submits" in told.output


def test_planning_submitting_and_status_import_no_torch(root: Path, slurm: Slurm) -> None:
    run = ["run", "ottt", "--scale", "smoke", "--on", "slurm"]
    code = (
        f"import sys; from bench.cli import main; main({run}, standalone_mode=False); main(['status'], standalone_mode=False)\n"
        "print({'torch', 'matplotlib', 'pandas'} & set(sys.modules), file=sys.stderr)"
    )
    environment = {**os.environ, "PATH": f"{slurm.folder}:{os.environ['PATH']}"}
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True
    )
    assert ended.stderr.splitlines()[-1] == "set()"
    assert "59 cases submitted in" in ended.stdout
