"""A machine with a GPU, as the store describes it."""

from __future__ import annotations

GPU = "NVIDIA X"
WHAT = {"cpu": "x", "cores": 2, "memory_gib": 8, "os": "Linux", "architecture": "x86_64", "gpus": [GPU]}
