"""The shipped models: what their files say is what they do."""

import json
import subprocess
import sys

import numpy as np
import pytest

import pisensory as ps
from pisensory.models import describe_model, model_names
from pisensory.report.survival import survival
from pisensory.tasks import task_from_config

CARTPOLES = [name for name in model_names() if name.startswith("cartpole")]


@pytest.mark.parametrize("name", CARTPOLES)
def test_scores_are_those_in_the_header(name):
    # 1000 other episodes than the 10,000 of the header; three standard errors of both means.
    policy, params = ps.load_model(name)
    about = describe_model(name)
    task = task_from_config(about["task"])
    for inputs, shuffle in (("plain", False), ("shuffled", True)):
        said = about["scores"][inputs]
        perturbed = ps.CartPoleSwingUp(task.version, perturbation=ps.Perturbation(shuffle=shuffle))
        found = ps.evaluate(policy, params, perturbed, 1000, seed=1)
        error = np.hypot(said["std"] / np.sqrt(said["episodes"]), found.std / np.sqrt(1000))
        assert abs(found.mean - said["mean"]) < 3 * error + 1e-9


@pytest.mark.parametrize("name", model_names())
def test_headers_say_how_they_were_trained(name):
    about = describe_model(name)
    assert about["training"]["stages"]
    for stage in about["training"]["stages"]:
        assert stage["command"].startswith("pisensory ")
        assert stage["env_steps"] > 0
    assert set(about["training"]["versions"]) == {"pisensory", "numpy", "cma", "python"}
    assert about["scores"]["plain"]["episodes"] == (10_000 if name in CARTPOLES else 100)


def test_driver_scores_what_its_header_says_with_its_patches_in_any_order():
    pytest.importorskip("Box2D")
    policy, params = ps.load_model("carracing-driver")
    about = describe_model("carracing-driver")
    task = task_from_config(about["task"]).plain
    plain, shuffled = (
        ps.rollout(policy, params[None], task.altered({"shuffle": shuffle}, {}), 4, seed=1).returns
        for shuffle in (False, True)
    )
    np.testing.assert_array_equal(plain, shuffled)
    said = about["scores"]["plain"]
    assert abs(np.mean(plain) - said["mean"]) < 3 * said["std"] / 2
    assert said["mean"] > 850
    assert params.astype(np.float32).tolist() == params.tolist()


@pytest.mark.parametrize("name", [name for name in model_names() if "invariant" in name or "driver" in name])
def test_invariant_models_score_the_same_shuffled(name):
    scores = describe_model(name)["scores"]
    assert scores["plain"]["mean"] == scores["shuffled"]["mean"]


def test_unknown_models_are_refused_with_the_names_there_are():
    with pytest.raises(ps.InputError, match="name must be that of a model, got 'chess'; there are"):
        ps.load_model("chess")


def test_command_lists_them_and_takes_their_names():
    command = [sys.executable, "-m", "pisensory", "models"]
    table = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert table.returncode == 0, table.stderr
    listed = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=60).stdout)
    assert [model["name"] for model in listed] == model_names()
    for name in model_names():
        assert name in table.stdout
        scored = subprocess.run(
            [*command[:-1], "evaluate", name, "-e", "5", "--json"], capture_output=True, text=True, timeout=60
        )
        assert json.loads(scored.stdout)["episodes"] == 5


# What they are to reach, in 10,000 episodes: inputs shuffled again every so many steps, and so many of noise.
ROBUST = {
    "cartpole-invariant": {25: 330, 50: 400, 100: 450, 200: 480, 500: 520, None: 560},
    "cartpole-v1-invariant": {25: 550, 50: 650, 100: 720, 200: 800, 500: 870, None: 930},
}
NOISE = {"cartpole-invariant": {5: 550, 25: 545}, "cartpole-v1-invariant": {5: 913, 25: 822}}


@pytest.mark.parametrize("name", ROBUST)
def test_invariant_models_hardly_mind_reshuffles_and_noise(name):
    policy, params = ps.load_model(name)
    task = task_from_config(describe_model(name)["task"]).plain
    conditions = [({"reshuffle_every": every}, target) for every, target in ROBUST[name].items()]
    conditions += [({"n_noise": count}, target) for count, target in NOISE[name].items()]
    for changes, target in conditions:
        found = ps.evaluate(policy, params, task.altered(changes, {}), 500, seed=1)
        assert found.mean > target - 3 * found.std / np.sqrt(500), changes


@pytest.mark.parametrize("name", ROBUST)
def test_invariant_models_survive_what_happens_on_the_page(name):
    policy, params = ps.load_model(name)
    task = task_from_config(describe_model(name)["task"]).plain
    *rows, long = survival(policy, params, task, 40, seed=1)
    for row in rows:
        assert row["after"] >= 0.95 * row["before"] > 10, row
    if task.version == "v1":
        assert min(row["before"] for row in rows) >= 38 and long["after"] >= 39
