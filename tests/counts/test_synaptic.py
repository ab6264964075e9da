"""Operations by spikes: an independent statement by hand, every kind of factor, and SpikingJelly's own counter."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.counting.synaptic import Operations, Synaptic
from bench.counting.tape import watching


def counted(net: nn.Module, x: Tensor, *, from_outside: bool = False) -> tuple[str, Operations]:
    """What one layer reads, and its operations in the forward pass."""
    synaptic = Synaptic(net.parameters(), [x] if from_outside else [], lambda: "layer")
    with torch.no_grad(), watching(synaptic):
        net(x)
    return synaptic.by_layer()["layer"]


def spikes(*shape: int, rate: float = 0.3) -> Tensor:
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(1)) < rate).float()


def effective_by_hand(conv: nn.Conv2d, x: Tensor) -> int:
    """NeuroBench's definition, stated for a convolution position by position: products in which the activation is not zero."""
    (top, left), (down, right), (k, m) = conv.padding, conv.stride, conv.kernel_size  # type: ignore[misc]
    padded = nn.functional.pad(x, (left, left, top, top))
    per_group, total = conv.in_channels // conv.groups, 0
    for out in range(conv.out_channels):
        first = out // (conv.out_channels // conv.groups) * per_group
        seen = padded[:, first : first + per_group]
        rows = range(0, seen.shape[2] - conv.dilation[0] * (k - 1), down)
        columns = range(0, seen.shape[3] - conv.dilation[1] * (m - 1), right)
        for i, j in itertools.product(rows, columns):
            window = seen[:, :, i : i + conv.dilation[0] * (k - 1) + 1 : conv.dilation[0]]
            total += int(window[:, :, :, j : j + conv.dilation[1] * (m - 1) + 1 : conv.dilation[1]].count_nonzero())
    return total


@pytest.mark.parametrize(
    "settings",
    [
        {"padding": 1},
        {"padding": 1, "stride": 2},
        {"groups": 2, "bias": False},
        {"groups": 4, "padding": 1, "dilation": 2},
    ],
    ids=str,
)
def test_accumulations_of_a_convolution_equal_a_count_by_hand(settings: dict[str, Any]) -> None:
    conv, x = nn.Conv2d(4, 8, 3, **settings), spikes(2, 4, 7, 6)
    kind, found = counted(conv, x)
    assert kind == "spikes"
    assert (found.acs, found.macs) == (effective_by_hand(conv, x), 0)
    assert 0 < found.acs < found.dense


def test_accumulations_of_a_transposed_convolution_equal_a_count_by_hand() -> None:
    x = spikes(2, 3, 4, 4)
    _, found = counted(nn.ConvTranspose2d(3, 5, 2, stride=2), x)
    assert found.acs == int(x.sum()) * 5 * 2 * 2  # stride = kernel: every spike meets every weight of its channel once


def test_accumulations_of_a_linear_layer_are_spikes_times_outputs() -> None:
    x = spikes(3, 5, 10)
    _, found = counted(nn.Linear(10, 7), x)
    assert (found.acs, found.dense) == (int(x.sum()) * 7, 3 * 5 * 10 * 7)


def test_products_of_spikes_with_spikes_count_where_both_are() -> None:
    q, k = spikes(2, 3, 4), spikes(2, 4, 5, rate=0.6)
    synaptic = Synaptic([], [], lambda: "attention")
    with watching(synaptic):
        torch.bmm(q, k)
    kind, found = synaptic.by_layer()["attention"]
    assert kind == "spikes"
    assert found.acs == int(torch.einsum("bnk,bkm->", q, k))


