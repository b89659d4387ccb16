"""Pong of the Atari 2600, seen in patches, in the emulator of ale-py (extra `atari`; ale-py's licence is the GPL 2)."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..errors import check_bool, check_int, check_positive, import_extra
from ..layers.patches import Patches
from .base import Perturbation
from .frames import FramesRun, FramesTask, View, to_gray
from .libraries import quiet

SIZE = 84  # rows and columns of the picture that agents see
HIDDEN = 10  # its rows at the top, where the score stands: they are black
GAME = 21  # points
KEYS = 0, 2, 3  # the numbers of the actions rest, up and down
STICKINESS = 0.25  # how likely an action goes on for one more frame, where actions are sticky
TURN = 160 / 7  # rows that the knob turns in a step
ENDS = 0.8, 190.5  # the rows between which it turns

_SKIP = 4  # frames of the emulator a step; the picture is the brighter of the last two
_MOST_IDLE = 30  # frames at the start of an episode, at most
_LONGEST_PRESS = 12  # steps that a random button is held, at most
_VIEW = View(Patches(6, 6), n_frames=4, size=SIZE)
_PICTURE_SCALE = 3
_DOWN = KEYS[2]
_CLOCK = 8  # the cell of the memory that counts frames
_SPEED_DOWN = 56  # that of the rows that the ball flies down in a frame, below zero if it flies up
_COUNTERS = [2, 7, 9, 13, 14, 69, 71, 75]  # others that count points and time, and change nothing of a rally


@dataclasses.dataclass(frozen=True)
class PongTask(FramesTask):
    """A game of Pong against the console, to 21 points: PongNoFrameskip-v4 with the usual preprocessing.

    A step is four frames of the emulator; the picture is the brighter, color by color, of the last two, gray, shrunk
    by averaging areas to 84 x 84, the upper 10 rows black; four of them are seen, in 196 patches of 6 x 6. The largest
    of six outputs is done: nothing, fire, up, down, up and fire, down and fire. A point is a reward of 1 or -1. An
    episode starts with 1 to 30 idle frames. `Perturbation(removed=0.3)` is the published occlusion.

    Args:
        max_steps: the longest an episode lasts.
        perturbation: what is done to the patches on their way to the policy.
        sticky: whether the action before goes on for one more frame with a probability of 0.25 a frame.
        max_lost: points lost with which an episode ends: 21, the game, or less, to learn from what led there.
        behind: points with which an episode may begin lost, at random buttons, 0 to so many: they are not in its score.
            The next ball then is any of those that may follow a lost point.
        slips: how likely in a step rest, up or down by chance is done, whatever was chosen: to learn how to go on.

    Raises:
        InputError: for an option that is not of its kind.
        MissingExtraError: if ale-py is not installed.

    Examples:
        >>> task = ps.PongTask()
        >>> task.senses.grid, task.senses.n_channels, task.n_actions
        ((14, 14), 144, 6)
    """

    max_steps: int = 27000
    perturbation: Perturbation = dataclasses.field(default_factory=Perturbation)
    sticky: bool = False
    max_lost: int = GAME
    behind: int = 0
    slips: float = 0.0

    kind: ClassVar[str] = "pong"
    n_actions: ClassVar[int] = 6  # type: ignore[misc]
    score_episodes: ClassVar[int] = 16
    takes_largest: ClassVar[bool] = True  # type: ignore[misc]
    action_names: ClassVar[tuple[str, ...]] = ("rest", "fire", "up", "down", "up, fire", "down, fire")
    seen: ClassVar[View] = _VIEW  # type: ignore[misc]

    def __post_init__(self) -> None:
        object.__setattr__(self, "sticky", check_bool("sticky", self.sticky))
        object.__setattr__(self, "max_lost", check_int("max_lost", self.max_lost, 1, GAME))
        object.__setattr__(self, "behind", check_int("behind", self.behind, 0, GAME - 1))
        object.__setattr__(self, "slips", check_positive("slips", self.slips, allow_zero=True, maximum=1.0))
        super().__post_init__()
        import_extra("ale_py", "atari")

    @property
    def env_key(self) -> tuple:
        """Environments differ in whether actions are sticky, in how far behind games begin, and in slips."""
        return self.kind, self.sticky, self.behind, self.slips

    def make_env(self) -> Any:
        """Return a new game."""
        return PongGame(STICKINESS if self.sticky else 0.0, self.behind, self.slips)

    def act(self, env: Any, outputs: np.ndarray) -> int:
        """Return the number of the largest output."""
        return int(np.argmax(outputs))

    def with_pictures(self) -> PongTask:
        """Return the same task: its runs can always be drawn."""
        return self

    def _start(self, seed: tuple[int, ...], episodes: np.ndarray) -> PongRun:
        return PongRun(self, seed, episodes)


def reading(knob: np.ndarray | float) -> np.ndarray:
    """Return the rows to which the paddle goes: the console reads the knob in steps of two, and not above the court."""
    rows: np.ndarray = 24.5 + 2 * np.maximum(np.round((np.asarray(knob) - 24.5) / 2), 0)
    return rows


# By how they are read, the rows that the knob comes to if no step is cut short: from its upper end, or from its lower
# one where both are read alike.
_USUAL = {
    float(reading(knob)): float(knob)
    for knob in [*np.arange(ENDS[0], ENDS[1], TURN)[::-1], *np.arange(ENDS[1], ENDS[0], -TURN)[::-1]]
}


class Court(NamedTuple):
    """The court as the console's memory has it, in rows and columns of the screen.

    Attributes:
        has_ball: whether there is a ball.
        column, row: of the ball, its upper end.
        across, down: how far the ball flies in a step, if nothing is in its way.
        paddle: the row of the upper end of the own paddle.
        other: that of the other.
        knob: the row to which the knob of the own paddle is turned; the paddle goes where `reading` has it.
        late: whether the paddle moves in odd frames of a step, 0 or 1.
    """

    has_ball: bool
    column: int
    row: int
    across: int
    down: int
    paddle: float
    other: float
    knob: float
    late: int

    @property
    def is_coming(self) -> bool:
        """Whether there is a ball that flies towards the own paddle."""
        return self.has_ball and self.across > 0


class PongGame:
    """The console with the game in it, stepped like an environment of Gymnasium.

    Args:
        stickiness: how likely the action before goes on for one more frame.
        behind: points with which an episode may begin lost, at most.
        slips: how likely a random one of the keys is pressed in a step, whatever was chosen.
    """

    def __init__(self, stickiness: float, behind: int = 0, slips: float = 0.0) -> None:
        library = import_extra("ale_py", "atari")
        library.ALEInterface.setLoggerMode(library.LoggerMode.Error)  # no banner
        self._ale = library.ALEInterface()
        # Sticky actions are drawn here, of the episode's own generator.
        self._ale.setFloat("repeat_action_probability", 0.0)
        self._ale.setInt("random_seed", 0)
        with quiet():
            self._ale.loadROM(library.roms.get_rom_path("pong"))
        self._actions = self._ale.getMinimalActionSet()
        self._stickiness, self._behind, self._slips = stickiness, behind, slips

    def reset(self, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin a game; return the gray picture (row, column)."""
        self._generator = np.random.default_rng(seed)
        self.begin(int(self._generator.integers(1, _MOST_IDLE + 1)))
        if self._behind and (n_points := int(self._generator.integers(self._behind + 1))):
            self._lose(n_points)
            self._vary_serve()
            self._show()
        return self.picture, {}

    def _lose(self, n_points: int) -> None:
        """Push random buttons, each for some steps, until so many points are lost."""
        lost = 0
        while lost < n_points:
            action = int(self._generator.choice(KEYS))
            for _ in range(int(self._generator.integers(1, _LONGEST_PRESS + 1))):
                lost += sum(self.advance(action)) < 0
                if lost == n_points:
                    break

    def _vary_serve(self) -> None:
        """Let the next ball come in any of the ways in which it may after a lost point.

        It flies up or down as the last one did, and the frames in which the paddle moves are tied to where it comes on
        until a point is won. In a whole game all that changes, so chance sets it here.
        """
        memory = self._ale.getRAM()
        is_other_frame, flies_up = self._generator.integers(2, size=2)
        self._ale.setRAM(_CLOCK, int(memory[_CLOCK]) ^ int(is_other_frame))
        speed = abs(int(memory[_SPEED_DOWN].astype(np.int8)))
        self._ale.setRAM(_SPEED_DOWN, (-speed if flies_up else speed) % 256)

    def begin(self, n_idle: int) -> None:
        """Begin a game with so many idle frames."""
        self._ale.reset_game()
        self._last = 0
        for _ in range(n_idle):
            self._ale.act(self._actions[0])
        self._show()

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Play four frames; return the gray picture (row, column), the points won, and whether the game is over."""
        if self._slips and self._generator.random() < self._slips:
            action = int(self._generator.choice(KEYS))
        reward = 0
        for frame in range(_SKIP):
            if not (self._stickiness and self._generator.random() < self._stickiness):
                self._last = action
            reward += self._ale.act(self._actions[self._last])
            if frame == _SKIP - 2:
                before = self._screen()
        self.picture = shrink(_palette().levels[before, self._screen()])
        return self.picture, reward, self._ale.game_over(), False, {}

    def look(self) -> Court:
        """Return what the console's memory says of the court."""
        memory = self._ale.getRAM()
        down, across = _SKIP * memory[[_SPEED_DOWN, 58]].view(np.int8).astype(int)
        return Court(
            bool(memory[54]), int(memory[49]) - 49, int(memory[54]) - 14, -int(across), int(down), int(memory[51]) - 13,
            int(memory[50]) - 15, self._find_knob(), int(memory[_CLOCK]) % 2,
        )  # fmt: skip

    def _find_knob(self) -> float:
        """Return the row to which the knob is turned, of those that are read as it is."""
        read, turned = self._read_knob(), 0.0
        if read == reading(0):  # it may be anywhere beyond the court: where is it a step below?
            with self.rehearsal():
                self.advance(_DOWN)
                read, turned = self._read_knob(), TURN
        return max(_USUAL.get(read, read) - turned, ENDS[0])

    def _read_knob(self) -> float:
        """Return the row in which the console reads the knob."""
        memory = self._ale.getRAM()
        if not memory[_CLOCK] % 2:
            return int(memory[4]) - 13.5
        with self.rehearsal():  # in every second frame the cell is that of the other paddle's
            self._ale.act(self._actions[0])
            return int(self._ale.getRAM()[4]) - 13.5

    def memory(self) -> bytes:
        """Return the console's memory but for what only counts: beside the knob, all that a rally depends on.

        The clock is in it as far as it is after `set_clock`.
        """
        memory = self._ale.getRAM().copy()
        memory[_COUNTERS] = 0
        memory[_CLOCK] %= 2
        return memory.tobytes()

    @contextlib.contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Let what is done to the game within it not have been done."""
        state = self._ale.cloneState()
        try:
            yield
        finally:
            self._ale.restoreState(state)

    def set_clock(self) -> None:
        """Set the count of frames to a certain one of eight: what is foreseen then depends on `memory` and the knob.

        The other paddle rests in one frame of eight, and nothing that can be seen tells in which.
        """
        # The own paddle moves in every second frame: that stays as it is.
        self._ale.setRAM(_CLOCK, 4 + int(self._ale.getRAM()[_CLOCK]) % 2)

    def advance(self, action: int) -> list[int]:
        """Play four frames unseen, no action being sticky; return the points won in each."""
        return [self._ale.act(self._actions[action]) for _ in range(_SKIP)]

    def render(self) -> np.ndarray:
        """Return the screen (210, 160, color)."""
        return self._ale.getScreenRGB()

    def close(self) -> None:
        """Nothing is left open."""

    def _show(self) -> None:
        """Make the picture of the screen alone."""
        screen = self._screen()
        self.picture = shrink(_palette().levels[screen, screen])

    def _screen(self) -> np.ndarray:
        """Return the screen as numbers of the palette (row, column), whose colors are known from then on."""
        screen = self._ale.getScreen()
        palette = _palette()
        if not palette.known[screen].all():
            palette.learn(screen, self._ale.getScreenRGB())
        return screen


class _Palette:
    """The console's colors by their numbers, learned from what is on the screen.

    Attributes:
        known: which numbers are known (number,).
        levels: the gray level of the brighter, color by color, of two numbers (number, number), uint8.
    """

    def __init__(self) -> None:
        self.known = np.zeros(256, bool)
        self.levels = np.zeros((256, 256), np.uint8)
        self._colors = np.zeros((256, 3))

    def learn(self, screen: np.ndarray, colors: np.ndarray) -> None:
        """Learn the colors (row, column, 3) of a screen of numbers (row, column)."""
        self._colors[screen] = colors
        self.levels = to_gray(np.maximum(self._colors[:, None], self._colors))
        self.known[screen] = True


@functools.lru_cache(maxsize=1)
def _palette() -> _Palette:
    return _Palette()


@functools.lru_cache(maxsize=4)
def _averaging(n_before: int, n_after: int) -> np.ndarray:
    """Return the matrix (after, before) that averages areas."""
    edges = np.arange(n_after + 1) * n_before / n_after
    cells = np.arange(n_before)
    overlap = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    return (np.maximum(overlap, 0) * n_after / n_before).astype(np.float32)


def shrink(levels: np.ndarray) -> np.ndarray:
    """Return a screen's gray levels averaged over areas to 84 x 84, uint8, the upper rows black."""
    height, width = levels.shape
    small = _averaging(height, SIZE) @ levels.astype(np.float32) @ _averaging(width, SIZE).T
    picture = np.rint(small).astype(np.uint8)
    picture[:HIDDEN] = 0
    return picture


