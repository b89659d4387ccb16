"""CarRacing: its picture against Gymnasium's, its options, and the promises that hold bit for bit."""

import dataclasses

import numpy as np
import pytest

import pisensory as ps
from pisensory.rollout import make_chunks
from pisensory.tasks import car_picture, task_from_config, task_from_text
from pisensory.tasks.car_racing import load_background

pytest.importorskip("Box2D")


def begin(task, seed=0, episodes=((0,),)):
    """A run, and room for what it shows as an agent that sees keeps it."""
    run = task.start(seed, np.array(episodes))
    shape = (len(episodes), len(episodes[0]), task.n_features, task.n_channels)
    out = np.zeros(shape, np.float32).transpose(0, 2, 3, 1)
    run.observe(out)
    return run, out


def drive(run, n_steps, action=(0.1, -0.5, -1.0)):
    """Drive a run's episodes alike; return the rewards (step, candidate, episode)."""
    shape = run.plain._episodes.shape
    actions = np.broadcast_to(np.array(action, np.float32)[None, :, None], (shape[0], 3, shape[1]))
    return np.array([run.step(actions, np.ones(shape, bool))[0] for _ in range(n_steps)])


def original_picture(run):
    """The picture that Gymnasium draws of a run's first episode."""
    env = run.plain._envs[0, 0]
    return type(env).__mro__[1]._render(env, "state_pixels")


@pytest.mark.parametrize(("colors", "largest"), [("v3", 1.5), ("2018", 3.0)])
def test_picture_is_that_of_gymnasium(colors, largest):
    run, _ = begin(ps.CarRacingTask(camera="hull", colors=colors, view="color"), seed=3)
    for step in range(12):
        drive(run, 10, (0.3 * np.sin(step), 0.0, -1.0))
        ours, theirs = run.plain._values[0, 0, -1, :84], original_picture(run)[:84]
        difference = np.abs(ours.astype(int) - theirs)
        assert difference.mean() <= largest
        assert (difference.max(axis=-1) > 40).mean() < 0.02


def test_gymnasiums_own_picture_is_shown_unchanged():
    run, out = begin(ps.CarRacingTask(picture="gymnasium", view="color"))
    drive(run, 5)
    run.observe(out)
    np.testing.assert_array_equal(out[0, ..., 0], ps.Patches(7, 4).cut(original_picture(run)[None]))
    gray, out = begin(ps.CarRacingTask(picture="gymnasium"))
    drive(gray, 5)
    gray.observe(out)
    expected = np.rint(original_picture(gray) @ np.array([0.299, 0.587, 0.114]))
    expected[84:] = 0
    np.testing.assert_array_equal(out[0, :, 108:, 0], ps.Patches(6, 6).cut(expected[None]))


def test_a_stack_holds_the_last_four_frames_and_begins_with_the_first():
    run, out = begin(ps.CarRacingTask())
    frames = out[0, :, :, 0].reshape(256, 4, 36).copy()
    np.testing.assert_array_equal(frames, np.broadcast_to(frames[:, -1:], frames.shape))
    drive(run, 3)
    run.observe(out)
    later = out[0, :, :, 0].reshape(256, 4, 36)
    np.testing.assert_array_equal(later[:, 0], frames[:, 0])
    assert not np.array_equal(later[:, 1], later[:, 0])
    assert (later[-32:] == 0).all()  # the instruments


def test_observing_twice_shows_the_same():
    run, out = begin(ps.CarRacingTask(perturbation=ps.Perturbation(shuffle=True)))
    first = out.copy()
    run.observe(out)
    np.testing.assert_array_equal(out, first)


def test_after_a_reshuffle_older_frames_are_those_the_places_had():
    task = ps.CarRacingTask(perturbation=ps.Perturbation(reshuffle_every=2))
    (plain, straight), (run, out) = begin(ps.CarRacingTask()), begin(task)
    orders = []
    for step in range(6):
        orders.append(run.sources[0, :, 0].copy())
        frames, whole = (array[0, :, :, 0].reshape(256, 4, 36) for array in (out, straight))
        for frame in range(4):
            order = orders[max(0, step - 3 + frame)]
            np.testing.assert_array_equal(frames[:, frame], whole[order, frame])
        for each, seen in ((plain, straight), (run, out)):
            drive(each, 1)
            each.observe(seen)
    assert len({order.tobytes() for order in orders}) == 3


