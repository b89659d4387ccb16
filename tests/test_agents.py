"""Many agents of one policy, stepped as one batch."""

import numpy as np
import pytest

import pisensory as ps

INVARIANT = ps.InvariantPolicy(n_actions=2, head_sizes=(4,))
PATCHES = ps.PatchPolicy(grid=(3, 3), n_votes=2, proj_dim=4, n_frames=2, patch_size=2)
REMEMBERING = ps.PatchPolicy(grid=(3, 3), n_votes=2, proj_dim=4, n_frames=2, patch_size=2, hidden_size=3)
LSTM = ps.LSTMPolicy(n_features=6, n_actions=2, hidden_size=4)
POLICIES = [(INVARIANT, 6), (ps.MLPPolicy(4, 3), None), (PATCHES, 5), (REMEMBERING, 5), (LSTM, None)]


@pytest.mark.parametrize(("policy", "n_features"), POLICIES)
def test_a_batch_acts_as_its_agents_alone_though_some_begin_anew(policy, n_features):
    rng = np.random.default_rng(0)
    params = 0.3 * rng.standard_normal(policy.n_params)
    batch, alone = ps.Agents(policy, params, 7, n_features), [policy.agent(params) for _ in range(7)]
    assert len(batch) == 7
    shape = (7, n_features or policy.n_features, policy.n_channels)
    shape = shape[:2] if policy.n_channels == 1 else shape
    for step in range(12):
        if step in (4, 8):
            begun = [1, 5] if step == 4 else np.arange(7) == 2
            batch.reset(begun)
            for number in np.arange(7)[begun]:
                alone[number].reset()
        seen = rng.standard_normal(shape) if policy.n_channels == 1 else rng.integers(0, 255, shape)
        actions = batch.act(seen)
        assert actions.shape == (7, policy.n_actions) and actions.dtype == np.float32
        np.testing.assert_allclose(actions, [agent.act(one) for agent, one in zip(alone, seen)], rtol=0, atol=1e-5)
    first = batch.act(seen)
    batch.reset()
    np.testing.assert_allclose(batch.act(seen), [policy.agent(params).act(one) for one in seen], rtol=0, atol=1e-5)
    assert policy.kind == "mlp" or not np.allclose(first, batch.act(seen), atol=1e-6)


@pytest.mark.parametrize(("policy", "n_features"), POLICIES)
def test_agents_that_do_not_act_stay_as_they_are(policy, n_features):
    rng = np.random.default_rng(0)
    params = 0.3 * rng.standard_normal(policy.n_params)
    batch, alone = ps.Agents(policy, params, 5, n_features), [policy.agent(params) for _ in range(5)]
    shape = (5, n_features or policy.n_features, policy.n_channels)
    shape = shape[:2] if policy.n_channels == 1 else shape
    for step in range(15):
        seen = rng.standard_normal(shape) if policy.n_channels == 1 else rng.integers(0, 255, shape)
        which = rng.permutation(5)[: rng.integers(1, 6)]
        actions = batch.act(seen[which], which if step % 2 else which.tolist())
        expected = [alone[number].act(one) for number, one in zip(which, seen[which])]
        np.testing.assert_allclose(actions, expected, rtol=0, atol=1e-5)


def test_the_order_of_inputs_changes_no_bit_in_a_batch():
    rng = np.random.default_rng(0)
    params, order = rng.standard_normal(INVARIANT.n_params), rng.permutation(6)
    first, second = (ps.Agents(INVARIANT, params, 9, 6) for _ in range(2))
    for seen in rng.standard_normal((10, 9, 6)):
        np.testing.assert_array_equal(first.act(seen), second.act(seen[:, order]))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.ones((3, 2)), r"\(3, 6\) \(agent, feature\), got \(3, 2\)"), (np.ones((2, 6)), "got"),
        (np.full((3, 6), np.nan), "NaN or infinite"), ("text", "the observations must be"), (None, "real numbers"),
    ],
)  # fmt: skip
def test_wrong_observations_are_refused_and_change_nothing(wrong, message):
    params = np.random.default_rng(0).standard_normal(INVARIANT.n_params)
    batch, other = (ps.Agents(INVARIANT, params, 3, 6) for _ in range(2))
    with pytest.raises(ps.InputError, match=message):
        batch.act(wrong)
    np.testing.assert_array_equal(batch.act(np.ones((3, 6))), other.act(np.ones((3, 6))))


@pytest.mark.parametrize("agents", [[3], [-1], [0.5], [True], "text", [[0]], 1])
def test_agents_that_are_not_there_cannot_begin_anew(agents):
    with pytest.raises(ps.InputError, match="agents must be"):
        ps.Agents(INVARIANT, np.zeros(INVARIANT.n_params), 3, 6).reset(agents)


def test_numbers_that_no_batch_has_are_refused_by_name():
    params = np.zeros(INVARIANT.n_params)
    for arguments, message in (((3,), "n_features must be given"), ((0, 6), "n_agents"), ((10**9, 6), "n_agents")):
        with pytest.raises(ps.InputError, match=message):
            ps.Agents(INVARIANT, params, *arguments)
    with pytest.raises(ps.InputError, match="takes 5 inputs, got 6"):
        ps.Agents(ps.MLPPolicy(), np.zeros(113), 3, 6)
    assert repr(ps.Agents(INVARIANT, params, 3, 6)) == "Agents(invariant, 3 agents of 6 inputs)"
