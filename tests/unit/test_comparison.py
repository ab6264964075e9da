"""A comparison on a user's own samples: samples from where they are, the settings, and trainings that are kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch.utils.data import TensorDataset

from bench.cli import main
from bench.comparison import new, plan, results, summary
from bench.comparison.run import complete, draw
from bench.comparison.samples import from_arrays, from_datasets, from_events, of_the_suite
from bench.comparison.train import Run
from bench.errors import UserError

SETTINGS = {"title": '"mine"', "T": 3, "batch": 4, "epochs": 2, "seeds": [0, 1], "optimizer": '"sgd"', "lr": 0.1}


def written(folder: Path, cases: str = '[[cases]]\nalgorithm = "bptt"\n', **settings: Any) -> Path:
    lines = [f"{name} = {value}\n" for name, value in (SETTINGS | settings).items()]
    folder.mkdir(exist_ok=True)
    (folder / plan.NAME).write_text("".join(lines) + cases, encoding="utf-8")
    return folder


def arrays(folder: Path, x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> Path:
    folder.mkdir()
    for part in ("train", "test"):
        np.savez(folder / f"{part}.npz", x=x, y=y)
    return folder


# --------------------------------------------------------------------------- samples


def test_arrays_of_images_are_repeated_over_time(tmp_path: Path) -> None:
    x = np.arange(12, dtype=np.float32).reshape(6, 2)
    found = from_arrays(arrays(tmp_path / "mine", x, np.arange(6)))
    taken, labels = found.sequence(found.train, torch.tensor([4, 1]), 3)
    assert taken.shape == (3, 2, 2)
    assert (taken == torch.tensor([[8.0, 9.0], [2.0, 3.0]])).all()
    assert labels.tolist() == [4, 1]


def test_arrays_of_frames_have_time_first_and_their_own_T(tmp_path: Path) -> None:
    x = np.arange(24, dtype=np.float32).reshape(4, 3, 2)
    found = from_arrays(arrays(tmp_path / "mine", x, np.arange(4)), encoding="frames")
    taken, _ = found.sequence(found.test, torch.tensor([3]), 3)
    assert torch.equal(taken[:, 0], torch.from_numpy(x[3]))
    with pytest.raises(UserError, match="3 time steps, and the comparison T = 5"):
        found.sequence(found.test, torch.tensor([3]), 5)


def test_identity_of_arrays_changes_with_their_contents(tmp_path: Path) -> None:
    x = np.zeros((4, 2), np.float32)
    one = from_arrays(arrays(tmp_path / "a", x, np.arange(4)))
    assert one.identity == from_arrays(arrays(tmp_path / "b", x, np.arange(4))).identity
    assert one.identity != from_arrays(arrays(tmp_path / "c", x + 1, np.arange(4))).identity


@pytest.mark.parametrize(
    ("x", "y", "problem"),
    [
        (np.zeros((4, 2)), np.arange(3), "4 samples and 3 labels"),
        (np.zeros((4, 2)), np.arange(4) * 1.0, "use whole numbers from 0 on"),
        (np.zeros((4, 2)), np.arange(4) - 1, "use whole numbers from 0 on"),
        (np.zeros(4), np.arange(4), r"x has shape \[4\]"),
    ],
)
def test_arrays_that_are_no_samples_are_refused(tmp_path: Path, x: Any, y: Any, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        from_arrays(arrays(tmp_path / "mine", x, y))


def test_arrays_that_are_missing_say_how_they_are_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"numpy\.savez"):
        from_arrays(tmp_path)
    np.savez(tmp_path / "train.npz", x=np.zeros((2, 2)))
    with pytest.raises(UserError, match="has no array 'y'"):
        from_arrays(tmp_path)


def test_data_sets_of_pytorch_are_taken(tmp_path: Path) -> None:
    data = TensorDataset(torch.arange(10.0).view(5, 2), torch.arange(5))
    found = from_datasets(data, data)
    taken, labels = found.sequence(found.train, torch.tensor([2]), 4)
    assert taken[:, 0].tolist() == [[4.0, 5.0]] * 4
    assert labels.tolist() == [2]


@pytest.mark.parametrize("suffix", ["npz", "npy"])
def test_event_files_become_frames_of_counts(tmp_path: Path, suffix: str) -> None:
    events = {"t": [0, 1, 9], "x": [0, 1, 1], "y": [0, 0, 1], "p": [0, 1, 1]}
    for part in ("train", "test"):
        for label in ("cat", "dog"):
            (tmp_path / part / label).mkdir(parents=True)
            if suffix == "npz":
                np.savez(tmp_path / part / label / "1.npz", **events)
            else:
                table = np.array([*zip(*events.values(), strict=True)], [(name, "i8") for name in events])
                np.save(tmp_path / part / label / "1.npy", table)
    found = from_events(tmp_path, sensor=(2, 2))
    taken, labels = found.sequence(found.train, torch.tensor([0, 1]), 2)
    assert taken.shape == (2, 2, 2, 2, 2)
    assert labels.tolist() == [0, 1]
    assert taken[0, 0].tolist() == [[[1, 0], [0, 0]], [[0, 1], [0, 0]]]  # the first half: one event of each polarity
    assert taken[1, 0].tolist() == [[[0, 0], [0, 0]], [[0, 0], [0, 1]]]
    small = from_events(tmp_path, sensor=(1, 1))
    with pytest.raises(UserError, match="outside 0 to 0"):
        small.sequence(small.train, torch.tensor([0]), 2)


def test_event_folders_without_recordings_or_of_unknown_class_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no folders"):
        from_events(tmp_path, sensor=(2, 2))
    (tmp_path / "train" / "cat").mkdir(parents=True)
    with pytest.raises(UserError, match="has no recordings"):
        from_events(tmp_path, sensor=(2, 2))
    np.savez(tmp_path / "train" / "cat" / "1.npz", t=[0])
    (tmp_path / "test" / "cap").mkdir(parents=True)
    np.savez(tmp_path / "test" / "cap" / "1.npz", t=[0])
    with pytest.raises(UserError, match="did you mean cat"):
        from_events(tmp_path, sensor=(2, 2))


def test_data_set_of_the_suite_is_balanced_and_the_same_each_time() -> None:
    pytest.importorskip("sklearn")
    one, other = (of_the_suite("digits", train=20, test=10) for _ in range(2))
    x, y = one.sequence(one.test, torch.arange(10), 2)
    assert x.shape == (2, 10, 3, 32, 32)
    assert sorted(y.tolist()) == [*range(10)]
    rows = torch.arange(4)
    assert torch.equal(one.sequence(one.train, rows, 2)[0], other.sequence(other.train, rows, 2)[0])


# --------------------------------------------------------------------------- settings


def test_settings_are_read(tmp_path: Path) -> None:
    found = plan.read(written(tmp_path, '[[cases]]\nalgorithm = "tbptt"\nK = 2\n[[cases]]\nalgorithm = "tbptt"\nK = 3\n'))
    assert [case.title for case in found.cases] == ["tbptt, K = 2", "tbptt, K = 3"]
    assert (found.T, found.seeds, found.lr) == (3, (0, 1), 0.1)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"T": 0}, "T = 0; use a whole number"),
        ({"seeds": []}, "seeds = "),
        ({"seeds": [1, 1]}, "a seed twice"),
        ({"lr": -1}, "lr = -1; use a positive number"),
        ({"optimizer": '"adan"'}, "did you mean adam"),
        ({"epoch": 2}, "did you mean epochs"),
        ({"cases": '[[cases]]\nalgorithm = "slt"\n'}, "did you mean sltt"),
        ({"cases": '[[cases]]\nalgorithm = "tbptt"\nk = 2\n'}, "K"),
        ({"cases": "[[cases]]\nK = 2\n"}, "names no algorithm"),
        ({"cases": '[[cases]]\nalgorithm = "sltt"\n' * 2}, "two cases are the same: sltt"),
    ],
)
def test_wrong_setting_is_refused_by_name(tmp_path: Path, settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        plan.read(written(tmp_path, **settings))


def test_missing_setting_is_refused_by_name(tmp_path: Path) -> None:
    path = written(tmp_path) / plan.NAME
    path.write_text(path.read_text(encoding="utf-8").replace("epochs = 2\n", ""), encoding="utf-8")
    with pytest.raises(UserError, match="epochs is missing"):
        plan.read(tmp_path)


# --------------------------------------------------------------------------- trainings

NETWORK = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x, state):
        v = self.layer(x) if state is None else 0.5 * state + self.layer(x)
        return v, v


make_net = Net
"""


