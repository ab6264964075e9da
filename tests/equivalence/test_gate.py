"""The equivalence gate passes for the frameworks with the settings used here, and fails for broken neurons."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench import algorithms, backends, probes, zoo
from bench.algorithms.context import StepContext
from bench.case import Case
from bench.errors import UserError
from bench.kernels import compiler
from bench.kernels.lif import lif
from bench.kernels.surrogate import fire
from bench.losses import InstantaneousLoss
from bench.nets.build import build
from bench.probes import equivalence
from bench.probes.equivalence import CONTROLS, Comparison, Response, compare
from bench.seeds import seed_of
from bench.spec import (
    AdaptiveLIF,
    AvgPool,
    Conv,
    Dense,
    Flatten,
    NetworkSpec,
    NeuronSpec,
    ParametricLIF,
    Residual,
    Spike,
    Surrogate,
    SynapticLIF,
)
from bench.training_step import support, training_step
from tests.registered import PLAIN, options_for

FRAMEWORKS = [name for name in PLAIN if name != "native"]
SMALL = "vgg-sws-small/cifar10"
SMALLER = "ttl-small/cifar10"
NO_MEMORY = "cannot differ where every decay is 0"
_NO_LEAK = NeuronSpec(decay=1.0, surrogate=Surrogate("triangle", 1.0))
# ResNet20 with two of its eight blocks, an eighth of its widths and a quarter of its image.
RESIDUAL = NetworkSpec(
    name="a small ResNet20",
    input=(3, 16, 16),
    classes=10,
    layers=(
        Conv(8, bias=False), Spike(_NO_LEAK, 0.2), AvgPool(2, 2),
        Residual((), (Conv(8, bias=False), Spike(_NO_LEAK, 0.2), Conv(8, bias=False))), Spike(_NO_LEAK),
        Residual(
            (), (Conv(16, stride=2, bias=False), Spike(_NO_LEAK, 0.2), Conv(16, bias=False)),
            (Conv(16, kernel=1, stride=2, padding=0, bias=False),),
        ),
        Spike(_NO_LEAK), Flatten(), Dense(10, bias=False, init="default"),
    ),
    neuron=_NO_LEAK,
    parameters=9 * 3 * 8 + 2 * 9 * 8 * 8 + 9 * 8 * 16 + 9 * 16 * 16 + 8 * 16 + 16 * 4 * 4 * 10,
    source="this test",
    encoding="frames",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _in_double():
    """Use the gate's double precision in all tests of this module."""
    with equivalence.in_double():
        yield


@pytest.fixture(autouse=True)
def _known(monkeypatch):
    real = zoo.spec
    monkeypatch.setattr(zoo, "spec", lambda name: RESIDUAL if name == RESIDUAL.name else real(name))


def case_of(network: str, algorithm: str, backend: str, T: int = 4, batch: int = 2) -> Case:
    available = backends.available(backend)
    if not available:
        pytest.skip(available.reason)
    return Case("tests", "equivalence", network, algorithm, backend, T, batch)


def assert_opens(case: Case) -> None:
    (gate,) = probes.measure(case)
    detail = gate.detail
    assert gate.value == "pass", detail
    assert detail["spikes differing"] == 0
    assert 0.01 < detail["firing rate"] < 0.9
    assert set(detail["broken neurons that fail"]) == set(CONTROLS) - set(detail["broken neurons that cannot differ"])
    assert {"wrong threshold", "wrong surrogate"} <= set(detail["broken neurons that fail"])
    assert not detail["broken neurons that cannot differ"] or case.T == 1


TIMES = (1, 2, 3)
KINDS = {"chain": SMALL, "residual": RESIDUAL.name, "recurrent": "r400/fashion-mnist"}


@pytest.mark.parametrize("T", TIMES)
@pytest.mark.parametrize("network", KINDS.values(), ids=KINDS)
def test_gate_passes_native_and_fails_every_applicable_control_at_every_T(network, T):
    """Also at T = 1, where no potential decays and no reset can be late."""
    (gate,) = probes.measure(case_of(network, "bptt", "native", T=T))
    assert gate.value == "pass", gate.detail
    idle = dict.fromkeys(("wrong decay", "late reset"), "cannot differ at T = 1") if T == 1 else {}
    assert gate.detail["broken neurons that cannot differ"] == idle
    assert set(gate.detail["broken neurons that fail"]) == set(CONTROLS) - set(idle)


