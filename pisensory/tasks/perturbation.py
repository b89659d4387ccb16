"""What can be done to the inputs between a task and a policy: faults, copies, noise inputs, shuffles."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from ..errors import InputError, check_int, check_numbers, check_positive
from .episodes import NOISE, REMOVAL, SHUFFLE, TaskRun, episode_generator

NOISE_KINDS = ("white", "constant", "walk", "copy")
WALK_MEMORY = 100.0  # steps in which the correlation of a "walk" falls to 1/e

_NOISE_BLOCK = 2**22  # numbers of noise drawn ahead, at most: 16 MB


@dataclasses.dataclass(frozen=True)
class Perturbation:
    """Changes to the inputs, in this order: delay, dropped inputs, copies, noise inputs, removal, the shuffle.

    Args:
        shuffle: put the inputs in a random order, drawn anew for every episode.
        reshuffle_every: draw a new order every so many steps of an episode as well; None for never. It
            implies no shuffle at the start of an episode: ask for that with `shuffle`.
        n_noise: inputs of Gaussian noise to add.
        noise_std: their standard deviation.
        n_copies: how many times each input is given.
        noise_kind: "white", drawn anew at every step; "constant", drawn once an episode; "walk", a slow random
            walk drawn back to zero so that its deviation stays the same; or "copy", white noise on top of one
            of the task's own inputs, the first for the first noise input, and so on around.
        dropped: numbers of the task's inputs that read 0, from 0.
        delay: steps by which one input is late; until then it shows the first value of the episode.
        delayed: the number of that input, from 0.
        removed: the share of the inputs, copies and noise included, that are taken away, so that the policy sees
            fewer; drawn anew for every episode.

    Raises:
        InputError: for a negative count, no copies, a negative deviation, an unknown kind of noise, or a share that is
            not from 0 to below 1.
    """

    shuffle: bool = False
    reshuffle_every: int | None = None
    n_noise: int = 0
    noise_std: float = 0.1
    n_copies: int = 1
    noise_kind: str = "white"
    dropped: tuple[int, ...] = ()
    delay: int = 0
    delayed: int = 0
    removed: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.shuffle, (bool, np.bool_)):
            raise InputError(f"shuffle must be True or False, got {self.shuffle!r}")
        object.__setattr__(self, "shuffle", bool(self.shuffle))
        if self.reshuffle_every is not None:
            object.__setattr__(self, "reshuffle_every", check_int("reshuffle_every", self.reshuffle_every, 1))
        object.__setattr__(self, "n_noise", check_int("n_noise", self.n_noise, 0))
        object.__setattr__(self, "noise_std", check_positive("noise_std", self.noise_std, allow_zero=True))
        object.__setattr__(self, "n_copies", check_int("n_copies", self.n_copies, 1))
        if self.noise_kind not in NOISE_KINDS:
            raise InputError(f"noise_kind must be one of {', '.join(NOISE_KINDS)}, got {self.noise_kind!r}")
        object.__setattr__(self, "dropped", check_numbers("dropped", self.dropped))
        object.__setattr__(self, "delay", check_int("delay", self.delay, 0))
        object.__setattr__(self, "delayed", check_int("delayed", self.delayed, 0))
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
        if not self.removed:
            del settings["removed"]
        return settings

    def n_features(self, n_sources: int) -> int:
        """Return how many inputs a policy sees of a task that has `n_sources`.

        Raises InputError if an input that is dropped or delayed is not among them.
        """
        for name, numbers in (("dropped", self.dropped), ("delayed", (self.delayed,) if self.delay else ())):
            if numbers and max(numbers) >= n_sources:
                raise InputError(f"{name} must be inputs of the task, 0 to {n_sources - 1}, got {max(numbers)}")
        total = n_sources * self.n_copies + self.n_noise
        return max(1, total - round(self.removed * total))

    def reorders_at(self, step: int) -> bool:
        """Return whether inputs get their order at this step of an episode, counted from 0."""
        return step == 0 or (self.reshuffle_every is not None and step % self.reshuffle_every == 0)

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing to do."""
        changed = self.shuffle or self.reshuffle_every is not None or self.dropped or self.delay or self.n_noise
        return not changed and self.n_copies == 1 and not self.removed

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


