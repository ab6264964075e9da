"""The digest of code changes with code, not with comments, docstrings or messages."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bench.digest import LOOKUPS, closure, code_digest
from bench.errors import UserError

FILES = {
    "bench/__init__.py": '"""The instrument."""\n',
    "bench/spec.py": "DECAY = 0.5\n",
    "bench/unrelated.py": "A = 1\n",
    "bench/kernels/__init__.py": "",
    "bench/kernels/lif.py": "from ..spec import DECAY\n\n\ndef charge(v, x):\n    return DECAY * v + x\n",
    "bench/kernels/lazy.py": "B = 2\n",
    "bench/kernels/beside.py": "C = 3\n",
    "bench/step.py": (
        '"""A step."""\nfrom bench.kernels import lif\nimport json\n\nK = whole(2, meaning="a step")\n\n\ndef step(v, x):\n'
        '    """u = decay v + x."""\n    # why\n    import bench.kernels.lazy\n    from .kernels import beside\n'
        "    if x is None:\n        raise ValueError(f'no input {x}')\n    return lif.charge(v, x)\n"
    ),
    "reproductions/__init__.py": "",
    "reproductions/p.py": "from bench import step\n",
}


def digest(root: Path, files: dict[str, str], *modules: str) -> str:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return code_digest(modules or ["bench.step"], root)


@pytest.fixture
def before(tmp_path: Path) -> str:
    return digest(tmp_path / "before", FILES)


def edited(name: str, old: str, new: str) -> dict[str, str]:
    assert old in FILES[name]
    return {**FILES, name: FILES[name].replace(old, new)}


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("bench/step.py", '"""u = decay v + x."""', '"""Something else."""'),
        ("bench/step.py", '    """u = decay v + x."""\n', ""),
        ("bench/step.py", "# why", "# because"),
        ("bench/step.py", '"a step"', '"one step"'),
        ("bench/step.py", "no input {x}", "x is missing"),
        ("bench/step.py", '"""A step."""\n', "\n\n\n"),
        ("bench/spec.py", "DECAY = 0.5\n", 'DECAY = 0.5\n"""Of the membrane."""\n'),
        ("bench/kernels/lif.py", "DECAY * v + x", "(DECAY  *  v) + x"),
        ("bench/unrelated.py", "1", "2"),
        ("reproductions/p.py", "step", "unrelated"),
    ],
)
def test_digest_ignores_comments_docstrings_and_messages(tmp_path: Path, before: str, name: str, old: str, new: str) -> None:
    assert digest(tmp_path / "after", edited(name, old, new)) == before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("bench/kernels/lif.py", "v + x", "v - x"),  # relative and submodule import
        ("bench/spec.py", "0.5", "0.25"),  # two imports away
        ("bench/kernels/lazy.py", "2", "3"),  # imported inside a function
        ("bench/kernels/beside.py", "3", "4"),  # relative, inside a function
        ("bench/step.py", "lif.charge(v, x)", "lif.charge(x, v)"),
        ("bench/step.py", "if x is None", "if v is None"),  # the condition of an error, not its message
        ("bench/step.py", "ValueError", "TypeError"),
        ("bench/__init__.py", '"""The instrument."""\n', "X = 1\n"),  # a package is imported before its modules
    ],
)
def test_digest_changes_with_code(tmp_path: Path, before: str, name: str, old: str, new: str) -> None:
    assert digest(tmp_path / "after", edited(name, old, new)) != before


def test_digest_includes_kernel_sources_that_a_module_names(tmp_path: Path) -> None:
    """Files in other folders, and files that no module names, are not included."""
    named = {**FILES, "bench/kernels/lif.py": FILES["bench/kernels/lif.py"] + 'SOURCE = "lif.cpp"\n'}
    one = digest(tmp_path / "one", {**named, "bench/kernels/lif.cpp": "u = v + x;"})
    assert one != digest(tmp_path / "other", {**named, "bench/kernels/lif.cpp": "u = v - x;"})
    beside = {"bench/kernels/other.cpp": "1", "bench/lif.cpp": "2"}
    assert one == digest(tmp_path / "more", {**named, "bench/kernels/lif.cpp": "u = v + x;", **beside})


def test_digest_includes_the_kernels_of_this_project() -> None:
    root = Path(__file__).parents[2]
    reached = closure(["bench.backends.native_fast"], root)
    assert {"bench.kernels.compiled", "bench.kernels.cpu", "bench.kernels.triton_lif"} <= set(reached)
    assert "bench.kernels.compiled" not in closure(["bench.algorithms.local", "bench.backends.native"], root)


def test_closure_has_exactly_the_imported_modules(tmp_path: Path, before: str) -> None:
    reached = ["bench", "bench.kernels", *(f"bench.kernels.{m}" for m in ("beside", "lazy", "lif"))]
    assert closure(["bench.step"], tmp_path / "before") == [*reached, "bench.spec", "bench.step"]


def test_digest_includes_given_modules(tmp_path: Path, before: str) -> None:
    root = tmp_path / "before"
    both = code_digest(["bench.step", "bench.unrelated"], root)
    assert both != before
    assert both == code_digest(["bench.unrelated", "bench.step"], root)


def test_digest_names_an_unknown_module(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"bench\.nowhere"):
        digest(tmp_path, FILES, "bench.nowhere")


def test_digest_of_this_project_is_fast() -> None:
    root = Path(__file__).resolve().parents[2]
    start = time.process_time()
    known = code_digest(["bench.claims", "bench.digest"], root)
    assert len(known) == 12
    assert int(known, 16) >= 0
    assert "bench.record_store" in closure(["bench.claims"], root)
    assert time.process_time() - start < 2


@pytest.mark.parametrize("chooser", sorted(LOOKUPS))
def test_digest_ignores_what_only_chooses_by_name(tmp_path: Path, chooser: str) -> None:
    path = chooser.replace(".", "/") + ".py"
    using = {**FILES, "bench/step.py": FILES["bench/step.py"] + f"import {chooser}\n"}
    one = digest(tmp_path / "one", {**using, path: "A = 1\n"})
    assert one == digest(tmp_path / "other", {**using, path: "A = 2\n"})


def test_choosers_are_modules_of_this_project() -> None:
    root = Path(__file__).parents[2]
    for name in LOOKUPS:
        path = root / name.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file(), name


def test_digest_ignores_imports_for_type_checkers(tmp_path: Path) -> None:
    def typed(imported: str) -> dict[str, str]:
        text = f"from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    {imported}\nDECAY = 0.5\n"
        return {**FILES, "bench/spec.py": text}

    one = digest(tmp_path / "one", typed("from bench.unrelated import A"))
    assert one == digest(tmp_path / "other", typed("import json"))
    assert "bench.unrelated" not in closure(["bench.step"], tmp_path / "one")


def test_new_registry_entry_makes_no_record_stale() -> None:
    """The registry is reached from every algorithm's training step, and its text is in no digest."""
    root = Path(__file__).parents[2]
    assert "bench.registry" not in closure(["bench.probes.cost", "bench.algorithms.bptt", "bench.backends.native"], root)