@pytest.mark.parametrize("algorithm", algorithms.names())
def test_gate_passes_a_single_step_for_every_algorithm(algorithm):
    possible = support(SMALLER, algorithm, "native")
    if not possible:
        pytest.skip(possible.reason)
    options = options_for(algorithm, zoo.spec(SMALLER), 1)
    (gate,) = probes.measure(replace(case_of(SMALLER, algorithm, "native", T=1), options=tuple(options.items())))
    assert gate.value == "pass", gate.detail


def test_controls_that_need_memory_are_listed_as_not_applicable_without_it():
    for name, control in CONTROLS.items():
        reason = control.cannot_differ(4, [NeuronSpec(decay=0.0)])
        assert reason == ("" if name.startswith("wrong threshold") or name == "wrong surrogate" else NO_MEMORY)
        assert control.cannot_differ(4, [NeuronSpec(decay=0.0), NeuronSpec()]) == control.cannot_differ(2, [NeuronSpec()]) == ""


def test_controls_that_do_not_change_a_neuron_beyond_lif_say_why():
    learnt, adaptive = ParametricLIF(), AdaptiveLIF()
    assert "every decay is a parameter" in CONTROLS["wrong decay"].cannot_differ(4, [learnt])
    assert "reset of LIF neurons" in CONTROLS["late reset"].cannot_differ(4, [adaptive])
    for neurons in ([learnt, NeuronSpec()], [adaptive, SynapticLIF()]):
        assert not any(control.cannot_differ(4, neurons) for control in CONTROLS.values())


# Every pair of a network beyond LIF and a backend that has its layers.
BEYOND = {
    "plif/n-mnist": ("spikingjelly", "spikingjelly-multistep", "native-fast"),
    "plif-clamped/n-mnist": ("snntorch",),
    "synaptic/n-mnist": ("spikingjelly", "spikingjelly-multistep", "snntorch", "native-fast"),
    "alif/n-mnist": ("native-fast",),
    "refractory/n-mnist": ("native-small",),
    "norms/n-mnist": ("snntorch", "native-small"),
    "spikformer/n-mnist": ("spikingjelly-multistep", "native-balanced"),
}


@pytest.mark.parametrize(("network", "backend"), [(network, backend) for network, names in BEYOND.items() for backend in names])
def test_gate_passes_layers_beyond_lif(network, backend):
    (gate,) = probes.measure(case_of(network, "bptt", backend))
    assert gate.value == "pass", gate.detail
    idle = set(gate.detail["broken neurons that cannot differ"])
    assert set(gate.detail["broken neurons that fail"]) == set(CONTROLS) - idle
    assert idle <= {"wrong decay", "late reset"}
    assert gate.detail["firing rate"] > 0.05


@pytest.mark.parametrize("network", [SMALL, "r400/fashion-mnist"])
@pytest.mark.parametrize("backend", FRAMEWORKS)
def test_frameworks_equal_native_under_bptt(network, backend):
    assert_opens(case_of(network, "bptt", backend))


@pytest.mark.full
def test_framework_equals_native_at_the_papers_width():
    """One framework is enough: the neurons are those of the small network."""
    assert_opens(case_of("vgg-sws/cifar10", "bptt", "spikingjelly", T=2))


@pytest.mark.sampled(every=2)
@pytest.mark.parametrize("network", [SMALL, "lenet/dvs-gesture"])
@pytest.mark.parametrize("algorithm", ["ottt-a", "sltt"])
def test_spikingjelly_shipped_equals_native(algorithm, network):
    assert_opens(case_of(network, algorithm, "spikingjelly-shipped"))


@pytest.mark.parametrize("network", [SMALL, "custom/n-mnist", RESIDUAL.name])
def test_spikingjelly_memopt_equals_native(network):
    assert_opens(case_of(network, "bptt", "spikingjelly-memopt"))


def test_framework_equals_native_without_leak():
    """A reset one step late is also detected without leak."""
    assert_opens(case_of(RESIDUAL.name, "bptt", "spikingjelly"))


