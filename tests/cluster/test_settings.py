"""The settings of a cluster: what is read, and what is refused with the key and the remedy."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from bench.cluster.settings import Cluster, cluster
from bench.errors import UserError

DOCS = Path(__file__).parents[2] / "docs" / "cluster.md"


def read(tmp_path: Path, text: str) -> Cluster:
    (tmp_path / "c.toml").write_text(text)
    return cluster(str(tmp_path / "c.toml"))


def test_settings_read_every_kind_of_value(tmp_path: Path) -> None:
    text = f"""
partition = "gpu"
gpus = "a100:2"
time = "1-02:03:01"
requeue = false
setup = ["module load cuda"]
data_root = "{tmp_path}"
[sbatch]
mail_user = "me@here"
nice = 100
"""
    found = read(tmp_path, text)
    assert (found.partition, found.gpu_count, found.time, found.requeue) == ("gpu", 2, 26 * 60 + 4, False)
    assert found.setup == ("module load cuda",)
    assert found.sbatch == {"mail-user": "me@here", "nice": 100}
    assert Cluster.of(found.as_dict()) == found


def test_defaults_need_no_file() -> None:
    assert cluster("slurm") == Cluster()
    assert Cluster.of(Cluster().as_dict()) == Cluster()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('partion = "gpu"', "unknown key 'partion': did you mean partition"),
        ('cpus = "8"', "cpus is '8', not a whole number"),
        ("cpus = 0", "cpus = 0 is too small; use at least 1"),
        ("gpus = true", "gpus = True is not a number of GPUs"),
        ('time = "soon"', "time = 'soon' is not a time limit; use minutes"),
        ('time = "0:00:10"', "less than a minute"),
        ("time = 1\nwarning_s = 60", "warning_s = 60 leaves no time in a job of 1 minutes"),
        ('requeue = "yes"', "requeue = 'yes' is neither true nor false"),
        ('setup = "module load cuda"', "setup is 'module load cuda', not a list"),
        ('[sbatch]\ntime = "1"', "sbatch.time is set by spikecost; leave it out"),
        ("[sbatch]\nnice = 1.5", "sbatch.nice = 1.5 is neither"),
        ('data_root = "/not/there"', "the data_root /not/there does not exist"),
        ("partition = ", "is not a TOML file"),
    ],
)
def test_settings_refuse_a_wrong_value_with_key_and_remedy(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)) as raised:
        read(tmp_path, text)
    assert "c.toml" in str(raised.value)


def test_settings_that_are_no_file_are_named() -> None:
    with pytest.raises(UserError, match=r"--on 'slrum': No such file.*or 'slurm' for the defaults"):
        cluster("slrum")


def test_every_key_is_in_the_docs_with_its_default() -> None:
    rows = re.findall(r"^\| (`.*?) \| .* \| (.*) \|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    told = {key: default for names, default in rows for key in re.findall(r"`\[?(\w+)\]?`", names)}
    assert sorted(told) == sorted(each.name for each in fields(Cluster))
    for name, value in Cluster().as_dict().items():
        if isinstance(value, int):
            assert told[name] == str(value).lower(), name
