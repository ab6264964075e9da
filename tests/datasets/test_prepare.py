"""Augmentation and normalisation compared with their documented definitions."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.datasets import cifar
from bench.datasets.prepare import Cutout, Preparation

IDENTITY = {"mean": (0.0,) * 3, "std": (1 / 255,) * 3}  # prepared values equal the stored ones


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int, size: int = 32, channels: int = 3) -> torch.Tensor:
    return torch.randint(256, (count, channels, size, size), dtype=torch.uint8, generator=generator(99))


def test_cifar_preparation_is_that_of_ottt():
    p = cifar.preparation()
    assert (p.pad, p.flip, p.enlarge) == (4, 0.5, 1)
    assert p.cutout == Cutout(p=0.5, area=(0.02, 0.4), aspect=(0.4, 2.5))
    assert p.mean == (0.4914, 0.4822, 0.4465)
    assert p.std == (0.2023, 0.1994, 0.2010)


def test_normalisation_is_exact():
    x = noise(4)
    y = cifar.preparation().test(x)
    assert y.dtype == torch.float32
    for c, (m, s) in enumerate(zip((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010), strict=True)):
        assert torch.equal(y[:, c], (x[:, c].float() / 255 - torch.tensor(m)) / torch.tensor(s))


def test_crop_shifts_images_and_fills_with_zeros():
    x = noise(400).clamp(min=1)
    y = Preparation(pad=4, **IDENTITY).train(x, generator()).round().to(torch.uint8)
    padded = torch.nn.functional.pad(x, (4, 4, 4, 4))
    shifts = {
        (top, left): (y == padded[:, :, top : top + 32, left : left + 32]).flatten(1).all(1)
        for top in range(9)
        for left in range(9)
    }
    table = torch.stack(list(shifts.values()))
    assert table.sum(0).tolist() == [1] * 400  # every image is exactly one of the 81 shifts
    assert (table.sum(1) > 0).sum() > 70  # 400 draws leave 0.6 of 81 unseen on average
    assert table[:9].any()
    assert table[-9:].any()


def test_flip_reflects_half_of_the_images():
    x = noise(4000, size=4)
    y = Preparation(flip=0.5, **IDENTITY).train(x, generator()).round().to(torch.uint8)
    same, mirrored = ((y == z).flatten(1).all(1) for z in (x, x.flip(-1)))
    assert bool((same | mirrored).all())
    assert abs(int(mirrored.sum()) - 2000) < 5 * math.sqrt(4000) / 2


@pytest.fixture(scope="module")
def erased() -> torch.Tensor:
    """Mask [N, 32, 32] of the erased pixels of 20,000 images; the input is -1, which is never a fill value."""
    return Cutout()(torch.full((20_000, 3, 32, 32), -1, dtype=torch.int16), generator())


def test_cutout_erases_in_half_of_the_images(erased):
    count = int((erased != -1).flatten(1).any(1).sum())
    assert abs(count - 10_000) < 5 * math.sqrt(20_000) / 2


def test_cutout_erases_one_rectangle_within_the_stated_bounds(erased):
    mask = (erased != -1).any(1)
    mask = mask[mask.flatten(1).any(1)]
    height, width = mask.any(2).sum(1), mask.any(1).sum(1)
    assert torch.equal(mask.sum((1, 2)), height * width)
    assert bool((mask.any(2).diff(dim=1).sum(1) <= 2).all())  # rows without a gap
    assert bool((mask.any(1).diff(dim=1).sum(1) <= 2).all())
    # h <= sqrt(s r A) < h + 1 and the same for w with s / r, so that s A = h w before rounding down.
    assert bool((height * width <= 0.4 * 1024).all())
    assert bool(((height + 1) * (width + 1) > 0.02 * 1024).all())
    assert bool((height <= 2.5 * (width + 1)).all())
    assert bool(((height + 1) >= 0.4 * width).all())
    assert int(height.max()) > 29
    assert int(width.max()) > 29


def test_cutout_area_and_aspect_have_the_stated_means(erased):
    """Compared with the definition, drawn one rectangle at a time with other random numbers."""
    mask = (erased != -1).any(1)
    mask = mask[mask.flatten(1).any(1)]
    height, width = mask.any(2).sum(1).double(), mask.any(1).sum(1).double()
    import random

    draw = random.Random(1)
    sides = []
    for _ in range(20_000):
        s, r = draw.uniform(0.02, 0.4) * 1024, draw.uniform(0.4, 2.5)
        sides.append((int(math.sqrt(s * r)), int(math.sqrt(s / r))))
    expected = torch.tensor(sides, dtype=torch.float64)
    for found, drawn in ((height, expected[:, 0]), (width, expected[:, 1])):
        noise_of_mean = math.hypot(found.std() / math.sqrt(len(found)), drawn.std() / math.sqrt(len(drawn)))
        assert abs(found.mean() - drawn.mean()) < 5 * noise_of_mean
        assert float(found.std()) == pytest.approx(float(drawn.std()), rel=0.05)


def test_cutout_is_placed_uniformly_where_it_fits():
    squares = Cutout(p=1.0, area=(0.25, 0.25), aspect=(1.0, 1.0))  # 16x16
    mask = squares(torch.full((17_000, 1, 32, 32), -1, dtype=torch.int16), generator())[:, 0] != -1
    for start in (mask.any(2).int().argmax(1), mask.any(1).int().argmax(1)):
        counts = start.bincount(minlength=17)
        assert len(counts) == 17
        chi2 = float(((counts - 1000) ** 2 / 1000).sum())
        assert chi2 < 55  # 16 degrees of freedom: p = 4e-6


def test_cutout_fill_is_one_number_in_the_first_channel(erased):
    filled = erased[(erased != -1).flatten(1).any(1)]
    assert set(filled[:, 1:].unique().tolist()) == {-1, 0}
    first = filled[:, 0].flatten(1)
    colour = first.max(1).values
    assert bool(((first == colour[:, None]) | (first == -1)).all())
    assert set(colour.tolist()) == set(range(256))
    assert float(colour.double().mean()) == pytest.approx(127.5, abs=5 * 73.9 / 100)


def test_cutout_of_the_whole_image_fits():
    whole = Cutout(p=1.0, area=(0.4, 0.4), aspect=(2.5, 2.5))  # height exactly the image's
    mask = whole(torch.full((50, 3, 32, 32), -1, dtype=torch.int16), generator())[:, 1] == 0
    assert mask.any(2).sum(1).unique().tolist() in ([32], [31])
    assert mask.any(1).sum(1).unique().tolist() == [12]
    assert bool((Cutout(p=1.0)(noise(500)[:, :, :8], generator()) != noise(500)[:, :, :8]).any())


def test_preparation_order_is_crop_cutout_flip():
    """Cutout is after the crop, so it may erase padding, and before normalisation, so fills are integers in 0..255."""
    x = torch.full((2000, 3, 32, 32), 77, dtype=torch.uint8)
    always = Preparation(pad=4, cutout=Cutout(p=1.0), **IDENTITY)
    y = always.train(x, generator()).round().to(torch.uint8)
    margin = y[:, 0, 0]  # first row: padding (0), image (77) or, when erased, any fill
    assert bool(((margin != 0) & (margin != 77)).any())
    cropped = Preparation(pad=4, **IDENTITY).train(x, generator()).round().to(torch.uint8)
    assert bool(((cropped[:, 0] == 0) & (y[:, 0] != 0)).any())  # padding that was then erased


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**62),
    count=st.integers(1, 5),
    size=st.integers(1, 12),
    channels=st.sampled_from([1, 3]),
    pad=st.integers(0, 4),
    enlarge=st.integers(1, 3),
    p=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_preparation_leaves_its_input_unchanged_and_depends_on_the_seed(seed, count, size, channels, pad, enlarge, p):
    preparation = Preparation((0.4, 0.5, 0.6), (0.2, 0.3, 0.4), enlarge, pad, Cutout(p=p), p)
    x = noise(count, size, channels)
    before = x.clone()
    y = preparation.train(x, generator(seed))
    assert torch.equal(x, before)
    assert torch.equal(y, preparation.train(x, generator(seed)))
    assert y.shape == (count, *preparation.shape(size, size))
    assert preparation.test(x).shape == y.shape
    assert y.dtype == torch.float32
    assert y.is_contiguous()
    assert torch.equal(x, before)


def test_preparation_differs_between_seeds():
    x = noise(8)
    p = cifar.preparation()
    assert not torch.equal(p.train(x, generator(1)), p.train(x, generator(2)))


def test_preparation_without_augmentation_is_the_same_in_training_and_test():
    x = noise(3)
    p = Preparation((0.4,) * 3, (0.2,) * 3)
    assert torch.equal(p.train(x, generator()), p.test(x))
