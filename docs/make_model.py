"""Make a shipped model from the run folders it came from, and keep what can be kept of them.

    python docs/make_model.py cartpole-invariant \\
        runs/clone "pisensory clone invariant cartpole-mlp runs/clone --dagger" \\
        runs/evolved "pisensory train invariant runs/evolved --init-from runs/clone/best.npz"

takes the best policy of the last run, scores it on 10,000 episodes (--episodes) in order and shuffled, and writes
pisensory/models/NAME.npz, with --single in numbers of 32 bits, with --half of 16; the settings and some 100 lines of
the metrics of every run go to docs/runs/NAME. With --mean 2 the parameters are the mean of those of the last two runs,
which began alike.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import shutil
from importlib.metadata import version
from pathlib import Path

import numpy as np

import pisensory as ps
from pisensory.files import load_policy_about, read_npz, write_npz
from pisensory.models import describe_model
from pisensory.tasks import task_from_config, task_from_text

ROOT = Path(__file__).parent.parent
N_LINES = 100


def read_lines(run_dir):
    """Return the lines of a run's metrics.csv as dictionaries."""
    return list(csv.DictReader((run_dir / "metrics.csv").read_text().splitlines()))


def describe_stage(run_dir, command):
    """Return what a header says of one stage of training."""
    lines = read_lines(run_dir)
    last = lines[-1]
    return {
        "command": command,
        "seed": json.loads((run_dir / "config.json").read_text())["training"]["seed"],
        "rounds": len(lines),
        "env_steps": int(last["env_steps"]),
        "seconds": float(last["elapsed"]),
    }


def keep_stage(run_dir, folder):
    """Copy a run's settings, and its metrics where the mean was scored, thinned, into a folder of docs/runs."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(run_dir / "config.json", folder)
    lines = read_lines(run_dir)
    scored = [line for line in lines if line["held_out"]]
    kept = scored[:: max(1, len(scored) // N_LINES)]
    with open(folder / "metrics.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, lines[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept + [line for line in scored[-1:] if line not in kept])


def score(policy, params, task, n_episodes, robust):
    """Return the scores of a policy on a task, in order and shuffled; with `robust` reshuffled and with noise too."""
    conditions = {"plain": {}, "shuffled": {"shuffle": True}}
    if robust:
        conditions |= {f"reshuffled every {every}": {"reshuffle_every": every} for every in (25, 50, 100, 200, 500)}
        conditions |= {f"{count} noise inputs": {"n_noise": count} for count in (5, 10, 25)}
    scores = {}
    for name, changes in conditions.items():
        scores[name] = ps.evaluate(policy, params, task.altered(changes, {}), n_episodes, n_jobs=-1).as_dict()
        del scores[name]["seconds"]
    return scores


def main():
    """Make the model."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name", help="of the model")
    parser.add_argument("stages", nargs="+", metavar="RUN_DIR COMMAND", help="each stage's folder and command")
    parser.add_argument("--after", metavar="MODEL", help="a shipped model that the first stage began with")
    parser.add_argument("--episodes", type=int, default=10_000, help="to score it on")
    parser.add_argument("--task", help="that it is for, if it was trained on a mixture; or a mixture of one")
    parser.add_argument("--mean", type=int, default=1, metavar="N", help="take the mean of the last N runs' parameters")
    parser.add_argument("--robust", action="store_true", help="score it reshuffled and with noise inputs, too")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--single", action="store_const", const=np.float32, dest="type", help="keep numbers of 32 bits")
    size.add_argument("--half", action="store_const", const=np.float16, dest="type", help="keep numbers of 16 bits")
    options = parser.parse_args()
    if len(options.stages) % 2:
        parser.error("give a command after every run folder")
    stages = [(Path(run_dir), command) for run_dir, command in zip(options.stages[::2], options.stages[1::2])]
    if not 1 <= options.mean <= len(stages):
        parser.error(f"--mean must be 1 to {len(stages)}, the number of run folders, got {options.mean}")

    policy, _, about = load_policy_about(stages[-1][0] / "best.npz")
    last = [load_policy_about(run_dir / "best.npz")[:2] for run_dir, _ in stages[-options.mean :]]
    if any(other != policy for other, _ in last):
        parser.error("--mean is of runs of one network, and those of these folders differ")
    params = np.mean([params for _, params in last], axis=0)
    before = describe_model(options.after)["training"]["stages"] if options.after else []
    described = before + [describe_stage(run_dir, command) for run_dir, command in stages]
    training = {
        "stages": described,
        "env_steps": sum(stage["env_steps"] for stage in described),
        "seconds": round(sum(stage["seconds"] for stage in described), 1),
        "versions": {
            "pisensory": ps.__version__,
            "numpy": version("numpy"),
            "cma": version("cma"),
            "python": platform.python_version(),
        },
    }
    if options.type:
        params = params.astype(options.type).astype(float)
    task = (task_from_text(options.task) if options.task else task_from_config(about["task"])).plain
    if len(task.tasks) == 1:  # a mixture of one
        (task,) = task.tasks
    scores = score(policy, params, task, options.episodes, options.robust)
    path = ROOT / "pisensory" / "models" / f"{options.name}.npz"
    ps.save_policy(path, policy, params, task=task.config, training=training, scores=scores)
    if options.type:
        write_npz(path, {**read_npz(path), "params": params.astype(options.type)})
    for number, (run_dir, _) in enumerate(stages, len(before) + 1):
        keep_stage(run_dir, ROOT / "docs" / "runs" / options.name / f"{number}-{run_dir.name}")
    print(f"{path}: {scores['plain']['mean']:.1f} in order, {scores['shuffled']['mean']:.1f} shuffled")


if __name__ == "__main__":
    main()
