"""What people look at of agents that see: videos, the report's figure, and what the command line makes of them."""

import dataclasses
import json

import numpy as np
import pytest

import pisensory as ps
from pisensory.cli import main
from pisensory.report import gaze
from pisensory.report.scores import Subject
from pisensory.video import write_video

pytest.importorskip("Box2D")
pytest.importorskip("matplotlib")

SMALL = ps.PatchPolicy(grid=(4, 4), proj_dim=4, n_votes=3, lstm_size=4)
OTHER = ps.AttentionAgentPolicy(vote_dim=2, n_votes=3, lstm_size=4)


def params(policy):
    return policy.initial(np.random.default_rng(0))


@pytest.fixture(autouse=True)
def few_moments(monkeypatch):
    monkeypatch.setattr(gaze, "MOMENTS", (1, 3))


def test_video_of_two_views_side_by_side(tmp_path):
    task = ps.CarRacingTask(max_steps=4, perturbation=ps.Perturbation(shuffle=True))
    models = {"one": (SMALL, params(SMALL)), "other": (OTHER, params(OTHER))}
    scores = write_video(tmp_path / "film.gif", models, task, seed=1, steps_per_frame=2, width=320)
    from PIL import Image

    with Image.open(tmp_path / "film.gif") as film:
        assert film.size[0] == 320
        assert film.n_frames >= 3
    seen = ps.rollout(SMALL, params(SMALL)[None], task, 1, seed=1).returns[0, 0]
    assert scores[0] == seen
    color = dataclasses.replace(task, view="color")
    assert scores[1] == ps.rollout(OTHER, params(OTHER)[None], color, 1, seed=1).returns[0, 0]


def test_video_of_pong_with_patches_removed(tmp_path):
    pytest.importorskip("ale_py")
    policy = ps.PatchPolicy(n_actions=6, grid=(4, 4), proj_dim=4, head="dense", head_sizes=(3,), discrete=True)
    task = ps.PongTask(max_steps=4, perturbation=ps.Perturbation(removed=0.5, shuffle=True))
    write_video(tmp_path / "film.gif", {"pong": (policy, params(policy))}, task, steps_per_frame=2, width=320)
    assert (tmp_path / "film.gif").stat().st_size > 1000


def test_gaze_finds_the_same_latent_code_in_any_order():
    found = gaze.study_gaze(Subject("small", SMALL, params(SMALL), ps.CarRacingTask()), seed=2)
    assert found["largest_difference"] == 0
    assert [moment["step"] for moment in found["moments"]] == [1, 3]
    assert np.shape(found["moments"][0]["attention"]) == (16, 16)
    np.testing.assert_allclose(np.sum(found["moments"][0]["attention"]), 1, atol=1e-2)


def test_only_agents_that_see_patches_and_attend_have_a_gaze():
    assert gaze.can_gaze(Subject("small", SMALL, params(SMALL), ps.CarRacingTask()))
    assert not gaze.can_gaze(Subject("other", OTHER, params(OTHER), ps.CarRacingTask(view="color")))
    pole = ps.InvariantPolicy()
    assert not gaze.can_gaze(Subject("pole", pole, params(pole), ps.CartPoleSwingUp()))


def test_report_shows_where_an_agent_looks(tmp_path):
    path = tmp_path / "small.npz"
    ps.save_policy(path, SMALL, params(SMALL), task=ps.CarRacingTask(max_steps=4).config)
    assert main(["report", str(path), "-e", "1", "-o", str(tmp_path / "report"), "-j", "1"]) == 0
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["gaze"][0]["largest_difference"] == 0
    assert 'id="gaze"' in (tmp_path / "report" / "report.html").read_text()


def test_command_line_knows_views_and_settings(tmp_path, capsys):
    np.savez(tmp_path / "agent.npz", params=params(ps.AttentionAgentPolicy.car_racing()))
    file = str(tmp_path / "agent.npz")
    asked = ["--task", "carracing", "--max-steps", "3", "-e", "1", "-j", "1"]
    assert main(["evaluate", file, *asked, "--camera", "hull", "--background", "noise:1"]) == 0
    assert "agent.npz" in capsys.readouterr().out
    assert main(["evaluate", file, *asked, "--sticky"]) == 2
    assert "no --sticky" in capsys.readouterr().err
    assert main(["evaluate", "cartpole-linear", "--camera", "hull", "-e", "1"]) == 2
