"""The probe alignment: gradients at BPTT's weights, and cosines that have no value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from bench.case import Case
from bench.datasets.real import RealData
from bench.errors import UserError
from bench.measurement import Measurement
from bench.probes import alignment
from bench.probes.resources import Resources
from bench.training_step import training_step

NETWORK, T, BATCH = "otpe-3x128/randman-k25", 6, 4


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prepared")


def case(algorithm: str, **options: Any) -> Case:
    told = {"alpha": 0.0, "lr": 0.01, "optimizer": "adamax", "train_images": 20, "test_images": 10, **options}
    return Case("p", "alignment", NETWORK, algorithm, "native", T, BATCH, "randman-rate", options=tuple(sorted(told.items())))


def measured(asked: Case, cache: Path) -> dict[str, Measurement]:
    return {m.metric: m for m in alignment.measure(asked, Resources(RealData(asked, None, cache)))}


@pytest.mark.slow
def test_bptt_is_aligned_with_itself_at_every_moment(cache: Path) -> None:
    found = measured(case("bptt", after_batches=6, every=3, batches=2), cache)
    assert list(found) == [f"gradient_cosine after {n}" for n in (0, 3, 6)]
    assert [m.value for m in found.values()] == [1, 1, 1]
    assert all(m.detail["batches"] == 2 for m in found.values())


@pytest.mark.slow
def test_the_weights_are_bptts_whatever_rule_is_compared(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They equal those of six batches of BPTT by hand, of which the last is in the next epoch."""
    asked = case("ostl", after_batches=6, batches=1, form="adjoint")
    seen: list[list[torch.Tensor]] = []
    own = alignment.copy_own_weights
    monkeypatch.setattr(alignment, "copy_own_weights", lambda exact, step: (seen.append(weights(exact)), own(exact, step))[1])
    measured(asked, cache)
    step = training_step(NETWORK, "bptt", "native", alpha=0.0, lr=0.01, optimizer="adamax")
    data = RealData(asked, None, cache)
    for epoch, count in ((0, 5), (1, 1)):
        for _, (x, y) in zip(range(count), data.training_batches(epoch, T, BATCH), strict=False):
            step.run(x, y)
    assert len(seen) == 2
    for mine, theirs in zip(weights(step), seen[1], strict=True):
        assert torch.equal(mine, theirs)


def weights(step: Any) -> list[torch.Tensor]:
    return [p.detach().clone() for p in step.net.parameters()]


def test_a_cosine_with_a_zero_gradient_is_undefined_and_counted() -> None:
    zero, one, other = (torch.tensor([value, 0.0]) for value in (0.0, 1.0, 2.0))
    pairs = [([zero, one], [one, one]), ([one, one], [other, other]), ([one, zero], [zero, zero])]
    value, detail = alignment.compared(["0.weight", "2.weight"], pairs)
    assert value == pytest.approx((1 / 2**0.5 + 1) / 2)
    assert detail == {"0.weight": 1.0, "2.weight": 1.0, "undefined": {"all": 1, "0.weight": 2, "2.weight": 1}, "batches": 3}
    value, detail = alignment.compared(["0.weight"], [([zero], [one])])
    assert (value, detail["0.weight"]) == ("undefined", "undefined")


def test_moments_must_divide_the_training() -> None:
    assert alignment.Options(after_batches=300, every=100).moments == [0, 100, 200, 300]
    assert alignment.Options(after_batches=7).moments == [0, 7]
    assert alignment.Options().moments == [0]
    with pytest.raises(UserError, match="every = 4, after_batches = 6: use a divisor"):
        alignment.Options(after_batches=6, every=4)