@pytest.mark.parametrize("T", [1, 4])
@pytest.mark.parametrize(
    "network",
    [
        "vgg5-small/cifar10",
        *(pytest.param(n, marks=pytest.mark.full) for n in ("vgg5/cifar10", "vgg11/cifar100", "resnet20/cifar10")),
    ],
)
def test_gate_compares_spikes_and_gradients_in_every_layer(network, T):
    """Every layer fires and every weight has a gradient."""
    case = case_of(network, "bptt", "native", T=T)
    x, target = equivalence._batch(zoo.spec(network), case)
    response = equivalence._respond(case, "native", x, target)
    assert all(float(s.mean()) > 0.01 for s in response.spikes)
    assert all(float(g.norm()) > 0 for g in response.gradients)


@pytest.mark.parametrize("algorithm", ["ottt-a", "sltt"])
@pytest.mark.parametrize("backend", FRAMEWORKS)
def test_frameworks_equal_native_for_online_algorithms(backend, algorithm):
    possible = support(SMALL, algorithm, backend)
    if not possible:
        pytest.skip(possible.reason)
    assert_opens(case_of(SMALL, algorithm, backend))


@pytest.mark.skipif(not compiler.available(), reason=compiler.available().reason)
@pytest.mark.parametrize(("network", "T"), [(SMALL, 4), (RESIDUAL.name, 2)])
@pytest.mark.parametrize("mode", ["native-fast", "native-balanced", "native-small"])
def test_native_modes_equal_native(mode, network, T):
    assert_opens(case_of(network, "bptt", mode, T=T))


@pytest.mark.skipif(not compiler.available(), reason=compiler.available().reason)
def test_fused_neurons_equal_native_online():
    assert_opens(case_of(SMALL, "ottt-a", "native-fast"))


@pytest.mark.skipif(not compiler.available(), reason=compiler.available().reason)
@pytest.mark.parametrize("K", [2, 3, 4])
@pytest.mark.parametrize("algorithm", ["ottt-a", "sltt"])
def test_fused_neurons_equal_native_online_in_windows(algorithm, K):
    """The broken neurons cannot stop the gradient through time inside a window, so the reference runs step by step."""
    case = case_of(SMALL, algorithm, "native-fast")
    x, target, reference, noise = native(case)
    response = equivalence._respond(replace(case, options=(("K", K),)), "native-fast", x, target)
    assert compare(reference, response).passes(noise)


# --------------------------------------------------------------------------- negative controls


def native(case: Case) -> tuple[Tensor, Tensor, Response, float]:
    """Return input, target, the native response, and the noise floor as computed by the gate."""
    x, target = equivalence._batch(zoo.spec(case.network), case)
    reference = equivalence._respond(case, "native", x, target)
    turned = equivalence._respond(case, "native", x.flip(1), target.flip(0))
    noise = compare(reference, replace(turned, spikes=reference.spikes)).gradient_difference
    return x, target, reference, noise


@pytest.mark.parametrize("algorithm", ["bptt", "ottt-a"])
@pytest.mark.parametrize("control", sorted(CONTROLS))
def test_gate_fails_a_broken_neuron(control, algorithm):
    case = case_of(SMALL, algorithm, "native")
    x, target, reference, noise = native(case)
    result = compare(reference, CONTROLS[control].respond(case, x, target, None))
    assert not result.passes(noise)
    assert (result.spikes_differing > 0) is (control != "wrong surrogate")
    assert CONTROLS[control].fails(case, x, target, reference, noise)  # which stops at the first differing spikes


@pytest.mark.parametrize("algorithm", ["bptt", "ottt-a"])
@pytest.mark.parametrize("network", [SMALL, "r400/fashion-mnist"])
def test_controls_with_correct_neurons_pass(network, algorithm):
    """With correct neurons in place of the broken ones, the controls pass."""
    case = case_of(network, algorithm, "native")
    x, target, reference, noise = native(case)
    sound = equivalence._run_broken(case, x, target, reference.spikes, equivalence._Broken(lambda spec: spec, lif))
    assert compare(reference, sound).passes(noise)


@dataclass(frozen=True)
class BuiltIn:
    """The snnTorch backend with Leaky's built-in reset."""

    delayed: bool
    name: str = "snntorch built-in"
    layerwise: bool = False

    def neurons(self, spec: NeuronSpec) -> nn.Module:
        return BuiltInLeaky(spec, self.delayed)


