"""The activity probe (spikes in the steps that Skipper skips), and the norm of a gradient."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from bench import backends
from bench.algorithms import skipper
from bench.case import Case
from bench.datasets.real import RealData
from bench.errors import UserError
from bench.probes import activity, gradient
from bench.probes.resources import Resources


def case(probe: str, **options: object) -> Case:
    return Case("p", probe, "vgg5-small/digits", "skipper", "native", 12, 8, "digits", options=tuple(sorted(options.items())))


@pytest.mark.parametrize(("p", "segments"), [(50, 1), (25, 2)])
def test_activity_probe_gives_the_fraction_of_spikes_in_skipped_steps(p: int, segments: int) -> None:
    asked = case("activity", p=p, segments=segments)
    [found] = activity.measure(asked, Resources(RealData(asked, None)))
    spikes, kept = found.detail["spikes"], found.detail["kept"]
    assert len(spikes) == 12
    assert sum(spikes) > 0
    assert len(kept) == segments * math.ceil((100 - p) / 100 * 12 / segments)
    assert found.detail["segments"] == segments
    skipped = [n for t, n in enumerate(spikes) if t not in kept]
    assert found.value == pytest.approx(100 * sum(skipped) / sum(spikes))
    if segments == 1:
        assert max(skipped) <= min(spikes[t] for t in kept)


@pytest.mark.parametrize(
    "options",
    [{"p": 50}, {"p": 25, "segments": 2, "per": "sequence"}, {"p": 25, "segments": 2, "last": "kept"}],
    ids=["default", "of the sequence", "last kept"],
)
@pytest.mark.parametrize("backend", ["native", "native-small"])
def test_activity_probe_keeps_the_same_steps_as_training(
    options: dict[str, object], backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = replace(case("activity", **options), backend=backend)
    if not backends.available(backend):
        pytest.skip(backends.available(backend).reason)
    [found] = activity.measure(asked, Resources(RealData(asked, None)))
    trained: list[list[list[int]]] = []
    chosen = skipper.kept_steps

    def note(*given: Any) -> list[list[int]]:
        trained.append(chosen(*given))
        return trained[-1]

    monkeypatch.setattr(skipper, "kept_steps", note)
    gradient.measure(replace(asked, probe="gradient"), Resources(RealData(asked, None)))
    assert [sorted(t for steps in kept for t in steps) for kept in trained] == [found.detail["kept"]]
    assert found.detail["segments"] == len(trained[0])


def test_activity_probe_rejects_algorithms_other_than_skipper() -> None:
    asked = replace(case("activity"), algorithm="bptt")
    with pytest.raises(UserError, match="bptt skips no time steps"):
        activity.measure(asked, Resources(RealData(asked, None)))


def test_rescaled_loss_changes_the_norm_of_the_gradient_but_not_its_direction() -> None:
    found = {}
    for loss in ("kept", "rescaled"):
        asked = case("gradient", p=50, segments=1, loss=loss)
        found[loss] = {m.metric: float(m.value) for m in gradient.measure(asked, Resources(RealData(asked, None)))}  # type: ignore[arg-type]
    assert found["rescaled"]["gradient_cosine"] == pytest.approx(found["kept"]["gradient_cosine"], rel=1e-4)
    assert found["rescaled"]["gradient_norm"] == pytest.approx(2 * found["kept"]["gradient_norm"], rel=1e-4)


def test_norm_is_over_all_parameters() -> None:
    assert gradient.norm([torch.tensor([3.0]), torch.tensor([[0.0, 4.0]])]) == 5.0
    assert gradient.norm([torch.zeros(3)]) == 0.0
