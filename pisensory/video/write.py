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
from ..recording import record
from ..rollout import check_fit, live, single_chunk
from ..runs import Progress
from ..tasks import Task
from ..tasks.base import Seed, check_seed
from ..tasks.drawing import load_pillow
from .frames import Actor, Film, swatches
from .patches import PatchFilm

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
    width = check_width(_WIDTHS[ending] if width is None else width)
    steps_per_frame = check_int("steps_per_frame", steps_per_frame, 1)
    frames_per_second = check_positive("frames_per_second", frames_per_second)
    if not 1 <= frames_per_second <= 50:  # more than 50 a second is more than a GIF can say
        raise InputError(f"frames_per_second must be 1 to 50, got {frames_per_second:g}")
    check_seed(seed)
    task = task.with_pictures()
    vectors = check_models(models, task)
    load_pillow()
    if ending == ".mp4":
        import_extra("imageio_ffmpeg", "viz")
    if path.is_dir():
        raise FileError(f"cannot write {path}: it is a folder")
    n_still = round(_HOLD * frames_per_second)
    write = _write_gif if ending == ".gif" else _write_mp4
    if task.senses.grid is not None:
        patches = PatchFilm(vectors, task, seed, width)
        with atomic_write(path) as file:
            write(file, patches.frames(steps_per_frame, n_still, progress), frames_per_second)
        return patches.scores
    with atomic_write(path) as file:
        actors = [
            Actor(name, policy, params, record(policy, params, task, 1, seed, ("attention", "latent")))
            for name, (policy, params) in vectors.items()
        ]
        film = Film(actors, task, seed, width)
        write(file, _make_frames(film, task, seed, steps_per_frame, n_still, progress), frames_per_second)
    return [actor.score(actor.n_steps) for actor in actors]


def check_width(width: int) -> int:
    """Return the width of a picture in pixels, or raise InputError for one that nobody could see or draw."""
    return check_int("width", width, _LEAST_WIDTH, _MOST_WIDTH)


def check_models(models: Mapping[str, tuple[Policy, object]], task: Task) -> dict[str, tuple[Policy, np.ndarray]]:
    """Return the models with their vectors (parameter,), or raise InputError for what cannot be shown."""
    if not 1 <= len(models) <= 2:
        raise InputError(f"there must be one model, or two side by side, got {len(models)}")
    for name, (policy, _) in models.items():
        try:
            check_fit(policy, task.seen_as(policy.n_channels))
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
    return {name: (policy, check_params(params, policy.n_params)) for name, (policy, params) in models.items()}


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
    """Live through an agent's episode again; at each step to be shown draw it as it stands, or as it has ended."""
    steps, number = live(single_chunk(actor.policy, actor.params, task, 1, seed)), -1
    for shown_step in shown:
        stop = min(shown_step, actor.n_steps)
        if number < stop:
            step = next(itertools.islice(steps, stop - number - 1, None))
            number = step.number
            scene = film.draw_scene(step.task, step.actions[0, :, 0])
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
