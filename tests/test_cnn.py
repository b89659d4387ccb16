"""The ordinary network and the random layer: plain loops, gradients, own draws, the same bits on resume."""

import dataclasses

import numpy as np
import pytest
from test_patches import check_gradients, random_params

import pisensory as ps
from pisensory.cloning import lesson
from pisensory.cloning.lesson import Lesson, study
from pisensory.layers import random_layer
from pisensory.runs.checkpoint import read_checkpoint
from pisensory.teachers import Driver

SMALL = ps.CNNPolicy(
    n_actions=2, grid=(2, 3), patch_size=3, n_frames=2, n_colors=3, convolutions=((4, 3, 2), (3, 2, 1)), head_sizes=(5,)
)
SIZES = {
    "convolutions": SMALL,
    "dense": dataclasses.replace(SMALL, convolutions=(), head_sizes=(4, 3)),
    "linear": dataclasses.replace(SMALL, convolutions=(), head_sizes=()),
}


def pixels(policy, seed, n_steps=2, n_episodes=2):
    shape = (n_steps, policy.n_features, policy.n_channels, n_episodes)
    return np.random.default_rng(seed).integers(0, 256, shape).astype(float)


def plain_action(policy, params, patches):
    """The equations in float64, a number at a time."""
    named = {name: params[place].reshape(shape) for name, (place, shape) in policy.layout.items()}
    size = policy.patch_size
    rows, columns = (number * size for number in policy.grid)
    picture = np.zeros((policy.n_frames * policy.n_colors, rows, columns))
    cells = patches.reshape(*policy.grid, policy.n_frames, size, size, policy.n_colors)
    for row, column, frame, color in np.ndindex(rows, columns, policy.n_frames, policy.n_colors):
        place = row // size, column // size, frame, row % size, column % size, color
        picture[color * policy.n_frames + frame, row, column] = cells[place] / 255
    for color in np.split(picture, policy.n_colors):
        color[...] = (color - color.mean()) / np.sqrt(color.var() + 1e-5)
        color[:-1] = color[1:] - color[:-1]
    for number, (channels, kernel, stride) in enumerate(policy.convolutions):
        rows, columns = ((length - kernel) // stride + 1 for length in picture.shape[1:])
        after = np.zeros((channels, rows, columns))
        for channel, row, column in np.ndindex(after.shape):
            window = picture[:, row * stride : row * stride + kernel, column * stride : column * stride + kernel]
            after[channel, row, column] = (named[f"w_window{number}"][channel] * window).sum()
        picture = np.maximum(after + named[f"b_window{number}"][:, None, None], 0)
    values = picture.ravel()
    for number in range(len(policy.head_sizes) + 1):
        values = named[f"head{number}_weight"] @ values + named[f"head{number}_bias"]
        values = np.tanh(values) if number == len(policy.head_sizes) else np.maximum(values, 0)
    return values


@pytest.mark.parametrize("policy", SIZES.values(), ids=SIZES)
def test_actions_follow_the_equations(policy):
    params, seen = random_params(policy, 0), pixels(policy, 0)
    actions = policy.unroll(params, seen).actions
    for step, episode in np.ndindex(2, 2):
        expected = plain_action(policy, params, seen[step, ..., episode])
        np.testing.assert_allclose(actions[step, :, episode], expected, rtol=0, atol=1e-5)
        np.testing.assert_allclose(policy.agent(params).act(seen[step, ..., episode]), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("policy", SIZES.values(), ids=SIZES)
def test_gradient_through_actions_and_features_is_that_of_central_differences(policy):
    params, seen = random_params(policy, 2), pixels(policy, 2)
    unrolled = policy.unroll(params, seen, dtype=np.float64)
    random = np.random.default_rng(2)
    by_actions, by_features = (random.standard_normal(part.shape) for part in (unrolled.actions, unrolled.hidden))

    def loss(params):
        run = policy.unroll(params, seen, dtype=np.float64)
        return (run.actions * by_actions).sum() + (run.hidden * by_features).sum()

    check_gradients(loss, [unrolled.gradient(by_actions, by_features)], [params])


def test_order_of_the_patches_matters():
    params, seen = random_params(SMALL, 1), pixels(SMALL, 1)[0, ..., 0]
    assert (SMALL.agent(params).act(seen) != SMALL.agent(params).act(seen[::-1])).any()


def test_episodes_do_not_depend_on_those_beside_them():
    population = np.stack([random_params(SMALL, seed) for seed in range(3)])
    run = SMALL.start(SMALL.prepare(population), SMALL.n_features, 4)
    run.observations[...] = pixels(SMALL, 3, n_steps=3, n_episodes=4)
    run.step()
    kept = run.keep(np.array([2]))
    kept.observations[...] = run.observations[2:]
    kept.step()
    np.testing.assert_array_equal(kept.actions, run.actions[2:])


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"grid": (4,)}, r"grid must be rows and columns, got \(4,\)"),
        ({"convolutions": ((3, 40, 1),)}, "a window of at most 32"),
        ({"convolutions": ((3, 4),)}, "each of convolutions must be channels"),
        ({"n_colors": 0}, "n_colors must be"),
        ({"head_sizes": (10**5, 10**5)}, "choose smaller sizes"),
    ],
)
def test_impossible_sizes_are_refused(sizes, message):
    with pytest.raises(ps.InputError, match=message):
        ps.CNNPolicy(**sizes)


