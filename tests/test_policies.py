"""Policies and agents: sizes, layouts, bad input."""

import dataclasses

import numpy as np
import pytest

import pisensory as ps
from pisensory.policies import policy_from_config


def test_number_of_parameters_is_that_of_the_published_networks():
    assert ps.InvariantPolicy().n_params == 913
    ant = ps.InvariantPolicy(8, 32, 32, 8, (32,), bias=True, scale=True)
    assert ant.n_params == 2504
    assert ps.MLPPolicy(28, 8, (32, 32)).n_params == 2248
    assert ps.MLPPolicy().n_params == 113
    assert ps.MLPPolicy(hidden_sizes=()).n_params == 6


def test_layout_covers_the_vector_once_in_order():
    policy = ps.InvariantPolicy(n_actions=2, head_sizes=(4,), bias=True)
    position = 0
    for part, shape in policy.layout.values():
        assert part.start == position
        assert part.stop - part.start == np.prod(shape)
        position = part.stop
    assert position == policy.n_params
    assert list(policy.layout)[:4] == ["w_input", "w_hidden", "b_input", "b_hidden"]


def test_linear_policy_is_one_layer():
    params = np.arange(6) / 10
    action = ps.MLPPolicy(hidden_sizes=()).agent(params).act([1, -1, 0.5, 0, 2])
    np.testing.assert_allclose(action, np.tanh([0 - 0.1 + 0.1 + 0 + 0.8 + 0.5]), rtol=1e-6)


@pytest.mark.parametrize("policy", [ps.InvariantPolicy(head_sizes=(3, 4)), ps.MLPPolicy(7, 2, ())])
def test_config_describes_the_policy(policy):
    assert policy_from_config(policy.config) == policy


@pytest.mark.parametrize("config", [None, {}, {"kind": "other"}, {"kind": "mlp", "colour": 3}, {"kind": ["mlp"]}])
def test_config_that_describes_none_is_refused(config):
    with pytest.raises(ps.InputError):
        policy_from_config(config)


@pytest.mark.parametrize(
    "sizes",
    [
        {"n_actions": 0}, {"n_embeddings": 1.5}, {"hidden_size": "many"}, {"head_sizes": (0,)},
        {"head_sizes": "32"}, {"gain": 0}, {"gain": float("nan")}, {"proj_dim": True},
    ],
)  # fmt: skip
def test_impossible_sizes_are_refused_by_name(sizes):
    with pytest.raises(ps.InputError, match=next(iter(sizes))):
        ps.InvariantPolicy(**sizes)


def test_agent_forgets_at_reset():
    policy = ps.InvariantPolicy()
    agent = policy.agent(np.random.default_rng(0).standard_normal(policy.n_params))
    observation = np.array([1, 2, 3, 4, 5])
    first = agent.act(observation)
    assert not np.array_equal(agent.act(observation), first)
    agent.reset()
    np.testing.assert_array_equal(agent.act(observation), first)


def test_agent_takes_any_number_of_inputs_but_one_number_an_episode():
    policy = ps.InvariantPolicy()
    agent = policy.agent(np.random.default_rng(0).standard_normal(policy.n_params))
    for n_features in (1, 5, 64, 65, 10_000):
        agent.reset()
        assert agent.act(np.ones(n_features)).shape == (1,)
        assert agent.attention.shape == (16, n_features)
        assert agent.latent.shape == (16,)
    with pytest.raises(ps.InputError, match=r"6 inputs.*10000.*reset"):
        agent.act(np.ones(6))


@pytest.mark.parametrize(
    "observation",
    [
        [1.0, 2.0, 3.0, 4.0, 5.0], (1, 2, 3, 4, 5), np.array([1, 2, 3, 4, 5]), np.repeat(np.arange(1.0, 6.0), 2)[::2],
        np.arange(1, 11)[::2] // 2 + 1, np.arange(1.0, 6.0, dtype=np.float16),
    ],
)  # fmt: skip
def test_agent_takes_any_kind_of_numbers(observation):
    policy = ps.InvariantPolicy()
    params = np.random.default_rng(0).standard_normal(policy.n_params)
    expected = policy.agent(params).act(np.array([1, 2, 3, 4, 5], np.float32))
    np.testing.assert_array_equal(policy.agent(params).act(observation), expected)


@pytest.mark.parametrize(
    ("observation", "message"),
    [
        ([], "non-empty"), ([[1, 2]], "flat"), (3.0, "flat"), ([1, np.nan], "NaN or infinite"),
        ([np.inf, 1], "NaN or infinite"), (["a"], "real numbers"), ([1j], "real numbers"), (None, "real numbers"),
        ([[1], [2, 3]], "real numbers"),
    ],
)  # fmt: skip
def test_bad_observations_are_refused(observation, message):
    agent = ps.InvariantPolicy().agent(np.zeros(913))
    with pytest.raises(ps.InputError, match=message):
        agent.act(observation)


def test_numbers_beyond_float32_are_cut_to_it():
    policy = ps.InvariantPolicy()
    params = np.random.default_rng(0).standard_normal(policy.n_params)
    cut = policy.agent(params).act(np.array([np.finfo(np.float32).max, -1], np.float32))
    np.testing.assert_array_equal(policy.agent(params).act([1e300, -1.0]), cut)


def test_mlp_refuses_another_number_of_inputs():
    with pytest.raises(ps.InputError, match="takes 5 inputs, got 6"):
        ps.MLPPolicy().agent(np.zeros(113)).act(np.zeros(6))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (np.zeros(912), "912 numbers"), (np.full(913, np.nan), "NaN"), (np.zeros((1, 913)), "flat"),
        ("weights", "real numbers"), ([None] * 913, "real numbers"),
    ],
)  # fmt: skip
def test_bad_vectors_are_refused(params, message):
    with pytest.raises(ps.InputError, match=message):
        ps.InvariantPolicy().agent(params)


def test_latent_code_needs_a_step_and_an_invariant_policy():
    agent = ps.InvariantPolicy().agent(np.zeros(913))
    with pytest.raises(ps.InputError, match="first act"):
        _ = agent.latent
    other = ps.MLPPolicy().agent(np.zeros(113))
    other.act(np.zeros(5))
    with pytest.raises(AttributeError, match="'mlp' has no attention"):
        _ = other.attention


def test_policies_are_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ps.InvariantPolicy().n_actions = 3


def test_gain_scales_the_sum_before_the_tanh():
    params = np.random.default_rng(0).standard_normal(913)
    agent, halved = ps.InvariantPolicy().agent(params), ps.InvariantPolicy(gain=0.5).agent(params)
    observation = np.array([0.01, -0.02, 0.03], np.float32)
    agent.act(observation)
    halved.act(observation)
    np.testing.assert_allclose(np.arctanh(halved.latent), 0.5 * np.arctanh(agent.latent), rtol=1e-4, atol=1e-7)
