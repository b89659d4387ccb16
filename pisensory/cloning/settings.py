"""The settings of cloning that its result depends on."""

from __future__ import annotations

import dataclasses

from ..errors import InputError
from ..runs.config import check_settings


@dataclasses.dataclass(frozen=True)
class CloneSettings:
    """What config.json keeps of how a student is taught; `clone` says what each is."""

    rounds: int = 400
    teacher_rounds: int = 16
    updates: int = 25
    batch_size: int = 64
    memory: int = 60
    window: int = 100
    windows: int = 0
    beginnings: float = 0.2
    occlusion: float = 0.0
    least_occlusion: float = 0.0
    tries: int = 1
    margin: float = 0.0
    stakes: float = 0.0
    learning_rate: float = 1e-3
    clip: float = 0.5
    average: float = 0.0
    action_noise: float = 0.03
    teacher_gain: float = 1.0
    teacher_share: float = 0.0
    identify: float = 0.0
    matching: float = 0.002
    dagger: bool = False
    seed: int = 0
    eval_every: int = 5
    patience: int = 40
    n_eval_episodes: int = 256
    max_megabytes: int = 1024
    teacher: str = ""
    init: str = "random"

    def __post_init__(self) -> None:
        zeros = (
            "windows", "beginnings", "occlusion", "least_occlusion", "margin", "stakes", "average", "action_noise",
            "teacher_share", "identify", "matching", "seed",
        )  # fmt: skip
        check_settings(self, dict.fromkeys(zeros, 0))
        for name in ("beginnings", "occlusion", "stakes", "teacher_share", "average"):
            if getattr(self, name) > 1:
                raise InputError(f"{name} must be a number from 0 to 1, got {getattr(self, name)}")