def test_random_layer_is_the_plain_sum():
    random = np.random.default_rng(4)
    frames, weights = random.integers(0, 256, (2, 5, 4, 3)), random.standard_normal((3, 3, 3, 3)).astype(np.float32)
    expected = np.zeros(frames.shape)
    for frame, row, column, i, j in np.ndindex(*frames.shape[:3], 3, 3):
        above, beside = row + i - 1, column + j - 1
        if 0 <= above < 5 and 0 <= beside < 4:
            expected[frame, row, column] += frames[frame, above, beside] @ weights[i, j].astype(float)
    shown = random_layer.randomize(frames.astype(np.uint8), weights)
    np.testing.assert_allclose(shown, expected, rtol=1e-5, atol=1e-3)


def test_random_layers_are_glorots_and_left_out_in_one_case_of_ten():
    random, frames = np.random.default_rng(5), np.random.default_rng(5).integers(0, 256, (1, 6, 6, 3))
    layers = [random_layer.draw_random_layer(random) for _ in range(4000)]
    nothing = [np.array_equal(random_layer.randomize(frames, layer), frames) for layer in layers]
    assert np.mean(nothing) == pytest.approx(0.1, abs=0.02)  # four standard errors
    drawn = np.array([layer for layer, kept in zip(layers, nothing) if not kept])
    assert drawn.std() == pytest.approx(np.sqrt(2 / (27 + 27)), rel=0.01)
    assert abs(drawn.mean()) < 0.002
    assert len(np.unique(drawn.reshape(len(drawn), -1), axis=0)) == len(drawn)


def lesson_with(policy, matching, seed=6):
    seen, plain = pixels(policy, seed, n_episodes=4), pixels(policy, seed + 1, n_episodes=4)
    shape = (2, policy.n_actions, 4)
    previous, alive = np.zeros(shape, np.float32), np.ones((2, 4), bool)
    alive[1, 2] = False
    labels = np.full(shape, 0.3, np.float32)
    nothing = np.zeros((2, 0, 4), np.int16)
    return Lesson(
        policy, random_params(policy, seed), np.zeros((0, 1)), 0.0, seen, previous, labels, alive, nothing, None,
        int(alive.sum()), matching, plain,
    )  # fmt: skip


def test_features_are_drawn_to_those_without_the_layer():
    """The gradient is that of the weighted mean square, with the features of plain pictures as they are."""
    given = lesson_with(SMALL, 0.0)
    right = SMALL.unroll(given.params, given.plain, dtype=np.float64).hidden

    def loss(params):
        hidden = SMALL.unroll(params, given.observations, dtype=np.float64).hidden
        square = ((hidden - right) ** 2 * given.alive[:, None, None]).sum()
        return 0.5 * square / (given.alive.sum() * hidden.shape[2])

    random = np.random.default_rng(0).standard_normal(len(given.params))
    gradient = study(given._replace(matching=0.5)).gradient - study(given).gradient
    step = 1e-5 * random
    expected = (loss(given.params + step) - loss(given.params - step)) / 2e-5
    assert gradient @ random == pytest.approx(expected, rel=1e-3)


def test_halves_of_a_lesson_add_up_to_the_whole(monkeypatch):
    given = lesson_with(SMALL, 0.5)
    whole = study(given)
    monkeypatch.setattr(lesson, "_WORTH_HALVING", 1)
    parts = given.parts()
    assert len(parts) == 2
    halves = lesson.add(map(study, parts))
    np.testing.assert_allclose(halves.gradient, whole.gradient, rtol=1e-4, atol=1e-7)


# With CarRacing.


def first_sight(task, seed=0, episodes=((0, 1, 2, 3),)):
    run = task.start(seed, np.array(episodes))
    out = np.zeros((len(episodes), task.n_features, task.n_channels, len(episodes[0])), np.float32)
    run.observe(out)
    return run, out


@pytest.fixture
def task():
    pytest.importorskip("Box2D")
    return ps.CarRacingTask(view="whole", max_steps=8)


def test_views_in_colors_alone_have_a_random_layer(task):
    with pytest.raises(ps.InputError, match="random_layer is for pictures in colors"):
        dataclasses.replace(task, view="road", random_layer=True)
    assert ps.CNNPolicy().n_channels == task.n_channels
    assert "random_layer" not in task.config
    assert dataclasses.replace(task, random_layer=True).plain == task
    randomized = dataclasses.replace(task, random_layer=True)
    assert type(task).from_settings({k: v for k, v in randomized.config.items() if k != "kind"}) == randomized


