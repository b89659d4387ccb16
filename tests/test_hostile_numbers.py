"""Numbers nobody hopes for: what happens is what the documentation says, without a warning on the screen."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import pisensory as ps
from pisensory.train.optimizer import LARGEST_SIGMA, SMALLEST_SIGMA, Optimizer

POLICY = ps.InvariantPolicy(n_actions=2, n_embeddings=6, proj_dim=4, hidden_size=3, head_sizes=(4,))
PARAMS = np.random.default_rng(0).standard_normal(POLICY.n_params)
TASK = ps.CartPoleSwingUp("v1", max_steps=20)
SMALL = {"population_size": 4, "n_episodes": 2, "n_eval_episodes": 2, "eval_every": 1}


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def actions(policy, params, observations):
    agent = policy.agent(params)
    return np.array([agent.act(observation) for observation in observations])


@settings(max_examples=60, deadline=None)
@given(
    values=arrays.arrays(
        np.float32,
        st.integers(1, 40),
        elements=st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=True),
    ),
    scale=st.sampled_from([1e-30, 1.0, 1e6]),
    seed=st.integers(0, 2**32),
)
def test_order_does_not_matter_whatever_the_numbers(values, scale, seed):
    order = np.random.default_rng(seed).permutation(len(values))
    first = actions(POLICY, scale * PARAMS, [values] * 3)
    np.testing.assert_array_equal(first, actions(POLICY, scale * PARAMS, [values[order]] * 3))
    assert np.all(np.abs(first) <= 1)


@pytest.mark.parametrize("n_features", [1, 10_000])
@pytest.mark.parametrize("size", [1e30, 1e-42, 3.4e38, 1.0])
def test_one_input_and_very_many_of_any_size(n_features, size):
    rng = np.random.default_rng(1)
    values = (rng.uniform(-1, 1, n_features) * size).astype(np.float32)
    order = rng.permutation(n_features)
    for params in (PARAMS, 1e6 * PARAMS):
        first = actions(POLICY, params, [values] * 2)
        np.testing.assert_array_equal(first, actions(POLICY, params, [values[order]] * 2))
        assert np.all(np.abs(first) <= 1)


def test_kinds_of_arrays_are_alike():
    values = [3, -2, 0, 7]
    expected = actions(POLICY, PARAMS, [np.array(values, np.float32)])
    spread = np.zeros((4, 3))
    spread[:, 1] = values
    for same in (
        values, tuple(values), np.array(values), np.array(values, np.int8), np.array(values, np.float16),
        np.array(values, ">f8"), spread[:, 1], np.array(values[::-1], np.float32)[::-1], [3, -2, -0.0, 7],
    ):  # fmt: skip
        np.testing.assert_array_equal(actions(POLICY, PARAMS, [same]), expected)


def test_numbers_too_small_to_matter_are_as_good_as_zero():
    zero, denormal, negative = np.zeros(5, np.float32), np.full(5, 1e-45, np.float32), np.full(5, -0.0, np.float32)
    expected = actions(POLICY, PARAMS, [zero])
    np.testing.assert_array_equal(actions(POLICY, PARAMS, [negative]), expected)
    np.testing.assert_allclose(actions(POLICY, PARAMS, [denormal]), expected, atol=1e-6)


@pytest.mark.parametrize("scale", [1e6, 1e-300, 1e300])
@pytest.mark.parametrize("policy", [POLICY, ps.MLPPolicy(5, 2), ps.MLPPolicy(5, 2, ())])
def test_parameters_of_any_size_give_actions(policy, scale):
    params = scale * np.random.default_rng(2).standard_normal(policy.n_params)
    result = actions(policy, params, np.random.default_rng(3).standard_normal((10, 5)))
    assert np.all(np.abs(result) <= 1)


class Rewarding(ps.CartPoleSwingUp):
    """A task whose reward is always the same number."""

    reward = 0.0

    def _start(self, seed, episodes):
        run = super()._start(seed, episodes)
        step = run.step
        run.step = lambda actions, alive: (np.full(alive.shape, self.reward), step(actions, alive)[1])
        return run


@pytest.mark.parametrize("reward", [np.nan, np.inf, -np.inf])
def test_rewards_that_are_not_finite_are_counted_and_survived(tmp_path, reward):
    task = Rewarding("v1", max_steps=5)
    object.__setattr__(task, "reward", reward)
    policy = ps.InvariantPolicy(n_embeddings=2, proj_dim=2, hidden_size=2)
    result = ps.train(policy, task, tmp_path / "run", generations=3, **SMALL)
    assert result.generations == 3
    assert np.isfinite(result.params).all()
    line = (tmp_path / "run" / "metrics.csv").read_text().splitlines()[-1].split(",")
    assert line[2:6] == ["", "", "", ""]  # no mean, no maximum, no held-out score
    assert line[9] == "4"
    evaluation = ps.evaluate(policy, result.params, task, 3)
    assert not np.isfinite(evaluation.mean)
    assert evaluation.as_dict()["mean"] is None


@pytest.mark.parametrize("population_size", [2, 3])
def test_smallest_populations_train(tmp_path, population_size):
    settings = {**SMALL, "population_size": population_size, "n_episodes": 1}
    result = ps.train(ps.MLPPolicy(hidden_sizes=()), TASK, tmp_path / "run", generations=30, **settings)
    assert result.generations == 30
    assert np.isfinite(result.mean_params).all()


def test_one_episode_can_be_evaluated():
    evaluation = ps.evaluate(ps.MLPPolicy(hidden_sizes=()), np.zeros(6), TASK, 1)
    assert evaluation.std == 0
    assert evaluation.interval == (evaluation.mean, evaluation.mean)


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("sigma0", [SMALLEST_SIGMA, LARGEST_SIGMA])
@pytest.mark.parametrize("objective", ["flat", "sphere", "random"])
def test_step_sizes_stay_within_their_bounds(objective, sigma0, diagonal):
    rng = np.random.default_rng(0)
    scores = {
        "flat": lambda population: np.zeros(len(population)),
        "sphere": lambda population: -(population**2).sum(axis=1),
        "random": lambda population: rng.standard_normal(len(population)),
    }[objective]
    optimizer = Optimizer(np.zeros(4), sigma0, 8, (0,), diagonal=diagonal)
    for generation in range(400):
        optimizer.tell(scores(optimizer.ask(generation)))
        assert SMALLEST_SIGMA <= optimizer.sigma <= LARGEST_SIGMA


def test_search_that_runs_off_ends_with_an_error_that_says_so():
    optimizer = Optimizer(np.zeros(2), 1.0, 30, (0,))
    with pytest.raises(ps.DivergedError, match="--sigma-max"):
        for generation in range(20_000):
            optimizer.tell(optimizer.ask(generation)[:, 0])


@pytest.mark.parametrize("name", ["sigma0", "sigma_min", "sigma_max"])
@pytest.mark.parametrize("value", [0, -1, np.nan, np.inf, 1e-13, 1e13, "much"])
def test_impossible_step_sizes_are_refused_by_name(tmp_path, name, value):
    with pytest.raises(ps.InputError, match=f"{name} must be"):
        ps.train(ps.MLPPolicy(), TASK, tmp_path / "run", **{name: value})
    assert not (tmp_path / "run").exists()


def test_covariances_too_many_to_keep_are_refused(tmp_path):
    policy = ps.MLPPolicy(5, 1, (1000,))
    with pytest.raises(ps.InputError, match="--diagonal"):
        ps.train(policy, TASK, tmp_path / "run")
    result = ps.train(policy, TASK, tmp_path / "run", generations=2, diagonal=True, **SMALL)
    assert result.generations == 2
