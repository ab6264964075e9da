"""Reviewed list of PyTorch operators that multiply no matrices. macs.py rejects operators that it neither counts nor finds here.

An operator is listed if none of its outputs is a contraction, a sum of products of elements of two tensors: it moves or creates
data, works element-wise (which counts in neither convention, see macs.py), reduces, pools, interpolates or normalises one
tensor, or compares an output with a target. Element-wise operators with PyTorch's tag ``pointwise`` are recognised by it and need
not be listed. Names are those of the functional form; they include the in-place form (``x_``), the list form (``_foreach_x``) and
the copying form of a view (``x_copy``).
"""

from __future__ import annotations

from functools import cache

import torch
from torch._ops import OpOverload

CREATES = """
arange bartlett_window blackman_window complex empty empty_like empty_permuted empty_strided eye from_file full full_like
hamming_window hann_window kaiser_window linspace logspace new_empty new_empty_strided new_full new_ones new_zeros ones ones_like
polar range scalar_tensor tril_indices triu_indices zeros zeros_like _efficientzerotensor _new_zeros_with_same_feature_meta
bernoulli binomial cauchy exponential geometric log_normal multinomial normal normal_functional poisson rand rand_like randint
randint_like randn randn_like random randperm uniform _standard_gamma _sample_dirichlet _fused_dropout native_dropout
_cudnn_init_dropout_state rrelu_with_noise rrelu_with_noise_functional
"""

MOVES_DATA = """
_chunk_cat _copy_from _copy_from_and_resize _index_put_impl _lazy_clone _local_scalar_dense _pack_padded_sequence _pin_memory
_reshape_copy _resize_output _stack _to_copy _unsafe_index _unsafe_index_put _unsafe_masked_index
_unsafe_masked_index_put_accumulate _unsafe_view as_strided as_strided_scatter block_diag cat channel_shuffle col2im
constant_pad_nd copy detach diag_embed diagonal diagonal_backward diagonal_scatter embedding embedding_dense_backward fill flip
gather im2col index index_add index_copy index_fill index_put index_reduce index_select lift masked_fill masked_scatter
masked_scatter_backward masked_select narrow permute pixel_shuffle pixel_unshuffle put reflection_pad1d reflection_pad1d_backward
reflection_pad2d reflection_pad2d_backward reflection_pad3d reflection_pad3d_backward repeat repeat_interleave replication_pad1d
replication_pad1d_backward replication_pad2d replication_pad2d_backward replication_pad3d replication_pad3d_backward resize
resize_as roll rot90 scatter scatter_add scatter_reduce select select_backward select_scatter set slice_backward slice_scatter
split split_with_sizes squeeze stack swapaxes swapdims t take transpose tril triu unbind unfold_backward unsafe_split
unsafe_split_with_sizes unsqueeze where zero record_stream _mkldnn_reshape _mkldnn_transpose mkldnn_reorder_conv2d_weight
mkldnn_reorder_conv3d_weight to_mkldnn _to_dense _cudnn_rnn_flatten_weight
"""

INSPECTS = """
_assert_async _assert_scalar _assert_tensor_metadata _functional_assert_async _functional_assert_scalar _has_same_storage_numel
_is_all_true _is_any_true _print allclose bucketize bincount histc histogram is_pinned is_same_size is_set_to isin nonzero
nonzero_static searchsorted sym_constrain_range sym_constrain_range_for_size unique_consecutive unique_dim unique_dim_consecutive
_unique _unique2 _fused_sdp_choice _use_cudnn_ctc_loss _use_miopen_ctc_loss hash_tensor
"""

ELEMENTWISE = """
_add_relu _amp_foreach_non_finite_check_and_unscale _amp_update_scale _conj_physical _fused_adagrad _fused_adam _fused_adamw
_fused_sgd _masked_scale _prelu_kernel _prelu_kernel_backward _standard_gamma_grad _thnn_fused_gru_cell
_thnn_fused_gru_cell_backward _thnn_fused_lstm_cell _thnn_fused_lstm_cell_backward_impl __irshift__ elu_backward floor_divide glu
glu_backward glu_backward_jvp glu_jvp hardshrink_backward hardsigmoid_backward hardswish hardswish_backward hardtanh_backward
leaky_relu leaky_relu_backward log_sigmoid_backward log_sigmoid_forward rrelu_with_noise_backward rsub softplus_backward
softshrink_backward fake_quantize_per_channel_affine_cachemask fake_quantize_per_tensor_affine_cachemask
"""

REDUCES_ONE_TENSOR = """
log_softmax softmax _aminmax _cummax_helper _cummin_helper _logcumsumexp _log_softmax _log_softmax_backward_data _masked_softmax
_masked_softmax_backward _safe_softmax _softmax _softmax_backward_data all amax amin aminmax any argmax argmin count_nonzero
cummax cummin cumprod cumsum kthvalue linalg__powsum linalg_vector_norm logcumsumexp logsumexp max mean median min mode nanmedian
nansum norm powsum native_norm prod renorm sort std std_mean sum topk trace var var_mean
"""

