"""The seams: a policy and a task of one's own, a file each, do all that ours do, and no other file knows of them."""

import ast
import json
import pathlib

import numpy as np
import pytest
import warm
from toy_policy import PooledPolicy
from toy_task import PLACES, BeaconsTask

import pisensory as ps
from pisensory.recording import record
from pisensory.report import Subject, write_report
from pisensory.tasks import task_from_config, task_from_text
from pisensory.video import write_video

HERE = pathlib.Path(__file__).parent
PACKAGE = pathlib.Path(ps.__file__).parent
POLICY, TASK = PooledPolicy(n_units=3), BeaconsTask()
# Units that tell where the point is, whatever beacon they are fed, and an action against it.
SKILLED = np.array([1.0, -1.0, 2.0, -2.0, 1.0, -1.0, 0, 0, 0, 2.0, 2.0, 2.0, 0])


def test_trains_evaluates_saves_and_loads(tmp_path):
    settings = {"population_size": 16, "n_episodes": 8, "sigma0": 0.5, "n_eval_episodes": 64, "eval_every": 1}
    result = ps.train(POLICY, TASK, tmp_path / "run", generations=15, **settings)
    score = ps.evaluate(POLICY, result.params, TASK, 200)
    assert score.mean > ps.evaluate(POLICY, np.zeros(POLICY.n_params), TASK, 200).mean + 3
    policy, params = ps.load_policy(tmp_path / "run" / "best.npz")
    assert policy == POLICY and isinstance(policy, PooledPolicy)
    again = ps.evaluate(policy, params, TASK, 200, n_jobs=2)
    np.testing.assert_array_equal(again.returns, score.returns)
    assert task_from_config(json.loads(json.dumps(TASK.config))) == TASK == task_from_text("beacons")
    agent = policy.agent(params)
    assert agent.act(np.ones((3, 2))).shape == (1,) and agent.inside()["latent"].shape == (3,)


def test_clones_by_its_own_gradient(tmp_path):
    generator = np.random.default_rng(0)
    params, seen = generator.standard_normal(13), generator.standard_normal((4, 3, 2, 5))
    unrolled = POLICY.unroll(params, seen, dtype=np.float64)
    d_actions = generator.standard_normal(unrolled.actions.shape)
    gradient = unrolled.gradient(d_actions)
    for number in range(13):
        step = 1e-6 * np.eye(13)[number]
        above, below = (POLICY.unroll(params + sign * step, seen, dtype=np.float64).actions for sign in (1, -1))
        assert gradient[number] == pytest.approx(((above - below) * d_actions).sum() / 2e-6, abs=1e-7)
    small = {"teacher_rounds": 4, "updates": 20, "batch_size": 16, "window": 10, "learning_rate": 0.03}
    result = ps.clone(
        POLICY, (POLICY, SKILLED), TASK, tmp_path / "clone", rounds=12, n_eval_episodes=64, dagger=True, **small
    )
    taught = ps.evaluate(POLICY, SKILLED, TASK, 200).mean
    assert ps.evaluate(POLICY, result.params, TASK, 200).mean > 0.9 * taught
    with pytest.raises(ps.InputError, match="identify"):
        ps.clone(POLICY, (POLICY, SKILLED), TASK, tmp_path / "no", identify=0.3)


def test_inputs_are_moved_whole():
    perturbation = ps.Perturbation(shuffle=True, n_copies=2, n_noise=1, dropped=(1,))
    task = BeaconsTask(perturbation=perturbation)
    assert (task.n_features, task.n_channels) == (7, 2)
    recorded = record(POLICY, SKILLED, task, 1, 3)
    inputs, sources = recorded.observations[0, ..., 0], list(recorded.sources[0, :, 0])
    assert sorted(sources) == [0, 0, 1, 1, 2, 2, 3]
    for (off, place), source in zip(inputs, sources):
        if source in (0, 2):
            assert place == PLACES[source]
            assert off + PLACES[0] - place == pytest.approx(inputs[sources.index(0), 0], abs=1e-6)
        else:
            assert (off, place) == (0, 0) or source == 3
    with pytest.raises(ps.InputError, match="channels"):
        ps.evaluate(ps.InvariantPolicy(), np.zeros(913), TASK)


