"""What files say of tasks: it imports nothing, and where it cannot be had, what was learned can."""

import json

import numpy as np
import pytest
from warm import pisensory

import pisensory as ps
from pisensory.tasks import task_from_config

gymnasium = pytest.importorskip("gymnasium")

POLICY = ps.InvariantPolicy()
PARAMS = 0.1 * np.random.default_rng(0).standard_normal(POLICY.n_params)
MODULE = """
import pathlib
pathlib.Path("imported").write_text("")
import gymnasium, pisensory
gymnasium.register("Own-v0", entry_point=lambda **kwargs: gymnasium.make("Pendulum-v1"))
"""
EVIL = {"kind": "gym", "env": "evil_module:Own-v0", "library": "gymnasium", "max_steps": 20, "kwargs": {}}


def make_env(**kwargs):
    return gymnasium.make("Pendulum-v1", **kwargs)


@pytest.fixture
def folder(tmp_path):
    """A folder with a module in it, a policy of a task in that, and a run likewise."""
    (tmp_path / "evil_module.py").write_text(MODULE)
    ps.save_policy(tmp_path / "model.npz", POLICY, PARAMS, task=EVIL)
    settings = {"generations": 1, "population_size": 4, "n_episodes": 1, "n_eval_episodes": 2}
    task = ps.GymTask("Pendulum-v1", max_steps=20)
    ps.train(POLICY, task, tmp_path / "run", **settings)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    config["task"] = EVIL
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    return tmp_path


COMMANDS = [
    ["evaluate", "model.npz", "-e", 1], ["report", "model.npz", "-e", 4, "-o", "out"],
    ["video", "model.npz", "-o", "a.gif"], ["clone", "mlp", "model.npz", "cloned", "--rounds", 1],
    ["page", "model.npz"], ["train", "invariant", "run", "--resume"],
]  # fmt: skip


@pytest.mark.parametrize("arguments", COMMANDS, ids=[command[0] for command in COMMANDS])
def test_no_file_has_a_module_imported(folder, arguments):
    result = pisensory(*arguments, cwd=folder)
    assert result.returncode == 2, result.stderr
    assert "module in its id" in result.stderr
    assert "--task" in result.stderr
    assert "damaged" not in result.stderr
    assert not (folder / "imported").exists()


def test_the_user_may_name_a_module(folder):
    task = ["--task", "gymnasium:evil_module:Own-v0", "--max-steps", 20]
    result = pisensory("evaluate", "model.npz", "-e", 1, "--json", *task, cwd=folder)
    assert result.returncode == 0, result.stderr
    assert (folder / "imported").exists()
    assert json.loads(result.stdout)["task"]["env"] == "evil_module:Own-v0"


@pytest.mark.parametrize("kwargs", [{"g": 5.0}, {"not a word": 1}, [1], "text", 3])
def test_no_file_gives_keyword_arguments(kwargs):
    with pytest.raises(ps.InputError, match="a file must not have code imported or set up"):
        task_from_config({**EVIL, "env": "Pendulum-v1", "kwargs": kwargs})
    if kwargs != {"g": 5.0}:
        with pytest.raises(ps.InputError, match="kwargs must be a dict of keyword arguments"):
            ps.GymTask("Pendulum-v1", kwargs=kwargs)


@pytest.mark.parametrize("env", ["a:b:c", "", "x" * 300, "a\nb", 3, None, ["Pendulum-v1"]])
def test_what_is_no_id_is_refused(env):
    with pytest.raises(ps.InputError, match="env must be"):
        ps.GymTask(env)


def test_environments_that_fail_to_be_made_say_so():
    for function, message in ((lambda: 1 / 0, "division by zero"), (lambda: 5, "an environment of gym or Gymnasium")):
        with pytest.raises(ps.InputError, match=message):
            ps.GymTask(function)


def test_policies_of_functions_load_and_go_on_with_a_task(tmp_path):
    task = ps.GymTask(make_env, max_steps=20)
    settings = {"generations": 1, "population_size": 4, "n_episodes": 1, "n_eval_episodes": 2}
    params = ps.train(POLICY, task, tmp_path / "run", **settings).params
    assert ps.load_policy(tmp_path / "run" / "best.npz")[0] == POLICY
    resumed = ps.train(POLICY, task, tmp_path / "run", **{**settings, "generations": 2}, resume=True)
    assert resumed.generations == 2
    refused = pisensory("evaluate", "run", "-e", 1, cwd=tmp_path)
    assert refused.returncode == 2
    assert "were made by a function, 'make_env', which no file holds; say which it is with --task" in refused.stderr
    assert "damaged" not in refused.stderr
    task = ["--task", "gymnasium:Pendulum-v1", "--max-steps", 20]
    scored = pisensory("evaluate", "run", "-e", 1, "--json", *task, cwd=tmp_path)
    assert scored.returncode == 0, scored.stderr
    expected = ps.evaluate(POLICY, resumed.params, ps.GymTask("Pendulum-v1", max_steps=20), 1).mean
    assert json.loads(scored.stdout)["mean"] == expected
    assert params.shape == resumed.params.shape


@pytest.mark.parametrize(
    ("task", "missing"),
    [
        ({"kind": "ant"}, "pybullet"),
        ({**EVIL, "env": "NoSuchEnvironment-v7"}, "NoSuchEnvironment"),
        ({"kind": "walker"}, "'walker'"),
    ],
)
def test_policies_of_missing_packages_load_and_go_on_with_a_task(tmp_path, task, missing):
    (tmp_path / "pybullet.py").write_text("raise ImportError('No module named pybullet')")
    ps.save_policy(tmp_path / "model.npz", POLICY, PARAMS, task=task)
    refused = pisensory("evaluate", "model.npz", "-e", 1, cwd=tmp_path)
    assert refused.returncode in (1, 2)
    assert missing in refused.stderr
    assert "--task" in refused.stderr
    assert "damaged" not in refused.stderr
    assert "Traceback" not in refused.stderr
    scored = pisensory("evaluate", "model.npz", "-e", 1, "--task", "v1", cwd=tmp_path)
    assert scored.returncode == 0, scored.stderr
