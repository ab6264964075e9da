"""Which nodes count as the same machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.cluster.kind import known, settle
from bench.cluster.settings import Cluster
from bench.cluster.slurm import kinds_of_nodes, require_one_kind
from bench.errors import UserError
from bench.machine import Identity
from tests.cluster.conftest import Slurm

NODE: Identity = {
    "cpu": "EPYC", "cores": 64, "memory_gib": 503, "os": "Linux", "architecture": "x86_64", "python": "3.12.1", "gpus": ["A100"]
}  # fmt: skip


def with_(**changes: Any) -> Identity:
    return {**NODE, **changes}  # type: ignore[typeddict-item]


def test_equal_nodes_are_the_first_node(tmp_path: Path) -> None:
    path = tmp_path / "machine.json"
    assert known(path) is None
    assert settle(path, NODE) == NODE
    assert settle(path, with_(memory_gib=504, python="3.12.2")) == NODE
    assert known(path) == NODE
    assert [each.name for each in tmp_path.iterdir()] == ["machine.json"]


@pytest.mark.parametrize("change", [{"cpu": "Xeon"}, {"cores": 32}, {"gpus": []}, {"gpus": ["A100"] * 2}, {"memory_gib": 256}])
def test_a_node_of_another_kind_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    settle(tmp_path / "machine.json", NODE)
    with pytest.raises(UserError, match=f"{next(iter(change))} .*different machines are not combined.*constraint"):
        settle(tmp_path / "machine.json", with_(**change))


SINFO = "\n".join(
    ["gpu|a|64|gpu:a100:4(S:0-1)|amd,a100", "gpu|b|64|gpu:a100:4(S:0)|amd,a100", "gpu|c|32|gpu:v100:2|intel", "cpu*|d|8|(null)|x"]
)


@pytest.mark.parametrize(
    ("cluster", "kinds"),
    [
        (Cluster(), {"8 CPUs": 1}),
        (Cluster(partition="gpu"), {"64 CPUs and gpu:a100:4": 2, "32 CPUs and gpu:v100:2": 1}),
        (Cluster(partition="gpu", constraint="intel"), {"32 CPUs and gpu:v100:2": 1}),
        (Cluster(partition="gpu", gpus="a100:1"), {"64 CPUs and gpu:a100:4": 2}),
        (Cluster(partition="gpu", constraint="amd|intel"), {"nodes": 3}),
        (Cluster(partition="none"), {}),
    ],
)
def test_kinds_of_nodes_are_told_apart_by_what_slurm_lists(cluster: Cluster, kinds: dict[str, int]) -> None:
    assert kinds_of_nodes(SINFO, cluster) == kinds


def test_a_mixed_or_empty_partition_is_refused_before_submission(slurm: Slurm) -> None:
    slurm.nodes(*SINFO.splitlines())
    require_one_kind(Cluster())
    with pytest.raises(UserError, match="nodes of 2 kinds: 2 nodes with 64 CPUs and gpu:a100:4; 1 node with 32"):
        require_one_kind(Cluster(partition="gpu"))
    with pytest.raises(UserError, match="no node in partition 'gpuu'; sinfo lists"):
        require_one_kind(Cluster(partition="gpuu"))
