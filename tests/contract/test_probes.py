"""Requirements on every probe: what its entry in the registry says, and measurements with known units of a smallest case."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import probes, zoo
from bench.case import Case
from bench.datasets.event_array import table
from bench.datasets.events import Events, Recordings
from bench.datasets.real import RealData
from bench.errors import YES, Support, Unavailable, UserError
from bench.measurement import Measurement
from bench.options import Declared
from bench.probes.check import check
from bench.probes.resources import Resources
from bench.registry import ALGORITHMS, DATA_SETS, PROBES, UNITS
from tests.registered import shortest

NETWORK, IMAGES, EVENTS = "vgg5-small/digits", "digits", "a few events"


class AFewEvents:
    """Eight recordings of 60 random events, as a data set."""

    def available(self, root: Path) -> Support:
        return YES

    def load(self, root: Path, download: bool, cache: Path) -> Events:
        def read() -> Iterator[Any]:
            for seed in range(8):
                drawn = torch.randint(30, (3, 60), generator=torch.Generator().manual_seed(seed)).numpy()
                yield table(t=1000 * drawn[0].cumsum(), x=drawn[1], y=drawn[2], p=drawn[1] % 2)

        recordings = Recordings("few", torch.arange(8) % 2, (34, 34), read, cache)
        kept = torch.arange(8)
        return Events(EVENTS, "real", recordings, recordings, kept, kept, 2, "this test", "MIT", "none", "")


FEW_EVENTS = AFewEvents()


@pytest.fixture(autouse=True)
def _events(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {**DATA_SETS, EVENTS: f"{__name__}:FEW_EVENTS"}
    monkeypatch.setattr("bench.datasets.DATA_SETS", known)
    monkeypatch.setattr("bench.case.DATA_SETS", known)


def smallest_cases(probe: str) -> Iterator[Case]:
    """Yield small cases of the probe, one for each algorithm and kind of data: few samples, T as short as the options allow."""
    few = {"train_images": 8, "test_images": 8}
    options = tuple(sorted((name, few[name]) for name in PROBES[probe].options if name in few))
    for data, algorithm in itertools.product((IMAGES, EVENTS) if options else ("none",), ALGORITHMS):
        T = shortest(algorithm, zoo.spec(NETWORK), least=2)
        yield Case("tests", probe, NETWORK, algorithm, "native", T, 4, data, "smoke", options=options)


@pytest.mark.parametrize("name", PROBES)
def test_probe_has_the_options_of_its_entry_and_a_version(name: str) -> None:
    probe: Any = probes.load(name)
    assert issubclass(probe.Options, Declared)
    assert sorted(probe.Options.names()) == sorted(PROBES[name].options)
    assert type(probe.VERSION) is int
    assert probe.VERSION >= 1
    assert probe.__doc__


@pytest.mark.parametrize("name", PROBES)
def test_probe_measures_a_smallest_case_in_known_units(name: str, tmp_path: Path) -> None:
    """The first case that it applies to: some probes are for one algorithm, or for event recordings, alone."""
    found: list[Measurement] = []
    refused: list[UserError] = []
    for case in smallest_cases(name):
        if not check(case):
            continue  # another algorithm can train this network
        resources = Resources(RealData(case, None, tmp_path / "cache"), checkpoint=tmp_path / "checkpoint")
        try:
            found = probes.load(name).measure(case, resources)
        except Unavailable as missing:
            pytest.skip(str(missing))
        except UserError as reason:
            refused.append(reason)
        else:
            break
    assert found, refused
    assert len({measured.metric for measured in found}) == len(found)
    for measured in found:
        assert measured.unit in UNITS
        assert measured.version == probes.load(name).VERSION
        assert measured.value is not None or measured.detail["refused"]


@pytest.mark.parametrize("name", [name for name in PROBES if PROBES[name].options])
def test_probe_rejects_options_of_others(name: str) -> None:
    others = {option for probe in PROBES.values() for option in probe.options} - set(PROBES[name].options)
    for option in others:
        with pytest.raises(UserError, match=f"probe {name} has no option '{option}'"):
            probes.options_of(Case("tests", name, NETWORK, "bptt", "native", 2, 4, options=((option, 3),)))
