"""Four places, each by flag, variable and default; the code that runs is none of them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import bench.cli as cli
from bench.places import CODE, project_of
from bench.spec import UserError


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without code, its claims those of the repository, nothing measured."""
    for variable in ("SPIKECOST_PROJECT", "SPIKECOST_RESULTS", "SPIKECOST_DATA_ROOT"):
        monkeypatch.delenv(variable, raising=False)
    root = tmp_path / "project"
    shutil.copytree(CODE / "reproductions", root / "reproductions", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(CODE / "README.md", root)
    (root / "results").mkdir()
    return root


def test_a_project_is_found_by_flag_then_variable_then_upwards_then_as_the_checkout(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert project_of().root == CODE
    deep = project / "reproductions" / "ottt"
    monkeypatch.chdir(deep)
    assert project_of().root == project
    other = tmp_path / "other"
    (other / "reproductions").mkdir(parents=True)
    monkeypatch.setenv("SPIKECOST_PROJECT", str(other))
    assert (project_of().root, project_of().results) == (other, other / "results")
    assert project_of(project).root == project
    monkeypatch.setenv("SPIKECOST_PROJECT", "")
    assert project_of().root == project


def test_results_are_found_by_flag_then_variable_then_in_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert project_of(project).results == project / "results"
    monkeypatch.setenv("SPIKECOST_RESULTS", "/by/variable")
    assert project_of(project).results == Path("/by/variable")
    assert project_of(project, Path("/by/flag")).results == Path("/by/flag")


def test_results_that_are_no_folder_are_told_to_every_command(project: Path, tmp_path: Path) -> None:
    file = tmp_path / "results.txt"
    file.write_text("")
    for command in ("plan", "run", "report"):
        ended = CliRunner().invoke(cli.main, [command, "--project", str(project), "--results", str(file)])
        assert ended.exit_code == 1
        assert f"Error: the results {file} are no folder; name the folder" in ended.output


def test_a_project_that_is_none_is_named(project: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"projet does not exist: did you mean {project}\?"):
        project_of(tmp_path / "projet")
    with pytest.raises(UserError, match="is no project: it holds no reproductions/"):
        project_of(project / "results")


def test_an_installed_package_without_a_project_asks_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bench.places.CODE", tmp_path)
    with pytest.raises(UserError, match=r"no project here: .*--project or SPIKECOST_PROJECT"):
        project_of()


def test_code_that_is_installed_elsewhere_reports_into_a_named_project(project: Path, tmp_path: Path) -> None:
    """As a package that is not editable: its folder holds the code and may not be written."""
    installed = tmp_path / "site-packages"
    for package in ("bench", "reproductions"):
        shutil.copytree(CODE / package, installed / package, ignore=shutil.ignore_patterns("__pycache__", "README.md"))
    elsewhere = tmp_path / "results elsewhere"
    before = sorted(installed.rglob("*.*"))
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); sys.dont_write_bytecode = True; from bench.cli import main; main()"
    run = lambda *arguments: subprocess.run(  # noqa: E731
        [sys.executable, "-c", code, str(installed), *arguments], cwd=tmp_path, capture_output=True, text=True
    )
    for looking in (["list"], ["--version"]):
        assert run(*looking).returncode == 0, looking
    lost = run("report")
    assert lost.returncode == 1
    assert lost.stderr.startswith("Error: no project here")
    ended = run("report", "--project", str(project), "--results", str(elsewhere))
    assert ended.returncode == 0, ended.stderr
    assert (elsewhere / "ledger.csv").exists()
    assert (project / "plots" / "index.html").exists()
    assert list((project / "results").iterdir()) == []
    assert sorted(installed.rglob("*.*")) == before


@pytest.mark.parametrize("command", ["list", "plan", "run"])
@pytest.mark.parametrize("how", ["flag", "variable"])
def test_a_data_root_that_is_not_there_stops_every_command(
    project: Path, tmp_path: Path, command: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not made, nothing downloaded, and no digits in the place of what lies in the one that was meant."""
    (tmp_path / "data").mkdir()
    monkeypatch.setattr("bench.runner.run.run", lambda *_, **__: pytest.fail("something was measured"))
    wrong = str(tmp_path / "dta")
    arguments = [command, *(["--project", str(project)] if command != "list" else [])]
    arguments += ["--data-root", wrong] if how == "flag" else []
    ended = CliRunner().invoke(cli.main, arguments, env={"SPIKECOST_DATA_ROOT": wrong if how == "variable" else None})
    assert ended.exit_code == 1
    assert f"Error: the data root {wrong} does not exist: did you mean {tmp_path / 'data'}?" in ended.output
    assert "digits" not in ended.output.split("Error")[1]
    assert not Path(wrong).exists()
