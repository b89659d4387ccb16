"""Back-propagation: against central differences, against PyTorch's autograd, and for its symmetries."""

import json
import pathlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pisensory as ps
from pisensory.policies import invariant, policy_from_config

# Made once with PyTorch 2.13: random weights, inputs and targets, the actions, and autograd's gradient of half
# the squared error.
GOLDEN = pathlib.Path(__file__).parent / "data" / "gradients.npz"

POLICIES = st.one_of(
    st.builds(
        ps.InvariantPolicy,
        n_actions=st.integers(1, 2),
        n_embeddings=st.integers(1, 4),
        proj_dim=st.integers(1, 4),
        hidden_size=st.integers(1, 3),
        head_sizes=st.sampled_from([(), (3,), (2, 3)]),
        bias=st.booleans(),
        scale=st.booleans(),
        gain=st.sampled_from([0.5, 1.0]),
    ),
    st.builds(
        ps.MLPPolicy,
        n_features=st.just(3),
        n_actions=st.integers(1, 2),
        hidden_sizes=st.sampled_from([(), (4,), (3, 2)]),
    ),
)


def random_batch(policy, n_steps, n_episodes, seed, n_features=3):
    rng = np.random.default_rng(seed)
    params = 0.7 * rng.standard_normal(policy.n_params)
    observations = rng.standard_normal((n_steps, n_features, 1, n_episodes))
    previous, targets = rng.uniform(-1, 1, (2, n_steps, policy.n_actions, n_episodes))
    return params, observations, previous, targets


@settings(max_examples=20, deadline=None)
@given(policy=POLICIES, n_steps=st.integers(1, 5), n_episodes=st.integers(1, 3), seed=st.integers(0, 2**32))
def test_gradient_is_that_of_central_differences(policy, n_steps, n_episodes, seed):
    params, observations, previous, targets = random_batch(policy, n_steps, n_episodes, seed)

    def loss(vector):
        actions = policy.unroll(vector, observations, previous, dtype=np.float64).actions
        return 0.5 * ((actions - targets) ** 2).sum()

    unrolled = policy.unroll(params, observations, previous, dtype=np.float64)
    gradient = unrolled.gradient(unrolled.actions - targets)
    step = 1e-5
    differences = [
        (loss(params + step * unit) - loss(params - step * unit)) / (2 * step) for unit in np.eye(len(params))
    ]
    np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-6 * np.abs(gradient).max())


def test_gradient_of_a_loss_that_looks_at_the_states_is_that_of_central_differences():
    policy = ps.InvariantPolicy(n_actions=2, n_embeddings=3, proj_dim=2, hidden_size=3, head_sizes=(2,))
    params, observations, previous, targets = random_batch(policy, 6, 2, seed=4)
    wanted = np.random.default_rng(5).uniform(-1, 1, (6, 3, 3, 2))

    def loss(vector):
        unrolled = policy.unroll(vector, observations, previous, dtype=np.float64)
        return 0.5 * ((unrolled.actions - targets) ** 2).sum() + 0.5 * ((unrolled.hidden - wanted) ** 2).sum()

    unrolled = policy.unroll(params, observations, previous, dtype=np.float64)
    gradient = unrolled.gradient(unrolled.actions - targets, unrolled.hidden - wanted)
    differences = [(loss(params + 1e-5 * unit) - loss(params - 1e-5 * unit)) / 2e-5 for unit in np.eye(policy.n_params)]
    np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-6 * np.abs(gradient).max())


@pytest.mark.parametrize("name", ["small", "full"])
def test_gradient_is_that_of_autograd(name):
    data = np.load(GOLDEN, allow_pickle=False)
    policy = policy_from_config(json.loads(str(data[f"{name}_config"])))
    unrolled = policy.unroll(
        data[f"{name}_params"], data[f"{name}_observations"][:, :, None], data[f"{name}_previous_actions"]
    )
    np.testing.assert_allclose(unrolled.actions, data[f"{name}_actions"], rtol=0, atol=1e-6)
    gradient = unrolled.gradient(unrolled.actions - data[f"{name}_targets"])
    expected = data[f"{name}_gradient"]
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_unrolled_actions_are_those_of_the_agent():
    policy = ps.InvariantPolicy(n_actions=2, head_sizes=(5,), bias=True, scale=True, gain=0.5)
    params, observations, _, _ = random_batch(policy, 12, 1, seed=0, n_features=7)
    agent = policy.agent(params)
    actions = np.array([agent.act(observation[:, 0, 0]) for observation in observations])
    previous = np.concatenate([np.zeros((1, 2)), actions[:-1]])[:, :, None]
    np.testing.assert_allclose(policy.unroll(params, observations, previous).actions[:, :, 0], actions, atol=1e-5)


