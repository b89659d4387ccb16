"""Policies and agents: sizes, layouts, bad input."""

import dataclasses
import threading
import warnings

import numpy as np
import pytest

import pisensory as ps
from pisensory import policies
from pisensory.parameters import make_layout
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


@pytest.mark.parametrize(
    ("network", "sizes"),
    [
        (ps.InvariantPolicy, {"hidden_size": 2**16, "proj_dim": 2**16 - 8}),
        (ps.MLPPolicy, {"hidden_sizes": (2**14, 2**14)}),
        (ps.InvariantPolicy, {"n_actions": 10**5, "n_embeddings": 10**5}),
        (ps.MLPPolicy, {"n_features": 10**5, "hidden_sizes": (10**5, 10**5)}),
    ],
)  # fmt: skip
def test_sizes_too_large_together_are_refused_by_name(network, sizes):
    with pytest.raises(ps.InputError, match="parameters, more than 33,554,432: choose smaller sizes") as raised:
        network(**sizes)
    assert all(f"{name}={value}" in str(raised.value) for name, value in sizes.items())


def test_sizes_are_multiplied_without_wrapping():
    (part, _), (last, _) = make_layout({"large": (2**40, 2**40), "small": (3,)}).values()
    assert (part.start, part.stop, last.stop) == (0, 2**80, 2**80 + 3)


def test_policies_say_what_they_are():
    mlp, linear, invariant = ps.MLPPolicy(), ps.MLPPolicy(hidden_sizes=()), ps.InvariantPolicy(hidden_size=6)
    assert [policy.label for policy in (mlp, linear, invariant)] == ["mlp", "linear", "invariant"]
    assert [policy.state_size for policy in (mlp, linear, invariant)] == [0, 0, 6]
    assert {policy.n_channels for policy in (mlp, linear, invariant)} == {1}


@pytest.mark.parametrize("policy", [ps.InvariantPolicy(head_sizes=(3,), bias=True), ps.MLPPolicy(7, 2, (4,))])
def test_first_vector_is_uniform_by_the_inputs_of_each_layer(policy):
    vector = policy.initial(np.random.default_rng(4))
    np.testing.assert_array_equal(vector, policy.initial(np.random.default_rng(4)))
    for name, (part, shape) in policy.layout.items():
        if name == "b_input":  # of the LSTM, gate by gate: the second are the forget gates, open at first
            gates = vector[part].reshape(4, -1)
            assert (gates[1] > 0).all()
            gates[1] = 0
        largest = np.abs(vector[part]).max()
        assert 0.5 < largest * np.sqrt(shape[-1]) <= 1 if len(shape) == 2 else largest == 0


@pytest.mark.parametrize("policy", [ps.InvariantPolicy(head_sizes=(3,)), ps.MLPPolicy(), ps.MLPPolicy(hidden_sizes=())])
def test_softened_policy_has_its_last_scores_multiplied(policy):
    params = np.random.default_rng(1).standard_normal(policy.n_params)
    before = params.copy()
    action, softened = (policy.agent(vector).act(np.full(5, 0.1)) for vector in (params, policy.soften(params, 0.25)))
    np.testing.assert_allclose(np.arctanh(softened), 0.25 * np.arctanh(action), rtol=1e-4)
    np.testing.assert_array_equal(params, before)
    for gain in (0, np.nan):
        with pytest.raises(ps.InputError, match="gain must be"):
            policy.soften(params, gain)


@dataclasses.dataclass(frozen=True)
class Loudest(ps.Policy):
    """Answers with a factor times the channel that is loudest over all inputs: of several channels, no gradient."""

    n_channels: int = 2  # type: ignore[misc]
    n_actions: int = 1
    kind = "loudest"

    @property
    def shapes(self):
        return {"factor": (1,)}

    def _prepare(self, population):
        return [population.astype(np.float32)]

    def _start(self, weights, n_features, n_episodes):
        return LoudestRun(weights, n_features, self.n_channels, n_episodes)


class LoudestRun(policies.PolicyRun):
    def __init__(self, weights, n_features, n_channels, n_episodes):
        self.factors = weights[0]
        self.observations = np.zeros((len(self.factors), n_features, n_channels, n_episodes), np.float32)
        self.actions = np.zeros((len(self.factors), 1, n_episodes), np.float32)

    def step(self):
        self.loudness = np.abs(self.observations).max(axis=1)
        self.actions[:, 0] = np.tanh(self.factors * self.loudness.argmax(axis=1))

    def keep(self, rows):
        return LoudestRun([self.factors[rows]], *self.observations.shape[1:])

    def inside(self):
        return {"loudness": self.loudness}


@pytest.fixture
def loudest(monkeypatch):
    monkeypatch.setattr(policies, "POLICIES", dict(policies.POLICIES))
    return policies.register(Loudest)


