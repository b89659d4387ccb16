"""CarRacing, seen in patches: Box2D's physics, from Gymnasium, with a picture of our own (extra `carracing`)."""

from __future__ import annotations

import dataclasses
import functools
import os
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..errors import InputError, MissingExtraError, check_bool, check_choice, check_int, check_text, import_extra, show
from ..layers.patches import Patches
from ..layers.random_layer import COLORS, draw_random_layer, randomize
from . import car_picture
from .base import Perturbation, Senses, Task, episode_generator
from .episodes import LAYER, SCENE
from .frames import FramesRun, FramesTask, View, coarsen
from .libraries import load_library, quiet

VIEWS = {
    "gray": View(Patches(6, 6), n_frames=4, size=car_picture.SIZE),
    "color": View(Patches(7, 4), n_frames=1, size=car_picture.SIZE, n_colors=3),
    "coarse": View(Patches(8, 4), n_frames=4, size=car_picture.SIZE // 3),
    "wide": View(Patches(12, 5), n_frames=4, size=car_picture.SIZE // 3),
    "road": View(Patches(12, 5), n_frames=3, size=car_picture.SIZE // 3, tone=car_picture.unlike_road),
    "whole": View(Patches(8, 8), n_frames=4, size=car_picture.SIZE // 3, n_colors=3),
}
CAMERAS = ("velocity", "hull")
PICTURES = ("own", "gymnasium")

_PICTURE_SIZE = (576, 504)  # pixels
_SMOOTH = 2  # pictures are drawn so many times as large, and shrunk
_NOISE = "noise"  # a background of its own for each episode
_PATIENCE = 20  # steps in a row with less than nothing earned, after which training gives up


@dataclasses.dataclass(frozen=True)
class CarRacingTask(FramesTask):
    """A car that is to drive round a track, drawn anew for every episode, seen from above: CarRacing-v3.

    The three actions are steering, gas and brakes: the latter two from (-1, 1) to (0, 1). The reward is 1000 for all
    pieces of the track together, less 0.1 a step; leaving the field costs 100 and ends the episode, as the end of
    the lap does.

    | view | a feature is | features, channels | made for |
    | --- | --- | --- | --- |
    | gray | a patch of 6 x 6 pixels of the last four frames, gray | 256, 144 | `PatchPolicy.car_racing()` |
    | color | a patch of 7 x 7 pixels of a frame, every 4 pixels, red, green, blue | 529, 147 | `AttentionAgentPolicy` |
    | coarse | gray, of pixels three times as wide, 8 x 8 every 4 | 49, 256 | cloning |
    | wide | the same pixels, 12 x 12 every 5 | 25, 576 | cloning |
    | road | likewise, of three frames; a pixel is how far its color is from the road's | 25, 432 | `carracing-driver` |
    | whole | the same pixels, red, green, blue, 8 x 8 without overlap, of four frames | 16, 768 | `CNNPolicy` |

    Args:
        max_steps: the length of an episode.
        perturbation: what is done to the patches on their way to the policy.
        view: "gray", "color", "coarse", "wide", "road" or "whole".
        camera: what is up in the picture: "velocity", as when the published weights were trained, or "hull".
        colors: of the grass: "2018", likewise, or "v3".
        background: what stands in place of the grass: None, "noise:SEED", "noise" for another in each episode, or the
            path of a picture.
        picture: "own", or "gymnasium" for its own, unchanged, which is slow.
        training: whether an episode also ends after 20 steps in a row that earned less than nothing.
        random_layer: whether training shows pictures through a convolution of random weights (Lee et al., 2020), drawn
            for each episode, or in `clone` for each sequence that is learnt from; of views in colors.

    Raises:
        InputError: for an option that there is not, or a background that cannot be read.
        MissingExtraError: if Box2D is not installed.

    Examples:
        >>> task = ps.CarRacingTask(camera="hull")
        >>> task.senses.grid, task.senses.n_channels, task.n_actions
        ((16, 16), 144, 3)
    """

    max_steps: int = 1000
    perturbation: Perturbation = dataclasses.field(default_factory=Perturbation)
    view: str = "gray"
    camera: str = "velocity"
    colors: str = "2018"
    background: str | None = None
    picture: str = "own"
    training: bool = False
    random_layer: bool = False

    kind: ClassVar[str] = "carracing"
    n_actions: ClassVar[int] = 3  # type: ignore[misc]
    chunk_episodes: ClassVar[int] = 8  # each has a bitmap of 20 MB
    score_episodes: ClassVar[int] = 16
    action_names: ClassVar[tuple[str, ...]] = ("steer", "gas", "brake")
    seen_rows: ClassVar[float] = car_picture.SEEN / car_picture.SIZE

    def __post_init__(self) -> None:
        for name, known in (
            ("view", VIEWS), ("camera", CAMERAS), ("colors", car_picture.SHADES), ("picture", PICTURES)
        ):  # fmt: skip
            check_choice(name, getattr(self, name), known)
        for name in ("training", "random_layer"):
            object.__setattr__(self, name, check_bool(name, getattr(self, name)))
        if self.random_layer and self.seen.n_colors != COLORS:
            raise InputError(f"random_layer is for pictures in colors, view='color' or 'whole': got {self.view!r}")
        if self.background is not None:
            check_text("background", self.background, "noise:1", 4096)
        own = (self.camera, self.colors, self.background) == ("velocity", "2018", None)
        if self.picture == "gymnasium" and not own:
            raise InputError("camera, colors and background are for picture='own': leave them out")
        super().__post_init__()
        _load_engine()
        if self.background not in (None, _NOISE):
            load_background(self.background)

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> Task:
        """Return the task of these settings, which a file names; raise InputError for a picture's path among them."""
        background = settings.get("background")
        if background not in (None, _NOISE) and not str(background).startswith("noise:"):
            raise InputError(
                f"the background is a picture, {show(background)}, and a file must not have others read: give the task "
                "yourself, with --background"
            )
        return super().from_settings(settings)

    @classmethod
    def parse(cls, text: str) -> CarRacingTask | None:
        """Return the task called "carracing", or "carracing:color" and so on for another view."""
        kind, colon, view = text.partition(":")
        if kind != cls.kind or (colon and view not in VIEWS):
            return None
        return cls(view=view or "gray")

    @property
    def config(self) -> dict[str, Any]:
        """The settings by name; the random layer only if there is one, since files have not always had it."""
        config = super().config
        if not self.random_layer:
            del config["random_layer"]
        return config

    @property
    def senses(self) -> Senses:
        """The patches, row by row; of what a random layer makes of them they are not whole numbers."""
        senses = super().senses
        return dataclasses.replace(senses, whole=False) if self._randomizes else senses

    @property
    def _randomizes(self) -> bool:
        """Whether episodes are seen through a random layer."""
        return self.random_layer and self.training

    @property
    def label(self) -> str:
        """The kind, and the view if it is not the gray one."""
        return self.kind if self.view == "gray" else f"{self.kind}:{self.view}"

    @property
    def seen(self) -> View:  # type: ignore[override]
        """How the view cuts the pictures."""
        return VIEWS[self.view]

    def seen_as(self, n_channels: int) -> CarRacingTask:
        """Return the same task in the view whose patches have so many channels."""
        views = [name for name, view in VIEWS.items() if view.senses.n_channels == n_channels]
        return dataclasses.replace(self, view=views[0]) if views else self

    @property
    def plain(self) -> CarRacingTask:
        """The same task with nothing done to its inputs, not even in training."""
        plain = super().plain
        return dataclasses.replace(plain, random_layer=False) if self.random_layer else plain

    @property
    def for_training(self) -> CarRacingTask:
        """The same task, given up when nothing is earned for a while, and seen through the random layer if asked."""
        return dataclasses.replace(self, training=True)

    def randomized(self, observations: np.ndarray, generator: np.random.Generator) -> np.ndarray | None:
        """Return observations (step, feature, channel, episode), each episode's through a random layer of its own.

        None if there is no random layer. Raises InputError for patches that are not all there in their order.
        """
        if not self.random_layer:
            return None
        if not self.perturbation.is_plain:
            raise InputError("random_layer changes whole pictures: to learn from them, leave their patches in order")
        n_steps, *_, n_episodes = observations.shape
        layers = [draw_random_layer(generator) for _ in range(n_episodes)]
        stacks = np.moveaxis(observations, -1, 1).reshape(-1, *observations.shape[1:3])
        shown = self.seen.randomize(stacks, layers * n_steps)
        return np.moveaxis(shown.reshape(n_steps, n_episodes, *shown.shape[1:]), 1, -1)

    @property
    def env_key(self) -> tuple:
        """All environments are alike, but for those that draw."""
        return self.kind, self.picture

    def make_env(self) -> Any:
        """Return a new environment; it draws only if asked to."""
        with quiet():
            return _physics()(self.picture == "gymnasium")

    def act(self, env: Any, outputs: np.ndarray) -> Any:
        """Return steering, gas and brakes."""
        steer, gas, brake = (float(value) for value in outputs)
        return np.array([steer, (gas + 1) / 2, (brake + 1) / 2])

    def with_pictures(self) -> CarRacingTask:
        """Return the same task: its runs can always be drawn."""
        return self

    def _start(self, seed: tuple[int, ...], episodes: np.ndarray) -> CarRacingRun:
        return CarRacingRun(self, seed, episodes)


def load_background(background: str) -> np.ndarray:
    """Return a background (row, column, color), uint8, of 96 x 96 pixels: "noise:SEED", or the path of a picture.

    Raises InputError if there is no such picture.
    """
    kind, _, seed = background.partition(":")
    if kind == "noise" and seed:
        if not (seed.isascii() and seed.isdigit() and len(seed) < 20):
            raise InputError(f"background must be noise:SEED with a whole number, got {show(background)}")
        return car_picture.noise_picture(int(seed))
    image = import_extra("PIL.Image", "carracing")
    try:
        if not Path(background).is_file():
            raise OSError("there is no such file")
        with image.open(background) as opened:
            small = opened.convert("RGB").resize((car_picture.SIZE, car_picture.SIZE), image.Resampling.BOX)
    except (OSError, ValueError) as error:
        raise InputError(
            f"background must be noise, noise:SEED or the path of a picture, got {show(background)} ({error})"
        ) from None
    return np.asarray(small)


def _load_engine() -> Any:
    """Return the module of Gymnasium's CarRacing; raise MissingExtraError if Box2D or pygame is missing."""
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    library = load_library("gymnasium")
    with quiet():
        try:
            return import_extra("gymnasium.envs.box2d.car_racing", "carracing")
        except library.error.DependencyNotInstalled as error:
            raise MissingExtraError(
                f"this needs Box2D and pygame ({error}); install them with: pip install 'pisensory[carracing]'"
            ) from error


def _dynamics() -> Any:
    """Return the module that knows the shapes of the car."""
    return import_extra("gymnasium.envs.box2d.car_dynamics", "carracing")


@functools.lru_cache(maxsize=1)
def _physics() -> Any:
    """Return Gymnasium's environment, which draws no picture of its own accord."""
    base = _load_engine().CarRacing

    class Physics(base):  # type: ignore[misc, valid-type]
        def __init__(self, draws: bool) -> None:
            super().__init__()
            self.draws = draws

        def _render(self, mode: str) -> Any:
            return super()._render(mode) if self.draws else None

    return Physics


class CarRacingRun(FramesRun):
    """Episodes under way, an environment each, whose pictures are drawn together."""

    task: CarRacingTask

    def __init__(self, task: CarRacingTask, seed: tuple[int, ...], episodes: np.ndarray) -> None:
        super().__init__(task, seed, episodes)
        self._roads = np.empty(episodes.shape, dtype=object)
        self._idle = np.zeros(episodes.shape, np.int64)  # steps in a row that earned less than nothing
        self._shape = car_picture.car_bitmaps(_dynamics())
        self._backgrounds = np.empty(episodes.shape, dtype=object)  # as the view has them (row, column, color)
        self._layers = np.empty(episodes.shape, dtype=object)  # random ones, where there are any

    def _reset(self, place: tuple[int, int]) -> None:
        super()._reset(place)
        number, shade = self._episodes[place], car_picture.SHADES[self.task.colors]
        alike = [road for road, other in zip(self._roads.flat, self._episodes.flat) if road and other == number]
        with self._blame(place):
            self._roads[place] = _Road(
                self._envs[place], shade, self.task.seen, alike[0].bitmap if alike else None
            )  # fmt: skip
        if self.task.background is not None:
            self._backgrounds[place] = self._paint(int(number))
        if self.task._randomizes:
            self._layers[place] = draw_random_layer(episode_generator(self.seed, LAYER, int(number)))

    def _look_at(self, place: tuple[int, int]) -> np.ndarray:
        """Return the stack of an episode (frame, row, column, color) as it is to be seen."""
        stack, layer = self._values[place], self._layers[place]
        return stack if layer is None else randomize(stack, layer)

    def _paint(self, episode: int) -> np.ndarray:
        """Return the background of an episode, as the view has it (row, column, color)."""
        background = self.task.background or _NOISE
        if background == _NOISE:
            picture = car_picture.noise_picture(int(episode_generator(self.seed, SCENE, episode).integers(2**31)))
        else:
            picture = load_background(background)
        return self.task.seen.pixels(picture)

    def step(self, actions: np.ndarray, alive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Drive the cars of the episodes that are alive."""
        rewards, over = super().step(actions, alive)
        if self.task.training:
            self._idle = np.where(rewards < 0, self._idle + 1, 0)
            over |= alive & (self._idle >= _PATIENCE)
        return rewards, over

    def _show(self, places: list[tuple[int, int]]) -> None:
        """Write the pictures of these episodes as the newest of their frames."""
        if not places:
            return
        if self.task.picture == "gymnasium":
            for place in places:
                with self._blame(place):
                    self._values[place][-1] = self._as_seen(self._envs[place].state)
            return
        grid, n_rows = car_picture.pixel_grid(), car_picture.SEEN
        shown = self._look(places, grid)
        for place, numbers in zip(places, shown):
            frame = np.take(self._roads[place].shown, numbers, axis=0)
            if self._backgrounds[place] is not None:
                grass = numbers <= car_picture.LIGHT
                frame[grass] = self._backgrounds[place][:n_rows].reshape(frame.shape)[grass]
            self._values[place][-1] = self._fit(frame.reshape(n_rows, car_picture.SIZE, -1))

    def _as_seen(self, picture: np.ndarray) -> np.ndarray:
        """Return Gymnasium's picture (row, column, color) as the view has it."""
        if self.task.seen.n_colors > 1:
            return coarsen(picture, car_picture.SIZE // self.task.seen.size)
        return self._fit(self.task.seen.pixels(picture[: car_picture.SEEN]))

    def _fit(self, picture: np.ndarray) -> np.ndarray:
        """Return the upper rows of a picture (row, column, color) as one of the view's size, uint8, the rest black."""
        whole = np.zeros((car_picture.SIZE, *picture.shape[1:]), np.uint8)
        whole[: len(picture)] = picture
        return coarsen(whole, car_picture.SIZE // self.task.seen.size)

    def _look(self, places: list[tuple[int, int]], grid: car_picture.Grid) -> np.ndarray:
        """Return what the pixels show of these episodes, as numbers of the bitmaps (car, pixel)."""
        poses = []
        for place in places:
            self._roads[place].update()
            env = self._envs[place]
            hull = env.car.hull
            angle, (x, y) = hull.angle, hull.position
            up = car_picture.camera_angle(self.task.camera, angle, tuple(hull.linearVelocity))
            poses.append((x, y, angle, up, car_picture.zoom_at(env.t), env.car.wheels[0].joint.angle))
            if not np.isfinite(poses[-1]).all():
                with self._blame(place):
                    raise ValueError(f"a car that stands nowhere: {poses[-1]}")
        pose = car_picture.Pose(*np.array(poses).T)
        return car_picture.look([self._roads[place].bitmap for place in places], self._shape, pose, grid)

    def picture(
        self, place: tuple[int, int], action: np.ndarray, score: float | None, size: tuple[int, int] | None = None
    ) -> np.ndarray:
        """Return a picture of one episode as its camera sees it, larger and with smooth edges."""
        width, height = size or _PICTURE_SIZE
        n_rows = check_int("size", height, 1) * _SMOOTH
        full = round(n_rows * car_picture.SIZE / car_picture.SEEN)
        grid = car_picture.pixel_grid(full, check_int("size", width, 1) * _SMOOTH, n_rows)
        (numbers,) = self._look([place], grid)
        large = self._roads[place].paints[numbers].reshape(height, _SMOOTH, width, _SMOOTH, 3)
        return np.rint(large.mean(axis=(1, 3))).astype(np.uint8)

    def keep(self, rows: np.ndarray) -> CarRacingRun:
        """Return the run of only these candidates; the other environments wait for the next rollout."""
        kept = super().keep(rows)
        kept._roads, kept._idle, kept._backgrounds = self._roads[rows], self._idle[rows], self._backgrounds[rows]
        kept._layers = self._layers[rows]
        return kept


class _Road:
    """The road of one episode: its bitmap, and the colors of its pieces, which change when they are driven on.

    Args:
        env: the environment.
        shade: how much darker colors are.
        view: how they are seen.
        bitmap: of the same road, if it has been drawn.
    """

    def __init__(self, env: Any, shade: int, view: View, bitmap: np.ndarray | None) -> None:
        self._env, self._shade, self._view = env, shade, view
        self.bitmap = car_picture.draw_track([corners for corners, _ in env.road_poly]) if bitmap is None else bitmap
        self._colors = np.zeros((car_picture.ROAD + len(env.road_poly), 3))
        self._colors[: car_picture.LIGHT + 1] = car_picture.GRASS
        self._colors[car_picture.HULL] = 204, 0, 0
        self._colors[car_picture.ROAD :] = np.array([color for _, color in env.road_poly])
        numbers = {id(color): number for number, (_, color) in enumerate(env.road_poly, car_picture.ROAD)}
        self._tiles = [(numbers[id(tile.color)], tile) for tile in env.road]
        self._count = -1
        self.update()

    def update(self) -> None:
        """Look up which pieces have been driven on since the last time.

        Sets `paints`, the colors of the bitmap's numbers, and `shown`, these as the view has them.
        """
        if self._count == self._env.tile_visited_count:
            return
        self._count = self._env.tile_visited_count
        for number, tile in self._tiles:
            if tile.road_visited:
                self._colors[number] = tile.color
        self.paints = np.maximum(np.floor(self._colors) - self._shade, 0).astype(np.uint8)
        self.shown = self._view.pixels(self.paints)