def test_episodes_do_not_depend_on_those_beside_them():
    """Not on how many cars there are, nor on what their environments did before."""
    task = ps.CarRacingTask()
    together, seen = begin(task, 5, [[0, 1], [0, 1]])
    rewards = drive(together, 25)
    together.observe(seen)
    for episode in (1, 0):
        alone, out = begin(task, 5, [[episode]])
        np.testing.assert_array_equal(drive(alone, 25)[:, 0, 0], rewards[:, 1, episode])
        alone.observe(out)
        np.testing.assert_array_equal(out[0, ..., 0], seen[1, ..., episode])


def test_cameras_differ_when_the_car_slides():
    angle = car_picture.camera_angle("hull", 0.3, (1.0, 2.0))
    assert angle == 0.3
    assert car_picture.camera_angle("velocity", 0.3, (1.0, 2.0)) == pytest.approx(-np.arctan2(1, 2))
    assert car_picture.camera_angle("velocity", 0.3, (0.1, 0.2)) == 0.3


def test_background_stands_in_place_of_the_grass_only(tmp_path):
    from PIL import Image

    picture = np.random.default_rng(0).integers(0, 256, (96, 96, 3)).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "background.png")
    plain, _ = begin(ps.CarRacingTask(view="color"))
    painted, _ = begin(ps.CarRacingTask(view="color", background=str(tmp_path / "background.png")))
    before, after = plain.plain._values[0, 0, -1, :84], painted.plain._values[0, 0, -1, :84]
    grass = (before == [102, 204, 102]).all(axis=-1) | (before == [102, 230, 102]).all(axis=-1)
    assert 0.1 < grass.mean() < 1
    np.testing.assert_array_equal(after[grass], picture[:84][grass])
    np.testing.assert_array_equal(after[~grass], before[~grass])


@pytest.mark.parametrize("background", [None, "noise:2"])
def test_the_view_of_the_road_is_dark_where_the_road_is(background):
    task = ps.CarRacingTask(background=background)
    colored, _ = begin(dataclasses.replace(task, view="color"))
    seen, _ = begin(dataclasses.replace(task, view="road"))
    for run in (colored, seen):
        drive(run, 60)
    colors, shown = (run.plain._values[0, 0, -1] for run in (colored, seen))
    expected = np.minimum(8 * np.abs(colors[:84].astype(int) - 104).max(axis=-1), 255)
    expected = expected.reshape(28, 3, 32, 3).mean(axis=(1, 3))
    assert np.abs(shown[:28, :, 0] - expected).max() <= 0.5
    gray = (np.ptp(colors[:84], axis=-1) == 0) & (colors[:84, :, 0] > 90)
    road = gray.reshape(28, 3, 32, 3).all(axis=(1, 3))
    assert 0.03 < road.mean() < 0.9
    assert shown[:28, :, 0][road].mean() < 40
    assert shown[:28, :, 0][~road].mean() > 200


def test_no_row_of_episodes_is_empty():
    policy = ps.AttentionAgentPolicy()
    for n_episodes in range(1, 40):
        task = ps.CarRacingTask(view="color")
        chunks = make_chunks(policy, np.zeros((1, policy.n_params)), task, n_episodes, 0, 1)
        rows = [row for chunk in chunks for row in chunk.episodes >= 0]
        assert all(row.any() for row in rows)
        assert sum(map(sum, rows)) == n_episodes


def test_noise_is_that_of_its_seed():
    first, again, other = (load_background(f"noise:{seed}") for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.9
    assert first.shape == (96, 96, 3)
    assert np.all(np.abs(first.std(axis=(0, 1)) - 52) < 6)
    power = np.abs(np.fft.fft(first[..., 0] - first[..., 0].mean(), axis=0)) ** 2
    slope = np.polyfit(np.log(np.arange(1, 30)), np.log(power.mean(axis=1)[1:30]), 1)[0]
    assert -2.6 < slope < -1.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"view": "sepia"}, "view"),
        ({"camera": "helicopter"}, "camera"),
        ({"colors": "v2"}, "colors"),
        ({"picture": "none"}, "picture"),
        ({"background": "noise:one"}, "noise:SEED"),
        ({"background": "no such file"}, "path of a picture"),
        ({"picture": "gymnasium", "camera": "hull"}, "picture='own'"),
        ({"max_steps": 0}, "max_steps"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ps.InputError, match=message):
        ps.CarRacingTask(**settings)


