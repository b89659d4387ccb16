"""Runs that are killed, interrupted, starved or robbed of their folder lose nothing."""

import concurrent.futures
import csv
import errno
import logging
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from eventful_tasks import DeadlyTask
from warm import Started

import pisensory as ps
from pisensory.files import is_temporary
from pisensory.runs.checkpoint import read_checkpoint

TASK = ps.CartPoleSwingUp("v1", max_steps=40)
POLICY = ps.MLPPolicy(hidden_sizes=(3,))
SMALL = {"population_size": 6, "n_episodes": 2, "n_eval_episodes": 4, "eval_every": 1}
TIMES = {"seconds", "rollout_seconds", "steps_per_second", "elapsed"}

# Trains as SMALL says, with a checkpoint after every generation and a disk that is slow to write, so that
# many kills fall into the writing of one.
TRAINER = """
import os, sys, time
import pisensory as ps
from pisensory.runs import run

run._CHECKPOINT_SECONDS = 0
fsync = os.fsync
def slow_fsync(handle):
    time.sleep(float(sys.argv[3]))
    fsync(handle)
os.fsync = slow_fsync

if __name__ == "__main__":
    ps.train(
        ps.MLPPolicy(hidden_sizes=(3,)), ps.CartPoleSwingUp("v1", max_steps=40), sys.argv[1],
        generations=int(sys.argv[2]), n_jobs=1, resume=True,
        population_size=6, n_episodes=2, n_eval_episodes=4, eval_every=1,
    )
"""


@pytest.fixture
def trainer(tmp_path):
    """Start the trainer on a run folder, as a process: a fresh one, or one that has imported all it needs."""
    script = tmp_path / "trainer.py"
    script.write_text(TRAINER)
    processes = []

    def start(folder, generations, write_seconds=0.0, fresh=True, **settings):
        arguments = [str(folder), str(generations), str(write_seconds)]
        if fresh:
            command = [sys.executable, str(script), *arguments]
            processes.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **settings))
        else:
            processes.append(Started(arguments, TRAINER))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()
        if process.stderr:
            process.stderr.close()


def metrics(folder):
    """The lines of metrics.csv without the columns that hold times."""
    with open(folder / "metrics.csv", newline="") as file:
        return [{name: value for name, value in row.items() if name not in TIMES} for row in csv.DictReader(file)]


def wait_for_generations(folder, process, number):
    path = folder / "metrics.csv"
    while not path.exists() or path.read_text().count("\n") <= number:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)


