"""The wheel, installed outside the repository: it holds what it needs, runs from any folder, and writes into a project alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("setuptools", minversion="77", reason="a wheel is built with setuptools >= 77: run `make setup`")

pytestmark = pytest.mark.slow  # builds and installs a wheel

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("spikecost", "bench", "reproductions")
COMPILED = shutil.ignore_patterns("__pycache__")


@dataclass(frozen=True)
class Installed:
    """A folder that holds the installed wheel, and an empty one to work in."""

    packages: Path
    elsewhere: Path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command in the empty folder; of this project it sees the wheel alone."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SPIKECOST_")}
        environment |= {
            "PATH": os.pathsep.join([str(self.packages / "bin"), os.environ["PATH"]]),
            "PYTHONPATH": str(self.packages),
            "PYTHONDONTWRITEBYTECODE": "1",
            "https_proxy": "http://127.0.0.1:9",
        }
        return subprocess.run(command, cwd=self.elsewhere, env=environment, capture_output=True, text=True, check=False)

    def files(self) -> set[str]:
        return {str(path.relative_to(self.packages)) for path in self.packages.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("wheel")
    source, packages, elsewhere = (folder / name for name in ("source", "packages", "elsewhere"))
    for package in PACKAGES:
        shutil.copytree(REPOSITORY / package, source / package, ignore=COMPILED)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / file, source)
    elsewhere.mkdir()
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    building = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source)]
    built = subprocess.run(building, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = folder.glob("spikecost-*.whl")
    installing = [*pip, "install", "--no-deps", "--no-index", "--no-compile", "--target", str(packages), str(wheel)]
    subprocess.run(installing, capture_output=True, text=True, check=True)
    return Installed(packages, elsewhere)


def test_wheel_has_every_file_of_the_packages_except_papers_pages(installed: Installed) -> None:
    wanted = {
        str(path.relative_to(REPOSITORY))
        for package in PACKAGES
        for path in (REPOSITORY / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name != "README.md"
    }
    assert wanted - installed.files() == set()


def test_wheel_has_no_other_files(installed: Installed) -> None:
    tops = {path.name for path in installed.packages.iterdir()} - {*PACKAGES, "bin"}
    assert [top for top in tops if not re.fullmatch(r"spikecost-.*\.dist-info", top)] == []


def test_installed_command_lists_and_fits_in_an_empty_folder(installed: Installed) -> None:
    version = installed.run("spikecost", "--version")
    assert re.fullmatch(r"spikecost \d+\.\d+\.\d+, code of tree-[0-9a-f]{12}\+\n", version.stdout), version  # not the checkout's
    listed = installed.run("spikecost", "list")
    assert listed.returncode == 0, listed.stderr
    assert "vgg5/cifar10" in listed.stdout
    fitted = installed.run("spikecost", "fit", "vgg5-small/digits", "--T", "2", "--batch", "4", "--budget", "2")
    assert fitted.returncode == 0, fitted.stderr
    assert 'spikecost.training_step("vgg5-small/digits", "bptt", "native")' in fitted.stdout
    assert list(installed.elsewhere.iterdir()) == []


def test_readme_example_runs_in_an_empty_folder(installed: Installed) -> None:
    blocks = re.findall(
        r"^```python\n(.*?)^```", (REPOSITORY / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    (example,) = [block for block in blocks if "import spikecost" in block]
    ended = installed.run(sys.executable, "-c", example)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout.split()[0]) > 0
    assert list(installed.elsewhere.iterdir()) == []


def test_run_of_an_installed_package_writes_into_the_named_project_alone(installed: Installed, tmp_path: Path) -> None:
    project, data = tmp_path / "project", tmp_path / "data"
    shutil.copytree(REPOSITORY / "reproductions", project / "reproductions", ignore=COMPILED)
    shutil.copy(REPOSITORY / "README.md", project)
    (data / ".cifar-10-python.tar.gz.lock").mkdir(parents=True)  # where a download would put its lock
    before = installed.files()
    lost = installed.run("spikecost", "report")
    assert lost.returncode == 1
    assert lost.stderr.startswith("Error: no project here")
    run = ["spikecost", "run", "ottt", "--scale", "smoke", "--only", "/count/none/vgg-sws/cifar10/", "--data-root", str(data)]
    within = installed.run(*run, "--project", str(installed.packages))
    assert within.returncode == 1
    assert within.stderr.startswith(f"Error: {installed.packages} is where spikecost is installed")
    results = tmp_path / "results elsewhere"
    ended = installed.run(*run, "--project", str(project), "--results", str(results))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "This run measured 1 case" in ended.stdout
    assert [path.name for path in results.glob("runs/*/*.jsonl")] == ["ottt.jsonl"]
    assert (results / "ledger.csv").exists()
    assert (project / "plots" / "index.html").exists()
    assert not (project / "results").exists()
    assert installed.files() == before
    assert list(installed.elsewhere.iterdir()) == []
