"""An agent's inputs come and go in the middle of an episode; the others forget nothing."""

import numpy as np
import pytest

import pisensory as ps

POLICY = ps.InvariantPolicy(n_actions=2, n_embeddings=7, proj_dim=5, hidden_size=4)
PARAMS = np.random.default_rng(3).standard_normal(POLICY.n_params)
NAMES = ("x", "v", "cos", "sin", "w")


def observations(n_steps, n_features=5, seed=0):
    return np.random.default_rng(seed).standard_normal((n_steps, n_features)).astype(np.float32)


def states(agent):
    inside = agent.inside()
    return {name: (inside["hidden"][i], inside["cell"][i]) for i, name in enumerate(agent.inputs)}


def test_named_inputs_act_as_places_do_in_any_order():
    by_place, by_name, renamed = (POLICY.agent(PARAMS) for _ in range(3))
    rng = np.random.default_rng(1)
    for values in observations(20):
        expected = by_place.act(values)
        order = rng.permutation(5)
        np.testing.assert_array_equal(by_name.act({NAMES[i]: values[i] for i in order}), expected)
        np.testing.assert_array_equal(renamed.act({f"port {i}": float(values[i]) for i in order}), expected)
        column = [by_name.inputs.index(name) for name in NAMES]
        np.testing.assert_array_equal(by_name.attention[:, column], by_place.attention)
    assert by_place.inputs == (0, 1, 2, 3, 4) and set(by_name.inputs) == set(NAMES)


def test_an_absent_input_is_as_if_it_had_never_been():
    with_it, without = POLICY.agent(PARAMS), POLICY.agent(PARAMS)
    for values in observations(20):
        expected = without.act(values[[0, 2, 3, 4]])
        np.testing.assert_array_equal(with_it.act([values[0], np.nan, *values[2:]]), expected)
        np.testing.assert_array_equal(with_it.attention, without.attention)
    assert with_it.inputs == (0, 2, 3, 4)


@pytest.mark.parametrize("named", [False, True])
def test_inputs_that_stay_keep_their_state_and_one_that_returns_has_its_own(named):
    agent = POLICY.agent(PARAMS)
    seen = observations(12)

    def act(values, gone=()):
        if named:
            return agent.act({name: value for i, (name, value) in enumerate(zip(NAMES, values)) if i not in gone})
        return agent.act(np.where(np.isin(range(5), gone), np.nan, values))

    for values in seen[:5]:
        action = act(values)
    before = states(agent)
    lost = NAMES[1] if named else 1
    # By hand: the same network goes on from the states of those that stay, and its own last action.
    for gone, values in (((1,), seen[5]), ((1,), seen[6]), ((), seen[7]), ((), seen[8])):
        stay = [i for i in range(5) if i not in gone]
        keys = [NAMES[i] if named else i for i in stay]
        state = tuple(np.stack([before[key][part] for key in keys])[..., None] for part in (0, 1))
        unrolled = POLICY.unroll(PARAMS, values[stay][None, :, None, None], action[None, :, None], state)
        action = act(values, gone)
        np.testing.assert_allclose(action, unrolled.actions[0, :, 0], rtol=0, atol=1e-5)
        after = states(agent)
        for key, hidden in zip(keys, unrolled.hidden[0, :, :, 0]):
            np.testing.assert_allclose(after[key][0], hidden, rtol=0, atol=1e-5)
        assert (lost in after) == (not gone)
        before = {**before, **after}


