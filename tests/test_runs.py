"""The engine under every run: whatever stops it, and whoever touches its folder, nothing is lost or mixed up."""

import configparser
import contextvars
import errno
import fcntl
import logging
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from run_results import results

import pisensory as ps
from pisensory.cloning import recipe
from pisensory.executors import SerialExecutor
from pisensory.files import read_npz
from pisensory.runs import read_config, read_metrics, run
from pisensory.runs.checkpoint import read_checkpoint, write_checkpoint
from pisensory.runs.lock import RunLock
from pisensory.train import optimizer

PLAIN = ps.CartPoleSwingUp("v1", max_steps=12)
TASK = ps.CartPoleSwingUp("v1", max_steps=12, perturbation=ps.Perturbation(shuffle=True))
POLICY = ps.InvariantPolicy(n_embeddings=3, proj_dim=2, hidden_size=2)
TEACHER = (ps.MLPPolicy(hidden_sizes=()), np.array([0.3, -0.2, 0.5, 0.9, -0.1, 0.05]))
INIT = np.random.default_rng(0).standard_normal(POLICY.n_params)
SMALL = {"population_size": 4, "n_episodes": 2, "n_eval_episodes": 2, "eval_every": 1}
CLONING = {"batch_size": 4, "updates": 2, "window": 5, "n_eval_episodes": 2, "eval_every": 1, "teacher_rounds": 1}


def elsewhere(do, *arguments, **settings):
    """Do something as another thread would, which does not hold the locks that are held here."""
    return contextvars.Context().run(do, *arguments, **settings)


class Killed(BaseException):
    """Nothing is written after it, as after a kill."""


def train(folder, **settings):
    return ps.train(POLICY, PLAIN, folder, generations=3, resume=True, **settings)


def clone(folder, **settings):
    return ps.clone(POLICY, TEACHER, TASK, folder, resume=True, **settings)


def taught(folder, **settings):
    return ps.train_with_teacher(POLICY, TASK, folder, generations=2, resume=True, **settings)


# Each kind of run, with settings for its beginning that are not repeated when it is resumed.
KINDS = {
    "train": (train, SMALL),
    "train from a vector": (train, {**SMALL, "init": INIT, "diagonal": True}),
    "clone": (clone, {**CLONING, "rounds": 3, "dagger": True, "identify": 0.3}),
    "clone from a vector": (clone, {**CLONING, "rounds": 2, "init": INIT}),
    "recipe": (taught, {**SMALL, "teacher_generations": 2, "clone_rounds": 2, "seed": 3}),
}


@pytest.fixture
def short_lessons(monkeypatch):
    """What a recipe does before its own generations is little."""
    monkeypatch.setattr(recipe, "_TEACHING", {**recipe._TEACHING, **SMALL})
    monkeypatch.setattr(recipe, "_CLONING", {**recipe._CLONING, "updates": 3})
    monkeypatch.setattr(type(TASK), "score_episodes", 4)


@pytest.mark.parametrize(
    ("kind", "every"), [*((kind, 7 if kind == "recipe" else 1) for kind in KINDS),
                        pytest.param("recipe", 1, marks=pytest.mark.slow)],
)  # fmt: skip
def test_run_that_is_killed_at_any_write_ends_as_one_that_never_was(tmp_path, monkeypatch, short_lessons, kind, every):
    do, settings = KINDS[kind]
    monkeypatch.setattr(run, "_CHECKPOINT_SECONDS", 0)
    replace, calls, fatal = os.replace, 0, None

    def replace_or_die(source, target):
        nonlocal calls
        calls += 1
        if calls == fatal and fatal % 2:
            raise Killed
        replace(source, target)
        if calls == fatal:
            raise Killed

    monkeypatch.setattr(os, "replace", replace_or_die)
    do(tmp_path / "whole", **settings)
    expected, n_writes = results(tmp_path / "whole"), calls
    for number in range(1, n_writes + 1, every):
        folder, calls, fatal = tmp_path / str(number), 0, number
        with pytest.raises(Killed):
            do(folder, **settings)
        fatal = None
        begun = any((folder / name).exists() for name in ("config.json", "recipe.json"))
        do(folder, **({} if begun else settings))
        assert results(folder) == expected, f"killed at write {number}"
        shutil.rmtree(folder)


