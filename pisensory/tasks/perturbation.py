"""What can be done between a task and a policy: faults, copies, noise inputs, shuffles, and a push."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any, Union

import numpy as np

from ..errors import (
    MAX_COUNT,
    MAX_FACTOR,
    MAX_SIZE,
    InputError,
    check_bool,
    check_choice,
    check_int,
    check_number,
    check_numbers,
    check_positive,
    check_range,
)
from .episodes import NOISE, RANGES, REMOVAL, SHUFFLE, TaskRun, episode_generator

NOISE_KINDS = ("white", "constant", "walk", "copy")
WALK_MEMORY = 100.0  # steps in which the correlation of a "walk" falls to 1/e

# A number, or the ends of a range from which each episode draws its own.
Whole = Union[int, "tuple[int, int]"]
Real = Union[float, "tuple[float, float]"]

_NEVER = 2**62  # steps
_NOISE_BLOCK = 2**22  # numbers of noise drawn ahead, at most: 16 MB


@dataclasses.dataclass(frozen=True)
class Perturbation:
    """Changes to the inputs, in this order: delay, dropped inputs, copies, noise inputs, removal, the shuffle.

    A push changes the actions. Where it says "or a range", two numbers (lowest, highest) have each episode draw its
    own from between them.

    Args:
        shuffle: put the inputs in a random order, drawn anew for every episode.
        reshuffle_every: draw a new order every so many steps of an episode as well, or a range, drawn from evenly
            on a logarithmic scale; None for never. It implies no shuffle at the start of an episode: ask for that
            with `shuffle`.
        n_noise: inputs of Gaussian noise to add, or a range; of its highest number, those that an episode does
            without read 0.
        noise_std: their standard deviation.
        n_copies: how many times each input is given.
        noise_kind: "white", drawn anew at every step; "constant", drawn once an episode; "walk", a slow random
            walk drawn back to zero so that its deviation stays the same; or "copy", white noise on top of one
            of the task's own inputs, the first for the first noise input, and so on around.
        dropped: numbers of the task's inputs that read 0, from 0.
        delay: steps by which one input is late; until then it shows the first value of the episode.
        delayed: the number of that input, from 0.
        push: what is added to the actions on their way to the task for a while, whatever the policy does, or a
            range: 1 pushes as hard as the policy can. A task may bound the sum.
        push_at: the step of the episode at which that begins, from 0, or a range.
        push_steps: how many steps it lasts.
        removed: the share of the inputs, copies and noise included, that are taken away, so that the policy sees
            fewer; drawn anew for every episode.

    Raises:
        InputError: for a negative count or one beyond all use, no copies, a deviation below 0 or above 1e6, an
            unknown kind of noise, a share that is not from 0 to below 1, or a range that is none.

    Examples:
        >>> task = ps.CartPoleSwingUp("v1", perturbation=ps.Perturbation(n_copies=2, n_noise=3))
        >>> task.n_features
        13
    """

    shuffle: bool = False
    reshuffle_every: Whole | None = None
    n_noise: Whole = 0
    noise_std: float = 0.1
    n_copies: int = 1
    noise_kind: str = "white"
    dropped: tuple[int, ...] = ()
    delay: int = 0
    delayed: int = 0
    push: Real = 0.0
    push_at: Whole = 0
    push_steps: int = 20
    removed: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "shuffle", check_bool("shuffle", self.shuffle))
        if self.reshuffle_every is not None:
            every = functools.partial(check_int, minimum=1, maximum=MAX_COUNT)
            object.__setattr__(self, "reshuffle_every", check_range("reshuffle_every", self.reshuffle_every, every))
        for name, most in (("n_noise", MAX_SIZE), ("push_at", MAX_COUNT)):
            check = functools.partial(check_int, minimum=0, maximum=most)
            object.__setattr__(self, name, check_range(name, getattr(self, name), check))
        object.__setattr__(self, "push", check_range("push", self.push, check_number))
        noise_std = check_positive("noise_std", self.noise_std, allow_zero=True, maximum=MAX_FACTOR)
        object.__setattr__(self, "noise_std", noise_std)
        for name, least in (("push_steps", 1), ("n_copies", 1), ("delay", 0), ("delayed", 0)):
            object.__setattr__(self, name, check_int(name, getattr(self, name), least, MAX_SIZE))
        check_choice("noise_kind", self.noise_kind, NOISE_KINDS)
        object.__setattr__(self, "dropped", check_numbers("dropped", self.dropped))
        object.__setattr__(self, "removed", check_positive("removed", self.removed, allow_zero=True))
        if self.removed >= 1:
            raise InputError(f"removed must be a share from 0 to below 1, got {self.removed!r}")

    @property
    def config(self) -> dict[str, Any]:
        """The settings by name: what files keep.

        Those that files have not always had are among them only where they differ from their defaults, so that
        runs of before can be resumed.
        """
        settings = {**dataclasses.asdict(self), "dropped": list(self.dropped)}
        if self.noise_kind == "white":
            del settings["noise_kind"]
        if not self.dropped:
            del settings["dropped"]
        if not self.delay:
            del settings["delay"], settings["delayed"]
        if not self.pushes:
            del settings["push"], settings["push_at"], settings["push_steps"]
        if not self.removed:
            del settings["removed"]
        return settings

    @property
    def pushes(self) -> bool:
        """Whether there is a push."""
        return self.push not in (0, (0, 0))

    @property
    def draws_ranges(self) -> bool:
        """Whether episodes draw numbers of their own."""
        return any(isinstance(value, tuple) for value in (self.reshuffle_every, self.n_noise, self.push, self.push_at))

    @property
    def noise_places(self) -> int:
        """The number of inputs of noise that there are, or may be."""
        return max(self.n_noise) if isinstance(self.n_noise, tuple) else self.n_noise

    def n_features(self, n_sources: int) -> int:
        """Return how many inputs a policy sees of a task that has `n_sources`.

        Raises InputError if an input that is dropped or delayed is not among them.
        """
        n_sources = check_int("n_sources", n_sources, 1, MAX_SIZE)
        for name, numbers in (("dropped", self.dropped), ("delayed", (self.delayed,) if self.delay else ())):
            if numbers and max(numbers) >= n_sources:
                raise InputError(f"{name} must be inputs of the task, 0 to {n_sources - 1}, got {max(numbers)}")
        total = n_sources * self.n_copies + self.noise_places
        if total > MAX_SIZE:
            raise InputError(f"copies and noise would make {total:,} inputs, more than {MAX_SIZE:,}: ask for fewer")
        return count_left(total, self.removed)

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing to do."""
        changed = self.shuffle or self.reshuffle_every is not None or self.dropped or self.delay or self.noise_places
        return not (changed or self.pushes) and self.n_copies == 1 and not self.removed

    @property
    def only_orders(self) -> bool:
        """Whether all that is done to the inputs is to order them, give them again, or take them away."""
        return not (self.dropped or self.delay or self.noise_places)

    def apply(
        self, run: TaskRun, shape: tuple[int, int], seed: tuple[int, ...], episodes: np.ndarray, n_frames: int = 1
    ) -> PerturbedRun:
        """Return `run` with its observations perturbed.

        Args:
            run: the task's own episodes.
            shape: the features and channels it observes.
            seed: of the rollout.
            episodes: numbers (candidate, episode).
            n_frames: steps that the channels tell of.

        Raises:
            InputError: if an input that is dropped or delayed is not among them.
        """
        self.n_features(shape[0])
        numbers, positions = np.unique(episodes, return_inverse=True)
        draws = [EpisodeDraws(self, shape, seed, int(number)) for number in numbers] if not self.is_plain else []
        return PerturbedRun(self, run, shape, draws, positions.reshape(episodes.shape), n_frames)


