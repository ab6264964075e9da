"""Traffic by hand, in all its conventions."""

from __future__ import annotations

import torch

from bench.counting.step import batch_for, cost_of
from bench.counting.tape import watching
from bench.counting.traffic import Traffic
from bench.training_step import training_step

F = 4  # bytes of a float


def test_traffic_of_a_product_by_hand() -> None:
    w, x = torch.ones(5, 3), torch.ones(2, 5)
    traffic = Traffic([w])
    with watching(traffic):
        torch.mm(x, w)
    found = traffic.conventions()
    assert found == {
        "compulsory": F * (15 + 10 + 6), "weights": F * 15, "weights and saved": F * 15, "read": F * 25, "written": F * 6,
    }  # fmt: skip


def test_traffic_excludes_views_and_allocations() -> None:
    traffic = Traffic([])
    with watching(traffic):
        torch.empty(7).view(7, 1).expand(7, 9).t()
    assert traffic.conventions()["compulsory"] == 0


def test_traffic_counts_saved_tensors_written_and_read_once() -> None:
    """y = (x w)^2: the product saves x (its factor w is a parameter), the square saves its input."""
    w, x = torch.ones(5, 3, requires_grad=True), torch.ones(2, 5)
    traffic = Traffic([w])
    with watching(traffic):
        (x @ w).square()
    assert traffic.saved == F * (10 + 6)
    assert traffic.conventions()["weights and saved"] == F * 15 + 2 * F * 16


def test_traffic_of_the_update_is_two_passes_over_the_parameters() -> None:
    w = torch.ones(5, 3)
    traffic = Traffic([w])
    with watching(traffic):
        w.add_(torch.ones(5, 3), alpha=-0.1)
    assert traffic.weights == 2 * F * 15


def test_traffic_of_weights_does_not_depend_on_the_batch() -> None:
    def found(batch: int) -> dict[str, int]:
        step = training_step("custom/n-mnist", "bptt", "native", device="meta")
        return cost_of(step, *batch_for(step, 3, batch, "meta")).traffic.conventions()

    one, two, three = found(1), found(2), found(3)
    assert one["weights"] == two["weights"] > 0
    assert three["weights and saved"] - two["weights and saved"] == two["weights and saved"] - one["weights and saved"] > 0
    assert one["weights"] < one["weights and saved"] < one["compulsory"]