def small(tmp_path: Path, **settings: Any) -> Path:
    """Two clouds of points, told apart by one layer that leaks; runs without a framework."""
    x = np.random.default_rng(0).normal(size=(16, 2)).astype(np.float32) + np.repeat([[2.0], [-2.0]], 8, 0).astype(np.float32)
    place = arrays(tmp_path / "points", x, np.repeat([0, 1], 8))
    folder = written(tmp_path / "mine", '[[cases]]\nalgorithm = "bptt"\n[[cases]]\nalgorithm = "sltt"\n', **settings)
    (folder / "network.py").write_text(NETWORK, encoding="utf-8")
    load = f"from bench.comparison import samples\n\n\ndef load():\n    return samples.from_arrays({str(place)!r})\n"
    (folder / "data.py").write_text(load, encoding="utf-8")
    (folder / "README.md").write_text(f"before\n{summary.START}\nold\n{summary.END}\nafter\n", encoding="utf-8")
    return folder


def test_comparison_trains_draws_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    folder, told = small(tmp_path), []
    rows = complete(folder, told.append)
    assert len(told) == 4
    assert [row.title for row in rows] == ["bptt", "sltt"]
    lines = results.read(folder)
    assert [(line.title, line.seed) for line in lines] == [("bptt", 0), ("bptt", 1), ("sltt", 0), ("sltt", 1)]
    run = lines[0].run
    assert (len(run.losses), len(run.accuracies), len(run.tests), run.test_samples) == (8, 8, 2, 16)
    assert run.losses[-1] < run.losses[0]
    assert run.tests[-1] == 100
    drawn = {name: (folder / name).read_bytes() for name in ("curves.svg", "curves.json", "front.svg", "front.json")}
    assert json.loads(drawn["front.json"])["points"][0]["peak"] == lines[0].peak > 0
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert "| bptt | 100.0 |" in page
    assert "old" not in page
    assert page.startswith("before\n")
    results.write(folder, lines[:3])
    told.clear()
    complete(folder, told.append)
    assert len(told) == 1
    assert [line.run.losses for line in results.read(folder)] == [line.run.losses for line in lines]
    assert {name: (folder / name).read_bytes() for name in drawn} == drawn  # no figure depends on times


