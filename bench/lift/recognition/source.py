"""``model.py:make_net``: a network from a file or a package, built without storage where its constructor allows."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from bench.errors import UserError, choose
from bench.seeds import seed_of


@dataclass(frozen=True)
class Built:
    """A network, and a sentence about how it was built if that was not without storage."""

    net: nn.Module
    note: str = ""


def load(source: str) -> Callable[[], object]:
    """Return the function or class that ``source`` names. Raises UserError if there is no such file or name."""
    where, colon, name = source.rpartition(":")
    if not colon or not where or not name:
        raise UserError(f"{source!r}: name a file and a function without arguments that makes the network, as model.py:make_net")
    module = _from_file(Path(where)) if where.endswith(".py") else _from_package(where)
    known = [each for each, value in vars(module).items() if callable(value) and not each.startswith("_")]
    made = getattr(module, name, None)
    if made is None:
        choose(f"name in {where}", name, known)
    if not callable(made) and not isinstance(made, nn.Module):
        raise UserError(f"{source}: {name} is a {type(made).__name__}; name a function without arguments that makes the network")
    return (lambda: made) if isinstance(made, nn.Module) else made


def build(make: Callable[[], object]) -> Built:
    """Call ``make`` so that weights take no memory; if its constructor needs values, call it again on the CPU and say so."""
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            return Built(_network(make()))
    except UserError:
        raise
    except Exception as error:  # whatever a constructor does with values that are not there
        reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200] if str(error).strip() else ''}"
    net = build_with_values(make, "").net
    return Built(net, f"built on the CPU, with memory for its weights, because its constructor needs values ({reason})")


def build_with_values(make: Callable[[], object], name: str) -> Built:
    """Call ``make`` on the CPU, so that weights have values: drawn from a seed that depends on ``name`` alone."""
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of("weights", name))
            return Built(_network(make()))
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"the network could not be built: {type(error).__name__}: {error}") from error


def _network(made: object) -> nn.Module:
    if not isinstance(made, nn.Module):
        raise UserError(f"the function makes a {type(made).__name__}; let it return a torch.nn.Module")
    return made


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    name = f"_of_the_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    sys.path.insert(0, str(path.resolve().parent))  # as when the file itself is run
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UserError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(path.resolve().parent))
    return module


def _from_package(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(f"{name} cannot be imported: {error}; for a file write its path, as model.py:make_net") from error