def count_left(total: int, share: float) -> int:
    """Return how many of so many inputs are left without a share of them: one at least."""
    return max(1, total - round(share * total))


class EpisodeDraws:
    """The random draws of a perturbation for one episode, as endless streams.

    Args:
        perturbation: what to draw.
        shape: features and channels of the task itself.
        seed: of the rollout.
        episode: its number in the rollout.

    Attributes:
        every: after how many steps there is a new order, again and again; 0 for never.
        n_noise: inputs of noise; places for more read 0.
        push, push_at: the push, and the step at which it begins.
    """

    def __init__(self, perturbation: Perturbation, shape: tuple[int, int], seed: tuple[int, ...], episode: int) -> None:
        self.perturbation = perturbation
        n_sources, self._n_channels = shape
        copies = np.repeat(np.arange(n_sources), perturbation.n_copies)
        self._sources = np.concatenate([copies, n_sources + np.arange(perturbation.noise_places)])
        if perturbation.removed:
            chooser = episode_generator(seed, REMOVAL, episode)
            kept = chooser.choice(len(self._sources), perturbation.n_features(n_sources), replace=False)
            self._sources = self._sources[np.sort(kept)]
        self._seed, self._episode = seed, episode
        drawn = episode_generator(seed, RANGES, episode).random(4) if perturbation.draws_ranges else np.zeros(4)
        uniform = iter(drawn.tolist())  # one for each, whether it is a range or not
        self.every = _draw_whole(perturbation.reshuffle_every or 0, next(uniform), logarithmic=True)
        self.n_noise = _draw_whole(perturbation.n_noise, next(uniform))
        self.push_at = _draw_whole(perturbation.push_at, next(uniform))
        low, high = perturbation.push if isinstance(perturbation.push, tuple) else (perturbation.push,) * 2
        self.push = low + (high - low) * next(uniform)

    # To make a generator takes as long as some steps of an episode, and few perturbations need both.
    @functools.cached_property
    def _shuffler(self) -> np.random.Generator:
        return episode_generator(self._seed, SHUFFLE, self._episode)

    @functools.cached_property
    def _noisemaker(self) -> np.random.Generator:
        return episode_generator(self._seed, NOISE, self._episode)

    def order(self, step: int) -> np.ndarray:
        """Return the source shown at each position (feature,) from this step on.

        Sources are the task's own inputs and, after them, the noise inputs. To be asked at the first step and, in
        their order, at all that are multiples of `every`.
        """
        shuffled = step > 0 or self.perturbation.shuffle
        return self._shuffler.permutation(self._sources) if shuffled else self._sources

    def noise(self, n_steps: int) -> np.ndarray:
        """Return white noise (step, noise input, channel), float32, for the next `n_steps` steps."""
        shape = (n_steps, self.perturbation.noise_places, self._n_channels)
        noise = self._noisemaker.standard_normal(shape, dtype=np.float32)
        noise *= np.float32(self.perturbation.noise_std)
        return noise


