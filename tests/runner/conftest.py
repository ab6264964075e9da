"""Workers that fail on purpose."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.runner import run as runner
from tests.runner.running import HERE


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """``faulty(name)``: make workers run that function of faulty.py."""
    monkeypatch.syspath_prepend(str(HERE))  # type: ignore[no-untyped-call]

    def use(name: str) -> None:
        import faulty as module

        monkeypatch.setattr(runner, "work", getattr(module, name))

    return use
