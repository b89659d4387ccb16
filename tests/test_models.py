"""The shipped models: what their files say is what they do."""

import dataclasses
import json

import numpy as np
import pytest
from warm import pisensory

import pisensory as ps
from pisensory.cli import main
from pisensory.models import describe_model, model_names
from pisensory.recording import record
from pisensory.report import survival
from pisensory.tasks import task_from_config

CARTPOLES = [name for name in model_names() if name.startswith("cartpole")]


@pytest.mark.parametrize("name", CARTPOLES)
def test_scores_are_those_in_the_header(name):
    # Other episodes than the 10,000 of the header; three standard errors of both means.
    n_episodes = 300 if "invariant" in name else 1000  # of which those that fall are few
    policy, params = ps.load_model(name)
    about = describe_model(name)
    task = task_from_config(about["task"])
    for inputs, shuffle in (("plain", False), ("shuffled", True)):
        said = about["scores"][inputs]
        perturbed = ps.CartPoleSwingUp(task.version, perturbation=ps.Perturbation(shuffle=shuffle))
        found = ps.evaluate(policy, params, perturbed, n_episodes, seed=1)
        error = np.hypot(said["std"] / np.sqrt(said["episodes"]), found.std / np.sqrt(n_episodes))
        assert abs(found.mean - said["mean"]) < 3 * error + 1e-9


@pytest.mark.parametrize("name", model_names())
def test_headers_say_how_they_were_trained(name):
    about = describe_model(name)
    assert about["training"]["stages"]
    for stage in about["training"]["stages"]:
        assert stage["command"].startswith("pisensory ")
        assert stage["env_steps"] > 0
    assert set(about["training"]["versions"]) == {"pisensory", "numpy", "cma", "python"}
    # Of Pong as many as there are starts; with sticky actions games take long.
    least = {"carracing-driver": 100, "pong-player": 30, "pong-memory": 16}.get(name, 10_000)
    assert about["scores"]["plain"]["episodes"] == least


def first_actions(policy, params, task):
    """Return the actions (step, action, episode) of the first steps of an episode, which differ from each other."""
    actions = record(policy, params, task.altered({}, {"max_steps": 60}), 1, seed=1).actions
    assert len(np.unique(actions[..., 0], axis=0)) > 20
    return actions


def test_driver_scores_what_its_header_says_with_its_patches_in_any_order():
    pytest.importorskip("Box2D")
    policy, params = ps.load_model("carracing-driver")
    about = describe_model("carracing-driver")
    task = task_from_config(about["task"]).plain
    plain, shuffled = (task.altered({"shuffle": shuffle}, {}) for shuffle in (False, True))
    np.testing.assert_array_equal(*(first_actions(policy, params, some) for some in (plain, shuffled)))
    said = about["scores"]["plain"]
    found = ps.rollout(policy, params[None], shuffled, 2, seed=1).returns
    assert abs(np.mean(found) - said["mean"]) < 3 * said["std"] / np.sqrt(2)
    assert said["mean"] >= 890
    assert params.astype(np.float32).tolist() == params.tolist()


def test_the_player_of_pong_wins_a_game_with_its_patches_in_any_order():
    pytest.importorskip("ale_py")
    policy, params = ps.load_model("pong-player")
    tasks = [ps.PongTask(max_steps=400, perturbation=ps.Perturbation(shuffle=shuffle)) for shuffle in (False, True)]
    np.testing.assert_array_equal(*(first_actions(policy, params, task) for task in tasks))
    some_removed = ps.PongTask(max_steps=400, perturbation=ps.Perturbation(shuffle=True, removed=0.3))
    for task, n_games in ((tasks[1], 1), (some_removed, 3)):
        assert ps.rollout(policy, params[None], task, n_games, seed=0).returns.min() >= 3  # of a game of 21
    assert describe_model("pong-player")["scores"]["plain"]["mean"] >= 19
    assert params.astype(np.float32).tolist() == params.tolist()


