"""Kill runs of every kind at random moments, again and again, and see that they end as ones that never were.

    python tests/kill_runs.py --kills 200
    python tests/kill_runs.py --kills 40 --signal TERM --kinds evolve recipe

Each run goes on, after a kill, with `--resume` and without the options it began with. When it has ended, all that it
left behind must be, bit for bit and times aside, what a run left that nobody disturbed.
"""

import argparse
import contextlib
import itertools
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a process that forks should have one thread

import numpy as np
from run_results import results

import pisensory as ps
from pisensory.cli import main
from pisensory.runs import run
from pisensory.tasks import Task

TRAIN = ["--max-steps", "30", "-p", "6", "-e", "2", "--eval-episodes", "4", "--eval-every", "2", "--seed", "3"]
CLONE = ["--max-steps", "20", "--rounds", "5", "--batch-size", "4", "--teacher-rounds", "2", "--updates", "4"]
CLONE += ["--window", "5", "--eval-episodes", "4", "--eval-every", "2", "--seed", "3", "-s"]
NETWORK = ["--n-embeddings", "3", "--proj-dim", "2", "--hidden-size", "2"]
# By name: the command, what it needs every time, and what it is told only when it begins.
_MOST_KILLS = 5  # of one run
KINDS = {
    "train": (["train", "mlp"], ["-m", "12"], TRAIN),
    "train-from": (["train", "mlp"], ["-m", "12"], [*TRAIN, "--init-from", "start.npz", "--diagonal"]),
    "clone": (["clone", "invariant", "teacher.npz"], [], [*CLONE, *NETWORK, "--dagger", "--identify", "0.3"]),
    "evolve": (["clone", "invariant", "teacher.npz"], ["--evolve", "6"], [*CLONE, *NETWORK, "--rounds", "3"]),
    "recipe": (["train", "invariant"], ["-m", "5"], [*TRAIN, *NETWORK, "--max-steps", "8", "--head-sizes", "none"]),
    "gym": (["train", "mlp"], ["-m", "12"], ["--task", "gym:Pendulum-v1", *TRAIN, "--max-steps", "10"]),
}


def command(kind: str, n_jobs: int, folder: Path) -> list[str]:
    """What to say next about a run in `folder`: all, if it has not begun, and else no more than needed."""
    words, always, first = KINDS[kind]
    begun = any((folder / name).exists() for name in ("config.json", "recipe.json"))
    return [*words, str(folder), *always, "-j", str(n_jobs), "--resume", *([] if begun else first)]


def start(arguments: list[str], log: Path) -> int:
    """Run the command line in a process of its own, which need not import everything anew; return its number."""
    process = os.fork()
    if process:
        return process
    code = 1
    with contextlib.suppress(BaseException):
        os.setpgid(0, 0)
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        run._CHECKPOINT_SECONDS = 0.02
        Task.score_episodes = 8  # at the end of a command, when all is written
        code = main(arguments)
    os._exit(code)


def finish(process: int, seconds: float) -> int | None:
    """Return the exit code of a process, or None if it has not ended after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    return None


def stop(process: int, number: int, whole_group: bool, log: Path) -> None:
    """Send a signal, to the workers too if the whole group is meant, and see that the process heeds it."""
    (os.killpg if whole_group else os.kill)(process, number)
    code = finish(process, 60)
    if code is None:
        os.killpg(process, signal.SIGKILL)
        sys.exit(f"a process went on for a minute after {signal.Signals(number).name}:\n{log.read_text()}")
    if code not in (0, -number, 128 + number):
        sys.exit(f"exit code {code} after {signal.Signals(number).name}:\n{log.read_text()}")


def kill_runs(n_kills: int, kinds: list[str], number: int, seed: int) -> dict[str, int]:
    """Kill runs of these kinds in turn, with one and two workers; return how often each was."""
    rng = np.random.default_rng(seed)
    kills: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        teacher = np.array([0.3, -0.2, 0.5, 0.9, -0.1, 0.05])
        ps.save_policy("teacher.npz", ps.MLPPolicy(hidden_sizes=()), teacher, task=ps.CartPoleSwingUp("v1").config)
        np.savez("start.npz", params=rng.standard_normal(ps.MLPPolicy().n_params))
        whole: dict = {}
        for kind, n_jobs in itertools.cycle(itertools.product(kinds, (1, 2))):
            case, log = f"{kind} -j {n_jobs}", folder / "log"
            if kind not in whole:
                began = time.monotonic()
                if finish(start(command(kind, 1, folder / kind), log), 600) != 0:
                    sys.exit(f"{kind} failed:\n{log.read_text()}")
                whole[kind] = results(folder / kind), time.monotonic() - began
            expected, seconds = whole[kind]
            run_dir = folder / f"{kind} {n_jobs} {sum(kills.values())}"
            code = None
            for _ in range(min(_MOST_KILLS, n_kills - sum(kills.values()))):
                process = start(command(kind, n_jobs, run_dir), log)
                code = finish(process, rng.uniform(0, 1.2 * seconds + 0.5 * (n_jobs - 1)))
                if code is not None:
                    break
                stop(process, number, rng.random() < 0.5, log)
                kills[case] = kills.get(case, 0) + 1
            if code is None:
                code = finish(start(command(kind, n_jobs, run_dir), log), 600)
            if code != 0:
                sys.exit(f"{case} ended with {code} instead of 0:\n{log.read_text()}")
            found = results(run_dir)
            if found != expected:
                names = [name for name in {**found, **expected} if found.get(name) != expected.get(name)]
                sys.exit(f"{case} ended differently: {', '.join(names)}\n{log.read_text()}")
            if sum(kills.values()) >= n_kills:
                return kills
    raise AssertionError


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--signal", choices=("KILL", "TERM", "INT"), default="KILL")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    done = kill_runs(options.kills, options.kinds, signal.Signals[f"SIG{options.signal}"], options.seed)
    for case, times in done.items():
        print(f"{case:<16} stopped {times:>3} times, and ended as one that never was")
