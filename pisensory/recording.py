"""What a policy sees, does and thinks during the episodes of a rollout, step by step."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Collection

import numpy as np

from .errors import MAX_EPISODES, check_int, check_list, check_text
from .parameters import Vector
from .policies import Policy
from .rollout import Step, live, single_chunk
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

    Examples:
        >>> policy, params = ps.load_model("cartpole-mlp")
        >>> recording = ps.record(policy, params, ps.CartPoleSwingUp("v1", max_steps=7), n_episodes=2)
        >>> recording.observations.shape, recording.rewards.shape
        ((7, 5, 1, 2), (7, 2))
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


class Recorder:
    """Notes the steps of episodes as they are lived through.

    Args:
        n_episodes: how many.
        inside: what to note of the inside, where there is such; it takes most memory.
        longest: the last so many steps are kept, all if None.

    Attributes:
        first: the number of the first step that is kept.
        earned: what was earned before it (episode,).
    """

    def __init__(self, n_episodes: int, inside: Collection[str] = (), longest: int | None = None) -> None:
        self._n_episodes, self._inside, self._longest = n_episodes, inside, longest
        self._noted: deque[dict[str, np.ndarray]] = deque()
        self.first, self.earned = 0, np.zeros(n_episodes)

    def note(self, step: Step) -> None:
        """Keep a copy of a step."""
        shown = step.policy.inside() if self._inside else {}
        parts = {
            "observations": step.observations, "sources": step.task.sources, "actions": step.actions,
            "rewards": step.rewards, "alive": step.alive,
            **{name: shown[name] for name in self._inside if name in shown},
        }  # fmt: skip
        self._noted.append({name: _by_episode(values, self._n_episodes) for name, values in parts.items()})
        # A reward is told with the step after the one that earned it.
        if self._longest is not None and len(self._noted) > self._longest + 1:
            self._noted.popleft()
            self.first += 1
            self.earned += self._noted[0]["rewards"]

    def recording(self) -> Recording:
        """Return what is kept so far; the last step, unless nobody takes it, has not earned anything yet."""
        noted = list(self._noted)
        rewards = [parts["rewards"] for parts in noted[1:]]
        if noted[-1]["alive"].any():
            rewards.append(np.zeros(self._n_episodes))
        else:
            noted.pop()
        stacked = {name: np.stack([parts[name] for parts in noted]) for name in noted[0]}
        own = {name: stacked.pop(name) for name in ("observations", "sources", "actions", "alive")}
        del stacked["rewards"]  # which are those of the step before
        return Recording(**own, rewards=np.stack(rewards), inside=stacked)


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

    Examples:
        >>> policy, params = ps.load_model("cartpole-invariant")
        >>> task = ps.CartPoleSwingUp("v1", max_steps=7)
        >>> ps.record(policy, params, task, inside=["attention"]).attention.shape
        (7, 32, 5, 1)
    """
    n_episodes = check_int("n_episodes", n_episodes, 1, MAX_EPISODES)
    inside = [check_text("each of inside", name, "attention") for name in check_list("inside", inside, '["latent"]')]
    recorder = Recorder(n_episodes, inside)
    for step in live(single_chunk(policy, params, task, n_episodes, seed)):
        recorder.note(step)
    return recorder.recording()


def _by_episode(values: np.ndarray, n_episodes: int) -> np.ndarray:
    """Return a copy (..., episode) of values (row, ..., episode) of one candidate's rows."""
    rows_last = np.moveaxis(values, 0, -2)
    return rows_last.reshape(*values.shape[1:-1], -1)[..., :n_episodes].copy()