def test_names_and_configs_make_the_same_task():
    assert task_from_text("carracing") == ps.CarRacingTask()
    assert task_from_text("carracing:color") == ps.CarRacingTask(view="color")
    with pytest.raises(ps.InputError):
        task_from_text("carracing:sepia")
    task = ps.CarRacingTask(max_steps=7, view="color", background="noise:3", perturbation=ps.Perturbation(shuffle=True))
    assert task_from_config(task.config) == task
    assert task.label == "carracing:color"


def test_senses_fit_the_published_policies():
    for task, policy in (
        (ps.CarRacingTask(), ps.PatchPolicy.car_racing()),
        (ps.CarRacingTask(view="color"), ps.AttentionAgentPolicy.car_racing()),
    ):
        assert (task.n_channels, task.n_actions) == (policy.n_channels, policy.n_actions)
        assert policy.n_features in (None, task.n_features)
        assert np.prod(task.senses.grid) == task.n_features


def test_training_gives_up_when_nothing_is_earned():
    task = ps.CarRacingTask().for_training
    run, _ = begin(task)
    actions = np.array([0.0, -1.0, 1.0], np.float32)[None, :, None]
    overs = [bool(run.step(actions, np.ones((1, 1), bool))[1][0, 0]) for _ in range(60)]
    assert 19 <= overs.index(True) < 59


def test_an_environment_that_fails_is_blamed(monkeypatch):
    run, _ = begin(ps.CarRacingTask())

    def broken(*arguments):
        raise AssertionError("no track")

    monkeypatch.setattr(type(run.plain._envs[0, 0]), "_create_track", broken)
    with pytest.raises(ps.TaskError, match="no track"):
        begin(ps.CarRacingTask())


def test_a_car_that_stands_nowhere_is_blamed():
    run, _ = begin(ps.CarRacingTask())
    run.plain._envs[0, 0].t = float("nan")
    with pytest.raises(ps.TaskError, match="nowhere"):
        drive(run, 1)


def test_pictures_have_the_size_asked_for():
    run, _ = begin(ps.CarRacingTask().with_pictures())
    assert run.picture((0, 0), np.zeros(3), None).shape == (504, 576, 3)
    assert run.picture((0, 0), np.zeros(3), 1.0, (120, 105)).shape == (105, 120, 3)


def test_reset_environments_forget_what_was(reference):
    """The same weights on the same track earn the same, in a used environment and shuffled or not."""
    policy = ps.PatchPolicy.car_racing()
    params = ps.load_params(reference / "weights" / "carracing_pi.npz")
    task = ps.CarRacingTask(max_steps=90)
    plain = ps.rollout(policy, params[None], task, n_episodes=2, seed=1).returns
    for perturbation in (ps.Perturbation(shuffle=True), ps.Perturbation()):
        again = ps.rollout(policy, params[None], dataclasses.replace(task, perturbation=perturbation), 2, seed=1)
        np.testing.assert_array_equal(again.returns, plain)
    reshuffled = dataclasses.replace(task, perturbation=ps.Perturbation(reshuffle_every=25))
    assert ps.rollout(policy, params[None], reshuffled, 2, seed=1).returns.shape == (1, 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weights", "policy", "view", "least"),
    [
        ("carracing", ps.AttentionAgentPolicy.car_racing(), "color", 880),
        ("carracing_pi", ps.PatchPolicy.car_racing(), "gray", 830),
    ],
)
def test_published_weights_drive_on_sixteen_tracks(reference, weights, policy, view, least):
    params = ps.load_params(reference / "weights" / f"{weights}.npz")
    returns = ps.rollout(policy, params[None], ps.CarRacingTask(view=view), n_episodes=16, seed=0).returns
    assert returns.mean() >= least
