"""The links of a user's chain as layers with explicit state, as those of the catalogue: (x [K, B, ...], state) -> (y, state)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from bench.errors import UserError
from bench.lift import frameworks
from bench.lift.frameworks import Slot
from bench.lift.recognition.chain import Link
from bench.lift.recognition.parts import first
from bench.lift.running.stepped import decoded, encoded
from bench.nets.layers import State


class FunctionLink(nn.Module):
    """A function that the forward of the user's module calls between two of its parts; ``once``: on single time steps."""

    def __init__(self, function: Callable[[Tensor], Tensor], once: bool) -> None:
        super().__init__()
        self.function = function
        self.once = once

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        if not self.once:
            return self.function(x), state
        (x_t,) = x
        return self.function(x_t).unsqueeze(0), state


class ModuleLink(nn.Module):
    """A part of the user's module; its state is that of ``slots``, which hold the initial state between calls."""

    def __init__(self, module: nn.Module, slots: Sequence[Slot], once: bool) -> None:
        super().__init__()
        self.module = module
        self.slots = tuple(slots)
        self.once = once

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        self._put(state)
        try:
            if self.once:
                (x_t,) = x
                y = first(self.module(x_t)).unsqueeze(0)
            else:
                y = first(self.module(x))
            return y, [encoded(slot.read(), slot) for slot in self.slots] or None
        finally:
            self._put(None)

    def _put(self, state: State) -> None:
        """Write the state into the module, and let go of it; None is the initial state."""
        for i, slot in enumerate(self.slots):
            entry = None if state is None else state[i]
            if state is not None:
                state[i] = None
            slot.write(decoded(entry, slot))


def layers_of(module: nn.Module, links: Sequence[Link], once: bool) -> list[nn.Module]:
    """Return the links of ``module`` as layers. Raises UserError if a part with state or weights runs twice."""
    modules = dict(module.named_modules())
    slots = [slot for adapter in frameworks.of(module) for slot in adapter.slots(module)]
    found: list[nn.Module] = []
    seen: set[str] = set()
    for link in links:
        if link.function is not None:
            found.append(FunctionLink(link.function, once))
            continue
        part = modules[link.path]
        own = [slot for slot in slots if f"{slot.path}.".startswith(f"{link.path}.")]
        if link.path in seen and (own or next(part.parameters(), None) is not None):
            raise UserError(
                f"{link.path} runs twice in a call of forward, so that no block can own it: use a layer for each place"
            )
        seen.add(link.path)
        found.append(ModuleLink(part, own, once))
    return found