def _draw_whole(value: Whole, uniform: float, logarithmic: bool = False) -> int:
    """Return a number, or one from a range, both ends included, for a number drawn evenly from 0 to 1."""
    if not isinstance(value, tuple):
        return value
    low, high = value
    if logarithmic:  # the widths of whole numbers on that scale
        return int(low * ((high + 1) / low) ** uniform)
    return low + int((high + 1 - low) * uniform)


def shape_noise(kind: str, white: np.ndarray, before: np.ndarray | None) -> np.ndarray:
    """Return noise of a kind, made from white noise of the same deviation; white noise may be overwritten.

    A "walk" is an autoregressive process of the first order (Box and Jenkins, "Time Series Analysis", 1970):
    x_t = r x_{t-1} + sqrt(1 - r^2) w_t with r = exp(-1 / WALK_MEMORY), which keeps the deviation of w.

    Args:
        kind: of NOISE_KINDS.
        white: (episode, step, noise input, channel), float32.
        before: the noise of the step before (episode, noise input, channel); None at the start of an episode.
    """
    if kind == "constant":
        white[...] = (white[:, 0] if before is None else before)[:, None]
    elif kind == "walk":
        keep = np.float32(math.exp(-1.0 / WALK_MEMORY))
        add = np.float32(math.sqrt(1.0 - float(keep) ** 2))
        for step in range(white.shape[1]):
            if before is not None:
                white[:, step] = keep * before + add * white[:, step]
            before = white[:, step]
    return white


