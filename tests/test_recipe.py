"""The recipe of teacher, clone and evolution, and the presets: stages that follow each other, and resume."""

import contextlib
import dataclasses
import io
import json
import shutil
import signal
import types

import numpy as np
import pytest

import pisensory as ps
from pisensory.cli import main
from pisensory.cloning import recipe
from pisensory.cloning.recipe import choose_gain
from pisensory.runs import read_config, read_metrics
from pisensory.runs.folder import CLONE, TEACHER
from pisensory.runs.held_out import HELD_OUT_SEED

TASK = ps.CartPoleSwingUp("v1", max_steps=30, perturbation=ps.Perturbation(shuffle=True))
POLICY = ps.InvariantPolicy(n_embeddings=4, proj_dim=2, hidden_size=2)
SMALL = {"generations": 3, "teacher_generations": 2, "clone_rounds": 2, "population_size": 4, "n_episodes": 2}


@pytest.fixture(autouse=True)
def few_updates(monkeypatch):
    """A round of cloning descends a few steps in place of many: stages, not learning, are what is tested here."""
    few = {"batch_size": 8, "n_eval_episodes": 16}
    monkeypatch.setattr(recipe, "_CLONING", {**recipe._CLONING, **few, "updates": 6, "windows": 16})
    monkeypatch.setattr(recipe, "_TEACHING", {**recipe._TEACHING, "population_size": 8, "n_eval_episodes": 16})
    monkeypatch.setattr(type(TASK), "score_episodes", 100)


def test_each_stage_begins_with_what_the_one_before_it_found(tmp_path):
    result = ps.train_with_teacher(POLICY, TASK, tmp_path / "run", **SMALL)
    assert result.generations == 3
    assert len(read_metrics(tmp_path / "run" / "teacher")) == 2
    teacher, clone, last = (read_config(tmp_path / "run" / part) for part in ("teacher", "clone", "."))
    assert teacher["policy"]["kind"] == "mlp"
    assert not teacher["task"]["perturbation"]["shuffle"]
    assert clone["task"]["perturbation"]["shuffle"]
    assert clone["training"]["dagger"]
    assert clone["training"]["teacher"].startswith("sha256:")
    _, student = ps.load_policy(tmp_path / "run" / "clone" / "best.npz")
    alone = ps.train(POLICY, TASK, tmp_path / "alone", **{**last["training"], "init": student, "generations": 3})
    assert np.array_equal(alone.mean_params, result.mean_params)


def test_recipe_may_end_with_the_clone_and_go_on_from_there(tmp_path):
    settings = {**SMALL, "generations": 0}
    cloned = ps.train_with_teacher(POLICY, TASK, tmp_path / "run", **settings)
    assert cloned.run_dir == tmp_path / "run" / "clone"
    assert cloned.generations == 2
    again = ps.train_with_teacher(POLICY, TASK, tmp_path / "run", **settings, resume=True)
    assert np.array_equal(again.params, cloned.params)
    evolved = ps.train_with_teacher(POLICY, TASK, tmp_path / "run", resume=True, generations=3)
    whole = ps.train_with_teacher(POLICY, TASK, tmp_path / "whole", **SMALL)
    assert np.array_equal(evolved.mean_params, whole.mean_params)


@pytest.mark.usefixtures("warm_workers")
def test_recipe_comes_to_the_same_bits_on_one_core_and_two(tmp_path):
    settings = {"generations": 0, "teacher_generations": 2, "clone_rounds": 1, "seed": 3}
    policy, task = ps.InvariantPolicy(hidden_size=64, head_sizes=(32,)), ps.CartPoleSwingUp(max_steps=60)
    one, two = (
        ps.train_with_teacher(policy, task, tmp_path / f"{n_jobs}", n_jobs=n_jobs, **settings) for n_jobs in (1, 2)
    )
    assert np.array_equal(one.params, two.params)
    assert one.score == two.score


def test_teacher_is_softened_as_far_as_it_keeps_its_score():
    policy, task = ps.MLPPolicy(hidden_sizes=()), ps.CartPoleSwingUp("v1", max_steps=200)
    params = np.array([-0.7, -0.1, 0, 0.1, 0, 1.0])
    gains = {scale: choose_gain(policy, scale * params, task) for scale in (1, 10_000)}
    assert gains[1] > gains[10_000] == 0.1  # pushes at full force, and still does with a tenth of its weights
    scores = {
        gain: ps.rollout(policy, (gain * params)[None], task, task.score_episodes, HELD_OUT_SEED).returns.mean()
        for gain in (0.1, 0.2, 0.5, 1.0)
    }
    assert scores[gains[1]] >= 0.97 * scores[1.0]
    assert all(scores[gain] < 0.97 * scores[1.0] for gain in scores if gain < gains[1])


