"""The cart-pole task: starts, rewards, ends, perturbations."""

import copy

import numpy as np
import pytest

import pisensory as ps
from pisensory.tasks import task_from_config
from pisensory.tasks.base import START, episode_generator
from pisensory.tasks.cartpole import CartPoleRun, accelerations, initial_state, reward
from pisensory.tasks.perturbation import EpisodeDraws


def observe(task, n_steps, n_candidates=2, n_episodes=3, seed=0):
    """Observations (step, candidate, feature, episode) of a task under random actions."""
    run = task.start(seed, np.tile(np.arange(n_episodes), (n_candidates, 1)))
    rng = np.random.default_rng(1)
    seen = []
    for _ in range(n_steps):
        memory = np.empty((task.n_features, n_candidates, n_episodes), np.float32)
        run.observe(memory.transpose(1, 0, 2)[:, :, None])
        seen.append(memory.transpose(1, 0, 2))
        actions = np.tile(rng.uniform(-1, 1, n_episodes), (n_candidates, 1, 1)).astype(np.float32)
        run.step(actions, np.ones((n_candidates, n_episodes), bool))
    return np.array(seen)


def test_harder_starts_cover_their_ranges():
    states = np.array([initial_state("harder", episode_generator(0, START, i)) for i in range(2000)])
    np.testing.assert_allclose(states.min(axis=0), [-2.4, -10, np.pi / 2, -10], atol=0.05)
    np.testing.assert_allclose(states.max(axis=0), [2.4, 10, 1.5 * np.pi, 10], atol=0.05)
    np.testing.assert_allclose(states.mean(axis=0), [0, 0, np.pi, 0], atol=0.4)


@pytest.mark.parametrize("version", ["v0", "v1"])
def test_easier_starts_hang_down(version):
    states = np.array([initial_state(version, episode_generator(0, START, i)) for i in range(2000)])
    np.testing.assert_allclose(states.mean(axis=0), [0, 0, np.pi, 0], atol=0.02)
    np.testing.assert_allclose(states.std(axis=0), 0.2, atol=0.01)


