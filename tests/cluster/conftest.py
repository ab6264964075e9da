"""A project and a SLURM that takes every job, starts none and shows what a test says."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import bench.cli as cli
from bench.cluster.submission import Submission, submissions

REPOSITORY = Path(__file__).parents[2]
SBATCH = """#!/bin/sh
n=$(($(cat "{folder}/n" 2>/dev/null || echo 6) + 1)); echo $n >"{folder}/n"; cp "$1" "{folder}/job-$n.sh"
[ -z "$SBATCH_SAYS" ] || {{ echo "$SBATCH_SAYS" >&2; exit 1; }}
echo "Submitted batch job $n"
"""


@dataclass(frozen=True)
class Slurm:
    """Files that the pretended commands read and write."""

    folder: Path

    def queue(self, states: Mapping[str, str]) -> None:
        (self.folder / "queue").write_text("".join(f"{job}|{state}\n" for job, state in states.items()))

    def nodes(self, *lines: str) -> None:
        """Lines of sinfo: partition|node|CPUs|GRES|features."""
        (self.folder / "nodes").write_text("\n".join(lines) + "\n")

    def script(self, job: int) -> str:
        return (self.folder / f"job-{job}.sh").read_text()


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    folder = tmp_path / "slurm"
    folder.mkdir()
    commands = {
        "sbatch": SBATCH.format(folder=folder),
        "squeue": f'#!/bin/sh\ncat "{folder}/queue"\n',
        "sinfo": f'#!/bin/sh\ncat "{folder}/nodes"\n',
        "srun": "#!/bin/sh\n",
        "scancel": f'#!/bin/sh\necho "$@" >>"{folder}/cancelled"\n',
    }
    for name, text in commands.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    made = Slurm(folder)
    made.queue({})
    made.nodes("low*|a|8|(null)|x", "low*|b|8|(null)|x")
    return made


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without results, in a folder of its own, without data sets."""
    project = tmp_path / "project"
    shutil.copytree(REPOSITORY / "reproductions", project / "reproductions", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "README.md", project)
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("SPIKECOST_PROJECT", str(project))
    monkeypatch.setenv("SPIKECOST_DATA_ROOT", str(tmp_path / "data"))
    return project


@pytest.fixture
def invoke(root: Path, slurm: Slurm) -> Callable[..., Result]:
    return lambda *arguments: CliRunner().invoke(cli.main, list(arguments), prog_name="spikecost")


@pytest.fixture
def submitted(root: Path, invoke: Callable[..., Result]) -> Callable[..., Submission]:
    """``submitted(settings="", ...)``: submit the counts of OTTT's smoke plan, and what the further arguments say."""

    def submit(settings: str = "", *arguments: str) -> Submission:
        (root / "cluster.toml").write_text(settings)
        told = invoke(
            "run", "ottt", "--scale", "smoke", "--on", str(root / "cluster.toml"), *(arguments or ("--only", "/count/"))
        )
        assert told.exit_code == 0, told.output
        return submissions(root / "results")[-1]

    return submit
