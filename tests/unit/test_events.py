"""The probe for statistics of event recordings, and the table of its records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from bench import report
from bench.case import Case
from bench.datasets import event_statistics
from bench.datasets.event_array import table
from bench.datasets.events import Events, Recordings
from bench.errors import UserError
from bench.figures.paper import Paper
from bench.measurement import Measurement
from bench.probes import events
from bench.probes.resources import Resources
from bench.record import Record
from bench.report import pages, tables

CASE = Case("p", "events", "ttl-small/n-mnist", "bptt", "native", 1, 1, "n-mnist", options=(("train_images", 2),))


def recording(seed: int) -> Any:
    drawn = np.random.default_rng(seed)
    n = 50 * (seed + 1)
    t = np.sort(drawn.integers(0, 300_000, n))
    return table(t=t, x=drawn.integers(0, 34, n), y=drawn.integers(0, 32, n), p=drawn.integers(0, 2, n))


def recordings() -> Recordings:
    def read() -> Iterator[Any]:
        return map(recording, range(4))

    return Recordings("r", torch.tensor([0, 1, 0, 1]), (32, 34), read, Path())


SAMPLES = Events(
    "n-mnist", "real", recordings(), recordings(), torch.tensor([1, 3]), torch.tensor([0]), 2, "citation", "licence", "checksum",
    "part of it",
)  # fmt: skip


def measured(samples: Any, about: dict[str, str]) -> Measurement:
    data: Any = SimpleNamespace(samples=samples, about=about)
    [found] = events.measure(CASE, Resources(data))
    return found


def test_events_probe_uses_only_the_chosen_training_recordings() -> None:
    found = measured(SAMPLES, {"part": "part of it"})
    expected = event_statistics.describe([recording(1), recording(3)], (32, 34))
    assert found.value == expected.rate
    assert found.detail == {**events.in_words(expected), "part": "part of it"}
    assert found.detail["recordings"] == 2
    assert found.detail["events per recording"] == 150
    assert measured(replace(SAMPLES, train_i=torch.arange(4)), {}).value != expected.rate


def test_events_probe_rejects_images() -> None:
    with pytest.raises(UserError, match="has no events to describe"):
        measured(SimpleNamespace(), {})


def written(dataset: str, part: str) -> Record:
    found = measured(SAMPLES, {"part": part} if part else {})
    case = replace(CASE, dataset=dataset)
    return Record(
        case.as_dict(), case.key, found.metric, found.value, found.unit, 1, found.detail, "ok", "", "", "d", {}, "c", "m",
        "cpu", 1, "float32", "r",
        "2031-05-06T07:08:09Z",
    )  # fmt: skip


def test_events_table_has_one_column_per_data_set_with_simulated_ones_last_and_marked() -> None:
    records = [
        written("cifar10-dvs-simulated", "simulated from images"),
        written("n-mnist", "part of it"),
        written("dvs-gesture", ""),
    ]
    chapter = report.Chapter(Paper("p", records), {}, {}, [])
    columns = tables.event_columns(chapter)
    assert [column["title"] for column in columns] == [
        "DVS128 Gesture", "N-MNIST (part of it)", "CIFAR10-DVS, simulated",
    ]  # fmt: skip
    assert columns[0]["numbers"]["events per recording"] == "150"
    text = pages.template("events.md.j2", chapter=chapter, chapters=[])
    head, rule, first, *rest = text.strip().splitlines()
    assert head.count("|") == rule.count("|") == first.count("|") == 5
    rows = {row.split(" | ")[0]: row for row in [first, *rest]}
    assert rows["| events per recording"] == "| events per recording | 150 | 150 | 150 |"
    assert len(rows) == len(columns[0]["numbers"])
    assert "part of it" not in "".join(rest)


def test_events_table_is_empty_without_records() -> None:
    assert pages.template("events.md.j2", chapter=report.Chapter(Paper("p", []), {}, {}, []), chapters=[]).strip() == ""
