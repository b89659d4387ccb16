"""Settings of the trainer that go together, by name."""

from __future__ import annotations

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    # As published: Tang and Ha (2021), appendix; they are the defaults of `train`.
    "paper": {"population_size": 256, "n_episodes": 16, "sigma0": 0.1},
    # Fewer candidates on more episodes: less noise in their ranking. Steps larger, but bounded: without a bound the
    # step size runs away once the network is saturated, for a saturated network acts the same at any scale.
    "best": {"population_size": 128, "n_episodes": 32, "sigma0": 0.25, "sigma_max": 0.25},
}
