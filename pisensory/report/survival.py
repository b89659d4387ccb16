"""What a policy survives: a push, and inputs that are rearranged, joined by others or lost while it balances.

The network goes on from what it remembers, as on the page; an input that joins begins with nothing remembered.
"""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np

from ..errors import InputError
from ..executors import rollout
from ..parameters import Vector, check_params
from ..policies import Policy
from ..rollout import check_fit
from ..tasks import Task
from ..tasks.base import Seed, check_seed

AT, AFTER, LONG = 500, 500, 10_000  # steps: when it happens, how long there is to get over it, and of a long episode
_UPRIGHT, _FOR = 0.8, 50  # the least reward of a step, and for how many steps, at the end, it must be earned
_PUSH_STEPS, _LOST_STEPS, _NOISE = 20, 100, 0.1


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happens to an agent at step AT, or has from the start.

    Attributes:
        label: what people call it.
        push: what is added to the actions for _PUSH_STEPS steps.
        shuffles: whether the inputs get a new order.
        noise: inputs of noise that join.
        copies: whether every input joins once more; the gain is halved then.
        lost: whether the first of the task's inputs reads 0 for _LOST_STEPS steps.
        at: the step.
    """

    label: str
    push: float = 0.0
    shuffles: bool = False
    noise: int = 0
    copies: bool = False
    lost: bool = False
    at: int = AT


EVENTS = (
    Event("nothing"),
    Event(f"a push of the cart, 10 N for {_PUSH_STEPS} steps", push=1.0),
    Event("a shuffle of the inputs", shuffles=True),
    Event("1 noise input from the start", noise=1, at=0),
    Event("5 noise inputs from the start", noise=5, at=0),
    Event("1 noise input is added", noise=1),
    Event("5 noise inputs are added", noise=5),
    Event("each input twice from the start, gain one half", copies=True, at=0),
    Event("each input is doubled, gain one half", copies=True),
    Event(f"x is unplugged, and plugged back after {_LOST_STEPS} steps", lost=True),
)


def survive(
    policy: Policy,
    params: Vector,
    task: Task,
    event: Event,
    n_episodes: int = 100,
    seed: Seed = 0,
    begun: _Lives | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Live through episodes in which something happens.

    Args:
        policy: the network; one for any number of inputs, where inputs join or change places.
        params: its vector (parameter,).
        task: a cart-pole, whose reward says whether the pole is upright; its inputs are shuffled at first.
        event: what happens.
        n_episodes: how many.
        seed: of the episodes.
        begun: the same episodes before the event, to go on from in place of their beginning.

    Returns:
        Whether each episode (episode,) was upright before, and AFTER steps after: alive, and with at least 0.8 of the
        largest reward in each of the last 50 steps.

    Raises:
        InputError: for a policy that does not fit the task, or takes a fixed number of inputs.
    """
    lives = begun.copy() if begun else _Lives(policy, params, task, n_episodes, seed)
    lives.go_on(event, AT + AFTER)
    return lives.upright()


class _Lives:
    """Episodes under way, and what was earned in them; as for `survive`."""

    def __init__(self, policy: Policy, params: Vector, task: Task, n_episodes: int, seed: Seed) -> None:
        plain = task.plain
        check_fit(policy, plain)
        if policy.n_features is not None:
            raise InputError("only a policy for any number of inputs can be given others: use an invariant policy")
        parts = check_seed(seed)
        self._run, generator = plain.start(parts, np.arange(n_episodes)[None]), np.random.default_rng((*parts, 1))
        self._inputs = _Inputs(policy, params, generator, len(plain.senses.names), n_episodes)
        self._alive = np.ones((1, n_episodes), bool)
        self._earned: list[np.ndarray] = []
        self._shape = (1, len(plain.senses.names), plain.n_channels, n_episodes)

    def copy(self) -> _Lives:
        """Return the same lives, to go on in another way."""
        other = copy.copy(self)
        other._run, other._inputs = self._run.keep(np.array([0])), self._inputs.copy()
        other._earned = list(self._earned)
        return other

    def go_on(self, event: Event, until: int) -> None:
        """Live on to a step, and have something happen on the way."""
        values = np.empty(self._shape, np.float32)
        for number in range(len(self._earned), until):
            if number == event.at:
                self._inputs.change(event)
            self._run.observe(values)
            if event.lost and event.at <= number < event.at + _LOST_STEPS:
                values[:, 0] = 0
            actions = self._inputs.act(values[0])
            pushed = event.push if event.at <= number < event.at + _PUSH_STEPS else 0.0
            rewards, over = self._run.step(actions[None] + np.float32(pushed), self._alive)
            self._alive = self._alive & ~over
            self._earned.append(np.where(self._alive[0], rewards[0], 0.0))

    def upright(self) -> tuple[np.ndarray, np.ndarray]:
        """Return whether each episode (episode,) was upright before the event, and at the end."""
        upright = np.array(self._earned) >= _UPRIGHT
        before, after = (np.asarray(part.all(axis=0)) for part in (upright[AT - _FOR : AT], upright[-_FOR:]))
        return before, after