@pytest.mark.parametrize("kind", ["train", "clone"])
def test_checkpoint_that_is_missing_is_no_new_beginning(tmp_path, kind):
    do, settings = KINDS[kind]
    do(tmp_path / "run", **settings)
    (tmp_path / "run" / "checkpoint.npz").unlink()
    before = results(tmp_path / "run")
    with pytest.raises(ps.FileError, match=r"checkpoint.npz is missing, and the run needs it"):
        do(tmp_path / "run")
    assert results(tmp_path / "run") == before


def test_checkpoint_without_its_config_is_not_overwritten(tmp_path):
    train(tmp_path / "run", **SMALL)
    for path in (tmp_path / "run").iterdir():
        if path.name != "checkpoint.npz":
            path.unlink()
    with pytest.raises(ps.FileError, match=r"holds the checkpoint of a run without its config.json"):
        train(tmp_path / "run", **SMALL)


@pytest.mark.parametrize("changes", [{"seed": 1}, {"population_size": 6}, {"n_eval_episodes": 3}])
def test_checkpoint_of_another_run_is_refused(tmp_path, changes):
    train(tmp_path / "run", **SMALL)
    train(tmp_path / "other", **{**SMALL, **changes})
    shutil.copy(tmp_path / "other" / "checkpoint.npz", tmp_path / "run")
    with pytest.raises(ps.FileError, match=r"checkpoint.npz is of another run"):
        train(tmp_path / "run")


@pytest.mark.parametrize("kind", ["train", "clone"])
@pytest.mark.parametrize("tail", ["lost", "damaged", "all lost"])
def test_metrics_that_end_before_the_checkpoint_leave_a_gap_and_say_so(tmp_path, caplog, kind, tail):
    do, settings = KINDS[kind]
    do(tmp_path / "whole", **settings)
    shutil.copytree(tmp_path / "whole", tmp_path / "run")
    path = tmp_path / "run" / "metrics.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text({"lost": "".join(lines[:2]), "damaged": lines[0] + lines[1] + "\0" * 90 + "\n"}.get(tail, ""))
    if tail == "all lost":
        path.unlink()
    for _ in range(2):  # the gap is no obstacle later either
        do(tmp_path / "run")
    unit = "generation" if kind == "train" else "round"
    assert f"metrics.csv ends with {unit} {0 if tail == 'all lost' else 1} and the checkpoint is of 3" in caplog.text
    assert results(tmp_path / "run")["best.npz"] == results(tmp_path / "whole")["best.npz"]
    if kind == "train":
        ps.train(POLICY, PLAIN, tmp_path / "run", generations=5, resume=True)
        numbers = [int(row["generation"]) for row in read_metrics(tmp_path / "run")]
        assert numbers == [*([] if tail == "all lost" else [1]), 4, 5]


def test_metrics_are_on_the_disk_before_the_checkpoint_that_counts_them(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "_CHECKPOINT_SECONDS", 0)
    metrics = tmp_path / "run" / "metrics.csv"
    synced, counted = set(), []
    fsync, replace = os.fsync, os.replace

    def note_sync(handle):
        fsync(handle)
        synced.add((os.fstat(handle).st_ino, os.fstat(handle).st_size))

    def note_checkpoint(source, target):
        if target.name == "checkpoint.npz" and metrics.exists():
            counted.append((metrics.stat().st_ino, metrics.stat().st_size) in synced)
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_checkpoint)
    train(tmp_path / "run", **SMALL)
    assert counted == [True] * 4  # three generations and the end


def test_lock_comes_before_anything_in_the_folder_is_looked_at(tmp_path):
    train(tmp_path / "run", **SMALL)
    (tmp_path / "run" / "config.json").write_text("half a con")  # as far as the other process has come
    with RunLock(tmp_path / "run"):
        for do in (train, clone, taught):
            with pytest.raises(ps.FileError, match="another process is training in"):
                elsewhere(do, tmp_path / "run")


