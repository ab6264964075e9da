"""The missing cases of a plan with their forecasts, the claims that they decide, and the order in which to measure them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.case import Case
from bench.forecast.deciding import ClaimId, decided_by
from bench.forecast.forecast import Forecast, Forecaster
from bench.forecast.order import by_claims_per_second


@dataclass(frozen=True)
class Outlook:
    """``forecasts`` of the missing cases by key, those that can be measured here in the ``order`` of claims per second.

    ``claims``: those that need a case, by its key.
    """

    forecasts: Mapping[str, Forecast]
    order: Sequence[Case]
    claims: Mapping[str, Sequence[ClaimId]]

    @property
    def blocked(self) -> list[Forecast]:
        """Those that cannot be measured here."""
        return [forecast for forecast in self.forecasts.values() if forecast.obstacle]


def outlook(
    missing: Sequence[Case], done: frozenset[str], needed: Mapping[ClaimId, frozenset[str]], forecaster: Forecaster
) -> Outlook:
    """Forecast ``missing`` cases. ``done``: keys of those measured; ``needed``: the keys that each claim needs."""
    forecasts = {case.key: forecaster.of(case) for case in missing}
    able = [case for case in missing if not forecasts[case.key].obstacle]
    seconds = {case.key: forecasts[case.key].seconds for case in able}
    return Outlook(forecasts, by_claims_per_second(able, seconds, needed, done), decided_by(needed))
