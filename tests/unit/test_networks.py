"""Networks as data: sizes stated in the papers, and each layer compared with a loop written by hand."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench import backends, zoo
from bench.errors import UserError
from bench.kernels.lif import lif
from bench.nets.build import Network, build
from bench.nets.layers import ConvSynapse, Neurons
from bench.spec import BatchNorm, Conv, Dense, Flatten, Gain, Layer, NetworkSpec, NeuronSpec, Residual, Scale
from bench.zoo.nf_resnet import ALPHA
from bench.zoo.vgg import GAMMA

NATIVE = backends.load("native")

STATED = {
    "vgg-sws/cifar10": 9_228_362,
    "vgg-sws/cifar100": 9_274_532,
    "vgg-sws/dvs-gesture": 9_228_299,
    "vgg-f/cifar100": 9_569_508,
    "nf-resnet34/imagenet": 21_797_688,
    "nf-resnet34-sltt/imagenet": 21_797_688,
    "nf-resnet50-sltt/imagenet": 25_557_048,
    "nf-resnet101-sltt/imagenet": 44_549_193,
    "resnet18/cifar10": 11_176_906,
    "resnet18/cifar100": 11_223_076,
    "vgg11-bn/cifar10-dvs": 9_476_298,
    "vgg11-bn/dvs-gesture": 9_501_387,
    "otpe-3x128/randman-k25": 24_330,
    "otpe-3x256/randman-k10": 81_418,
    "otpe-5x128/randman-k25": 57_354,
    "otpe-3x128/shd-k25": 108_820,
    "otpe-3x384/shd-k10": 424_724,
    "otpe-3x512/shd-k25": 631_828,
}


def small(*layers: Layer, shape=(2, 8, 8), classes: int, parameters: int) -> NetworkSpec:
    return NetworkSpec("small", shape, classes, layers, NeuronSpec(), parameters, "this test")


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# --------------------------------------------------------------------------- sizes


@pytest.mark.parametrize("name", sorted(STATED))
def test_parameter_counts_equal_the_papers(name):
    net = build(zoo.spec(name), NATIVE, "meta")
    assert sum(p.numel() for p in net.parameters()) == STATED[name]


def test_vgg_parameters_by_hand():
    """9 weights per pair of channels, a gain and a bias per output channel; a dense readout."""
    widths = [3, 64, 128, 256, 256, 512, 512, 512, 512]
    convolutions = sum(9 * a * b + 2 * b for a, b in itertools.pairwise(widths))
    assert convolutions + 512 * 10 + 10 == STATED["vgg-sws/cifar10"]


@pytest.mark.sampled(every=3)
@pytest.mark.parametrize("name", zoo.names())
def test_every_network_builds_and_returns_one_score_per_class(name):
    spec = zoo.spec(name)
    net = build(spec, NATIVE, "meta")
    x = torch.empty(2, 3, *spec.input, device="meta")
    outs, state = net.window(x, net.initial_state(3))
    assert outs.shape == (2, 3, spec.classes)
    assert bool(net.spiking()) is not name.startswith("vgg-sws-ann")
    assert len(net.neurons()) == spec.neuron_layers
    net.window(x, state)


def test_build_rejects_a_wrong_parameter_count_and_names_both():
    spec = replace(zoo.spec("vgg-sws/cifar10"), parameters=9_228_363)
    with pytest.raises(ValueError, match=r"9228362 .*9228363"):
        build(spec, NATIVE, "meta")


def test_build_rejects_layers_that_do_not_end_in_the_classes():
    with pytest.raises(ValueError, match=r"\(4,\).*\(5,\)"):
        build(small(Flatten(), Dense(4), classes=5, parameters=128 * 4 + 4), NATIVE)


def test_spec_suggests_close_names():
    with pytest.raises(UserError, match="vgg-sws/cifar10"):
        zoo.spec("vgg-sws/cifar-10")


def test_reset_parameters_gives_equal_weights_on_every_backend():
    nets = []
    for name in backends.names():
        if backends.available(name) and not hasattr(backends.load(name), "shipped"):
            net = build(zoo.spec("vgg-sws-small/cifar10"), backends.load(name))
            net.reset_parameters(5)
            nets.append([p.detach().clone() for p in net.parameters()])
            net.reset_parameters(6)
            assert not torch.equal(nets[-1][0], next(iter(net.parameters())))
    for other in nets[1:]:
        assert all(torch.equal(a, b) for a, b in zip(nets[0], other, strict=True))


# --------------------------------------------------------------------------- layers against formulas


def test_scaled_weight_standardisation_by_hand():
    synapse = ConvSynapse(Conv(3, standardised=True), 2, "analog").double()
    synapse.reset_parameters(torch.Generator().manual_seed(0))
    torch.testing.assert_close(synapse.gain.flatten(), torch.ones(3, dtype=torch.float64))
    with torch.no_grad():
        synapse.gain.copy_(torch.tensor([1.0, -0.5, 2.0]).view(3, 1, 1, 1))
        synapse.weight.add_(0.3)
    W, N = synapse.weight.detach().flatten(1), 2 * 3 * 3
    for i, row in enumerate(W):
        mean = sum(row) / N
        variance = sum((w - mean) ** 2 for w in row) / (N - 1)
        expected = synapse.gain.flatten()[i] * (row - mean) / (variance * N + 1e-4) ** 0.5
        torch.testing.assert_close(synapse.effective_weight()[i].flatten(), expected)


def test_gain_normalises_the_variance_of_spikes():
    """2.74 = 1 / sqrt(p (1 - p)) with p = P(N(0, 1) > 1)."""
    p = 0.5 * torch.erfc(torch.tensor(0.5, dtype=torch.float64).sqrt())
    assert pytest.approx(float((p * (1 - p)) ** -0.5), abs=5e-3) == GAMMA


def test_batch_norm_uses_statistics_per_step():
    spec = small(BatchNorm(), Flatten(), Dense(2), classes=2, parameters=4 + 128 * 2 + 2)
    net = build(spec, NATIVE)
    net.reset_parameters(0)
    x = random(3, 4, 2, 8, 8) * torch.tensor([1.0, 5.0, 0.1]).view(3, 1, 1, 1, 1)
    layer = net.body.layers[0]
    y, _ = layer(x, None)
    expected, running = [], torch.zeros(2)
    for x_t in x:
        mean, variance = x_t.mean((0, 2, 3)), x_t.var((0, 2, 3), unbiased=False)
        expected.append((x_t - mean.view(2, 1, 1)) / (variance.view(2, 1, 1) + layer.eps).sqrt())
        running = 0.9 * running + 0.1 * mean
    torch.testing.assert_close(y, torch.stack(expected), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(layer.running_mean, running)
    single, _ = layer(x[:1], None)
    torch.testing.assert_close(single[0], y[0])


def test_residual_block_by_hand():
    """y = body(a) + shortcut(a), or + x without a shortcut, with a = pre(x)."""
    pre, body = (Scale(0.5),), (Scale(3.0), Gain(ALPHA, init=2.0))
    tail = (Flatten(), Dense(2))
    x = random(1, 3, 2, 8, 8)
    plain = build(small(Residual(pre, body), *tail, classes=2, parameters=1 + 258), NATIVE)
    side = build(small(Residual(pre, body, (Scale(7.0),), "activated"), *tail, classes=2, parameters=1 + 258), NATIVE)
    for net in (plain, side):
        net.reset_parameters(0)
    torch.testing.assert_close(plain.body.layers[0](x, None)[0], 0.5 * x * 3 * 0.2 * 2 + x)
    torch.testing.assert_close(side.body.layers[0](x, None)[0], 0.5 * x * 3 * 0.2 * 2 + 7 * 0.5 * x)


def test_nf_resnet_betas_equal_the_fact_sheet():
    """The expected standard deviation of each block's input, by stage."""
    stages = [
        [1, 1.0198, 1.0392], [1.0583, 1.0198, 1.0392, 1.0583],
        [1.0770, 1.0198, 1.0392, 1.0583, 1.0770, 1.0954], [1.1136, 1.0198, 1.0392],
    ]  # fmt: skip
    blocks = [layer for layer in zoo.spec("nf-resnet34/imagenet").layers if isinstance(layer, Residual)]
    betas = [1 / block.pre[0].factor for block in blocks]
    assert betas == pytest.approx([beta for stage in stages for beta in stage], abs=5e-5)
    assert [bool(block.shortcut) for block in blocks] == [False] * 3 + [True] + [False] * 3 + [True] + [False] * 5 + [
        True, False, False,
    ]  # fmt: skip