class PerturbedRun(TaskRun):
    """A task's episodes as a policy meets them: their observations pass through a perturbation, if only a plain one.

    Where channels tell of several steps, each shows what its place heard in its step: after a reshuffle the older ones
    are still those of another source, as if the place had kept them.

    Args:
        perturbation: what is done.
        plain: the task's own episodes.
        shape: the features and channels they show.
        draws: of each distinct episode.
        positions: which of `draws` each episode (candidate, episode) gets.
        n_frames: steps that the channels tell of, as many of each, the newest last.

    Attributes:
        plain: the task's own episodes.
    """

    def __init__(
        self,
        perturbation: Perturbation,
        plain: TaskRun,
        shape: tuple[int, int],
        draws: list[EpisodeDraws],
        positions: np.ndarray,
        n_frames: int = 1,
    ) -> None:
        self.perturbation, self.plain = perturbation, plain
        self._n_sources, self._n_channels = shape
        self._draws, self._positions = draws, positions
        self._is_plain = perturbation.is_plain
        self._every = np.array([one.every or _NEVER for one in draws], dtype=np.int64)
        self._orders = np.zeros((len(draws), 0 if not draws else perturbation.n_features(shape[0])), dtype=np.intp)
        places = np.arange(perturbation.noise_places)
        self._absent = np.array([places >= one.n_noise for one in draws]).reshape(len(draws), len(places))
        self._push = np.array([one.push for one in draws], dtype=np.float32)
        self._push_at = np.array([one.push_at for one in draws], dtype=np.int64)
        # Where what each place heard stands among what there is (feature, candidate, episode), at each of the steps.
        self._indices: list[np.ndarray] = []
        self._n_frames = n_frames
        self._step = 0
        self._heard = -1  # the last step whose observations were perturbed
        self._shuffle_due = False
        self._hand, self._hand_until = np.float32(0), 0  # a push by hand, and the step at which it is over
        self._past: np.ndarray | None = None  # of the late input (step, channel, candidate, episode), a ring
        self._noise = np.empty((len(draws), 0, perturbation.noise_places, self._n_channels), dtype=np.float32)
        self._noise_start = 0
        self._make_room()

    def _make_room(self) -> None:
        """Make the buffer of what each source reads."""
        if not self._is_plain:
            n_sources = self._n_sources + self.perturbation.noise_places
            # In memory channel and feature come first, as they do in the networks. What is left out reads 0.
            self._values = np.zeros((self._n_channels, n_sources, *self._positions.shape), dtype=np.float32)

    def leave_out(self, places: np.ndarray) -> None:
        """Tell the task's own episodes which of them are never alive."""
        self.plain.leave_out(places)

    def observe(self, out: np.ndarray) -> None:
        """Write the perturbed observations into `out` (candidate, feature, channel, episode)."""
        if self._is_plain:
            self.plain.observe(out)
            return
        self._hear()
        values, each = self._values.reshape(self._n_channels, -1), self._n_channels // self._n_frames
        for frame, indices in enumerate(self._indices):
            some = slice(frame * each, (frame + 1) * each)
            np.take(values[some], indices, axis=1, out=out[:, :, some].transpose(2, 1, 0, 3), mode="clip")

    def _hear(self) -> None:
        """Perturb the observations of this step, once, whoever observes and how often."""
        if self._heard == self._step:
            return
        own, noise = self._values[:, : self._n_sources], self._values[:, self._n_sources :]
        self.plain.observe(own.transpose(2, 1, 0, 3))
        self._spoil(own)
        if self.perturbation.noise_places:
            noise[...] = self._next_noise().transpose(3, 2, 0, 1)
            if self.perturbation.noise_kind == "copy":
                noise += own[:, np.arange(noise.shape[1]) % self._n_sources]
            if self._absent.any():
                noise[:, np.moveaxis(self._absent[self._positions], -1, 0)] = 0
        due = np.flatnonzero((self._step % self._every == 0) | self._shuffle_due)
        if len(due):
            step = self._step or int(self._shuffle_due)
            self._orders[due] = [self._draws[number].order(step) for number in due]
            newest = self._show(np.moveaxis(self._orders[self._positions], -1, 0))
        else:
            newest = self._indices[-1]
        self._indices = [*self._indices[1:], newest] if self._indices else self._n_frames * [newest]
        self._heard, self._shuffle_due = self._step, False

    def _spoil(self, values: np.ndarray) -> None:
        """Have faulty inputs read what they do (channel, feature, candidate, episode)."""
        if self.perturbation.delay:
            late = values[:, self.perturbation.delayed]
            if self._past is None:
                self._past = np.repeat(late[None], self.perturbation.delay, axis=0)
            place = self._step % self.perturbation.delay
            late[...], self._past[place] = self._past[place].copy(), late.copy()
        if self.perturbation.dropped:
            values[:, self.perturbation.dropped] = 0

    def _show(self, sources: np.ndarray) -> np.ndarray:
        """Return the indices with which each place shows a source (feature, candidate, episode)."""
        return sources * self._positions.size + np.arange(self._positions.size).reshape(self._positions.shape)

    @property
    def sources(self) -> np.ndarray:
        """What each place shows now (candidate, feature, episode), as `EpisodeDraws.order` numbers it."""
        if self._is_plain:
            candidates, episodes = self._positions.shape
            return np.broadcast_to(np.arange(self._n_sources)[:, None], (candidates, self._n_sources, episodes))
        self._hear()
        return (self._indices[-1] // self._positions.size).transpose(1, 0, 2)

    def _next_noise(self) -> np.ndarray:
        """Return this step's noise (candidate, episode, noise input, channel), drawing ahead a block at a time."""
        at = self._step - self._noise_start
        if at >= self._noise.shape[1]:
            drawn = len(self._draws) * self.perturbation.noise_places * self._n_channels
            n_steps = max(1, min(100, _NOISE_BLOCK // drawn))
            white = np.stack([draws.noise(n_steps) for draws in self._draws])
            before = self._noise[:, -1] if self._noise.shape[1] else None
            self._noise = shape_noise(self.perturbation.noise_kind, white, before)
            self._noise_start, at = self._step, 0
        return self._noise[self._positions, at]

    def step(self, actions: np.ndarray, alive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Move the task's own episodes one step on."""
        if not self._is_plain:
            self._hear()  # the streams of draws go on though nobody may have looked
        if self.perturbation.pushes or self._step < self._hand_until:
            pushed = self.pushed
            if pushed.any():
                actions = actions + pushed[:, None]
        self._step += 1
        return self.plain.step(actions, alive)

    @property
    def pushed(self) -> np.ndarray:
        """What is added to the actions in this step (candidate, episode), float32."""
        pushed: np.ndarray = np.zeros(self._positions.shape, dtype=np.float32)
        if self.perturbation.pushes:
            since = self._step - self._push_at
            now = np.where((since >= 0) & (since < self.perturbation.push_steps), self._push, 0)
            pushed += now[self._positions]
        if self._step < self._hand_until:
            pushed += self._hand
        return pushed

    def shuffle(self) -> None:
        """Put the inputs of every episode into a new order before the next step, whatever else is to be done.

        Raises InputError for a run with nothing done to its inputs, which keeps no order of them.
        """
        if self._is_plain:
            raise InputError("a run whose inputs are left as they are cannot be shuffled: begin it with a perturbation")
        self._shuffle_due = True

    def push(self, action: float) -> None:
        """Add a number to the actions, in this step and on, for as long as the perturbation's pushes last."""
        self._hand, self._hand_until = (
            np.float32(check_number("action", action)),
            self._step + self.perturbation.push_steps,
        )

    def keep(self, rows: np.ndarray) -> PerturbedRun:
        """Return the run of only these candidates; the streams of draws go on where they are."""
        kept = object.__new__(type(self))  # copy.copy takes several times as long
        kept.__dict__.update(self.__dict__)
        kept.plain, kept._positions = self.plain.keep(rows), self._positions[rows]
        if not self._is_plain:
            kept._past = None if self._past is None else self._past[:, :, rows]
            kept._make_room()
            kept._values[...] = self._values[:, :, rows]
            kept._indices = [kept._show((indices // self._positions.size)[:, rows]) for indices in self._indices]
        return kept

    def picture(
        self, place: tuple[int, int], action: np.ndarray, score: float | None, size: tuple[int, int] | None = None
    ) -> np.ndarray:
        """Return a picture of one episode of the task itself (height, width, 3), uint8."""
        return self.plain.picture(place, action, score, size)
