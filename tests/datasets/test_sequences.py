"""Images over time: static images, and Poisson spikes at the documented rate, reproducible from names."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from bench import training
from bench.case import Case
from bench.datasets.real import RealData
from bench.datasets.sequences import generator, poisson
from bench.errors import UserError
from bench.seeds import seed_of
from bench.training import train
from bench.training_step import training_step

CASE = Case(
    "tests", "training", "vgg5-small/digits", "bptt", "native", T=3, batch=4, dataset="digits",
    options=(("train_images", 14), ("test_images", 6)),
)  # fmt: skip


@pytest.fixture(scope="module")
def scikit_learn() -> None:
    pytest.importorskip("sklearn", reason="the digits are part of scikit-learn")


@pytest.fixture
def data(scikit_learn) -> RealData:
    return RealData(CASE, None)


# --------------------------------------------------------------------------- Poisson


@pytest.mark.parametrize("scale", [1.0, 0.9, 2.0])
def test_poisson_spikes_have_the_rate_and_sign_of_the_pixel(scale):
    """Each of n = 20,000 steps is a Bernoulli trial: the mean differs from p by less than 6 sqrt(p(1-p)/n)."""
    n = 20_000
    x = torch.tensor([-3.0, -1.0, -0.7, -0.05, 0.0, 0.02, 0.3, 0.95, 1.0, 2.4])
    spikes = poisson(x, n, scale, generator("rates", scale))
    assert set(spikes.unique().tolist()) <= {-1.0, 0.0, 1.0}
    for value, train_ in zip(x.tolist(), spikes.T, strict=True):
        p = min(1.0, abs(value) / scale)
        assert abs(float(train_.abs().mean()) - p) <= 6 * math.sqrt(p * (1 - p) / n)
        assert float(train_.sum()) == math.copysign(1, value) * float(train_.abs().sum())


def test_poisson_steps_and_pixels_are_independent():
    n = 20_000
    spikes = poisson(torch.full((2,), 0.5), n, 1.0, generator("independent"))
    a, b = (spikes - 0.5).T
    for product in (a * b, a[1:] * a[:-1], b[1:] * b[:-1]):
        assert abs(float(product.mean())) <= 6 * 0.25 / math.sqrt(len(product))


def test_poisson_spikes_depend_on_names(data):
    whole = list(data.training_batches(0, 3, 4))
    assert set(torch.cat([x.flatten() for x, _ in whole]).unique().tolist()) == {-1.0, 0.0, 1.0}
    for i, (x, y) in enumerate(RealData(CASE, None).training_batches(0, 3, 4, start=1), start=1):
        assert torch.equal(x, whole[i][0])
        assert torch.equal(y, whole[i][1])
    other_epoch, _ = next(data.training_batches(1, 3, 4))
    assert not torch.equal(other_epoch, whole[0][0])
    x = whole[0][0]
    assert not torch.equal(x[0], x[1])


def test_poisson_spikes_of_test_samples_are_fixed(data):
    """For every batch, seed and epoch; a longer sequence begins with the shorter one."""
    one = torch.cat([x for x, _ in data.test_batches(3, 6)], 1)
    list(data.training_batches(0, 3, 4))
    assert torch.equal(one, torch.cat([x for x, _ in data.test_batches(3, 4)], 1))
    assert torch.equal(one, torch.cat([x for x, _ in RealData(replace(CASE, seed=5), None).test_batches(3, 4)], 1))
    assert torch.equal(one, next(data.test_batches(7, 6))[0][:3])
    assert not torch.equal(one[:, 0], one[:, 1])


def test_poisson_mean_over_time_is_the_clipped_image(data):
    T = 400
    x = data.samples.preparation.test(data.samples.test_x)
    rates = next(data.test_batches(T, 6))[0].mean(0)
    p = x.abs().clamp(max=1)
    assert bool(((rates - x.sign() * p).abs() <= 6 * (p * (1 - p) / T).sqrt() + 1e-6).all())


# --------------------------------------------------------------------------- still images


def test_still_repeats_the_augmented_image(scikit_learn):
    """Order and augmentation are seeded by the same names as for spikes; the image is the same at every step."""
    case = replace(CASE, network="vgg-sws-small/digits")
    data = RealData(case, None)
    name = ("training", "digits", 0, 0)
    order = torch.randperm(14, generator=torch.Generator().manual_seed(seed_of("order", *name)))
    for i, (x, y) in enumerate(data.training_batches(0, 3, 4)):
        chosen = order[4 * i : 4 * i + 4]
        augmentation = torch.Generator().manual_seed(seed_of("augmentation", *name, i))
        expected = data.samples.preparation.train(data.samples.train_x[chosen], augmentation)
        assert torch.equal(x, expected.expand(3, *expected.shape))
        assert torch.equal(y, data.samples.train_y[chosen])
    for (x, y), xs, ys in zip(data.test_batches(3, 4), data.samples.test_x.split(4), data.samples.test_y.split(4), strict=True):
        assert torch.equal(x, data.samples.preparation.test(xs).expand(3, *x.shape[1:]))
        assert torch.equal(y, ys)


def test_images_are_never_marked_as_a_part(data):
    assert data.about == {}


def test_sequences_reject_a_network_of_another_shape(scikit_learn):
    case = replace(CASE, network="custom/n-mnist")
    with pytest.raises(UserError, match=r"custom/n-mnist takes samples of shape \(2, 34, 34\), digits has \(3, 32, 32\)"):
        RealData(case, None).sequence(case)


# --------------------------------------------------------------------------- training


class Killed(Exception):
    """Simulates a kill of the run."""


def test_training_on_spikes_resumes_to_the_bit(data, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "CHECKPOINT_EVERY_S", -1.0)

    def new():
        return training_step(CASE.network, CASE.algorithm, CASE.backend, seed=0, optimizer="adam", lr=1e-3)

    whole, killed, resumed = new(), new(), new()
    train(CASE, whole, data, epochs=2, checkpoint=tmp_path / "whole.pt")
    seen = []

    def report(progress) -> None:
        seen.append(progress)
        if len(seen) == 6:
            raise Killed

    with pytest.raises(Killed):
        train(CASE, killed, RealData(CASE, None), epochs=2, checkpoint=tmp_path / "c.pt", report=report)
    train(CASE, resumed, RealData(CASE, None), epochs=2, checkpoint=tmp_path / "c.pt")
    one, other = whole.net.state_dict(), resumed.net.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert any(not torch.equal(one[name], new().net.state_dict()[name]) for name in one)


def test_small_vgg5_learns(scikit_learn, tmp_path):
    """A hundred digits, three epochs. Chance level: a loss of ln 10 = 2.30 and an accuracy of 10 %."""
    case = replace(CASE, T=8, batch=5, options=(("train_images", 100), ("test_images", 100)))
    step = training_step(case.network, "bptt", "native", seed=0, optimizer="adam", lr=1e-3)
    history = train(case, step, RealData(case, None), epochs=3, checkpoint=tmp_path / "c.pt")
    assert history[-1].train_loss < history[0].train_loss - 0.05
    assert history[-1].test_accuracy > 30