@pytest.mark.parametrize("reason", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF])
def test_file_system_without_locks_gets_a_warning_and_trains(tmp_path, monkeypatch, caplog, reason):
    def refuse(handle, operation):
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert train(tmp_path / "run", **SMALL).generations == 3
    assert f"run cannot be locked ({os.strerror(reason)})" in caplog.text
    assert "another process" not in caplog.text


def test_error_after_the_lock_gives_it_back_though_its_traceback_is_kept(tmp_path):
    train(tmp_path / "run", **SMALL)
    checkpoint = (tmp_path / "run" / "checkpoint.npz").read_bytes()
    (tmp_path / "run" / "checkpoint.npz").write_bytes(checkpoint[:-100])
    with pytest.raises(ps.FileError, match="damaged") as kept:
        train(tmp_path / "run")
    (tmp_path / "run" / "checkpoint.npz").write_bytes(checkpoint)
    assert train(tmp_path / "run").generations == 3
    assert kept.tb is not None


@pytest.mark.parametrize("locks_folders", [True, False])
def test_deleting_the_lock_file_admits_nobody_else(tmp_path, monkeypatch, locks_folders):
    flock = fcntl.flock

    def flock_files(handle, operation):  # as NFS does
        if os.path.isdir(f"/proc/self/fd/{handle}") and not locks_folders:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", flock_files)
    train(tmp_path / "run", **SMALL)
    with RunLock(tmp_path / "run") as lock:
        (tmp_path / "run" / ".lock").unlink()
        lock.check()
        assert (tmp_path / "run" / ".lock").exists()
        with pytest.raises(ps.FileError, match="another process is training in"):
            elsewhere(train, tmp_path / "run", **SMALL)
        if not locks_folders:  # somebody may be quicker than the check
            (tmp_path / "run" / ".lock").unlink()
            other = elsewhere(RunLock, tmp_path / "run")
            with other, pytest.raises(ps.FileError, match="another process is training in"):
                lock.check()
    assert train(tmp_path / "run", **SMALL).generations == 3


def test_run_does_not_write_into_the_folder_of_another_that_took_its_place(tmp_path):
    class Replacing(SerialExecutor):
        scored = 0

        def map(self, function, items):
            self.scored += 1
            if self.scored == 3:
                shutil.rmtree(tmp_path / "run")
                elsewhere(train, tmp_path / "run", seed=7, **SMALL)
            return super().map(function, items)

    with pytest.raises(ps.FileError, match="deleted or moved under the run"):
        train(tmp_path / "run", executor=Replacing(), **SMALL)
    train(tmp_path / "alone", seed=7, **SMALL)
    found, alone = results(tmp_path / "run"), results(tmp_path / "alone")
    assert found["checkpoint.npz"] == alone["checkpoint.npz"]
    assert found["config.json"] == alone["config.json"]


@pytest.mark.parametrize(
    "settings",
    [
        {"population_size": np.int64(4), "n_episodes": 2.0, "sigma0": np.float64(0.1), "seed": np.int32(3)},
        {"population_size": 4.0, "n_episodes": np.float64(2), "sigma0": np.float32(0.5), "seed": 3.0},
        {"population_size": np.uint8(4), "n_episodes": np.int16(2), "sigma0": 1, "seed": np.float64(3)},
    ],
)
def test_numbers_of_numpy_are_taken_as_the_numbers_they_are(tmp_path, settings):
    settings = {**settings, "generations": np.int64(2), "eval_every": np.int64(1), "n_eval_episodes": 2.0}
    settings = {**settings, "diagonal": np.bool_(True)}
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in settings.items()}
    plain = {name: int(value) if value == int(value) and name != "diagonal" else value for name, value in plain.items()}
    ps.train(POLICY, PLAIN, tmp_path / "numpy", **settings, n_jobs=np.int64(1))
    ps.train(POLICY, PLAIN, tmp_path / "plain", **plain)
    assert results(tmp_path / "numpy") == results(tmp_path / "plain")
    ps.train(POLICY, PLAIN, tmp_path / "numpy", **{**plain, "generations": 3}, resume=True)
    cloning = {**CLONING, "rounds": np.int64(1), "learning_rate": np.float64(0.01), "dagger": np.True_, "seed": 1.0}
    cloning["updates"] = np.float64(2)
    clone(tmp_path / "cloned", **cloning)
    assert type(read_config(tmp_path / "cloned")["training"]["updates"]) is int


