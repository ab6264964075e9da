"""A user's own network is measured as it is: the same on tensors without storage and with, and left as it was."""

from __future__ import annotations

import copy
import gc
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.counting.any_step import make_optimizer_state
from bench.errors import UserError
from bench.lift.cost.measure import Measured, measure

sys.path.insert(0, str(Path(__file__).parent))
from nets import CLASSES, FRAME, NETS, STEPS, SjRepeats, seeded, sj_convolutional, snn_sequential

every = pytest.mark.parametrize("name", NETS)


def made(name: str) -> nn.Module:
    return seeded(NETS[name][0])


def numbers(found: Measured) -> dict[str, Any]:
    """Everything counted, without the name of the operator at the peak."""
    cost = found.cost
    memory = (cost.memory.total, cost.memory.by_category)
    return {"memory": memory, "macs": (cost.macs.dense, cost.macs.multiplications), "traffic": cost.traffic.conventions()}


# --------------------------------------------------------------------------- the same everywhere


@pytest.mark.sampled(every=4)
@every
@pytest.mark.parametrize("encoding", ["repeat", pytest.param("frames", marks=pytest.mark.slow)])
def test_bytes_macs_and_traffic_on_meta_fake_and_real_tensors_are_equal(name: str, encoding: str) -> None:
    if NETS[name][2] == "frame" and NETS[name][1] == "own loop" and encoding == "frames":
        pytest.skip("takes an image only")
    setting = {"T": STEPS, "batch": 3, "encoding": encoding, "optimizer": "adam"}
    meta, fake, real = (numbers(measure(made(name), FRAME, device=device, **setting)) for device in ("meta", "fake", "cpu"))
    assert meta == fake
    assert meta == real


@every
def test_categories_sum_to_the_peak(name: str) -> None:
    memory = measure(made(name), FRAME, T=STEPS, batch=3).cost.memory
    assert sum(memory.by_category.values()) == memory.total


@pytest.mark.sampled(every=4)
@every
@pytest.mark.parametrize("precision", ["bfloat16", pytest.param("float16", marks=pytest.mark.slow)])
def test_mixed_precision_without_storage_equals_real_tensors(name: str, precision: str) -> None:
    if any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in made(name).modules()):
        pytest.skip("batch norm's kernels keep two numbers per channel in float32, PyTorch's rule for fake tensors in half of it")
    fake, real = (measure(made(name), FRAME, T=STEPS, batch=3, precision=precision, device=at) for at in (None, "cpu"))
    assert fake.device == "fake"
    assert numbers(fake) == numbers(real)


@pytest.mark.parametrize("name", ["sj-multi-step", "sj-single-step"])
def test_activations_of_fused_neurons_take_fewer_bytes_in_half_precision(name: str) -> None:
    full, half = (measure(made(name), FRAME, T=STEPS, batch=64, precision=precision) for precision in ("float32", "bfloat16"))
    assert half.cost.memory.total < 0.7 * full.cost.memory.total
    assert half.cost.macs.dense == full.cost.macs.dense
    assert half.cost.macs.multiplications == full.cost.macs.multiplications


def test_module_in_float64_takes_twice_the_bytes() -> None:
    single, double = (measure(net, FRAME, T=STEPS, batch=4) for net in (made("snn-explicit"), made("snn-explicit").double()))
    assert double.cost.memory.total < 2 * single.cost.memory.total  # the target and snnTorch's numbers stay
    assert double.cost.memory.total > 1.9 * single.cost.memory.total


# --------------------------------------------------------------------------- against other counts


@pytest.mark.parametrize("name", ["sj-multi-step", "sj-multi-step-norm", "sj-averaging", "sj-repeats"])
def test_peak_equals_torchs_mem_tracker_where_every_module_runs_once(name: str) -> None:
    """On fake CPU tensors, with SpikingJelly's neurons as on a GPU."""
    mem_tracker = pytest.importorskip("torch.distributed._tools.mem_tracker")
    from torch._subclasses.fake_tensor import FakeTensorMode

    from bench.lift.frameworks import spikingjelly

    ours = measure(made(name), FRAME, T=STEPS, batch=3).cost.memory.total
    averages, image = name in ("sj-averaging", "sj-repeats"), name == "sj-repeats"
    with FakeTensorMode(), spikingjelly.as_on_a_gpu():
        net = made(name)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        make_optimizer_state(optimizer)
        x, target = torch.zeros(3, *FRAME), torch.zeros(3, dtype=torch.long)
        tracker = mem_tracker.MemTracker()
        tracker.track_external(net, optimizer, x, target)
        with tracker:
            loss_of(net, x if image else x.expand(STEPS, *x.shape), target, averages).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    (peak,) = tracker.get_tracker_snapshot("peak").values()
    assert ours == peak["Total"]


