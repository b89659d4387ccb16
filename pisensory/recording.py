"""What a policy sees, does and thinks during the episodes of a rollout, step by step."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

import numpy as np

from .errors import MAX_EPISODES, check_int, check_list, check_text
from .parameters import Vector
from .policies import Policy
from .rollout import live, single_chunk
from .tasks import Task
from .tasks.base import Seed


@dataclasses.dataclass(frozen=True)
class Recording:
    """Episodes of one policy, step by step.

    Attributes:
        observations: what the policy saw (step, feature, channel, episode).
        sources: which input each of them was (step, feature, episode), as `EpisodeDraws.order` numbers them.
        actions: (step, action, episode).
        rewards: of each step (step, episode); 0 once the episode is over.
        alive: whether the step was part of the episode (step, episode).
        inside: what was asked for of what `PolicyRun.inside` shows: name -> (step, ..., episode).
    """

    observations: np.ndarray
    sources: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    alive: np.ndarray
    inside: dict[str, np.ndarray]

    @property
    def latent(self) -> np.ndarray:
        """The latent codes (step, embedding, episode), if they were asked for."""
        return self._noted("latent")

    @property
    def attention(self) -> np.ndarray:
        """The attention (step, embedding, feature, episode), in the order of `Agent.attention`, if asked for."""
        return self._noted("attention").swapaxes(1, 2)

    def _noted(self, name: str) -> np.ndarray:
        if name not in self.inside:
            raise AttributeError(f"no {name} was noted: ask for it with inside=[{name!r}], of a policy that has it")
        return self.inside[name]


def record(
    policy: Policy, params: Vector, task: Task, n_episodes: int = 1, seed: Seed = 0, inside: Collection[str] = ()
) -> Recording:
    """Live through the episodes of a rollout, and note what the policy saw, did and thought.

    They are, to the bit, the episodes that `evaluate` scores with the same seed.

    Args:
        policy: the network.
        params: its vector (parameter,).
        task: what to do.
        n_episodes: how many.
        seed: of the rollout.
        inside: what to note of the inside, such as ["latent", "attention"], where there is such; it takes most memory.

    Raises:
        InputError: for a policy that does not fit the task, an impossible number, or an `inside` that is no sequence of
            names.
    """
    n_episodes = check_int("n_episodes", n_episodes, 1, MAX_EPISODES)
    inside = [check_text("each of inside", name, "attention") for name in check_list("inside", inside, '["latent"]')]
    noted: dict[str, list[np.ndarray]] = {}
    for step in live(single_chunk(policy, params, task, n_episodes, seed)):
        shown = step.policy.inside() if inside else {}
        parts = {
            "observations": step.observations, "sources": step.task.sources, "actions": step.actions,
            "rewards": step.rewards, "alive": step.alive, **{name: shown[name] for name in inside if name in shown},
        }  # fmt: skip
        for name, values in parts.items():
            noted.setdefault(name, []).append(_by_episode(values, n_episodes))
    # A reward is told with the step after the one that earned it; the last is a step that nobody takes.
    stacked = {name: np.stack(values[1:] if name == "rewards" else values[:-1]) for name, values in noted.items()}
    own = {name: stacked.pop(name) for name in ("observations", "sources", "actions", "rewards", "alive")}
    return Recording(**own, inside=stacked)


def _by_episode(values: np.ndarray, n_episodes: int) -> np.ndarray:
    """Return a copy (..., episode) of values (row, ..., episode) of one candidate's rows."""
    rows_last = np.moveaxis(values, 0, -2)
    return rows_last.reshape(*values.shape[1:-1], -1)[..., :n_episodes].copy()