class PongRun(FramesRun):
    """Games under way."""

    task: PongTask

    def __init__(self, task: PongTask, seed: tuple[int, ...], episodes: np.ndarray) -> None:
        super().__init__(task, seed, episodes)
        self._lost = np.zeros(episodes.shape, np.int64)  # points

    def step(self, actions: np.ndarray, alive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Play the games of the episodes that are alive."""
        rewards, over = super().step(actions, alive)
        self._lost += rewards < 0
        return rewards, over | (alive & (self._lost >= self.task.max_lost))

    def keep(self, rows: np.ndarray) -> PongRun:
        """Return the run of only these candidates; the other games wait for the next rollout."""
        kept = super().keep(rows)
        kept._lost = self._lost[rows]
        return kept

    def _show(self, places: list[tuple[int, int]]) -> None:
        """Write the pictures of these episodes as the newest of their frames."""
        for place in places:
            self._values[place][-1, ..., 0] = self._envs[place].picture

    def picture(
        self, place: tuple[int, int], action: np.ndarray, score: float | None, size: tuple[int, int] | None = None
    ) -> np.ndarray:
        """Return the screen of one episode, its pixels enlarged; without a size, three times."""
        screen = super().picture(place, action, score)
        width, height = size or (_PICTURE_SCALE * screen.shape[1], _PICTURE_SCALE * screen.shape[0])
        rows = np.arange(check_int("size", height, 1)) * screen.shape[0] // height
        columns = np.arange(check_int("size", width, 1)) * screen.shape[1] // width
        return screen[rows][:, columns]
