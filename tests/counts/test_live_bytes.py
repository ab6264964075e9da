"""Live bytes of known sequences of allocations."""

from __future__ import annotations

import pytest
import torch

from bench.counting.memory import CATEGORIES, LiveBytes
from bench.counting.tape import watching


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_live_bytes_of_a_known_sequence_of_allocations(device):
    live = LiveBytes()
    with watching(live):
        a = torch.empty(100, device=device)  #                400
        b = torch.empty(50, dtype=torch.float64, device=device)  # 800
        del a  #                                              400
        c = torch.empty(10, dtype=torch.uint8, device=device)  #   410
        d = torch.empty(200, device=device)  #               1210  the peak
        del b, d  #                                            10
        e = torch.empty(250, device=device)  #               1010
        del c, e
    assert live.peak().total == 1210
    assert live.peak().by_category == {**dict.fromkeys(CATEGORIES, 0), "temporary": 1210}
    assert live.peak().operator == "aten.empty.memory_format"


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_live_bytes_exclude_views_and_in_place_operators(device):
    live = LiveBytes()
    with watching(live):
        a = torch.empty(8, 16, device=device)  # 512
        view = a.t()[2:5].unsqueeze(0).expand(7, 3, 8)
        a.mul_(2).add_(1).clamp_(min=0)
        view.detach().sigmoid_() if device == "meta" else a.sigmoid_()
        torch.mul(a, a, out=a)
    assert live.peak().total == 512


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_live_bytes_include_a_storage_kept_alive_by_a_view(device):
    live = LiveBytes()
    with watching(live):
        a = torch.empty(1000, device=device)  # 4000
        view = a[:1]
        del a
        b = torch.empty(1000, device=device)  # 8000: the view keeps the storage of a alive
        del view, b
        c = torch.empty(1500, device=device)  # 6000
    assert c.numel() == 1500
    assert live.peak().total == 8000


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_live_bytes_follow_a_storage_resized_by_out(device):
    live = LiveBytes()
    with watching(live):
        x = torch.empty(100, device=device)  # 400
        out = torch.empty(0, device=device)
        torch.add(x, x, out=out)  #            800
    assert out.numel() == 100
    assert live.peak().total == 800


def test_live_bytes_include_earlier_tensors_if_marked():
    live = LiveBytes()
    weight = torch.empty(10)
    live.mark([weight, weight.view(2, 5)], "parameters")  # one storage counts once
    with watching(live):
        made = weight + 1
    peak = live.peak()
    assert made.numel() == 10
    assert (peak.total, peak.by_category["parameters"], peak.by_category["temporary"]) == (80, 40, 40)
