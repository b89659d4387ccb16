"""What every policy is: an immutable description of a network that acts on given parameters."""

from __future__ import annotations

import dataclasses
import warnings
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from ..errors import InputError, check_int
from ..parameters import Layout, check_params, check_population, make_layout

_LARGEST = 1e100

Weights = list  # of arrays, each with a leading candidate axis


class PolicyRun(ABC):
    """A population of one policy living through episodes, all stepped together.

    Write into `observations`, call `step`, read `actions`.
    """

    observations: np.ndarray  # (candidate, feature, channel, episode), float32, to be written
    actions: np.ndarray  # (candidate, action, episode), float32, in [-1, 1]

    @abstractmethod
    def step(self) -> None:
        """Compute `actions` from `observations` and advance the state of the network."""

    @abstractmethod
    def keep(self, rows: np.ndarray) -> PolicyRun:
        """Return the run of only these candidates (indices or a mask), in the state they are in."""


class Policy(ABC):
    """A network's description, a frozen dataclass of its sizes; the parameters are always passed in.

    Attributes:
        kind: the name used in files and on the command line.
        n_features: the number of inputs, or None for any number.
        n_actions: the number of outputs, each in [-1, 1].
        n_params: the length of the flat parameter vector.
        layout: name -> (slice of the vector, shape).
    """

    kind: ClassVar[str]
    n_features: ClassVar[int | None] = None
    n_channels: ClassVar[int] = 1
    n_actions: int

    @property
    @abstractmethod
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The named arrays of the network and their shapes, in the order of the flat vector."""

    @property
    def layout(self) -> Layout:
        """Name -> (slice of the flat vector, shape)."""
        return make_layout(self.shapes)

    @property
    def n_params(self) -> int:
        """The length of the flat parameter vector."""
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    @property
    def config(self) -> dict[str, Any]:
        """The policy's own sizes by name, with its kind: what files keep of it."""
        return {"kind": self.kind, **dataclasses.asdict(self)}  # type: ignore[call-overload]

    def prepare(self, population: object) -> Weights:
        """Fold a population (candidate, parameter) into weights for `start`.

        Raises InputError for a wrong shape or for values that are not finite.
        """
        # Far beyond where every unit is saturated, and near enough that products of two do not overflow.
        return self._prepare(np.clip(check_population(population, self.n_params), -_LARGEST, _LARGEST))

    def start(self, weights: Weights, n_features: int, n_episodes: int) -> PolicyRun:
        """Return a run of `n_episodes` new episodes for every candidate of `weights`."""
        return self._start(weights, self.check_n_features(n_features), n_episodes)

    def agent(self, params: object) -> Agent:
        """Return an agent that acts on the flat vector `params` (parameter,)."""
        return Agent(self, params)

    def check_n_features(self, n_features: int) -> int:
        """Return `n_features`, or raise InputError if this policy cannot take so many inputs."""
        n_features = check_int("the number of inputs", n_features, 1)
        if self.n_features is not None and n_features != self.n_features:
            raise InputError(
                f"this policy takes {self.n_features} inputs, got {n_features}: give it that many, "
                "or use an invariant policy, which takes any number"
            )
        return n_features

    @abstractmethod
    def _prepare(self, population: np.ndarray) -> Weights: ...

    @abstractmethod
    def _start(self, weights: Weights, n_features: int, n_episodes: int) -> PolicyRun: ...


class Agent:
    """One policy with one parameter vector, living through one episode at a time.

    Call `reset` when an episode begins, then `act` once a step.

    Args:
        policy: the network.
        params: its flat vector (parameter,).

    Raises:
        InputError: for a vector of the wrong length or with values that are not finite.
    """

    def __init__(self, policy: Policy, params: object) -> None:
        self.policy = policy
        self._weights = policy.prepare(check_params(params, policy.n_params)[None])
        self._run: PolicyRun | None = None

    def reset(self) -> None:
        """Begin a new episode: forget the state, the previous action and the number of inputs."""
        self._run = None

    def act(self, observation: Any) -> np.ndarray:
        """Return the action (action,), float32 in [-1, 1], for one observation (feature,).

        Numbers outside the range of float32 are cut to it.

        Raises:
            InputError: if the observation is empty, not flat, not finite, not numeric, or its length is not
                the one this episode began with.
        """
        values = self._check(observation)
        run = self._run
        if run is None:
            run = self._run = self.policy.start(self._weights, values.size, 1)
        run.observations[0, :, 0, 0] = values
        with np.errstate(over="ignore"):  # an infinite score saturates tanh, as it should
            run.step()
        return run.actions[0, :, 0].copy()

    @property
    def latent(self) -> np.ndarray:
        """The latent code m (embedding,) of the last step; invariant policies only."""
        return self._last("latent")[0, :, 0].copy()

    @property
    def attention(self) -> np.ndarray:
        """The attention W (embedding, feature) of the last step; invariant policies only."""
        return self._last("attention")[0, :, :, 0].T.copy()

    def _last(self, name: str) -> np.ndarray:
        if self._run is None:
            raise InputError(f"there is no {name} before the first act() of an episode")
        if not hasattr(self._run, name):
            raise AttributeError(f"a policy of kind {self.policy.kind!r} has no {name}")
        return getattr(self._run, name)

    def _check(self, observation: Any) -> np.ndarray:
        run = self._run
        if type(observation) is np.ndarray and observation.dtype == np.float32:
            values = observation
        else:
            values = _to_float32(observation)
        if values.ndim != 1 or values.size == 0:
            raise InputError(f"the observation must be a flat, non-empty vector (feature,), got shape {values.shape}")
        if run is not None and values.size != run.observations.shape[1]:
            raise InputError(
                f"the observation has {values.size} inputs but this episode began with "
                f"{run.observations.shape[1]}: call reset() to begin an episode with another number"
            )
        if not np.isfinite(values).all():
            raise InputError("the observation holds values that are NaN or infinite")
        return values


def _to_float32(observation: Any) -> np.ndarray:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy before 1.24 only warns of ragged lists
            array = np.asarray(observation)
    except (ValueError, Warning):
        array = np.asarray(None)
    if array.dtype.kind not in "fiub":
        raise InputError(f"the observation must be real numbers, got {observation!r}")
    with np.errstate(over="ignore"):
        values = array.astype(np.float32)
    limit = np.finfo(np.float32).max
    return np.where(np.isinf(values) & np.isfinite(array), np.copysign(limit, values), values)
