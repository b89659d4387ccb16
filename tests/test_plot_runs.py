"""`pisensory plot` of trainings in stages, of several seeds, of chosen metrics, and how runs are called."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import pisensory as ps
from pisensory.cli import main
from pisensory.cli import plot as command
from pisensory.cloning import recipe
from pisensory.figures import join_stages, learning_curves, read_curve, read_stages, settings_but_seed

pytest.importorskip("matplotlib")

TASK = ps.CartPoleSwingUp("v1", max_steps=20)
FEW = {"generations": 3, "n_eval_episodes": 2, "eval_every": 2}
EVOLVE = {**FEW, "population_size": 4, "n_episodes": 2}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    policy = ps.InvariantPolicy(n_embeddings=2, proj_dim=2, hidden_size=2)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(recipe, "_TEACHING", {**recipe._TEACHING, "population_size": 4, "n_episodes": 2})
        patched.setattr(recipe, "_CLONING", {**recipe._CLONING, "updates": 2, "batch_size": 4, "windows": 4})
        for seed in (1, 2):
            taught = {"teacher_generations": 1 + seed, "clone_rounds": 2, "seed": seed}
            ps.train_with_teacher(policy, TASK, folder / f"taught-{seed}", **taught, **EVOLVE)
    for seed, sigma in ((1, 0.1), (2, 0.1), (3, 0.1), (1, 0.5)):
        ps.train(ps.MLPPolicy(), TASK, folder / f"sigma-{sigma}" / f"seed-{seed}", seed=seed, sigma0=sigma, **EVOLVE)
    return folder


@pytest.fixture
def drawn(monkeypatch):
    """The curves and the figure of each `pisensory plot`."""
    seen = []

    def draw(curves, *rest):
        figure = learning_curves(curves, *rest)
        seen.append((curves, figure))
        return figure

    monkeypatch.setattr(command, "learning_curves", draw)
    return seen


def plot(*words):
    assert main(["plot", *map(str, words)]) == 0


def test_stages_stand_end_to_end(runs, drawn, tmp_path):
    plot(runs / "taught-1", "-o", tmp_path / "a.png")
    ((curves, figure),) = drawn
    assert [curve.name for curve in curves] == ["teacher", "clone", "evolve"]
    assert [curve.unit for curve in curves] == ["generation", "round", "generation"]
    folders = [runs / "taught-1" / "teacher", runs / "taught-1" / "clone", runs / "taught-1"]
    alone = [read_curve(folder) for folder in folders]
    assert [list(curve.columns[curve.unit]) for curve in curves] == [[1, 2], [3, 4], [5, 6, 7]]
    for column in ("env_steps", "elapsed"):
        ends = np.cumsum([curve.columns[column][-1] for curve in alone])
        np.testing.assert_allclose([curve.columns[column][-1] for curve in curves], ends)
        assert alone[2].columns[column][-1] < curves[2].columns[column][0]
    np.testing.assert_array_equal(curves[2].columns["mean"], alone[2].columns["mean"])
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"teacher: mean", "clone: held out", "clone: loss", "evolve: held out"} <= set(labels)


def test_stages_that_have_not_begun_are_left_out_and_a_clone_is_followed_by_its_evolution(runs, tmp_path):
    begun = tmp_path / "begun"
    shutil.copytree(runs / "taught-1" / "teacher", begun / "teacher")
    shutil.copy(runs / "taught-1" / "recipe.json", begun)
    assert list(read_stages(begun)) == ["teacher"]
    cloned = tmp_path / "cloned"
    shutil.copytree(runs / "taught-1" / "clone", cloned)
    assert list(read_stages(cloned)) == [""]
    shutil.copytree(runs / "sigma-0.1" / "seed-1", cloned / "evolve")
    assert list(read_stages(cloned)) == ["clone", "evolve"]
    (begun / "teacher" / "metrics.csv").unlink()
    with pytest.raises(ps.PisensoryError, match="teacher has no line of metrics yet"):
        read_stages(begun)


def test_runs_that_differ_in_their_seeds_are_one_line_with_a_band(runs, drawn, tmp_path):
    folders = [runs / "sigma-0.1" / f"seed-{seed}" for seed in (1, 2, 3)]
    plot(*folders, runs / "sigma-0.5" / "seed-1", "--over-seeds", "-o", tmp_path / "a.png")
    (together, other), figure = drawn[0]
    assert (together.name, other.name) == ("sigma-0.1/seed-* (3 runs)", "sigma-0.5/seed-1")
    values = np.stack([read_curve(folder).columns["mean"] for folder in folders])
    assert len({*values[:, -1]}) == 3
    np.testing.assert_allclose(together.columns["mean"], values.mean(axis=0))
    np.testing.assert_array_equal(together.low["mean"], values.min(axis=0))
    np.testing.assert_array_equal(together.high["mean"], values.max(axis=0))
    assert other.low == {}
    assert len(figure.axes[0].collections) == 3  # a band for each of mean, max and held out
    band = figure.axes[0].collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == values.min() and band[:, 1].max() == values.max()
    plot(*folders, "-o", tmp_path / "a.png")
    assert [curve.name for curve in drawn[1][0]] == ["seed-1", "seed-2", "seed-3"]


def test_stages_of_several_seeds_go_as_far_as_all_have_got(runs):
    folders = [runs / "taught-1", runs / "taught-2"]  # teachers of 2 and of 3 generations
    for folder in folders:
        settings = json.loads((folder / "recipe.json").read_text())
        settings["training"]["teacher_generations"] = 3
        (folder / "recipe.json").write_text(json.dumps(settings))
    assert len({settings_but_seed(folder) for folder in folders}) == 1
    teacher, clone, evolve = join_stages([read_stages(folder) for folder in folders], "taught")
    assert list(teacher.columns["generation"]) == [1, 2]
    assert list(clone.columns["round"]) == [3.5, 4.5]
    assert (clone.name, evolve.name) == ("taught, clone", "taught, evolve")
    ends = [sum(stage.columns["elapsed"][-1] for stage in read_stages(folder).values()) for folder in folders]
    np.testing.assert_allclose(evolve.columns["elapsed"][-1], np.mean(ends))


def test_metrics_are_chosen_and_each_has_its_axes(runs, drawn, tmp_path, capsys):
    plot(runs / "taught-1", "--metrics", "held_out, identify_loss,sigma", "-o", tmp_path / "a.svg")
    figure = drawn[0][1]
    assert [axes.get_ylabel().split()[0] for axes in figure.axes[::2]] == ["return", "mean", "sigma"]
    assert [axes.get_yscale() for axes in figure.axes[::2]] == ["linear", "log", "log"]
    assert {line.get_label() for line in figure.axes[0].lines} == {
        f"{stage}: held out" for stage in ("teacher", "clone", "evolve")
    }
    sigma = read_curve(runs / "taught-1" / "teacher").columns["sigma"]
    np.testing.assert_array_equal(figure.axes[4].lines[0].get_ydata(), sigma)
    for wrong in ("", "held_out,nothing"):
        assert main(["plot", str(runs / "taught-1"), "--metrics", wrong, "-o", str(tmp_path / "no.png")]) == 2
        error = capsys.readouterr().err
        assert "--metrics must be of what these runs measure, mean," in error and repr(wrong[9:]) in error
    assert not (tmp_path / "no.png").exists()


def test_parts_of_a_mixture_are_metrics_too(tmp_path, drawn):
    mixture = ps.Mixture((TASK, ps.CartPoleSwingUp(max_steps=20)))
    ps.train(ps.MLPPolicy(), mixture, tmp_path / "run", **EVOLVE)
    plot(tmp_path / "run", "--metrics", "held_out,2: harder", "-o", tmp_path / "a.png")
    assert [line.get_label() for line in drawn[0][1].axes[0].lines] == ["run: held out", "run: 2: harder"]


def test_names_are_short_and_distinct():
    def names(*texts):
        return list(command.distinct_names([Path(text) for text in texts]).values())

    assert names("/a/b/c") == ["c"]
    assert names("/a/x/seed-1", "/a/y/seed-1", "/a/y/seed-2") == ["x/seed-1", "y/seed-1", "y/seed-2"]
    assert names("/a/b/c", "/b/c") == ["a/b/c", "/b/c"]
    assert command.group_name(["seed-1"]) == "seed-1"
    assert command.group_name(["x/seed-1", "x/seed-20"]) == "x/seed-* (2 runs)"
    assert command.group_name(["a", "b"]) == "a, b (2 runs)"


def test_trainings_in_stages_have_a_colour_each(runs, drawn, tmp_path):
    plot(runs / "taught-1", runs / "taught-2", "--metrics", "held_out", "-o", tmp_path / "a.png")
    curves, figure = drawn[0]
    assert [curve.name for curve in curves[:4]] == [
        "taught-1, teacher", "taught-1, clone", "taught-1, evolve", "taught-2, teacher",
    ]  # fmt: skip
    colors = [line.get_color() for line in figure.axes[0].lines]
    assert len(set(colors[:3])) == len(set(colors[3:])) == 1 and colors[0] != colors[3]
    plot(runs / "taught-1", runs / "taught-1" / ".", "-o", tmp_path / "a.png")
    assert [curve.name for curve in drawn[1][0]] == ["teacher", "clone", "evolve"]
