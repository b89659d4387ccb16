"""Any environment of gym or Gymnasium as a task."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any, ClassVar

from ..errors import InputError, PisensoryError, check_choice, check_keywords, check_text, shorten, show
from .base import Perturbation, Senses, Task
from .environment import EnvironmentTask, Lease, count_inputs, count_outputs
from .gym_env import register_own
from .libraries import LIBRARIES, is_space, library_of, load_library, quiet

_DEFAULT_MAX_STEPS = 1000


@dataclasses.dataclass(frozen=True)
class GymTask(EnvironmentTask):
    """An environment as a task.

    Observations are a `Box` of one axis, or `Discrete`, given as one input for each value (one-hot). Actions
    are a bounded `Box` of one axis, to whose bounds the policy's (-1, 1) is scaled, or `Discrete`, of which
    the largest of n outputs is chosen; the policy is told the action that it gave.

    Args:
        env: an id such as "Pendulum-v1", or a function that makes an environment.
        library: "gymnasium" or "gym", for an id.
        max_steps: the longest an episode lasts; the environment's own limit, or 1000, if None.
        kwargs: for the environment's making.
        perturbation: what is done to the inputs on their way to the policy.

    Raises:
        InputError: for an environment that there is not, or spaces that cannot be.
        MissingExtraError: if the library is not installed.

    Examples:
        >>> task = ps.GymTask("CartPole-v1", max_steps=100)
        >>> task.n_features, task.n_actions
        (4, 2)
    """

    env: str | Callable[..., Any]
    library: str = "gymnasium"
    max_steps: int | None = None  # type: ignore[assignment]
    kwargs: dict[str, Any] = dataclasses.field(default_factory=dict, hash=False)
    perturbation: Perturbation = dataclasses.field(default_factory=Perturbation)
    _n_sources: int = dataclasses.field(init=False, repr=False, compare=False)
    n_actions: int = dataclasses.field(init=False, repr=False, compare=False)
    takes_largest: bool = dataclasses.field(init=False, repr=False, compare=False)

    kind: ClassVar[str] = "gym"

    def __post_init__(self) -> None:
        if not callable(self.env) and check_text("env", self.env, "Pendulum-v1").count(":") > 1:
            raise InputError(f"env must be an id such as 'Pendulum-v1' or 'module:Env-v0', got {show(self.env)}")
        check_choice("library", self.library, LIBRARIES)
        check_keywords("kwargs", self.kwargs)
        with Lease(self, 1) as lease:
            env = lease.envs[0]
            object.__setattr__(self, "_n_sources", count_inputs(self.label, env.observation_space))
            object.__setattr__(self, "n_actions", count_outputs(self.label, env.action_space))
            object.__setattr__(self, "takes_largest", is_space(env.action_space, "Discrete"))
            if self.max_steps is None:
                limit = getattr(getattr(env, "spec", None), "max_episode_steps", None)
                object.__setattr__(self, "max_steps", limit or _DEFAULT_MAX_STEPS)
        super().__post_init__()

    @classmethod
    def parse(cls, text: str) -> GymTask | None:
        """Return the task of a library and an id: "gymnasium:Pendulum-v1"."""
        library, colon, env = text.partition(":")
        return cls(env, library) if colon else None

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> Task:
        """Return the task of these settings, which a file names.

        Raises InputError for a function, which no file can hold, and for what would import a module or hand an
        environment what only its user should: a module in the id, keyword arguments.
        """
        if "function" in settings:
            raise InputError(
                f"its environments were made by a function, {show(settings['function'])}, which no file holds"
            )
        if ":" in str(settings.get("env")) or settings.get("kwargs"):
            raise InputError(
                f"the environment {show(settings.get('env'))} has a module in its id, or keyword arguments "
                f"({show(settings.get('kwargs'))}), and a file must not have code imported or set up"
            )
        return super().from_settings(settings)

    def like(self, other: Task) -> GymTask:
        """Return this task with the settings of `other`, if that is of the same environment."""
        same = isinstance(other, GymTask) and (other.library, other.env) == (self.library, self.env)
        return other if same else self  # type: ignore[return-value]

    @property
    def label(self) -> str:
        """The environment's id, or the name of what makes it."""
        return self.env if isinstance(self.env, str) else getattr(self.env, "__qualname__", repr(self.env))

    @property
    def senses(self) -> Senses:
        """The environment's observation, a number an input."""
        return Senses(tuple(f"input {number}" for number in range(self._n_sources)))

    @property
    def config(self) -> dict[str, Any]:
        """The task's settings by name. A function is named, but the task cannot be made from this."""
        settings = super().config
        if callable(self.env):
            settings["function"] = self.label
            del settings["env"]
        return settings

    @property
    def env_key(self) -> tuple:
        """What environments are made from."""
        return self.env, self.library, json.dumps(self.kwargs, sort_keys=True, default=repr)

    def make_env(self) -> Any:
        """Return a new environment."""
        pictures = {} if self.render_mode is None else {"render_mode": self.render_mode}
        try:
            with quiet():
                if callable(self.env):
                    env = self.env(**{**self.kwargs, **pictures})
                    library_of(env)
                    return env
                library = load_library(self.library)
                register_own(self.library)  # whatever was imported first
                checker = {"disable_env_checker": True}  # gym's uses np.bool8, which NumPy 2 no longer has
                return library.make(self.env, **{**checker, **self.kwargs, **pictures})
        except PisensoryError:
            raise
        except Exception as error:
            maker = self.label if callable(self.env) else self.library
            raise InputError(f"{maker} cannot make the environment {self.label!r}: {shorten(str(error))}") from error
