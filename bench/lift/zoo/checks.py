"""Three checks of what the zoo's table says, for one network; a part of a line of results/zoo.jsonl.

    gradients    of the small variant by every exact algorithm, and running statistics, against the loop of its author, in float64
    bytes        of the small variant without storage against real CPU tensors, as written and by every exact algorithm
    tracker      the peak at the network's own input against that of torch's MemTracker, on tensors without storage

An outcome is "equal", "differs", or "not comparable", with words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks_of

from bench.counting.any_step import Cost, make_optimizer_state
from bench.errors import UserError
from bench.lift import frameworks
from bench.lift.cost.counts import ByAlgorithm
from bench.lift.cost.measure import cross_entropy_of_mean, measure
from bench.lift.cost.subject import subject
from bench.lift.recognition.forward import forward
from bench.lift.recognition.parts import OptionValues, first, reset
from bench.lift.recognition.recognise import Recognised
from bench.lift.recognition.source import build
from bench.lift.recognition.twin import Fake, Meta, Real, TensorKind
from bench.lift.running.training import LIFTED, instantaneous, training_step
from bench.lift.zoo.networks import BATCH, SMALL_BATCH, ZOO, ZooNetwork
from bench.registry import ALGORITHMS

Outcome = Literal["equal", "differs", "not comparable"]
EXACT = tuple(name for name in LIFTED if ALGORITHMS[name].exact)
RELATIVE, ABSOLUTE = 1e-8, 1e-12  # of a parameter's largest gradient, and of the network's


@dataclass(frozen=True)
class Checked:
    """The outcome, why, and the largest deviation of each algorithm as a share of what rounding may give."""

    outcome: Outcome
    words: str = ""
    deviations: dict[str, float] | None = None

    def as_dict(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if value}


def of(name: str) -> dict[str, object]:
    """Return the outcomes of the checks of a network by name."""
    network = ZOO[name]
    return {check: run(network).as_dict() for check, run in CHECKS.items()}


# --------------------------------------------------------------------------- gradients


def gradients(network: ZooNetwork) -> Checked:
    """Compare gradients and running statistics of every exact algorithm with those of the author's own loop, in float64."""
    small = network.small
    torch.manual_seed(0)
    net = small.make().double().train()
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(small.T, SMALL_BATCH, *small.frame, generator=generator, dtype=torch.float64)
    own = Own(net, network, x)
    own.run()
    target = torch.randint(own.classes, (SMALL_BATCH,), generator=generator)
    deviations, reasons = {}, {}
    for algorithm in EXACT:
        step = training_step(net, algorithm, **_options(algorithm))
        try:
            deviations[algorithm] = deviation(own, partial(step, x, target), target)
        except UserError as error:
            reasons[algorithm] = str(error)
    if not deviations:
        return Checked("not comparable", "no exact algorithm applies: " + "; ".join(dict.fromkeys(reasons.values())))
    wrong = [f"{algorithm} by {share:.2g} x what rounding may give" for algorithm, share in deviations.items() if share > 1]
    return Checked("differs" if wrong else "equal", "; ".join(wrong), deviations)


def _options(algorithm: str) -> OptionValues:
    return {"segments": 2} if algorithm == "checkpointed" else {}


class Own:
    """A network with the training loop that its author writes: all time steps, then one backward pass."""

    def __init__(self, net: nn.Module, network: ZooNetwork, x: Tensor) -> None:
        self.net, self.network, self.x = net, network, x
        self.adapters = frameworks.of(net)
        self.classes = 0

    def run(self, target: Tensor | None = None) -> None:
        """Add the gradients for a target to ``.grad``; without one, run forward only."""
        torch.manual_seed(3)  # dropout
        reset(self.net, self.adapters)
        out = self._outputs()
        self.classes = out.shape[-1]
        if target is not None:
            instantaneous(out, target).backward()
        reset(self.net, self.adapters)

    def _outputs(self) -> Tensor:
        match self.network.time:
            case "single-step":
                return torch.stack([first(self.net(frame)) for frame in self.x])
            case "own loop":
                return first(self.net(self.x[0]))
        return first(self.net(self.x))


def deviation(own: Own, lifted: Callable[[], object], target: Tensor) -> float:
    """Return by how much gradients and running statistics of two ways differ, at most, as a share of what rounding may give.

    The second way adds its gradients to the first's with their sign changed, so that one set of gradients is held at a time.
    """
    net = own.net
    before = {name: buffer.clone() for name, buffer in net.named_buffers()}
    net.zero_grad(set_to_none=True)
    own.run(target)
    expected = {name: buffer.clone() for name, buffer in net.named_buffers()}
    sizes = {name: _largest(parameter.grad) for name, parameter in net.named_parameters() if parameter.grad is not None}
    whole = max(sizes.values())
    if not whole > 0:
        return float("inf")
    with torch.no_grad():
        for name, buffer in net.named_buffers():
            buffer.copy_(before[name])
        for parameter in net.parameters():
            if parameter.grad is not None:
                parameter.grad.neg_()
    torch.manual_seed(3)
    lifted()
    shares = [0.0]
    for name, parameter in net.named_parameters():
        if parameter.grad is not None:
            shares.append(_largest(parameter.grad) / (RELATIVE * sizes.get(name, 0.0) + ABSOLUTE * whole))
    for name, buffer in net.named_buffers():
        if buffer.is_floating_point() and buffer.numel():
            shares.append(_largest(buffer - expected[name]) / (RELATIVE * max(_largest(expected[name]), 1.0)))
        elif buffer.numel():
            shares.append(float(not torch.equal(buffer, expected[name])) * 2)
    net.zero_grad(set_to_none=True)
    return max(share if share == share else float("inf") for share in shares)


