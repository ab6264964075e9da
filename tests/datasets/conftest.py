"""Fixtures of event data sets."""

from __future__ import annotations

import warnings

import pytest


@pytest.fixture(scope="session")
def parser() -> None:
    with warnings.catch_warnings():  # warnings of the library and its dependencies on import
        warnings.simplefilter("ignore")
        pytest.importorskip("tonic.io", reason="tonic reads event files: pip install '.[data]'")