def test_order_of_inputs_does_not_change_the_gradient():
    policy = ps.InvariantPolicy()
    params, observations, previous, targets = random_batch(policy, 10, 4, seed=1, n_features=6)
    order = np.random.default_rng(2).permutation(6)
    first, second = (policy.unroll(params, values, previous) for values in (observations, observations[:, order]))
    gradient = first.gradient(first.actions - targets)
    np.testing.assert_allclose(
        second.gradient(second.actions - targets), gradient, rtol=0, atol=1e-5 * np.abs(gradient).max()
    )


@pytest.mark.parametrize("aggregation", ["sum", "softmax"])
def test_steps_that_are_taken_together_change_no_bit(monkeypatch, aggregation):
    """Attention of one step at a time, of four (and of three at the end), and of all."""
    policy = ps.AblatedPolicy(2, 6, 4, 5, aggregation=aggregation)
    params, observations, previous, targets = random_batch(policy, 11, 4, seed=0)
    d_hidden = np.random.default_rng(1).standard_normal((11, 3, policy.state_size, 4))
    results = []
    for n_together in (1, 4, 11):
        monkeypatch.setattr(invariant, "_COLUMNS", n_together * 3 * 4)
        unrolled = policy.unroll(params, observations, previous)
        results.append((unrolled.actions, unrolled.gradient(unrolled.actions - targets, d_hidden)))
    for actions, gradient in results[1:]:
        np.testing.assert_array_equal(actions, results[0][0])
        np.testing.assert_array_equal(gradient, results[0][1])


def test_gradient_is_finite_for_observations_as_large_as_float32():
    policy = ps.InvariantPolicy()
    params, observations, previous, targets = random_batch(policy, 5, 2, seed=6)
    observations[1:4, 0] = np.finfo(np.float32).max
    with np.errstate(over="ignore"):
        unrolled = policy.unroll(params, observations, previous)
        gradient = unrolled.gradient(unrolled.actions - targets)
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0


def test_sequences_can_be_cut_and_gone_on_with():
    policy = ps.InvariantPolicy(n_embeddings=4, proj_dim=4, hidden_size=3)
    params, observations, previous, targets = random_batch(policy, 10, 2, seed=3)
    whole = policy.unroll(params, observations, previous, dtype=np.float64)
    first = policy.unroll(params, observations[:6], previous[:6], dtype=np.float64)
    rest = policy.unroll(params, observations[6:], previous[6:], first.state, dtype=np.float64)
    np.testing.assert_allclose(np.concatenate([first.actions, rest.actions]), whole.actions, atol=1e-12)
    late = np.concatenate([np.zeros_like(first.actions), rest.actions - targets[6:]])
    assert not np.allclose(whole.gradient(late), rest.gradient(rest.actions - targets[6:]), atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"observations": np.ones((2, 3, 1))}, "observations"),
        ({"observations": np.ones((2, 3, 2, 1))}, "1 channels"),
        ({"observations": np.full((2, 3, 1, 1), np.nan)}, "NaN"),
        ({"previous_actions": np.ones((2, 2, 1))}, "previous_actions"),
        ({"state": (np.ones((3, 1)),) * 2}, "state must be"), ({"params": np.ones(3)}, "parameter vector"),
    ],
)  # fmt: skip
def test_wrong_shapes_are_refused(arguments, message):
    policy = ps.InvariantPolicy()
    settings = {"params": np.ones(913), "observations": np.ones((2, 3, 1, 1)), **arguments}
    with pytest.raises(ps.InputError, match=message):
        policy.unroll(**settings)
    with pytest.raises(ps.InputError, match="d_actions"):
        policy.unroll(np.ones(913), np.ones((2, 3, 1, 1))).gradient(np.ones((2, 1, 2)))
    with pytest.raises(ps.InputError, match=r"d_hidden must have the shape \(2, 3, 8, 1\)"):
        policy.unroll(np.ones(913), np.ones((2, 3, 1, 1))).gradient(np.ones((2, 1, 1)), np.ones((2, 3, 8)))
    linear = ps.MLPPolicy(3, hidden_sizes=()).unroll(np.ones(4), np.ones((2, 3, 1, 1)))
    with pytest.raises(ps.InputError, match="d_hidden must be None"):
        linear.gradient(np.ones((2, 1, 1)), np.ones((2, 3, 8, 1)))
