"""Videos: what they show, and that it is the episode that a rollout has."""

import dataclasses
import sys

import numpy as np
import pytest
from warm import pisensory

import pisensory as ps
from pisensory.recording import record
from pisensory.tasks.base import START, episode_generator
from pisensory.tasks.cartpole import initial_state
from pisensory.video import write_video
from pisensory.video.frames import Actor, Film

image = pytest.importorskip("PIL.Image")
ffmpeg = pytest.importorskip("imageio_ffmpeg")
INVARIANT, MLP = (ps.load_model(f"cartpole-v1-{kind}") for kind in ("invariant", "mlp"))
NOISY = ps.Perturbation(shuffle=True, reshuffle_every=20, n_noise=2)


def read_frames(path):
    """Return the frames (frame, height, width, 3) of a video; a GIF's as often as they are shown."""
    if path.suffix == ".mp4":
        about, *pictures = ffmpeg.read_frames(str(path))
        width, height = about["size"]
        return np.array([np.frombuffer(picture, np.uint8).reshape(height, width, 3) for picture in pictures])
    frames = []
    with image.open(path) as gif:
        for number in range(gif.n_frames):
            gif.seek(number)
            frames += [np.asarray(gif.convert("RGB"))] * round(gif.info["duration"] / 40)
    return np.array(frames)


INPUTS = ["--seed", 5, "--max-steps", 41, "--reshuffle-every", 20]


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """What `evaluate` says of the one episode of each model, by its name."""
    names, folder = ("cartpole-v1-invariant", "cartpole-v1-mlp"), tmp_path_factory.mktemp("scored")
    said = (pisensory("evaluate", name, "-e", 1, *INPUTS, cwd=folder).stdout for name in names)
    return {name: text.splitlines()[2].split()[1] for name, text in zip(names, said)}


