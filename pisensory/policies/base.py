"""What every policy is: an immutable description of a network that acts on given parameters."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, SupportsFloat, Union

import numpy as np

from ..errors import MAX_FACTOR, MAX_SIZE, InputError, check_array, check_int, check_positive, check_type, show
from ..parameters import Layout, Matrix, Tensor, Vector, check_params, check_population, make_layout

# Far beyond where every unit is saturated, and near enough that products of two do not overflow.
_LARGEST = 1e100
# The most parameters of a network: what a file may have, in float64.
_MOST_PARAMS = 2**25
# The most inputs of a candidate's episodes that are stepped together.
MOST_INPUTS = 2**22

_FLOAT32 = np.dtype(np.float32)
# Times the largest folded weight (2^60) and MAX_SIZE inputs, it is within the range of float32.
_CALM = 2.0**40

Weights = list  # of arrays, each with a leading candidate axis
State = tuple  # of arrays, each (feature, channel, episode)
Observation = Union[Vector, Matrix, Mapping[str, Union[SupportsFloat, Vector]]]
Names = Union[range, tuple[Any, ...]]


class PolicyRun(ABC):
    """A population of one policy living through episodes, all stepped together.

    Write into `observations`, call `step`, read `actions`.
    """

    observations: np.ndarray  # (candidate, feature, channel, episode), float32, to be written: always the same array
    # (candidate, action, episode), float32, in [-1, 1]; if it is written to, that is the action that was taken
    actions: np.ndarray
    # Which episodes are going on (candidate, episode), all if None: nobody looks at the others, which a run whose
    # episodes are much work each may leave as they are.
    alive: np.ndarray | None = None

    @abstractmethod
    def step(self) -> None:
        """Compute `actions` from `observations` and advance the state of the network.

        Where observations are below 2^40 in size, no sum may overflow (weights of `layers.as_weights` see to it);
        beyond it NumPy's warnings are off.
        """

    @abstractmethod
    def keep(self, rows: np.ndarray) -> PolicyRun:
        """Return the run of only these candidates (indices or a mask), in the state they are in."""

    def state(self) -> State:
        """Return what the network remembers after a step, for `Policy.unroll` to go on from, with a candidate axis.

        The arrays (candidate, feature, channel, episode) are of one shape; there are none for a policy without state.
        """
        return ()

    def resume(self, before: PolicyRun, state: State) -> None:
        """Go on from another run of the same candidates and episodes, which may have had other features.

        Args:
            before: what all that is not of features is taken over from, such as the previous action.
            state: of the features of this run, as `state` returns it.
        """
        self.actions[...] = before.actions

    def memory(self) -> list[np.ndarray]:
        """Return all that the next step goes on from, the actions among it: the run's own arrays (..., episode).

        At the beginning of an episode they are zero.
        """
        return [self.actions]

    def forget(self, episodes: np.ndarray) -> None:
        """Begin these episodes (indices or a mask) anew."""
        for array in self.memory():
            array[..., episodes] = 0

    def inside(self) -> dict[str, np.ndarray]:
        """Return what there is to see in the network after a step: name -> (candidate, ..., episode).

        The arrays may be the network's own, which the next step overwrites.
        """
        return {}


class Unrolled(ABC):
    """A policy's run through a batch of sequences, and the way back.

    Attributes:
        policy: the network.
        actions: (step, action, episode).
        hidden: the state h after each step (step, feature, hidden, episode); of some policies without state what their
            last layer sees, as of one feature; of others None.
        state: what sequences that are cut go on from (truncated back-propagation), arrays (feature, channel,
            episode); None for a policy without state.
    """

    policy: Policy
    actions: np.ndarray

    @property
    def hidden(self) -> np.ndarray | None:
        """The state h after each step, or what the last layer sees (step, feature, hidden, episode), or None."""
        return None

    @property
    def state(self) -> State | None:
        """The state after the last step, to go on from, or None."""
        return None

    def gradient(self, d_actions: np.ndarray, d_hidden: np.ndarray | None = None) -> np.ndarray:
        """Return the gradient (parameter,) of a loss whose derivatives by the actions and states are given.

        Args:
            d_actions: d loss / d action (step, action, episode).
            d_hidden: d loss / d h (step, feature, hidden, episode), of a loss that looks at the states as well;
                what goes through the actions is not part of it. Zero if None.

        Raises:
            InputError: if they are not of the shapes of the actions and states.
        """
        dtype = self.actions.dtype
        if np.shape(d_actions) != self.actions.shape:
            raise InputError(f"d_actions must have the shape {self.actions.shape}, got {np.shape(d_actions)}")
        if d_hidden is not None:
            if self.hidden is None:
                raise InputError(f"d_hidden must be None for a policy without state, got {np.shape(d_hidden)}")
            if np.shape(d_hidden) != self.hidden.shape:
                raise InputError(f"d_hidden must have the shape {self.hidden.shape}, got {np.shape(d_hidden)}")
            d_hidden = np.asarray(d_hidden, dtype)
        named = self._gradient(np.asarray(d_actions, dtype), d_hidden)
        return np.concatenate([named[name].ravel() for name in self.policy.layout]).astype(np.float64)

    @abstractmethod
    def _gradient(self, d_actions: np.ndarray, d_hidden: np.ndarray | None) -> dict[str, np.ndarray]:
        """Return the gradient by the name of each array of the network."""


def all_steps(by_step: np.ndarray) -> np.ndarray:
    """Return (step, channel, episode) with all steps side by side: (channel, step * episode)."""
    return by_step.swapaxes(0, 1).reshape(by_step.shape[1], -1)


def per_step(side_by_side: np.ndarray, n_steps: int) -> np.ndarray:
    """Return (channel, step * episode) as (step, channel, episode), contiguous."""
    return np.ascontiguousarray(side_by_side.reshape(len(side_by_side), n_steps, -1).swapaxes(0, 1))


class Policy(ABC):
    """A network's description, a frozen dataclass of its sizes; the parameters are always passed in.

    Attributes:
        kind: the name used in files and on the command line.
        n_features: the number of inputs, or None for any number.
        n_channels: the channels of each input.
        n_actions: the number of outputs, each in [-1, 1].
        n_params: the length of the flat parameter vector.
        layout: name -> (slice of the vector, shape).

    Examples:
        >>> policy = ps.InvariantPolicy()
        >>> isinstance(policy, ps.Policy)
        True
        >>> policy.layout["b_input"]
        (slice(320, 352, None), (32,))
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]  # as every one is a dataclass
    kind: ClassVar[str]
    n_features: ClassVar[int | None] = None
    n_channels: ClassVar[int] = 1
    n_actions: int

    def __post_init__(self) -> None:
        """Refuse sizes that are too large together; a policy that checks its own calls this when it has."""
        if self.n_params > _MOST_PARAMS:
            raise InputError(
                f"{self} would have {self.n_params:,} parameters, more than {_MOST_PARAMS:,}: choose smaller sizes"
            )

    @property
    def label(self) -> str:
        """What people call it."""
        return self.kind

    def step_numbers(self, n_features: int) -> int:
        """Return about how many numbers a step goes through for one episode: rollouts cut their chunks by it."""
        return 40 * n_features * self.n_channels

    @property
    def state_size(self) -> int:
        """The channels of the state that the network keeps for each input; 0 if it keeps none."""
        return 0

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
        return sum(math.prod(shape) for shape in self.shapes.values())

    @property
    def config(self) -> dict[str, Any]:
        """The policy's own sizes by name, with its kind: what files keep of it."""
        return {"kind": self.kind, **dataclasses.asdict(self)}

    def prepare(self, population: Matrix) -> Weights:
        """Fold a population (candidate, parameter) into weights for `start`.

        Raises InputError for a wrong shape or for values that are not finite.
        """
        return self._prepare(np.clip(check_population(population, self.n_params), -_LARGEST, _LARGEST))

    def start(self, weights: Weights, n_features: int, n_episodes: int) -> PolicyRun:
        """Return a run of `n_episodes` new episodes for every candidate of `weights`."""
        n_features = self.check_n_features(n_features)
        n_episodes = check_int("n_episodes", n_episodes, 1, MOST_INPUTS // n_features)
        return self._start(weights, n_features, n_episodes)

    def agent(self, params: Vector) -> Agent:
        """Return an agent that acts on the flat vector `params` (parameter,)."""
        return Agent(self, params)

    def initial(self, generator: np.random.Generator) -> np.ndarray:
        """Return a first vector (parameter,): each array uniform within 1 / sqrt(its inputs), biases at zero."""
        parts = [
            generator.uniform(-1, 1, shape) / np.sqrt(math.prod(shape[1:])) if len(shape) > 1 else np.zeros(shape)
            for shape in self.shapes.values()
        ]
        return np.concatenate([part.ravel() for part in parts])

    def soften(self, params: Vector, gain: float) -> np.ndarray:
        """Return a vector (parameter,) whose last layer is `gain` times that of `params`.

        Raises InputError for a wrong vector, or a gain that is not finite and positive.
        """
        softened, gain = check_params(params, self.n_params), check_positive("gain", gain, maximum=MAX_FACTOR)
        for place, _ in list(self.layout.values())[-2:]:  # weights and biases
            softened[place] *= gain
        return softened

    def unroll(
        self,
        params: Vector,
        observations: Tensor,
        previous_actions: Tensor | None = None,
        state: State | None = None,
        dtype: type = np.float32,
    ) -> Unrolled:
        """Run sequences through the network, keeping what `Unrolled.gradient` needs.

        The previous actions are inputs here, as in cloning, where the teacher's are known: no gradient flows
        through them.

        Args:
            params: the flat vector (parameter,).
            observations: (step, feature, channel, episode).
            previous_actions: what the network is told of the action before each step (step, action, episode);
                zeros if None. A policy without memory ignores them.
            state: what to begin with, as `Unrolled.state`; that of a new episode if None.
            dtype: float32, or float64 to check gradients in.

        Raises:
            InputError: for shapes that do not fit the policy or each other, values that are not finite, or a
                policy that cannot be trained by gradient.
        """
        vector = np.clip(check_params(params, self.n_params), -_LARGEST, _LARGEST)
        values = _check_array("observations", observations, 4, dtype)
        n_steps, n_features, n_channels, n_episodes = values.shape
        self.check_n_features(n_features)
        if n_channels != self.n_channels:
            raise InputError(f"observations must have {self.n_channels} channels, got the shape {values.shape}")
        shape = (n_steps, self.n_actions, n_episodes)
        previous: np.ndarray = np.zeros(shape, dtype)
        if previous_actions is not None:
            previous = _check_array("previous_actions", previous_actions, 3, dtype)
        if previous.shape != shape:
            raise InputError(f"previous_actions must have the shape {shape}, got {previous.shape}")
        return self._unroll(vector, values, previous, state)

    def c_parts(self, params: Vector) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Return the constants and matrices, float32, that complete the C code of this kind.

        Raises InputError for a vector that does not fit, or a kind that there is no C code for.
        """
        raise InputError(f"there is no C code for a policy of kind {self.kind!r}: export one that is invariant or mlp")

    def check_n_features(self, n_features: int) -> int:
        """Return `n_features`, or raise InputError if this policy cannot take so many inputs."""
        n_features = check_int("the number of inputs", n_features, 1, MAX_SIZE)
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

    def _unroll(
        self, params: np.ndarray, observations: np.ndarray, previous_actions: np.ndarray, state: State | None
    ) -> Unrolled:
        raise InputError(f"a policy of kind {self.kind!r} cannot be trained by gradient: evolve it")


def _check_array(name: str, values: object, ndim: int, dtype: type) -> np.ndarray:
    with np.errstate(over="ignore"):  # what is beyond the range is refused below
        array: np.ndarray = check_array(name, values).astype(dtype)
    if array.ndim != ndim or 0 in array.shape:
        raise InputError(f"{name} must be a non-empty array of {ndim} axes, got the shape {array.shape}")
    if not np.isfinite(array).all():
        raise InputError(f"{name} holds values that are NaN or infinite")
    return array


class Agent:
    """One policy with one parameter vector, living through one episode at a time.

    Call `reset` when an episode begins, then `act` once a step.

    Args:
        policy: the network.
        params: its flat vector (parameter,).

    Raises:
        InputError: for a vector of the wrong length or with values that are not finite.

    Examples:
        >>> agent = ps.InvariantPolicy().agent(ps.load_model("cartpole-invariant-small")[1])
        >>> action = agent.act([0.1, 0.0, -1.0, 0.0, 0.2])
        >>> action.shape, agent.latent.shape, agent.attention.shape
        ((1,), (16,), (16, 5))
        >>> agent.reset()  # a new episode
        >>> bool(agent.act([0.2, -1.0, 0.0, 0.1, 0.0]) == action)  # the same inputs in another order
        True
    """

    def __init__(self, policy: Policy, params: Vector) -> None:
        self.policy = check_type("policy", policy, Policy, "ps.InvariantPolicy()")
        self._params = check_params(params, policy.n_params)
        self._weights = policy.prepare(self._params[None])
        self.reset()

    def __repr__(self) -> str:
        inputs = "" if self._run is None else f", acting on {len(self.inputs)} inputs"
        return f"Agent({self.policy.label}, {self.policy.n_params} parameters{inputs})"

    @property
    def params(self) -> np.ndarray:
        """A copy of the flat vector (parameter,), float64."""
        return self._params.copy()

    def reset(self) -> None:
        """Begin a new episode: forget the state, the previous action and the inputs."""
        self._run: PolicyRun | None = None
        # What the features of the run are to the caller: names, or places (a range if all are there).
        self._names: Names = ()
        # The place (feature,) of the run's observations, if the episode is one of flat vectors in which all are there.
        self._plain: np.ndarray | None = None
        self._n_places = 0  # of each observation of the episode; 0 if its inputs have names
        self._away: dict[Any, list[np.ndarray]] = {}  # the states (channel,) of inputs that are absent

    def act(self, observation: Observation) -> np.ndarray:
        """Return the action (action,), float32 in [-1, 1], for one observation.

        Inputs may come and go in the middle of an episode: what is NaN, or not in the mapping, is absent, as if there
        were no such input. Those that stay keep their state; one that comes back goes on from the state it had;
        one that is new begins as at the start of an episode. Names and places say which is which; the network never
        learns them. Numbers outside the range of float32 are cut to it.

        Args:
            observation: (feature,), or (feature, channel) for a policy that reads several channels; or a mapping of
                name -> number, or (channel,). An episode is all of one kind.

        Raises:
            InputError: if the observation is empty, all absent, of another shape, infinite, not numeric, or has
                not as many places as the episode began with; or if an input of a policy that takes a fixed number
                is absent. The agent is then as before.
        """
        plain = self._plain
        # What nearly always comes needs no more looks: float32 of the shape of the step before, and as a vector shorter
        # than _CALM, as none with a NaN is. Numbers as small meet no weights with which a sum would overflow.
        if (
            plain is not None
            and type(observation) is np.ndarray
            and observation.dtype is _FLOAT32
            and observation.shape == plain.shape
            and math.hypot(*observation.tolist()) < _CALM
        ):
            plain[...] = observation
            run = self._run
            assert run is not None
            run.step()
        else:
            values = self._check(observation)
            run = self._run
            assert run is not None
            run.observations[0, :, :, 0] = values
            with np.errstate(over="ignore"):  # an infinite score saturates tanh, as it should
                run.step()
        return run.actions[0, :, 0].copy()

    @property
    def inputs(self) -> tuple[Any, ...]:
        """The names, or places, of the inputs of the last step, in the order of the features of `attention`."""
        return tuple(self._names)

    def inside(self) -> dict[str, np.ndarray]:
        """Return what there is to see in the network after the last step, such as its "latent" code: name -> array.

        Raises InputError before the first step of an episode.
        """
        if self._run is None:
            raise InputError("there is nothing to see inside before the first act() of an episode")
        return {name: array[0, ..., 0].copy() for name, array in self._run.inside().items()}

    @property
    def latent(self) -> np.ndarray:
        """The latent code m (embedding,) of the last step; invariant policies only."""
        return self._inside("latent")

    @property
    def attention(self) -> np.ndarray:
        """The attention W (embedding, feature) of the last step; invariant policies only."""
        return self._inside("attention").T

    def _inside(self, name: str) -> np.ndarray:
        inside = self.inside()
        if name not in inside:
            raise AttributeError(f"a policy of kind {self.policy.kind!r} has no {name}")
        return inside[name]

    def _check(self, observation: Any) -> np.ndarray:
        """Return an observation as (feature, channel), float32, of the features of the run, which are made to fit."""
        names: Names | None = None
        if type(observation) is np.ndarray and observation.dtype == np.float32:
            values = observation
        else:
            if type(observation) is not np.ndarray and isinstance(observation, Mapping):
                names, observation = tuple(observation), list(observation.values())
            values = to_float32(observation)
        n_channels = self.policy.n_channels
        if values.size == 0 or (values.ndim != 1 if n_channels == 1 else values.shape[1:] != (n_channels,)):
            form = "flat, non-empty vector (feature,)"
            if n_channels != 1:
                form = f"non-empty array (feature, channel) of {n_channels} channels"
            raise InputError(f"the observation must be a {form}, got shape {values.shape}")
        if names is None:
            names = range(len(values))
        values = values.reshape(-1, n_channels)
        if names == self._names and np.isfinite(values).all():
            return values
        return self._arrange(names, values)

    def _arrange(self, names: Names, values: np.ndarray) -> np.ndarray:
        """Return the values (feature, channel) of the inputs that are there, and have the run take just these."""
        n_places = len(names) if isinstance(names, range) else 0
        if self._run is not None and n_places != self._n_places:
            if n_places and self._n_places:
                raise InputError(
                    f"the observation has {n_places} inputs but this episode began with {self._n_places}: call reset() "
                    "to begin an episode with another number, or give inputs by name, or NaN for those that are absent"
                )
            raise InputError("the observation must name its inputs in all of an episode or nowhere: call reset() first")
        if not n_places and not all(isinstance(name, str) for name in names):
            raise InputError(f"the observation must have text for the names of its inputs, got {show(names)}")
        absent = np.isnan(values)
        if np.isinf(values).any() or (absent.any(axis=1) != absent.all(axis=1)).any():
            raise InputError("the observation holds values that are infinite, or NaN in some channels of an input only")
        there = {name: value for name, value, gone in zip(names, values, absent[:, 0].tolist()) if not gone}
        if not there:
            raise InputError("the observation has only NaN or infinite values: no input is there to act on")
        if len(there) == len(names) and n_places:
            self._regroup(names)
        elif n_places:
            self._regroup(tuple(there))
        else:  # those that stay first, so that the order of the mapping is of no matter
            before = [name for name in self._names if name in there]
            self._regroup((*before, *(name for name in there if name not in self._names)))
        self._n_places = n_places
        return np.array([there[name] for name in self._names])

    def _regroup(self, names: Names) -> None:
        """Have a run with these inputs, each in the state in which it was last there."""
        before, away = self._run, self._away
        if names == self._names:
            return
        run = self.policy.start(self._weights, len(names), 1)
        if before is not None:
            if self.policy.n_features is not None:
                raise InputError(f"the observation must have the same inputs in all of an episode, got {show(names)}")
            away = {**away, **dict(zip(self._names, _by_feature(before.state(), len(self._names))))}
            if len({*away, *names}) > MAX_SIZE:
                raise InputError(f"the observation has more than {MAX_SIZE:,} different names in one episode")
            state = tuple(part.copy() for part in run.state())
            for name, parts in zip(names, _by_feature(state, len(names))):
                for part, last in zip(parts, away.pop(name, ())):
                    part[...] = last
            run.resume(before, state)
        self._run, self._names, self._away = run, names, away
        self._plain = run.observations[0, :, 0, 0] if isinstance(names, range) and self.policy.n_channels == 1 else None


def _by_feature(state: State, n_features: int) -> list[list[np.ndarray]]:
    """Return the parts (channel,) of the state of each feature of a single episode."""
    return [[part[0, place, :, 0] for part in state] for place in range(n_features)]


def to_float32(values: Any, name: str = "the observation") -> np.ndarray:
    """Return numbers as float32, those beyond its range cut to it; raise InputError for what are none."""
    array = check_array(name, values)
    with np.errstate(over="ignore"):
        values = array.astype(np.float32)
    limit = np.finfo(np.float32).max
    return np.where(np.isinf(values) & np.isfinite(array), np.copysign(limit, values), values)