class EpisodeDraws:
    """The random draws of a perturbation for one episode, as endless streams.

    Args:
        perturbation: what to draw.
        shape: features and channels of the task itself.
        seed: of the rollout.
        episode: its number in the rollout.
    """

    def __init__(self, perturbation: Perturbation, shape: tuple[int, int], seed: tuple[int, ...], episode: int) -> None:
        self.perturbation = perturbation
        n_sources, self._n_channels = shape
        copies = np.repeat(np.arange(n_sources), perturbation.n_copies)
        self._sources = np.concatenate([copies, n_sources + np.arange(perturbation.n_noise)])
        if perturbation.removed:
            chooser = episode_generator(seed, REMOVAL, episode)
            kept = chooser.choice(len(self._sources), perturbation.n_features(n_sources), replace=False)
            self._sources = self._sources[np.sort(kept)]
        self._shuffler = episode_generator(seed, SHUFFLE, episode)
        self._noisemaker = episode_generator(seed, NOISE, episode)

    def order(self, step: int) -> np.ndarray:
        """Return the source shown at each position (feature,) from this step on.

        Sources are the task's own inputs and, after them, the noise inputs. To be asked, in order, at every
        step for which `Perturbation.reorders_at` is true.
        """
        shuffled = step > 0 or self.perturbation.shuffle
        return self._shuffler.permutation(self._sources) if shuffled else self._sources

    def noise(self, n_steps: int) -> np.ndarray:
        """Return white noise (step, noise input, channel), float32, for the next `n_steps` steps."""
        shape = (n_steps, self.perturbation.n_noise, self._n_channels)
        noise = self._noisemaker.standard_normal(shape, dtype=np.float32)
        noise *= np.float32(self.perturbation.noise_std)
        return noise


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
        # Where what each place heard stands among what there is (feature, candidate, episode), at each of the steps.
        self._indices: list[np.ndarray] = []
        self._n_frames = n_frames
        self._step = 0
        self._heard = -1  # the last step whose observations were perturbed
        self._past: np.ndarray | None = None  # of the late input (step, channel, candidate, episode), a ring
        self._noise = np.empty((len(draws), 0, perturbation.n_noise, self._n_channels), dtype=np.float32)
        self._noise_start = 0
        self._make_room()

    def _make_room(self) -> None:
        """Make the buffer of what each source reads."""
        if not self._is_plain:
            n_sources = self._n_sources + self.perturbation.n_noise
            # In memory channel and feature come first, as they do in the networks.
            self._values = np.empty((self._n_channels, n_sources, *self._positions.shape), dtype=np.float32)

    def observe(self, out: np.ndarray) -> None:
        """Write the perturbed observations into `out` (candidate, feature, channel, episode)."""
        if self._is_plain:
            self.plain.observe(out)
            return
        self._hear()
        for channel, values in enumerate(self._values):
            indices = self._indices[channel * self._n_frames // self._n_channels]
            np.take(values, indices, out=out[:, :, channel].transpose(1, 0, 2), mode="clip")

    def _hear(self) -> None:
        """Perturb the observations of this step, once, whoever observes and how often."""
        if self._heard == self._step:
            return
        own, noise = self._values[:, : self._n_sources], self._values[:, self._n_sources :]
        self.plain.observe(own.transpose(2, 1, 0, 3))
        self._spoil(own)
        if self.perturbation.n_noise:
            noise[...] = self._next_noise().transpose(3, 2, 0, 1)
            if self.perturbation.noise_kind == "copy":
                noise += own[:, np.arange(noise.shape[1]) % self._n_sources]
        if self.perturbation.reorders_at(self._step):
            orders = np.stack([draws.order(self._step) for draws in self._draws])
            newest = self._show(np.moveaxis(orders[self._positions], -1, 0))
        else:
            newest = self._indices[-1]
        self._indices = [*self._indices[1:], newest] if self._indices else self._n_frames * [newest]
        self._heard = self._step

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
            drawn = len(self._draws) * self.perturbation.n_noise * self._n_channels
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
        self._step += 1
        return self.plain.step(actions, alive)

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