@pytest.mark.parametrize(("scores", "gain"), [((-103, -102, -101, -100), 0.1), ((-200, -103, -101, -100), 0.2)])
def test_teacher_of_negative_scores_is_softened_too(monkeypatch, scores, gain):
    left = iter(scores)
    monkeypatch.setattr(recipe, "rollout", lambda *_, **__: ps.Rollout(np.full((1, 2), next(left)), None))
    assert choose_gain(ps.MLPPolicy(), np.ones(113), TASK) == gain


@pytest.mark.parametrize("stopped_in", ["teacher", "clone", "."])
def test_a_run_that_is_resumed_in_any_stage_ends_as_one_that_never_stopped(tmp_path, stopped_in):
    whole = ps.train_with_teacher(POLICY, TASK, tmp_path / "whole", **SMALL)
    run = tmp_path / "run"
    plain = TASK.plain
    if stopped_in == "teacher":
        ps.train(ps.MLPPolicy(), plain, run / "teacher", generations=1, **recipe._TEACHING)
    else:
        ps.train_with_teacher(POLICY, TASK, run, **{**SMALL, "generations": 2})
    if stopped_in == "clone":
        for name in ("config.json", "metrics.csv", "checkpoint.npz", "best.npz", "policy.npz"):
            (run / name).unlink()
    resumed = ps.train_with_teacher(POLICY, TASK, run, **SMALL, resume=True)
    assert np.array_equal(resumed.mean_params, whole.mean_params)


def stop_in(stage, run, **settings):
    """Begin a run, and stop it after a generation or round of a stage."""

    class Stopping(ps.SerialExecutor):
        def map(self, function, items):
            last = {TEACHER: run / TEACHER, CLONE: run / CLONE, ".": run}[stage]
            if (last / "metrics.csv").exists() and len(read_metrics(last)) >= 1:
                signal.raise_signal(signal.SIGTERM)
            return super().map(function, items)

    with pytest.raises(ps.TrainingInterrupted):
        ps.train_with_teacher(POLICY, TASK, run, executor=Stopping(), **settings)


@pytest.mark.parametrize("stage", [TEACHER, CLONE, "."])
def test_options_that_are_not_repeated_are_remembered_in_every_stage(tmp_path, stage):
    settings = {**SMALL, "seed": 4, "sigma0": 0.03, "n_eval_episodes": 8, "eval_every": 1, "diagonal": False}
    whole = ps.train_with_teacher(POLICY, TASK, tmp_path / "whole", **settings)
    stop_in(stage, tmp_path / "run", **settings)
    with pytest.raises(ps.InputError, match=r"training seed: 4 in .*, 5 asked for"):
        ps.train_with_teacher(POLICY, TASK, tmp_path / "run", resume=True, seed=5)
    with pytest.raises(ps.InputError, match=r"task max_steps: 30 in .*, 31 asked for"):
        ps.train_with_teacher(POLICY, dataclasses.replace(TASK, max_steps=31), tmp_path / "run", resume=True)
    resumed = ps.train_with_teacher(POLICY, TASK, tmp_path / "run", resume=True, generations=3)
    assert np.array_equal(resumed.mean_params, whole.mean_params)
    for part in (TEACHER, CLONE, "."):
        assert read_config(tmp_path / "run" / part) == read_config(tmp_path / "whole" / part)


@pytest.mark.parametrize("stage", [TEACHER, CLONE, "."])
def test_more_generations_may_be_asked_for_in_every_stage(tmp_path, stage):
    settings = {"population_size": 4, "n_episodes": 2, "n_eval_episodes": 4, "eval_every": 1}
    stop_in(stage, tmp_path / "run", generations=2, **settings)
    more = ps.train_with_teacher(POLICY, TASK, tmp_path / "run", generations=4, resume=True)
    assert more.generations == 4
    assert len(read_metrics(tmp_path / "run" / CLONE)) == 2  # as the run began


