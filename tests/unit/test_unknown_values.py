"""An unknown value is an error where it enters: it never counts as one of the known ones."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from bench.algorithms.traces import TracedSynapse
from bench.datasets.randman import Randman
from bench.errors import UserError
from bench.kernels.fused import NUMBERS
from bench.losses import InstantaneousLoss
from bench.nets.layers import Synapse
from bench.spec import SurrogateKind
from bench.speed.rows import FLOOR, LAYOUTS, backend_of
from bench.training_step import check_device


def test_randman_rejects_an_unknown_code() -> None:
    with pytest.raises(UserError, match="unknown code of Randman 'phase': known: rate, time"):
        Randman("phase")  # type: ignore[arg-type]


def test_the_loss_rejects_an_unknown_target() -> None:
    with pytest.raises(UserError, match="unknown squared_target 'zeros'"):
        InstantaneousLoss(torch.zeros(1, dtype=torch.long), T=1, squared_target="zeros")


@pytest.mark.parametrize("device", ["mps", "xpu", "hpu"])
def test_a_device_that_no_backend_runs_on_is_rejected(device: str) -> None:
    with pytest.raises(UserError, match=f"device = '{device}': use 'cpu', 'cuda', or 'meta'"):
        check_device(device)


def test_a_metric_that_names_no_row_has_no_backend() -> None:
    assert {backend_of(f"{FLOOR}, {layout}") for layout in LAYOUTS} == {"native"}
    assert backend_of("tbptt on snntorch (K = 2)") == "snntorch"
    assert backend_of("peak_live_bytes") is None
    assert backend_of(f"{FLOOR}, another layout") is None


def test_every_surrogate_has_a_number_of_its_own_in_the_compiled_kernels() -> None:
    assert set(NUMBERS) == set(get_args(SurrogateKind))
    assert sorted(NUMBERS.values()) == list(range(len(NUMBERS)))


def test_a_synapse_without_a_rule_for_its_trace_is_rejected() -> None:
    class Unknown(Synapse):
        def effective_weight(self) -> torch.Tensor:
            return torch.ones(1, requires_grad=True)

    with pytest.raises(TypeError, match="no presynaptic trace is defined for Unknown"):
        TracedSynapse(Unknown("spikes"), 0.5)(torch.ones(1, 1, 1), None)