# --------------------------------------------------------------------------- neuron dropout


def dropped(x: Tensor, layer: Neurons) -> Tensor:
    torch.manual_seed(3)
    y, _ = layer(x, None)
    return y


def test_neuron_dropout_draws_one_mask_for_all_steps():
    spec = NeuronSpec(decay=0.0)
    x = torch.full((6, 50, 40), 2.0)  # every neuron fires at every step
    y = dropped(x, Neurons(NATIVE.neurons(spec), spec, 0.3).train())
    assert y.unique().tolist() == pytest.approx([0.0, 1 / 0.7])
    assert all(torch.equal(y[0], y_t) for y_t in y)
    assert (y[0] == 0).float().mean() == pytest.approx(0.3, abs=0.04)


def test_neuron_dropout_mask_is_part_of_the_state():
    layer = Neurons(NATIVE.neurons(NeuronSpec(decay=0.0)), NeuronSpec(decay=0.0), 0.5).train()
    x = torch.full((1, 4, 100), 2.0)
    first, state = layer(x, None)
    second, _ = layer(x, state)
    assert torch.equal(first, second)
    other, _ = layer(x, None)
    assert not torch.equal(first, other)


def test_neuron_dropout_masks_spikes_but_not_the_membrane_potential():
    layer = Neurons(NATIVE.neurons(NeuronSpec()), NeuronSpec(), 0.5)
    x = random(5, 4, 100) + 0.5
    s, v = lif(x, None, NeuronSpec())
    torch.manual_seed(0)
    y, (after, mask) = layer.train()(x, None)
    torch.testing.assert_close(after, v)
    torch.testing.assert_close(y, s * mask)
    assert 0 < (mask == 0).float().mean() < 1


