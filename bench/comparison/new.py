"""The files of a new comparison, which run as they are: a small network on scikit-learn's digits."""

from __future__ import annotations

import re
from pathlib import Path

from bench.errors import UserError
from bench.files import write_whole

NETWORK = '''"""The network. make_net() is called for every training, after a seed is set."""

from __future__ import annotations

import snntorch as snn
from torch import nn


def make_net() -> nn.Module:
    """One frame [3, 32, 32] in, one output per class out; the state stays in the neurons."""
    return nn.Sequential(
        nn.AvgPool2d(2),
        nn.Conv2d(3, 8, 3, padding=1),
        snn.Leaky(beta=0.9, init_hidden=True),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * 8 * 8, 10),
    )
'''

DATA = '''"""The samples. load() is called once."""

from __future__ import annotations

from bench.comparison import samples


def load() -> samples.Samples:
    """Replace this by your own samples, e.g. one of

    samples.from_arrays("my_arrays")                         # train.npz and test.npz with x [N, ...] and y [N]
    samples.from_arrays("my_arrays", encoding="frames")      # x [N, T, ...]
    samples.from_datasets(train, test)                       # PyTorch's data sets of pairs (x, y)
    samples.from_events("my_events", sensor=(128, 128))      # train/CLASS/*.npz with t, x, y and p, and test/CLASS/...
    """
    return samples.of_the_suite("digits", train=200, test=100)
'''

SETTINGS = """title = "{title}"
T = 6
batch = 50
epochs = 2
seeds = [0, 1]
optimizer = "adam"
lr = 0.005

# One [[cases]] for each line of the figures: an algorithm (spikecost list) and its options (spikecost list NAME).

[[cases]]
algorithm = "bptt"

[[cases]]
algorithm = "checkpointed"
segments = 2

[[cases]]
algorithm = "sltt"
"""

PAGE = """# {title}

Trained by `spikecost train`, over the seeds of [comparison.toml](comparison.toml). The table and the figures are generated from
`results.jsonl`.

<!-- generated: table -->
<!-- end -->

![Accuracy against memory](front.svg)

![Training curves](curves.svg)
"""


def write(folder: Path) -> list[Path]:
    """Write the files of a new comparison; return their paths. Raises UserError if something is there already."""
    if not re.fullmatch(r"[A-Za-z0-9][\w-]*", folder.name):
        raise UserError(f"{folder.name!r} cannot be the name of a comparison: use letters, digits, - and _")
    if folder.exists():
        raise UserError(f"{folder} exists: choose another name, or delete it first")
    title = folder.name.replace("-", " ").replace("_", " ")
    files = {
        "network.py": NETWORK,
        "data.py": DATA,
        "comparison.toml": SETTINGS.format(title=title),
        "README.md": PAGE.format(title=title),
    }
    for name, text in files.items():
        write_whole(folder / name, text.encode())
    return [folder / name for name in files]
