"""Peak live bytes equal those of PyTorch's own tracker, where that one works: it refuses a module that runs twice in a step."""

from __future__ import annotations

import pytest
from torch._subclasses.fake_tensor import FakeTensorMode

from bench.counting.any_step import make_optimizer_state
from bench.counting.step import batch_for, cost_of
from bench.training_step import training_step

mem_tracker = pytest.importorskip("torch.distributed._tools.mem_tracker", reason="this build of PyTorch has no MemTracker")

T, BATCH = 6, 16


@pytest.mark.parametrize("network", ["vgg-sws-small/cifar10", "vgg5-small/cifar10"])
def test_peak_bytes_of_bptt_equal_torchs_mem_tracker(network: str) -> None:
    counted = training_step(network, "bptt", "native", device="meta")
    ours = cost_of(counted, *batch_for(counted, T, BATCH, "meta")).memory.total
    with FakeTensorMode():
        step = training_step(network, "bptt", "native", device="cpu")
        x, target = batch_for(step, T, BATCH, "cpu")
        make_optimizer_state(step.optimizer)
        tracker = mem_tracker.MemTracker()
        tracker.track_external(step.net, step.optimizer, x, target)
        with tracker:
            step.run(x, target)
    (peak,) = tracker.get_tracker_snapshot("peak").values()
    assert ours == peak["Total"]
