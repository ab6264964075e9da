"""Records of other stores are taken over: each case whole and once, and no older one after a newer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bench.record_store import Store, adopt, latest
from tests.unit.stored import known, record

EARLIER, LATER = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"


def values(store: Store) -> list[object]:
    records, left_out = store.load("p")
    assert left_out == []
    return [found.value for found in latest(records)]


def test_adopt_takes_every_case_once(tmp_path: Path) -> None:
    store, one, two = known(tmp_path), [record(), record("macs", 2)], [record(T=3, value=3)]
    assert adopt(store, "p", "m", [one, two]) == 2
    assert adopt(store, "p", "m", [one, two, one]) == 0
    assert store.load("p") == ([*one, *two], [])
    assert adopt(store, "p", "m", [[replace(each, run="another", when=LATER) for each in one]]) == 1
    assert len(store.load("p")[0]) == 5


def test_adopt_never_puts_an_older_record_after_a_newer(tmp_path: Path) -> None:
    store = known(tmp_path)
    store.append("p", "m", [record(value=2, when=LATER, digest="new code", run="second")])
    assert adopt(store, "p", "m", [[record(value=1, when=EARLIER, digest="old code", run="first")]]) == 0
    assert values(store) == [2]
    assert adopt(store, "p", "m", [[record(value=3, when=EARLIER, device="NVIDIA H100", run="first")]]) == 1


def test_adopt_keeps_the_last_of_a_case_that_was_written_twice(tmp_path: Path) -> None:
    store = known(tmp_path)
    assert adopt(store, "p", "m", [[record(value=1), record("macs", 1), record(value=2), record("macs", 2)]]) == 1
    assert values(store) == [2, 2]
    assert store.load("p")[1] == []


def test_adopt_goes_on_a_new_line_after_one_that_was_cut_short(tmp_path: Path) -> None:
    store = known(tmp_path)
    store.append("p", "m", [record()])
    path = store.path("p", "m")
    path.write_bytes(path.read_bytes()[:-20])
    assert adopt(store, "p", "m", [[record(value=7)]]) == 1
    records, left_out = store.load("p")
    assert [found.value for found in records] == [7]
    assert len(left_out) == 1