def test_rewards_are_those_of_the_versions():
    x, cosine = np.array([0.0, 2.4, 1.2]), np.array([1.0, 1.0, -1.0])
    np.testing.assert_allclose(reward("harder", x, cosine), [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(reward("harder", np.array([1.2]), np.array([0.0])), 0.5 * np.cos(np.pi / 4))
    np.testing.assert_allclose(reward("v0", x, cosine), cosine)
    np.testing.assert_allclose(reward("v1", x, cosine), [1, 1, 0])


def test_energy_is_kept_without_friction_or_force():
    """The equations of motion keep the energy of cart and rod; theta turns the pole towards -x."""

    def energy(x_dot, theta, theta_dot):
        half, inertia = 0.3, 0.5 * 0.6**2 / 12
        across, up = x_dot - half * theta_dot * np.cos(theta), half * theta_dot * np.sin(theta)
        kinetic = 0.5 * 0.5 * (x_dot**2 + across**2 + up**2) + 0.5 * inertia * theta_dot**2
        return kinetic + 0.5 * 9.82 * half * np.cos(theta)

    x_dot, theta, theta_dot, step = 0.5, 2.0, 1.0, 1e-5
    before = energy(x_dot, theta, theta_dot)
    for _ in range(20_000):
        friction = 0.1 * x_dot / 10  # an action that makes up for it
        x_ddot, theta_ddot = accelerations(x_dot, np.sin(theta), np.cos(theta), theta_dot, friction)
        theta += step * theta_dot
        theta_dot += step * theta_ddot
        x_dot += step * x_ddot
    assert abs(theta - 2.0) > 0.1
    assert abs(energy(x_dot, theta, theta_dot) - before) < 1e-4


def test_episode_ends_off_the_track_and_counts_that_step():
    run = CartPoleRun("v1", np.array([[[2.39]], [[5.0]], [[0.0]], [[0.0]]]))
    rewards, over = run.step(np.zeros((1, 1, 1)), np.ones((1, 1), bool))
    assert over[0, 0]
    assert rewards[0, 0] == 1.0


def test_max_steps_bounds_the_length():
    task = ps.CartPoleSwingUp("v0", max_steps=17)
    result = ps.rollout(ps.MLPPolicy(), np.zeros((2, 113)), task, 3)
    assert (result.lengths == 17).all()
    assert (np.abs(result.returns) <= 17).all()


def test_shuffle_permutes_once_an_episode():
    plain = observe(ps.CartPoleSwingUp(), 6)
    shuffled = observe(ps.CartPoleSwingUp(perturbation=ps.Perturbation(shuffle=True)), 6)
    orders = set()
    for episode in range(3):
        order = np.argsort(np.argsort(shuffled[0, 0, :, episode]))
        back = np.argsort(plain[0, 0, :, episode])[order]
        np.testing.assert_array_equal(plain[:, :, back, episode], shuffled[:, :, :, episode])
        orders.add(tuple(back))
    assert len(orders) == 3


def test_reshuffle_changes_the_order_at_its_steps_only():
    plain = observe(ps.CartPoleSwingUp(), 9)
    task = ps.CartPoleSwingUp(perturbation=ps.Perturbation(reshuffle_every=3))
    shuffled = observe(task, 9)
    np.testing.assert_array_equal(shuffled[:3], plain[:3])
    np.testing.assert_array_equal(np.sort(shuffled, axis=2), np.sort(plain, axis=2))

    def order(step, episode):
        ranks = np.argsort(np.argsort(shuffled[step, 0, :, episode]))
        return tuple(np.argsort(plain[step, 0, :, episode])[ranks])

    for start in (3, 6):
        for episode in range(3):
            assert order(start, episode) == order(start + 1, episode) == order(start + 2, episode)
    changed = [order(start, e) != order(start - 1, e) for start in (3, 6) for e in range(3)]
    assert any(changed)


def test_copies_come_before_noise():
    plain = observe(ps.CartPoleSwingUp(), 4)
    task = ps.CartPoleSwingUp(perturbation=ps.Perturbation(n_copies=3, n_noise=2, noise_std=0.5))
    assert task.n_features == 17
    seen = observe(task, 4)
    np.testing.assert_array_equal(seen[:, :, :15], np.repeat(plain, 3, axis=2))


def test_noise_has_its_size_and_is_the_same_for_all_candidates():
    task = ps.CartPoleSwingUp(perturbation=ps.Perturbation(n_noise=40, noise_std=0.1))
    noise = observe(task, 250)[:, :, 5:]
    np.testing.assert_array_equal(noise[:, 0], noise[:, 1])
    assert abs(noise.std() - 0.1) < 0.002
    assert abs(noise.mean()) < 0.002
    assert abs(np.corrcoef(noise[:-1, 0].ravel(), noise[1:, 0].ravel())[0, 1]) < 0.02


def test_noise_is_a_stream_however_it_is_drawn():
    perturbation = ps.Perturbation(n_noise=3)
    whole = EpisodeDraws(perturbation, (5, 1), (0,), 7).noise(10)
    draws = EpisodeDraws(perturbation, (5, 1), (0,), 7)
    np.testing.assert_array_equal(np.concatenate([draws.noise(1), draws.noise(4), draws.noise(5)]), whole)


@pytest.mark.parametrize(
    "task",
    [ps.CartPoleSwingUp("v1", 50), ps.CartPoleSwingUp(perturbation=ps.Perturbation(True, 5, 2, 0.5, 3))],
)
def test_config_describes_the_task(task):
    assert task_from_config(task.config) == task


@pytest.mark.parametrize("config", [None, {"kind": "chess"}, {"kind": "cartpole", "perturbation": 3}])
def test_config_that_describes_none_is_refused(config):
    with pytest.raises(ps.InputError):
        task_from_config(config)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"n_noise": -1}, "n_noise"), ({"noise_std": -0.1}, "noise_std"), ({"reshuffle_every": 0}, "reshuffle_every"),
        ({"n_copies": 0}, "n_copies"), ({"shuffle": "yes"}, "shuffle"),
    ],
)  # fmt: skip
def test_impossible_perturbations_are_refused_by_name(settings, name):
    with pytest.raises(ps.InputError, match=name):
        ps.Perturbation(**settings)


