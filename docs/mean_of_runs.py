"""Let runs of `pisensory clone` that began alike go on from the mean of their parameters.

    python docs/mean_of_runs.py runs/A runs/B

takes the mean of what their checkpoints have of the students and of their running averages, and writes it into each of
them. Stop the runs before, and let each go on with --resume: they learn from their own episodes, at their own rates.
Two cores so learn from twice as many steps of descent, of which none waits for another: McMahan et al., 2017.
"""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

import numpy as np

from pisensory.files import read_json, read_npz, write_npz
from pisensory.runs.lock import RunLock

SHARED = "params", "mean"


def main():
    """Write the means."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN_DIR", help="of `pisensory clone`, none under way")
    options = parser.parse_args()
    with contextlib.ExitStack() as locks:
        for run_dir in options.runs:
            locks.enter_context(RunLock(run_dir))
        policies = [read_json(run_dir / "config.json")["policy"] for run_dir in options.runs]
        if any(policy != policies[0] for policy in policies):
            parser.error("the runs are of different networks")
        paths = [run_dir / "checkpoint.npz" for run_dir in options.runs]
        checkpoints = [read_npz(path) for path in paths]
        means = {name: np.mean([checkpoint[name] for checkpoint in checkpoints], axis=0) for name in SHARED}
        for path, checkpoint in zip(paths, checkpoints):
            apart = np.linalg.norm(checkpoint["params"] - means["params"]) / np.linalg.norm(means["params"])
            write_npz(path, {**checkpoint, **means})
            print(f"{path}: was {100 * apart:.1f} % of the mean's length away from it")


if __name__ == "__main__":
    main()
