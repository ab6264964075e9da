"""What was measured of a user's network, as tables in a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bench.lift.cost.limits import Limit, Limits
from bench.planning.longest import MOST
from bench.quantity import size

if TYPE_CHECKING:
    from bench.lift.cost.compare import Compared, Row
    from bench.lift.cost.measure import Measured
    from bench.lift.recognition.recognise import Recognised

_WAYS = {
    "single-step": "one call of forward is one time step; the state stays in the neurons",
    "multi-step": "one call of forward is the whole sequence",
    "explicit state": "one call of forward is one time step; the state is an argument and is returned",
    "own loop": "forward loops over time itself",
}
_COUNTED = {"meta": "tensors without storage", "fake": "tensors without storage", "cpu": "real tensors on the CPU"}


def shown(measured: Measured, note: str = "") -> RenderableType:
    """Return the tables of one measurement; ``note``: how the network was built, if that needs saying."""
    head = (
        f"{measured.recognised.module}: one training step, T = {measured.T}, batch {measured.batch}, {measured.precision}, "
        f"{measured.parameters:,} parameters"
    )
    found = Table.grid(padding=(0, 2))
    for title, words in [*understood(measured.recognised), *_notes(measured, note)]:
        found.add_row(f"  {title}", words)
    tables = (_memory(measured), _macs(measured), _traffic(measured))
    return Group(Text(head, style="bold"), *tables, Text("recognised", style="bold"), found)


def compared(found: Compared, note: str = "") -> RenderableType:
    """Return the table of a comparison, what fits, and what does not apply with the reason."""
    budget, first = found.allowed is not None, found.rows[0]
    table = _table("algorithm", "options", "peak", "MACs", "", "gradient", *(["fits"] if budget else []))
    table.columns[1].justify = table.columns[5].justify = "left"
    for row in found.rows:
        if row.cost is not None:
            options = ", ".join(f"{name} = {_several(value)}" for name, value in row.options.items())
            times = f"{row.macs / first.macs:.2f} x" if first.macs else ""
            fits = [("yes" if found.fits(row) else "no")] if budget else []
            table.add_row(
                f"  {row.algorithm}", options, size(row.cost.memory.total), f"{row.macs:.3g}", times, _gradient(row), *fits
            )
    head = f"{found.recognised.module}: one training step, T = {found.T}, batch {found.batch}, {found.precision}"
    parts: list[RenderableType] = [Text(head, style="bold"), table, *([_largest(found)] if budget else [])]
    for title, reasons in (
        ("does not apply", {row.algorithm: row.reason for row in found.rows if row.cost is None}),
        ("no cosine", {row.algorithm: row.cosine for row in found.rows if isinstance(row.cosine, str)}),
        ("no largest batch and T", {row.algorithm: row.limits for row in found.rows if isinstance(row.limits, str)}),
    ):
        if reasons:
            parts += [Text(title, style="bold"), _grouped(reasons)]
    if found.allowed is not None:
        best = found.cheapest_exact()
        words = f"{best.algorithm}, {size(best.cost.memory.total)}" if best is not None and best.cost is not None else "none"
        parts.append(Text(f"the exact one of fewest dense MACs that fits {size(found.allowed)}: {words}"))
    return Group(*parts, *(Text(line) for line in (*_of_numbers(found), note) if line))


def _several(value: object) -> str:
    return " + ".join(map(str, value)) if isinstance(value, list) else str(value)


def _gradient(row: Row) -> str:
    if row.exact:
        return "exact"
    return f"cosine {row.cosine:.3f}" if isinstance(row.cosine, float) else "approximate"


def _largest(found: Compared) -> Table:
    """The largest batch and T that fit the budget, by algorithm."""
    table = _table("largest that fits", f"batch at T = {found.T}", f"T at batch {found.batch}")
    table.columns[1].justify = table.columns[2].justify = "left"
    for row in found.rows:
        if isinstance(row.limits, Limits):
            table.add_row(f"  {row.algorithm}", _limit(row.limits.batch), _limit(row.limits.T))
    return table


def _limit(found: Limit | None) -> str:
    """A count as it is; a value by formula after "about", one beyond the checked T with its band."""
    match found:
        case None:
            return "its own"
        case Limit(value=value) if value >= MOST:
            return f"over {MOST:,}"
        case Limit(basis="counted"):
            return f"{found.value:,}"
        case Limit(basis="extrapolated"):
            return f"{found.value:,} extrapolated ({found.low:,} to {found.high:,})"
    return f"{found.value:,} ({found.low:,} to {found.high:,})"


def _of_numbers(found: Compared) -> Iterator[str]:
    if found.allowed is not None:
        yield (
            "plain numbers of what fits are counted; those with a range come from a formula, and the range is that of its "
            "deviation from a count at T <= 100"
        )
    if isinstance(found.cosine_at, tuple):
        T, batch = found.cosine_at
        yield f"cosine to BPTT's gradient on random samples at the module's weights, T = {T}, batch {batch}"
    elif found.cosine_at:
        yield f"no cosines: {found.cosine_at}"


def _grouped(reasons: Mapping[str, object]) -> Table:
    """Reasons, each with the names that share it."""
    found = Table.grid(padding=(0, 2))
    for reason in dict.fromkeys(reasons.values()):
        found.add_row(f"  {', '.join(name for name, why in reasons.items() if why == reason)}", str(reason))
    return found


def understood(found: Recognised) -> Iterator[tuple[str, str]]:
    """Yield what was recognised of a network, as (title, words)."""
    own = f", and repeats an image by {found.own_steps} time steps of its own" if found.own_steps else ""
    yield "time", f"{found.time}, {' and '.join(found.frameworks) or 'plain PyTorch'}: {_WAYS[found.time]}{own}"
    kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(neuron.kind for neuron in found.neurons).items())
    yield "neurons", kinds or "none of a framework: no tensor is known to be binary, and every product counts"
    several = [neuron.path for neuron in found.neurons if not neuron.binary]
    if several:
        yield "", f"of several levels, so that products with them count: {', '.join(several)}"
    names = Counter(state.rpartition(".")[2] for state in found.states)
    kept = ", ".join(f"{count} {name}" for name, count in names.items())
    yield "states", kept or ("arguments of forward" if found.state_arguments else "made inside forward")
    yield "synapses", f"{len(found.synapses)}, of which {sum(synapse.reads_spikes for synapse in found.synapses)} read spikes"
    yield "blocks", f"a chain of {len(found.blocks)}" if found.blocks else "no chain"
    for reason, count in Counter(found.over_time.values()).items():
        yield "time steps", f"are tied in {count} layers: {reason}"
    if found.averages:
        yield "output", "averaged over time inside forward"
    for key in found.other_state:
        yield "note", f"{key} changes from call to call and is no known state"


def _memory(measured: Measured) -> Table:
    peak = measured.cost.memory
    table = _table("memory at the peak", "", "share")
    for category, count in peak.by_category.items():
        if count:
            table.add_row(f"  {category}", size(count), f"{100 * count / max(peak.total, 1):.1f} %")
    table.add_row("  total", size(peak.total), "", style="bold")
    return table


def _macs(measured: Measured) -> Table:
    table = _table("multiply-accumulates", "dense", "without products with spikes")
    dense, real = measured.cost.macs.dense, measured.cost.macs.multiplications
    for role in dense:
        if dense[role]:
            table.add_row(f"  {role}", f"{dense[role]:.4g}", f"{real[role]:.4g}")
    table.add_row("  total", f"{sum(dense.values()):.4g}", f"{sum(real.values()):.4g}", style="bold")
    return table


def _traffic(measured: Measured) -> Table:
    table = _table("memory traffic", "")
    for name, count in measured.cost.traffic.conventions().items():
        if name not in ("read", "written"):  # parts of the first
            table.add_row(f"  {name}", size(count))
    return table


def _notes(measured: Measured, note: str) -> Iterator[tuple[str, str]]:
    yield "counted", "; ".join((f"on {_COUNTED[measured.device]}", *measured.kernels))
    if note:
        yield "built", note


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for i, title in enumerate(titles):
        table.add_column(title, justify="right" if i else "left")
    return table
