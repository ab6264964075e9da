"""The direction of the arrows: a module imports its own room and lower layers alone, and no imports go round in a circle.

Imports within functions count; those under TYPE_CHECKING do not, because nothing is imported by them when the code runs.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("bench", "spikecost", "reproductions")
# From low to high. A room is a module or a package of bench, or another package; rooms of one layer do not import one another.
LAYERS: tuple[tuple[str, ...], ...] = (
    (
        "errors",
        "contracts",
        "json_object",
        "measurement",
        "progress",
        "quantity",
        "readers",
        "registry",
        "seeds",
    ),  # values and names
    ("case",),
    ("record",),
    ("design_space", "digest", "files", "machine", "overhead", "setting_search", "spec"),
    ("options", "places", "zoo"),
    ("kernels", "losses", "optimizers", "processes", "record_store"),
    ("nets",),
    ("algorithms",),
    ("backends",),
    ("training_step",),  # a network, an algorithm and a backend together
    ("counting", "datasets"),
    ("planning", "speed", "training"),
    ("parallel",),
    ("lift",),
    ("probes", "plan"),  # a case: measured, and asked for
    ("runner", "cluster"),
    ("claims",),
    ("forecast", "contributions"),  # what cases will take and decide; records from elsewhere
    ("figures",),
    ("front",),
    ("report", "comparison"),
    ("gpu_check", "listing"),
    ("commands",),
    ("cli",),
    ("spikecost", "reproductions"),  # the door, and the papers' plans
)
LAYER = {room: i for i, rooms in enumerate(LAYERS) for room in rooms}


def modules() -> dict[str, Path]:
    """Return the files of the suite by the names that they are imported under."""
    found = {}
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def room(module: str) -> str:
    """bench.algorithms.bptt -> algorithms; spikecost.door -> spikecost."""
    package, *inside = module.split(".")
    return inside[0] if package == "bench" and inside else package


def imported(tree: ast.AST, known: frozenset[str]) -> Iterator[tuple[str, int]]:
    """Yield every module of ``known`` that the code imports when it runs, with the line."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.If(test=ast.Name("TYPE_CHECKING")):
                yield from imported(ast.Module(node.orelse, []), known)
            case ast.Import():
                yield from ((alias.name, node.lineno) for alias in node.names if alias.name in known)
            case ast.ImportFrom(module=str(origin), level=0):
                names = {f"{origin}.{alias.name}" for alias in node.names} & known or {origin} & known
                yield from ((name, node.lineno) for name in sorted(names))
            case _:
                yield from imported(node, known)


def upward(module: str, code: str, known: frozenset[str]) -> list[str]:
    """Return the imports of ``module`` that lead neither into its own room nor to a lower layer."""
    own = room(module)
    return [
        f"{module}, line {line}: imports {name}, but {room(name)} is not below {own}"
        for name, line in imported(ast.parse(code), known)
        if room(name) != own and LAYER[room(name)] >= LAYER[own]
    ]


def test_modules_belong_to_layers_that_exist() -> None:
    rooms = {room(module) for module in MODULES if MODULES[module].stat().st_size or "." in module}
    assert rooms - {"bench"} == set(LAYER)
    assert len(LAYER) == sum(map(len, LAYERS))
    assert not MODULES["bench"].read_text()  # the package itself imports nothing


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_downwards(package: str) -> None:
    known = frozenset(MODULES)
    mine = [module for module in MODULES if module.split(".")[0] == package and module != "bench"]
    assert [wrong for module in mine for wrong in upward(module, MODULES[module].read_text(encoding="utf-8"), known)] == []


def test_imports_have_no_cycle() -> None:
    known = frozenset(MODULES)
    graph = {
        module: {name for name, _ in imported(ast.parse(path.read_text(encoding="utf-8")), known)} - {module}
        for module, path in MODULES.items()
    }
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_lowest_layers_import_nothing_of_the_suite() -> None:
    for module in ("bench.registry", "bench.contracts", "bench.errors", "bench.measurement"):
        assert list(imported(ast.parse(MODULES[module].read_text(encoding="utf-8")), frozenset(MODULES))) == []


def test_reproductions_are_loaded_by_name_and_by_the_plan_alone() -> None:
    loading = 'import_module(f"reproductions.'
    assert [module for module, path in MODULES.items() if loading in path.read_text(encoding="utf-8")] == ["bench.plan"]


@pytest.mark.parametrize(
    "code",
    [
        "import bench.cli",
        "from bench import cli",
        "from bench.cli import main",
        "def later():\n    from bench import cli",
        "class A:\n    def f(self):\n        import bench.cli as c",
        "try:\n    import bench.cli\nexcept ImportError:\n    pass",
        "if TYPE_CHECKING:\n    import x\nelse:\n    import bench.cli",
        "from bench.backends import native",  # a higher layer by one
    ],
)
def test_upward_imports_are_detected_anywhere_in_a_module(code: str) -> None:
    assert len(upward("bench.algorithms.bptt", code, frozenset(MODULES))) == 1


@pytest.mark.parametrize(
    "code",
    [
        "from bench.errors import no",
        "if TYPE_CHECKING:\n    from bench import cli",
        "from bench.algorithms import sltt",
        "import torch",
    ],
)
def test_downward_and_typing_imports_are_allowed(code: str) -> None:
    assert upward("bench.algorithms.bptt", code, frozenset(MODULES)) == []