def test_command_line_remembers_the_sizes_and_the_task_in_every_stage(tmp_path):
    sizes = ["--n-embeddings", 3, "--hidden-size", 2, "--head-sizes", "none", "--max-steps", 10]
    begin = ["invariant", tmp_path / "run", "-m", 1, "-p", 4, "-e", 2, "-j", 1, *sizes]
    limited = run_command(*begin, "--init-from", "none.npz")
    assert limited.returncode == 1
    for path, left in (("clone", "teacher"), (".", "clone")):  # as stopped in the teacher's stage, and the clone's
        result = run_command(*(begin if left == "teacher" else [*begin[:2], "-m", 1, "-j", 1, "--resume"]))
        assert result.returncode == 0, result.stderr
        whole = {part: read_config(tmp_path / "run" / part) for part in ("teacher", "clone", ".")}
        for name in ("config.json", "metrics.csv", "checkpoint.npz", "best.npz", "policy.npz"):
            (tmp_path / "run" / name).unlink()
        if path == "clone":
            shutil.rmtree(tmp_path / "run" / "clone")
        again = run_command("invariant", tmp_path / "run", "--resume", "-m", 1, "-j", 1)
        assert again.returncode == 0, again.stderr
        assert whole == {part: read_config(tmp_path / "run" / part) for part in ("teacher", "clone", ".")}


def test_command_line_gives_each_stage_its_length(tmp_path):
    few = ["-m", 1, "-p", 4, "-e", 2, "-j", 1, "--max-steps", 10, "--hidden-size", 2, "--n-embeddings", 3]
    result = run_command("invariant", tmp_path / "run", *few, "--teacher-generations", 3, "--clone-rounds", 2)
    assert result.returncode == 0, result.stderr
    assert [len(read_metrics(tmp_path / "run" / part)) for part in (TEACHER, CLONE, ".")] == [3, 2, 1]
    refused = run_command("mlp", tmp_path / "mlp", "--clone-rounds", 2)
    assert refused.returncode == 2
    assert "--clone-rounds is for runs that begin with a teacher" in refused.stderr
    assert not (tmp_path / "mlp").exists()


def test_a_run_is_not_begun_again_unasked(tmp_path):
    ps.train_with_teacher(POLICY, TASK, tmp_path / "run", **SMALL)
    with pytest.raises(ps.FileError, match="already holds a run"):
        ps.train_with_teacher(POLICY, TASK, tmp_path / "run", **SMALL)


@pytest.mark.parametrize("name", ["teacher_generations", "clone_rounds", "generations", "minutes"])
def test_impossible_numbers_are_refused_before_any_work(tmp_path, name):
    with pytest.raises(ps.InputError, match=name):
        ps.train_with_teacher(POLICY, TASK, tmp_path / "run", **{**SMALL, name: -1 if name == "generations" else 0})
    assert not (tmp_path / "run").exists()


def run_command(*arguments):
    """Run the command here, in the process of the test, as one that was called."""
    said, complained = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
        code = main(["train", *map(str, arguments)])
    return types.SimpleNamespace(returncode=code, stdout=said.getvalue(), stderr=complained.getvalue())


@pytest.mark.parametrize(
    "kind, preset, expected",
    [
        ("mlp", "best", {"population_size": 128, "n_episodes": 32, "sigma0": 0.25, "sigma_max": 0.25}),
        ("mlp", "paper", {"population_size": 256, "n_episodes": 16, "sigma0": 0.1}),
        ("invariant", "paper", {"population_size": 256, "n_episodes": 16, "sigma0": 0.1, "init": "zeros"}),
    ],
)
def test_presets_set_what_is_not_given(tmp_path, kind, preset, expected):
    result = run_command(kind, tmp_path / "run", "--preset", preset, "-m", 1, "--max-steps", 5, "-j", 1, "-e", 2)
    assert result.returncode == 0, result.stderr
    training = read_config(tmp_path / "run")["training"]
    assert {name: training[name] for name in expected} == {**expected, "n_episodes": 2}


def test_the_best_preset_gives_the_invariant_policy_a_teacher(tmp_path, monkeypatch):
    monkeypatch.setattr("pisensory.cli.train.shows_progress", lambda: True)  # as in a terminal
    run = tmp_path / "run"
    result = run_command(
        "invariant", run, "-m", 2, "-p", 4, "-e", 2, "--max-steps", 10, "-j", 1, "--minutes", 0.05, "--n-embeddings", 4
    )
    assert result.returncode == 0, result.stderr
    for stage in ("teacher", "clone"):
        assert (run / stage / "best.npz").exists()
        assert f"{stage}: " in result.stderr
    again = run_command("invariant", run, "--resume", "-m", 3, "-j", 1)
    assert again.returncode == 0, again.stderr
    assert json.loads((run / "config.json").read_text())["policy"]["n_embeddings"] == 4
    assert "3 generations" in again.stdout