def test_gymnasiums_own_picture_is_seen_coarse(task):
    run, shown = first_sight(dataclasses.replace(task, picture="gymnasium"), episodes=((0,),))
    picture = run.plain._envs[0, 0].state.astype(float)
    coarse = np.rint(picture.reshape(32, 3, 32, 3, 3).mean(axis=(1, 3)))
    np.testing.assert_array_equal(shown[0, ..., 0], ps.Patches(8, 8).cut(np.repeat(coarse[None], 4, axis=0)))


def test_training_draws_a_layer_for_each_episode(task):
    """Seen through it is the same picture of the same track; what is scored is plain, and the draw is the episode's."""
    randomized = dataclasses.replace(task, random_layer=True)
    _, plain = first_sight(task)
    _, scored = first_sight(randomized)
    np.testing.assert_array_equal(scored, plain)
    run, shown = first_sight(randomized.for_training)
    stacks = [run.plain._values[0, place] for place in range(4)]
    layers = [run.plain._layers[0, place] for place in range(4)]
    assert len({layer.tobytes() for layer in layers}) == 4
    for place, (stack, layer) in enumerate(zip(stacks, layers)):
        expected = ps.Patches(8, 8).cut(random_layer.randomize(stack, layer))
        np.testing.assert_array_equal(shown[0, ..., place], expected)
    _, alone = first_sight(randomized.for_training, episodes=((2,),))
    np.testing.assert_array_equal(alone[0, ..., 0], shown[0, ..., 2])
    _, others = first_sight(randomized.for_training, seed=1, episodes=((2,),))
    assert not np.allclose(others[0, ..., 0], shown[0, ..., 2])
    assert not randomized.for_training.senses.whole and randomized.senses.whole


def test_sequences_that_are_learnt_from_have_layers_of_their_own(task):
    randomized = dataclasses.replace(task, random_layer=True, view="color")  # patches that overlap
    _, plain = first_sight(randomized)
    seen = np.stack([plain[0], plain[0]])
    shown = randomized.randomized(seen, np.random.default_rng(3))
    random = np.random.default_rng(3)
    pictures = first_sight(randomized)[0].plain._values[0]
    for episode, picture in enumerate(pictures):
        layer = random_layer.draw_random_layer(random)
        for step in range(2):
            expected = ps.Patches(7, 4).cut(random_layer.randomize(picture, layer))
            inside = np.ones((23, 23), bool)
            inside[-1], inside[:, -1] = False, False  # the last row and column of pixels are in no patch
            got = shown[step, ..., episode]
            np.testing.assert_allclose(got[inside.ravel()], expected[inside.ravel()], rtol=0, atol=1e-3)
    assert task.randomized(plain[:1], random) is None
    shuffled = dataclasses.replace(randomized, perturbation=ps.Perturbation(shuffle=True))
    with pytest.raises(ps.InputError, match="leave their patches in order"):
        shuffled.randomized(seen, random)
    mixed = ps.Mixture((dataclasses.replace(task, view="color"), randomized))
    np.testing.assert_array_equal(mixed.randomized(seen, np.random.default_rng(3)), shown)


def test_resumed_clone_ends_as_one_that_never_stopped(task, tmp_path):
    randomized = dataclasses.replace(task, random_layer=True)
    settings = {"batch_size": 2, "teacher_rounds": 1, "updates": 2, "windows": 4, "n_eval_episodes": 1, "dagger": True}
    policy = dataclasses.replace(ps.CNNPolicy(), convolutions=((2, 8, 8),), head_sizes=(4,))
    whole = ps.clone(policy, Driver(), randomized, tmp_path / "whole", rounds=2, **settings)
    ps.clone(policy, Driver(), randomized, tmp_path / "cut", rounds=2, minutes=1e-9, **settings)
    cut = ps.clone(policy, Driver(), randomized, tmp_path / "cut", resume=True)
    np.testing.assert_array_equal(cut.params, whole.params)
    arrays = [read_checkpoint(tmp_path / name)[0] for name in ("whole", "cut")]
    np.testing.assert_array_equal(arrays[0]["params"], arrays[1]["params"])
    unmatched = ps.clone(policy, Driver(), randomized, tmp_path / "unmatched", rounds=2, matching=0.0, **settings)
    plain = ps.clone(policy, Driver(), task, tmp_path / "plain", rounds=2, **settings)
    assert len({one.params.tobytes() for one in (whole, unmatched, plain)}) == 3


def test_a_shuffled_clone_under_a_random_layer_is_refused_at_once(task, tmp_path):
    shuffled = dataclasses.replace(task, random_layer=True, perturbation=ps.Perturbation(shuffle=True))
    with pytest.raises(ps.InputError, match="leave their patches in order"):
        ps.clone(ps.CNNPolicy(), Driver(), shuffled, tmp_path / "run")
    assert not (tmp_path / "run").exists()
