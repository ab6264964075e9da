"""How a module treats time: found by calling it with an image, with a sequence, and with the dimensions of a sequence exchanged.

    time             a call of forward takes           neurons run in a call
    single-step      one frame [B, ...]                once: state stays in the neurons (SpikingJelly, snnTorch init_hidden)
    multi-step       a sequence [T, B, ...]            once, over all steps (SpikingJelly's step_mode "m", parallel neurons)
    explicit state   one frame, and the state          once: state is an argument and is returned
    own loop         a sequence, or an image           T times: forward loops over time itself

A network that repeats an image by a number of steps of its own is multi-step or has its own loop, and ``own_steps`` says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from bench.errors import UserError
from bench.lift.recognition.parts import first, initial_states
from bench.lift.recognition.trial import Call, Trials

Time = Literal["single-step", "multi-step", "explicit state", "own loop"]
Encoding = Literal["repeat", "frames"]
Takes = Literal["frame", "sequence", "sequence, batch first"]


@dataclass(frozen=True)
class Timing:
    """``takes``: what a call of forward takes; ``own_steps``: by how many steps it repeats an image itself; ``output`` of a call
    with the samples of the first trial, with time first if it has time."""

    time: Time
    takes: Takes
    own_steps: int | None
    output: Tensor


def timing_of(trials: Trials, encoding: Encoding, arguments: int) -> Timing:
    """Return how the module treats time; ``arguments``: how many states its forward takes.

    Raises UserError if that is unclear.
    """
    if arguments:
        return _explicit(trials, arguments)
    if any(trials.mode(path) != "single-step" for path in trials.neurons):
        return _multi_step(trials, encoding)
    return _single_step(trials, encoding)


def given(trials: Trials, takes: Takes, arguments: int) -> tuple[object, ...]:
    """Return what a call of forward is given in a trial."""
    batch = trials.batches[0]
    if arguments:
        return trials.image(batch), *initial_states(trials.net, batch, arguments)
    if takes == "frame":
        return (trials.image(batch),)
    sequence = trials.sequence(batch)
    return (sequence if takes == "sequence" else sequence.transpose(0, 1),)


def _explicit(trials: Trials, arguments: int) -> Timing:
    found = trials.run(*given(trials, "frame", arguments)).output
    if not isinstance(found, tuple | list) or len(found) != arguments + 1:
        returned = f"{len(found)} values" if isinstance(found, tuple | list) else f"a {type(found).__name__}"
        raise UserError(
            f"{trials.name}.forward takes {arguments} state{'s' if arguments > 1 else ''} beside the input and must return the "
            f"output and as many states, but returns {returned}: return (output, state)"
        )
    return Timing("explicit state", "frame", None, first(found))


def _multi_step(trials: Trials, encoding: Encoding) -> Timing:
    images = [trials.tried(trials.image(batch)) for batch in trials.batches]
    own = _repeats(images, trials.batches)
    if own is not None and encoding == "repeat" and isinstance(images[0], Call):
        return Timing("multi-step", "frame", own, first(images[0].output))
    one = trials.run(trials.sequence(trials.batches[0]))
    return Timing("multi-step" if one.least_runs == 1 else "own loop", "sequence", own, first(one.output))


def _repeats(images: Sequence[Call | UserError], batches: Sequence[int]) -> int | None:
    """Return by how many steps a multi-step network repeats an image: its neurons see [steps, batch, ...]."""
    seen = [next(iter(one.saw.values())) for one in images if isinstance(one, Call) and one.saw]
    steps = {shape[0] for shape in seen}
    if len(seen) < len(images) or len(steps) != 1:
        return None
    follows = all(len(shape) > 1 and shape[1] == batch for shape, batch in zip(seen, batches, strict=True))
    return steps.pop() if follows else None


def _single_step(trials: Trials, encoding: Encoding) -> Timing:
    images = [trials.tried(trials.image(batch)) for batch in trials.batches]
    one, other = images
    if isinstance(one, Call) and isinstance(other, Call):
        runs = one.least_runs
        if runs == other.least_runs == 1 and first(one.output).shape[:2] != (1, trials.batches[0]):
            return Timing("single-step", "frame", None, first(one.output))
        if runs == other.least_runs:  # 1 in a loop over a single step, whose output has time first
            if encoding == "frames":
                raise UserError(
                    f"{trials.name}.forward loops over {runs} time steps of one image, so it takes no frames: let "
                    "forward take one frame x [B, ...] and keep the state in the neurons or as an argument, or measure it as it "
                    "is with encoding = 'repeat'"
                )
            return Timing("own loop", "frame", runs, first(one.output))
    batch = trials.batches[0]
    sequence = trials.sequence(batch)
    looped = trials.tried(sequence)
    if isinstance(looped, Call) and looped.least_runs == trials.T:
        return Timing("own loop", "sequence", None, first(looped.output))
    turned = trials.tried(sequence.transpose(0, 1))
    if isinstance(turned, Call) and turned.least_runs == trials.T:
        out = first(turned.output)
        out = out.transpose(0, 1) if out.shape[:2] == (batch, trials.T) else out
        return Timing("own loop", "sequence, batch first", None, out)
    for attempt in (*images, looped):
        if isinstance(attempt, UserError):
            raise attempt
    raise UserError(
        f"{trials.name}.forward runs its neurons neither once nor {trials.T} times for {trials.T} time steps: let it take one "
        "time step x [B, ...], or loop over the first dimension of x [T, B, ...]"
    )