def test_what_is_drawn_is_what_was_scored(tmp_path):
    task = BeaconsTask(perturbation=ps.Perturbation(reshuffle_every=7))
    params = 0.5 * np.random.default_rng(5).standard_normal(13)
    scored = ps.rollout(POLICY, params[None], task, 70, seed=2)
    recorded = record(POLICY, params, task, 70, 2, inside=["latent"])
    np.testing.assert_array_equal(recorded.alive.sum(axis=0), scored.lengths[0])
    np.testing.assert_allclose(recorded.rewards.sum(axis=0), scored.returns[0], rtol=1e-12)
    assert recorded.observations.shape[1:] == (3, 2, 70) and recorded.inside["latent"].shape[1:] == (3, 70)
    alone = ps.rollout(POLICY, params[None], task, 1, seed=2)
    assert len(record(POLICY, params, task, 1, 2).alive) == alone.lengths[0, 0]
    pytest.importorskip("PIL")
    assert write_video(tmp_path / "toy.gif", {"toy": (POLICY, params)}, task, 2, width=640) == alone.returns[0].tolist()
    pytest.importorskip("matplotlib")
    report = write_report([Subject("toy", POLICY, params, TASK)], tmp_path, 9, seed=2, n_jobs=1)
    assert set(report["scores"]) == {"inputs", "reshuffling"}
    for score in report["scores"]["inputs"]:
        found = ps.evaluate(POLICY, params, task_from_config(score["task"]), 9, seed=2)
        assert (score["mean"], score["gain"]) == (found.mean, 1)


def pisensory(*arguments, cwd):
    loads = ["--load", HERE / "toy_policy.py", "--load", HERE / "toy_task.py"]
    result = warm.pisensory(*loads, *arguments, cwd=cwd)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_command_line_knows_them(tmp_path):
    small = ["--task", "beacons", "--eval-episodes", "8"]
    pisensory("train", "pooled", "run", *small, "--n-units", 3, "-p", 6, "-e", 2, "-m", 3, "-j", 2, cwd=tmp_path)
    pisensory("train", "pooled", "run", "-m", 4, "-j", 1, "--resume", cwd=tmp_path)
    pisensory(
        "clone", "pooled", "run", "cloned", *small, "--rounds", 2, "--updates", 2, "--window", 5, "--evolve", 1,
        "-j", 1, "--shuffle", cwd=tmp_path,
    )  # fmt: skip
    found = json.loads(pisensory("evaluate", "run", "--json", "-e", 20, cwd=tmp_path))
    assert found["policy"] == {"kind": "pooled", "n_actions": 1, "n_units": 3} and found["task"]["kind"] == "beacons"
    np.savez(tmp_path / "bare.npz", params=SKILLED)
    arguments = ["--policy", "pooled", "--n-units", 3, "--task", "beacons", "--json"]
    bare = json.loads(pisensory("evaluate", "bare.npz", *arguments, "-e", 50, cwd=tmp_path))
    assert bare["mean"] == ps.evaluate(POLICY, SKILLED, TASK, 50).mean
    told = pisensory("train", "--help", cwd=tmp_path)
    assert "n_units: " not in told
    assert "pooled: numbers that each input is turned into (default: 4)" in " ".join(told.split())
    pytest.importorskip("matplotlib")
    pisensory("report", "run", "cloned", "-o", "lab", "-e", 3, "-j", 1, cwd=tmp_path)
    pisensory("plot", "run", "cloned", cwd=tmp_path)
    pisensory("video", "run", "--side-by-side", "cloned", "--shuffle", "-o", "toy.gif", cwd=tmp_path)
    assert (tmp_path / "toy.gif").read_bytes().startswith(b"GIF")


def test_nothing_is_loaded_that_the_user_did_not_name(tmp_path):
    np.savez(tmp_path / "toy.npz", params=SKILLED)
    ps.save_policy(tmp_path / "toy.npz", POLICY, SKILLED, task=TASK.config)
    result = warm.pisensory("evaluate", "toy.npz", cwd=tmp_path)
    assert result.returncode == 1 and "kind" in result.stderr and "Traceback" not in result.stderr
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "json.py").write_text("")
    (tmp_path / "broken.py").write_text("1 / 0")
    for name, code, message in (
        ("missing.py", 1, "no file"), ("toy.npz", 2, "must be a Python file"),
        ("deep/json.py", 2, "another module named json"),
        ("broken.py", 2, "failed: ZeroDivisionError"),
    ):  # fmt: skip
        result = warm.pisensory("models", "--load", name, cwd=tmp_path)
        assert (result.returncode, message in result.stderr) == (code, True), result.stderr
        assert "Traceback" not in result.stderr


def test_nobody_asks_what_class_a_policy_or_a_task_is_of():
    classes = {cls.__name__ for base in (ps.Policy, ps.Task) for cls in [base, *base.__subclasses__()]}
    for path in PACKAGE.rglob("*.py"):
        if path.parent.name in ("policies", "tasks"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("isinstance", "issubclass", "hasattr"):
                asked = ast.unparse(node.args[1])
                assert not classes & set(asked.replace("(", " ").replace(")", " ").replace(",", " ").split()), path
                assert asked not in ("'latent'", "'attention'", "'hidden_sizes'"), path