def _largest(tensor: Tensor) -> float:
    return float(tensor.abs().max()) if tensor.numel() else 0.0


# --------------------------------------------------------------------------- bytes


def bytes_(network: ZooNetwork) -> Checked:
    """Compare what is counted without storage with real CPU tensors."""
    small = network.small
    net = small.make()
    setting = {"T": small.T, "batch": SMALL_BATCH, "encoding": network.encoding, "optimizer": None}
    without, real = (measure(net, small.frame, device=device, **setting) for device in ("meta", "cpu"))  # type: ignore[arg-type]
    if without.kernels != real.kernels:
        return Checked("not comparable", f"neurons run as {without.kernels} without storage and as {real.kernels} with")
    wrong = [] if numbers(without.cost) == numbers(real.cost) else ["as written"]
    for algorithm in EXACT:
        try:
            pair = [numbers(lifted_cost(net, network, algorithm, kind)) for kind in (Meta(), Real())]
        except UserError:
            continue
        wrong += [] if pair[0] == pair[1] else [algorithm]
    return Checked("differs" if wrong else "equal", ", ".join(wrong))


def numbers(cost: Cost) -> tuple[object, ...]:
    """Everything counted, without the name of the operator at the peak."""
    memory, macs = cost.memory, cost.macs
    return memory.total, memory.by_category, macs.dense, macs.multiplications, cost.traffic.conventions()


def lifted_cost(net: nn.Module, network: ZooNetwork, algorithm: str, kind: TensorKind) -> Cost:
    small = network.small
    with subject(net, None, kind, small.frame, small.T, SMALL_BATCH, network.encoding) as it:
        return ByAlgorithm(it, algorithm, "float32").cost(small.T, SMALL_BATCH, **_options(algorithm))


# --------------------------------------------------------------------------- torch's MemTracker


def tracker(network: ZooNetwork) -> Checked:
    """Compare the peak of the module as written with that of torch's own tracker."""
    try:
        from torch.distributed._tools.mem_tracker import MemTracker
    except ImportError as error:
        return Checked("not comparable", f"this build of PyTorch has no MemTracker ({error})")
    real = network.real
    built = build(real.make).net
    measured = measure(built, real.frame, T=real.T, batch=BATCH, encoding=network.encoding)
    watched = MemTracker()
    with subject(built, "sgd", Fake(), real.frame, real.T, BATCH, network.encoding) as it, it.kind.open():
        assert it.optimizer is not None
        make_optimizer_state(it.optimizer)
        whole = Whole(it.net, network, it.recognised)
        watched.track_external(whole, it.optimizer, it.x, it.target, *_attributes(whole))
        with watched:
            cross_entropy_of_mean(whole(it.x), it.target).backward()
            it.optimizer.step()
            it.optimizer.zero_grad(set_to_none=True)
    (peak,) = watched.get_tracker_snapshot("peak").values()
    difference = measured.cost.memory.total - peak["Total"]
    return Checked("differs", f"by {difference:+,} B of {peak['Total']:,}") if difference else Checked("equal")


def _attributes(net: nn.Module) -> list[Tensor]:
    """Return the tensors that modules hold as plain attributes, which the tracker does not know of."""
    held = {id(value): value for module in net.modules() for value in vars(module).values() if isinstance(value, Tensor)}
    return list(held.values())


class Whole(nn.Module):
    """All time steps of a network as one module without parts.

    The tracker refuses a module that runs twice in a step, and where it does not see that, its hooks keep tensors of a module
    alive from one run to the next.
    """

    def __init__(self, net: nn.Module, network: ZooNetwork, recognised: Recognised) -> None:
        super().__init__()
        self.net, self.network, self.recognised = net, network, recognised

    def forward(self, x: Tensor) -> Tensor:
        hooks = (hooks_of._global_forward_pre_hooks, hooks_of._global_forward_hooks)
        former = [dict(each) for each in hooks]
        for each in hooks:
            each.clear()
        try:
            return forward(self.net, x, self.network.real.T, self.network.encoding == "repeat", self.recognised)
        finally:
            for each, known in zip(hooks, former, strict=True):
                each.update(known)


CHECKS: Mapping[str, Callable[[ZooNetwork], Checked]] = {"gradients": gradients, "bytes": bytes_, "tracker": tracker}
