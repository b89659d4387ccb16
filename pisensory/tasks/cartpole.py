"""Cart-pole swing-up, batched over (candidate, episode): the published task and the two it came from.

A pole hangs from a cart on a track; forces on the cart must swing it up and keep it balanced. The equations
of motion are those of a cart with friction and a homogeneous rod on it (the derivation is in Deisenroth,
"Efficient Reinforcement Learning using Gaussian Processes", 2010, appendix C.2), with theta = 0 upright.
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import numpy as np

from ..errors import check_choice
from .base import START, Perturbation, Senses, Task, TaskRun, per_episode

GRAVITY = 9.82  # m/s^2
CART_MASS = 0.5  # kg
POLE_MASS = 0.5  # kg
POLE_LENGTH = 0.6  # m
FRICTION = 0.1  # N s/m, of the cart on its track
MAX_FORCE = 10.0  # N, for an action of one
TIME_STEP = 0.01  # s
TRACK_LIMIT = 2.4  # m, from the middle: beyond it the episode is over

VERSIONS = ("harder", "v0", "v1")
FEATURES = ("x", "x_dot", "cos(theta)", "sin(theta)", "theta_dot")


def initial_state(version: str, generator: np.random.Generator) -> np.ndarray:
    """Draw the state (x, x_dot, theta, theta_dot) that one episode starts in, in m, m/s, rad and rad/s."""
    if version == "harder":
        spread = np.array([TRACK_LIMIT, 10.0, 0.5 * math.pi, 10.0])
        return np.array([0.0, 0.0, math.pi, 0.0]) + spread * generator.uniform(-1.0, 1.0, size=4)
    return np.array([0.0, 0.0, math.pi, 0.0]) + 0.2 * generator.standard_normal(4)


def accelerations(
    x_dot: np.ndarray, sine: np.ndarray, cosine: np.ndarray, theta_dot: np.ndarray, action: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the accelerations of cart (m/s^2) and pole (rad/s^2); Deisenroth (2010), equations C.30, C.31.

    With F = 10 action - 0.1 x_dot the net force on the cart, M the total mass, m and l the pole's:

        x_ddot     = (4 F - 2 m l theta_dot^2 sin + 3 m g sin cos) / (4 M - 3 m cos^2)
        theta_ddot = (6 F cos + 6 M g sin - 3 m l theta_dot^2 sin cos) / (l (4 M - 3 m cos^2))
    """
    total_mass = CART_MASS + POLE_MASS
    force = (4.0 * MAX_FORCE) * action - (4.0 * FRICTION) * x_dot  # 4 F
    spin = (2.0 * POLE_MASS * POLE_LENGTH) * theta_dot * theta_dot  # 2 m l theta_dot^2
    inertia = 4.0 * total_mass - (3.0 * POLE_MASS) * cosine * cosine
    x_ddot = (force + sine * ((3.0 * POLE_MASS * GRAVITY) * cosine - spin)) / inertia
    pull = 1.5 * force * cosine + sine * (6.0 * total_mass * GRAVITY - 1.5 * spin * cosine)
    return x_ddot, pull / (POLE_LENGTH * inertia)


def reward(version: str, x: np.ndarray, cosine: np.ndarray) -> np.ndarray:
    """Return the reward of a state; for "harder" it is at most 1, upright in the middle of the track."""
    if version == "v0":
        return +cosine
    if version == "v1":
        return 0.5 * (1.0 + cosine)
    return 0.5 * (cosine + 1.0) * np.cos((0.5 * math.pi / TRACK_LIMIT) * x)


