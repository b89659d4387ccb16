"""What `pisensory evaluate` says beside its scores, and several models in one table."""

import dataclasses
import json

import numpy as np
import pytest

import pisensory as ps
from pisensory.cli import evaluate as command
from pisensory.cli import main
from pisensory.cli.describe import describe_inputs, describe_task

FEW = ["-e", "6", "-j", "1", "--max-steps", "40"]


def run(capsys, *words):
    code = main(["evaluate", *map(str, words)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_scores_stand_beside_the_task_and_what_is_done_to_the_inputs(capsys):
    code, table, _ = run(capsys, "cartpole-invariant", *FEW)
    assert code == 0 and table.isascii() and "\x1b" not in table
    assert table.splitlines()[2].startswith("cartpole-invariant  ")
    assert table.splitlines()[4:6] == ["task: harder, at most 40 steps", "inputs: in order"]
    perturbed = [
        "--task=v1", "--shuffle", "--reshuffle-every=20..30", "--noise-features=3", "--noise-std=0.5",
        "--noise-kind=walk", "--copies=2", "--dropped=1,4", "--delay=7", "--delayed=2", "--push=-0.5..1",
        "--push-at=5", "--push-steps=9", "--removed=0.25",
    ]  # fmt: skip
    _, table, _ = run(capsys, "cartpole-invariant", *FEW, *perturbed)
    assert "\ntask: v1, at most 40 steps\n" in table
    assert (
        "\ninputs: shuffled at the start of every episode, shuffled every 20 to 30 steps, 3 of walk noise added, "
        "deviation 0.5, each given 2 times, number 1 and number 4 dropped, number 2 late by 7 steps, "
        "actions pushed by -0.5 to 1 from step 5 for 9 steps, a share of 0.25 taken away\n"
    ) in table
    _, line, _ = run(capsys, "cartpole-invariant", *FEW, *perturbed, "--json")
    found = json.loads(line)
    assert f"\ninputs: {found['inputs']}\n" in table and found["scored_on"] == "v1, at most 40 steps"
    assert found["task"]["perturbation"]["removed"] == 0.25


def test_nothing_that_is_done_goes_unsaid():
    done = {
        "shuffle": True, "reshuffle_every": 3, "n_noise": 1, "n_copies": 2, "dropped": (0,), "delay": 1, "push": 0.5,
        "removed": 0.5,
    }  # fmt: skip
    more = {"noise_std": ("n_noise", 0.2), "noise_kind": ("n_noise", "walk"), "delayed": ("delay", 1)}
    more.update({"push_at": ("push", 3), "push_steps": ("push", 4)})
    assert {*done, *more} == {field.name for field in dataclasses.fields(ps.Perturbation)}

    def say(**settings):
        return describe_inputs(ps.CartPoleSwingUp(perturbation=ps.Perturbation(**settings)))

    assert len({say(), *(say(**{name: value}) for name, value in done.items())}) == len(done) + 1
    for name, (needed, value) in more.items():
        assert say(**{needed: done[needed]}) != say(**{needed: done[needed], name: value}), name


def test_settings_and_parts_of_a_task_are_told():
    assert describe_task(ps.GymTask("CartPole-v1", max_steps=9)) == "CartPole-v1, at most 9 steps"
    mixture = ps.Mixture((ps.CartPoleSwingUp(), ps.CartPoleSwingUp("v1", perturbation=ps.Perturbation(n_noise=2))))
    assert describe_task(mixture) == "mixture; 1: harder; 2: v1 n_noise=2"
    assert describe_inputs(mixture) == "as each part says"
    pytest.importorskip("Box2D")
    assert describe_task(ps.CarRacingTask(background="noise:1")).endswith(", at most 1000 steps, background noise:1")


def test_several_models_have_a_row_each(capsys, tmp_path):
    ps.save_policy(tmp_path / "mine.npz", *ps.load_model("cartpole-mlp"), task=ps.CartPoleSwingUp().config)
    np.savez(tmp_path / "bare.npz", params=ps.load_model("cartpole-invariant-small")[1])
    models = ["cartpole-v1-linear", tmp_path / "mine.npz", "cartpole-mlp", tmp_path / "bare.npz", "cartpole-mlp"]
    code, table, _ = run(capsys, *models, *FEW)
    assert code == 0
    rows = {line.split()[0]: line.split()[1:] for line in table.splitlines()[2:6]}
    assert list(rows) == list(dict.fromkeys(map(str, models)))
    for name, row in rows.items():
        alone = run(capsys, name, *FEW)[1].splitlines()[2].split()
        assert alone == [name, *row]
    assert "\ntask: v1, at most 40 steps (cartpole-v1-linear)\n" in table
    assert table.count("\ntask: harder, at most 40 steps (") == 1 and table.count("\ninputs: ") == 1
    assert "6 episodes of each of 4 models in" in table
    lines = [json.loads(line) for line in run(capsys, *models, *FEW, "--json")[1].splitlines()]
    assert [line["model"] for line in lines] == list(rows)
    assert [f"{line['mean']:.1f}" for line in lines] == [row[0] for row in rows.values()]
    assert [line["scored_on"][:2] for line in lines] == ["v1", "ha", "ha", "ha"]
    _, table, _ = run(capsys, *models, *FEW, "--task", "v1")
    assert table.count("\ntask: v1, at most 40 steps\n") == 1


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["cartpole-mpl"], 1, "there is no file cartpole-mpl"),
        (["cartpole-v1-mlp", "-n", "2"], 2, "cartpole-v1-mlp: the policy takes 5 inputs but the task gives 7"),
        (["cartpole-v1-linear", "--dropped", "5"], 2, "--dropped must be inputs of the task, 0 to 4, got 5"),
        (["cartpole-v1-linear", "-e", "0"], 2, "--episodes must be a whole number of at least 1, got 0"),
    ],
)
def test_a_wrong_one_is_found_before_any_is_scored(capsys, monkeypatch, words, code, message):
    begun = []
    monkeypatch.setattr(command, "open_executor", lambda *_: begun.append(1))
    found, out, error = run(capsys, "cartpole-invariant", *words)
    assert (found, out, begun) == (code, "", [])
    assert message in error


def test_scores_do_not_depend_on_the_number_of_jobs(capsys):
    told = []
    for jobs in (["-j", "1"], ["-j", "2"], []):
        lines = run(capsys, "cartpole-invariant", "cartpole-mlp", "-e", "40", "--max-steps", "30", "--json", *jobs)[1]
        told.append([{**json.loads(line), "seconds": 0} for line in lines.splitlines()])
    assert told[0] == told[1] == told[2]