class BuiltInLeaky(nn.Module):
    def __init__(self, spec: NeuronSpec, delayed: bool) -> None:
        super().__init__()
        import snntorch

        self.leaky = snntorch.Leaky(
            beta=spec.decay,
            threshold=spec.threshold,
            spike_grad=lambda x: fire(x, spec.surrogate),
            reset_mechanism="subtract",
            reset_delay=delayed,
        )

    def forward(self, x: Tensor, v: Tensor | None) -> tuple[Tensor, Tensor]:
        s, after = self.leaky(x[0], torch.zeros_like(x[0]) if v is None else v)
        return s.unsqueeze(0), after


@pytest.mark.parametrize("delayed", [True, False], ids=["default (delayed)", "prompt"])
def test_gate_fails_snntorchs_built_in_reset(delayed):
    case = case_of(SMALL, "bptt", "snntorch")
    x, target, reference, noise = native(case)
    rule = algorithms.load("bptt")

    def compared(backend: Any) -> Comparison:
        net = build(zoo.spec(SMALL), backend)
        net.reset_parameters(seed_of("weights", SMALL, case.seed))
        equivalence.draw(net, case)
        context = StepContext(InstantaneousLoss(target, case.T), lambda: None)
        return compare(reference, equivalence.respond(net, lambda: rule.train_step(net, x, context, rule.Options())))

    assert compared(backends.load("snntorch")).passes(noise)  # only the reset differs
    assert not compared(BuiltIn(delayed)).passes(noise)


def test_gate_records_a_failure(monkeypatch):
    """A backend that differs is recorded as "fail"; nothing is raised."""
    case = case_of(SMALL, "bptt", "snntorch", T=3, batch=1)
    module = backends.load("snntorch")
    honest = module.neurons
    monkeypatch.setattr(module, "neurons", lambda spec: honest(replace(spec, decay=spec.decay - 0.05)))
    (gate,) = probes.measure(case)
    assert gate.value == "fail"
    assert gate.detail["spikes differing"] > 0


def test_gate_fails_if_a_control_passes(monkeypatch):
    """If a broken neuron passed, agreement would mean nothing."""
    case = case_of(SMALL, "bptt", "native", T=2, batch=1)
    honest = equivalence._respond
    unbroken = replace(CONTROLS["late reset"], respond=lambda case, x, target, expected: honest(case, "native", x, target))
    monkeypatch.setitem(CONTROLS, "late reset", unbroken)
    (gate,) = probes.measure(case)
    assert gate.value == "fail"
    assert "late reset" not in gate.detail["broken neurons that fail"]


def test_aligned_parameters_include_all():
    for backend, algorithm in (
        ("native", "ottt-a"), ("spikingjelly-shipped", "ottt-a"), ("native", "bptt"), ("spikingjelly-memopt", "bptt"),
    ):  # fmt: skip
        net = training_step(SMALL, algorithm, backend).net
        found = equivalence.aligned_parameters(net)
        assert sorted(map(id, found)) == sorted(map(id, net.parameters()))


def test_a_gate_on_smaller_images_has_all_layers_and_weights() -> None:
    """Of a network that takes any size: fewer spikes, the same verdict; others and wrong divisors are refused."""
    network = "vgg-bn-small-0.5/cifar10"
    whole, part = (
        probes.measure(Case("tests", "equivalence", network, "bptt", "snntorch", 2, 2, options=options))[0]
        for options in ((), (("divide", 2),))
    )
    assert (whole.value, part.value) == ("pass", "pass")
    assert 4 * int(part.detail["spikes compared"]) == whole.detail["spikes compared"]  # type: ignore[call-overload]
    for divide, why in ((3, "use a divisor of height and width"), (32, "cannot take input of shape")):
        with pytest.raises(UserError, match=why):
            probes.measure(Case("tests", "equivalence", network, "bptt", "snntorch", 2, 2, options=(("divide", divide),)))
    with pytest.raises(UserError, match="use a divisor of height and width"):
        probes.measure(Case("tests", "equivalence", "otpe-3x128/randman-k25", "bptt", "snntorch", 2, 2, options=(("divide", 2),)))
