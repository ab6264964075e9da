"""`spikecost records check` and `add`."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.case import Case
from bench.machine import Identity, machine_id
from bench.measurement import Measurement
from bench.plan import plan
from bench.record_store import Store
from bench.runner import store as runner_store
from bench.runner.store import recorder
from bench.runner.worker import Outcome
from tests.command.calling import Invoke, complaint

WHAT: Identity = {
    "cpu": "Another CPU", "cores": 4, "memory_gib": 8, "os": "Linux", "architecture": "arm64", "python": "3.13.0", "gpus": [],
}  # fmt: skip
MACHINE = machine_id(WHAT)


@pytest.fixture
def handed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results folder of another machine: one count of parameters by this code."""
    monkeypatch.setattr(runner_store, "identity", lambda: WHAT)
    monkeypatch.setattr(runner_store, "commit_of", lambda _: "0123456789ab")
    folder = tmp_path / "handed in"
    keep = recorder(Store(folder), MACHINE, "theirs")
    keep(count(), Outcome("ok", "", (Measurement("parameters", 9_228_362, "1"),), "plain", "cpu", 1, "float32"))
    return folder


def count() -> Case:
    return next(case for case in plan("ottt", "full", lambda _: True) if case.probe == "count")


def test_records_from_elsewhere_decide_claims_and_the_ledger_names_their_machine_and_day(
    invoke: Invoke, root: Path, handed_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.figures.FIGURES", ())
    checked = invoke("records", "check", str(handed_in))
    assert (checked.exit_code, checked.output.count("\n")) == (0, 1), checked.output
    added = invoke("records", "add", str(handed_in))
    assert added.output == f"ottt on {MACHINE}: 1 case added\njudge by them and draw: spikecost report\n"
    assert invoke("records", "add", str(handed_in)).output.startswith(f"ottt on {MACHINE}: 0 cases added; 1 were there\n")
    assert invoke("report").exit_code == 0
    (record,) = Store(root / "results").load("ottt")[0]
    rows = (root / "results" / "ledger.csv").read_text(encoding="utf-8").splitlines()
    assert [row for row in rows if f",{MACHINE},cpu,{record.when[:10]},theirs" in row]
    page = (root / "reproductions" / "ottt" / "README.md").read_text(encoding="utf-8")
    assert f"| {MACHINE} | {record.when[:10]} |" in page


def test_folder_with_problems_is_not_added(invoke: Invoke, root: Path, handed_in: Path) -> None:
    path = Store(handed_in).path("ottt", MACHINE)
    path.write_bytes(path.read_bytes().replace(b'"0123456789ab"', b'"0123456789ab+"'))
    for command in ("check", "add"):
        ended = invoke("records", command, str(handed_in))
        assert ended.exit_code == 1
        assert ended.output.count("an uncommitted tree measured it") == 1
        assert complaint(ended) == f"1 problem in {handed_in}, see above; nothing was added"
    assert not (root / "results" / "runs").exists()


def test_results_of_this_project_are_not_added_to_themselves(invoke: Invoke, root: Path) -> None:
    (root / "results" / "runs").mkdir(parents=True)
    assert complaint(invoke("records", "add", str(root / "results"))).endswith("name the one that was handed in")


def test_unknown_command_of_records_suggests_close_names(invoke: Invoke) -> None:
    assert complaint(invoke("records", "chek", "x")) == "unknown command 'chek': did you mean check?"
