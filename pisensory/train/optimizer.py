"""CMA-ES (Hansen, "The CMA Evolution Strategy: A Tutorial", 2016) through pycma, made exactly resumable.

pycma samples from a generator of ours, new for every generation, and its state is kept as plain arrays: a
checkpoint needs no pickle, and a resumed run continues bit for bit.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import DivergedError, InputError, PisensoryError, shorten

# Step sizes are kept between these: beyond them pycma's arithmetic, which squares them, comes to an end.
SMALLEST_SIGMA, LARGEST_SIGMA = 1e-12, 1e12
_FAR = 1e100

# What pycma carries from one generation to the next: the object that holds it, its class, and the names. They are
# pycma's own affair, and move from version to version; these are the versions that it is tested with.
VERSIONS = ">=4.4.3,<4.6"
_STATE = (
    ("", "CMAEvolutionStrategy", (
        "mean", "mean_old", "mean_old_old", "mean_after_tell", "sigma", "_sigma_old", "pc", "pc2", "pc_neg",
        "countiter", "countevals", "itereigenupdated", "noiseS", "pop_injection_directions",
        "_mirrormethod1_done", "_indices_of_selective_mirrors",
    )),
    ("sm", "GaussFullSampler", (
        "C", "B", "D", "last_update", "count_tell", "count_eigen", "_corr_condition", "_corr_condition_count_eigen",
        "_beta_diagonal_acceleration",
    )),
    ("sm", "GaussStandardConstant", ("quadratic",)),
    ("sigma_vec", "DiagonalDecoding", ("scaling", "is_identity")),
    ("adapt_sigma", "CMAAdaptSigmaCSA", ("delta", "ps", "cs", "_ps_updated_iteration")),
    ("adapt_sigma", "CMAAdaptSigmaTPA", (
        "delta", "ps", "cs", "_ps_updated_iteration", "s", "initialized", "is_initialized_base",
    )),
)  # fmt: skip
# What is there only once there have been two generations.
_LATE = {"mean_old", "mean_old_old", "_sigma_old", "ps", "cs"}

_LISTS = {"pop_injection_directions", "_indices_of_selective_mirrors"}


class Optimizer:
    """CMA-ES that maximizes, with its state in reach.

    Args:
        initial: the mean of the first distribution (parameter,).
        sigma0: its standard deviation.
        population_size: candidates a generation.
        seed: of the samples.
        sigma_max: the largest step size. A network whose units are all saturated acts the same at any scale,
            and without a bound its step size runs away.
        sigma_min: the smallest step size. Scores are noisy, and what noise ranks at random shrinks the steps until
            the search stands still.
        diagonal: whether to learn variances alone, and no covariances: linear, not quadratic, in the
            parameters (Ros and Hansen, "A Simple Modification in CMA-ES Achieving Linear Time and Space
            Complexity", 2008).
    """

    def __init__(
        self,
        initial: np.ndarray,
        sigma0: float,
        population_size: int,
        seed: tuple[int, ...],
        sigma_max: float = LARGEST_SIGMA,
        sigma_min: float = SMALLEST_SIGMA,
        diagonal: bool = False,
    ) -> None:
        self._seed = seed
        self._sigma_range = sigma_min, sigma_max
        self._generator = np.random.default_rng(0)
        self._strategy = self._make_strategy(initial, sigma0, population_size, diagonal)

    def _make_strategy(self, initial: np.ndarray, sigma0: float, population_size: int, diagonal: bool) -> Any:
        options = {
            "popsize": population_size,
            "randn": self._standard_normal,
            "seed": np.nan,  # leaves NumPy's global state alone
            "verbose": -9,
            "verb_log": 0,
            "verb_disp": 0,
            "CMA_diagonal": diagonal,
            # Beyond a condition of 1e12 pycma would turn the space itself around: its mean would then be in other
            # coordinates than ours. Differences of scale between parameters are still taken out.
            "conditioncov_alleviate": [1e8, 0],
            # The eigendecomposition costs O(n^3). The covariance changes by less than 1 % in the meantime.
            "updatecovwait": max(1, len(initial) // 100),
        }
        strategy = _import_cma().CMAEvolutionStrategy(np.array(initial, dtype=np.float64), sigma0, options)
        # What it would otherwise note only once it has mirrored samples, as it does in populations below 6.
        strategy._mirrormethod1_done, strategy._indices_of_selective_mirrors = -2, []
        return strategy

    def _standard_normal(self, *shape: int) -> np.ndarray:
        return self._generator.standard_normal(shape)

    @property
    def mean(self) -> np.ndarray:
        """The mean of the distribution (parameter,)."""
        return np.array(self._strategy.mean, dtype=np.float64)

    @property
    def sigma(self) -> float:
        """The step size: the distribution's overall standard deviation."""
        return float(self._strategy.sigma)

    def ask(self, generation: int) -> np.ndarray:
        """Return the population (candidate, parameter) of a generation."""
        sequence = np.random.SeedSequence(self._seed, spawn_key=(generation,))
        self._generator = np.random.default_rng(sequence)
        with _as_our_errors():
            self._population = self._strategy.ask()
            return np.array(self._population)

    def tell(self, scores: np.ndarray) -> int:
        """Update the distribution with the scores (candidate,), to be maximized, of what `ask` returned.

        Scores that are not finite rank below all others.

        Returns:
            how many scores were not finite.

        Raises:
            DivergedError: if the parameters have grown beyond 1e100.
        """
        finite = np.isfinite(scores)
        worst = scores[finite].min() - 1.0 if finite.any() else 0.0
        with np.errstate(all="ignore"), _as_our_errors():
            self._strategy.tell(self._population, list(-np.where(finite, scores, worst)))
        smallest, largest = self._sigma_range
        self._strategy.sigma = min(max(self._strategy.sigma, smallest), largest)
        if not (np.abs(self._strategy.mean) < _FAR).all():
            raise DivergedError(
                f"the search has run off: its parameters are as large as {np.abs(self._strategy.mean).max():.0e}; "
                "bound its step size with sigma_max (--sigma-max)"
            )
        return int((~finite).sum())

    def state(self) -> tuple[dict[str, np.ndarray], str]:
        """Return the state between generations as named arrays, and pycma's version; restoring it continues to the bit.

        Raises PisensoryError if this pycma keeps its state otherwise than the versions known here.
        """
        state = {}
        for holder, target, names in self._parts():
            for name in names:
                value = getattr(target, name, None)
                if value is not None and not callable(value):
                    state[f"{holder}__{name}"] = np.array(value)
                elif name not in _LATE or self._strategy.countiter > 1:
                    raise _unknown_cma(f"a {type(target).__name__} has no {name}")
        return state, _import_cma().__version__

    def restore(self, state: dict[str, np.ndarray], version: str) -> None:
        """Take on a `state` of an optimizer of the same size.

        Raises InputError if it is not one, or one of another version of pycma.
        """
        if version != _import_cma().__version__:
            raise InputError(
                f"its state is of cma {version}, and {_import_cma().__version__} would go on otherwise: install "
                f"cma=={version}"
            )
        self._strategy.ask(1)  # pycma sets up its clock at the first ask, and only then
        self._strategy.number_of_solutions_asked = 0
        self._strategy._flgtelldone = True
        optional = _LATE if state["__countiter"] < 2 else set()
        for holder, target, names in self._parts():
            for name in names:
                if name not in optional or f"{holder}__{name}" in state:
                    value = self._check(name, state[f"{holder}__{name}"], getattr(target, name, None))
                    if name in _LISTS:
                        setattr(target, name, list(value.copy()))
                    else:
                        setattr(target, name, np.array(value, order="K") if value.ndim else value.item())
        self._strategy._updateBDfromSM(self._strategy.sm)
        self._strategy._isotropic_mean_shift_iteration = -1

    def _parts(self) -> Iterator[tuple[str, Any, tuple[str, ...]]]:
        """Give the objects that hold the state: what the strategy calls each, itself, and its names."""
        for holder in dict.fromkeys(part[0] for part in _STATE):
            target = getattr(self._strategy, holder, None) if holder else self._strategy
            found = [names for place, kind, names in _STATE if (place, kind) == (holder, type(target).__name__)]
            if not found:
                raise _unknown_cma(f"its {holder} is a {type(target).__name__}")
            yield holder, target, found[0]

    def _check(self, name: str, value: np.ndarray, now: object) -> np.ndarray:
        """Return a value of the state if it can take the place of what is there `now`."""
        size = len(self._strategy.mean)
        if isinstance(now, np.ndarray) and now.ndim and (value.shape, value.dtype) != (now.shape, now.dtype):
            raise InputError(
                f"the optimizer's {name} is {value.dtype} of shape {value.shape}, not {now.dtype} {now.shape}"
            )
        fits = value.ndim == 0 or value.shape in ((size,), (size, size)) or name in _LISTS
        if value.dtype.kind not in "fiub" or not fits or not np.isfinite(value).all():
            raise InputError(f"the optimizer's {name} of shape {value.shape} does not fit {size} parameters")
        return value


@contextlib.contextmanager
def _as_our_errors() -> Iterator[None]:
    """Turn whatever pycma raises into DivergedError: its numbers, or those of a checkpoint, have left all bounds."""
    try:
        yield
    except Exception as error:
        raise DivergedError(
            f"CMA-ES cannot go on from its state ({type(error).__name__}: {shorten(str(error))}): resume an earlier "
            "run, or bound its step size with sigma_max (--sigma-max)"
        ) from error


@functools.cache
def _import_cma() -> Any:
    # Shortcuts for interactive use, which import pyplot, and surrogates, which import scipy.stats: over a second that
    # no training needs.
    for name in ("cma.s", "cma.fitness_models"):
        sys.modules.setdefault(name, _Late(name))
    import cma

    return cma


class _Late(types.ModuleType):
    """Stands for a module, which is imported when first asked for something of its own."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def _unknown_cma(reason: str) -> PisensoryError:
    return PisensoryError(
        f"cma {_import_cma().__version__} keeps its state otherwise than pisensory knows ({reason}): "
        f"pip install 'cma{VERSIONS}'"
    )
