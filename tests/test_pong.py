"""Pong: its picture, its options, and the promises that hold bit for bit."""

import dataclasses
import itertools

import numpy as np
import pytest

import pisensory as ps
from pisensory.tasks import pong, task_from_config, task_from_text
from pisensory.teachers.player import Returner

pytest.importorskip("ale_py")


def begin(task, seed=0, episodes=((0,),)):
    run = task.start(seed, np.array(episodes))
    shape = (len(episodes), len(episodes[0]), task.n_features, task.n_channels)
    out = np.zeros(shape, np.float32).transpose(0, 2, 3, 1)
    run.observe(out)
    return run, out


def play(run, actions):
    """Do the same numbered actions in all episodes; return the rewards (step, candidate, episode)."""
    shape = run.plain._episodes.shape
    outputs = np.eye(6, dtype=np.float32)[:, :, None] * np.ones(shape[1], np.float32)
    whole = np.broadcast_to(outputs[:, None], (6, shape[0], 6, shape[1]))
    return np.array([run.step(whole[action], np.ones(shape, bool))[0] for action in actions])


def test_shrinking_averages_areas():
    levels = np.random.default_rng(0).integers(0, 256, (210, 160)).astype(np.uint8)
    small = pong.shrink(levels)
    assert small.shape == (84, 84)
    assert (small[:10] == 0).all()
    fine = np.repeat(np.repeat(levels, 2, axis=0), 21, axis=1)  # 420 x 3360: whole cells of 5 x 40
    np.testing.assert_allclose(small[10:], fine.reshape(84, 5, 84, 40).mean(axis=(1, 3))[10:], atol=0.51)


def test_the_picture_is_the_brighter_of_two_frames():
    run, out = begin(ps.PongTask())
    play(run, [0, 2, 3])
    game = run.plain._envs[0, 0]
    colors = np.array(game.render(), float)
    now = pong._palette().levels[game._screen(), game._screen()]
    np.testing.assert_array_equal(now, np.rint(colors @ np.array([0.299, 0.587, 0.114])))
    assert (run.plain._values[0, 0, -1, ..., 0].astype(int) >= pong.shrink(now).astype(int) - 1).all()
    run.observe(out)
    assert out[0, :, 108:, 0].max() > 150  # paddles or ball are there


def test_games_of_a_seed_are_the_same_and_differ_by_episode():
    actions = np.random.default_rng(1).integers(0, 6, 30)
    for sticky in (False, True):
        task = ps.PongTask(sticky=sticky)
        run, seen = begin(task, 2, [[0, 1, 0]])
        play(run, actions)
        run.observe(seen)
        np.testing.assert_array_equal(seen[..., 0], seen[..., 2])
        assert not np.array_equal(seen[..., 0], seen[..., 1])
        alone, out = begin(task, 2, [[1]])
        play(alone, actions)
        alone.observe(out)
        np.testing.assert_array_equal(out[..., 0], seen[..., 1])


def test_doing_nothing_loses():
    run, _ = begin(ps.PongTask())
    rewards = play(run, [0] * 120)
    assert rewards.sum() < 0
    assert set(np.unique(rewards)) <= {-1.0, 0.0, 1.0}


def test_an_episode_may_end_with_a_point_lost():
    policy = ps.PatchPolicy(n_actions=6, grid=(2, 2), proj_dim=4, head="dense", discrete=True)
    params = np.zeros((2, policy.n_params))
    whole = ps.rollout(policy, params[:1], ps.PongTask(max_steps=200), 2, seed=1)
    assert (whole.returns < -2).all()
    for most in (1, 2):
        ended = ps.rollout(policy, params, ps.PongTask(max_steps=200, max_lost=most), 2, seed=1)
        assert (ended.returns == -most).all() and (ended.lengths < whole.lengths).all()
    with pytest.raises(ps.InputError, match="max_lost must be a whole number of at least 1"):
        ps.PongTask(max_lost=0)


def test_a_game_may_begin_behind():
    policy = ps.PatchPolicy(n_actions=6, grid=(2, 2), proj_dim=4, head="dense", discrete=True)
    params = np.zeros((1, policy.n_params))
    task = ps.PongTask(behind=20)
    # Those that were left to lose: few points, with this seed.
    lost = -ps.rollout(policy, params, task, 4, seed=148).returns[0]
    assert len(np.unique(lost)) > 2 and lost.min() >= 1 and lost.max() < 21
    np.testing.assert_array_equal(lost[:2], -ps.rollout(policy, params, task, 2, seed=148).returns[0])
    with pytest.raises(ps.InputError, match="behind must be at most 20, got 21"):
        ps.PongTask(behind=21)


