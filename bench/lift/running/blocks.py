"""A user's chain in blocks that learn from losses of their own, as bench/algorithms/blocks.py cuts the catalogue's networks.

Without names, blocks have b layers of neurons by the rule of that file; with names, each block ends with the part that is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor

from bench.algorithms.blocks import CLASSIFIERS, BlockNetwork, Part, parts
from bench.algorithms.packed_output import PackedOutput
from bench.errors import UserError, choose
from bench.lift import frameworks
from bench.lift.recognition.chain import Link
from bench.lift.recognition.origins import SYNAPSES
from bench.lift.recognition.parts import dtype_of
from bench.lift.running.links import layers_of
from bench.nets import layers as m
from bench.nets.build import Network
from bench.spec import Dense, Flatten, Layer, NeuronSpec, Residual, Scale, Spike

_NEURON = NeuronSpec()  # where only the place of neurons counts


def cut(module: nn.Module, links: Sequence[Link], b: int, ends: Sequence[str] | None) -> list[Part]:
    """Return the ranges of links that form the blocks. Raises UserError if they cannot be trained apart."""
    found = parts([_as_data(module, link) for link in links], b) if ends is None else _named(links, ends)
    _require_own_parameters(module, links, found)
    return found


def block_network(
    module: nn.Module, links: Sequence[Link], blocks: list[Part], once: bool, classes: int, classifier: str
) -> BlockNetwork:
    """Return a network of these blocks, with an auxiliary classifier after each block but the last.

    The weights of the classifiers are drawn with torch's own generator, so that its seed decides them.
    """
    make = CLASSIFIERS[choose("classifier", classifier, CLASSIFIERS)]
    layers = layers_of(module, links, once)
    weight = next(module.parameters())
    shapes = [_readable(links[end - 1]) for _, end in blocks[:-1]]
    mode: AbstractContextManager[object] = weight.fake_mode if isinstance(weight, FakeTensor) else nullcontext()
    with mode, torch.device(weight.device):
        heads = [make(shape, classes) for shape in shapes]
    if dtype_of(module) != torch.get_default_dtype():  # fake tensors, which count mixed precision, cannot be converted in place
        heads = [head.to(dtype_of(module)) for head in heads]
    net = BlockNetwork(Network(None, m.Chain(layers), layerwise=not once), blocks, heads)  # type: ignore[arg-type]
    levels = [_levels(module, link) for link in links]
    net.packed = nn.ModuleList(PackedOutput(levels[slice(*part)]) for part in blocks)
    if not (weight.is_meta or isinstance(weight, FakeTensor)):
        _draw(net.classifiers, weight.device)
    return net


def _draw(classifiers: nn.Module, device: torch.device) -> None:
    """Draw the weights on the CPU, so that every device gets the same."""
    generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
    classifiers.to("cpu")
    for module in classifiers.modules():
        reset = getattr(module, "reset_parameters", None)
        if reset is not None:
            reset(generator)
    classifiers.to(device)


def _readable(link: Link) -> tuple[int, ...]:
    if len(link.shape) not in (1, 3):
        raise UserError(
            f"{link.name} ends a block with outputs of shape {link.shape}, and classifiers read features, or maps (channels, "
            "height, width): end blocks elsewhere"
        )
    return link.shape


# --------------------------------------------------------------------------- where blocks end


def _as_data(module: nn.Module, link: Link) -> Layer:
    """Return a layer that the rule of blocks takes for this link: what begins a block, and what has neurons."""
    if link.function is not None:
        return Flatten() if getattr(link.function, "func", None) is torch.flatten else Scale(1.0)
    part = module.get_submodule(link.path)
    neurons = [path for adapter in frameworks.of(part) for path in adapter.neurons(part)]
    if "" in neurons:
        return Spike(_NEURON)
    if any(isinstance(each, SYNAPSES) for each in part.modules()):
        return Residual((), (Spike(_NEURON),) * len(neurons)) if neurons else Dense(1)
    if neurons:
        return Residual((), (Spike(_NEURON),) * len(neurons))
    return Flatten() if isinstance(part, nn.Flatten) else Scale(1.0)


def _named(links: Sequence[Link], ends: Sequence[str]) -> list[Part]:
    """Return the ranges that end with the named parts; what follows the last of them is one more block."""
    if isinstance(ends, str) or not ends:
        raise UserError(f"blocks = {ends!r}: give the names of the last parts of the blocks, e.g. ['conv1', 'layer1.0']")
    edges = [0]
    for name in ends:
        inside = [i for i, link in enumerate(links) if f"{link.path}.".startswith(f"{name}.") and link.function is None]
        if not inside:
            choose("block", name, [link.path for link in links if link.function is None])
            raise UserError(f"blocks: {name} is not a part of the chain")
        if inside[-1] + 1 <= edges[-1]:
            raise UserError(f"blocks = {list(ends)!r}: {name} does not come after the part before it; name them in their order")
        edges.append(inside[-1] + 1)
    if edges[-1] < len(links):
        edges.append(len(links))
    return list(pairwise(edges))


def _require_own_parameters(module: nn.Module, links: Sequence[Link], blocks: Sequence[Part]) -> None:
    """Raise UserError if a block has no weights of its own to learn, or shares weights with another."""
    owner: dict[int, tuple[int, str]] = {}
    for i, part in enumerate(blocks):
        learns = False
        for link in links[slice(*part)]:
            inside = [] if link.function is not None else module.get_submodule(link.path).named_parameters(remove_duplicate=False)
            for name, parameter in inside:
                path = f"{link.path}.{name}"
                block, former = owner.setdefault(id(parameter), (i, path))
                if block != i:
                    raise UserError(
                        f"{former} and {path} are one parameter in two blocks, which learn from different losses: end blocks so "
                        "that one has both, or use weights of its own"
                    )
                learns |= parameter.requires_grad
        if not learns:
            raise UserError(
                f"the block of {links[part[0]].name} to {links[part[1] - 1].name} has no weights to train: end blocks elsewhere"
            )


# --------------------------------------------------------------------------- the levels of an output


def _levels(module: nn.Module, link: Link) -> nn.Module:
    """Return a layer of the catalogue whose output has as many levels, for the packing of a block's output."""
    other = m.Rectified()  # any number of levels
    if link.function is not None:
        return m.Scaled(1.0) if getattr(link.function, "func", None) is torch.flatten else other
    part = module.get_submodule(link.path)
    for adapter in frameworks.of(part):
        if adapter.neurons(part).get("") is part:
            return m.Neurons(nn.Identity(), _NEURON, 0.0) if adapter.emits_ones(part) else other
    if isinstance(part, nn.AvgPool2d) and part.divisor_override is None and not part.ceil_mode:
        size, stride, padding = (_square(value) for value in (part.kernel_size, part.stride, part.padding))
        return m.AvgPool(size, stride, padding) if size and stride and padding is not None else other
    return m.Scaled(1.0) if isinstance(part, (nn.Flatten, nn.Identity, nn.MaxPool2d)) else other


def _square(value: object) -> int | None:
    sizes = set(value) if isinstance(value, tuple) else {value}
    size = sizes.pop()
    return size if not sizes and isinstance(size, int) else None