@pytest.mark.parametrize("settings", [{"version": "v2"}, {"max_steps": 0}, {"perturbation": "shuffle"}])
def test_impossible_tasks_are_refused_by_name(settings):
    with pytest.raises(ps.InputError, match=next(iter(settings))):
        ps.CartPoleSwingUp(**settings)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"population": np.zeros((0, 113))}, "population"), ({"population": np.zeros(113)}, "population"),
        ({"population": np.full((2, 113), np.inf)}, "NaN or infinite"), ({"n_episodes": 0}, "n_episodes"),
        ({"seed": -1}, "seed"), ({"seed": 0.5}, "seed"), ({"seed": True}, "seed"), ({"seed": "1"}, "seed"),
        ({"n_jobs": 0}, "n_jobs"),
    ],
)  # fmt: skip
def test_impossible_rollouts_are_refused_by_name(arguments, message):
    settings = {"population": np.zeros((2, 113)), "n_episodes": 2, **arguments}
    with pytest.raises(ps.InputError, match=message):
        ps.rollout(ps.MLPPolicy(), task=ps.CartPoleSwingUp(max_steps=5), **settings)


def test_numbers_of_any_type_are_the_numbers_they_are():
    policy, population = ps.MLPPolicy(), np.random.default_rng(0).standard_normal((3, 113))

    def returns(n_episodes, seed, n_jobs, max_steps):
        return ps.rollout(policy, population, ps.CartPoleSwingUp("v1", max_steps), n_episodes, seed, n_jobs).returns

    expected = returns(4, (1, 2), 1, 9)
    for number in (np.int64, np.uint8, np.float64, float):
        seed = [number(1), number(2)]
        np.testing.assert_array_equal(returns(number(4), seed, number(1), number(9)), expected)
    np.testing.assert_array_equal(returns(4, np.array([1, 2]), 1, 9), expected)


@pytest.mark.parametrize("episodes", [np.arange(3), np.zeros((0, 2), int), [[-1]], [[0.5]], "ab"])
def test_impossible_episodes_are_refused_by_name(episodes):
    with pytest.raises(ps.InputError, match="episodes must be"):
        ps.CartPoleSwingUp().start(0, episodes)


def test_policy_that_does_not_fit_is_refused():
    noisy = ps.CartPoleSwingUp(perturbation=ps.Perturbation(n_noise=3))
    with pytest.raises(ps.InputError, match="takes 5 inputs but the task gives 8"):
        ps.rollout(ps.MLPPolicy(), np.zeros((1, 113)), noisy)
    with pytest.raises(ps.InputError, match="gives 2 actions but the task takes 1"):
        ps.evaluate(ps.MLPPolicy(5, 2), np.zeros(ps.MLPPolicy(5, 2).n_params), ps.CartPoleSwingUp())


def test_a_copy_of_a_run_goes_on_as_the_run_does():
    states = np.random.default_rng(0).standard_normal((4, 3, 2))
    run = CartPoleRun("v1", states)
    actions, alive = np.full((3, 1, 2), 0.5, np.float32), np.ones((3, 2), bool)
    run.step(actions, alive)
    copies = [copy.deepcopy(run), run.keep(np.arange(3)), CartPoleRun("v1", run.state)]
    for each in (run, *copies):
        each.step(actions, alive)
        np.testing.assert_array_equal(each.state, run.state)
    np.testing.assert_array_equal(states, np.random.default_rng(0).standard_normal((4, 3, 2)))
