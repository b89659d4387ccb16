"""A driver for CarRacing that knows the track and how its car moves; it sees no picture.

It steers towards a point of the centre line some way ahead (pure pursuit: Coulter, "Implementation of the Pure Pursuit
Path Tracking Algorithm", 1992) and keeps to the speed at which the bends ahead can be taken.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from .base import Teacher

_SMOOTH = 7  # pieces of the track over which its curvature is averaged
_BEHIND, _AHEAD = (
    3,
    12,
)  # pieces among which the nearest is looked for, so that no other part of the track is taken for it
_STRAIGHT = 1e-4  # curvature of what counts as straight, 1/m


@dataclasses.dataclass(frozen=True)
class Driver(Teacher):
    """A teacher for CarRacing: pure pursuit of the middle of the road.

    Args:
        cornering: the acceleration towards the inside of a bend that it counts on, in units a second squared.
        braking: how fast it counts on losing speed, likewise.
        top_speed: in units a second.
        near: how far ahead it looks at least, in units.
        look_ahead: and how far in time, in s.
        steering: full lock a radian of deviation.
        damping: of the turning, full lock a radian a second.
    """

    cornering: float = 130.0
    braking: float = 40.0
    top_speed: float = 80.0
    near: float = 4.0
    look_ahead: float = 0.25
    steering: float = 1.6
    damping: float = 0.12

    kind: ClassVar[str] = "driver"
    task: ClassVar[str] = "carracing"

    def __call__(self, world: Any) -> Callable[[], np.ndarray]:
        """Return what drives the car of Gymnasium's environment `world`: steering, gas and brakes."""
        line = np.array([piece[2:4] for piece in world.track])
        lengths, limits = self._plan(line)
        place = 0

        def drive() -> np.ndarray:
            nonlocal place
            hull = world.car.hull
            position, velocity = np.array(hull.position), np.hypot(*hull.linearVelocity)
            near = np.arange(place - _BEHIND, place + _AHEAD) % len(line)
            place = int(near[np.argmin(((line[near] - position) ** 2).sum(axis=1))])
            target, way = place, self.near + self.look_ahead * velocity
            while way > 0:
                way -= lengths[target]
                target = (target + 1) % len(line)
            right, ahead = _as_seen(line[target] - position, hull.angle)
            deviation = np.arctan2(right, ahead)
            steer = np.clip(self.steering * deviation + self.damping * hull.angularVelocity, -1, 1)
            gas, brake = _pedals(velocity, limits[(place + 1) % len(line)], steer)
            return np.array([steer, 2 * gas - 1, 2 * brake - 1])

        return drive

    def _plan(self, line: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the length of each piece of a closed line (piece, 2), and the speed it may be entered at."""
        pieces = np.roll(line, -1, axis=0) - line
        lengths = np.hypot(*pieces.T)
        headings = np.arctan2(pieces[:, 1], pieces[:, 0])
        turns = np.angle(np.exp(1j * (np.roll(headings, -1) - headings)))
        around = np.arange(-(_SMOOTH // 2), _SMOOTH // 2 + 1)
        bends = (np.abs(turns) / lengths)[(np.arange(len(line))[:, None] + around) % len(line)].mean(axis=1)
        limits = np.minimum(self.top_speed, np.sqrt(self.cornering / np.maximum(bends, _STRAIGHT)))
        for piece in [*reversed(range(len(line)))] * 2:  # twice round, since the end is before the beginning
            after = limits[(piece + 1) % len(line)]
            limits[piece] = min(limits[piece], np.sqrt(after**2 + 2 * self.braking * lengths[piece]))
        return lengths, limits


def _as_seen(way: np.ndarray, angle: float) -> tuple[float, float]:
    """Return a way (x, y) as to the right and ahead of a car that is turned by `angle`."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return cosine * way[0] + sine * way[1], cosine * way[1] - sine * way[0]


def _pedals(speed: float, wanted: float, steer: float) -> tuple[float, float]:
    """Return gas and brake, from 0 to 1: less gas in a bend, and no brake for a little too much."""
    gas = np.clip((wanted - speed) / 4, 0, 1) * (1 - abs(steer) / 2)
    brake = np.clip((speed - wanted) / 15, 0, 0.8) * 0.6 if speed > wanted + 2 else 0.0
    return float(gas), float(brake)
