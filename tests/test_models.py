"""The shipped models: what their files say is what they do."""

import json
import subprocess
import sys

import numpy as np
import pytest

import pisensory as ps
from pisensory.models import describe_model, model_names
from pisensory.tasks import task_from_config


@pytest.mark.parametrize("name", model_names())
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
    assert about["scores"]["plain"]["episodes"] == 10_000


@pytest.mark.parametrize("name", [name for name in model_names() if "invariant" in name])
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
