"""comparison.toml: what is trained, checked before anything is computed."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from bench import algorithms, optimizers
from bench.case import Settings
from bench.errors import UserError, choose
from bench.lift.running.training import LIFTED

NAME = "comparison.toml"


@dataclass(frozen=True)
class Trained:
    """An algorithm with its options, as one line of the figures."""

    algorithm: str
    options: Settings

    @property
    def title(self) -> str:
        shown = ", ".join(f"{name} = {value}" for name, value in self.options.items())
        return f"{self.algorithm}, {shown}" if shown else self.algorithm


@dataclass(frozen=True)
class Plan:
    """The settings of a comparison; ``cases`` in the order of the table."""

    title: str
    T: int
    batch: int
    epochs: int
    seeds: tuple[int, ...]
    optimizer: str
    lr: float
    cases: tuple[Trained, ...]

    def recipe(self, case: Trained) -> dict[str, object]:
        """Return what one training depends on beside the code, the network, the samples and the seed."""
        settings = {name: getattr(self, name) for name in ("T", "batch", "epochs", "optimizer", "lr")}
        return settings | {"algorithm": case.algorithm, "options": dict(case.options)}


def read(folder: Path) -> Plan:
    """Return the plan of a comparison. Raises UserError, with the name of the value, for what it cannot be."""
    path = folder / NAME
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; spikecost new comparison NAME writes a folder with all files") from error
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path} is not valid TOML: {error}") from error
    known = [field.name for field in fields(Plan)]
    for name in values:
        choose(f"setting in {path}", name, known)
    for name in known:
        if name not in values:
            raise UserError(f"{path}: {name} is missing")
    whole = {"T": values["T"], "batch": values["batch"], "epochs": values["epochs"]}
    for name, value in whole.items():
        if type(value) is not int or value < 1:
            raise UserError(f"{path}: {name} = {value!r}; use a whole number >= 1")
    seeds = values["seeds"]
    if not isinstance(seeds, list) or not seeds or any(type(seed) is not int or seed < 0 for seed in seeds):
        raise UserError(f"{path}: seeds = {seeds!r}; use a list of whole numbers >= 0, e.g. [0, 1, 2]")
    if len(set(seeds)) < len(seeds):
        raise UserError(f"{path}: seeds = {seeds}: a seed twice is the same training twice; use different ones")
    lr = values["lr"]
    if isinstance(lr, bool) or not isinstance(lr, int | float) or not 0 < lr < 1e6:
        raise UserError(f"{path}: lr = {lr!r}; use a positive number")
    optimizers.kind(values["optimizer"])
    cases = values["cases"]
    if not isinstance(cases, list) or not cases or not all(isinstance(case, dict) for case in cases):
        raise UserError(f"{path}: cases = {cases!r}; write [[cases]] with algorithm = NAME for each algorithm")
    trained = tuple(_case(path, dict(case)) for case in cases)
    titles = [case.title for case in trained]
    if len(set(titles)) < len(titles):
        raise UserError(f"{path}: two cases are the same: {max(titles, key=titles.count)}; give them different options")
    return Plan(str(values["title"]), **whole, seeds=tuple(seeds), optimizer=values["optimizer"], lr=float(lr), cases=trained)


def _case(path: Path, case: Settings) -> Trained:
    if "algorithm" not in case:
        raise UserError(f"{path}: a case names no algorithm; write algorithm = NAME below [[cases]]")
    algorithm = choose(f"algorithm in {path}", case.pop("algorithm"), LIFTED)
    algorithms.load(algorithm).Options.named(algorithm, case)
    return Trained(algorithm, case)
