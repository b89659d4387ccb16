"""The pictures of a video: for each agent its scene, what each place of its network hears, and what it attends to.

Traces have the colour of what a place really hears, so that they change colour where inputs are shuffled. The
colours are those of the page, and can be told apart without seeing red and green as different.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from ..policies import Policy
from ..recording import Recording
from ..tasks import Task
from ..tasks.base import PerturbedRun
from ..tasks.drawing import load_font, load_pillow

MAX_ROWS = 64
WINDOW = 200  # the most steps that the traces show
_SCALE = 2  # traces are drawn at twice the size and shrunk, which makes them smooth

PAPER, CARD, LINE = (251, 250, 247), (255, 255, 255), (222, 218, 209)
INK, SOFT, ACCENT = (29, 28, 26), (94, 91, 85), (194, 78, 8)
_SOURCES = (
    (10, 92, 150), (53, 148, 207), (194, 78, 8), (201, 140, 0), (0, 121, 90), (158, 74, 134), (92, 84, 160),
    (122, 98, 66),
)  # fmt: skip
_NOISE = (140, 136, 128)
_SCENES = ((204, 0, 0), (143, 0, 0), (82, 0, 0), (255, 214, 90))  # a car, and in the dark; a frame around patches
_LOW, _ZERO, _HIGH = np.array([(197, 120, 58), (243, 241, 236), (58, 118, 181)], dtype=np.float64)

# In units of a 1280th of the width.
_MARGIN, _PAD, _HEAD, _FOOT = 24, 18, 50, 44
_SMALL, _NORMAL, _LARGE = 15, 17, 22
_LEAST_FONT = 9  # pixels, whatever the width
_LABELS, _MATRIX, _GAP, _CAPTION = 136, 160, 14, 24
_ROWS, _LEAST_ROW, _MOST_ROW, _STRIP, _MOST_CELL = 230, 17, 42, 18, 28


@dataclasses.dataclass(frozen=True)
class Actor:
    """An agent and its episode, the whole of it or the last that it has lived through.

    Attributes:
        name: what to call it.
        policy: its network.
        params: the flat vector (parameter,).
        episode: a recording of this one.
        first: the step with which the recording begins.
        earned: the sum of rewards before that.
    """

    name: str
    policy: Policy
    params: np.ndarray
    episode: Recording
    first: int = 0
    earned: float = 0.0

    @property
    def n_steps(self) -> int:
        """How many steps the episode lasted."""
        return self.first + len(self.episode.rewards)

    def score(self, step: int) -> float:
        """Return the sum of rewards before a step."""
        # One after the other, as a rollout does.
        return float(sum(self.episode.rewards[: step - self.first, 0], start=self.earned))


class Film:
    """Draws one agent's episode, or two agents' side by side.

    Args:
        actors: one or two.
        task: what they do.
        seed: of their episode, to be shown.
        width: of the pictures, in pixels.
        hint: to be shown at the foot.
        window: the steps that traces show; if None, those of the longest episode, but no more than 200.
    """

    def __init__(
        self, actors: list[Actor], task: Task, seed: object, width: int, hint: str = "", window: int | None = None
    ) -> None:
        self.actors, self.task, self._hint = actors, task, hint
        self.footnote = f"{describe(task, touched=bool(hint))}, seed {seed}"
        self._image, self._draw_module, _ = load_pillow()
        self._unit = width / 1280
        self._names, self._colors = _label_sources(task)
        self._ranges: np.ndarray = np.zeros(len(self._names))
        self.follow(actors)
        self._window = window or min(WINDOW, max(actor.n_steps for actor in actors))
        self._n_rows = min(task.n_features, MAX_ROWS)
        self._row = self._px(min(max(_ROWS / self._n_rows, _LEAST_ROW), _MOST_ROW))
        self._place(width)
        self._weights = [_first_weights(actor) for actor in actors]
        self._background = self._draw_background()

    def follow(self, actors: list[Actor]) -> None:
        """Go on with the same agents, further on in their episodes."""
        self.actors = actors
        for actor in actors:
            sizes = np.abs(actor.episode.observations).max(axis=2)
            np.maximum.at(self._ranges, actor.episode.sources, sizes)  # the largest of each source

    def _px(self, length: float) -> int:
        return max(1, round(length * self._unit))

    def _place(self, width: int) -> None:
        """Decide where everything is: agents stand side by side, one alone has its inputs beside the scene."""
        margin, pad, head = self._px(_MARGIN), self._px(_PAD), self._px(_HEAD)
        single = len(self.actors) == 1
        inner = (width - 2 * margin - (2 if single else 4) * pad - (pad if single else margin)) // 2
        inputs = self._px(_CAPTION) + self._n_rows * self._row + self._px(_GAP + 2 * _STRIP + 4)
        scene = max(inner // 2, inputs) if single else inner // 2
        self.scene_size = (inner, scene)
        card = (width - 2 * margin if single else inner + 2 * pad, head + scene + pad + (0 if single else inputs + pad))
        self._cards = [(margin + n * (card[0] + margin), margin, *card) for n in range(len(self.actors))]
        self._scenes = [(x + pad, y + head) for x, y, _, _ in self._cards]
        below, beside = (0, scene + pad), (inner + pad, (scene - inputs) // 2)
        right, down = beside if single else below
        self._inputs = [(x + right, y + down) for x, y in self._scenes]
        height = margin + card[1] + self._px(_FOOT)
        self.size = (width - width % 2, height + height % 2)

    def _draw_background(self) -> Any:
        canvas = self._image.new("RGB", self.size, PAPER)
        draw = self._draw_module.Draw(canvas)
        for (x, y, width, height), actor in zip(self._cards, self.actors):
            draw.rounded_rectangle((x, y, x + width, y + height), self._px(8), CARD, LINE)
            self._write(draw, (x + self._px(_PAD), y + self._px(_HEAD) // 2), _cut(actor.name), _LARGE, INK, "lm")
        foot = self.size[1] - self._px(_FOOT) // 2
        self._write(draw, (self.size[0] - self._px(_MARGIN), foot), self.footnote, _SMALL, SOFT, "rm")
        self._write(draw, (self._px(_MARGIN + 110), foot), self._hint, _SMALL, SOFT, "lm")
        return canvas

    def _font(self, size: float) -> Any:
        return load_font(max(_LEAST_FONT, self._px(size)))

    def _write(self, draw: Any, place: tuple[float, float], text: str, size: float, color: Any, anchor: str) -> None:
        draw.text(place, text, color, self._font(size), anchor)

    def frame(self, step: int, scenes: list[Any]) -> Any:
        """Return the picture of a step, an image of Pillow's.

        Args:
            step: how many steps were taken before.
            scenes: a picture of each agent's task, as `draw_scene` returns it.
        """
        canvas = self._background.copy()
        draw = self._draw_module.Draw(canvas)
        foot = (self._px(_MARGIN), self.size[1] - self._px(_FOOT) // 2)
        self._write(draw, foot, f"step {step}", _SMALL, SOFT, "lm")
        for number, actor in enumerate(self.actors):
            canvas.paste(scenes[number], self._scenes[number])
            self._draw_score(draw, number, step)
            heard = min(step, actor.n_steps - 1) - actor.first
            self._draw_inputs(canvas, draw, number, heard)
            self._draw_matrices(canvas, draw, number, heard)
        return canvas

    def _draw_score(self, draw: Any, number: int, step: int) -> None:
        x, y, width, _ = self._cards[number]
        actor = self.actors[number]
        right, middle = x + width - self._px(_PAD), y + self._px(_HEAD) // 2
        score = f"score {actor.score(step):.1f}"
        self._write(draw, (right, middle), score, _LARGE, INK, "rm")
        if actor.n_steps <= step and actor.n_steps < self.task.max_steps:
            right -= draw.textlength(score, self._font(_LARGE)) + self._px(16)
            self._write(draw, (right, middle), f"over after {actor.n_steps} steps", _SMALL, ACCENT, "rm")

    def _draw_inputs(self, canvas: Any, draw: Any, number: int, step: int) -> None:
        """Draw a row for each place of the network: the name of what it hears, and the last that it heard."""
        episode, (x, y) = self.actors[number].episode, self._inputs[number]
        top, left = y + self._px(_CAPTION), x + self._px(_LABELS)
        size = (self._matrix_box(number)[0] - self._px(_GAP) - left, self._n_rows * self._row)
        caption = top - self._px(12)
        hidden = self.task.n_features - self._n_rows
        self._write(draw, (x, caption), f"first {self._n_rows} inputs" if hidden else "inputs", _SMALL, SOFT, "lm")
        self._write(draw, (left, caption), f"last {self._window} steps", _SMALL, SOFT, "lm")
        for row, source in enumerate(episode.sources[step, : self._n_rows, 0]):
            middle = top + (row + 0.5) * self._row
            chip = round(0.6 * min(self._px(18), self._row))
            corner = (x, round(middle - chip / 2))
            draw.rectangle((*corner, corner[0] + chip - 1, corner[1] + chip - 1), self._colors[source])
            text = min(_NORMAL, 0.85 * self._row / self._unit)
            self._write(draw, (x + chip + self._px(9), middle), self._names[source], text, INK, "lm")
        steps = np.arange(max(0, step + 1 - self._window), step + 1)
        places = size[0] * (1 - (step - steps) / self._window)
        heard = episode.sources[..., 0]
        shuffles = [place for at, place in zip(steps, places) if at and not np.array_equal(heard[at], heard[at - 1])]
        canvas.paste(self._draw_traces(size, episode, steps, places, shuffles), (left, top))
        for before, place in zip([self._px(60), *shuffles], shuffles):
            if place > before + self._px(80):
                self._write(draw, (left + place, caption), "shuffle", _SMALL, ACCENT, "mm")

    def _draw_traces(
        self, size: tuple[int, int], episode: Recording, steps: np.ndarray, places: np.ndarray, shuffles: list[float]
    ) -> Any:
        """Return a picture of what was heard at these steps, each at its place, and of the shuffles among them."""
        picture = self._image.new("RGB", (size[0] * _SCALE, size[1] * _SCALE), CARD)
        draw = self._draw_module.Draw(picture)
        for place in shuffles:
            draw.line([(_SCALE * place, 0), (_SCALE * place, picture.height)], ACCENT, self._px(1) * _SCALE)
        sources = episode.sources[steps, : self._n_rows, 0]
        inputs = episode.observations[steps, : self._n_rows, :, 0].astype(np.float64)  # (step, row, channel)
        height = _SCALE * self._row
        ranges = np.where(self._ranges > 0, self._ranges, 1.0)
        values = np.clip(inputs / ranges[sources][:, :, None], -1, 1)
        heights = (np.arange(self._n_rows)[:, None] + 0.5) * height - 0.42 * height * values
        changes = [0, *(np.flatnonzero(np.any(np.diff(sources, axis=0), axis=1)) + 1), len(steps)]
        for row in range(self._n_rows):
            level = (row + 0.5) * height
            draw.line([(0, level), (picture.width, level)], LINE, _SCALE)
            for start, stop in zip(changes, changes[1:]):
                for channel in heights[start:stop, row].T:
                    line = list(zip(_SCALE * places[start:stop], channel))
                    draw.line(line, self._colors[sources[start, row]], self._px(2 * _SCALE), "curve")
        return picture.reduce(_SCALE)

    def _heat(self, number: int, step: int) -> np.ndarray | None:
        """Return what the heat map shows (feature, column): the attention, or else the weights of a first layer."""
        attention = self.actors[number].episode.inside.get("attention")
        return self._weights[number] if attention is None else attention[step, ..., 0]

    def _matrix_box(self, number: int) -> tuple[int, int, int, int]:
        """Return left, top, width of a cell, and number of columns of an agent's heat map."""
        heat = self._heat(number, 0)
        columns = 1 if heat is None else heat.shape[1]
        cell = max(1, int(min(_MATRIX / columns, _MOST_CELL) * self._unit))
        x, y = self._inputs[number]
        return x + self.scene_size[0] - cell * columns, y + self._px(_CAPTION), cell, columns

    def _draw_matrices(self, canvas: Any, draw: Any, number: int, step: int) -> None:
        """Draw the heat map, beside the rows of the inputs, and under it latent code and action."""
        left, top, cell, columns = self._matrix_box(number)
        right, below = left + cell * columns, top + self._n_rows * self._row + self._px(_GAP)
        episode, heat, largest = self.actors[number].episode, self._heat(number, step), 1.0
        if heat is not None:
            attends = "attention" in episode.inside
            largest = 1.0 if attends else float(np.abs(heat).max()) or 1.0
            title = "attention" if attends else "first layer"
            self._write(draw, (right, top - self._px(12)), title, _SMALL, SOFT, "rm")
            self._draw_cells(canvas, heat[: self._n_rows] / largest, (left, top), cell, self._row)
        self._draw_legend(canvas, draw, (self._inputs[number][0], below), largest)
        for title, values in (("latent code", episode.inside.get("latent")), ("action", episode.actions)):
            if values is not None:
                values = values[step, :, 0]
                wide = max(1, max(right - left, self._px(_MATRIX) // 2) // len(values))
                start = right - wide * len(values)
                self._draw_cells(canvas, values[None], (start, below), wide, self._px(_STRIP))
                self._write(draw, (start - self._px(10), below + self._px(_STRIP) / 2), title, _SMALL, SOFT, "rm")
                below += self._px(_STRIP + 4)

    def _draw_cells(self, canvas: Any, values: np.ndarray, corner: tuple[int, int], width: int, height: int) -> None:
        cells = np.repeat(np.repeat(_to_color(values), width, axis=1), height, axis=0)
        if height > 4:
            cells[height - 1 :: height] = CARD
        if width > 4:
            cells[:, width - 1 :: width] = CARD
        canvas.paste(self._image.fromarray(cells), corner)

    def _draw_legend(self, canvas: Any, draw: Any, corner: tuple[int, int], largest: float) -> None:
        width, height = self._px(_LABELS - 16), self._px(10)
        ramp = _to_color(np.linspace(-1, 1, width)[None])
        canvas.paste(self._image.fromarray(np.repeat(ramp, height, axis=0)), corner)
        for place, text, anchor in ((0, "-1", "lm"), (0.5, "0", "mm"), (1, "+1", "rm")):
            self._write(draw, (corner[0] + place * width, corner[1] + self._px(23)), text, _SMALL, SOFT, anchor)
        if largest != 1.0:
            text = f"first layer: -{largest:.1f} to +{largest:.1f}"
            self._write(draw, (corner[0] + width + self._px(16), corner[1] + self._px(5)), text, _SMALL, SOFT, "lm")

    def draw_scene(self, run: PerturbedRun, actions: np.ndarray) -> Any:
        """Return a picture of the task as it stands, an image of Pillow's, as large as fits the scene."""
        scene = self._image.fromarray(run.picture((0, 0), actions, None, self.scene_size))
        if scene.size != self.scene_size:
            picture, scene = scene, self._image.new("RGB", self.scene_size, CARD)
            ratio = min(inside / outside for inside, outside in zip(scene.size, picture.size))
            picture = picture.resize(tuple(max(1, round(ratio * side)) for side in picture.size), self._image.LANCZOS)
            scene.paste(picture, tuple((outside - inside) // 2 for outside, inside in zip(scene.size, picture.size)))
        self._draw_push(self._draw_module.Draw(scene), float(run.pushed[0, 0]))
        return scene

    def _draw_push(self, draw: Any, push: float) -> None:
        """Draw an arrow at the top of a scene for what pushes there, beside the agent."""
        if not push:
            return
        middle, level, side = self.scene_size[0] / 2, self._px(16), math.copysign(1.0, push)
        reach, head = side * self._px(60) * min(abs(push), 2.0), side * self._px(12)
        self._write(draw, (middle - side * self._px(8), level), "push", _NORMAL, ACCENT, "rm" if side > 0 else "lm")
        draw.line([(middle, level), (middle + reach, level)], ACCENT, self._px(6))
        draw.polygon(
            [(middle + reach, level - abs(head)), (middle + reach + head, level), (middle + reach, level + abs(head))],
            ACCENT,
        )


def _to_color(values: np.ndarray) -> np.ndarray:
    """Return colours (row, column, 3), uint8, of values (row, column) in [-1, 1]."""
    share = np.clip(np.asarray(values, dtype=np.float64), -1, 1)[..., None]
    return np.round(_ZERO + np.abs(share) * (np.where(share < 0, _LOW, _HIGH) - _ZERO)).astype(np.uint8)


def swatches() -> np.ndarray:
    """Return the colours that any frame may have (colour, 3), uint8."""
    flat = [PAPER, CARD, LINE, INK, SOFT, ACCENT, _NOISE, *_SOURCES, *_SCENES]
    return np.concatenate([np.array(flat, np.uint8), _to_color(np.linspace(-1, 1, 33)[None])[0]])


def _label_sources(task: Task) -> tuple[list[str], list[tuple[int, int, int]]]:
    """Return names and colours of what a place may hear: the task's inputs, then the noise."""
    names, n_noise = list(task.senses.names), task.perturbation.noise_places
    colors = [_SOURCES[number % len(_SOURCES)] for number in range(len(names))]
    return names + [f"noise {number + 1}" for number in range(n_noise)], colors + n_noise * [_NOISE]


def _first_weights(actor: Actor) -> np.ndarray | None:
    """Return the weights (feature, unit) of the first layer, where it has one for each of the inputs."""
    policy = actor.policy
    where, shape = next(iter(policy.layout.values()))
    if policy.n_features is None or policy.n_channels > 1 or shape[1:] != (policy.n_features,):
        return None
    return np.asarray(actor.params, dtype=np.float64)[where].reshape(shape).T


def describe(task: Task, touched: bool = False) -> str:
    """Say in a few words what the task is, and what is done to its inputs, before they are `touched` by hand."""
    done, every = task.perturbation, task.perturbation.reshuffle_every
    parts = [f"each input {'twice' if done.n_copies == 2 else f'{done.n_copies} times'}"] * (done.n_copies > 1)
    parts += [f"{_span(done.n_noise)} noise input{'s' * (done.noise_places > 1)}"] * (done.noise_places > 0)
    if every is not None:
        parts.append(f"inputs shuffled every {_span(every)} steps")
    elif done.shuffle:
        parts.append("inputs shuffled")
    return ", ".join([task.label, *(parts or ["inputs in order" + " at first" * touched])])


def _span(number: int | tuple[int, int]) -> str:
    return " to ".join(map(str, number)) if isinstance(number, tuple) else str(number)


def _cut(name: str) -> str:
    return name if len(name) <= 30 else f"{name[:29]}..."
