"""`spikecost gpu-check`: which steps run where, what a failing one does, and the exit status. No number of a GPU is made up."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import backends
from bench.case import Case
from bench.claims.judge import planned_by
from bench.claims.rules.memory import OF_CUDA
from bench.errors import YES, Support, no
from bench.gpu_check import gates, kernels, selection
from bench.gpu_check.findings import found
from bench.gpu_check.steps import STEPS, WHOLE_S, Result, allowed, failed, left_out
from bench.kernels import compiler, fused
from bench.probes.equivalence import Comparison
from bench.record import Record
from bench.spec import NeuronSpec
from tests.command.calling import Invoke, complaint
from tests.command.test_runs import quick

OTTT = planned_by("ottt")
BY_NAME = {step.name: step for step in STEPS}


# --------------------------------------------------------------------------- steps and their cases


def test_steps_end_within_eight_minutes_and_pass_on_the_time_that_they_do_not_use() -> None:
    assert WHOLE_S < 8 * 60
    assert allowed(STEPS[0], STEPS[1:], WHOLE_S) == pytest.approx(STEPS[0].share)
    assert allowed(STEPS[-1], (), 200.0) == 200.0
    assert allowed(STEPS[1], STEPS[2:], WHOLE_S) > STEPS[1].share
    assert allowed(STEPS[1], STEPS[2:], -3.0) == 0.0


def test_steps_that_need_a_gpu_are_left_out_without_one_and_say_why() -> None:
    assert [step.name for step in STEPS if left_out(step, None)] == ["memory", "speed"]
    assert [step.name for step in STEPS if left_out(step, "NVIDIA H100")] == []
    assert left_out(BY_NAME["memory"], None) == "needs an NVIDIA GPU: it measures CUDA's allocator"


def test_memory_has_a_count_of_live_bytes_beside_each_of_cudas_peaks() -> None:
    """So that each can be shown beside the other; and it has the cases that decide OTTT's claim."""

    def step(case: Case) -> tuple[object, ...]:
        return case.paper, case.network, case.algorithm, case.backend, case.T, case.batch, case.options

    for paper in ("ottt", "sltt"):
        cases = selection.memory(planned_by(paper))
        counted, peaks = (
            {(OF_CUDA.get(case.probe, case.probe), step(case)) for case in cases if (case.probe in OF_CUDA) is live}
            for live in (True, False)
        )
        assert counted == peaks
        assert peaks
    at = {(case.algorithm, case.T) for case in selection.memory(OTTT) if case.backend == "native" and case.probe == "cuda-memory"}
    assert {("bptt", 6), ("ottt-a", 6), ("bptt", 1), ("ottt-a", 30)} <= at


def test_training_has_three_epochs_of_the_papers_network_on_a_gpu_and_of_a_small_one_on_a_cpu() -> None:
    [on_gpu], [on_cpu] = (selection.training(OTTT, gpu) for gpu in ("NVIDIA H100", None))
    assert (on_gpu.network, on_gpu.algorithm, on_gpu.settings) == ("vgg-sws/cifar10", "ottt-a", {"epochs": 3})
    assert (on_cpu.network, on_cpu.scale, on_cpu.settings["epochs"]) == ("vgg-sws-small/cifar10", "laptop", 3)


def without_frameworks(name: str) -> Support:
    return YES if name.startswith("native") else no(f"{backends.framework(name)} is not installed")


def test_cases_of_missing_frameworks_are_counted_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "available", without_frameworks)
    able, reasons = selection.runnable(selection.memory(OTTT))
    assert {case.backend for case in able} == {"native"}
    assert set(reasons) == {"spikingjelly is not installed", "snntorch is not installed"}
    assert len(able) + reasons.total() == len(selection.memory(OTTT))
    timed = [case for case in planned_by("native") if case.probe == "cuda-speed"]
    assert selection.runnable(timed)[0] == []  # a workload is timed with every row or not at all


