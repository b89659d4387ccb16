"""The picture of CarRacing in NumPy: the track drawn once into a bitmap, each frame looked up in it.

What is drawn is what Gymnasium draws (`gymnasium.envs.box2d.car_racing`): a window of 1000 x 800 points with the car
a quarter up, shrunk to 96 x 96 pixels, 12 rows of instruments at the bottom, which stay black here. Pixels are looked
up at their middle, not averaged, so edges are a little rougher. Skid marks and the marks on the wheels are left out.

A picture depends on its own car alone, whichever others are drawn beside it.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

FIELD = 2000 / 6.0  # half the width of the playfield, in units of the physics
SIZE = 96  # rows and columns of the picture that agents see
SEEN = 84  # its rows above the instruments
ZOOM = 2.7 * 6.0  # points a unit, once the camera has come down

# Bitmap numbers: grass dark and light, outside the playfield, wheels and hull; then the pieces of the road.
DARK, LIGHT, OUTSIDE, WHEEL, HULL, ROAD = range(6)
GRASS = ((102, 204, 102), (102, 230, 102))
# How much darker everything is: version 3 shrinks its picture by sums that are rounded down.
SHADES = {"2018": 0, "v3": 2}

_ASPHALT = 104.0  # the level of each color of the road, which is gray, to within three
_SHARPNESS = 8  # levels that `unlike_road` makes of one: beyond 32 levels all is alike

_CELLS = 4.8  # of the bitmap, a unit: a square of grass is 80 of them
_GRASS = 80
_N = round(2 * FIELD * _CELLS) + 2  # rows and columns, with a margin that is outside
_WINDOW = (1000, 800)  # points
_CAR_EXTENT = 3.2  # units from the middle of the car to beyond all of it
_CAR_CELLS = 16  # of its bitmaps, a unit
_STEERS = np.linspace(-0.4, 0.4, 41)  # angles of the front wheels that there are bitmaps of, in rad


class Grid(NamedTuple):
    """Where the pixels of a picture look, in points from the car: right and ahead.

    Attributes:
        right, ahead: (pixel,), row by row, float32.
        near: the numbers of those that may show the car.
    """

    right: np.ndarray
    ahead: np.ndarray
    near: np.ndarray


@functools.lru_cache(maxsize=8)
def pixel_grid(height: int = SIZE, width: int = SIZE, n_rows: int = SEEN) -> Grid:
    """Return where the upper `n_rows` of a picture of this size look."""
    columns = ((np.arange(width) + 0.5) / width - 0.5) * _WINDOW[0]
    rows = (0.75 - (np.arange(n_rows) + 0.5) / height) * _WINDOW[1]
    ahead, right = (part.ravel().astype(np.float32) for part in np.meshgrid(rows, columns, indexing="ij"))
    reach = _CAR_EXTENT * ZOOM
    return Grid(right, ahead, np.flatnonzero((np.abs(right) < reach) & (np.abs(ahead) < reach)))


class Pose(NamedTuple):
    """How cars stand and are looked at; arrays (car,).

    Attributes:
        x, y: the middle of the car.
        angle: of the hull, in rad.
        camera: the angle that is up in the picture.
        zoom: points a unit.
        steer: angle of the front wheels.
    """

    x: np.ndarray
    y: np.ndarray
    angle: np.ndarray
    camera: np.ndarray
    zoom: np.ndarray
    steer: np.ndarray


def camera_angle(camera: str, hull: float, velocity: tuple[float, float]) -> float:
    """Return the angle that is up: along the velocity, as in 2018, if the car is faster than 0.5; else the hull's."""
    if camera == "velocity" and math.hypot(*velocity) > 0.5:
        return -math.atan2(*velocity)
    return hull


def zoom_at(time: float) -> float:
    """Return the points a unit at a time of an episode, in s: the camera comes down in the first second."""
    return 0.6 * max(1 - time, 0) + ZOOM * min(time, 1)


@functools.lru_cache(maxsize=1)
def _grass() -> np.ndarray:
    """Return the bitmap without a road."""
    bitmap = np.full((_N, _N), OUTSIDE, np.int16)
    light = np.arange(_N - 2) // _GRASS % 2 == 0
    bitmap[1:-1, 1:-1] = np.where(light[:, None] & light, LIGHT, DARK)
    return bitmap


def draw_track(pieces: list[Any]) -> np.ndarray:
    """Return the bitmap (cell,) of a track, row by row, of pieces (corner, 2): the first is number `ROAD`."""
    bitmap = _grass().copy()
    for number, corners in enumerate(pieces, ROAD):
        fill_polygon(bitmap, (np.asarray(corners) + FIELD) * _CELLS + 1, number)
    return bitmap.ravel()


def fill_polygon(bitmap: np.ndarray, corners: np.ndarray, number: int) -> None:
    """Write a number into the cells whose middle is in a convex polygon (corner, 2) of column and row."""
    n_rows, n_columns = bitmap.shape
    left, low = np.floor(corners.min(axis=0)).astype(int)
    right, high = np.ceil(corners.max(axis=0)).astype(int)
    left, low, right, high = max(left, 0), max(low, 0), min(right, n_columns), min(high, n_rows)
    x, y = corners.T[:, :, None]
    x_way, y_way = (np.concatenate([corners[1:], corners[:1]]) - corners).T[:, :, None]
    # On which side of each edge the cells are: (edge, row, 1) and (edge, 1, column), to be compared.
    by_row = (x_way * (np.arange(low, high) + 0.5 - y))[:, :, None]
    by_column = (y_way * (np.arange(left, right) + 0.5 - x))[:, None]
    inside = (by_row >= by_column).all(axis=0) | (by_row <= by_column).all(axis=0)
    bitmap[low:high, left:right][inside] = number


