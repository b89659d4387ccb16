"""Scores of a trained policy, with how sure they are, under any perturbation of its inputs."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from .errors import InputError, check_text, check_type
from .executors import ExecutorLike, rollout
from .parameters import Vector, check_params
from .policies import Policy
from .rollout import check_fit
from .tasks import Task
from .tasks.base import Seed, check_seed

_RESAMPLES = 1000
_DRAWS = 2**15  # of them, together


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The scores of one policy.

    Attributes:
        returns: the return of each episode (episode,).
        lengths: its length in steps (episode,).
        interval: the 95 % bootstrap interval of the mean return.
        seconds: how long the episodes took to run.

    Examples:
        >>> policy, params = ps.load_model("cartpole-mlp")
        >>> scores = ps.evaluate(policy, params, ps.CartPoleSwingUp(max_steps=50), n_episodes=8)
        >>> scores.returns.shape
        (8,)
        >>> bool(scores.mean == scores.returns.mean())
        True
    """

    returns: np.ndarray
    lengths: np.ndarray
    interval: tuple[float, float]
    seconds: float

    def __repr__(self) -> str:
        low, high = self.interval
        return (
            f"Evaluation(mean={self.mean:.1f}, interval=({low:.1f}, {high:.1f}), std={self.std:.1f}, "
            f"mean_length={self.mean_length:.1f}, episodes={len(self.returns)})"
        )

    @property
    def mean(self) -> float:
        """The mean return."""
        return float(self.returns.mean())

    @property
    def std(self) -> float:
        """The standard deviation of the returns."""
        with np.errstate(invalid="ignore"):
            return float(self.returns.std())

    @property
    def mean_length(self) -> float:
        """The mean length of an episode, in steps."""
        return float(self.lengths.mean())

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as plain numbers; those that are not finite become None, as JSON needs."""
        summary = {
            "episodes": len(self.returns),
            "mean": self.mean,
            "std": self.std,
            "interval_low": self.interval[0],
            "interval_high": self.interval[1],
            "mean_length": self.mean_length,
            "seconds": round(self.seconds, 4),
        }
        return {name: value if np.isfinite(value) else None for name, value in summary.items()}


def evaluate(
    policy: Policy,
    params: Vector,
    task: Task,
    n_episodes: int = 1000,
    seed: Seed = 0,
    n_jobs: int = 1,
    executor: ExecutorLike = None,
) -> Evaluation:
    """Score one parameter vector.

    The same seed means the same episodes, whatever the policy and the perturbation of the task.

    Args:
        policy: the network.
        params: its flat vector (parameter,).
        task: what to do, with its perturbation.
        n_episodes: how many episodes.
        seed: a whole number or several.
        n_jobs: processes; -1 for one a core.
        executor: where to run: "serial", "processes", "dask:ADDRESS", or an object with `map(function, items)`.

    Raises:
        InputError: for a vector or a task that does not fit the policy, or impossible numbers.

    Examples:
        >>> policy, params = ps.load_model("cartpole-invariant-small")
        >>> task = ps.CartPoleSwingUp("harder", max_steps=100)
        >>> shuffled = ps.CartPoleSwingUp("harder", max_steps=100, perturbation=ps.Perturbation(shuffle=True))
        >>> means = [ps.evaluate(policy, params, each, n_episodes=16).mean for each in (task, shuffled)]
        >>> bool(means[0] == means[1])
        True
    """
    check_fit(policy, task)
    vector = check_params(params, policy.n_params)
    start = time.perf_counter()
    result = rollout(policy, vector[None], task, n_episodes, seed, n_jobs, executor)
    seconds = time.perf_counter() - start
    returns = result.returns[0]
    return Evaluation(returns, result.lengths[0], bootstrap_interval(returns, seed), seconds)


def bootstrap_interval(values: np.ndarray, seed: Seed = 0, level: float = 0.95) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean of `values` (episode,).

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    if not np.isfinite(values).all():
        return float("nan"), float("nan")
    generator = np.random.default_rng(np.random.SeedSequence(check_seed(seed), spawn_key=(2**31,)))
    means: list[float] = []
    while len(means) < _RESAMPLES:  # so many at once as stay in a core's cache
        n_together = min(_RESAMPLES - len(means), max(1, _DRAWS // len(values)))
        means.extend(values[generator.integers(len(values), size=(n_together, len(values)))].mean(axis=1))
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def score_table(evaluations: Mapping[str, Evaluation]) -> str:
    """Return evaluations by name as a readable table.

    Raises InputError if there are none.

    Examples:
        >>> policy, params = ps.load_model("cartpole-mlp")
        >>> scores = ps.evaluate(policy, params, ps.CartPoleSwingUp(max_steps=50), n_episodes=8)
        >>> print(ps.score_table({"an mlp": scores}).splitlines()[0].split())
        ['mean', '95', '%', 'interval', 'std', 'steps', 'episodes']
    """
    check_type("evaluations", evaluations, Mapping, "{'mine': ps.evaluate(policy, params, task)}")
    for name, result in evaluations.items():
        check_text("each name in evaluations", name, "mine", 10_000)
        check_type(f"evaluations[{name!r}]", result, Evaluation, "ps.evaluate(policy, params, task)")
    if not evaluations:
        raise InputError("evaluations must have at least one, got none")
    width = max(len(name) for name in evaluations)
    head = f"{'':{width}}  {'mean':>7}  {'95 % interval':>17}  {'std':>7}  {'steps':>7}  {'episodes':>8}"
    lines = [head, "-" * len(head)]
    for name, result in evaluations.items():
        interval = f"{result.interval[0]:.1f} to {result.interval[1]:.1f}"
        lines.append(
            f"{name:{width}}  {result.mean:7.1f}  {interval:>17}  {result.std:7.1f}  "
            f"{result.mean_length:7.1f}  {len(result.returns):8d}"
        )
    return "\n".join(lines)