def test_a_new_input_begins_without_a_state():
    agent = POLICY.agent(PARAMS)
    for values in observations(5):
        action = agent.act(dict(zip(NAMES, values)))
    before = states(agent)
    agent.act({**dict(zip(NAMES, values)), "new": 0.7})
    state = tuple(np.stack([*(before[n][part] for n in NAMES), np.zeros(4)])[..., None] for part in (0, 1))
    seen = np.append(values, np.float32(0.7))[None, :, None, None]
    unrolled = POLICY.unroll(PARAMS, seen, action[None, :, None], state)
    assert agent.inputs == (*NAMES, "new")
    np.testing.assert_allclose(states(agent)["new"][1], unrolled.state[1][5, :, 0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(states(agent)["x"][1], unrolled.state[1][0, :, 0], rtol=0, atol=1e-5)


def test_an_agent_on_the_cart_pole_goes_on_when_an_input_blinks():
    """Forgetting at every blink costs what the shipped agent has learnt of its inputs; going on hardly anything."""
    policy, params = ps.load_model("cartpole-v1-invariant")
    recording = ps.record(policy, params, ps.CartPoleSwingUp("v1"), 1, seed=0)
    seen = recording.observations[:60, :, 0, 0]
    steady, blinking = policy.agent(params), policy.agent(params)
    for step, values in enumerate(seen):
        steady.act(values)
        blinking.act(np.where(np.arange(5) == (step % 5 if step % 10 == 0 else -1), np.nan, values))
    a, b = steady.inside()["cell"], blinking.inside()["cell"]
    assert np.abs(a - b).mean() < 0.5 * np.abs(a).mean()


@pytest.mark.parametrize("hidden_size", [0, 3])
def test_patches_come_and_go_and_the_memory_stays(hidden_size):
    policy = ps.PatchPolicy(grid=(3, 3), n_votes=2, proj_dim=4, n_frames=2, patch_size=2, hidden_size=hidden_size)
    params = 0.1 * np.random.default_rng(0).standard_normal(policy.n_params)
    whole, apart = policy.agent(params), policy.agent(params)
    pictures = np.random.default_rng(1).integers(0, 255, (6, 5, policy.n_channels)).astype(np.float32)
    for picture in pictures:
        gone = picture.copy()
        gone[2] = np.nan
        np.testing.assert_array_equal(apart.act(gone), whole.act(np.delete(picture, 2, axis=0)))
    back = apart.act(pictures[0])
    fresh = policy.agent(params).act(pictures[0])
    assert apart.inputs == tuple(range(5)) and not np.array_equal(back, fresh)


@pytest.mark.parametrize(
    ("first", "then", "message"),
    [
        ([1, 2], [1, 2, 3], "3 inputs but this episode began with 2"),
        ([1, 2], {"a": 1}, "name its inputs in all of an episode or nowhere"),
        ({"a": 1}, [1], "name its inputs in all of an episode or nowhere"),
        ([1, 2], [np.nan, np.nan], "no input is there"),
        ({"a": 1}, {}, "non-empty"),
        ({"a": 1}, {"a": np.inf}, "infinite"),
        ({"a": 1}, {"a": 1, 2: 1}, "text for the names"),
        ({"a": 1}, {"a": "b"}, "real numbers"),
    ],
)
def test_what_is_wrong_is_refused_and_leaves_the_agent_as_it_was(first, then, message):
    agent, other = (ps.InvariantPolicy().agent(np.random.default_rng(0).standard_normal(913)) for _ in range(2))
    for one in (agent, other):
        one.act(first)
    with pytest.raises(ps.InputError, match=message):
        agent.act(then)
    np.testing.assert_array_equal(agent.act(first), other.act(first))


def test_a_policy_of_places_refuses_to_lose_or_swap_an_input():
    policy = ps.MLPPolicy(3)
    agent = policy.agent(np.random.default_rng(0).standard_normal(policy.n_params))
    expected = agent.act([1, 2, 3])
    with pytest.raises(ps.InputError, match="takes 3 inputs, got 2"):
        agent.act([1, np.nan, 3])
    agent.reset()
    agent.act({"a": 1, "b": 2, "c": 3})
    np.testing.assert_array_equal(agent.act({"c": 3, "a": 1, "b": 2}), expected)
    with pytest.raises(ps.InputError, match="the same inputs in all of an episode"):
        agent.act({"a": 1, "b": 2, "d": 3})
    np.testing.assert_array_equal(agent.act({"a": 1, "b": 2, "c": 3}), expected)


def test_an_agent_says_what_it_is_in_a_line():
    agent = POLICY.agent(PARAMS)
    assert repr(agent) == f"Agent(invariant, {POLICY.n_params} parameters)"
    agent.act(np.ones(3))
    assert repr(agent) == f"Agent(invariant, {POLICY.n_params} parameters, acting on 3 inputs)"
    np.testing.assert_array_equal(agent.params, PARAMS)
    agent.params[:] = 0
    np.testing.assert_array_equal(agent.params, PARAMS)


def test_a_recording_has_the_attention_as_the_agent_has_it():
    policy, params = ps.load_model("cartpole-invariant-small")
    recording = ps.record(policy, params, ps.CartPoleSwingUp("v1", max_steps=9), inside=["attention", "latent"])
    agent = policy.agent(params)
    for step, values in enumerate(recording.observations[:, :, 0, 0]):
        agent.act(values)
        np.testing.assert_allclose(recording.attention[step, :, :, 0], agent.attention, rtol=0, atol=1e-4)
        np.testing.assert_allclose(recording.latent[step, :, 0], agent.latent, rtol=0, atol=1e-4)
    with pytest.raises(AttributeError, match="no attention was noted"):
        _ = ps.record(policy, params, ps.CartPoleSwingUp("v1", max_steps=2)).attention


def test_an_evaluation_is_told_in_a_line():
    found = ps.evaluate(*ps.load_model("cartpole-linear"), ps.CartPoleSwingUp("v1", max_steps=9), 4)
    assert str(found).startswith(f"Evaluation(mean={found.mean:.1f}, interval=(") and len(str(found)) < 120


def test_executors_are_closed_at_the_end_of_a_with():
    with ps.ProcessExecutor(1) as executor:
        assert list(executor.map(abs, [-1])) == [1] and executor._pool is None  # sooner than a worker would start
        assert list(executor.map(abs, [-1, 2])) == [1, 2] and executor._pool is not None
    assert executor._pool is None