def test_registered_policy_is_saved_and_loaded(loudest, tmp_path):
    assert policies.register(loudest) is loudest  # again, as in a notebook
    ps.save_policy(tmp_path / "policy.npz", loudest(3), [0.5])
    policy, params = ps.load_policy(tmp_path / "policy.npz")
    assert policy == loudest(3) and params == [0.5]
    other = type("Other", (loudest,), {})
    with pytest.raises(ps.InputError, match="'loudest' is Loudest's: give Other another"):
        policies.register(other)


def test_agent_of_several_channels_takes_feature_and_channel():
    agent = Loudest().agent([0.5])
    with pytest.raises(ps.InputError, match="nothing to see inside before the first act"):
        agent.inside()
    np.testing.assert_allclose(agent.act([[1, -3], [2, 0]]), np.tanh(0.5), rtol=1e-6)
    assert list(agent.inside()) == ["loudness"] and agent.inside()["loudness"].tolist() == [2, 3]
    with pytest.raises(ps.InputError, match="3 inputs but this episode began with 2"):
        agent.act(np.ones((3, 2)))
    for wrong in ([1, 2], [[1], [2]], [[1, 2, 3]], np.ones((0, 2)), np.ones((2, 2, 2)), 1.0):
        with pytest.raises(ps.InputError, match=r"\(feature, channel\) of 2 channels"):
            agent.act(wrong)


def test_policy_that_has_no_gradient_says_so():
    with pytest.raises(ps.InputError, match="'loudest' cannot be trained by gradient"):
        Loudest().unroll([0.5], np.ones((1, 3, 2, 1)))
    with pytest.raises(ps.InputError, match="observations must have 2 channels"):
        Loudest().unroll([0.5], np.ones((1, 3, 1, 1)))


def test_agent_shows_what_is_inside():
    agent = ps.InvariantPolicy().agent(np.random.default_rng(0).standard_normal(913))
    agent.act(np.ones(7))
    inside = agent.inside()
    shapes = {"latent": (16,), "attention": (7, 16), "hidden": (7, 8), "cell": (7, 8)}
    assert {name: array.shape for name, array in inside.items()} == shapes
    np.testing.assert_array_equal(agent.attention, inside["attention"].T)
    np.testing.assert_array_equal(agent.latent, inside["latent"])
    agent.act(-np.ones(7))
    assert not np.array_equal(inside["cell"], agent.inside()["cell"])  # what was handed out stays


class Waiting:
    """An observation that waits for another thread in the middle of being read."""

    def __init__(self, entered, wait_for):
        self.entered, self.wait_for = entered, wait_for

    def __array__(self, dtype=None, copy=None):
        self.entered.set()
        assert self.wait_for.wait(10)
        return np.ones(5)


def test_threads_that_act_together_leave_the_warnings_filter_alone():
    before = list(warnings.filters)
    first_in, second_in, first_out = (threading.Event() for _ in range(3))

    def first():
        ps.MLPPolicy().agent(np.zeros(113)).act(Waiting(first_in, second_in))
        first_out.set()

    thread = threading.Thread(target=first)
    thread.start()
    assert first_in.wait(10)
    ps.MLPPolicy().agent(np.zeros(113)).act(Waiting(second_in, first_out))
    thread.join()
    assert warnings.filters == before


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
        ([], "non-empty"), ([[1, 2]], "flat"), (3.0, "flat"), ([np.nan, np.nan], "NaN or infinite"),
        ([np.inf, 1], "infinite, or NaN"), (["a"], "real numbers"), ([1j], "real numbers"), (None, "real numbers"),
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


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_bad_numbers_are_refused_in_the_middle_of_an_episode_too(wrong):
    policy = ps.InvariantPolicy()
    params = np.random.default_rng(0).standard_normal(policy.n_params)
    agents = [policy.agent(params) for _ in range(2)]
    for agent in agents:
        agent.act(np.ones(5, np.float32))
    bad = np.full(5, wrong, np.float32)
    with pytest.raises(ps.InputError, match="infinite"):
        agents[0].act(bad)
    with pytest.raises(ps.InputError, match="6 inputs but this episode began with 5"):
        agents[0].act(np.ones(6, np.float32))
    np.testing.assert_array_equal(*(agent.act(np.arange(5, dtype=np.float32)) for agent in agents))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("policy", [ps.InvariantPolicy(gain=1e6), ps.MLPPolicy(), ps.LSTMPolicy()])
@pytest.mark.parametrize("size", [1e-45, 1e-38, 2.0**39.9, 1e19, 3e38])
def test_numbers_of_any_size_act_without_a_warning(policy, size):
    params = 1e30 * np.random.default_rng(0).standard_normal(policy.n_params)
    agent = policy.agent(params)
    for step in range(3):
        action = agent.act((np.array([1, -1, 0.3, step / 2, 0.5]) * size).astype(np.float32))
        assert np.isfinite(action).all()


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
