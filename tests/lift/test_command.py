"""``spikecost measure``: a network from a file or a package; one framework is enough."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bench.cli import main
from bench.commands.modules import shape
from bench.errors import UserError
from bench.lift.recognition.source import build, load

REPOSITORY = Path(__file__).resolve().parents[2]
SPIKINGJELLY = """
from torch import nn
from spikingjelly.activation_based import layer, neuron

def make_net():
    return nn.Sequential(layer.Conv2d(2, 4, 3, step_mode="m"), neuron.LIFNode(step_mode="m"), layer.Flatten(step_mode="m"),
                         layer.Linear(144, 4, step_mode="m"), neuron.IFNode(step_mode="m"))
"""
SNNTORCH = """
import snntorch as snn
from torch import nn

def make_net():
    return nn.Sequential(nn.Flatten(), nn.Linear(128, 9), snn.Leaky(beta=0.9, init_hidden=True), nn.Linear(9, 4),
                         snn.Leaky(beta=0.9, init_hidden=True, reset_delay=False))

net = make_net()
number = 3
"""
ARGUMENTS = ("--input", "2,8,8", "--T", "3", "--batch", "4")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    pytest.importorskip("snntorch")
    path = tmp_path / "model.py"
    path.write_text(SNNTORCH, encoding="utf-8")
    return path


def invoke(source: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["measure", source, *(arguments or ARGUMENTS)], prog_name="spikecost")


def test_table_shows_cost_and_what_was_recognised(model: Path) -> None:
    shown = invoke(f"{model}:make_net")
    assert shown.exit_code == 0, shown.output
    for words in ("memory at the peak", "optimizer state", "without products with spikes", "single-step, snnTorch", "2 Leaky"):
        assert words in shown.output


def test_json_holds_the_same(model: Path) -> None:
    shown = invoke(f"{model}:make_net", *ARGUMENTS, "--json")
    found = json.loads(shown.output)
    assert found["memory"]["total"] == sum(v for k, v in found["memory"].items() if k not in ("total", "at"))
    assert found["recognised"]["time"] == "single-step"
    assert found["macs"]["dense"]["forward"] == 3 * 4 * (128 * 9 + 9 * 4)


def test_network_itself_and_other_settings_are_taken(model: Path) -> None:
    shown = invoke(f"{model}:net", *ARGUMENTS, "--precision", "bfloat16", "--optimizer", "none", "--encoding", "frames")
    assert shown.exit_code == 0, shown.output
    assert "bfloat16" in shown.output
    assert "optimizer state" not in shown.output


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{}", "name a file and a function"),
        ("{}:make_ne", "did you mean make_net?"),
        ("{}:number", "number is a int"),
        ("nowhere.py:make_net", "there is no such file"),
        ("nowhere.at.all:make_net", "cannot be imported"),
    ],
)
def test_source_that_names_no_network_is_one_clear_line(model: Path, source: str, words: str) -> None:
    shown = invoke(source.format(model))
    assert shown.exit_code == 1
    assert words in shown.output
    assert "Traceback" not in shown.output


def test_wrong_shape_is_one_clear_line(model: Path) -> None:
    assert "give the shape of one time step" in invoke(f"{model}:make_net", "--input", "2,a", "--T", "3", "--batch", "4").output
    assert "check the shape of a frame" in invoke(f"{model}:make_net", "--input", "3,8,8", "--T", "3", "--batch", "4").output
    assert shape("3x224x224") == (3, 224, 224)


def test_constructor_that_needs_values_is_called_again_on_the_cpu(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(
        SNNTORCH.replace("def make_net():", "import torch\n\ndef make_net():\n    assert torch.rand(3).sum().item() > 0"),
        encoding="utf-8",
    )
    shown = invoke(f"{path}:make_net")
    assert shown.exit_code == 0, shown.output
    assert "built on the CPU" in " ".join(shown.output.split())


def test_constructor_that_fails_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text("def make_net():\n    raise KeyError('depth')\n\ndef seven():\n    return 7\n", encoding="utf-8")
    assert "the network could not be built: KeyError: 'depth'" in invoke(f"{path}:make_net").output
    assert "the function makes a int" in invoke(f"{path}:seven").output


def test_network_is_built_without_storage(tmp_path: Path) -> None:
    """4 TiB of weights."""
    pytest.importorskip("snntorch")
    path = tmp_path / "wide.py"
    path.write_text(SNNTORCH.split("\nnet =")[0].replace("128", "2**20").replace("9", "2**20"), encoding="utf-8")
    built = build(load(f"{path}:make_net"))
    assert built.note == ""
    assert built.net[1].weight.numel() == 2**40


def test_file_that_cannot_be_imported_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("import nothing_of_this_name\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"broken\.py cannot be imported: ModuleNotFoundError"):
        load(f"{path}:make_net")


@pytest.mark.slow
@pytest.mark.parametrize(("text", "without"), [(SPIKINGJELLY, "snntorch"), (SNNTORCH, "spikingjelly")])
def test_one_framework_is_enough(tmp_path: Path, text: str, without: str) -> None:
    pytest.importorskip("spikingjelly")
    pytest.importorskip("snntorch")
    (tmp_path / "model.py").write_text(text, encoding="utf-8")
    code = f"import sys; sys.modules[{without!r}] = None; sys.argv[0] = 'spikecost'; from spikecost.__main__ import main; main()"
    command = [sys.executable, "-c", code, "measure", f"{tmp_path / 'model.py'}:make_net", *ARGUMENTS]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "recognised" in ended.stdout
