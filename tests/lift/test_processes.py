"""Processes that train copies of one module, each on its own samples, give the weights of one process on all samples."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from bench.algorithms.blocks import FixedClassifier
from bench.errors import UserError
from bench.lift.running.training import LIFTED, training_step
from bench.lift.running.update import Update
from bench.places import CODE

sys.path.insert(0, str(Path(__file__).parent))
pytest.importorskip("spikingjelly")
from one_process import END, trained

SIZE = 2


def run(folder: Path, ends: str = "") -> list[tuple[int, str]]:
    """Exit status and error output of each process."""
    script = Path(__file__).with_name("one_process.py")
    arguments = [[str(rank), str(SIZE), str(folder / "meet"), str(folder / f"{rank}.pt"), ends] for rank in range(SIZE)]
    started = [
        subprocess.Popen([sys.executable, str(script), *given], cwd=CODE, stderr=subprocess.PIPE, text=True)
        for given in arguments
    ]
    said = [process.communicate(timeout=300)[1] for process in started]
    return [(process.returncode, text) for process, text in zip(started, said, strict=True)]


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Tensor]]]:
    """The weights of each process by algorithm."""
    folder = tmp_path_factory.mktemp("processes")
    assert [status for status, _ in run(folder)] == [0] * SIZE
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(SIZE)]


@pytest.mark.parametrize("algorithm", LIFTED)
def test_weights_equal_those_of_one_process_on_all_samples(algorithm: str, together: list[dict[str, dict[str, Tensor]]]) -> None:
    alone = trained(algorithm)
    for of_process in together:
        for name, value in alone.items():
            torch.testing.assert_close(
                of_process[algorithm][name], value, rtol=1e-9, atol=1e-12, msg=lambda m, n=name: f"{n}: {m}"
            )


def test_process_whose_other_has_ended_says_so(tmp_path: Path) -> None:
    (status, said), (other, _) = run(tmp_path, "ends")
    assert (status, other) == (1, END)
    assert "process 0 of 2 cannot reach the others" in said
    assert "start all of them again" in said


class First:
    """Notes what a process takes over from the first one."""

    def __init__(self) -> None:
        self.taken: list[Tensor] = []

    def take_from_first(self, values: Iterable[Tensor]) -> None:
        self.taken = list(values)

    def total(self, values: Iterable[Tensor]) -> None: ...


def test_process_takes_over_all_that_lasts_and_no_state_of_neurons() -> None:
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.BatchNorm1d(2))
    net.register_buffer("mem", torch.zeros(7), persistent=False)
    first = First()
    update = Update(net, torch.optim.SGD(net.parameters(), lr=0.1), None, None, processes=first)  # type: ignore[arg-type]
    fixed = FixedClassifier(3, 2)
    update.also(fixed)
    update.begin(5, first=True)
    assert {id(value) for value in first.taken} == {
        id(value) for value in (*net.state_dict(keep_vars=True).values(), fixed.weight)
    }
    update.begin(5, first=False)
    assert [tuple(value.shape) for value in first.taken] == [(2,), (2,), ()]  # the running averages


@pytest.mark.parametrize(
    ("algorithm", "optimizer", "group", "words"),
    [
        ("bptt", True, "WORLD", "call torch.distributed.init_process_group first"),
        ("bptt", False, "WORLD", "give the optimizer"),
    ],
)
def test_what_processes_cannot_do_is_refused(algorithm: str, optimizer: bool, group: str, words: str) -> None:
    net = nn.Sequential(nn.Linear(2, 2))
    chosen = torch.optim.SGD(net.parameters(), lr=0.1) if optimizer else None
    with pytest.raises(UserError, match=words):
        training_step(net, algorithm, optimizer=chosen, process_group=group)  # type: ignore[arg-type]


def test_module_in_distributed_data_parallel_is_refused_with_the_remedy(tmp_path: Path) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'alone'}", rank=0, world_size=1)
    try:
        wrapped = DistributedDataParallel(nn.Linear(2, 2))
        with pytest.raises(UserError, match=r"give the module inside it and process_group = torch\.distributed\.group\.WORLD"):
            training_step(wrapped, "bptt")
    finally:
        torch.distributed.destroy_process_group()
