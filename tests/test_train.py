"""Training: it learns, it resumes exactly, it refuses what cannot be."""

import csv
import json

import numpy as np
import pytest

import pisensory as ps
from pisensory.files import read_npz
from pisensory.tasks import Task
from pisensory.train.optimizer import Optimizer

TASK = ps.CartPoleSwingUp("v1", max_steps=60)
POLICY = ps.InvariantPolicy(n_embeddings=4, proj_dim=4, hidden_size=2)
SMALL = {"population_size": 8, "n_episodes": 2, "n_eval_episodes": 4, "eval_every": 2}
TIMES = {"seconds", "rollout_seconds", "steps_per_second", "elapsed"}


def metrics(run_dir):
    """The lines of metrics.csv without the columns that hold times."""
    with open(run_dir / "metrics.csv", newline="") as file:
        return [{name: value for name, value in row.items() if name not in TIMES} for row in csv.DictReader(file)]


def test_training_finds_a_better_policy(tmp_path):
    result = ps.train(
        ps.MLPPolicy(hidden_sizes=()), ps.CartPoleSwingUp("v1", max_steps=200), tmp_path / "run", generations=15,
        population_size=24, n_episodes=4, sigma0=1.0,
    )  # fmt: skip
    start = ps.evaluate(result.policy, np.zeros(6), ps.CartPoleSwingUp("v1", max_steps=200), 100)
    trained = ps.evaluate(result.policy, result.params, ps.CartPoleSwingUp("v1", max_steps=200), 100)
    assert trained.mean > 3 * start.mean
    policy, params = ps.load_policy(tmp_path / "run" / "best.npz")
    assert policy == result.policy
    np.testing.assert_array_equal(params, result.params)
    np.testing.assert_array_equal(ps.load_policy(tmp_path / "run" / "policy.npz")[1], result.mean_params)


def test_metrics_say_what_happened(tmp_path):
    result = ps.train(POLICY, TASK, tmp_path / "run", generations=5, **SMALL)
    rows = metrics(tmp_path / "run")
    assert [int(row["generation"]) for row in rows] == [1, 2, 3, 4, 5]
    assert [bool(row["held_out"]) for row in rows] == [True, False, True, False, True]
    assert int(rows[-1]["env_steps"]) == result.env_steps
    assert max(float(row["max"]) for row in rows) == float(rows[-1]["max_overall"])
    assert max(float(row["held_out"]) for row in rows if row["held_out"]) == result.score
    assert all(float(row["mean"]) <= float(row["max"]) for row in rows)
    assert all(row["not_finite"] == "0" for row in rows)


