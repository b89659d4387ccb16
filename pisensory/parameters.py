"""How a flat vector of parameters, or a population of them, is cut into named arrays.

The order is the one in which a PyTorch module lists its parameters, so the published weights of the paper
load as they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, SupportsFloat, Union

import numpy as np

from .errors import InputError, check_array

# What stands for an array of real numbers: an array, or sequences as deep as it has axes. Text is no SupportsFloat.
Numbers = Union["np.ndarray[Any, np.dtype[np.floating[Any]]]", "np.ndarray[Any, np.dtype[np.integer[Any]]]"]
Vector = Union[Numbers, Sequence[SupportsFloat]]
Matrix = Union[Numbers, Sequence[Vector]]
Tensor = Union[Matrix, Sequence[Matrix], Sequence[Sequence[Matrix]]]  # no deeper: text is sequences without end

Layout = dict[str, tuple[slice, tuple[int, ...]]]


def make_layout(shapes: Mapping[str, tuple[int, ...]]) -> Layout:
    """Return name -> (slice of the flat vector, shape), laid end to end in the order given."""
    layout: Layout = {}
    start = 0
    for name, shape in shapes.items():
        stop = start + math.prod(shape)
        layout[name] = (slice(start, stop), tuple(shape))
        start = stop
    return layout


def dense_shapes(prefix: str, sizes: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of dense layers from sizes[0] inputs to sizes[-1] outputs, weight before bias."""
    shapes: dict[str, tuple[int, ...]] = {}
    for number, (n_in, n_out) in enumerate(zip(sizes[:-1], sizes[1:])):
        shapes[f"{prefix}{number}_weight"] = (n_out, n_in)
        shapes[f"{prefix}{number}_bias"] = (n_out,)
    return shapes


def unflatten(population: np.ndarray, layout: Layout) -> dict[str, np.ndarray]:
    """Cut a population (candidate, parameter) into views name -> (candidate, *shape)."""
    n_candidates = population.shape[0]
    return {name: population[:, part].reshape(n_candidates, *shape) for name, (part, shape) in layout.items()}


def check_population(population: object, n_params: int) -> np.ndarray:
    """Return `population` as a float64 array (candidate, parameter).

    Raises InputError unless it is a non-empty, finite matrix with `n_params` columns.
    """
    array = check_array("the population", population).astype(np.float64)
    if array.ndim != 2 or array.shape[0] < 1:
        raise InputError(f"the population must have shape (candidate, {n_params}), got {array.shape}")
    _check_size_and_values(array, n_params, "the population")
    return array


def check_params(params: object, n_params: int) -> np.ndarray:
    """Return `params` as a float64 vector (parameter,).

    Raises InputError unless it is a finite vector of `n_params` numbers.
    """
    array = check_array("the parameter vector", params).astype(np.float64)
    if array.ndim != 1:
        raise InputError(f"the parameter vector must be flat, with shape ({n_params},), got {array.shape}")
    _check_size_and_values(array, n_params, "the parameter vector")
    return array


def _check_size_and_values(array: np.ndarray, n_params: int, what: str) -> None:
    if array.shape[-1] != n_params:
        raise InputError(
            f"{what} has {array.shape[-1]} numbers a candidate but this policy takes {n_params}: "
            "check the policy's sizes, or use a vector made for them"
        )
    bad = ~np.isfinite(array)
    if bad.any():
        raise InputError(f"{what} holds {int(bad.sum())} values that are NaN or infinite")
