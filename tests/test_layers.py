"""The layers against the equations written out plainly in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pisensory as ps
from pisensory import layers
from pisensory.parameters import unflatten


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def plain_episode(policy, params, observations):
    """The published equations, one input at a time, in float64: actions and latent codes of an episode."""
    named = {name: array[0] for name, array in unflatten(params[None].astype(np.float64), policy.layout).items()}
    n_features = observations.shape[1]
    table = np.array(
        [
            [
                (np.sin if column % 2 == 0 else np.cos)(row / 10000 ** (2 * (column // 2) / policy.hidden_size))
                for column in range(policy.hidden_size)
            ]
            for row in range(policy.n_embeddings)
        ]
    )
    hidden = np.zeros((n_features, policy.hidden_size))
    cell = np.zeros_like(hidden)
    action = np.zeros(policy.n_actions)
    actions, codes = [], []
    for observation in observations:
        for i in range(n_features):
            x = np.concatenate([[observation[i]], action])
            gates = named["w_input"] @ x + named["b_input"] + named["w_hidden"] @ hidden[i] + named["b_hidden"]
            entry, forget, update, output = np.split(gates, 4)
            cell[i] = sigmoid(forget) * cell[i] + sigmoid(entry) * np.tanh(update)
            hidden[i] = sigmoid(output) * np.tanh(cell[i])
        queries = table @ named["w_query"].T + named.get("b_query", 0)
        keys = hidden @ named["w_key"].T + named.get("b_key", 0)
        attention = np.tanh(queries @ keys.T / (np.sqrt(policy.proj_dim) if policy.scale else 1))
        code = np.tanh(policy.gain * attention @ observation)
        x = code
        for i in range(len(policy.head_sizes) + 1):
            x = np.tanh(named[f"head{i}_weight"] @ x + named[f"head{i}_bias"])
        action = x
        actions.append(action)
        codes.append(code)
    return np.array(actions), np.array(codes)


@settings(max_examples=25, deadline=None)
@given(
    n_actions=st.integers(1, 3),
    n_embeddings=st.integers(1, 9),
    proj_dim=st.integers(1, 9),
    hidden_size=st.integers(1, 6),
    head_sizes=st.lists(st.integers(1, 5), max_size=2),
    bias=st.booleans(),
    scale=st.booleans(),
    gain=st.floats(0.1, 2),
    n_features=st.integers(1, 12),
    seed=st.integers(0, 2**32),
)
def test_policy_follows_the_equations(n_features, seed, head_sizes, **sizes):
    policy = ps.InvariantPolicy(head_sizes=tuple(head_sizes), **sizes)
    rng = np.random.default_rng(seed)
    params = 0.5 * rng.standard_normal(policy.n_params)
    observations = rng.standard_normal((6, n_features)).astype(np.float32)
    agent = policy.agent(params)
    actions, codes = plain_episode(policy, params, observations)
    for observation, action, code in zip(observations, actions, codes):
        np.testing.assert_allclose(agent.act(observation), action, rtol=0, atol=3e-5)
        np.testing.assert_allclose(agent.latent, code, rtol=0, atol=3e-5)


def test_positional_table_is_that_of_the_design():
    table = layers.positional_table(3, 4)
    expected = [
        [0, 1, 0, 1],
        [np.sin(1), np.cos(1), np.sin(0.01), np.cos(0.01)],
        [np.sin(2), np.cos(2), np.sin(0.02), np.cos(0.02)],
    ]
    np.testing.assert_allclose(table, expected, atol=1e-15)


def weighted_sum(attention, values, gain=1.0):
    """The layer's sum for attention (feature, embedding) and values (feature,)."""
    n_features, n_embeddings = attention.shape
    block = layers.make_block(1, n_features, n_embeddings, 1)
    block.matrices[0, :, :, 0] = attention
    out = np.empty((n_embeddings, 1), np.float32)
    with np.errstate(over="ignore"):
        exact = layers.make_exact_sum(block, n_features)
        layers.exact_weighted_sum(block, *layers.count_values(values[:, None].copy(), gain, exact), exact, out)
    return out[:, 0]


finite32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


@settings(max_examples=200, deadline=None)
@given(values=st.lists(finite32, min_size=1, max_size=90), seed=st.integers(0, 2**32))
def test_weighted_sum_has_no_order_and_float32_precision(values, seed):
    values = np.array(values, np.float32)
    rng = np.random.default_rng(seed)
    attention = rng.uniform(-1, 1, (len(values), 7)).astype(np.float32)
    total = weighted_sum(attention, values)
    order = rng.permutation(len(values))
    np.testing.assert_array_equal(weighted_sum(attention[order], values[order]), total)
    exact = attention.astype(np.float64).T @ values.astype(np.float64)
    error = np.abs(total - np.clip(exact, -np.finfo(np.float32).max, np.finfo(np.float32).max))
    largest = float(np.abs(values).max())
    if np.isfinite(total).all():
        assert (error <= len(values) * max(largest * 2.0**-23, 2.0**-125)).all()


def test_weighted_sum_of_many_values_keeps_its_precision():
    rng = np.random.default_rng(0)
    values = rng.standard_normal(10_000).astype(np.float32)
    attention = rng.uniform(-1, 1, (10_000, 3)).astype(np.float32)
    exact = attention.astype(np.float64).T @ values.astype(np.float64)
    np.testing.assert_allclose(weighted_sum(attention, values), exact, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("n_candidates", [1, 64])
def test_blocks_show_one_memory(n_candidates):
    block = layers.make_block(n_candidates, 4, 3, 16)
    block.matrices[0, 1, 2, 3] = 5
    assert block.planes[2].reshape(4, n_candidates, 16)[1, 0, 3] == 5
    assert np.count_nonzero(block.planes) == 1


@pytest.mark.parametrize("n_features", [1, 5, 64, 65, 300])
@pytest.mark.parametrize("gain", [1.0, 0.37, 1e6])
def test_the_sum_of_a_single_column_is_that_of_any_to_the_bit(n_features, gain):
    rng = np.random.default_rng(n_features)
    attention, values = layers.make_block(1, n_features, 7, 1), np.empty((n_features, 1), np.float32)
    exact = layers.make_exact_sum(attention, n_features)
    expected, found = np.empty((2, 7, 1), np.float32)
    single = layers.SingleSum(attention, values, gain, exact, found)
    for scale in (0, 1e-45, 1e-38, 1e-20, 1, 1e3, 1e20, 1e31):
        values[:, 0] = scale * rng.standard_normal(n_features)
        attention.planes[...] = np.tanh(3 * rng.standard_normal(attention.planes.shape))
        counted, part = layers.count_values(values, gain, exact)
        layers.exact_weighted_sum(attention, counted, part, exact, expected)
        single.write()
        np.testing.assert_array_equal(found, expected)
        assert found.any() or scale < 1e-20
