"""The type of an object of a JSON or TOML file. Imports nothing of the suite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]  # written or checked by the suite itself
