"""Digest of the code that computed a value. Comments and docstrings do not affect it. Imports no torch.

    digest = sha256 over (name, syntax tree) of every module in the static import closure, sorted by name

The closure follows import statements, also those inside functions, within the packages bench/ and reproductions/. If a module
names a source file of another language in its own folder (a kernel), the whole text of that file is included. Imports by
name through the registry are not found: the caller lists such modules in ``modules``. Left out is what computes nothing: the
modules in LOOKUPS, which find others by name; imports for type checkers; messages of errors and of ``no(...)``; and the
``meaning`` of an option.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.errors import UserError

PACKAGES = ("bench", "reproductions")
LANGUAGES = (".cpp", ".cu")
# They find modules by name and compute nothing: a new algorithm, probe or data set makes no other results stale.
LOOKUPS = frozenset({"bench.registry", "bench.algorithms", "bench.backends", "bench.datasets", "bench.zoo", "bench.probes"})


def code_digest(modules: Iterable[str], root: Path) -> str:
    """Return 12 hex digits for the code of ``modules`` (dotted names) and everything they import, found below ``root``.

    Each file is read once per process. Raises UserError for a name that is no module below ``root``.
    """
    return _digest(frozenset(modules), root)


def closure(modules: Iterable[str], root: Path) -> list[str]:
    """Return the dotted names of ``modules``, of their packages, and of everything that these import, sorted."""
    found: set[str] = set()
    pending = list(modules)
    while pending:
        name = pending.pop()
        if name in found or name in LOOKUPS:
            continue
        found.add(name)
        parent = name.rpartition(".")[0]
        pending += [parent] if parent and _file(parent, root) else []
        pending += _module(name, root).imports
    return sorted(found)


@cache
def _digest(modules: frozenset[str], root: Path) -> str:
    whole = hashlib.sha256()
    for name in closure(modules, root):
        whole.update(f"{name} {_module(name, root).digest}\n".encode())
    return whole.hexdigest()[:12]


@dataclass(frozen=True)
class _Module:
    digest: str
    imports: frozenset[str]


@cache
def _module(name: str, root: Path) -> _Module:
    path = _file(name, root)
    if path is None:
        raise UserError(f"no module {name!r} below {root}: use a dotted name in package {' or '.join(PACKAGES)}")
    tree = _TypeCheckingRemoved().visit(ast.parse(path.read_bytes(), filename=str(path)))
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    text = "".join(_canonical(tree)) + "".join(_other_languages(tree, path.parent))
    imports = frozenset(target for target in _targets(tree, package) if _file(target, root))
    return _Module(hashlib.sha256(text.encode()).hexdigest(), imports)


class _TypeCheckingRemoved(ast.NodeTransformer):
    """Removes what only a type checker reads."""

    def visit_If(self, node: ast.If) -> ast.AST | None:
        self.generic_visit(node)
        return None if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING" and not node.orelse else node


@cache
def _file(name: str, root: Path) -> Path | None:
    parts = name.split(".")
    if parts[0] not in PACKAGES:
        return None
    base = root.joinpath(*parts)
    return next((path for path in (base / "__init__.py", base.with_name(f"{base.name}.py")) if path.is_file()), None)


def _targets(tree: ast.AST, package: str) -> Iterator[str]:
    """Yield every dotted name that an import may refer to as a module; ``from a import b`` gives a and a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            parent_package = parents[: len(parents) - node.level + 1] if node.level else []
            base = ".".join([*parent_package, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _other_languages(tree: ast.AST, folder: Path) -> Iterator[str]:
    """Yield the texts of the files of other languages in ``folder`` that a string in the module names."""
    names = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    for name in sorted(names):
        if name.endswith(LANGUAGES) and "/" not in name and (folder / name).is_file():
            yield (folder / name).read_text(encoding="utf-8")


def _canonical(node: object) -> Iterator[str]:
    """Yield a syntax tree as text without positions, empty fields and bare strings: the same in every version of Python."""
    if isinstance(node, ast.Call) and _makes_a_message(node.func):
        yield f"({ast.unparse(node.func)})"
    elif isinstance(node, ast.AST):
        yield f"({type(node).__name__}"
        for name, value in ast.iter_fields(node):
            if value not in (None, []) and name not in ("kind", "type_comment", "type_ignores"):
                yield f" {name}="
                yield from _canonical(value)
        yield ")"
    elif isinstance(node, list):
        yield "["
        for item in node:
            if not _is_bare_string(item) and not _is_meaning(item):
                yield from _canonical(item)
        yield "]"
    else:
        yield repr(node)


def _makes_a_message(function: ast.expr) -> bool:
    """Whether ``function`` makes an error or a ``no(...)``, so that its arguments are a message."""
    return isinstance(function, ast.Name) and (function.id in ("no", "Unavailable") or function.id.endswith("Error"))


def _is_meaning(node: object) -> bool:
    """Whether ``node`` is the argument of an option's declaration that says what the option means (bench/options.py)."""
    return isinstance(node, ast.keyword) and node.arg == "meaning"


def _is_bare_string(node: object) -> bool:
    """Whether ``node`` is a docstring, or a string that documents the line above it."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