def test_the_player_of_pong_with_a_memory_plays_alike_in_any_order():
    pytest.importorskip("ale_py")
    policy, params = ps.load_model("pong-memory")
    task = task_from_config(describe_model("pong-memory")["task"])
    assert task.sticky and policy.hidden_size
    tasks = [task.altered({"shuffle": shuffle}, {}) for shuffle in (False, True)]
    np.testing.assert_array_equal(*(first_actions(policy, params, some) for some in tasks))
    assert params.astype(np.float16).tolist() == params.tolist()


@pytest.mark.parametrize("name", [name for name in model_names() if "cartpole" not in name or "invariant" in name])
def test_invariant_models_score_the_same_shuffled(name):
    scores = describe_model(name)["scores"]
    assert scores["plain"]["mean"] == scores["shuffled"]["mean"]


def test_unknown_models_are_refused_with_the_names_there_are():
    with pytest.raises(ps.InputError, match="name must be that of a model, got 'chess'; there are"):
        ps.load_model("chess")


def test_command_lists_them_and_takes_their_names(capsys):
    table = pisensory("models")
    assert table.returncode == 0, table.stderr
    assert main(["models", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [model["name"] for model in listed] == model_names()
    for name in model_names():
        assert name in table.stdout
        assert main(["evaluate", name, "-e", "2", "--max-steps", "5", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["episodes"] == 2


# What they are to reach, in 10,000 episodes: inputs shuffled again every so many steps, and so many of noise.
ROBUST = {
    "cartpole-invariant": {25: 330, 50: 400, 100: 450, 200: 480, 500: 520, None: 560},
    "cartpole-v1-invariant": {25: 550, 50: 650, 100: 720, 200: 800, 500: 870, None: 933},
}
NOISE = {"cartpole-invariant": {5: 550, 25: 545}, "cartpole-v1-invariant": {5: 913, 25: 822}}


@pytest.mark.parametrize("n_episodes", [120, pytest.param(500, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ROBUST)
def test_invariant_models_hardly_mind_reshuffles_and_noise(name, n_episodes):
    policy, params = ps.load_model(name)
    task = task_from_config(describe_model(name)["task"]).plain
    conditions = [({"reshuffle_every": every}, target) for every, target in ROBUST[name].items()]
    conditions += [({"n_noise": count}, target) for count, target in NOISE[name].items()]
    for changes, target in conditions:
        found = ps.evaluate(policy, params, task.altered(changes, {}), n_episodes, seed=1)
        assert found.mean > target - 3 * found.std / np.sqrt(n_episodes), changes


@pytest.mark.parametrize("name", ROBUST)
def test_invariant_models_survive_what_happens_on_the_page(name, monkeypatch):
    policy, params = ps.load_model(name)
    task = task_from_config(describe_model(name)["task"]).plain
    if task.version != "v1":  # whose long episode is none that they must survive
        monkeypatch.setattr(survival, "LONG", 1000)
    *rows, long = survival.survival(policy, params, task, 40, seed=1)
    for row in rows:
        assert row["after"] >= 0.95 * row["before"] > 10, row
    if task.version == "v1":
        assert min(row["before"] for row in rows) >= 38 and long["after"] >= 39


def test_what_is_lived_through_before_anything_happens_is_lived_through_once(monkeypatch):
    """It is what each of the events would have begun with."""
    monkeypatch.setattr(survival, "AT", 250)
    monkeypatch.setattr(survival, "AFTER", 60)
    monkeypatch.setattr(survival, "LONG", 9)
    events = [dataclasses.replace(event, at=250 if event.at else 0) for event in survival.EVENTS]
    monkeypatch.setattr(survival, "EVENTS", events)
    policy, params = ps.load_model("cartpole-invariant-small")
    task = ps.CartPoleSwingUp("v1")
    *rows, _ = survival.survival(policy, params, task, 12, seed=1)
    begun = survival._Lives(policy, params, task, 12, seed=1)
    begun.go_on(events[0], 250)
    for row, event in zip(rows, events):
        alone, other = survival._Lives(policy, params, task, 12, seed=1), begun.copy()
        for lives in (alone, other) if event.at else (alone,):
            lives.go_on(event, 310)
        if event.at:
            np.testing.assert_array_equal(other._earned, alone._earned)
        before, after = alone.upright()
        assert (row["before"], row["after"]) == (before.sum(), (before & after).sum()), row
    assert len({row["after"] for row in rows}) > 2