# --------------------------------------------------------------------------- the command


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Answers of the processes of steps without cases, by step, in the place of their work: output, or an exception."""
    given: dict[str, Any] = {}

    def run(command: list[str], **options: Any) -> Any:
        if "bench.gpu_check.worker" not in command:
            return real(command, **options)
        name, device = command[-3:-1]
        said = given.get(name, json.dumps({"passed": True, "words": f"ran on {device}", "detail": {}}))
        if isinstance(said, Exception):
            raise said
        return subprocess.CompletedProcess(command, 0 if said else 1, said, "Traceback:\nRuntimeError: no kernel image")

    real = subprocess.run
    monkeypatch.setattr("bench.commands.gpu_check.subprocess.run", run)
    return given


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], None]:
    """``gpu([name, ...])``: the GPUs of this machine."""

    def have(names: list[str]) -> None:
        monkeypatch.setattr("bench.machine._gpus", lambda: names)
        monkeypatch.setattr("bench.machine._torch_has_cuda", lambda: True)
        monkeypatch.setattr(backends, "available", without_frameworks)

    return have


def lines(output: str) -> dict[str, str]:
    """What became of each step."""
    names = tuple(f"{step.name}: {status}" for step in STEPS for status in ("passed", "failed", "left out"))
    return {line.split(":")[0]: line.split(": ", 1)[1] for line in output.splitlines() if line.startswith(names)}


def test_without_a_gpu_the_other_steps_run_and_the_status_is_zero(
    invoke: Invoke, root: Path, answers: dict[str, Any], gpu: Callable[[list[str]], None]
) -> None:
    gpu([])
    ended = invoke("gpu-check")
    said = lines(ended.output)
    assert ended.exit_code == 0, ended.output
    assert list(said) == [step.name for step in STEPS]
    assert all(said[name].startswith("passed in ") and said[name].endswith(": ran on cpu") for name in ("kernels", "gates"))
    assert said["memory"] == "left out: needs an NVIDIA GPU: it measures CUDA's allocator"
    assert said["training"].startswith("left out: CIFAR-10 is not under the data root")
    [kept] = (root / "results" / "gpu-check").glob("*.json")
    content = json.loads(kept.read_bytes())
    assert content["gpu"] is None
    assert all(said[name].startswith(content[name]["status"]) for name in said)
    assert content["kernels"]["words"] == "ran on cpu"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (json.dumps({"passed": False, "words": "7 spikes differ", "detail": {}}), "7 spikes differ"),
        ("", "its process ended with status 1: RuntimeError: no kernel image"),
        (subprocess.TimeoutExpired("worker", 1), "not done in "),
        (OSError("no more processes"), "OSError: no more processes"),
        (RuntimeError("CUDA error"), "RuntimeError: CUDA error"),
    ],
    ids=["wrong", "crashed", "slow", "not started", "unforeseen"],
)
def test_failing_step_does_not_stop_the_others_and_ends_with_status_one(
    answer: Any, reason: str, invoke: Invoke, answers: dict[str, Any], gpu: Callable[[list[str]], None]
) -> None:
    gpu([])
    answers["kernels"] = answer
    ended = invoke("gpu-check")
    said = lines(ended.output)
    assert said["kernels"].startswith("failed in ")
    assert reason in said["kernels"]
    assert said["gates"].startswith("passed")
    assert said["throughput"].startswith("passed")
    assert ended.exit_code == 1
    assert complaint(ended) == "failed: kernels; the reasons are above"


def test_with_a_gpu_native_cases_run_by_the_ordinary_run_and_others_are_named(
    invoke: Invoke, root: Path, gpu: Callable[[list[str]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu(["NVIDIA H100 80GB HBM3"])
    ran: list[Case] = []

    def run(cases: list[Case], keep: Any, listener: Any, **more: Any) -> None:
        ran.extend(cases)
        assert more["limit"].one_gpu
        quick(cases[:-1], keep, listener)  # as if there were no time for the last

    monkeypatch.setattr("bench.runner.run.run", run)
    ended = invoke("gpu-check", "--step", "memory")
    assert ended.exit_code == 0, ended.output
    assert {case.backend for case in ran} == {"native"}
    of_cuda = [(case.paper, case.algorithm, case.T) for case in ran if case.probe == "cuda-memory"]
    assert set(of_cuda[:2]) == {("ottt", "bptt", 6), ("ottt", "ottt-a", 6)}  # they decide a claim
    assert [paper for paper, _, _ in of_cuda] == sorted(paper for paper, _, _ in of_cuda)  # Skipper's long ones last
    said = lines(ended.output)["memory"]
    assert f"{len(ran) - 1} cases measured, 1 left for the next time; " in said
    assert "left out: spikingjelly is not installed" in said
    [runs] = (root / "results" / "runs").iterdir()
    assert "h100" in runs.name


def test_dry_run_shows_steps_and_measures_nothing(invoke: Invoke, root: Path, gpu: Callable[[list[str]], None]) -> None:
    gpu([])
    said = invoke("gpu-check", "--dry-run").output
    assert "\nkernels: fused kernels against their references, 80 s\n" in said
    assert "\nmemory: left out: needs an NVIDIA GPU" in said
    assert not (root / "results").exists()


def test_unknown_step_is_refused_with_close_ones(invoke: Invoke) -> None:
    assert complaint(invoke("gpu-check", "--step", "kernel")) == "unknown step 'kernel': did you mean kernels?"


def test_failed_names_failed_steps_alone() -> None:
    results = [Result("kernels", "failed", ""), Result("gates", "passed", ""), Result("memory", "left out", "")]
    assert failed(results) == ["kernels"]


# --------------------------------------------------------------------------- what the steps compare


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """One setting of every type."""
    if not compiler.available():
        pytest.skip(compiler.available().reason)
    one = {setting.dtype: setting for setting in kernels.settings()}
    monkeypatch.setattr(kernels, "settings", one.values)


def test_settings_have_every_pair_of_choices_in_every_type() -> None:
    of = {dtype: [s.neuron for s in kernels.settings() if s.dtype == dtype] for dtype in fused.TYPES}
    assert len(of[torch.float64]) == 20
    for neurons in of.values():
        assert len({(n.surrogate.kind, n.reset) for n in neurons}) == 10
        assert len({(n.surrogate.kind, n.detach_reset) for n in neurons}) == 10
        assert len({(n.reset, n.detach_reset) for n in neurons}) == 4


@pytest.mark.usefixtures("few")
def test_kernels_equal_their_references() -> None:
    found_ = kernels.compared("cpu")
    assert found_.failures == ()
    assert found_.compared == {"float32": 1, "float64": 1, "bfloat16": 1}


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    "wrong",
    [
        lambda neuron: replace(neuron, threshold=1.3),
        lambda neuron: replace(neuron, surrogate=replace(neuron.surrogate, alpha=1.05 * neuron.surrogate.alpha)),
    ],
    ids=["spikes", "gradients"],
)
def test_wrong_kernel_is_found_in_every_type(wrong: Callable[[NeuronSpec], NeuronSpec], monkeypatch: pytest.MonkeyPatch) -> None:
    real, real_in_space = fused.lif_, fused.lif_in_space_
    monkeypatch.setattr(fused, "lif_", lambda x, v, neuron, *decay: real(x, v, wrong(neuron), *decay))
    monkeypatch.setattr(fused, "lif_in_space_", lambda x, v, neuron: real_in_space(x, v, wrong(neuron)))
    failures = kernels.compared("cpu").failures
    assert {failure.split(",")[0] for failure in failures} == {"float32", "float64", "bfloat16"}


def test_gate_fails_for_spikes_gradients_silence_and_broken_neurons_that_pass() -> None:
    good = gates.Gate("bptt on native-fast", Comparison(0, 100, 1e-14), 1e-15, 12.0, (("wrong decay",), ()))
    assert good.problem == ""
    assert "3 of 100 spikes differ" in replace(good, comparison=Comparison(3, 100, 0.0)).problem
    assert "gradients differ by 1.0e-06" in replace(good, comparison=Comparison(0, 100, 1e-6)).problem
    assert "gradients differ by nan" in replace(good, comparison=Comparison(0, 100, float("nan"))).problem
    assert "no neuron fires" in replace(good, fired=0.0).problem
    assert "broken neurons pass (wrong decay)" in replace(good, broken=((), ("wrong decay",))).problem


def test_gates_are_of_every_compiled_mode_once_and_of_plain_pytorch() -> None:
    cases = gates.modes([*OTTT, *planned_by("native")])
    modes = [(case.algorithm, case.backend, case.options) for case in cases]
    assert len(modes) == len(set(modes))
    assert {backend for _, backend, _ in modes} == {"native", "native-fast", "native-balanced", "native-small"}


# --------------------------------------------------------------------------- what its line shows


def record(case: Case, metric: str, value: float, **detail: object) -> Record:
    about = {"unit": "", "version": 1, "status": "ok", "reason": "", "kernel": "", "digest": "", "versions": {}, "commit": ""}
    where = {"machine": "m", "device": "cpu", "threads": 1, "precision": "float32", "run": "r", "when": ""}
    every: dict[str, Any] = {**about, **where}
    return Record(case=case.as_dict(), key=case.key, metric=metric, value=value, detail=detail, **every)


def test_line_of_memory_shows_three_peaks_or_nothing() -> None:
    cases = [c for c in selection.memory(OTTT) if (c.backend, c.T, c.algorithm) == ("native", 6, "bptt")]
    live, cuda = sorted(cases, key=lambda case: case.probe)
    peaks = [record(cuda, "peak_allocated_bytes", 2**31), record(cuda, "peak_reserved_bytes", 3 * 2**30)]
    assert found("memory", peaks) == ""
    said = found("memory", [*peaks, record(live, "peak_live_bytes", 2**30)])
    assert said == "at T = 6, vgg-sws/cifar10 bptt: 2.00 GiB allocated, 3.00 GiB reserved, 1.00 GiB live"


def test_line_of_training_shows_accuracy_epochs_part_and_speed() -> None:
    [case] = selection.training(OTTT, None)
    epochs = [record(case, f"epoch {i}", 10.0, images=100, seconds=4.0) for i in (1, 2)]
    said = found("training", [*epochs, record(case, "test_accuracy", 12.34, part="one batch file of five")])
    assert said == "vgg-sws-small/cifar10: test accuracy 12.3 % after 2 epochs on one batch file of five, 25.0 images/s"
