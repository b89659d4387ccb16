"""Sweeps, end to end: what is run, skipped, stopped, resumed, and averaged."""

import csv
import json
import pathlib
import signal
import sys
import time

import numpy as np
import pytest
from warm import Started, pisensory

import pisensory as ps
from pisensory.cli import main
from pisensory.sweep import csv_text, mean_over_seeds, read_plan, table_text
from pisensory.sweep.plan import Plan

pytest.importorskip("matplotlib")

DOCS = pathlib.Path(__file__).parent.parent / "docs" / "sweeps"

SMALL = """
command = "train {policy}"
seeds = [0, 3]
[options]
task = "v1"
max-steps = 20
preset = "paper"
generations = 2
population-size = 4
episodes = 2
eval-episodes = 4
[grid]
policy = ["linear", "lstm"]
[scores."in order"]
episodes = 5
[scores.shuffled]
episodes = 5
shuffle = true
"""
LONG = """
command = "train linear"
[options]
task = "v1"
max-steps = 20
preset = "paper"
generations = 12
population-size = 4
episodes = 2
eval-episodes = 4
eval-every = 1
"""
FEW_SCORES = pathlib.Path(__file__).with_name("few_scores.py")
# For `--load`: the sixth generation of a run waits until there is a file GO_ON.
WAITING = """
import os, time
from pisensory.tasks import CartPoleSwingUp

start = CartPoleSwingUp._start
def wait(self, seed, episodes):
    while len(seed) == 3 and seed[2] == 5 and not os.path.exists(os.environ["GO_ON"]):
        time.sleep(0.01)
    return start(self, seed, episodes)
CartPoleSwingUp._start = wait
"""


def sweep(file, *arguments):
    return pisensory("--load", FEW_SCORES, "sweep", file, *arguments, timeout=600)


def write(path, text):
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    file = write(folder / "small.toml", SMALL)
    result = sweep(file, "-o", folder / "out", "-j", "2")
    assert result.returncode == 0, result.stderr
    return file, folder / "out", result


def test_table_has_the_means_of_what_evaluate_gives(swept):
    _, out, result = swept
    rows = list(csv.DictReader((out / "table.csv").open()))
    assert [(row["row"], row["score"]) for row in rows] == [
        (f"policy={policy}", score) for policy in ("linear", "lstm") for score in ("in order", "shuffled")
    ]
    for row in rows:
        scores = []
        for seed in (0, 3):
            policy, params = ps.load_policy(out / row["row"] / f"seed-{seed}" / "best.npz")
            perturbation = ps.Perturbation(shuffle=row["score"] == "shuffled")
            task = ps.CartPoleSwingUp("v1", max_steps=20, perturbation=perturbation)
            scores.append(ps.evaluate(policy, params, task, 5).mean)
        np.testing.assert_allclose([float(value) for value in row["by_seed"].split()], scores, rtol=1e-5)
        np.testing.assert_allclose(float(row["mean"]), np.mean(scores), rtol=1e-5)
        assert "--seed=0" in row["command"] and "RUN_DIR" in row["command"]
    assert (out / "table.png").read_bytes().startswith(b"\x89PNG")
    assert "policy=lstm" in result.stdout


def test_runs_are_ordinary_ones_and_finished_ones_are_left_alone(swept):
    file, out, result = swept
    config = json.loads((out / "policy=lstm" / "seed-3" / "config.json").read_text())
    assert config["policy"]["kind"] == "lstm" and config["training"]["seed"] == 3
    before = {path: path.stat().st_mtime_ns for path in out.glob("*/*/*")}
    again = sweep(file, "-o", out)
    assert again.returncode == 0 and again.stdout == result.stdout
    assert {path: path.stat().st_mtime_ns for path in out.glob("*/*/*")} == before


