"""A layer of leaky integrate-and-fire neurons of a framework as data, for algorithms whose equations name its settings.

u[t] = decay * v[t-1] + gain * x[t]         charge from the input current x
s[t] = 1 if u[t] >= threshold else 0        fire
soft reset: v[t] = u[t] - threshold * s[t];  hard reset: to a constant
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.spec import NeuronSpec, Reset, Surrogate


@dataclass(frozen=True)
class Lif:
    """``surrogate``: that of the catalogue with the same derivative; None if there is none. Other names as in the equations."""

    decay: float
    gain: float
    threshold: float
    reset: Reset
    detach_reset: bool
    surrogate: Surrogate | None

    def per_input(self) -> NeuronSpec:
        """Return the same neurons with the potential in units of the input current, which enters it with the factor 1.

        The spikes are the same. The surrogate is a stand-in: algorithms that read this take the slope from the neurons.
        """
        return NeuronSpec(self.decay, self.threshold / self.gain, self.reset, self.detach_reset)

    def spec(self) -> NeuronSpec:
        """Return the same neurons as the catalogue has them; their current is gain * x. Requires a surrogate."""
        if self.surrogate is None:
            raise ValueError("these neurons have no surrogate of the catalogue")
        return NeuronSpec(self.decay, self.threshold, self.reset, self.detach_reset, self.surrogate)
