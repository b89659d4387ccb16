"""The table of a sweep: means over seeds, and how sure they are."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

# Quantiles of 0.975 of Student's t, of 1, 2, ... degrees of freedom.
_STUDENT = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


class Mean(NamedTuple):
    """A mean over seeds, its 95 % interval, and what it is the mean of. The interval of one seed is NaN."""

    mean: float
    low: float
    high: float
    values: tuple[float, ...]


# Name of the row -> name of the score -> its mean.
Table = Mapping[str, Mapping[str, Mean]]


def mean_over_seeds(values: Sequence[float]) -> Mean:
    """Return the mean of values, one a seed, with the interval of Student's t.

    The interval says how far another set of seeds might be, if scores of seeds are normally distributed. Of few seeds
    it is wide, as it should be.
    """
    mean, n = float(np.mean(values)), len(values)
    half = math.nan
    if n > 1:
        freedom = n - 1
        # Beyond the table the first terms of the expansion by Cornish and Fisher are as good.
        student = _STUDENT[freedom - 1] if freedom <= len(_STUDENT) else 1.95996 + 2.3722 / freedom
        half = student * float(np.std(values, ddof=1)) / math.sqrt(n)
    return Mean(mean, mean - half, mean + half, tuple(map(float, values)))


def table_text(table: Table) -> str:
    """Return the table as text, a line a row."""
    scores = score_names(table)
    width = max(map(len, table))
    columns = {score: max(len(score), 24) for score in scores}
    head = f"{'':{width}}  {'seeds':>5}" + "".join(f"  {score:>{columns[score]}}" for score in scores)
    lines = [head, "-" * len(head)]
    for name, means in table.items():
        line = f"{name:{width}}  {max((len(mean.values) for mean in means.values()), default=0):>5}"
        for score in scores:
            line += f"  {_show(means.get(score)):>{columns[score]}}"
        lines.append(line)
    return "\n".join(lines)


def score_names(table: Table) -> list[str]:
    """Return the names of the scores, in the order in which they first appear."""
    return list(dict.fromkeys(score for means in table.values() for score in means))


def _show(mean: Mean | None) -> str:
    if mean is None:
        return "-"
    interval = "" if math.isnan(mean.low) else f" ({mean.low:.1f} to {mean.high:.1f})"
    return f"{mean.mean:.1f}{interval}"


def csv_text(table: Table, commands: Mapping[str, str]) -> str:
    """Return the table as CSV, a line for each row and score: mean, interval, the score of each seed, the command."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", "score", "seeds", "mean", "interval_low", "interval_high", "by_seed", "command"])
    for name, means in table.items():
        for score, mean in means.items():
            interval = ["" if math.isnan(end) else f"{end:.6g}" for end in (mean.low, mean.high)]
            by_seed = " ".join(f"{value:.6g}" for value in mean.values)
            writer.writerow([name, score, len(mean.values), f"{mean.mean:.6g}", *interval, by_seed, commands[name]])
    return text.getvalue()
