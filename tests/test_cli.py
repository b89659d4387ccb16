"""The command line, end to end, as a user would run it."""

import argparse
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from warm import Started, pisensory

import pisensory as ps
from pisensory.cli import main
from pisensory.cli.arguments import add_options, given, name_options

SMALL = [
    "--preset", "paper", "-m", "4", "-p", "6", "-e", "2", "--eval-every", "2", "--eval-episodes", "8", "-j", "1",
    "--task", "v1", "--max-steps", "20", "--n-embeddings", "4", "--proj-dim", "4", "--hidden-size", "2",
]  # fmt: skip


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    # In a Python of its own, all of it; what comes after is of forks.
    command = [sys.executable, "-m", "pisensory", "train", "invariant", str(folder), *SMALL]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert "4 generations" in result.stdout
    in_order, shuffled = (line.split()[-7:] for line in result.stdout.splitlines()[-2:])
    assert in_order == shuffled
    return folder


def test_train_leaves_a_run_that_evaluate_reads(run_dir):
    names = {path.name for path in run_dir.iterdir() if not path.name.startswith(".")}
    assert names >= {"config.json", "metrics.csv", "checkpoint.npz", "best.npz", "policy.npz"}
    table = pisensory("evaluate", run_dir, "-e", "50")
    assert table.returncode == 0
    assert "50 episodes in" in table.stdout
    plain = json.loads(pisensory("evaluate", run_dir, "-e", "50", "--json").stdout)
    shuffled = json.loads(pisensory("evaluate", run_dir / "best.npz", "-e", "50", "--shuffle", "--json").stdout)
    assert plain["mean"] == shuffled["mean"]
    assert plain["task"]["version"] == "v1"
    policy, params = ps.load_policy(run_dir / "best.npz")
    assert plain["mean"] == ps.evaluate(policy, params, ps.CartPoleSwingUp("v1", max_steps=20), 50).mean


def test_resume_takes_the_settings_of_the_run(run_dir):
    result = pisensory("train", "invariant", run_dir, "-m", "6", "--resume", "-j", "1")
    assert result.returncode == 0, result.stderr
    assert "6 generations" in result.stdout
    again = pisensory("train", "invariant", run_dir)
    assert again.returncode == 1
    assert "already holds a run" in again.stderr
    other = pisensory("train", "invariant", run_dir, "-m", "8", "--resume", "--sigma0", "0.5")
    assert other.returncode == 2
    assert "sigma0: 0.1" in other.stderr


def test_bare_vectors_are_recognised_or_asked_about(tmp_path):
    np.savez(tmp_path / "bare.npz", params=np.zeros(113))
    assert pisensory("evaluate", tmp_path / "bare.npz", "-e", "3", "--max-steps", "20").returncode == 0
    np.savez(tmp_path / "odd.npz", params=np.zeros(50))
    odd = pisensory("evaluate", tmp_path / "odd.npz")
    assert odd.returncode == 2
    assert "50 numbers" in odd.stderr
    assert "--policy" in odd.stderr
    np.savez(tmp_path / "sized.npz", params=np.zeros(ps.MLPPolicy(hidden_sizes=(7,)).n_params))
    sizes = ["--policy", "mlp", "--hidden-sizes", "7"]
    sized = pisensory("evaluate", tmp_path / "sized.npz", *sizes, "-e", "3", "--max-steps", "20")
    assert sized.returncode == 0, sized.stderr


def test_published_weights_score_is_printed(reference):
    path = reference / "weights" / "cartpole_pi.npz"
    result = json.loads(pisensory("evaluate", path, "--episodes", "1000", "--json").stdout)
    assert abs(result["mean"] - 498) < 3 * 421 / np.sqrt(1000)
    assert result["interval_low"] < result["mean"] < result["interval_high"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["evaluate", "missing.npz"], 1, "there is no file missing.npz"),
        (["evaluate", "."], 1, "not a run"),
        (["evaluate", "cartpole-invarient"], 1, "did you mean cartpole-invariant or"),
        (["train", "mlp", "run", "--sigma0", "0"], 2, "--sigma0 must be"),
        (["train", "mlp", "run", "-p", "0"], 2, "--population-size must be"),
        (["train", "mlp", "run", "-n", "-3"], 2, "--noise-features must be"),
        (["train", "mlp", "run", "--reshuffle-every", "0"], 2, "--reshuffle-every must be"),
        (["train", "mlp", "run", "--task", "v7"], 2, "a task must be one of harder, v0, v1"),
        (["train", "mlp", "run", "--gain", "2"], 2, "has no --gain"),
        (["train", "invariant", "run", "--hidden-sizes", "2"], 2, "has no --hidden-sizes"),
        (["train", "mlp", "run", "--hidden-sizes", "two"], 2, "not a list of sizes"),
        (["train", "mlp", "run", "--init-from", "missing.npz"], 1, "there is no file"),
        (["train", "mlp", "/proc/no/run"], 1, "cannot create the folder"),
        (["train", "other", "run"], 2, "invalid choice"),
        ([], 2, "COMMAND"),
    ],
)
def test_mistakes_get_one_clear_message(tmp_path, monkeypatch, capfd, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    try:
        found = main(arguments)
    except SystemExit as stop:  # of argparse
        found = stop.code
    said = capfd.readouterr().err
    assert found == code
    assert message in said
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())


def test_options_are_made_of_what_takes_them():
    def takes(count: int = 3, share: "float | None" = None, window: int = 7, quick: bool = True, other: object = None):
        """Take.

        Args:
            count: things, 100 % of
                them.
            share: of it (a half).
            quick: whether to hurry.
        """

    parser = argparse.ArgumentParser(prog="a")
    parser.add_argument("--window")
    add_options(parser, "some", {"toy": takes}, n_jobs=2)
    text = " ".join(parser.format_help().split())
    assert "toy: things, 100 % of them (default: 3)" in text and "toy: of it (default: a half)" in text
    options = parser.parse_args(["--count", "4", "--toy-window", "5", "--no-quick"])
    assert given(options, "some") == {"count": 4, "window": 5, "quick": False} and options.window is None
    assert name_options("count must be 1, n_jobs must", options) == "--count must be 1, n_jobs must"


def test_messages_name_options_but_in_what_they_quote():
    options = argparse.Namespace(**{"task.max_steps": 1, "run.n_noise": 2})
    message = "a policy's max_steps is 3, got 'pong max_steps=1', \"n_noise\", or the task's: leave out n_noise"
    expected = (
        "a policy's --max-steps is 3, got 'pong max_steps=1', \"n_noise\", or the task's: leave out --noise-features"
    )
    assert name_options(message, options) == expected


def test_help_shows_the_defaults():
    text = " ".join(pisensory("train", "--help").stdout.split())
    for default in ("default: 1000", "default: 256", "default: 16", "default: 0.1", "default: zeros"):
        assert default in text


@pytest.mark.parametrize(("signal_number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_leave_a_checkpoint_and_say_how_to_go_on(tmp_path, signal_number, code):
    command = ["train", "mlp", tmp_path / "run", "-j", "1", "-p", "16", "-e", "2", "-m", "9999", "--max-steps", "20"]
    process = Started(command)
    metrics = tmp_path / "run" / "metrics.csv"
    while not metrics.exists() or metrics.read_text().count("\n") < 4:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal_number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert "--resume" in errors
    assert "Traceback" not in errors
    done = metrics.read_text().count("\n") - 1
    resumed = pisensory("train", "mlp", tmp_path / "run", "--resume", "-m", done + 1, "-j", "1")
    assert resumed.returncode == 0, resumed.stderr
    assert f"{done + 1} generations" in resumed.stdout