class _Inputs:
    """What a network hears at each place (place, episode), and what it remembers of it."""

    def __init__(
        self, policy: Policy, params: Vector, generator: np.random.Generator, n_sources: int, n_episodes: int
    ) -> None:
        self._policy, self._generator, self._n_sources = policy, generator, n_sources
        self._sources = generator.permuted(np.repeat(np.arange(n_sources)[:, None], n_episodes, axis=1), axis=0)
        self._weights = policy.prepare(check_params(params, policy.n_params)[None])
        self._run = policy.start(self._weights, n_sources, n_episodes)

    def copy(self) -> _Inputs:
        """Return what goes on from the same memory, and draws the same."""
        other = copy.copy(self)
        other._run, other._generator = self._run.keep(np.array([0])), copy.deepcopy(self._generator)
        return other

    def change(self, event: Event) -> None:
        """Have something happen."""
        n_episodes = self._sources.shape[1]
        if event.shuffles:
            self._sources = self._generator.permuted(self._sources, axis=0)
        if event.copies:
            self._policy = dataclasses.replace(self._policy, gain=0.5 * self._policy.config["gain"])
            self._join(self._sources)
        if event.noise:
            self._join(np.repeat(self._n_sources + np.arange(event.noise)[:, None], n_episodes, axis=1))

    def _join(self, sources: np.ndarray) -> None:
        before, n_episodes = self._run, sources.shape[1]
        self._sources = np.concatenate([self._sources, sources])
        self._run = self._policy.start(self._weights, len(self._sources), n_episodes)
        new = [(0, 0), (0, len(sources)), (0, 0), (0, 0)]
        self._run.resume(before, tuple(np.pad(part, new) for part in before.state()))

    def act(self, values: np.ndarray) -> np.ndarray:
        """Return actions (action, episode) for what the task shows (feature, channel, episode)."""
        n_noise = max(0, int(self._sources.max()) + 1 - self._n_sources)
        noise = self._generator.standard_normal((n_noise, *values.shape[1:]), dtype=np.float32)
        heard = np.take_along_axis(np.concatenate([values, _NOISE * noise]), self._sources[:, None], axis=0)
        self._run.observations[0] = heard
        self._run.step()
        return self._run.actions[0]


def survival(policy: Policy, params: Vector, task: Task, n_episodes: int, seed: Seed) -> list[dict[str, Any]]:
    """Return what happens, of how many episodes that were upright before, and how many were upright after.

    Of episodes of LONG steps, all count as before, and those that do not end earlier as after.
    """
    rows, begun = [], _Lives(policy, params, task, n_episodes, seed)
    begun.go_on(EVENTS[0], AT)  # alike for all to whom nothing has happened yet
    for event in EVENTS:
        before, after = survive(policy, params, task, event, n_episodes, seed, begun if event.at == AT else None)
        rows.append({"label": event.label, "before": int(before.sum()), "after": int((before & after).sum())})
    long = dataclasses.replace(task.plain, max_steps=LONG)
    lengths = rollout(policy, [check_params(params, policy.n_params)], long, n_episodes, seed).lengths
    rows.append(
        {"label": f"{LONG:,} steps without a fall", "before": n_episodes, "after": int((lengths == LONG).sum())}
    )
    return rows
