"""The four folders, each set by flag, variable or default; the running code is in none of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

import bench.cli as cli
from bench.errors import UserError
from bench.places import CODE, project_of


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the repository's claims, but without code and results."""
    for variable in ("SPIKECOST_PROJECT", "SPIKECOST_RESULTS", "SPIKECOST_DATA_ROOT"):
        monkeypatch.delenv(variable, raising=False)
    root = tmp_path / "project"
    shutil.copytree(CODE / "reproductions", root / "reproductions", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(CODE / "README.md", root)
    (root / "results").mkdir()
    return root


def test_project_is_the_flag_else_the_variable_else_upwards_else_the_checkout(
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


def test_results_are_the_flag_else_the_variable_else_in_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert project_of(project).results == project / "results"
    monkeypatch.setenv("SPIKECOST_RESULTS", "/by/variable")
    assert project_of(project).results == Path("/by/variable")
    assert project_of(project, Path("/by/flag")).results == Path("/by/flag")


def test_every_command_refuses_results_that_are_no_folder(project: Path, tmp_path: Path) -> None:
    file = tmp_path / "results.txt"
    file.write_text("")
    for command in ("plan", "run", "report"):
        ended = CliRunner().invoke(cli.main, [command, "--project", str(project), "--results", str(file)])
        assert ended.exit_code == 1
        assert f"Error: {file} is not a folder; name the folder" in ended.output


def test_project_that_does_not_exist_is_named(project: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"projet does not exist: did you mean {project}\?"):
        project_of(tmp_path / "projet")
    with pytest.raises(UserError, match="is not a project: it has no reproductions/"):
        project_of(project / "results")


def test_project_of_an_installed_package_must_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bench.places.CODE", tmp_path)
    with pytest.raises(UserError, match=r"no project here: .*--project or SPIKECOST_PROJECT"):
        project_of()


def test_project_rejects_the_folder_of_the_installed_code(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has reproductions/ too, but nothing is written there, even if it is named (see also test_wheel.py)."""
    monkeypatch.setattr("bench.places.CODE", project)
    monkeypatch.chdir(project / "reproductions")
    monkeypatch.setenv("SPIKECOST_PROJECT", str(project))
    for named in (None, project, Path("..")):
        with pytest.raises(UserError, match=r"is where spikecost is installed, and no project: .*--project"):
            project_of(named)
    monkeypatch.delenv("SPIKECOST_PROJECT")
    with pytest.raises(UserError, match="is where spikecost is installed"):
        project_of()


@pytest.mark.parametrize("command", ["list", "plan", "run"])
@pytest.mark.parametrize("how", ["flag", "variable"])
def test_every_command_rejects_a_data_root_that_does_not_exist(
    project: Path, tmp_path: Path, command: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not created, nothing is downloaded, and digits are not used instead."""
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