def assert_same_run(one, other):
    assert metrics(one) == metrics(other)
    for name in ("best.npz", "policy.npz", "config.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    states = [read_checkpoint(folder) for folder in (one, other)]
    for (name, value), (_, same) in zip(states[0][0].items(), states[1][0].items()):
        np.testing.assert_array_equal(value, same, err_msg=name)
    assert {**states[0][1], "elapsed": 0} == {**states[1][1], "elapsed": 0}


def test_run_killed_again_and_again_ends_as_one_that_never_was(tmp_path, trainer):
    n_generations, n_kills, n_fresh = 120, 16, 3
    ps.train(POLICY, TASK, tmp_path / "whole", generations=n_generations, **SMALL)
    rng = np.random.default_rng(0)
    folder = tmp_path / "killed"
    kills = in_a_write = 0
    while kills < n_kills or (in_a_write < 3 and kills < 2 * n_kills):  # a busy machine writes less
        process = trainer(folder, n_generations, write_seconds=0.01, fresh=kills < n_fresh)
        lines = (folder / "metrics.csv").read_text().count("\n") if (folder / "metrics.csv").exists() else 0
        if kills >= n_fresh:  # the first ones fall into its start
            wait_for_generations(folder, process, min(lines + 2, n_generations - 50))
        time.sleep(rng.uniform(0, 0.4 if kills < n_fresh else 0.1))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "the run ended before it was killed"
        kills += 1
        in_a_write += folder.exists() and any(map(is_temporary, folder.iterdir()))
    assert in_a_write >= 3
    process = trainer(folder, n_generations, fresh=False)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert not any(map(is_temporary, folder.iterdir()))
    assert_same_run(tmp_path / "whole", folder)


def kill_runs(*arguments):
    command = [sys.executable, str(Path(__file__).parent / "kill_runs.py"), *arguments]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_runs_killed_at_random_moments_end_as_ones_that_never_were():
    assert "and ended as one that never was" in kill_runs("--kills", "10", "--kinds", "train-from", "clone")


@pytest.mark.slow
@pytest.mark.parametrize("number", ["KILL", "TERM"])
def test_runs_of_every_kind_killed_at_random_moments_end_as_ones_that_never_were(number):
    assert kill_runs("--kills", "200", "--signal", number).count("ended as one that never was") == 12


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_stop_a_run_with_workers_and_leave_a_checkpoint(tmp_path, number, code, times):
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "pisensory", "train", "mlp", str(folder), "-j", "2", "-p", "16", "-m", "99999"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_for_generations(folder, process, 3)
    for _ in range(times):
        os.killpg(process.pid, number)  # as a terminal does, and a batch queue
        time.sleep(0.05)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert "resume with the same settings and --resume" in errors
    assert "Traceback" not in errors
    done = read_checkpoint(folder)[1]["done"]
    assert done == len(metrics(folder)) >= 3


DEADLY = DeadlyTask("v1", max_steps=40)
MANY = {**SMALL, "population_size": 4, "n_episodes": 80}


@pytest.fixture
def six_chunks(monkeypatch):
    """Cut MANY into six chunks a generation, the first of which is deadly."""
    monkeypatch.setattr(sys.modules["pisensory.rollout"], "_BLOCK", 8)
    monkeypatch.setattr(sys.modules["pisensory.rollout"], "_CHUNK_NUMBERS", 600)


@pytest.mark.parametrize("deaths", [1, 2])
@pytest.mark.usefixtures("six_chunks", "warm_workers")
def test_killed_worker_costs_only_its_chunk(tmp_path, monkeypatch, caplog, deaths):
    (tmp_path / "deadly").write_text("x" * deaths)
    monkeypatch.setenv("DEADLY", str(tmp_path / "deadly"))
    with caplog.at_level(logging.WARNING, "pisensory"):
        ps.train(POLICY, DEADLY, tmp_path / "killed", generations=4, n_jobs=2, **MANY)
    assert not (tmp_path / "deadly").read_text()
    assert sum("a worker died" in record.message for record in caplog.records) == deaths
    ps.train(POLICY, TASK, tmp_path / "whole", generations=4, **MANY)
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.usefixtures("six_chunks", "warm_workers")
def test_chunk_that_kills_three_workers_stops_the_run_with_a_checkpoint(tmp_path, monkeypatch):
    (tmp_path / "deadly").write_text("xxx")
    monkeypatch.setenv("DEADLY", str(tmp_path / "deadly"))
    with pytest.raises(ps.ExecutorError, match=r"chunk 0 of 6 has killed its worker 3 times.*--resume"):
        ps.train(POLICY, DEADLY, tmp_path / "run", generations=4, n_jobs=2, **MANY)
    assert read_checkpoint(tmp_path / "run")[1]["done"] == 2
    ps.train(POLICY, DEADLY, tmp_path / "run", generations=4, resume=True, **MANY)
    ps.train(POLICY, TASK, tmp_path / "whole", generations=4, **MANY)
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_script_without_main_guard_is_told_to_have_one(tmp_path):
    script = tmp_path / "bare.py"
    script.write_text(
        "import pisensory as ps\n"
        "policy, task = ps.MLPPolicy(hidden_sizes=(3,)), ps.CartPoleSwingUp(max_steps=9)\n"
        f"ps.train(policy, task, {str(tmp_path / 'run')!r}, generations=1, n_jobs=2)\n"
    )
    result = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert result.returncode == 1
    assert "the workers ended as they started" in result.stderr.splitlines()[-1]
    assert 'if __name__ == "__main__":' in result.stderr.splitlines()[-1]
    # What the workers ran into, each at the same line of the script, is not of interest.
    assert "another process is training" not in result.stderr
    assert result.stderr.count(f'File "{script}"') == 1


class Failing(ps.SerialExecutor):
    """Fails at the second scoring of the mean, which is one candidate's, or is stopped there by a signal."""

    def __init__(self, fail):
        self.fail, self.scorings = fail, 0

    def map(self, function, items):
        self.scorings += len(items[0].seed) == 1
        if self.scorings == 2:
            self.fail()
        return super().map(function, items)


def lose_workers():
    raise ps.ExecutorError("all workers are gone")


def break_pool():
    raise concurrent.futures.BrokenExecutor("the pool of somebody else")


@pytest.mark.parametrize(
    ("fail", "error"),
    [
        (lose_workers, ps.ExecutorError),
        (break_pool, concurrent.futures.BrokenExecutor),
        (lambda: signal.raise_signal(signal.SIGTERM), ps.TrainingInterrupted),
    ],
)
def test_generation_broken_off_while_its_mean_is_scored_is_done_again(tmp_path, fail, error):
    folder = tmp_path / "run"
    policy = ps.MLPPolicy(hidden_sizes=(40,))  # so many parameters that not every generation decomposes the matrix
    with pytest.raises(error, match=r"--resume|somebody else"):
        ps.train(policy, TASK, folder, generations=4, executor=Failing(fail), **SMALL)
    assert read_checkpoint(folder)[1]["done"] == 1
    ps.train(policy, TASK, folder, generations=4, resume=True, **SMALL)
    ps.train(policy, TASK, tmp_path / "whole", generations=4, **SMALL)
    assert_same_run(tmp_path / "whole", folder)


def test_disk_that_fills_up_leaves_the_last_checkpoint(tmp_path, trainer):
    folder = tmp_path / "run"
    assert trainer(folder, 3, fresh=False).wait(60) == 0
    before = (folder / "checkpoint.npz").read_bytes()

    def limit():  # no file may grow beyond this: a full disk, as far as the run can tell
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, len(before) // 2))

    process = trainer(folder, 6, preexec_fn=limit)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "FileError: cannot write" in errors
    assert "checkpoint.npz" in errors
    assert (folder / "checkpoint.npz").read_bytes() == before
    ps.train(POLICY, TASK, folder, generations=6, resume=True, **SMALL)
    ps.train(POLICY, TASK, tmp_path / "whole", generations=6, **SMALL)
    assert_same_run(tmp_path / "whole", folder)


@pytest.mark.parametrize(("name", "generations"), [("flush", 3), ("write", 500)])  # at the end, and before it
def test_disk_that_fills_up_under_tensorboard_is_an_error_of_ours(tmp_path, monkeypatch, name, generations):
    record_writer = pytest.importorskip("tensorboardX.record_writer")

    whole = getattr(record_writer.RecordWriter, name)

    def refuse(self, *given):
        if name == "write" and threading.current_thread() is threading.main_thread():  # as it begins
            return whole(self, *given)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(record_writer.RecordWriter, name, refuse)
        patched.setattr("threading.excepthook", lambda arguments: None)
        with pytest.raises(ps.FileError, match=r"cannot write to .*tensorboard"):
            ps.train(POLICY, TASK, tmp_path / "run", generations=generations, tensorboard=True, **SMALL)
    done = read_checkpoint(tmp_path / "run")[1]["done"]
    assert done == generations or name == "write"
    assert ps.train(POLICY, TASK, tmp_path / "run", generations=done + 1, resume=True, **SMALL).generations == done + 1


def test_folder_that_becomes_read_only_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    ps.train(POLICY, TASK, folder, generations=2, **SMALL)
    before = (folder / "checkpoint.npz").read_bytes()

    open_file = os.open

    def refuse(path, *arguments, **settings):
        if str(path).endswith(".pisensory-tmp"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return open_file(path, *arguments, **settings)

    with monkeypatch.context() as patched:
        patched.setattr("os.open", refuse)
        with pytest.raises(ps.FileError, match="Read-only"):
            ps.train(POLICY, TASK, folder, generations=4, resume=True, **SMALL)
    assert (folder / "checkpoint.npz").read_bytes() == before
    assert ps.train(POLICY, TASK, folder, generations=4, resume=True, **SMALL).generations == 4


def test_read_only_folder_is_refused_before_work_starts(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(ps.FileError, match="cannot create the folder"):
        ps.train(POLICY, TASK, tmp_path / "run", generations=1, **SMALL)


def test_deleted_folder_stops_the_run_with_an_error(tmp_path, trainer):
    folder = tmp_path / "run"
    process = trainer(folder, 99_999, fresh=False)
    wait_for_generations(folder, process, 3)
    while folder.exists():  # it writes meanwhile
        shutil.rmtree(folder, ignore_errors=True)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "FileError: cannot write" in errors


def test_second_trainer_is_refused_and_the_lock_dies_with_its_owner(tmp_path, trainer):
    folder = tmp_path / "run"
    process = trainer(folder, 99_999, fresh=False)
    wait_for_generations(folder, process, 2)
    with pytest.raises(ps.FileError, match="another process is training in"):
        ps.train(POLICY, TASK, folder, generations=3, resume=True, **SMALL)
    assert process.poll() is None
    process.kill()
    process.wait()
    done = read_checkpoint(folder)[1]["done"]
    assert ps.train(POLICY, TASK, folder, generations=done + 2, resume=True, **SMALL).generations == done + 2


def test_folder_of_a_trainer_killed_at_once_can_be_used(tmp_path):
    (tmp_path / ".lock").touch()
    (tmp_path / ".config.json.x.pisensory-tmp").touch()
    assert ps.train(POLICY, TASK, tmp_path, generations=1, **SMALL).generations == 1
