"""Every implementation of the fused kernels: C++ on the CPU, Triton interpreted on the CPU, Triton on a GPU."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from bench.kernels import compiler, fused
from tests.kernels.implementations import EXAMPLES, KERNELS, On, interpreted


@pytest.fixture(scope="module", params=KERNELS)
def on(request: pytest.FixtureRequest) -> Iterator[On]:
    """The kernels under test, as the operators call them."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "C++":
            if not compiler.available():
                pytest.skip(compiler.available().reason)
        elif request.param == "Triton":
            if not torch.cuda.is_available():
                pytest.skip("no GPU")
        else:
            module = interpreted()
            patch.setattr(fused, "kernels", lambda device: module)
        yield On("cuda" if request.param == "Triton" else "cpu", EXAMPLES[request.param])
