"""From stored images to network input: augmentation and normalisation, for a whole batch at once.

Training:  enlarge -> crop -> cutout -> flip -> to [0, 1] -> normalise;  test: enlarge -> to [0, 1] -> normalise.
All random choices use the generator that is passed in; stored images are never changed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn


@dataclass(frozen=True)
class Cutout:
    """Erase one rectangle with probability ``p``, as torchtoolbox 0.1.8.2 does to a PIL image by default.

    With A = H*W, s ~ U(area) and r ~ U(aspect): width floor(sqrt(s*A/r)), height floor(sqrt(s*A*r)), at a position uniform over
    all where it fits. With the default ranges it fits every square image (0.4 * 2.5 = 1); in other images a longer side is cut.

    The erased pixels become (c, 0, 0), with c a uniform integer in [0, 255] including both ends: torchtoolbox pastes a single
    number, which PIL takes as the first band of a colour. In a grey image they become c.
    """

    p: float = 0.5
    area: tuple[float, float] = (0.02, 0.4)
    aspect: tuple[float, float] = (0.4, 2.5)

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        B, C, H, W = images.shape
        s = _uniform(B, generator, *self.area) * H * W
        r = _uniform(B, generator, *self.aspect)
        width = (s / r).sqrt().floor().clamp(max=W)
        height = (s * r).sqrt().floor().clamp(max=H)
        rows = _span(_integers(H - height, generator), height, H)
        columns = _span(_integers(W - width, generator), width, W)
        erased = (_uniform(B, generator) < self.p)[:, None, None] & rows[:, :, None] & columns[:, None, :]
        colour = torch.zeros(B, C, dtype=images.dtype)
        colour[:, 0] = torch.randint(256, (B,), generator=generator)
        return torch.where(erased[:, None], colour[:, :, None, None], images)


@dataclass(frozen=True)
class Preparation:
    """Augmentation and normalisation of a data set's images.

    ``enlarge`` repeats every pixel in a block of that side. ``pad`` is the number of zeros around an image before a random crop
    of its former size. ``flip`` is the probability of left-right reflection. An image of one channel is repeated into as many
    channels as ``mean`` and ``std`` (in units of [0, 1]) have entries.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    enlarge: int = 1
    pad: int = 0
    cutout: Cutout | None = None
    flip: float = 0.0

    def shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Return the shape (C, H, W) of a prepared image whose stored size is ``height`` x ``width``."""
        return len(self.mean), height * self.enlarge, width * self.enlarge

    def train(self, images: Tensor, generator: Generator) -> Tensor:
        """uint8 [B, C, H, W] -> float32, with random augmentation drawn from ``generator`` (on the CPU)."""
        x = self._enlarged(images)
        if self.pad:
            x = _cropped(x, self.pad, generator)
        if self.cutout:
            x = self.cutout(x, generator)
        if self.flip:
            flipped = _uniform(len(x), generator) < self.flip
            x = torch.where(flipped[:, None, None, None], x.flip(-1), x)
        return self._normalised(x)

    def test(self, images: Tensor) -> Tensor:
        """uint8 [B, C, H, W] -> float32, without augmentation."""
        return self._normalised(self._enlarged(images))

    def _enlarged(self, images: Tensor) -> Tensor:
        return images.repeat_interleave(self.enlarge, -2).repeat_interleave(self.enlarge, -1)

    def _normalised(self, images: Tensor) -> Tensor:
        mean, std = (torch.tensor(values)[:, None, None] for values in (self.mean, self.std))
        return (images.expand(-1, len(self.mean), -1, -1).float() / 255 - mean) / std


def _cropped(images: Tensor, pad: int, generator: Generator) -> Tensor:
    """Shift each image by up to ``pad`` pixels along each axis; zeros fill the border."""
    B, C, H, W = images.shape
    padded = nn.functional.pad(images, (pad, pad, pad, pad))
    rows = torch.randint(2 * pad + 1, (B, 1), generator=generator) + torch.arange(H)
    columns = torch.randint(2 * pad + 1, (B, 1), generator=generator) + torch.arange(W)
    sample, channel = torch.arange(B)[:, None, None, None], torch.arange(C)[:, None, None]
    return padded[sample, channel, rows[:, None, :, None], columns[:, None, None, :]]


def _uniform(size: int, generator: Generator, low: float = 0.0, high: float = 1.0) -> Tensor:
    """float64 [size] in [low, high)."""
    return low + (high - low) * torch.rand(size, generator=generator, dtype=torch.float64)


def _integers(highest: Tensor, generator: Generator) -> Tensor:
    """Return one uniform integer in 0..highest, both ends included, for each entry."""
    return (_uniform(len(highest), generator) * (highest + 1)).floor()


def _span(start: Tensor, length: Tensor, size: int) -> Tensor:
    """Return bool [B, size]: true at ``length`` positions from ``start`` on."""
    place = torch.arange(size)
    return (place >= start[:, None]) & (place < (start + length)[:, None])