def test_what_changed_is_trained_again_and_nothing_else(tmp_path: Path) -> None:
    folder, told = small(tmp_path, epochs=1, seeds=[0]), []
    complete(folder)
    path = folder / plan.NAME
    path.write_text(path.read_text(encoding="utf-8") + "K = 1\n", encoding="utf-8")  # of sltt, the last case
    complete(folder, told.append)
    assert [line.split(":")[0] for line in told] == ["sltt, K = 1, seed 0"]
    told.clear()
    (folder / "network.py").write_text(NETWORK.replace("0.5", "0.6"), encoding="utf-8")
    complete(folder, told.append)
    assert len(told) == 2


def test_case_that_does_not_apply_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    folder = small(tmp_path)
    path = folder / plan.NAME
    path.write_text(path.read_text(encoding="utf-8") + '[[cases]]\nalgorithm = "skipper"\n', encoding="utf-8")
    with pytest.raises(UserError, match="skipper"):
        complete(folder)
    assert not (folder / results.NAME).exists()


def test_damaged_result_is_named_by_its_line(tmp_path: Path) -> None:
    (tmp_path / results.NAME).write_text("{}\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"results\.jsonl, line 1 is not a result"):
        results.read(tmp_path)


def test_interval_holds_seeds_and_test_samples() -> None:
    def line(seed: int, accuracy: float) -> results.Line:
        run = Run((1.0,), (50.0,), (accuracy,), 100, 1.0)
        return results.Line("bptt", {"algorithm": "bptt"}, seed, run, 1, 1, "mine", "", "", "", {}, "")

    one, other = summary.rows([line(0, 80.0)])[0], summary.rows([line(0, 79.0), line(1, 81.0)])[0]
    assert "one seed has none" in summary.table([one])
    assert (one.accuracy.value, other.accuracy.value) == (80.0, 80.0)
    half = (12.706 * (2.0**0.5) / 2**0.5) ** 2 + (100 * 1.96 * (0.8 * 0.2 / 100) ** 0.5) ** 2
    assert other.accuracy.high - 80 == pytest.approx(half**0.5)


EXAMPLES = sorted(path.parent for path in (Path(__file__).parents[2] / "examples").glob("*/results.jsonl"))


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)
def test_generated_files_of_an_example_match_its_results(folder: Path, tmp_path: Path) -> None:
    settings = plan.read(folder)
    lines = results.read(folder)
    assert {(line.title, line.seed) for line in lines} == {(c.title, seed) for c in settings.cases for seed in settings.seeds}
    page = (folder / "README.md").read_text(encoding="utf-8")
    (tmp_path / "README.md").write_text(page, encoding="utf-8")
    draw(tmp_path, settings.title, lines)
    for name in ("README.md", "curves.json", "curves.svg", "front.json", "front.svg"):
        assert (tmp_path / name).read_text(encoding="utf-8") == (folder / name).read_text(encoding="utf-8"), name


# --------------------------------------------------------------------------- the command


def test_new_comparison_is_a_folder_whose_settings_hold(tmp_path: Path) -> None:
    folder = tmp_path / "my-clothes"
    ended = CliRunner().invoke(main, ["new", "comparison", str(folder)])
    assert ended.exit_code == 0, ended.output
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "comparison.toml", "data.py", "network.py"]
    assert plan.read(folder).title == "my clothes"
    again = CliRunner().invoke(main, ["new", "comparison", str(folder)], prog_name="spikecost")
    assert again.exit_code == 1
    assert "exists: choose another name" in again.output


def test_name_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be the name of a comparison"):
        new.write(tmp_path / "my clothes")


def test_train_of_a_folder_without_settings_says_what_writes_one(tmp_path: Path) -> None:
    ended = CliRunner().invoke(main, ["train", str(tmp_path)], prog_name="spikecost")
    assert ended.exit_code == 1
    assert "spikecost new comparison" in ended.output
