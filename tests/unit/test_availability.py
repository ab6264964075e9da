"""Availability of backends: version of the framework, names that the backend needs from it, and a compiler for the kernels."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement

from bench import backends
from bench.cli import main
from bench.errors import UserError
from bench.registry import FRAMEWORKS

REPOSITORY = Path(__file__).parents[2]
COMPILED = ("native-fast", "native-balanced", "native-small")
OTHERS = {"torch": ("2.1.0", "2.8.9+cpu"), "spikingjelly": ("0.0.0.0.14", "1.9", "2.1.0", "3.0"), "snntorch": ("0.9.4", "1.1")}
FITTING = {"torch": ("2.9.0", "2.11.0+cpu", "2.10.0a0"), "spikingjelly": ("2.0.0", "2.0.1"), "snntorch": ("1.0.0", "1.0.0.post1")}


def installed_as(package: str, version: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put metadata of this version of ``package`` into ``folder``, first on Python's path."""
    about = folder / f"{package}-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    monkeypatch.syspath_prepend(str(folder))


def of(package: str) -> list[str]:
    return [name for name in backends.names() if backends.framework(name) == package]


def needs(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


@pytest.mark.parametrize(("package", "version"), [(p, v) for p, versions in OTHERS.items() for v in versions])
def test_available_rejects_an_unsupported_version_and_names_it(
    package: str, version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs(package)
    installed_as(package, version, tmp_path, monkeypatch)
    for name in of(package):
        answer = backends.available(name)
        assert not answer
        assert f"{package} is installed in version {version}" in answer.reason
        assert f"{package} >= {FRAMEWORKS[package][0]}" in answer.reason
        with pytest.raises(UserError, match=re.escape(version)):
            backends.load(name)
    listed = CliRunner().invoke(main, ["list"])
    assert listed.exit_code == 0
    assert f"  {of(package)[0]}  - {package} is installed in version {version}" in listed.output


@pytest.mark.parametrize(("package", "version"), [(p, v) for p, versions in FITTING.items() for v in versions])
def test_available_accepts_supported_versions(
    package: str, version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs(package)
    installed_as(package, version, tmp_path, monkeypatch)
    assert all(backends.available(name) for name in of(package) if name not in COMPILED)


def test_pyproject_and_constraints_lie_within_the_supported_versions() -> None:
    """pyproject.toml requires versions within the supported ranges, with upper bounds; constraints.txt pins one of them."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    required = map(Requirement, [*project["dependencies"], *project["optional-dependencies"]["frameworks"]])
    asked = {requirement.name: requirement.specifier for requirement in required}
    pinned = dict(re.findall(r"^([\w-]+)==(\S+)$", (REPOSITORY / "constraints.txt").read_text(), re.MULTILINE))
    assert {backends.framework(name) for name in backends.names()} == set(FRAMEWORKS)
    for package, (least, below) in FRAMEWORKS.items():
        bounds = {bound.operator: backends._release(bound.version) for bound in asked[package]}
        assert set(bounds) == {">=", "<"}, package
        assert bounds[">="] >= backends._release(least)
        assert below is None or bounds["<"] <= backends._release(below)
        assert asked[package].contains(pinned[package])


def test_available_rejects_an_unknown_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> str:
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert all("its version is unknown" in backends.available(name).reason for name in of("torch"))


@pytest.mark.parametrize(
    "error",
    [
        ImportError("no name LIFNode"),
        AttributeError("no attribute LIFNode"),
        OSError("no library LIFNode"),
        TypeError("no type LIFNode"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_load_names_the_version_if_a_framework_lacks_something(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: str) -> Any:
        raise error

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(UserError, match=r"backend native: torch [\d.]+.* is installed but cannot be imported: no .* LIFNode"):
        backends.load("native")


@pytest.mark.parametrize("variables", [{"PATH": ""}, {"CXX": "no-such-compiler"}], ids=["none on the PATH", "none of that name"])
@pytest.mark.parametrize("gpu", [None, "a GPU"])
def test_compiled_backends_need_a_compiler_or_a_gpu(
    gpu: str | None, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(backends, "gpu", lambda: gpu)
    listed = CliRunner().invoke(main, ["list"]).output
    for name in COMPILED:
        assert bool(backends.available(name)) is (gpu is not None)
        assert (f"  {name}  - the compiled kernels need a C++ compiler: install g++" in listed) is (gpu is None)
    assert backends.available("native")


def test_available_imports_no_framework() -> None:
    code = (
        "import sys; from bench.cli import main; main(['list'], standalone_mode=False)\n"
        "sys.exit(' '.join({'torch', 'spikingjelly', 'snntorch'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert ran.stderr.strip() == ""  # sys.exit with a message prints to stderr
