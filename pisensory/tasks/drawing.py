"""A picture of the cart-pole: track, cart, pole, force and score, with Pillow (extra `viz`)."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ..errors import check_int, import_extra
from .cartpole import POLE_LENGTH, TRACK_LIMIT

_SCALE = 2  # drawn at twice the size and shrunk: that is what makes the edges smooth
_PAPER, _INK, _FAINT = (255, 255, 255), (31, 41, 51), (154, 165, 177)
_CART, _POLE, _FORCE = (0, 114, 178), (213, 94, 0), (0, 158, 115)
_TEXT = 14  # pixels


@functools.lru_cache(maxsize=1)
def load_pillow() -> tuple[Any, Any, Any]:
    """Return Pillow's modules Image, ImageDraw and ImageFont; raise MissingExtraError if it is not installed."""
    return tuple(import_extra(f"PIL.{name}", "viz") for name in ("Image", "ImageDraw", "ImageFont"))  # type: ignore[return-value]


@functools.lru_cache(maxsize=16)
def load_font(size: int) -> Any:
    """Return Pillow's own font in a size, in pixels."""
    return load_pillow()[2].load_default(size)


def draw_cartpole(
    x: float, theta: float, action: float, score: float | None, size: tuple[int, int] = (600, 400)
) -> np.ndarray:
    """Return a picture of the cart-pole as uint8 (height, width, 3).

    Args:
        x: the cart's place on the track, in m.
        theta: the pole's angle, in rad; 0 is upright.
        action: the force in units of the largest, in [-1, 1], shown as an arrow.
        score: the return so far, shown as a number beside the force; None shows neither.
        size: width and height in pixels.

    Raises:
        InputError: for a size below one.
        MissingExtraError: if Pillow is not installed.
    """
    image, draw_module, _ = load_pillow()
    width, height = (check_int("size", length, 1) for length in size)
    canvas = image.new("RGB", (width * _SCALE, height * _SCALE), _PAPER)
    draw = draw_module.Draw(canvas)
    meter = width * _SCALE / (2 * TRACK_LIMIT + 1.0)
    middle, level = width * _SCALE / 2, height * _SCALE * 0.56
    unit = _SCALE * width / 600
    font = load_font(max(1, round(_TEXT * unit)))
    _draw_track(draw, middle, level, meter, font)
    _draw_cart(draw, middle + x * meter, level, theta, action, meter)
    if score is not None:
        draw.text((16 * unit, 12 * unit), f"score {score:.1f}", fill=_INK, font=font)
        draw.text((16 * unit, 32 * unit), f"force {10 * action:+.1f} N", fill=_FORCE, font=font)
    return np.asarray(canvas.reduce(_SCALE))


def _draw_track(draw: Any, middle: float, level: float, meter: float, font: Any) -> None:
    reach, line = TRACK_LIMIT * meter, max(1, round(0.012 * meter))
    draw.line([(middle - reach, level), (middle + reach, level)], fill=_INK, width=2 * line)
    for end in (-reach, reach):
        draw.line([(middle + end, level - 0.1 * meter), (middle + end, level + 0.1 * meter)], fill=_INK, width=2 * line)
    for mark in range(-2, 3):
        place = middle + mark * meter
        draw.line([(place, level + 0.2 * meter), (place, level + 0.26 * meter)], fill=_FAINT, width=2 * line)
        label = f"{mark} m" if mark == 2 else str(mark)
        draw.text((place - 0.5 * draw.textlength(str(mark), font=font), level + 0.3 * meter), label, _FAINT, font)


def _draw_cart(draw: Any, place: float, level: float, theta: float, action: float, meter: float) -> None:
    half, tall, thick = 0.2 * meter, 0.11 * meter, 0.07 * meter
    box = [place - half, level - tall, place + half, level + tall]
    draw.rounded_rectangle(box, radius=0.04 * meter, fill=_CART)
    # The angle turns the pole towards -x.
    length = 2 * POLE_LENGTH * meter  # twice as long as it is, to be seen
    tip = (place - length * math.sin(theta), level - length * math.cos(theta))
    draw.line([(place, level), tip], fill=_POLE, width=round(thick))
    for center, radius in (((place, level), 0.5 * thick), (tip, 0.8 * thick)):
        draw.ellipse([center[0] - radius, center[1] - radius, center[0] + radius, center[1] + radius], fill=_POLE)
    if abs(action) > 0.02:
        side = math.copysign(1.0, action)
        start, below = place + side * half, level + 0.66 * meter
        end = start + 0.7 * meter * action
        draw.line([(start, below), (end, below)], fill=_FORCE, width=round(0.5 * thick))
        head = 0.09 * meter
        draw.polygon([(end + side * head, below), (end, below - head), (end, below + head)], fill=_FORCE)