@pytest.mark.parametrize(
    "settings", [{"population_size": 4.5}, {"n_episodes": "2"}, {"diagonal": 1}, {"seed": -1.0}, {"sigma0": None}]
)
def test_what_is_no_number_is_refused_before_a_folder_is_made(tmp_path, settings):
    if settings != {"sigma0": None}:  # which is not given
        with pytest.raises(ps.InputError, match=next(iter(settings))):
            train(tmp_path / "run", **settings)
    with pytest.raises(ps.InputError, match="dagger must be True or False, got 'yes'"):
        clone(tmp_path / "run", dagger="yes")
    assert not (tmp_path / "run").exists()


def test_resume_takes_what_is_not_given_from_the_run(tmp_path):
    settings = {**SMALL, "sigma0": 0.3, "sigma_max": 0.4, "sigma_min": 0.1, "seed": 5, "diagonal": True, "init": INIT}
    ps.train(POLICY, PLAIN, tmp_path / "whole", generations=4, **settings)
    ps.train(POLICY, PLAIN, tmp_path / "run", generations=2, **settings)
    ps.train(POLICY, PLAIN, tmp_path / "run", generations=4, resume=True)
    assert results(tmp_path / "run") == results(tmp_path / "whole")
    with pytest.raises(ps.InputError, match=r"sigma0: 0.3 in .*, 0.2 asked for"):
        ps.train(POLICY, PLAIN, tmp_path / "run", generations=4, resume=True, sigma0=0.2)


def test_commands_do_not_go_on_with_each_others_runs(tmp_path, short_lessons):
    train(tmp_path / "trained", **SMALL)
    clone(tmp_path / "cloned", **CLONING, rounds=1)
    taught(tmp_path / "taught", **SMALL, teacher_generations=1, clone_rounds=1)
    with pytest.raises(ps.FileError, match="begun by another command"):
        train(tmp_path / "cloned")
    with pytest.raises(ps.FileError, match="begun by another command"):
        clone(tmp_path / "trained")
    with pytest.raises(ps.FileError, match=r"holds a run with a config.json, which was begun in another way"):
        taught(tmp_path / "trained")
    (tmp_path / "taught" / "config.json").unlink()
    with pytest.raises(ps.FileError, match=r"holds a run with a recipe.json, which was begun in another way"):
        train(tmp_path / "taught")


def test_recipe_does_not_take_over_the_runs_of_others(tmp_path):
    train(tmp_path / "run" / "teacher", **SMALL)
    with pytest.raises(ps.FileError, match="already holds a run"):
        ps.train_with_teacher(POLICY, TASK, tmp_path / "run", generations=1)
    with pytest.raises(ps.InputError, match="this run was trained with other settings"):
        taught(tmp_path / "run", **SMALL)


def test_resuming_where_nothing_has_begun_is_said(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "pisensory"):
        train(tmp_path / "run", **SMALL)
        train(tmp_path / "run")
    assert caplog.text.count("run holds no run to go on with: a new one begins there") == 1


@pytest.mark.parametrize("kind", ["train", "clone", "recipe"])
def test_signal_that_comes_while_the_run_is_put_away_is_not_forgotten(tmp_path, monkeypatch, short_lessons, kind):
    do, settings = KINDS[kind]
    close = SerialExecutor.close

    def close_late(executor):
        signal.raise_signal(signal.SIGTERM)
        close(executor)

    monkeypatch.setattr(SerialExecutor, "close", close_late)
    with pytest.raises(ps.TrainingInterrupted, match=r"stopped by SIGTERM (after|in) .*--resume") as stop:
        do(tmp_path / "run", **settings)
    assert stop.value.signal_number == signal.SIGTERM


