"""A task of one's own, in one file: a point on a line is to be held at its middle, by the sight of three beacons.

Each beacon is an input of two channels: how far off it is, and where it stands.
"""

import dataclasses
from typing import ClassVar

import numpy as np

from pisensory.tasks import Perturbation, Task, register
from pisensory.tasks.base import START, Senses, TaskRun, per_episode

PLACES = np.array([-1.0, 0.5, 2.0])
STEP = 0.2


@register
@dataclasses.dataclass(frozen=True)
class BeaconsTask(Task):
    """A point on a line among beacons; its reward is 1 in the middle, and 0 from 1 on.

    Args:
        max_steps: the longest an episode lasts.
        perturbation: what is done to the inputs on their way to the policy.
    """

    max_steps: int = 20
    perturbation: Perturbation = dataclasses.field(default_factory=Perturbation)

    kind: ClassVar[str] = "beacons"
    n_actions: ClassVar[int] = 1
    score_episodes: ClassVar[int] = 50

    @property
    def senses(self):
        return Senses(("west", "east", "far east"), n_channels=2)

    def with_pictures(self):
        return self

    def _start(self, seed, episodes):
        return BeaconsRun(per_episode(seed, START, episodes, lambda generator: generator.uniform(-1.5, 1.5)))


class BeaconsRun(TaskRun):
    """Points on lines; `place` is (candidate, episode)."""

    def __init__(self, place):
        self.place = place

    def observe(self, out):
        out[:, :, 0] = PLACES[:, None] - self.place[:, None]
        out[:, :, 1] = PLACES[:, None]

    def step(self, actions, alive):
        self.place = self.place + STEP * actions[:, 0]
        return np.maximum(0.0, 1.0 - np.abs(self.place)), np.abs(self.place) > 2

    def keep(self, rows):
        return BeaconsRun(self.place[rows])

    def picture(self, place, action, score, size=None):
        canvas = np.full((60, 200, 3), 255, np.uint8)
        column = int(np.clip(100 + 45 * self.place[place], 4, 195))
        canvas[26:34, column - 4 : column + 4] = (0, 114, 178)
        return canvas
