"""A simulation of CIFAR10-DVS: 10,000 images of CIFAR-10 moving in front of a simulated event camera. No real recordings.

For CIFAR10-DVS (Li, Liu, Ji, Li, Shi 2017, Frontiers in Neuroscience 11:309) enlarged images of CIFAR-10 on a monitor move
smoothly along a closed path, repeatedly, and an event camera (DVS128) records them. The steps and settings of the simulation,
with the source of each. P: published by the authors; S: stated by others who use or replicate it; A: assumed; C: calibrated.

| step | here | source |
|---|---|---|
| images | the first 1,000 of each class in CIFAR-10's training batches | P 1,000 of each class, A which ones |
| split | the first nine tenths of each class for training, the rest for testing | A, as ``cifar10_dvs`` splits the real one |
| enlarged | 32x32 to 512x512, bicubic | P, A Keys' kernel with a = -1/2, 8 bits |
| border | the outermost pixels of the image are repeated | A |
| path | (0, 0) (10, -10) (20, 0) (10, 10) (0, 0) monitor pixels, six times | P closed, smooth, repeated, S the rest |
| speed | 200 pixels/s along each axis: 24 moves of 50 ms, 1.2 s | S; the real recordings take S 1.15 to 1.46 s |
| monitor | sRGB, black at 1 % of white; log intensity is linear between whole pixels; no refresh | A |
| optics | a camera pixel sees 4x4 monitor pixels, the image fills the view, no blur | A |
| colours | luminance with the weights of BT.709 | A |
| camera | 128x128 pixels, ON and OFF | P |
| threshold | 0.3 in log intensity | C: gives 0.18 million events per recording; S a real one has 178,165 |
| mismatch | 0.03 | A, a usual setting of v2e |
| noise | 0.1 leak and 1 shot noise events per pixel and second | A, leak a usual setting of v2e, shot between its 0 and 5 |

Sources S: for path and speed, public code that shows images to a camera in this way; for durations, SpikingJelly's maintainers;
for the number of events, public code that replays recording airplane 0.

A sample is simulated when its frames are first requested. Cached frames carry the digest of the images and of the model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bench.datasets.cifar import CIFAR10
from bench.datasets.events import Events, Recordings
from bench.errors import Support
from bench.seeds import seed_of

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray
    from torch import Tensor

    from bench.datasets.event_array import EventArray
    from bench.datasets.event_camera import Camera

    Float = NDArray[numpy.float64]

NAME = "cifar10-dvs-simulated"
PART = "simulated from CIFAR-10, not recorded"
IMAGES = {"train": 900, "test": 100}  # of each class
SEED = 0
_VERSION = 1  # of the model; must change with it, so that cached frames of an old model are not used

SIDE, SCREEN, BLOCK = 32, 512, 4  # in pixels: image, monitor, block of the monitor per camera pixel
CORNERS = ((0, 0), (10, -10), (20, 0), (10, 10), (0, 0))  # x, y in monitor pixels
LOOPS = 6
STEP_US = 5_000  # microseconds per monitor pixel along each axis
BLACK = 0.01  # relative to white


@dataclass(frozen=True, eq=False, kw_only=True)
class SimulatedRecordings(Recordings):
    """Recordings that are simulated when read. ``images`` uint8 [N, 3, 32, 32]; ``numbers`` [N] are their indices in CIFAR-10."""

    images: Tensor
    numbers: Tensor

    def chosen(self, indices: Tensor) -> SimulatedRecordings:
        return recordings(self.images[indices], self.labels[indices], self.numbers[indices], self.folder)


@dataclass(frozen=True)
class SimulatedEvents(Events):
    """Simulated events. Only the chosen samples are simulated."""

    kind: Literal["simulated"]  # type: ignore[assignment]
    train: SimulatedRecordings
    test: SimulatedRecordings

    def chosen(self, train: Tensor, test: Tensor, checksum: str) -> SimulatedEvents:
        return _events(self.train.chosen(self.train_i[train]), self.test.chosen(self.test_i[test]), checksum)


def available(root: Path) -> Support:
    return CIFAR10.available(root)


def load(root: Path, download: bool, cache: Path) -> SimulatedEvents:
    """Read CIFAR-10; the simulation runs later, on demand."""
    import torch

    source = CIFAR10.load(root, download, cache)
    of_class = [torch.nonzero(source.train_y == label).flatten() for label in range(source.classes)]
    places = {"train": slice(IMAGES["train"]), "test": slice(IMAGES["train"], sum(IMAGES.values()))}
    train, test = (
        recordings(source.train_x[numbers], source.train_y[numbers], numbers, cache)
        for numbers in (torch.cat([of[place] for of in of_class]) for place in places.values())
    )
    return _events(train, test, hashlib.sha256(f"{source.checksum} {model()}".encode()).hexdigest())


def recordings(images: Tensor, labels: Tensor, numbers: Tensor, folder: Path) -> SimulatedRecordings:
    """Return recordings of images uint8 [N, 3, 32, 32] in this order; ``numbers`` [N] determine their noise."""
    contents = hashlib.sha256(model().encode() + numbers.numpy().tobytes() + images.numpy().tobytes())
    return SimulatedRecordings(
        f"{NAME}-{contents.hexdigest()[:16]}",
        labels,
        camera().sensor,
        partial(_each, images, numbers),
        folder,
        images=images,
        numbers=numbers,
    )


def camera() -> Camera:
    from bench.datasets.event_camera import Camera

    return Camera(seed=SEED)


def model() -> str:
    """Return a digest of everything that determines the events of an image."""
    return f"{NAME} {_VERSION} {camera()} {SIDE} {SCREEN} {BLOCK} {CORNERS} {LOOPS} {STEP_US} {BLACK}"


def simulated(image: NDArray[numpy.uint8], number: int, by: Camera) -> EventArray:
    """Return the events (t in microseconds, x, y, p) of one image uint8 [3, 32, 32]; ``number`` determines the noise."""
    from bench.datasets.event_camera import recording

    positions, shown = path()
    return recording(by, views(luminance(image), positions), shown, STEP_US, seed_of(NAME, by.seed, number))


@cache
def path() -> tuple[NDArray[numpy.int64], NDArray[numpy.int64]]:
    """Return the positions [S, 2] (x, y) of the image in one loop, and the index of its position after each step."""
    import numpy

    corners = numpy.array(CORNERS)
    moves = [numpy.linspace(a, b, max(abs(b - a)), endpoint=False) for a, b in pairwise(corners)]
    positions = numpy.concatenate(moves).astype(int)
    return positions, numpy.arange(LOOPS * len(positions) + 1) % len(positions)


def views(screen: Float, positions: NDArray[numpy.int64]) -> NDArray[numpy.float32]:
    """Return the log intensity [S, H, W] at each camera pixel, with the image shifted to each position (x, y).

    ``screen`` extends ``margin`` pixels beyond the image on every side. A camera pixel sees the summed luminance of its block.
    """
    import numpy

    from bench.datasets.event_camera import log_intensity

    blocks = log_intensity(_block_sums(_block_sums(screen).T).T)
    corners = margin() - positions
    return numpy.stack([blocks[y : y + SCREEN : BLOCK, x : x + SCREEN : BLOCK] for x, y in corners])


def _block_sums(values: Float) -> Float:
    """Return sums of BLOCK consecutive rows, from every row. The order of addition is fixed, for equal bits on all machines."""
    n = len(values) - BLOCK + 1
    total = values[:n].copy()
    for later in range(1, BLOCK):
        total += values[later : later + n]
    return total


def luminance(image: NDArray[numpy.uint8]) -> Float:
    """Return an image uint8 [3, 32, 32] as shown on the monitor: luminance from BLACK to 1, with a margin on every side."""
    import numpy

    weights, intensities = _enlargement(), _intensities()
    levels = numpy.clip(numpy.rint(weights @ image.astype(numpy.float64) @ weights.T), 0, 255).astype(numpy.uint8)
    seen: Float = intensities[0][levels[0]] + intensities[1][levels[1]] + intensities[2][levels[2]] + BLACK
    return seen


def margin() -> int:
    """Return the number of monitor pixels beyond the image that come into view."""
    return max(abs(value) for corner in CORNERS for value in corner)


@cache
def _enlargement() -> Float:
    """Return bicubic weights [SCREEN + 2 margin, SIDE] (Keys 1981, Cubic Convolution Interpolation, a = -1/2, centres aligned).

    They are multiples of 2^-16, so that sums of products with 8-bit levels are exact in float64 in any order.
    """
    import numpy

    at = (numpy.clip(numpy.arange(-margin(), SCREEN + margin()), 0, SCREEN - 1) + 0.5) * SIDE / SCREEN - 0.5
    weights = numpy.zeros((len(at), SIDE))
    for tap in range(-1, 3):
        pixel = numpy.floor(at).astype(int) + tap
        x = numpy.abs(at - pixel)
        near, far = (1.5 * x - 2.5) * x**2 + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
        numpy.add.at(weights, (numpy.arange(len(at)), numpy.clip(pixel, 0, SIDE - 1)), numpy.where(x <= 1, near, far))
    return weights


@cache
def _intensities() -> Float:
    """Return the luminance [3, 256] above black of each level of red, green, blue: sRGB (IEC 61966-2-1), weights of BT.709."""
    import numpy

    level = numpy.arange(256) / 255
    linear = numpy.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    return numpy.outer((0.2126, 0.7152, 0.0722), linear) * (1 - BLACK)


def _each(images: Tensor, numbers: Tensor) -> Iterator[EventArray]:
    by = camera()
    return (simulated(image, number, by) for image, number in zip(images.numpy(), numbers.tolist(), strict=True))


def _events(train: SimulatedRecordings, test: SimulatedRecordings, checksum: str) -> SimulatedEvents:
    import torch

    return SimulatedEvents(
        name=NAME,
        kind="simulated",
        train=train,
        test=test,
        train_i=torch.arange(len(train.labels)),
        test_i=torch.arange(len(test.labels)),
        classes=10,
        citation="Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images, University of Toronto; moved as in "
        "Li, Liu, Ji, Li, Shi 2017, CIFAR10-DVS: An Event-Stream Dataset for Object Classification, "
        "Frontiers in Neuroscience 11:309",
        licence="none stated by the authors of CIFAR-10",
        checksum=checksum,
        part=PART,
    )