@functools.lru_cache(maxsize=1)
def car_bitmaps(dynamics: Any) -> np.ndarray:
    """Return bitmaps of the car, one for each angle of the front wheels: (angle, cell), 0 where there is no car.

    Args:
        dynamics: the module that knows the shapes of hull and wheels.
    """
    n = round(2 * _CAR_EXTENT * _CAR_CELLS) + 2

    def fill(bitmap: np.ndarray, corners: Any, number: int) -> None:
        fill_polygon(bitmap, (np.asarray(corners) * dynamics.SIZE + _CAR_EXTENT) * _CAR_CELLS + 1, number)

    half, radius = dynamics.WHEEL_W, dynamics.WHEEL_R
    wheel = np.array([(-half, radius), (half, radius), (half, -radius), (-half, -radius)])
    bitmaps = np.zeros((len(_STEERS), n, n), np.int16)
    for bitmap, steer in zip(bitmaps, _STEERS):
        for place in dynamics.WHEELPOS:
            cosine, sine = (math.cos(steer), math.sin(steer)) if place[1] > 0 else (1.0, 0.0)
            fill(bitmap, wheel @ np.array([[cosine, sine], [-sine, cosine]]) + place, WHEEL)
        for number in range(1, 5):
            fill(bitmap, getattr(dynamics, f"HULL_POLY{number}"), HULL)
    return bitmaps.reshape(len(_STEERS), -1)


def look(tracks: list[np.ndarray], cars: np.ndarray, pose: Pose, grid: Grid) -> np.ndarray:
    """Return what each pixel shows, as numbers of the bitmaps (car, pixel), int16.

    Args:
        tracks: the bitmap of each car's track.
        cars: of `car_bitmaps`.
        pose: of the cars.
        grid: of the picture.
    """
    cells = _cells(_CELLS * np.stack([pose.x + FIELD, pose.y + FIELD]), pose.camera, _CELLS / pose.zoom, grid, _N)
    shown = np.empty(cells.shape, np.int16)
    for out, track, at in zip(shown, tracks, cells):
        np.take(track, at, out=out, mode="clip")
    near = Grid(grid.right[grid.near], grid.ahead[grid.near], grid.near)
    middle = np.full((2, len(pose.x)), _CAR_EXTENT * _CAR_CELLS)
    n_cells = round(math.sqrt(cars.shape[1]))
    at = _cells(middle, pose.camera - pose.angle, _CAR_CELLS / pose.zoom, near, n_cells)
    steer = np.searchsorted(_STEERS[:-1] + (_STEERS[1] - _STEERS[0]) / 2, pose.steer)
    steer = np.minimum(steer, len(cars) - 1)
    car = cars.ravel()[at + (steer * cars.shape[1])[:, None]]
    shown[:, grid.near] = np.where(car > 0, car, shown[:, grid.near])
    return shown


def _cells(middle: np.ndarray, angle: np.ndarray, scale: np.ndarray, grid: Grid, n_cells: int) -> np.ndarray:
    """Return which cell (car, pixel) of a bitmap of `n_cells` a side, margin included, each pixel falls into."""
    cosine, sine = (np.asarray(part * scale, np.float32)[:, None] for part in (np.cos(angle), np.sin(angle)))
    x0, y0 = np.asarray(middle + 1, np.float32)[:, :, None]
    columns = cosine * grid.right
    columns -= sine * grid.ahead
    columns += x0
    rows = sine * grid.right
    rows += cosine * grid.ahead
    rows += y0
    for places in (columns, rows):
        np.clip(places, 0, n_cells - 1, out=places)
    cells = rows.astype(np.int32)
    cells *= np.int32(n_cells)
    cells += columns.astype(np.int32)
    return cells.astype(np.intp)


def unlike_road(colors: np.ndarray) -> np.ndarray:
    """Return how far colors (..., 3) are from the road's, uint8: eight times the largest difference of the three."""
    largest = np.abs(np.asarray(colors, np.float32) - _ASPHALT).max(axis=-1)
    return np.minimum(np.rint(_SHARPNESS * largest), 255).astype(np.uint8)


def noise_picture(seed: int, size: int = SIZE) -> np.ndarray:
    """Return a background of noise (row, column, color), uint8, each color drawn for itself.

    Its power falls with the frequency f as f^-2.15, and its standard deviation is about 52 of 255 around 127: as
    photographs and drawings have it.
    """
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0xBACC,)))
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size))
    frequency[0, 0] = np.inf
    colors = []
    for _ in range(3):
        white = np.fft.rfft2(generator.standard_normal((size, size)))
        drawn = np.fft.irfft2(white * frequency ** (-2.15 / 2), s=(size, size))
        colors.append(127.5 + 52 * drawn / drawn.std())
    return np.clip(np.rint(np.stack(colors, axis=-1)), 0, 255).astype(np.uint8)