@dataclasses.dataclass(frozen=True)
class CartPoleSwingUp(Task):
    """The cart-pole swing-up task.

    | input | unit | start, harder | start, v0 and v1 |
    | --- | --- | --- | --- |
    | x | m | uniform in +-2.4 | normal, 0.2 around 0 |
    | x_dot | m/s | uniform in +-10 | normal, 0.2 around 0 |
    | cos(theta), sin(theta) | 1 | theta uniform in pi +- pi/2 | theta normal, 0.2 around pi |
    | theta_dot | rad/s | uniform in +-10 | normal, 0.2 around 0 |

    The one action in [-1, 1] is the force in units of 10 N. The reward, of the state after the step, is
    (cos(theta) + 1)/2 cos(pi x / 4.8) for "harder", cos(theta) for "v0", (1 + cos(theta))/2 for "v1". An
    episode ends when |x| > 2.4 m or after `max_steps` steps of 0.01 s.

    Args:
        version: "harder", "v0" or "v1".
        max_steps: the longest an episode lasts.
        perturbation: what is done to the inputs on their way to the policy.

    Raises:
        InputError: for an unknown version or fewer than one step.

    Examples:
        >>> task = ps.CartPoleSwingUp("v1", max_steps=100)
        >>> task.senses.names
        ('x', 'x_dot', 'cos(theta)', 'sin(theta)', 'theta_dot')
        >>> task.n_actions
        1
    """

    version: str = "harder"
    max_steps: int = 1000
    perturbation: Perturbation = dataclasses.field(default_factory=Perturbation)

    kind: ClassVar[str] = "cartpole"
    n_actions: ClassVar[int] = 1  # type: ignore[misc]

    def __post_init__(self) -> None:
        check_choice("version", self.version, VERSIONS)
        super().__post_init__()

    @classmethod
    def parse(cls, text: str) -> CartPoleSwingUp | None:
        """Return the task of a version's name."""
        return cls(text) if text in VERSIONS else None

    def like(self, other: Task) -> CartPoleSwingUp:
        """Return this version with the settings of `other`, if that is a cart-pole."""
        return dataclasses.replace(other, version=self.version) if isinstance(other, CartPoleSwingUp) else self

    @property
    def label(self) -> str:
        """The version."""
        return self.version

    @property
    def senses(self) -> Senses:
        """The five inputs, a number each."""
        return Senses(FEATURES)

    def with_pictures(self) -> CartPoleSwingUp:
        """Return this task: it can be drawn as it is."""
        return self

    def _start(self, seed: tuple[int, ...], episodes: np.ndarray) -> CartPoleRun:
        states = per_episode(seed, START, episodes, lambda generator: initial_state(self.version, generator))
        return CartPoleRun(self.version, np.moveaxis(states, -1, 0))


class CartPoleRun(TaskRun):
    """Cart-poles under way.

    Args:
        version: of the task; it decides the reward.
        state: (state variable, candidate, episode): x, x_dot, theta, theta_dot.
    """

    def __init__(self, version: str, state: np.ndarray) -> None:
        self.version = version
        # theta, x, x_dot, cos(theta), sin(theta), theta_dot: what is observed is the last five, and the positions, the
        # first two, have their velocities in every third from the last. The sine and cosine serve the reward, the next
        # observation and the next step's physics.
        self._rows = np.empty((6, *state.shape[1:]))
        self._rows[[1, 2, 0, 5]] = state
        np.cos(self._rows[0], out=self._rows[3])
        np.sin(self._rows[0], out=self._rows[4])

    @property
    def state(self) -> np.ndarray:
        """Where the cart-poles are (state variable, candidate, episode): x, x_dot, theta, theta_dot."""
        return self._rows[[1, 2, 0, 5]]

    def observe(self, out: np.ndarray) -> None:
        """Write x, x_dot, cos(theta), sin(theta), theta_dot into `out` (candidate, feature, channel, episode)."""
        out[:, :, 0] = self._rows[1:].swapaxes(0, 1)

    def step(self, actions: np.ndarray, alive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Move on by one explicit Euler step, with the velocities from before it."""
        theta, x, x_dot, cosine, sine, theta_dot = self._rows
        x_ddot, theta_ddot = accelerations(x_dot, sine, cosine, theta_dot, actions[:, 0].astype(np.float64))
        self._rows[:2] += TIME_STEP * self._rows[::-3]
        x_dot += TIME_STEP * x_ddot
        theta_dot += TIME_STEP * theta_ddot
        np.sin(theta, out=sine)
        np.cos(theta, out=cosine)
        return reward(self.version, x, cosine), np.abs(x) > TRACK_LIMIT

    def keep(self, rows: np.ndarray) -> CartPoleRun:
        """Return the run of only these candidates."""
        return CartPoleRun(self.version, self.state[:, rows])

    def picture(
        self, place: tuple[int, int], action: np.ndarray, score: float | None, size: tuple[int, int] | None = None
    ) -> np.ndarray:
        """Return a picture of one episode (height, width, 3), uint8."""
        from .drawing import draw_cartpole  # which needs the lengths above

        x, _, theta, _ = self.state[:, place[0], place[1]]
        return draw_cartpole(float(x), float(theta), float(action[0]), score, size or (600, 400))