@pytest.mark.parametrize("ending", ["mp4", "gif"])
def test_command_writes_a_video_of_the_episode_that_evaluate_scores(tmp_path, ending, scored):
    options = [*INPUTS, "--width", 320, "--side-by-side", "cartpole-v1-mlp"]
    result = pisensory("video", "cartpole-v1-invariant", "-o", f"film.{ending}", *options, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert [path.name for path in tmp_path.iterdir()] == [f"film.{ending}"]
    frames = read_frames(tmp_path / f"film.{ending}")
    assert len(frames) == 22 + 25  # steps 0, 2, ..., 40, 41, and a second standing still
    assert frames.shape[2] == 320
    moving = np.abs(np.diff(frames[:22].astype(int), axis=0)).max(axis=(1, 2, 3))
    assert (moving > 50).all()
    for name, score in scored.items():
        assert f"{name} {score}" in result.stdout


@pytest.mark.parametrize("model", [INVARIANT, MLP], ids=["invariant", "mlp"])
@pytest.mark.parametrize("version", ["v1", "harder"])
def test_episode_is_that_of_a_rollout_to_the_bit(model, version, tmp_path):
    policy, params = model
    perturbation = dataclasses.replace(NOISY, n_noise=0)
    task = ps.CartPoleSwingUp(version, max_steps=300, perturbation=perturbation)
    for seed in range(3):
        expected = ps.rollout(policy, params[None], task, 1, seed)
        actor = Actor("a", policy, params, record(policy, params, task, 1, seed))
        assert (actor.score(actor.n_steps), actor.n_steps) == (expected.returns[0, 0], expected.lengths[0, 0])
    score = write_video(tmp_path / "film.gif", {"a": model}, task, 2, steps_per_frame=150, width=320)
    assert score == expected.returns[0].tolist()


def test_two_agents_meet_the_same_start_noise_and_shuffles():
    task = ps.CartPoleSwingUp("v1", max_steps=60, perturbation=NOISY)
    other = ps.MLPPolicy(7, 1, ())
    one, two = (record(*model, task, 1, 3) for model in (INVARIANT, (other, 0.1 * np.ones(8))))
    np.testing.assert_array_equal(one.observations[0], two.observations[0])
    x, x_dot, theta, theta_dot = initial_state("v1", episode_generator(3, START, 0))
    start = np.array([x, x_dot, np.cos(theta), np.sin(theta), theta_dot], np.float32)
    np.testing.assert_array_equal(one.observations[0, np.argsort(one.sources[0, :, 0])][:5, 0, 0], start)
    np.testing.assert_array_equal(one.sources, two.sources)
    noisy = one.sources >= 5
    np.testing.assert_array_equal(one.observations[:, :, 0][noisy], two.observations[:, :, 0][noisy])
    assert (one.observations[30] != two.observations[30]).any()
    changes = [n for n in range(1, 60) if (one.sources[n] != one.sources[n - 1]).any()]
    assert changes == [20, 40]


def test_what_is_shown_is_what_an_agent_shows():
    task = ps.CartPoleSwingUp("v1", max_steps=20, perturbation=NOISY)
    agent = INVARIANT[0].agent(INVARIANT[1])
    recorded = record(*INVARIANT, task, 1, 0, ("attention", "latent", "nothing such"))
    for step, observation in enumerate(recorded.observations):
        np.testing.assert_allclose(agent.act(observation[:, 0, 0]), recorded.actions[step, :, 0], atol=1e-5)
        np.testing.assert_allclose(agent.attention, recorded.inside["attention"][step, :, :, 0].T, atol=1e-5)
        np.testing.assert_allclose(agent.latent, recorded.inside["latent"][step, :, 0], atol=1e-5)
    assert step == 19 and set(recorded.inside) == {"attention", "latent"}


def test_traces_have_the_colour_of_what_a_place_really_hears():
    task = ps.CartPoleSwingUp("v1", max_steps=60, perturbation=ps.Perturbation(reshuffle_every=30))
    actor = Actor("one", *INVARIANT, record(*INVARIANT, task, 1, 4, ("attention", "latent")))
    film = Film([actor], task, 4, 1280)
    scene = image.new("RGB", film.scene_size)
    pictures = [np.asarray(film.frame(step, [scene])) for step in (25, 35)]
    chips = [chip_colors(picture, film) for picture in pictures]
    for step, colors in zip((25, 35), chips):
        assert colors == [film._colors[source] for source in actor.episode.sources[step, :, 0]]
    assert chips[0] != chips[1]


def chip_colors(picture, film):
    """Return the colour of the chip before each row's name."""
    x, y = film._inputs[0]
    top = y + film._px(24)
    return [tuple(int(part) for part in picture[int(top + (row + 0.5) * film._row), x + 3]) for row in range(5)]


def test_many_inputs_are_drawn_as_far_as_there_is_room(tmp_path):
    task = ps.CartPoleSwingUp("v1", max_steps=4, perturbation=ps.Perturbation(n_noise=300))
    write_video(tmp_path / "film.gif", {"a": INVARIANT}, task, width=400)
    frames = read_frames(tmp_path / "film.gif")
    assert frames.shape[1] < 1000


def test_environments_are_drawn_by_themselves(tmp_path):
    pytest.importorskip("pygame")
    gymnasium = pytest.importorskip("gymnasium")
    task = ps.GymTask("CartPole-v1", max_steps=12, perturbation=ps.Perturbation(shuffle=True))
    policy = ps.InvariantPolicy(2)
    params = 0.3 * np.random.default_rng(0).standard_normal(policy.n_params)
    score = write_video(tmp_path / "film.gif", {"agent": (policy, params)}, task, 1, steps_per_frame=1, width=640)
    assert score == ps.rollout(policy, params[None], task, 1, 1).returns[0].tolist()
    frames = read_frames(tmp_path / "film.gif")
    assert (frames[0] != frames[8]).any()
    with pytest.raises(ps.InputError, match="no render mode"):
        write_video(tmp_path / "no.gif", {"agent": (policy, params)}, ps.GymTask(lambda: gymnasium.make("CartPole-v1")))


def test_ant_is_filmed_by_the_engines_camera(tmp_path):
    pytest.importorskip("pybullet")
    task = ps.AntTask(max_steps=8)
    policy = ps.InvariantPolicy(8, 8, 8, 4)
    params = 0.3 * np.random.default_rng(0).standard_normal(policy.n_params)
    score = write_video(tmp_path / "film.mp4", {"ant": (policy, params)}, task, 1, steps_per_frame=4, width=640)
    assert score == ps.rollout(policy, params[None], task, 1, 1).returns[0].tolist()
    frames = read_frames(tmp_path / "film.mp4")
    scene = frames[:, 80:400, 20:300].astype(int)
    assert (scene[0].max(axis=2) - scene[0].min(axis=2)).max() > 40  # grass, sky, and the ant
    assert np.abs(scene[0] - scene[2]).max() > 30


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["missing.npz", "-o", "a.mp4"], 1, "there is no file missing.npz"),
        (["cartpole-v1-mlp", "-o", "a.avi"], 2, "must end in .mp4 or .gif"),
        (["cartpole-v1-mlp", "-o", "nowhere/a.gif"], 1, "cannot write nowhere/a.gif"),
        (["cartpole-v1-mlp", "-o", "/proc/a.gif"], 1, "cannot write /proc/a.gif"),
        (["cartpole-v1-mlp", "-o", "a.gif", "--noise-features", "3"], 2, "cartpole-v1-mlp: the policy takes 5 inputs"),
        (
            ["cartpole-v1-mlp", "-o", "a.gif", "--task", "gymnasium:CartPole-v1"],
            2,
            "the task gives 4",
        ),
        (
            ["cartpole-v1-invariant", "-o", "a.gif", "--side-by-side", "cartpole-v1-mlp", "--copies", "2"],
            2,
            "cartpole-v1-mlp: the policy takes 5 inputs but the task gives 10",
        ),
        (["cartpole-v1-mlp", "-o", "a.gif", "--side-by-side", "missing.npz"], 1, "there is no file missing.npz"),
        (["cartpole-v1-mlp", "-o", "a.gif", "--seed", "-1"], 2, "--seed must be"),
        (["cartpole-v1-mlp", "-o", "a.gif", "--max-steps", "0"], 2, "--max-steps must be"),
        (["cartpole-v1-mlp", "-o", "a.gif", "--steps-per-frame", "0"], 2, "--steps-per-frame must be"),
        (["cartpole-v1-mlp", "-o", "a.gif", "--frames-per-second", "500"], 2, "--frames-per-second must be"),
        (["cartpole-v1-mlp", "-o", "a.gif", "--width", "9"], 2, "--width must be"),
    ],
)
def test_mistakes_are_told_before_any_work(tmp_path, arguments, code, message):
    result = pisensory("video", *arguments, cwd=tmp_path)
    assert result.returncode == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert "frame" not in result.stderr or "frame" in message
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("module", "ending"), [("PIL.Image", "gif"), ("imageio_ffmpeg", "mp4")])
def test_missing_packages_name_the_extra(tmp_path, monkeypatch, module, ending):
    from pisensory.tasks.drawing import load_pillow

    load_pillow.cache_clear()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ps.MissingExtraError, match=r"pip install 'pisensory\[viz\]'"):
        write_video(tmp_path / f"film.{ending}", {"a": MLP}, ps.CartPoleSwingUp("v1"))
    load_pillow.cache_clear()
    assert not list(tmp_path.iterdir())


def test_a_video_needs_no_more_than_pillow_and_imageio_ffmpeg(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio", None)
    write_video(tmp_path / "film.mp4", {"a": MLP}, ps.CartPoleSwingUp("v1", max_steps=4), width=320)
    assert len(read_frames(tmp_path / "film.mp4")) == 3 + 25


def test_a_video_that_fails_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "film.gif"
    path.write_bytes(b"old")
    monkeypatch.setattr(Film, "frame", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_video(path, {"a": MLP}, ps.CartPoleSwingUp("v1", max_steps=5))
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1
    (tmp_path / "folder.gif").mkdir()
    with pytest.raises(ps.FileError, match="it is a folder"):
        write_video(tmp_path / "folder.gif", {"a": MLP}, ps.CartPoleSwingUp("v1", max_steps=5))


@pytest.mark.parametrize("models", [{}, {"a": MLP, "b": MLP, "c": MLP}])
def test_one_or_two_models_fit(tmp_path, models):
    with pytest.raises(ps.InputError, match="one model, or two side by side"):
        write_video(tmp_path / "film.gif", models, ps.CartPoleSwingUp("v1"))
