"""Learning curves: what is drawn is what the runs have measured."""

import numpy as np
import pytest
from warm import pisensory

import pisensory as ps
from pisensory.figures import as_svg, learning_curves, read_curve
from pisensory.runs import read_metrics

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    task = ps.CartPoleSwingUp("v1", max_steps=30)
    small = {"population_size": 4, "n_episodes": 2, "n_eval_episodes": 4, "eval_every": 3}
    ps.train(ps.MLPPolicy(), task, folder / "trained", generations=7, **small)
    policy = ps.MLPPolicy(hidden_sizes=())
    ps.clone(
        policy, (policy, np.ones(6)), task, folder / "cloned", rounds=3, teacher_rounds=1, updates=2, batch_size=4,
        eval_every=1, n_eval_episodes=4, window=10,
    )  # fmt: skip
    return folder


def test_curves_are_what_was_measured(runs):
    trained, cloned = read_curve(runs / "trained"), read_curve(runs / "cloned", "the clone")
    assert (trained.name, trained.unit) == ("trained", "generation")
    assert (cloned.name, cloned.unit) == ("the clone", "round")
    rows = read_metrics(runs / "trained")
    np.testing.assert_array_equal(trained.columns["mean"], [float(row["mean"]) for row in rows])
    held_out = np.isfinite(trained.columns["held_out"])
    assert list(held_out) == [row["held_out"] != "" for row in rows]
    assert 0 < held_out.sum() < 7


def test_figure_shows_them_over_generations_and_time(runs):
    curves = [read_curve(runs / "trained"), read_curve(runs / "cloned")]
    figure = learning_curves(curves)
    over_generations, over_time = figure.axes[:2]
    lines = {line.get_label(): line for line in over_generations.lines}
    assert set(lines) == {"trained: mean", "trained: max", "trained: held out", "cloned: held out"}
    np.testing.assert_array_equal(lines["trained: max"].get_ydata(), curves[0].columns["max"])
    np.testing.assert_array_equal(lines["trained: max"].get_xdata(), np.arange(1, 8))
    times = {line.get_label(): line for line in over_time.lines}["trained: mean"].get_xdata()
    np.testing.assert_allclose(times, curves[0].columns["elapsed"])  # seconds, of so short a run
    assert len(figure.axes) == 4  # the clone's loss has axes of its own
    assert len(learning_curves(curves[:1]).axes) == 2
    assert as_svg(figure, "a") == as_svg(learning_curves(curves), "a")


def test_figure_shows_them_over_environment_steps(runs):
    curves = [read_curve(runs / "trained"), read_curve(runs / "cloned")]
    axes = learning_curves(curves, over_steps=True).axes
    assert axes[2].get_xlabel() == "million environment steps"
    for number, curve in enumerate(curves):
        line = axes[number * 2].lines[0]
        np.testing.assert_allclose(line.get_xdata(), curve.columns["env_steps"] / 1e6)
    assert curves[1].columns["env_steps"][-1] == 4 * 30


def test_command_writes_what_the_suffix_says_and_tells_mistakes(runs, tmp_path):
    (tmp_path / "empty").mkdir()
    for name, start in (("curves.png", b"\x89PNG"), ("curves.svg", b"<?xml")):
        made = pisensory("plot", runs / "trained", runs / "cloned", "-o", name, cwd=tmp_path)
        assert made.returncode == 0, made.stderr
        assert (tmp_path / name).read_bytes().startswith(start)
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    (fresh / "config.json").write_bytes((runs / "trained" / "config.json").read_bytes())
    header = (runs / "trained" / "metrics.csv").read_text().splitlines()[0]
    for metrics, arguments, code, message in (
        (None, ["empty"], 1, "empty is not a run of pisensory"),
        (None, ["missing"], 1, "missing is not there"),
        (None, ["fresh"], 1, "no line of metrics yet"),
        (header + "\n", ["fresh"], 1, "no line of metrics yet"),
        ("a,b\n", ["fresh"], 1, "is not the metrics of a run"),
        (None, [str(runs / "trained"), "-o", "curves.txt"], 2, "must end in .png or .svg"),
        (None, [str(runs / "trained"), "-o", "no/curves.png"], 1, "cannot write"),
    ):
        if metrics is not None:
            (fresh / "metrics.csv").write_text(metrics)
        wrong = pisensory("plot", *arguments, cwd=tmp_path)
        assert (wrong.returncode, message in wrong.stderr) == (code, True), wrong.stderr
        assert "Traceback" not in wrong.stderr
