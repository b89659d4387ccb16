"""The pictures of a video of agents that see patches: what each sees, and where it looks.

On the left the patches as they come to the network, shuffled if they are; on the right the task as it is, bright where
the agent attends and dark where it does not, with a frame around the patches that the places it votes for attend to.
Nothing is kept of an episode but the picture at hand: attention of a thousand steps would take a gigabyte.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..policies import Policy
from ..rollout import Step, live, single_chunk
from ..runs import Progress
from ..tasks import Task
from ..tasks.base import Seed
from ..tasks.drawing import load_font, load_pillow
from .frames import ACCENT, CARD, INK, LINE, PAPER, SOFT, describe

_MARGIN, _PAD, _HEAD, _CAPTION, _METERS, _FOOT = 24, 18, 50, 26, 46, 44  # in units of a 1280th of the width
_SMALL, _NORMAL, _LARGE = 15, 17, 22
_LEAST_FONT = 9  # pixels
_DARKEST = 0.4  # of the brightness, where an agent does not look
_FRAMED, _BEST = (255, 214, 90), (255, 255, 255)
_STEER, _BAR = (58, 118, 181), (230, 226, 218)


class PatchFilm:
    """Draws one agent's episode, or two agents' side by side, as they live through it.

    Args:
        models: name -> (policy, its vector (parameter,)); one or two.
        task: what they do; each sees it in its own view.
        seed: of their episode.
        width: of the pictures, in pixels.
        hint: to be shown at the foot.

    Attributes:
        size: width and height of the pictures.
        scores: the return of each agent so far.
    """

    def __init__(
        self, models: Mapping[str, tuple[Policy, np.ndarray]], task: Task, seed: Seed, width: int, hint: str = ""
    ) -> None:
        self._image, self._draw_module, _ = load_pillow()
        self._unit = width / 1280
        self._names, self._models, self._seed = list(models), list(models.values()), seed
        self._tasks = [task.seen_as(policy.n_channels) for policy, _ in self._models]
        self._footnote, self._hint = f"{describe(task, touched=bool(hint))}, seed {seed}", hint
        self.scores = [0.0] * len(self._models)
        n, margin, pad = len(models), self._px(_MARGIN), self._px(_PAD)
        card = (width - margin * (n + 1)) // n
        panel = (card - 3 * pad) // 2
        self._panel = (panel, round(panel * 7 / 8))
        height = self._px(_HEAD) + self._px(_CAPTION) + self._panel[1] + self._px(_METERS) + pad
        self._cards = [(margin + number * (card + margin), margin, card, height) for number in range(n)]
        full = margin + height + self._px(_FOOT)
        self.size = (width - width % 2, full + full % 2)
        self._canvas = self._draw_background()

    def _px(self, length: float) -> int:
        return max(1, round(length * self._unit))

    def frames(self, steps_per_frame: int, n_still: int, progress: bool) -> Iterator[Any]:
        """Yield a picture, an image of Pillow's, every so many steps, and that of the end so many times more."""
        episodes = [
            live(single_chunk(policy, params, task, 1, self._seed))
            for (policy, params), task in zip(self._models, self._tasks)
        ]
        bar = Progress(self._tasks[0].max_steps // steps_per_frame + 1, "frame", shown=progress)
        try:
            moments = [_every(episode, steps_per_frame) for episode in episodes]
            for together in itertools.zip_longest(*moments):
                yield self.frame(together)
                bar.update()
            for _ in range(n_still):
                yield self._canvas
        finally:
            bar.close()

    def note(self, moments: Sequence[Step]) -> None:
        """Keep nothing: each picture shows its moment alone."""

    def frame(self, moments: Sequence[Step | None]) -> Any:
        """Return the picture of a moment of each agent's episode, None for one that stands as it was drawn last."""
        for number, step in enumerate(moments):
            if step is not None:
                self._draw(self._canvas, number, step)
        return self._canvas.copy()

    def _draw_background(self) -> Any:
        canvas = self._image.new("RGB", self.size, PAPER)
        draw = self._draw_module.Draw(canvas)
        for x, y, width, height in self._cards:
            draw.rounded_rectangle((x, y, x + width, y + height), self._px(8), CARD, LINE)
            caption = y + self._px(_HEAD) + self._px(_CAPTION) // 2 - self._px(4)
            for left, text in zip(self._lefts(x), ("what it sees", "where it looks")):
                self._write(draw, (left, caption), text, _SMALL, SOFT, "lm")
        foot = self.size[1] - self._px(_FOOT) // 2
        self._write(draw, (self.size[0] - self._px(_MARGIN), foot), self._footnote, _SMALL, SOFT, "rm")
        self._write(draw, (self._px(_MARGIN + 110), foot), self._hint, _SMALL, SOFT, "lm")
        return canvas

    def _lefts(self, x: int) -> tuple[int, int]:
        return x + self._px(_PAD), x + 2 * self._px(_PAD) + self._panel[0]

    def _write(self, draw: Any, place: tuple[float, float], text: str, size: float, color: Any, anchor: str) -> None:
        draw.text(place, text, color, load_font(max(_LEAST_FONT, self._px(size))), anchor)

    def _draw(self, canvas: Any, number: int, step: Step) -> None:
        """Draw an agent's card anew."""
        draw = self._draw_module.Draw(canvas)
        x, y, width, _ = self._cards[number]
        pad, head, top = self._px(_PAD), self._px(_HEAD), y + self._px(_HEAD) + self._px(_CAPTION)
        self.scores[number] = float(step.totals.returns[0, 0])
        draw.rectangle((x + 1, y + self._px(8), x + width - 1, y + head), CARD)
        self._write(draw, (x + pad, y + head // 2), self._names[number], _LARGE, INK, "lm")
        score = f"score {self.scores[number]:.0f}"
        self._write(draw, (x + width - pad, y + head // 2), score, _LARGE, INK, "rm")
        if not step.alive[0, 0]:
            steps = f"over after {step.number} steps"
            self._write(draw, (x + width - pad - self._px(150), y + head // 2), steps, _SMALL, ACCENT, "rm")
            return
        foot = self.size[1] - self._px(_FOOT) // 2
        draw.rectangle((0, foot - self._px(12), self._px(_MARGIN + 105), foot + self._px(12)), PAPER)
        self._write(draw, (self._px(_MARGIN), foot), f"step {step.number}", _SMALL, SOFT, "lm")
        seen, scene = (left for left in self._lefts(x))
        canvas.paste(self._seen(number, step), (seen, top))
        canvas.paste(self._scene(number, step), (scene, top))
        self._draw_actions(draw, number, step.actions[0, :, 0], (x + pad, top + self._panel[1] + self._px(12)))

    def _seen(self, number: int, step: Step) -> Any:
        """Return the patches in the order in which the agent gets them."""
        mosaic = self._image.fromarray(self._tasks[number].mosaic(step.observations[0, :, :, 0]))
        return mosaic.resize(self._panel, self._image.Resampling.NEAREST)

    def _scene(self, number: int, step: Step) -> Any:
        """Return the task as it is, bright where the agent looks."""
        task, inside = self._tasks[number], step.policy.inside()
        picture = self._image.fromarray(step.task.picture((0, 0), step.actions[0, :, 0], None, self._panel))
        picture = picture.resize(self._panel, self._image.Resampling.LANCZOS)
        sources, boxes = step.task.sources[0, :, 0], task.boxes()
        winners = inside["places"][0, :, 0] if "places" in inside else None
        if "attention" in inside:
            attention = inside["attention"][0, :, :, 0]  # (feature, place)
            attention = attention if winners is None else attention[:, winners]
            picture = self._spotlight(picture, attention.mean(axis=1), sources, task)
            winners = None if winners is None else attention.argmax(axis=0)
        draw = self._draw_module.Draw(picture)
        for rank, feature in reversed(list(enumerate([] if winners is None else winners))):
            if sources[feature] < len(boxes):
                corners = boxes[sources[feature]] * np.tile(self._panel, 2)
                draw.rectangle(tuple(corners), outline=_FRAMED if rank else _BEST, width=self._px(2))
        return picture

    def _spotlight(self, picture: Any, attention: np.ndarray, sources: np.ndarray, task: Task) -> Any:
        """Return a picture darkened where the attention (feature,) is low."""
        grid = task.senses.grid or (1, len(task.senses.names))
        light: np.ndarray = np.zeros(grid[0] * grid[1] + task.perturbation.noise_places)
        np.add.at(light, sources, attention)
        light = np.sqrt(light[: grid[0] * grid[1]] / (light.max() or 1.0)).reshape(grid)
        bottom = task.boxes()[-1, 3]  # of the grid, as a share of the picture's height, which may end above it
        mask = self._image.fromarray(np.rint(255 * light).astype(np.uint8))
        mask = mask.resize((self._panel[0], round(self._panel[1] * bottom)), self._image.Resampling.BICUBIC)
        mask = mask.crop((0, 0, *self._panel))
        share = _DARKEST + (1 - _DARKEST) * np.asarray(mask, np.float64)[..., None] / 255
        return self._image.fromarray(np.rint(np.asarray(picture) * share).astype(np.uint8))

    def _draw_actions(self, draw: Any, number: int, actions: np.ndarray, corner: tuple[int, int]) -> None:
        """Draw a meter for each action: from its middle, or, where only the largest counts, a light."""
        _, _, width, _ = self._cards[number]
        names = self._tasks[number].action_names or tuple(f"action {n + 1}" for n in range(len(actions)))
        each = (width - 2 * self._px(_PAD)) // len(names)
        x, y = corner
        draw.rectangle((x, y - self._px(2), x + width - 2 * self._px(_PAD), y + self._px(_METERS) - self._px(12)), CARD)
        meters = np.abs(actions).max() <= 1
        for place, (name, action) in enumerate(zip(names, actions)):
            left, right = x + place * each, x + (place + 1) * each - self._px(14)
            chosen = not meters and action == actions.max()
            self._write(draw, (left, y + self._px(6)), name, _SMALL, INK if chosen else SOFT, "lm")
            bar, middle = y + self._px(20), (left + right) // 2
            draw.rectangle((left, bar, right, bar + self._px(7)), _STEER if chosen else _BAR)
            if meters:
                end = middle + round(float(action) * (right - left) / 2)
                draw.rectangle((min(middle, end), bar, max(middle, end), bar + self._px(7)), _STEER)


def _every(episode: Iterator[Step], n_steps: int) -> Iterator[Step]:
    """Yield every so many steps of an episode, and its end."""
    for step in episode:
        if step.number % n_steps == 0 or not step.alive[0, 0]:
            yield step
        if not step.alive[0, 0]:
            return
