"""The policies to compare with: an LSTM over all inputs, and invariant policies that lack something."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pisensory as ps

SIZES = {"n_embeddings": 6, "proj_dim": 4, "hidden_size": 3}
ABLATED = [
    ps.AblatedPolicy(**SIZES, learned_queries=True),
    ps.AblatedPolicy(**SIZES, aggregation="mean", gain=0.5),
    ps.AblatedPolicy(**SIZES, aggregation="softmax"),
    ps.AblatedPolicy(**SIZES, previous_action=False),
    ps.AblatedPolicy(**SIZES, recurrent=False, head_sizes=(4,)),
    ps.AblatedPolicy(
        **SIZES, n_actions=2, bias=True, scale=True, learned_queries=True, aggregation="softmax", previous_action=False,
        recurrent=False,
    ),
]  # fmt: skip
LSTM = ps.LSTMPolicy(n_features=3, n_actions=2, hidden_size=4)
policies = pytest.mark.parametrize("policy", [*ABLATED, LSTM], ids=repr)
ablated = pytest.mark.parametrize("policy", ABLATED, ids=repr)


def random_batch(policy, n_steps, n_episodes, n_features=3, seed=0):
    rng = np.random.default_rng(seed)
    params = 0.7 * rng.standard_normal(policy.n_params)
    observations = rng.standard_normal((n_steps, n_features, 1, n_episodes))
    return params, observations, *rng.uniform(-1, 1, (2, n_steps, policy.n_actions, n_episodes))


def act_through(policy, params, observations, previous):
    """What a run answers to sequences, told these previous actions: (step, action, episode)."""
    run = policy.start(policy.prepare(params[None]), observations.shape[1], observations.shape[3])
    actions = []
    for seen, told in zip(observations, previous):
        run.actions[0] = told
        run.observations[0] = seen
        run.step()
        actions.append(run.actions[0].copy())
    return np.array(actions)


def test_an_ablated_policy_that_lacks_nothing_is_the_invariant_one_to_the_bit():
    plain, same = ps.InvariantPolicy(head_sizes=(4,)), ps.AblatedPolicy(head_sizes=(4,))
    params, observations, previous, _ = random_batch(plain, 9, 4)
    first, second = (act_through(policy, params, observations, previous) for policy in (plain, same))
    np.testing.assert_array_equal(first, second)
    gradients = [
        unrolled.gradient(unrolled.actions)
        for unrolled in (policy.unroll(params, observations, previous) for policy in (plain, same))
    ]
    np.testing.assert_array_equal(*gradients)


@settings(max_examples=60, deadline=None)
@given(
    policy=st.sampled_from(ABLATED), n_features=st.integers(1, 80), exponent=st.integers(-44, 38),
    size=st.sampled_from([0.1, 1, 30, 1e6]), seed=st.integers(0, 2**32),
)  # fmt: skip
def test_no_order_of_inputs_changes_a_bit(policy, n_features, exponent, size, seed):
    rng = np.random.default_rng(seed)
    params = size * rng.standard_normal(policy.n_params)
    order = rng.permutation(n_features)
    first, second = policy.agent(params), policy.agent(params)
    for _ in range(5):
        observation = (rng.uniform(-1, 1, n_features) * 10.0**exponent).astype(np.float32)
        np.testing.assert_array_equal(first.act(observation), second.act(observation[order]))
        np.testing.assert_array_equal(first.latent, second.latent)
        np.testing.assert_array_equal(first.attention[:, order], second.attention)
        assert np.isfinite(first.latent).all()


@ablated
def test_shuffles_change_no_return(policy):
    task = ps.CartPoleSwingUp("harder", max_steps=80, perturbation=ps.Perturbation(n_noise=4))
    shuffled = task.altered({"shuffle": True}, {})
    policy = dataclasses.replace(policy, n_actions=1)
    population = 0.7 * np.random.default_rng(3).standard_normal((3, policy.n_params))
    returns = [ps.rollout(policy, population, one, 17).returns for one in (task, shuffled)]
    np.testing.assert_array_equal(*returns)
    assert len(np.unique(returns[0])) > 40


@policies
def test_scores_do_not_depend_on_chunks(policy):
    task = ps.CartPoleSwingUp("v1", max_steps=60)
    sizes = {"n_features": 5} if policy.kind == "lstm" else {}
    policy = dataclasses.replace(policy, n_actions=1, **sizes)
    population = 0.7 * np.random.default_rng(3).standard_normal((70, policy.n_params))
    whole = ps.rollout(policy, population, task, 16).returns
    single = [ps.rollout(policy, population[row : row + 1], task, 16).returns[0] for row in (0, 5, 69)]
    np.testing.assert_array_equal(whole[[0, 5, 69]], single)


@policies
def test_gradient_is_that_of_central_differences(policy):
    params, observations, previous, targets = random_batch(policy, 5, 2)

    def loss(vector):
        actions = policy.unroll(vector, observations, previous, dtype=np.float64).actions
        return 0.5 * ((actions - targets) ** 2).sum()

    unrolled = policy.unroll(params, observations, previous, dtype=np.float64)
    gradient = unrolled.gradient(unrolled.actions - targets)
    differences = [(loss(params + 1e-5 * unit) - loss(params - 1e-5 * unit)) / 2e-5 for unit in np.eye(len(params))]
    np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-6 * np.abs(gradient).max())


@policies
def test_unrolled_actions_are_those_of_a_run_and_can_be_cut(policy):
    params, observations, previous, _ = random_batch(policy, 12, 2)
    whole = policy.unroll(params, observations, previous)
    np.testing.assert_allclose(whole.actions, act_through(policy, params, observations, previous), atol=1e-5)
    first = policy.unroll(params, observations[:7], previous[:7])
    rest = policy.unroll(params, observations[7:], previous[7:], first.state)
    np.testing.assert_allclose(np.concatenate([first.actions, rest.actions]), whole.actions, atol=1e-5)


@ablated
def test_gradient_by_states_that_are_to_be_told_apart(policy):
    params, observations, previous, _ = random_batch(policy, 4, 2)
    wanted = np.random.default_rng(5).uniform(-1, 1, (4, 3, policy.hidden_size, 2))

    def loss(vector):
        return 0.5 * ((policy.unroll(vector, observations, previous, dtype=np.float64).hidden - wanted) ** 2).sum()

    unrolled = policy.unroll(params, observations, previous, dtype=np.float64)
    gradient = unrolled.gradient(np.zeros_like(unrolled.actions), unrolled.hidden - wanted)
    differences = [(loss(params + 1e-5 * unit) - loss(params - 1e-5 * unit)) / 2e-5 for unit in np.eye(len(params))]
    np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-6 * np.abs(gradient).max())


def test_lstm_is_the_one_of_its_equations():
    policy = ps.LSTMPolicy(n_features=3, n_actions=2, hidden_size=4)
    params = 0.8 * np.random.default_rng(1).standard_normal(policy.n_params)
    w = {name: params[part].reshape(shape) for name, (part, shape) in policy.layout.items()}
    agent, h, c, action = policy.agent(params), np.zeros(4), np.zeros(4), np.zeros(2)
    for observation in np.random.default_rng(2).standard_normal((8, 3)):
        gates = w["w_input"] @ np.concatenate([observation, action]) + w["b_input"] + w["w_hidden"] @ h + w["b_hidden"]
        entry, forget, update, output = np.split(gates, 4)
        c = c / (1 + np.exp(-forget)) + np.tanh(update) / (1 + np.exp(-entry))
        h = np.tanh(c) / (1 + np.exp(-output))
        action = np.tanh(w["w_action"] @ h + w["b_action"])
        np.testing.assert_allclose(agent.act(observation), action, atol=1e-5)


@pytest.mark.parametrize("aggregation", ["sum", "mean", "softmax"])
def test_latent_code_is_the_one_of_its_equations(aggregation):
    policy = ps.AblatedPolicy(**SIZES, aggregation=aggregation, learned_queries=True)
    params = 1.5 * np.random.default_rng(1).standard_normal(policy.n_params)
    w = {name: params[part].reshape(shape) for name, (part, shape) in policy.layout.items()}
    run = policy.start(policy.prepare(params[None]), 7, 1)
    for observation in np.random.default_rng(2).standard_normal((6, 7)):
        run.observations[0, :, 0, 0] = observation
        run.step()
        scores = np.sqrt(3) * w["w_query"].T @ (run.hidden[0, :, :, 0] @ w["w_key"].T).T  # (embedding, feature)
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        weights = {"sum": np.tanh(scores), "mean": np.tanh(scores) / 7, "softmax": shares / shares.sum(1)[:, None]}
        np.testing.assert_allclose(run.latent[0, :, 0], np.tanh(weights[aggregation] @ observation), atol=1e-5)


def test_what_is_taken_away_is_not_used():
    seen = np.random.default_rng(0).standard_normal((2, 5, 3))
    for recurrent, previous_action in itertools.product((True, False), repeat=2):
        policy = ps.AblatedPolicy(recurrent=recurrent, previous_action=previous_action)
        run = policy.start(policy.prepare(np.random.default_rng(1).standard_normal((1, policy.n_params))), 5, 3)
        answers = []
        for told in (0.0, 0.0, 0.9):  # one observation again and again, after different actions
            run.actions[...] = told
            run.observations[0, :, 0] = seen[0]
            run.step()
            answers.append(run.actions.copy())
        assert np.array_equal(answers[0], answers[1]) == (not recurrent)
        assert np.array_equal(answers[0], answers[2]) == (not recurrent and not previous_action)


@policies
def test_file_describes_the_policy(policy, tmp_path):
    params = np.random.default_rng(0).standard_normal(policy.n_params)
    ps.save_policy(tmp_path / "policy.npz", policy, params)
    loaded, same = ps.load_policy(tmp_path / "policy.npz")
    assert loaded == policy
    np.testing.assert_array_equal(same, params)


@pytest.mark.parametrize(
    ("network", "sizes"),
    [
        (ps.AblatedPolicy, {"aggregation": "median"}), (ps.AblatedPolicy, {"recurrent": 1}),
        (ps.AblatedPolicy, {"hidden_size": 0}), (ps.LSTMPolicy, {"hidden_size": 0}),
        (ps.LSTMPolicy, {"n_features": -1}),
    ],
)  # fmt: skip
def test_impossible_settings_are_refused_by_name(network, sizes):
    with pytest.raises(ps.InputError, match=next(iter(sizes))):
        network(**sizes)


def test_lstm_state_of_another_shape_is_refused():
    with pytest.raises(ps.InputError, match=r"state must be h and c, each of the shape \(1, 4, 2\)"):
        LSTM.unroll(np.ones(LSTM.n_params), np.ones((2, 3, 1, 2)), state=(np.ones((3, 4, 2)),) * 2)


def test_lstm_can_be_cloned_into_on_windows(tmp_path):
    task = ps.CartPoleSwingUp("v1", max_steps=30)
    result = ps.clone(
        ps.LSTMPolicy(), ps.load_model("cartpole-mlp"), task, tmp_path / "run", rounds=3, updates=40, batch_size=8,
        windows=16, window=10, teacher_rounds=1, learning_rate=0.02, n_eval_episodes=4, eval_every=1,
    )  # fmt: skip
    losses = [float(line.split(",")[3]) for line in (tmp_path / "run" / "metrics.csv").read_text().split()[1:]]
    assert result.updates == 120 and losses[-1] < 0.5 * losses[0]
