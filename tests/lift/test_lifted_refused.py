"""What an algorithm of the suite cannot do on a user's module is refused in words, with the remedy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.errors import UserError
from bench.lift.running.training import LIFTED, training_step

sys.path.insert(0, str(Path(__file__).parent))
from nets import (
    SjRepeats,
    SnnTutorial,
    snn_sequential,
)
from own_loop import batch, made


def refused(net: nn.Module, algorithm: str, words: str, x: Tensor | None = None, **options: Any) -> None:
    given, target = batch()
    with pytest.raises(UserError, match=words):
        training_step(net, algorithm, **options)(given if x is None else x, target)


def test_loop_inside_forward_is_refused_with_what_to_change() -> None:
    refused(made("sj-loop"), "checkpointed", r"SjLoop\.forward loops over time itself.*Take the loop out")
    assert training_step(made("sj-loop"), "bptt")(*batch()).isfinite()


def test_network_that_repeats_an_image_is_refused_where_it_takes_an_image_only() -> None:
    refused(SnnTutorial().double(), "bptt", "so it takes no frames")
    assert training_step(SjRepeats(5).double(), "bptt", loss=F.cross_entropy)(*batch()).isfinite()


def test_batch_norm_over_time_is_refused_where_a_sequence_is_cut() -> None:
    words = r"Sequential\.1: batch norm takes its statistics over all time steps.*set_step_mode"
    for algorithm in ("checkpointed", "skipper", "tbptt", "sltt"):
        refused(made("sj-multi-step-norm"), algorithm, words)


def test_average_over_time_is_refused_where_every_step_is_needed() -> None:
    refused(made("sj-averaging"), "tbptt", "averages over time")


@pytest.mark.parametrize("algorithm", [name for name in LIFTED if name not in ("bptt", "local")])
def test_loss_of_the_mean_output_is_refused_where_a_sequence_is_cut_and_another_is_offered(algorithm: str) -> None:
    def of_mean(outputs: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(outputs.mean(0), target)

    net = made("sj-dense")
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    options = {"segments": 2} if algorithm in ("checkpointed", "skipper") else {}
    words = "neither a sum nor a mean over time steps.*the mean of each step's cross entropy is"
    refused(net, algorithm, words, loss=of_mean, optimizer=optimizer, **options)


class Counter(nn.Module):
    """Keeps something of its own from call to call."""

    def forward(self, x: Tensor) -> Tensor:
        self.last = x if not hasattr(self, "last") or self.last.shape != x.shape else 0.5 * self.last + x
        return self.last


def test_state_that_no_framework_knows_is_refused() -> None:
    net = nn.Sequential(Counter(), *snn_sequential()).double()
    refused(net, "checkpointed", r"Sequential\.0\.last changes from call to call")


@pytest.mark.parametrize(
    ("algorithm", "options", "words"),
    [
        ("ottt-a", {}, r"Sequential\.5 is of kind Synaptic, and a constant decay is known of Leaky"),
        ("ottt-a", {"K": 2}, "use K = 1"),
        ("replay", {}, r"Sequential\.1 is of snnTorch, whose reset acts one time step later"),
        ("otpe", {}, "a chain of linear layers, each with neurons, and 0 is of kind Conv2d"),
        ("sltt", {"blocks": ["0"]}, "sltt has no blocks"),
        ("local", {"blocks": ["0"], "b": 2}, "give one of them"),
        ("local", {"blocks": ["seven"]}, "unknown block 'seven'"),
        ("local", {"blocks": ["4", "1"]}, "1 does not come after"),
        ("local", {"blocks": ["0", "1"]}, "the block of 1 to 1 has no weights to train"),
        ("local", {"blocks": []}, "give the names"),
        ("ttl-bptt", {}, "give the optimizer"),
        ("bptt2", {}, "unknown algorithm"),
        ("skipper", {"segment": 3}, "skipper has no option 'segment'"),
        ("skipper", {"skipped": "leak"}, "use skipped = 'frozen'"),
        ("sltt", {"K": 2}, "use K = 1"),
        ("tbptt", {"update": "window"}, "give the optimizer"),
        ("bptt", {"clip": 1.0}, "give the optimizer too"),
    ],
)
def test_what_does_not_apply_is_refused(algorithm: str, options: dict[str, Any], words: str) -> None:
    refused(made("snn-sequential"), algorithm, words, **options)


def test_wrapped_module_is_refused() -> None:
    refused(torch.compile(made("snn-sequential")), "bptt", "wrapped in OptimizedModule")  # type: ignore[arg-type]


def test_compiled_part_is_refused_with_its_path() -> None:
    net = made("snn-sequential")
    net[0].compile()
    refused(net, "sltt", "0 is compiled and runs as one call: give the module as it was before compilation")
