"""The settings of the trainer that a run's results depend on, and some that go together, by name."""

from __future__ import annotations

import dataclasses
from typing import Any

from ..errors import InputError
from ..runs.config import check_settings
from .optimizer import LARGEST_SIGMA, SMALLEST_SIGMA

PRESETS: dict[str, dict[str, Any]] = {
    # As published: Tang and Ha (2021), appendix; they are the defaults of `train`.
    "paper": {"population_size": 256, "n_episodes": 16, "sigma0": 0.1},
    # Fewer candidates on more episodes: less noise in their ranking. Steps larger, but bounded: without a bound the
    # step size runs away once the network is saturated, for a saturated network acts the same at any scale.
    "best": {"population_size": 128, "n_episodes": 32, "sigma0": 0.25, "sigma_max": 0.25},
}


@dataclasses.dataclass(frozen=True)
class TrainSettings:
    """What config.json keeps of how a run is trained; `train` says what each is."""

    population_size: int = 256
    n_episodes: int = 16
    sigma0: float = 0.1
    seed: int = 0
    eval_every: int = 10
    n_eval_episodes: int = 256
    init: str = "zeros"
    sigma_max: float = LARGEST_SIGMA
    sigma_min: float = SMALLEST_SIGMA
    diagonal: bool = False

    def __post_init__(self) -> None:
        check_settings(self, {"population_size": 2, "seed": 0})
        for name in ("sigma0", "sigma_min", "sigma_max"):
            if not SMALLEST_SIGMA <= getattr(self, name) <= LARGEST_SIGMA:
                raise InputError(f"{name} must be from {SMALLEST_SIGMA} to {LARGEST_SIGMA}, got {getattr(self, name)}")
        if not self.sigma_min <= self.sigma0 <= self.sigma_max:
            raise InputError(
                f"sigma0 must be from sigma_min = {self.sigma_min} to sigma_max = {self.sigma_max}, got {self.sigma0}"
            )