POOLS_AND_INTERPOLATES = """
adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d avg_pool1d
_adaptive_avg_pool2d _adaptive_avg_pool2d_backward _adaptive_avg_pool3d _adaptive_avg_pool3d_backward adaptive_avg_pool3d_backward
adaptive_max_pool2d adaptive_max_pool2d_backward adaptive_max_pool3d adaptive_max_pool3d_backward avg_pool2d avg_pool2d_backward
avg_pool3d avg_pool3d_backward fractional_max_pool2d fractional_max_pool2d_backward fractional_max_pool3d
fractional_max_pool3d_backward max_pool2d_backward max_pool2d_with_indices max_pool2d_with_indices_backward
max_pool3d_with_indices max_pool3d_with_indices_backward max_unpool2d max_unpool3d mkldnn_adaptive_avg_pool2d
mkldnn_adaptive_avg_pool2d_backward mkldnn_max_pool2d mkldnn_max_pool2d_backward mkldnn_max_pool3d mkldnn_max_pool3d_backward
_upsample_bicubic2d_aa _upsample_bicubic2d_aa_backward _upsample_bilinear2d_aa _upsample_bilinear2d_aa_backward
_upsample_nearest_exact1d _upsample_nearest_exact1d_backward _upsample_nearest_exact2d _upsample_nearest_exact2d_backward
_upsample_nearest_exact3d _upsample_nearest_exact3d_backward upsample_bicubic2d upsample_bicubic2d_backward upsample_bilinear2d
upsample_bilinear2d_backward upsample_linear1d upsample_linear1d_backward upsample_nearest1d upsample_nearest1d_backward
upsample_nearest2d upsample_nearest2d_backward upsample_nearest3d upsample_nearest3d_backward upsample_trilinear3d
upsample_trilinear3d_backward
"""

NORMALISES = """
_batch_norm_no_update _batch_norm_with_update _batch_norm_with_update_functional _fused_rms_norm _fused_rms_norm_backward
_native_batch_norm_legit _native_batch_norm_legit_functional _native_batch_norm_legit_no_training _weight_norm_interface
_weight_norm_interface_backward batch_norm_backward batch_norm_backward_elemt batch_norm_backward_reduce batch_norm_elemt
batch_norm_gather_stats batch_norm_gather_stats_with_counts batch_norm_stats batch_norm_update_stats cudnn_batch_norm
cudnn_batch_norm_backward miopen_batch_norm miopen_batch_norm_backward native_batch_norm native_batch_norm_backward
native_group_norm native_group_norm_backward native_layer_norm native_layer_norm_backward
"""

LOSSES = """
binary_cross_entropy binary_cross_entropy_backward binary_cross_entropy_with_logits huber_loss huber_loss_backward mse_loss
mse_loss_backward multi_margin_loss multi_margin_loss_backward multilabel_margin_loss_backward multilabel_margin_loss_forward
nll_loss2d_backward nll_loss2d_forward nll_loss_backward nll_loss_forward smooth_l1_loss smooth_l1_loss_backward soft_margin_loss
soft_margin_loss_backward
"""

LISTS = (CREATES, MOVES_DATA, INSPECTS, ELEMENTWISE, REDUCES_ONE_TENSOR, POOLS_AND_INTERPOLATES, NORMALISES, LOSSES)
REVIEWED = frozenset(f"aten.{name}" for names in LISTS for name in names.split())

# Operators of other libraries, by full name: this project's neurons, one-bit packing, pooling and standardisation, and the
# profiler's marks. For SpikingJelly, whole namespaces, each of one kind of neurons or of one-bit packing; with spikecost_ before
# its name, a kind's fused operator for CPU tensors (bench/lift/frameworks/spikingjelly_ops.py).
OTHER_LIBRARIES = """
spikecost.lif_ spikecost.lif_backward_ spikecost.pack spikecost.unpack spikecost.avg_pool_backward spikecost.standardise
spikecost.standardise_backward profiler._record_function_enter profiler._record_function_enter_new profiler._record_function_exit
"""
OTHER_OPERATORS = frozenset(OTHER_LIBRARIES.split())
_NEURONS = ("sj_if", "sj_lif", "sj_plif", "sj_qif", "sj_eif", "sj_izhikevich", "sj_clif", "sj_ilif", "sj_activation_aware_if")
LIBRARIES = frozenset((*_NEURONS, *(f"spikecost_{name}" for name in _NEURONS), "sj_stbif", "sj_spike_compress"))


def functional(name: str) -> str:
    """``aten._foreach_x_``, ``aten.x_`` and ``aten.x_copy`` -> ``aten.x``."""
    library, _, operator = name.partition(".")
    operator = operator.removeprefix("_foreach_")
    if operator.endswith("_") and not operator.endswith("__"):
        operator = operator.removesuffix("_")
    return f"{library}.{operator}"


@cache
def multiplies_no_matrices(op: OpOverload) -> bool:
    """Return whether the operator (an OpOverload) is a view, tagged element-wise by PyTorch, or on the reviewed lists."""
    name = str(op.overloadpacket)
    library = name.partition(".")[0]
    if name in OTHER_OPERATORS or library in LIBRARIES or op.is_view or torch.Tag.pointwise in op.tags:
        return True
    if library != "aten":
        return False
    base = functional(name)
    return {base, base.removesuffix("_copy")} & REVIEWED != set() or _pointwise(base) or _view(base.removesuffix("_copy"))


def _pointwise(name: str) -> bool:
    return any(torch.Tag.pointwise in op.tags for op in _overloads(name))


def _view(name: str) -> bool:
    return any(op.is_view for op in _overloads(name))


def _overloads(name: str) -> list[OpOverload]:
    packet = getattr(torch.ops.aten, name.removeprefix("aten."), None)
    return [] if packet is None else [getattr(packet, overload) for overload in packet.overloads()]