def test_signal_between_two_stages_stops_the_recipe(tmp_path, monkeypatch):
    def choose(*arguments, **settings):
        signal.raise_signal(signal.SIGTERM)
        return 1.0

    monkeypatch.setattr(recipe, "choose_gain", choose)
    with pytest.raises(ps.TrainingInterrupted, match=r"stopped by SIGTERM in .*run: .*--resume"):
        taught(tmp_path / "run", **SMALL, teacher_generations=1, clone_rounds=1)
    assert not (tmp_path / "run" / "clone").exists()


THREADS = """
import sys
from pathlib import Path
import numpy as np
import pisensory as ps

folder = Path(sys.argv[1])
task = ps.CartPoleSwingUp("v1", max_steps=100, perturbation=ps.Perturbation(shuffle=True))
teacher = (ps.MLPPolicy(hidden_sizes=()), np.array([0.3, -0.2, 0.5, 0.9, -0.1, 0.05]))
student = ps.InvariantPolicy(n_embeddings=64, hidden_size=16, head_sizes=(128, 128))
ps.clone(student, teacher, task, folder / "clone", rounds=1, updates=2, window=999, identify=0.3, n_eval_episodes=4)
policy, task = ps.MLPPolicy(hidden_sizes=(100,)), ps.CartPoleSwingUp("v1", max_steps=5)
ps.train(policy, task, folder / "train", generations=12, population_size=16, n_episodes=2, n_eval_episodes=4)
"""


@pytest.fixture(scope="module")
def with_threads(tmp_path_factory):
    """A folder of runs of processes whose BLAS has one thread and two."""
    if os.cpu_count() == 1:
        pytest.skip("BLAS takes no more threads than there are cores")
    folder = tmp_path_factory.mktemp("threads")
    for n_threads in ("1", "2"):
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": n_threads}
        command = [sys.executable, "-c", THREADS, str(folder / n_threads)]
        subprocess.run(command, env=environment, check=True, timeout=300)
    return folder


@pytest.mark.parametrize("kind", ["clone", "train"])
def test_threads_of_blas_change_no_bit(with_threads, kind):
    found = [results(with_threads / n_threads / kind) for n_threads in ("1", "2")]
    assert found[0] == found[1] and "best.npz" in found[0]


def test_state_of_a_pycma_that_is_not_known_is_refused(tmp_path, monkeypatch):
    train(tmp_path / "run", **SMALL)
    arrays, progress = read_checkpoint(tmp_path / "run")
    write_checkpoint(tmp_path / "run", arrays, {**progress, "cma": "4.4.0"})
    with pytest.raises(ps.FileError, match=r"its state is of cma 4.4.0, .* install cma==4.4.0"):
        train(tmp_path / "run")
    for part, names in (("", ("mean", "no_more")), ("sm", ("C", "B", "gone"))):
        known = [(place, kind, names if place == part else old) for place, kind, old in optimizer._STATE]
        with monkeypatch.context() as patch:
            patch.setattr(optimizer, "_STATE", tuple(known))
            with pytest.raises(ps.PisensoryError, match=rf"has no {names[-1]}\): pip install 'cma>=4.4.3,<4.6'"):
                train(tmp_path / f"new {part}", **SMALL)


def test_versions_of_pycma_that_are_allowed_are_those_that_errors_name():
    settings = configparser.ConfigParser()
    assert settings.read(Path(__file__).parents[1] / "setup.cfg")
    assert f"cma{optimizer.VERSIONS}" in settings["options"]["install_requires"].split()


def test_checkpoint_that_lacks_a_part_of_the_state_is_damaged(tmp_path):
    train(tmp_path / "run", **SMALL)
    arrays, progress = read_checkpoint(tmp_path / "run")
    for name in arrays:
        write_checkpoint(tmp_path / "run", {other: arrays[other] for other in arrays if other != name}, progress)
        with pytest.raises(ps.FileError, match=rf"checkpoint.npz is damaged: '{name}'"):
            train(tmp_path / "run")
    assert "header" in read_npz(tmp_path / "run" / "checkpoint.npz")