@pytest.mark.usefixtures("warm_workers")
def test_resumed_run_ends_as_one_that_never_stopped(tmp_path):
    whole = ps.train(POLICY, TASK, tmp_path / "whole", generations=9, **SMALL)
    ps.train(POLICY, TASK, tmp_path / "parts", generations=2, **SMALL)
    ps.train(POLICY, TASK, tmp_path / "parts", generations=5, resume=True, n_jobs=2, **SMALL)
    parts = ps.train(POLICY, TASK, tmp_path / "parts", generations=9, resume=True, **SMALL)
    np.testing.assert_array_equal(whole.params, parts.params)
    np.testing.assert_array_equal(whole.mean_params, parts.mean_params)
    assert metrics(tmp_path / "whole") == metrics(tmp_path / "parts")
    for name in ("best.npz", "policy.npz", "config.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize(("n_params", "population_size"), [(5, 8), (40, 16), (310, 24)])
def test_optimizer_state_is_complete(n_params, population_size, diagonal):
    def scores(population):
        return -((population - 1) ** 2 * np.linspace(1, 100, n_params)).sum(axis=1)

    whole = Optimizer(np.zeros(n_params), 0.1, population_size, (1,), diagonal=diagonal)
    for generation in range(12):
        whole.tell(scores(whole.ask(generation)))
    part = Optimizer(np.ones(n_params), 3.0, population_size, (1,), diagonal=diagonal)
    part.restore(*whole.state())
    for generation in range(12, 24):
        population = whole.ask(generation)
        np.testing.assert_array_equal(part.ask(generation), population)
        whole.tell(scores(population))
        part.tell(scores(population))
    (state, _), (same, _) = whole.state(), part.state()
    assert state.keys() == same.keys()
    for name, value in state.items():
        np.testing.assert_array_equal(same[name], value)


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("population_size", [2, 3, 4, 5, 7])
def test_optimizer_goes_on_exactly_from_any_generation(population_size, diagonal):
    def go(restored_at):
        optimizer = Optimizer(np.zeros(5), 0.1, population_size, (1,), diagonal=diagonal)
        for generation in range(6):
            if generation == restored_at:
                restored = Optimizer(np.ones(5), 0.3, population_size, (1,), diagonal=diagonal)
                restored.restore(*optimizer.state())
                optimizer = restored
            optimizer.tell(-(optimizer.ask(generation) ** 2).sum(axis=1))
        return optimizer.mean

    for generation in range(6):
        np.testing.assert_array_equal(go(generation), go(None), err_msg=f"restored at {generation}")


def test_scores_that_are_not_finite_rank_worst_and_are_counted():
    finite = Optimizer(np.zeros(6), 0.5, 8, (0,))
    broken = Optimizer(np.zeros(6), 0.5, 8, (0,))
    scores = -(finite.ask(0) ** 2).sum(axis=1)
    broken.ask(0)
    order = np.argsort(scores)
    low, nan = scores.copy(), scores.copy()
    low[order[:3]] = [-1e9] * 3
    nan[order[:3]] = [np.nan, -np.inf, np.inf]
    assert finite.tell(low) == 0
    assert broken.tell(nan) == 3
    np.testing.assert_array_equal(finite.mean, broken.mean)


class BrokenTask(ps.CartPoleSwingUp):
    """A task whose rewards are NaN for candidates that push hard at first."""

    def _start(self, seed, episodes):
        run = super()._start(seed, episodes)
        step = run.step

        def broken_step(actions, alive):
            rewards, over = step(actions, alive)
            return np.where(actions[:, 0] > 0.05, np.nan, rewards), over

        run.step = broken_step
        return run


def test_training_survives_a_task_that_returns_nan(tmp_path):
    assert issubclass(BrokenTask, Task)
    ps.train(POLICY, BrokenTask("v1", max_steps=3), tmp_path / "run", generations=3, **SMALL)
    assert any(int(row["not_finite"]) > 0 for row in metrics(tmp_path / "run"))


def test_other_settings_are_refused_with_the_difference(tmp_path):
    ps.train(POLICY, TASK, tmp_path / "run", generations=1, **SMALL)
    with pytest.raises(ps.InputError, match=r"sigma0: 0.1 in .* 0.2 asked for"):
        ps.train(POLICY, TASK, tmp_path / "run", generations=2, resume=True, sigma0=0.2, **SMALL)
    with pytest.raises(ps.InputError, match=r"kind: 'invariant' in .* 'mlp' asked for"):
        ps.train(ps.MLPPolicy(), TASK, tmp_path / "run", generations=2, resume=True, **SMALL)
    harder = ps.CartPoleSwingUp("harder", max_steps=60)
    with pytest.raises(ps.InputError, match=r"version: 'v1' in .* 'harder' asked for"):
        ps.train(POLICY, harder, tmp_path / "run", generations=2, resume=True, **SMALL)


def test_resume_remembers_where_it_started_from(tmp_path):
    init = np.random.default_rng(0).standard_normal(POLICY.n_params)
    ps.train(POLICY, TASK, tmp_path / "run", generations=1, init=init, **SMALL)
    ps.train(POLICY, TASK, tmp_path / "run", generations=2, resume=True, **SMALL)
    with pytest.raises(ps.InputError, match="init"):
        ps.train(POLICY, TASK, tmp_path / "run", generations=3, resume=True, init=init + 1, **SMALL)


def test_folders_that_are_no_runs_are_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ps.FileError, match="is not a run"):
        ps.train(POLICY, TASK, tmp_path, generations=1, resume=True, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    ps.train(POLICY, TASK, tmp_path / "run", generations=1, **SMALL)
    with pytest.raises(ps.FileError, match="already holds a run"):
        ps.train(POLICY, TASK, tmp_path / "run", generations=1, **SMALL)
    with pytest.raises(ps.FileError, match=r"cannot create the folder"):
        ps.train(POLICY, TASK, tmp_path / "notes.txt" / "run", generations=1, **SMALL)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("population_size", 0), ("n_episodes", 0), ("sigma0", 0), ("sigma0", float("nan")), ("generations", 0),
        ("eval_every", 0), ("minutes", -1), ("seed", -1), ("n_jobs", 0), ("n_eval_episodes", 0),
    ],
)  # fmt: skip
def test_impossible_settings_are_refused_before_anything_is_written(tmp_path, setting, value):
    settings = {"generations": 1, **SMALL, setting: value}
    with pytest.raises(ps.InputError, match=setting):
        ps.train(POLICY, TASK, tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


def test_minutes_bound_the_run_and_leave_a_checkpoint(tmp_path):
    result = ps.train(POLICY, TASK, tmp_path / "run", generations=10**6, minutes=0.001, **SMALL)
    assert 1 <= result.generations < 10**6
    header = json.loads(str(read_npz(tmp_path / "run" / "checkpoint.npz")["header"]))
    assert header["done"] == result.generations == len(metrics(tmp_path / "run"))


def test_tensorboard_gets_the_metrics(tmp_path):
    pytest.importorskip("tensorboardX")
    ps.train(POLICY, TASK, tmp_path / "run", generations=2, tensorboard=True, **SMALL)
    (events,) = (tmp_path / "run" / "tensorboard").iterdir()
    assert b"held_out" in events.read_bytes()


def test_a_folder_that_tensorboard_cannot_make_is_an_error_of_ours(tmp_path):
    pytest.importorskip("tensorboardX")
    ps.train(POLICY, TASK, tmp_path / "run", generations=1, **SMALL)
    (tmp_path / "run" / "tensorboard").write_text("no folder", encoding="utf-8")
    with pytest.raises(ps.FileError, match=r"cannot write to .*tensorboard: "):
        ps.train(POLICY, TASK, tmp_path / "run", generations=2, tensorboard=True, resume=True, **SMALL)


def test_missing_tensorboard_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorboardX", None)
    with pytest.raises(ps.MissingExtraError, match=r"pip install 'pisensory\[tensorboard\]'"):
        ps.train(POLICY, TASK, tmp_path / "run", generations=1, tensorboard=True, **SMALL)
    assert not (tmp_path / "run").exists()


def test_optimizer_goes_on_exactly_where_parameters_differ_in_scale_and_are_turned():
    size = 4
    axes, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((size, size)))
    scales = np.logspace(0, 14, size)

    def score(population):
        return -(scales * (population @ axes) ** 2).sum(axis=1)

    optimizer = Optimizer(np.ones(size), 1.0, 16, (1,))
    for generation in range(1000):
        population = optimizer.ask(generation)
        if generation % 100 == 99:
            restored = Optimizer(np.ones(size), 1.0, 16, (1,))
            restored.restore(*optimizer.state())
            np.testing.assert_array_equal(restored.ask(generation), population)
        optimizer.tell(score(population))
    assert score(optimizer.mean[None])[0] > -1e-12
