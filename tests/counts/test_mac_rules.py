"""Counting rules for MACs: every operator is counted, listed or rejected; counts by hand and by torch's counter."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from bench.counting.macs import RULES, Macs
from bench.counting.operators import REVIEWED, functional, multiplies_no_matrices
from bench.counting.tape import _is_composite, watching

aten = torch.ops.aten


def registered() -> list[Any]:
    """Return every operator of PyTorch that can reach the tape."""
    found = []
    for name in torch._C._dispatch_get_all_op_names():
        library, _, operator = name.partition("::")
        packet, _, overload = operator.partition(".")
        if library == "aten":
            found.append(getattr(getattr(aten, packet), overload or "default"))
    return found


OPERATORS = registered()


def dense(f: Callable[[], object], weights: tuple[Tensor, ...] = ()) -> dict[str, int]:
    macs = Macs(weights)
    with watching(macs):
        f()
    return {role: n for role, n in macs.dense.items() if n}


# --------------------------------------------------------------------------- the list of operators


def is_counted(op: Any) -> bool:
    return functional(str(op.overloadpacket)) in RULES


def test_operators_are_not_both_counted_and_listed() -> None:
    assert len(OPERATORS) > 2000
    both = [str(op) for op in OPERATORS if is_counted(op) and multiplies_no_matrices(op)]
    assert both == []


# Words in the names of operators that multiply, and the reviewed exceptions.
MULTIPLY = re.compile(
    r"conv|mm(_|$)|matmul|(^|_)mv(_|$)|(^|_)v?dot|linear(_|$)|attention|einsum|rnn|lstm|gru|fft|linalg|cholesky|svd|(^|_)qr|solve|inverse"
    r"|cdist|pdist|bilinear(_|$)|trilinear|embedding_bag|tensordot|addr|outer|(^|_)ger(_|$)|inner|kron|cov|matrix|det(_|$)"
    r"|grid_sampler|sampled|spmm|transformer|multi_head|segment_reduce|combination|rank|(^|_)lu(_|$)"
)
MULTIPLY_NOTHING = {
    "_convert_indices", "linalg__powsum", "linalg_vector_norm", "_thnn_fused_lstm_cell", "_thnn_fused_gru_cell",
    "_cudnn_rnn_flatten_weight", "mkldnn_reorder_conv", "_upsample_bilinear2d_aa", "slice_inverse", "upsample_trilinear3d",
}  # fmt: skip


def test_operators_named_like_products_are_counted_or_rejected() -> None:
    passed = {
        functional(str(op.overloadpacket)).removeprefix("aten.")
        for op in OPERATORS
        if not _is_composite(op) and multiplies_no_matrices(op)
    }
    doubtful = {name for name in passed if MULTIPLY.search(name)}
    assert {name for name in doubtful if not any(name.startswith(known) for known in MULTIPLY_NOTHING)} == set()


def test_operators_counted_by_torch_are_counted() -> None:
    assert {str(packet) for packet in flop_registry if str(packet).startswith("aten.")} <= set(RULES)


def test_listed_operators_exist() -> None:
    """A misspelt name would stop a probe later."""
    names = {functional(str(op.overloadpacket)) for op in OPERATORS}
    names |= {name.removesuffix("_copy") for name in names}
    assert sorted((REVIEWED | set(RULES)) - names) == []


def test_operators_of_other_libraries_are_rejected_unless_declared() -> None:
    library = torch.library.Library("spikecost_test", "DEF")
    library.define("product(Tensor a, Tensor b) -> Tensor")
    library.impl("product", lambda a, b: a @ b, "CPU")
    with pytest.raises(LookupError, match=r"spikecost_test\.product.*bench/counting/macs\.py"), watching(Macs([])):
        torch.ops.spikecost_test.product(torch.ones(2, 2), torch.ones(2, 2))


REFUSED: dict[str, Callable[[], object]] = {
    "fft": lambda: torch.fft.fft(torch.ones(4)),
    "stft": lambda: torch.stft(torch.ones(64), 16, window=torch.ones(16), return_complex=True),
    "inverse": lambda: torch.linalg.inv(torch.eye(2)),
    "cdist": lambda: torch.cdist(torch.ones(30, 2), torch.ones(30, 2)),
    "bilinear": lambda: F.bilinear(torch.ones(2, 3), torch.ones(2, 4), torch.ones(5, 3, 4)),
    "weighted bags": lambda: F.embedding_bag(
        torch.zeros(2, 3, dtype=torch.long), torch.ones(4, 5), per_sample_weights=torch.ones(2, 3), mode="sum"
    ),
    "sparse": lambda: torch.eye(3).to_sparse() @ torch.ones(3, 3),
    "complex": lambda: torch.ones(2, 2, dtype=torch.complex64) @ torch.ones(2, 2, dtype=torch.complex64),
    "convolution of sequences": lambda: aten.conv_tbc(torch.ones(4, 2, 3), torch.ones(3, 3, 5), torch.ones(5)),
}


@pytest.mark.parametrize("f", REFUSED.values(), ids=REFUSED)
def test_operator_without_a_rule_raises_an_error_with_the_file_to_edit(f: Callable[[], object]) -> None:
    with pytest.raises(LookupError, match=r"no counting rule for operator .*bench/counting/macs\.py"), watching(Macs([])):
        f()


# --------------------------------------------------------------------------- convolutions

CONVOLUTIONS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "1-d": (lambda: nn.Conv1d(3, 4, 5, padding=2), (2, 3, 9)),
    "2-d": (lambda: nn.Conv2d(3, 4, 3, padding=1), (2, 3, 6, 5)),
    "3-d": (lambda: nn.Conv3d(2, 4, 3), (2, 2, 5, 6, 7)),
    "strided": (lambda: nn.Conv2d(3, 4, 3, stride=2), (2, 3, 8, 9)),
    "dilated": (lambda: nn.Conv2d(3, 4, 3, dilation=2), (2, 3, 8, 9)),
    "grouped": (lambda: nn.Conv2d(4, 6, 3, groups=2), (2, 4, 6, 5)),
    "depthwise": (lambda: nn.Conv2d(4, 8, 3, groups=4), (2, 4, 6, 5)),
    "transposed": (lambda: nn.ConvTranspose2d(3, 4, 3), (2, 3, 4, 5)),
    "transposed 1-d": (lambda: nn.ConvTranspose1d(3, 4, 3, stride=2), (2, 3, 7)),
    "transposed 3-d": (lambda: nn.ConvTranspose3d(2, 3, 2, stride=2, output_padding=1), (2, 2, 3, 4, 3)),
    "transposed, grouped": (lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), (2, 4, 4, 5)),
}


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions_by_hand_and_by_torchs_counter(name: str, device: str) -> None:
    """Products: elements of the output (transposed: of the input) times kernel size times channels of a group.

    torch's counter ignores groups in the weight gradient, so with groups only the count by hand is compared.
    """
    make, shape = CONVOLUTIONS[name]
    module = make().to(device)
    weight, groups = module.weight, int(module.groups)  # type: ignore[arg-type]
    x = torch.ones(shape, device=device, requires_grad=True)
    out = module(x)
    meets = x if "transposed" in name else out
    by_hand = meets.numel() * weight[0].numel()  # type: ignore[index]

    def step() -> None:
        module(x).sum().backward()

    assert dense(step) == {"forward": by_hand, "error to input": by_hand, "error to weight": by_hand}
    with FlopCounterMode(display=False) as counter:
        step()
    assert counter.get_total_flops() == 2 * by_hand * (2 + groups)
    with torch.no_grad():
        assert dense(lambda: module(x)) == {"forward": by_hand}


def test_convolution_counts_only_requested_gradients() -> None:
    module = nn.Conv2d(3, 4, 3)
    x = torch.ones(2, 3, 5, 5)
    by_hand = 2 * 4 * 9 * 27
    assert dense(lambda: module(x).sum().backward()) == {"forward": by_hand, "error to weight": by_hand}
    module.weight.requires_grad_(False)
    x.requires_grad_()
    assert dense(lambda: module(x).sum().backward()) == {"forward": by_hand, "error to input": by_hand}


def test_transposed_convolution_of_spikes_has_no_multiplications() -> None:
    module, spikes = nn.ConvTranspose2d(3, 2, 4), torch.ones(1, 3, 3, 3)
    macs = Macs([module.weight])
    macs.mark_spikes([spikes])
    with torch.no_grad(), watching(macs):
        module(spikes)
    assert (macs.dense["forward"], macs.multiplications["forward"]) == (27 * 2 * 16, 0)  # 864


# --------------------------------------------------------------------------- matrices and vectors

a, b = torch.ones(3, 4), torch.ones(4, 5)
batched, other = torch.ones(6, 3, 4), torch.ones(6, 4, 5)

PRODUCTS: dict[str, tuple[Callable[[], object], int]] = {
    "mm": (lambda: a @ b, 60),
    "mm, written into another": (lambda: torch.mm(a, b, out=torch.ones(3, 5)), 60),
    "addmm": (lambda: torch.addmm(torch.ones(5), a, b), 60),
    "addmm in place": (lambda: torch.ones(3, 5).addmm_(a, b), 60),
    "bmm": (lambda: batched @ other, 360),
    "baddbmm": (lambda: torch.baddbmm(torch.ones(3, 5), batched, other), 360),
    "addbmm": (lambda: torch.addbmm(torch.ones(3, 5), batched, other), 360),
    "broadcast matmul": (lambda: torch.ones(2, 6, 3, 4) @ b, 720),
    "mv": (lambda: a @ torch.ones(4), 12),
    "addmv": (lambda: torch.addmv(torch.ones(3), a, torch.ones(4)), 12),
    "dot": (lambda: torch.dot(torch.ones(7), torch.ones(7)), 7),
    "vdot": (lambda: torch.vdot(torch.ones(7), torch.ones(7)), 7),
    "addr": (lambda: torch.addr(torch.ones(3, 4), torch.ones(3), torch.ones(4)), 12),
    "linear": (lambda: F.linear(torch.ones(2, 6, 4), torch.ones(5, 4), torch.ones(5)), 240),
    "einsum": (lambda: torch.einsum("bij,bjk->bik", batched, other), 360),
    "tensordot": (lambda: torch.tensordot(a, b, 1), 60),
    "inner": (lambda: torch.inner(a, torch.ones(5, 4)), 60),
    "chain": (lambda: torch.linalg.multi_dot([a, b, torch.ones(5, 2)]), 40 + 24),
    "integers": (lambda: torch._int_mm(torch.ones(32, 16, dtype=torch.int8), torch.ones(16, 8, dtype=torch.int8)), 4096),
    "covariance": (lambda: torch.cov(a), 3 * 3 * 4),
}


@pytest.mark.parametrize("inference", [False, True], ids=["no grad", "inference mode"])
@pytest.mark.parametrize("name", PRODUCTS)
def test_products_by_hand(name: str, inference: bool) -> None:
    f, by_hand = PRODUCTS[name]
    with torch.inference_mode(inference), torch.no_grad():
        assert dense(f) == {"forward": by_hand}
        with FlopCounterMode(display=False) as counter:
            f()
    if counter.get_total_flops():  # 0 if it has no rule
        assert counter.get_total_flops() == 2 * by_hand


@pytest.mark.parametrize("module", [nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(3, 4, 3)], ids=["convolution", "transposed"])
def test_layer_in_inference_mode_has_the_same_count(module: nn.Module) -> None:
    x = torch.ones(2, 3, 5, 5)
    with torch.no_grad():
        elsewhere = dense(lambda: module(x))
    with torch.inference_mode():
        assert dense(lambda: module(x)) == elsewhere


def test_product_written_over_spikes_is_not_spikes() -> None:
    macs = Macs([])
    s = torch.ones(3, 5)
    macs.mark_spikes([s])
    with watching(macs):
        s.addmm_(a, b)
    assert not macs.is_spikes(s)


# --------------------------------------------------------------------------- attention

B, HEADS, L, S, E, EV = 2, 3, 5, 7, 8, 8


def heads(n: int, features: int, device: str = "meta", first: int = 2) -> Tensor:
    shape = (B, HEADS, n, features) if first == 2 else (B, n, HEADS, features)
    return torch.ones(shape, device=device)


FORWARD = B * HEADS * L * S * (E + EV)
BACKWARD = {"recomputation": B * HEADS * L * S * E, "error to input": B * HEADS * L * S * (2 * E + 2 * EV)}


def test_attention_on_a_cpu_by_hand() -> None:
    q, k, v = (heads(n, E, "cpu").requires_grad_() for n in (L, S, S))
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        assert dense(lambda: F.scaled_dot_product_attention(q, k, v).sum().backward()) == {"forward": FORWARD, **BACKWARD}
    with sdpa_kernel(SDPBackend.MATH):
        plain = dense(lambda: F.scaled_dot_product_attention(q, k, v).sum().backward())
    assert plain["forward"] == FORWARD
    assert sum(plain.values()) == FORWARD + BACKWARD["error to input"]  # the scores are saved for backward, not recomputed


ATTENTION: dict[str, tuple[int, Callable[[Tensor, Tensor, Tensor], Any]]] = {
    "flash": (2, lambda q, k, v: aten._scaled_dot_product_flash_attention(q, k, v)),
    "efficient": (2, lambda q, k, v: aten._scaled_dot_product_efficient_attention(q, k, v, None, True)),
    "cudnn": (2, lambda q, k, v: aten._scaled_dot_product_cudnn_attention(q, k, v, None, True)),
}


@pytest.mark.parametrize("name", ATTENTION)
def test_attention_on_a_gpu_by_hand_and_by_torchs_counter(name: str) -> None:
    first, run = ATTENTION[name]
    q, k, v = heads(L, E, first=first), heads(S, E, first=first), heads(S, EV, first=first)
    assert dense(lambda: run(q, k, v)) == {"forward": FORWARD}
    with FlopCounterMode(display=False) as counter:
        run(q, k, v)
    assert counter.get_total_flops() == 2 * FORWARD


def rule(name: str, outputs: list[Tensor], **arguments: Any) -> dict[str | None, int]:
    """Apply a rule to arguments, for operators that do not run on a CPU."""
    found: dict[str | None, int] = {}
    for product in RULES[f"aten.{name}"](arguments, outputs):
        found[product.role] = found.get(product.role, 0) + product.macs
    return found


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("_scaled_dot_product_flash_attention_backward", 2), ("_scaled_dot_product_efficient_attention_backward", 2),
        ("_scaled_dot_product_cudnn_attention_backward", 2), ("_flash_attention_backward", 1),
        ("_efficient_attention_backward", 1),
    ],
)  # fmt: skip
def test_attention_backward_by_hand_and_by_torchs_formula(name: str, first: int) -> None:
    q, k, v, g = heads(L, E, first=first), heads(S, E, first=first), heads(S, EV, first=first), heads(L, EV, first=first)
    assert rule(name, [q, k, v], grad_out=g, query=q, key=k, value=v) == BACKWARD
    formula = flop_registry[aten._scaled_dot_product_flash_attention_backward]
    swapped = [t.transpose(1, 2) if first == 1 else t for t in (g, q, k, v)]
    assert formula(*swapped, out_val=tuple(swapped[1:])) == 2 * sum(BACKWARD.values())


def test_attention_over_packed_sequences_is_rejected() -> None:
    q = torch.ones(10, HEADS, E)
    with pytest.raises(LookupError, match="packed sequences"):
        rule("_flash_attention_forward", [q], query=q, key=q, value=q, cum_seq_q=torch.tensor([0, 4, 10]))


# --------------------------------------------------------------------------- recurrent layers

T, IN, H = 5, 3, 4
GATES = {nn.LSTM: 4, nn.GRU: 3, nn.RNN: 1}


def matrices(kind: type[nn.RNNBase], layers: int, both: bool) -> int:
    """Return the number of elements of all weight matrices, by hand."""
    directions = 2 if both else 1
    return sum(directions * GATES[kind] * H * ((IN if layer == 0 else directions * H) + H) for layer in range(layers))


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("both", [False, True], ids=["one way", "both ways"])
@pytest.mark.parametrize("layers", [1, 2], ids=["one layer", "two layers"])
@pytest.mark.parametrize("kind", GATES, ids=lambda kind: kind.__name__)
def test_recurrent_layers_by_hand(kind: type[nn.RNNBase], layers: int, both: bool, device: str) -> None:
    net = kind(IN, H, layers, bidirectional=both, device=device)
    x = torch.ones(T, B, IN, device=device)
    by_hand = T * B * matrices(kind, layers, both)
    with torch.no_grad():
        assert dense(lambda: net(x)) == {"forward": by_hand}
    step = dense(lambda: net(x)[0].sum().backward(), tuple(net.parameters()))
    assert step["forward"] == by_hand
    assert step["error to weight"] == by_hand
    # A fused layer computes all errors; separate operators only requested ones, which excludes x and the first state.
    assert 0 < step["error to input"] <= by_hand


@pytest.mark.parametrize("both", [False, True], ids=["one way", "both ways"])
def test_recurrent_layers_on_a_gpu_by_hand(both: bool) -> None:
    net = nn.LSTM(IN, H, 2, bidirectional=both)
    x, out = torch.ones(T, B, IN), torch.ones(T, B, 2 * H if both else H)
    told: dict[str, Any] = {"input": x, "weight": list(net.parameters()), "weight_stride0": 4, "bidirectional": both}
    by_hand = T * B * matrices(nn.LSTM, 2, both)
    assert rule("_cudnn_rnn", [out], **told) == {None: by_hand}
    wanted = {"output": out, "output_mask": [True, True, True, True]}
    assert rule("_cudnn_rnn_backward", [], **told, **wanted) == {"error to input": by_hand, "error to weight": by_hand}
    wanted["output_mask"] = [True, True, True, False]
    assert rule("_cudnn_rnn_backward", [], **told, **wanted) == {"error to input": by_hand}


def test_recurrent_layer_has_no_multiplications_where_it_reads_spikes() -> None:
    net, spikes = nn.LSTM(IN, H), torch.ones(T, B, IN)
    macs = Macs(net.parameters())
    macs.mark_spikes([spikes])
    with torch.no_grad(), watching(macs):
        net(spikes)
    assert macs.dense["forward"] == T * B * 4 * H * (IN + H)
    assert macs.multiplications["forward"] == T * B * 4 * H * H
