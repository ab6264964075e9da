"""Events as one structured array. Imports numpy only when it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    EventArray = NDArray[numpy.void]  # [n], with fields t (microseconds), x, y and p


def table(**fields: NDArray[numpy.integer]) -> EventArray:
    """Return one structured array of events from arrays [n] by name."""
    import numpy

    events = numpy.empty(len(fields["t"]), [(name, values.dtype) for name, values in fields.items()])
    for name, values in fields.items():
        events[name] = values
    return events
