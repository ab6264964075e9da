"""Randman: the tabulated functions, the codes, smoothness and class structure of the manifolds, and the options."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bench import datasets, zoo
from bench.case import Case
from bench.datasets import randman
from bench.datasets.randman import Manifolds, Randman, direct, in_rate, in_time, interpolated, table
from bench.datasets.real import RealData

SMALL = Randman("time", classes=3, units=12, per_class=200, train_draws=2)
NETWORK = zoo.spec("otpe-3x128/randman-k25")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prepared")


def loaded(source: Randman, cache: Path) -> Manifolds:
    return source.load(Path("/"), False, cache)


# --------------------------------------------------------------------------- the functions


def by_loops(theta: Tensor, x: float) -> float:
    """One function f_jd at one point, from the fact sheet: amplitude times spectrum times sine, frequency by frequency."""
    total = 0.0
    for i in range(theta.shape[1]):
        a, w, p = theta[:, i].tolist()
        total += a / ((i + 1) + 1) * float(torch.tensor(2 * torch.pi * (i * x * w + p), dtype=torch.float64).sin())
    return total


def test_direct_evaluation_equals_the_definition() -> None:
    theta = SMALL.parameters()[0, 0]
    assert theta.shape == (3, 3, 1000)
    x = torch.tensor([0.0, 0.123, 0.9], dtype=torch.float64)
    wanted = [[by_loops(each, at) for at in x.tolist()] for each in theta]
    torch.testing.assert_close(direct(theta, x, 1.0), torch.tensor(wanted, dtype=torch.float64))
    assert not theta[:, 0, 0].any()


def test_table_holds_the_functions_at_its_points() -> None:
    theta = SMALL.parameters()[1, 2]
    grid = torch.arange(-1, randman.INTERVALS + 2)[::97] / randman.INTERVALS
    assert float((table(theta, 1.0)[:, ::97] - direct(theta, grid, 1.0)).abs().max()) < 2e-6


def test_interpolation_error_is_far_below_a_time_step(cache: Path) -> None:
    """Stated in randman.py: relative to a unit's range, at most 2e-4 and 6e-6 in the mean square, at 3 x 12 x 500 points."""
    source = loaded(SMALL, cache)
    x = torch.rand(500, 3, generator=torch.Generator().manual_seed(1))
    y = interpolated(source.train.tables, x)
    low, high = source.train.ranges
    errors = []
    for label, theta in enumerate(SMALL.parameters()):
        exact = torch.stack([direct(theta[:, d], x[:, d], 1.0) for d in range(3)]).prod(0).t()
        errors.append((y[:, label] - exact) / (high - low)[0, label])
    error = torch.stack(errors)
    assert float(error.abs().max()) < 2e-4
    assert float(error.square().mean().sqrt()) < 1e-5
    torch.testing.assert_close(interpolated(source.train.tables, x, torch.ones(500).long()), y[:, 1])


# --------------------------------------------------------------------------- the set


def test_values_fill_the_unit_interval_of_every_unit_class_and_draw(cache: Path) -> None:
    split = loaded(SMALL, cache).train
    y = split.values(torch.arange(len(split.x))).unflatten(0, (2, 3, 200))
    assert float(y.amin(2).abs().max()) == 0
    assert float((y.amax(2) - 1).abs().max()) < 1e-4


def test_samples_depend_on_the_seed_alone(cache: Path) -> None:
    a, b, other = (loaded(replace(SMALL, seed=seed), cache) for seed in (0, 0, 1))
    chosen = torch.arange(0, 600, 7)
    assert a.checksum == b.checksum != other.checksum
    assert torch.equal(a.over_time(NETWORK).test(chosen, 20), b.over_time(NETWORK).test(chosen, 20))
    assert not torch.equal(a.over_time(NETWORK).test(chosen, 20), other.over_time(NETWORK).test(chosen, 20))
    assert other.name == "randman-time-1"


def test_training_and_test_points_differ(cache: Path) -> None:
    source = loaded(SMALL, cache)
    assert not torch.equal(source.train.x[:600], source.test.x)
    assert source.test_y.bincount().tolist() == [200, 200, 200]
    assert source.train_y.bincount().tolist() == [400, 400, 400]


@pytest.mark.sampled(every=2)
@pytest.mark.parametrize("name", ["randman-rate", "randman-time"])
def test_sequences_of_a_case_are_spikes(name: str, cache: Path) -> None:
    options = (("test_images", 100), ("train_images", 256))
    case = Case("tests", "training", NETWORK.name, "bptt", "native", 50, 32, name, options=options)
    x, y = RealData(case, cache, cache).sequence(case)
    assert x.shape == (50, 32, 50)
    assert y.shape == (32,)
    assert set(x.unique().tolist()) == {0.0, 1.0}
    assert datasets.available(name, cache)
    if name == "randman-time":
        assert torch.equal(x.sum(0), torch.ones(32, 50))