@pytest.mark.parametrize(
    ("x", "from_outside", "kind", "macs", "acs"),
    [
        (torch.tensor([[0.0, 1.0, 1.0]]), False, "spikes", 0, 4),
        (torch.tensor([[0.0, 2.5, 2.5]]), False, "spikes", 0, 4),  # scaled: the factor belongs to the weights
        (torch.tensor([[0.0, 1.0, -1.0]]), True, "spikes", 0, 4),  # signed
        (torch.tensor([[0.0, 1.0, 3.0]]), False, "sums", 0, 8),  # a residual sum of spikes: three of them
        (torch.tensor([[0.0, 1.0, 3.0]]), True, "sums", 0, 8),  # counts of events
        (torch.tensor([[0.0, 0.25, 0.5]]), False, "real", 4, 0),  # average-pooled spikes
        (torch.tensor([[0.0, 0.25, 0.5]]), True, "input", 6, 0),  # an analog image: zeros are multiplied too
        (torch.tensor([[0.0, 1.0, 17.0]]), True, "input", 6, 0),  # grey values
        (torch.zeros(1, 3), False, "spikes", 0, 0),
    ],
)
def test_what_a_layer_reads_decides_what_its_products_are(x: Tensor, from_outside: bool, kind: str, macs: int, acs: int) -> None:
    assert counted(nn.Linear(3, 2), x, from_outside=from_outside) == (kind, Operations(6, macs, acs))


def test_two_sizes_at_different_time_steps_are_no_spikes() -> None:
    net = nn.Linear(3, 2)
    synaptic = Synaptic(net.parameters(), [], lambda: "layer")
    with torch.no_grad(), watching(synaptic):
        net(torch.tensor([[0.0, 0.5, 0.5]]))
        net(torch.tensor([[0.0, 0.0, 0.25]]))
    assert synaptic.by_layer()["layer"] == ("real", Operations(12, 6, 0))


def test_analog_input_stays_analog_through_pooling_and_ends_at_the_neurons() -> None:
    image, pool, first, second = torch.rand(1, 1, 4, 4), nn.AvgPool2d(2), nn.Conv2d(1, 2, 1), nn.Conv2d(2, 1, 1)
    at = ["first"]
    synaptic = Synaptic([*first.parameters(), *second.parameters()], [image], lambda: at[0])
    with torch.no_grad(), watching(synaptic):
        current = first(pool(image))
        emitted = current * 0.5  # as neurons of several levels give
        synaptic.emitted([emitted])
        at[0] = "second"
        second(pool(emitted))
    kinds = {layer: kind for layer, (kind, _) in synaptic.by_layer().items()}
    assert kinds == {"first": "input", "second": "real"}


def test_backward_products_with_what_was_read_are_counted_by_its_kind() -> None:
    net, x = nn.Linear(10, 7), spikes(3, 10).requires_grad_()
    synaptic = Synaptic(net.parameters(), [], lambda: "layer")
    with watching(synaptic):
        net(x).square().sum().backward()
    n, dense = int(x.sum()) * 7, 3 * 10 * 7
    assert synaptic.by_role() == {
        "forward": Operations(dense, 0, n),
        "error to weight": Operations(dense, 0, n),
        "error to input": Operations(dense, dense, 0),
    }


def test_backward_of_a_convolution_takes_as_many_accumulations_as_its_forward_pass() -> None:
    net, x = nn.Conv2d(2, 3, 3, padding=1, stride=2), spikes(2, 2, 6, 5).requires_grad_()
    synaptic = Synaptic(net.parameters(), [], lambda: "layer")
    with watching(synaptic):
        net(x).square().sum().backward()
    found = synaptic.by_role()
    assert found["error to weight"] == found["forward"]
    assert found["error to input"].macs == found["forward"].dense


def test_accumulations_equal_those_of_spikingjelly() -> None:
    """Where a layer reads zeros and ones; a scaled spike is a MAC there, and batch norm has MACs of its own."""
    counters = pytest.importorskip("spikingjelly.activation_based.op_counter")
    net = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1, stride=2, bias=False), nn.Flatten(), nn.Linear(4 * 3 * 3, 5))
    x = spikes(3, 2, 6, 6)
    with torch.no_grad():
        net[0].weight.uniform_(0.5, 1.5)
    for part, given in ((net[0], x), (net[2], spikes(3, 36))):
        theirs = counters.SynOpCounter()
        with torch.no_grad(), counters.DispatchCounterMode([theirs]):
            part(given)
        assert counted(part, given)[1].acs == theirs.get_total()
    scaled, theirs = 0.5 * x, counters.SynOpCounter()
    with torch.no_grad(), counters.DispatchCounterMode([theirs]):
        net[0](scaled)
    assert (theirs.get_total(), counted(net[0], scaled)[1].acs) == (0, counted(net[0], x)[1].acs)