def loss_of(net: nn.Module, x: Tensor, target: Tensor, averages: bool) -> Tensor:
    out = net(x)
    return F.cross_entropy(out if averages else out.mean(0), target)


def test_macs_by_hand() -> None:
    """snn_sequential on [2, 8, 8]: a convolution that reads the image, and two dense layers that read spikes."""
    batch = 3
    macs = measure(snn_sequential(), FRAME, T=STEPS, batch=batch).cost.macs
    convolution, dense = 6 * 8 * 8 * 2 * 9, 96 * 10 + 10 * CLASSES
    assert macs.dense["forward"] == STEPS * batch * (convolution + dense)
    assert macs.multiplications["forward"] == STEPS * batch * convolution
    assert macs.dense["error to weight"] == STEPS * batch * (convolution + dense)
    assert macs.multiplications["error to weight"] == STEPS * batch * convolution
    assert macs.dense["error to input"] == STEPS * batch * dense


# --------------------------------------------------------------------------- a user's own step


def own_step(net: Any, optimizer: Any, x: Tensor, target: Tensor) -> None:
    """Two halves of a batch, whose gradients add up."""
    from snntorch import utils

    optimizer.zero_grad()
    for part, wanted in zip(x.chunk(2), target.chunk(2), strict=True):
        utils.reset(net)
        total = sum(net(part)[0] for _ in range(STEPS))
        (F.cross_entropy(total, wanted) / 2).backward()
    optimizer.step()


def test_own_step_is_measured_as_written() -> None:
    pytest.importorskip("snntorch")
    whole = measure(snn_sequential(), FRAME, T=STEPS, batch=64)
    halves = measure(snn_sequential(), FRAME, T=STEPS, batch=64, step=own_step)
    assert halves.cost.memory.total < whole.cost.memory.total
    assert halves.cost.macs.dense == whole.cost.macs.dense


def test_optimizer_instance_is_taken_over_with_its_settings_and_state() -> None:
    net = snn_sequential()
    optimizer = torch.optim.Adam(net.parameters(), amsgrad=True)
    given = measure(net, FRAME, T=STEPS, batch=3, optimizer=optimizer).cost.memory
    weights = 4 * sum(parameter.numel() for parameter in net.parameters())
    steps = 4 * len(list(net.parameters()))
    assert given.by_category["optimizer state"] == 3 * weights + steps
    assert not optimizer.state


def test_gradients_alone_need_no_optimizer_state() -> None:
    assert measure(made("snn-explicit"), FRAME, T=2, batch=3, optimizer=None).cost.memory.by_category["optimizer state"] == 0


def test_loss_that_returns_no_number_is_refused() -> None:
    with pytest.raises(UserError, match=r"loss returns a tensor of shape .* return a single number"):
        measure(made("snn-explicit"), FRAME, T=2, batch=3, loss=lambda out, target: out)


# --------------------------------------------------------------------------- the module stays as it was


def fingerprint(net: nn.Module) -> dict[str, Any]:
    """What a user could see change: tensors with versions and gradients, modes, hooks, plain attributes."""
    found: dict[str, Any] = {}
    for path, module in net.named_modules():
        for name, value in {**vars(module), **module._buffers, **module._parameters}.items():
            if isinstance(value, Tensor):
                found[path, name] = (id(value), value._version, value.requires_grad, value.device, value.is_leaf and value.grad)
        hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
        memories = {name: id(value) for name, value in getattr(module, "_memories", {}).items()}
        found[path, "module"] = (module.training, [len(kind) for kind in hooks], memories)
    return found


@pytest.mark.sampled(every=4)
@every
@pytest.mark.parametrize("device", ["meta", "fake", "cpu"])
def test_module_is_left_as_it_was(name: str, device: str) -> None:
    net = made(name)
    frames = torch.rand(STEPS, 2, *FRAME)
    if NETS[name][1] == "single-step":
        for frame in frames:
            net(frame)  # states of a sequence that is not at its end, with a graph
    next(net.parameters()).requires_grad_(False)
    net.eval()
    before, random = fingerprint(net), torch.get_rng_state()
    measure(net, FRAME, T=STEPS, batch=3, device=device)
    assert fingerprint(net) == before
    assert torch.equal(torch.get_rng_state(), random)


def test_module_is_left_as_it_was_after_an_error() -> None:
    net = made("sj-single-step")
    before = fingerprint(net)
    with pytest.raises(UserError):
        measure(net, (3, 8, 8), T=STEPS, batch=3)
    assert fingerprint(net) == before


def test_neurons_of_other_networks_are_not_reset() -> None:
    snn = pytest.importorskip("snntorch")
    other = snn.Leaky(beta=0.9, init_hidden=True)
    other(torch.ones(2, 3))
    mem, known = other.mem, list(snn.SpikingNeuron.instances)
    measure(made("snn-batch-first"), FRAME, T=STEPS, batch=3)
    assert other.mem is mem
    assert known == snn.SpikingNeuron.instances[: len(known)]


