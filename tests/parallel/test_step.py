"""Several processes that share a batch give the outputs, gradients and weights of one, for every algorithm."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import Tensor

from bench.errors import UserError
from bench.parallel.step import in_parallel, require_samples
from bench.places import CODE
from bench.processes import Processes
from bench.registry import ALGORITHMS
from bench.training_step import training_step
from tests.parallel.one_process import trained

SIZE = 2
Trained = dict[str, dict[str, Tensor]]  # by algorithm


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> list[Trained]:
    """What each process has."""
    folder = tmp_path_factory.mktemp("processes")
    line = [sys.executable, "-m", "tests.parallel.one_process"]
    given = [[str(rank), str(SIZE), str(folder / "meet"), str(folder / f"{rank}.pt")] for rank in range(SIZE)]
    started = [subprocess.Popen([*line, *each], cwd=CODE, stderr=subprocess.PIPE, text=True) for each in given]
    said = [process.communicate(timeout=300)[1] for process in started]
    assert [process.returncode for process in started] == [0] * SIZE, said
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(SIZE)]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_outputs_gradients_and_weights_equal_those_of_one_process(algorithm: str, together: list[Trained]) -> None:
    alone = trained(algorithm)
    assert any(value.abs().max() > 1e-6 for name, value in alone.items() if name.startswith("gradient"))
    for of_process in together:
        assert of_process[algorithm].keys() == alone.keys()
        for name, value in alone.items():
            torch.testing.assert_close(of_process[algorithm][name], value, rtol=1e-9, atol=1e-12, msg=f"{name} differs")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_processes_have_the_same_weights_to_the_bit(algorithm: str, together: list[Trained]) -> None:
    first, second = (of_process[algorithm] for of_process in together)
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_batch_smaller_than_the_processes_is_refused() -> None:
    with pytest.raises(UserError, match="a batch of 1 for 2 processes: each needs a sample"):
        require_samples(1, 2)


def test_training_step_that_a_framework_ships_is_refused() -> None:
    pytest.importorskip("spikingjelly")
    step = training_step("vgg-sws-small/digits", "ottt-a", "spikingjelly-shipped")
    with pytest.raises(UserError, match="use its neurons, or one process"):
        in_parallel(step, "ottt-a", "spikingjelly-shipped", Processes(None))  # type: ignore[arg-type]
