"""Make the frames of a video one after the other, and write them as MP4 or GIF."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import FileError, InputError, check_int, check_positive, import_extra
from ..files import PathLike, as_path, atomic_write
from ..parameters import check_params
from ..policies import Policy
from ..rollout import check_fit
from ..runs import Progress
from ..tasks import Task
from ..tasks.base import Seed, check_seed
from ..tasks.drawing import load_pillow
from .episode import play
from .frames import Actor, Film, swatches

_WIDTHS = {".mp4": 1280, ".gif": 960}
_LEAST_WIDTH, _MOST_WIDTH = 320, 3840
_HOLD = 1.0  # seconds for which the end stands still


def write_video(
    path: PathLike,
    models: Mapping[str, tuple[Policy, object]],
    task: Task,
    seed: Seed = 0,
    frames_per_second: float = 25,
    steps_per_frame: int = 2,
    width: int | None = None,
    progress: bool = False,
) -> list[float]:
    """Write a video of the episode that a rollout of one episode with this seed has.

    Args:
        path: ending in .mp4 or .gif; its folder must exist.
        models: name to show -> (policy, its flat vector (parameter,)); one, or two side by side, which meet the
            same start, the same noise and the same shuffles.
        task: a cart-pole, or an environment that can be drawn, with its perturbation.
        seed: a whole number or several.
        frames_per_second: how fast frames follow each other; 25 a second of 2 steps show 50 steps a second.
        steps_per_frame: steps from one frame to the next.
        width: of the picture in pixels, 320 to 3840; if None, 1280 for .mp4 and 960 for .gif.
        progress: whether to show a progress bar.

    Returns:
        The return of each model.

    Raises:
        InputError: for a name that ends otherwise, impossible numbers, no models or more than two, one that does
            not fit the task, or a task that cannot be drawn.
        FileError: if the file cannot be written; one that was there stays as it was.
        MissingExtraError: if Pillow, or for .mp4 imageio-ffmpeg, is not installed.
        TaskError: if an environment fails.
    """
    path = as_path(path)
    ending = path.suffix.lower()
    if ending not in _WIDTHS:
        raise InputError(f"a video's name must end in .mp4 or .gif, got {str(path)!r}")
    width = check_int("width", _WIDTHS[ending] if width is None else width, _LEAST_WIDTH)
    if width > _MOST_WIDTH:
        raise InputError(f"width must be at most {_MOST_WIDTH} pixels, got {width}")
    steps_per_frame = check_int("steps_per_frame", steps_per_frame, 1)
    frames_per_second = check_positive("frames_per_second", frames_per_second)
    if not 1 <= frames_per_second <= 50:  # more than 50 a second is more than a GIF can say
        raise InputError(f"frames_per_second must be 1 to 50, got {frames_per_second:g}")
    check_seed(seed)
    task = task.with_pictures()
    _check_models(models, task)
    load_pillow()
    if ending == ".mp4":
        import_extra("imageio_ffmpeg", "viz")
    if path.is_dir():
        raise FileError(f"cannot write {path}: it is a folder")
    with atomic_write(path) as file:
        actors = [_record(name, policy, params, task, seed) for name, (policy, params) in models.items()]
        film = Film(actors, task, seed, width)
        frames = _make_frames(film, task, seed, steps_per_frame, round(_HOLD * frames_per_second), progress)
        (_write_gif if ending == ".gif" else _write_mp4)(file, frames, frames_per_second)
    return [actor.moments[-1].score for actor in actors]


def _check_models(models: Mapping[str, tuple[Policy, object]], task: Task) -> None:
    if not 1 <= len(models) <= 2:
        raise InputError(f"a video shows one model, or two side by side, got {len(models)}")
    for name, (policy, params) in models.items():
        check_params(params, policy.n_params)
        try:
            check_fit(policy, task)
        except InputError as error:
            raise InputError(f"{name}: {error}") from None


def _record(name: str, policy: Policy, params: object, task: Task, seed: Seed) -> Actor:
    moments = [moment for moment, _ in play(policy, params, task, seed)]
    return Actor(name, policy, check_params(params, policy.n_params), moments)


def _make_frames(
    film: Film, task: Task, seed: Seed, steps_per_frame: int, n_still: int, progress: bool
) -> Iterator[Any]:
    """Play the episodes again and draw them, every so many steps; then stand still."""
    last = max(actor.n_steps for actor in film.actors)
    shown = [*range(0, last, steps_per_frame), last]
    bar = Progress(len(shown), "frame", shown=progress)
    try:
        for step, *scenes in zip(shown, *(_make_scenes(film, actor, task, seed, shown) for actor in film.actors)):
            frame = film.frame(step, scenes)
            yield frame
            bar.update()
        for _ in range(n_still):
            yield frame
    finally:
        bar.close()


def _make_scenes(film: Film, actor: Actor, task: Task, seed: Seed, shown: list[int]) -> Iterator[Any]:
    """Play an agent's episode again; at each step to be shown draw it as it stands, or as it has ended."""
    episode = play(actor.policy, actor.params, task, seed)
    moment, run = next(episode)
    scene = film.draw_scene(run, moment)
    for step in shown:
        if moment.step < min(step, actor.n_steps):
            while moment.step < min(step, actor.n_steps):
                moment, run = next(episode)
            scene = film.draw_scene(run, moment)
        yield scene


def _write_mp4(file: IO[bytes], frames: Iterator[Any], frames_per_second: float) -> None:
    """Write frames as H.264 in the colours that every player shows."""
    ffmpeg = import_extra("imageio_ffmpeg", "viz")
    first = next(frames)
    with tempfile.TemporaryDirectory() as folder:  # ffmpeg goes back and forth in a file of its own
        whole = Path(folder) / "video.mp4"
        writer = ffmpeg.write_frames(
            str(whole), first.size, fps=frames_per_second, codec="libx264", macro_block_size=2, pix_fmt_out="yuv420p",
            ffmpeg_log_level="error", output_params=["-crf", "18", "-movflags", "+faststart"],
        )  # fmt: skip
        with contextlib.closing(writer):
            writer.send(None)  # it starts ffmpeg
            for frame in itertools.chain([first], frames):
                writer.send(np.ascontiguousarray(frame))
        with open(whole, "rb") as made:
            shutil.copyfileobj(made, file)


def _write_gif(file: IO[bytes], frames: Iterator[Any], frames_per_second: float) -> None:
    """Write frames in one palette, made from the colours all frames have and those of the first."""
    image = load_pillow()[0]
    first = next(frames)
    colors = swatches()[None].repeat(8, axis=0)
    model = image.new("RGB", (max(first.width, colors.shape[1]), first.height + len(colors)))
    model.paste(first, (0, 0))
    model.paste(image.fromarray(colors), (0, first.height))
    palette = model.quantize(256)

    def reduce(frame: Any) -> Any:
        return frame.quantize(palette=palette, dither=image.Dither.NONE)

    reduce(first).save(
        file, format="GIF", save_all=True, append_images=map(reduce, frames), duration=round(1000 / frames_per_second),
        loop=0,
    )  # fmt: skip