def test_dry_run_prints_commands_and_makes_nothing(swept, tmp_path, capsys):
    file, _, _ = swept
    assert main(["sweep", str(file), "-o", str(tmp_path / "out"), "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 12 and not (tmp_path / "out").exists()
    assert lines[0].startswith(f"pisensory train linear {tmp_path}/out/policy=linear/seed-0 --task=v1")
    assert lines[2].endswith("--episodes=5 --shuffle")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What the run of LONG finds, if nobody stops it."""
    settings = {"generations": 12, "population_size": 4, "n_episodes": 2, "n_eval_episodes": 4, "eval_every": 1}
    policy, task = ps.MLPPolicy(hidden_sizes=()), ps.CartPoleSwingUp("v1", max_steps=20)
    return ps.train(policy, task, tmp_path_factory.mktemp("whole"), **settings).params


@pytest.mark.parametrize("file", sorted(DOCS.glob("*.toml")), ids=lambda file: file.stem)
def test_sweeps_of_the_docs_are_ones(file, capsys):
    assert main(["sweep", str(file), "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("pisensory ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_sweeps_go_on_and_end_as_one_that_was_not(tmp_path, whole, number, monkeypatch):
    file, out = write(tmp_path / "long.toml", LONG), tmp_path / "out"
    run_dir = out / "train-linear" / "seed-0"
    monkeypatch.setenv("GO_ON", str(tmp_path / "go on"))
    waiting = write(tmp_path / "waiting.py", WAITING)
    command = ["--load", FEW_SCORES, "--load", waiting, "sweep", file, "-o", out, "-j", "1"]
    process = Started(command)
    wait_for(lambda: (run_dir / "metrics.csv").exists() and len((run_dir / "metrics.csv").read_text().split()) > 5)
    process.send_signal(number)
    _, said = process.communicate(timeout=300)
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number)
    assert ("the same command goes on from here" in said) == (number != signal.SIGKILL)
    assert not (out / "train-linear" / "seed-0.json").exists()
    wait_for(lambda: (run_dir / "policy.npz").exists())  # written as the run is stopped, with its sweep gone too
    n_done = len((run_dir / "metrics.csv").read_text().split()) - 1
    assert 4 < n_done < 12
    time.sleep(0.5 if number == signal.SIGKILL else 0)  # until its lock is given back
    (tmp_path / "go on").touch()
    again = pisensory(*command, timeout=600)
    assert again.returncode == 0, again.stderr
    np.testing.assert_array_equal(ps.load_policy(run_dir / "best.npz")[1], whole)


def wait_for(condition):
    end = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("command = 3", ["command must be text, got 3"]),
        ("command = 'fly'", ["command must begin with train, clone, evaluate, got 'fly'"]),
        ("seeds = [1]", ["command is missing"]),
        ("command = 'train mlp'\nseeds = [1, -1]", ["seeds must be whole numbers", "-1"]),
        ("command = 'train mlp'\ncolour = 1", ["no key 'colour'", "got 1", "seeds"]),
        ("command = 'train mlp'\n[grid]\nsigma0 = 0.1", ["grid.sigma0 must be a list", "0.1"]),
        ("command = 'train mlp'\n[grid]\nsigma0 = [0.1, 7]", ["sigma0=7", "--sigma0", "must be", "got 7"]),
        ("command = 'train mlp'\n[options]\nhiden-sizes = 4", ["--hiden-sizes=4", "pisensory train --help"]),
        ("command = 'train mlp'\n[options]\nseed = 4", ["options.seed = 4", "the list 'seeds'", "leave it out"]),
        ("command = 'train mlp'\n[options]\nepisodes = 'x'", ["--episodes", "'x'"]),
        ("command = 'train {net}'", ["{net}", "neither options nor grid"]),
        ("command = 'train mlp'\n[scores.noise]\nnoise-features = 5", ["scores.noise", "takes 5 inputs"]),
        ("command = 'clone mlp nobody'", ["nobody"]),
        ("command = 'train mlp'\n[[rows]]\nname = 'a'\n[[rows]]\nname = 'a'", ["two rows are called 'a'"]),
        ("command = ", ["is no TOML"]),
    ],
)
def test_bad_files_are_refused_before_any_work(tmp_path, capfd, text, messages):
    file = write(tmp_path / "bad.toml", text)
    code = main(["sweep", str(file), "-o", str(tmp_path / "out")])
    said = capfd.readouterr().err
    assert code in (1, 2) and not (tmp_path / "out").exists()
    assert said.count("\n") == 1 and all(message in said for message in messages), said
    assert "bad.toml" in said


def test_below_311_the_error_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 9))
    monkeypatch.setitem(sys.modules, "tomli", None)
    with pytest.raises(ps.MissingExtraError, match=r"tomli.*pisensory\[sweep\]"):
        read_plan(write(tmp_path / "a.toml", SMALL))


def test_a_run_that_fails_is_told_and_others_go_on(tmp_path):
    text = SMALL.replace("seeds = [0, 3]", "seeds = [0]").partition("[scores")[0]
    out = tmp_path / "out"
    blocked = out / "policy=linear" / "seed-0"
    blocked.mkdir(parents=True)
    (blocked / "mine.txt").write_text("no run")
    result = sweep(write(tmp_path / "a.toml", text), "-o", out, "-j", "1")
    assert result.returncode == 1
    assert "1 runs failed" in result.stderr and "is not a run of pisensory" in result.stderr
    assert {row["row"] for row in csv.DictReader((out / "table.csv").open())} == {"policy=lstm"}


def test_evaluate_is_swept_too(tmp_path):
    text = """
        command = "evaluate {model}"
        seeds = [0, 1]
        [options]
        episodes = 4
        max-steps = 30
        [grid]
        model = ["cartpole-v1-mlp", "cartpole-v1-invariant"]
    """
    result = sweep(write(tmp_path / "a.toml", text), "-o", tmp_path / "out", "-j", "1")
    assert result.returncode == 0, result.stderr
    rows = list(csv.DictReader((tmp_path / "out" / "table.csv").open()))
    policy, params = ps.load_model("cartpole-v1-mlp")
    task = ps.CartPoleSwingUp("v1", max_steps=30)
    expected = [ps.evaluate(policy, params, task, 4, seed).mean for seed in (0, 1)]
    np.testing.assert_allclose([float(value) for value in rows[0]["by_seed"].split()], expected, rtol=1e-5)


def test_rows_are_all_combinations_with_options_of_their_own(tmp_path):
    text = """
        command = "train mlp"
        [options]
        sigma0 = 0.1
        hidden_sizes = [4, 4]
        [grid]
        shuffle = [true, false]
        [[rows]]
        name = "a"
        [[rows]]
        name = "b"
        options = {sigma0 = 0.2, hidden-sizes = []}
    """
    plan = read_plan(write(tmp_path / "a.toml", text))
    assert isinstance(plan, Plan) and plan.seeds == [0]
    assert [row.arguments(0, "R") for row in plan.rows] == [
        ["train", "mlp", "R", f"--sigma0={sigma0}", f"--hidden-sizes={sizes}", shuffle, "--seed=0"]
        for sigma0, sizes in ((0.1, "4,4"), (0.2, "none"))
        for shuffle in ("--shuffle", "--no-shuffle")
    ]
    assert [row.name for row in plan.rows][:2] == ["a, shuffle=true", "a, shuffle=false"]


def test_interval_is_that_of_student():
    # Three values: t of two degrees of freedom is 4.303, the standard error 1 / sqrt(3).
    mean = mean_over_seeds([1, 2, 3])
    np.testing.assert_allclose(mean[:3], [2, 2 - 4.303 / 3**0.5, 2 + 4.303 / 3**0.5], rtol=1e-4)
    assert np.isnan(mean_over_seeds([5]).low)
    # Of 51: 2.0086 in any table.
    many = mean_over_seeds(np.arange(51))
    np.testing.assert_allclose(many.high - many.mean, 2.0086 * np.std(np.arange(51), ddof=1) / 51**0.5, rtol=1e-3)
    table = {"a": {"x": mean}, "b": {"y": mean_over_seeds([5])}}
    assert "2.0 (-0.5 to 4.5)" in table_text(table) and "5.0" in table_text(table)
    assert csv_text(table, {"a": "c", "b": "d"}).splitlines()[2] == "b,y,1,5,,,5,d"