def test_rate_code_shifts_the_spikes_of_each_sample_independently(cache: Path) -> None:
    source = loaded(replace(SMALL, code="rate"), cache)
    sequences, chosen = source.over_time(NETWORK), torch.arange(40)
    k = (50 * source.test.values(chosen)).floor()
    assert torch.equal(sequences.test(chosen, 50).sum(0), k + 1)
    assert torch.equal(sequences.test(chosen[7:9], 50), sequences.test(chosen, 50)[:, 7:9])  # whatever the batch
    one, again, other = (sequences.train(chosen, 50, "epoch", i) for i in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert torch.equal(one.sum(0), other.sum(0))


def test_spike_codes_by_hand() -> None:
    k = torch.tensor([[0, 2, 4]])
    assert in_time(k, 4)[:, 0].t().tolist() == [[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]  # none for k = T
    rate = in_rate(k, 4, torch.rand((*k.shape, 4), generator=torch.Generator().manual_seed(0)))
    assert rate.sum(0).tolist() == [[1, 3, 4]]


def test_rate_code_uses_every_step_equally() -> None:
    """20,000 independent spikes over 10 steps: a chi-square of 9 degrees of freedom above 27.9 has probability 0.001."""
    k = torch.zeros(200, 100, dtype=torch.long)
    counts = in_rate(k, 10, torch.rand((*k.shape, 10), generator=torch.Generator().manual_seed(0))).sum((1, 2))
    assert float(((counts - 2000) ** 2 / 2000).sum()) < 27.9


# --------------------------------------------------------------------------- smoothness and class structure


def test_neighbours_on_a_manifold_have_similar_values(cache: Path) -> None:
    """The mean step of y over a distance h of x falls with h, to a small part of that of independent points."""
    source = loaded(SMALL, cache)
    generator = torch.Generator().manual_seed(2)
    x = torch.rand(2000, 3, generator=generator) * 0.8
    direction = torch.nn.functional.normalize(torch.rand(2000, 3, generator=generator), dim=1)
    y = interpolated(source.test.tables, x)
    apart = [float((interpolated(source.test.tables, x + h * direction) - y).abs().mean()) for h in (1e-4, 1e-3, 1e-2, 1e-1)]
    independent = float((y - y[torch.randperm(2000, generator=generator)]).abs().mean())
    assert apart == sorted(apart)
    assert apart[0] < 0.05 * independent
    assert apart[2] < 0.6 * independent


def test_larger_smoothness_is_smoother() -> None:
    """Summed squares of steps over h = 1/1000, relative to the variance, over 12 x 3 functions."""

    def rough(smoothness: float) -> float:
        source = replace(SMALL, smoothness=smoothness)
        f = direct(source.parameters()[0], torch.arange(1000, dtype=torch.float64) / 1000, smoothness)
        return float(f.diff().square().mean() / f.var())

    assert rough(2.0) < 0.2 * rough(1.0)
    assert randman.frequencies(2.0) == 32
    assert randman.frequencies(1.0) == 1000


def quadratic_accuracy(tables: Tensor) -> float:
    """Share of 3 x 400 fresh points that a Gaussian per class, fitted to 3 x 400 others, gives the right class; y unscaled."""
    generator = torch.Generator().manual_seed(4)
    train, test = (
        torch.stack([interpolated(tables, torch.rand(400, 3, generator=generator))[:, label] for label in range(3)]).double()
        for _ in range(2)
    )
    likely = []
    for own in train:
        covariance, apart = own.t().cov(), test.flatten(0, 1) - own.mean(0)
        likely.append(-(apart @ torch.linalg.inv(covariance) * apart).sum(1) - torch.logdet(covariance))
    return float((torch.stack(likely).argmax(0) == torch.arange(3).repeat_interleave(400)).double().mean())


def test_classes_are_separable_by_their_manifolds_alone(cache: Path) -> None:
    """Chance is 1/3, with a standard error of 0.0136 on 1,200 points; one manifold for all classes gives chance."""
    tables = loaded(SMALL, cache).train.tables
    assert quadratic_accuracy(tables) > 1 / 3 + 5 * 0.0136
    assert abs(quadratic_accuracy(tables[:, :, :1].expand(-1, -1, 3, -1)) - 1 / 3) < 4 * 0.0136


def test_scaling_within_a_draw_moves_the_values_of_a_class(cache: Path) -> None:
    """Extremes of 200 points vary from draw to draw: the class means of scaled values differ by more than sampling explains."""
    split = loaded(SMALL, cache).train
    y = split.values(torch.arange(1200)).unflatten(0, (2, 3, 200))
    error = (y.var(2) / 200).sum(0).sqrt()
    assert float(((y[0] - y[1]).mean(1).abs() / error).median()) > 3


# --------------------------------------------------------------------------- oddities as options


def test_classes_share_their_points_by_default(cache: Path) -> None:
    assert torch.equal(SMALL.points("test", 1)[0, 0], SMALL.points("test", 1)[0, 1])
    own = replace(SMALL, same_points=False)
    assert not torch.equal(own.points("test", 1)[0, 0], own.points("test", 1)[0, 1])
    assert loaded(own, cache).checksum != loaded(SMALL, cache).checksum
    y = loaded(own, cache).train.values(torch.arange(1200))
    assert float(y.min()) == 0


def test_largest_sample_is_silent_only_if_the_range_exceeds_float32s_epsilon_over_the_constant(cache: Path) -> None:
    source = loaded(SMALL, cache)
    wide = replace(source, test=replace(source.test, tables=source.test.tables * 10))  # ranges above 1
    spikes = wide.over_time(NETWORK).test(torch.arange(600), 50).sum(0)
    assert (spikes == 0).any(0).all()  # of every unit
    assert float((spikes == 0).float().mean()) == pytest.approx(3 / 600)
    clamped = replace(wide, source=replace(SMALL, last_silent=False))
    assert torch.equal(clamped.over_time(NETWORK).test(torch.arange(600), 50).sum(0), torch.ones(600, 12))
