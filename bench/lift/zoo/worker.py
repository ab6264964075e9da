"""Runs a part of one network of the zoo in a process of its own: forked from one that has imported the frameworks."""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
from collections.abc import Mapping
from multiprocessing.connection import Connection

from bench.json_object import Json

PARTS: Mapping[str, str] = {"cost": "bench.lift.zoo.cost", "checks": "bench.lift.zoo.checks", "front": "bench.lift.zoo.front"}
_IMPORTED = ("torch", "spikingjelly.activation_based.model", "snntorch", "torchvision", *PARTS.values())


def run_alone(part: str, network: str) -> Json:
    """Return what the part gives for the network, or {"failed": why}."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_IMPORTED))
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(part, network, there))
    process.start()
    there.close()
    found: Json = {}
    with contextlib.suppress(EOFError):
        found = here.recv()
    process.join()
    return found or {"failed": f"the process ended with code {process.exitcode}"}


def _work(part: str, network: str, to: Connection) -> None:
    import torch

    torch.set_num_threads(1)
    try:
        found = importlib.import_module(PARTS[part]).of(network)
    except Exception as error:  # one network that fails leaves the others
        lines = str(error).strip().splitlines() or [""]
        found = {"failed": f"{type(error).__name__}: {lines[0][:400]}"}
    to.send(found)