def test_no_tensor_of_the_size_of_the_module_is_made() -> None:
    """On device 'meta', from a module on it: 4 TiB of weights."""
    snn = pytest.importorskip("snntorch")
    with torch.device("meta"):
        wide = nn.Linear(2**20, 2**20)
    net = nn.Sequential(wide, snn.Leaky(beta=0.9, init_hidden=True))
    assert measure(net, (2**20,), T=2, batch=3).cost.memory.by_category["parameters"] > 2**42
    gc.collect()


def test_measuring_under_no_grad_counts_a_training_step() -> None:
    expected = numbers(measure(made("snn-explicit"), FRAME, T=2, batch=3))
    with torch.no_grad():
        assert numbers(measure(made("snn-explicit"), FRAME, T=2, batch=3)) == expected


# --------------------------------------------------------------------------- mistakes


class Shape(nn.Module):
    """No neurons."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(x)


def branching() -> nn.Module:
    snn = pytest.importorskip("snntorch")

    class Branching(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x if x.sum() > 0 else -x)

    return nn.Sequential(nn.Flatten(), Branching(nn.Linear(128, 4), snn.Leaky(beta=0.9, init_hidden=True)))


def test_module_without_neurons_is_refused() -> None:
    with pytest.raises(UserError, match=r"Shape has no neurons of .*forward\(x, state\)"):
        measure(Shape(), (3,), T=2, batch=3)


def test_shape_that_does_not_fit_names_the_module() -> None:
    with pytest.raises(UserError, match=r"Sequential\.0: .*check the shape of a frame"):
        measure(sj_convolutional(), (3, 8, 8), T=STEPS, batch=3)


def test_control_flow_on_values_is_refused_without_storage_and_measured_with() -> None:
    with pytest.raises(UserError, match=r"Sequential\.1 reads the value of a tensor .*torch\.where.*device = 'cpu'"):
        measure(branching(), FRAME, T=2, batch=3)
    with pytest.raises(UserError, match=r"Sequential\.1 reads the value of a tensor"):
        measure(branching(), FRAME, T=2, batch=3, device="fake")
    assert measure(branching(), FRAME, T=2, batch=3, device="cpu").cost.memory.total > 0


def test_two_different_numbers_of_time_steps_are_refused() -> None:
    pytest.importorskip("spikingjelly")
    with pytest.raises(UserError, match="T = 3, but SjRepeats repeats its input for 5 time steps itself"):
        measure(SjRepeats(5), FRAME, T=3, batch=2)
    assert measure(SjRepeats(5), FRAME, T=3, batch=2, encoding="frames").T == 3


def test_batch_norm_over_a_batch_of_one_is_refused() -> None:
    snn = pytest.importorskip("snntorch")
    net = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(128), nn.Linear(128, 4), snn.Leaky(beta=0.9, init_hidden=True))
    with pytest.raises(UserError, match=r"1 is batch norm over samples.*batch >= 2"):
        measure(net, FRAME, T=2, batch=1)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"T": 0}, "T = 0"),
        ({"batch": 2.0}, "batch = 2.0"),
        ({"encoding": "rate"}, "unknown encoding 'rate'"),
        ({"precision": "float8"}, "unknown precision 'float8'"),
        ({"device": "cuda"}, "unknown device 'cuda'"),
        ({"optimizer": "adm"}, "unknown optimizer 'adm'"),
        ({"precision": "bfloat16", "device": "meta"}, "no automatic mixed precision"),
        ({"step": own_step, "precision": "bfloat16"}, "leave out loss and precision"),
    ],
)
def test_wrong_argument_is_refused_with_the_remedy(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        measure(made("snn-explicit"), FRAME, **({"T": 2, "batch": 3} | wrong))


def test_wrong_shape_of_a_frame_is_refused() -> None:
    with pytest.raises(UserError, match="give the shape of one time step"):
        measure(made("snn-explicit"), (2, 0), T=2, batch=3)


def test_optimizer_of_another_module_is_refused() -> None:
    other = torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1)
    with pytest.raises(UserError, match=r"none of the module's parameters"):
        measure(made("snn-explicit"), FRAME, T=2, batch=3, optimizer=other)


def test_module_that_cannot_be_copied_is_refused() -> None:
    net = made("snn-explicit")
    net.generator = (each for each in range(3))  # type: ignore[assignment]
    with pytest.raises(TypeError):
        copy.deepcopy(net)
    with pytest.raises(UserError, match=r"SnnExplicit cannot be copied .*generators out of the module's attributes"):
        measure(net, FRAME, T=2, batch=3)