def test_a_game_behind_may_begin_with_every_ball_that_follows_a_lost_point():
    def serve(game):
        while not ((court := game.look()).has_ball and court.column < 110):
            game.advance(3)
        return court.column, court.down, court.late

    game, serves = pong.PongGame(0.0, 1), {}
    for seed in range(60):
        game.reset(seed)
        serves.setdefault(serve(game), set()).add(game.memory())
    later = {place: memories for place, memories in serves.items() if place[0] >= 80}
    ways = {(column % 2, down, late) for column, down, late in later}
    assert ways == set(itertools.product((0, 1), (4, -4), (0, 1)))
    assert {column for column, *_ in later} == {80, 81, 82, 83}
    # In a whole game, too, the paddle moves in other frames once a point was won in another frame of its step.
    for n_idle, place in ((19, (81, -4, 0)), (22, (80, -4, 1)), (28, (80, 4, 1))):
        whole = pong.PongGame(0.0)
        whole.begin(n_idle)
        play = Returner()(whole)
        while sum(whole.advance(int(np.argmax(play())))) < 1:
            pass
        for _ in range(2):
            while sum(whole.advance(3)) > -1:
                pass
        assert serve(whole) == place
        assert whole.memory() in later[place]


@pytest.mark.parametrize("cell", [2, 69])
def test_cells_that_only_count_change_nothing_of_a_rally(cell):
    def rally(value):
        game, generator = pong.PongGame(0.0), np.random.default_rng(0)
        game.begin(5)
        if value is not None:
            game._ale.setRAM(cell, value)
        return [(*game.step(int(generator.choice(pong.KEYS)))[:2], game.memory()) for _ in range(200)]

    pictures, rewards, memories = zip(*rally(None))
    assert sum(rewards) < -2
    for value in (17, 255):
        same_pictures, same_rewards, same_memories = zip(*rally(value))
        np.testing.assert_array_equal(pictures, same_pictures)
        assert (rewards, memories) == (same_rewards, same_memories)


def test_steps_may_slip():
    def screens(slips, action):
        game = pong.PongGame(0.0, slips=slips)
        game.reset(2)
        return np.array([game.step(action)[0] for _ in range(60)])

    up, down = screens(1.0, 2), screens(1.0, 3)
    np.testing.assert_array_equal(up, down)  # nothing of what is chosen is done
    assert not np.array_equal(up, screens(0.0, 2)) and not np.array_equal(up, screens(0.0, 3))
    # With a tenth of slips the paddle rests for some steps, and is elsewhere from then on.
    same = (screens(0.1, 0) == screens(0.0, 0)).all(axis=(1, 2))
    assert same[:3].all() and not same[20:].any()
    run, _ = begin(ps.PongTask(slips=1.0), 4, [[0], [0]])
    other, _ = begin(ps.PongTask(slips=1.0), 4, [[0], [0]])
    play(run, [2] * 40)
    play(other, [3] * 40)
    np.testing.assert_array_equal(run.plain._values, other.plain._values)
    with pytest.raises(ps.InputError, match=r"slips must be at most 1, got 1\.5"):
        ps.PongTask(slips=1.5)


def test_a_share_of_the_patches_is_removed():
    task = ps.PongTask(perturbation=ps.Perturbation(removed=0.7))
    assert task.n_features == 59
    _, seen = begin(ps.PongTask(), 4, [[0, 1]])
    run, out = begin(task, 4, [[0, 1]])
    kept = run.sources
    assert not np.array_equal(kept[0, :, 0], kept[0, :, 1])
    for episode in (0, 1):
        np.testing.assert_array_equal(out[0, :, :, episode], seen[0, kept[0, :, episode], :, episode])
    play(run, [0] * 5)
    np.testing.assert_array_equal(run.sources, kept)


def test_shuffled_games_are_the_same():
    policy = ps.PatchPolicy.pong()
    params = 0.05 * np.random.default_rng(3).standard_normal(policy.n_params)
    task = ps.PongTask(max_steps=40)
    plain = ps.rollout(policy, params[None], task, 2, seed=1)
    shuffled = dataclasses.replace(task, perturbation=ps.Perturbation(shuffle=True))
    again = ps.rollout(policy, params[None], shuffled, 2, seed=1)
    np.testing.assert_array_equal(again.returns, plain.returns)


def test_names_and_configs_make_the_same_task():
    assert task_from_text("pong") == ps.PongTask()
    task = ps.PongTask(sticky=True, max_steps=9, perturbation=ps.Perturbation(removed=0.2))
    assert task_from_config(task.config) == task
    with pytest.raises(ps.InputError, match="sticky"):
        ps.PongTask(sticky="yes")
    with pytest.raises(ps.InputError, match="removed"):
        ps.Perturbation(removed=1.0)


def test_nothing_is_printed(capfd):
    pong.PongGame(0.0).reset(0)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_pictures_have_the_size_asked_for():
    run, _ = begin(ps.PongTask().with_pictures())
    assert run.picture((0, 0), np.zeros(6), None).shape == (630, 480, 3)
    assert run.picture((0, 0), np.zeros(6), None, (100, 90)).shape == (90, 100, 3)