def test_neuron_dropout_is_off_in_evaluation():
    x = random(5, 4, 100) + 0.5
    y = dropped(x, Neurons(NATIVE.neurons(NeuronSpec()), NeuronSpec(), 0.5).eval())
    assert torch.equal(y, lif(x, None, NeuronSpec())[0])


# --------------------------------------------------------------------------- feedback


@pytest.fixture
def feedback(lively) -> tuple[Network, Tensor]:
    """VGG-F with random feedback weights (their initial values are zero)."""
    net = build(zoo.spec("vgg-f/cifar100"), NATIVE)
    net.reset_parameters(0)
    x, _ = lively(net, 4, 1)
    return net.eval(), 2 * x


@torch.no_grad()
def test_vgg_f_equals_a_loop_by_hand(feedback):
    """First layer's current + feedback convolution of the last step's feature map, enlarged 8 times; none at t = 0."""
    net, x = feedback
    loop, *head = net.body.layers
    first, *rest = loop.body.layers
    (entry,), (back,) = loop.entry.layers, loop.feedback.layers
    outs, states, y = [], [None] * len(rest), None
    v = None
    for x_t in x:
        current = F.conv2d(x_t, entry.effective_weight(), entry.bias, padding=1)
        if y is not None:
            enlarged = y.repeat_interleave(8, 2).repeat_interleave(8, 3)
            current = current + F.conv2d(enlarged, back.weight, back.bias, padding=1)
        s, v = lif(current[None], v, net.spec.neuron)
        h = s
        for i, layer in enumerate(rest):
            h, states[i] = layer(h, states[i])
        y = h[0]
        assert y.shape[1:] == (512, 4, 4)
        outs.append(y.mean((2, 3)) @ head[-1].weight.t() + head[-1].bias)
    assert isinstance(first, Neurons)
    assert float(y.abs().sum()) > 0
    got, _ = net.window(x, None)
    torch.testing.assert_close(got, torch.stack(outs), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_feedback_starts_at_the_second_step(feedback):
    net, x = feedback
    with_feedback, _ = net.window(x, None)
    for p in net.body.layers[0].feedback.parameters():
        p.zero_()
    without, _ = net.window(x, None)
    assert torch.equal(with_feedback[0], without[0])
    assert not torch.allclose(with_feedback[-1], without[-1])


def test_feedback_weights_start_at_zero():
    net = build(zoo.spec("vgg-f/cifar100"), NATIVE)
    net.reset_parameters(0)
    assert all(not p.any() for p in net.body.layers[0].feedback.parameters())


@torch.no_grad()
def test_r400_equals_a_loop_by_hand(lively):
    net = build(zoo.spec("r400/fashion-mnist"), NATIVE)
    net.reset_parameters(0)
    x, _ = lively(net, 4, 2)
    _, loop, readout = net.body.layers
    (entry,), (back,) = loop.entry.layers, loop.feedback.layers
    outs, v, s = [], 0.0, None
    for x_t in x:
        u = 0.5 * v + x_t.flatten(1) @ entry.weight.t() + entry.bias
        if s is not None:
            u = u + s @ back.weight.t() + back.bias
        s = (u >= 1).float()
        v = u - s
        outs.append(s @ readout.weight.t() + readout.bias)
    got, _ = net.window(x, None)
    torch.testing.assert_close(got, torch.stack(outs), rtol=1e-4, atol=1e-4)
