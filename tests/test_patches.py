"""The layers and policies of patches: plain equations, gradients, and bits that no order changes."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import pisensory as ps
from pisensory.cloning.adam import Adam
from pisensory.layers import convolution, norm, patches, softmax, voting
from pisensory.policies import policy_from_config

# Made by make_patch_gradients.py with PyTorch 2.14.
GOLDEN = pathlib.Path(__file__).parent / "data" / "patch_gradients.npz"

SMALL = dict(n_actions=2, grid=(5, 6), n_frames=3, patch_size=2, proj_dim=4, table_size=4)
POLICIES = {
    "vote": ps.PatchPolicy(**SMALL, n_votes=4, lstm_size=3),
    "vote, norm weights": ps.PatchPolicy(**SMALL, n_votes=4, lstm_size=3, norm_weights=True, time_first=True),
    "dense": ps.PatchPolicy(**SMALL, head="dense", head_sizes=(3,)),
    "convolutions": ps.PatchPolicy(
        **SMALL, head="dense", convolutions=((3, 2, 1), (2, 2, 2)), head_sizes=(4,), norm_weights=True, discrete=True
    ),
    "memory": ps.PatchPolicy(**SMALL, head="dense", head_sizes=(3,), hidden_size=5),
    "memory, norm weights": ps.PatchPolicy(
        **SMALL, head="dense", head_sizes=(3,), norm_weights=True, time_first=True, discrete=True, hidden_size=2
    ),
    "memory, vote": ps.PatchPolicy(**SMALL, n_votes=4, lstm_size=3, hidden_size=3),
}
TRAINED = ["dense", "convolutions", "memory", "memory, norm weights"]


def random_params(policy, seed, spread=0.3):
    rng = np.random.default_rng(seed)
    return policy.initial(rng) + spread * rng.standard_normal(policy.n_params)


def differences(function, at, step=1e-6):
    """The gradient of a function of one array, by central differences."""
    result = np.zeros_like(at)
    for place in np.ndindex(at.shape):
        low, high = at.copy(), at.copy()
        low[place] -= step
        high[place] += step
        result[place] = (function(high) - function(low)) / (2 * step)
    return result


def check_gradients(function, gradients, arguments):
    """Compare each gradient of `function(*arguments)` with central differences."""
    for number, gradient in enumerate(gradients):

        def of_one(value, number=number):
            return function(*arguments[:number], value, *arguments[number + 1 :])

        expected = differences(of_one, arguments[number])
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-6 * max(1, np.abs(expected).max()))


def test_cut_lays_patches_out_row_by_row():
    frames = np.arange(2 * 6 * 9).reshape(2, 6, 9)
    cut = ps.Patches(3, 3).cut(frames)
    assert cut.shape == (6, 18)
    assert cut.dtype == np.float32
    np.testing.assert_array_equal(cut[4], frames[:, 3:6, 3:6].reshape(-1))
    colors = np.arange(5 * 5 * 3).reshape(1, 5, 5, 3)
    np.testing.assert_array_equal(ps.Patches(3, 2).cut(colors)[3], colors[0, 2:5, 2:5].reshape(-1))
    assert ps.Patches(7, 4).grid(96, 96) == (23, 23)


@pytest.mark.parametrize(
    "frames", [np.zeros((4, 5, 9)), np.zeros((9, 9)), np.full((1, 6, 6), "x"), [], np.zeros((0, 6, 6))]
)
def test_cut_refuses_what_is_no_stack_of_pictures(frames):
    with pytest.raises(ps.InputError, match=r"frames|pictures"):
        ps.Patches(6, 6).cut(frames)


def test_patches_must_have_a_size():
    with pytest.raises(ps.InputError, match="stride"):
        ps.Patches(6, 0)


def test_layer_norm_and_its_gradient():
    rng = np.random.default_rng(0)
    values, weights = rng.standard_normal((2, 3, 4, 5))
    normed, scale = norm.layer_norm(values)
    np.testing.assert_allclose(normed.mean(axis=-1), 0, atol=1e-12)
    np.testing.assert_allclose(normed.std(axis=-1), 1, atol=1e-4)
    check_gradients(
        lambda values: (norm.layer_norm(values)[0] * weights).sum(),
        [norm.layer_norm_back(normed, scale, weights)],
        [values],
    )


def test_softmax_attention_and_its_gradient():
    rng = np.random.default_rng(1)
    queries, keys, values = (rng.standard_normal((n, 3)) for n in (5, 4, 4))
    scores = np.exp(queries @ keys.T)
    sums, log_total = softmax.softmax_attention(queries, keys, values)
    np.testing.assert_allclose(sums, scores @ values / scores.sum(axis=1, keepdims=True), rtol=1e-12)
    weights = rng.standard_normal(sums.shape)
    check_gradients(
        lambda *arguments: (softmax.softmax_attention(*arguments)[0] * weights).sum(),
        softmax.softmax_attention_back(queries, keys, values, sums, log_total, weights),
        [queries, keys, values],
    )


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (2, 2), (3, 2)])
def test_convolution_and_its_gradient(kernel, stride):
    rng = np.random.default_rng(2)
    pictures, bias = rng.standard_normal((2, 6, 5, 3)), rng.standard_normal(4)
    weight = rng.standard_normal((4, 3, kernel, kernel))
    folded = convolution.fold_convolution(weight)
    out = convolution.convolve(pictures, folded, bias, kernel, stride)
    window = pictures[1, stride : stride + kernel, :kernel]
    np.testing.assert_allclose(out[1, 1, 0], np.einsum("rci,oirc->o", window, weight) + bias, rtol=1e-12)
    np.testing.assert_array_equal(convolution.unfold_convolution(folded, kernel), weight)
    weights = rng.standard_normal(out.shape)
    check_gradients(
        lambda *arguments: (convolution.convolve(*arguments, kernel, stride) * weights).sum(),
        convolution.convolve_back(pictures, folded, kernel, stride, weights),
        [pictures, folded, bias],
    )


@pytest.mark.parametrize("size", [1.0, 30.0])
def test_vote_and_its_gradient(size):
    rng = np.random.default_rng(3)
    voters, choices = size * rng.standard_normal((6, 2)), size * rng.standard_normal((2, 5))
    shares = np.exp(voters @ choices - (voters @ choices).max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    votes = voting.vote(voters, choices)
    np.testing.assert_allclose(votes, shares.sum(axis=0), rtol=1e-9)
    weights = rng.standard_normal(5)
    if size == 1:
        check_gradients(
            lambda *arguments: voting.vote(*arguments) @ weights,
            voting.vote_back(voters, choices, weights),
            [voters, choices],
        )


@given(votes=st.lists(st.integers(0, 4), min_size=3, max_size=30))
def test_best_places_are_in_falling_order_and_the_earlier_first(votes):
    expected = sorted(range(len(votes)), key=lambda place: (-votes[place], place))[:3]
    assert voting.best_places(np.array(votes, np.float32), 3).tolist() == expected


def test_what_all_keys_share_changes_nothing():
    """The previous action and the constant of the keys: their gradient is zero, and so they are left out."""
    policy = POLICIES["vote"]
    params = random_params(policy, 0)
    changed = params.copy()
    changed[policy.layout["b_key"][0]] += 3
    pixels = np.random.default_rng(0).integers(0, 256, (9, policy.n_channels))
    np.testing.assert_array_equal(policy.agent(params).act(pixels), policy.agent(changed).act(pixels))


def plain_latent(policy, params, pixels):
    """The published equations in float64, an entry at a time; for a first step, if the cells have a memory."""
    named = {name: params[place].reshape(shape) for name, (place, shape) in policy.layout.items()}
    frames = (pixels / 255).reshape(len(pixels), policy.n_frames, -1)
    changes = np.diff(frames, axis=1)
    changes = (changes if policy.time_first else changes.swapaxes(1, 2)).reshape(len(pixels), -1)
    if policy.hidden_size:
        gates = (
            changes @ named["w_cell_input"][:, : changes.shape[1]].T + named["b_cell_input"] + named["b_cell_hidden"]
        )
        entry, _, update, output = np.split(gates, 4, axis=1)
        changes = np.tanh(np.tanh(update) / (1 + np.exp(-entry))) / (1 + np.exp(-output))
    keys = changes @ named["w_key"][:, : changes.shape[1]].T + named["b_key"]
    normed = (frames - frames.mean(axis=2, keepdims=True)) / np.sqrt(frames.var(axis=2, keepdims=True) + 1e-5)
    normed = normed * named.get("g_pixel", 1) + named.get("c_pixel", 0)
    values = normed.reshape(len(pixels), -1) @ named["w_value"].T + named["b_value"]
    queries = ps.layers.positional_table(policy.n_places, policy.table_size) @ named["w_query"].T + named["b_query"]
    weights = np.exp(queries @ keys.T / np.sqrt(policy.proj_dim))
    sums = np.maximum(weights @ values / weights.sum(axis=1, keepdims=True), 0)
    normed = (sums - sums.mean(axis=1, keepdims=True)) / np.sqrt(sums.var(axis=1, keepdims=True) + 1e-5)
    return normed * named.get("g_latent", 1) + named.get("c_latent", 0)


def spread_of_latent(policy, params, pixels):
    """How far each row of the latent code moves where every parameter moves by one unit of float32's last place.

    That is what float32 cannot tell apart, and much or little by the row: large keys, and layer norms of sums that are
    nearly alike, make much of it.
    """
    rng, code = np.random.default_rng(0), plain_latent(policy, params, pixels)
    moves = np.finfo(np.float32).eps * rng.choice([-1, 1], (8, policy.n_params))
    return np.max([np.abs(plain_latent(policy, params * (1 + move), pixels) - code) for move in moves], axis=(0, 2))


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(list(POLICIES)), n_features=st.integers(1, 40), seed=st.integers(0, 2**32))
@example("convolutions", 12, 20352447).via("an error of 5e-5, where parameters that round alike are 7e-4 apart")
@example("memory", 35, 1864).via("4e-5, where they are 3e-5 apart")
@example("memory, vote", 35, 924619375).via("8e-5, where they are 1e-4 apart")
def test_latent_code_follows_the_equations(name, n_features, seed):
    policy = POLICIES[name]
    params = random_params(policy, seed)
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (n_features, policy.n_channels))
    pixels[: n_features // 3] = pixels[: n_features // 3, :1]  # patches of one color, whose deviation is zero
    agent = policy.agent(params)
    agent.act(pixels)
    expected = plain_latent(policy, params, pixels)
    bound = 4 * spread_of_latent(policy, params, pixels) + 4e-6  # 0.6 of it was the worst of 20,000
    assert (np.abs(agent.latent - expected).max(axis=1) <= bound).all()
    assert agent.attention.shape == (policy.n_places, n_features)
    np.testing.assert_allclose(agent.attention.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", TRAINED)
def test_unrolled_actions_are_those_of_the_run(name):
    policy = POLICIES[name]
    params = random_params(policy, 1)
    observations = np.random.default_rng(1).integers(0, 256, (5, 8, policy.n_channels, 2))
    observations[:, :3] = observations[:, 3:4]  # patches that are alike throughout
    acted = []
    for episode in range(2):
        agent = policy.agent(params)
        acted.append([agent.act(step) for step in observations[..., episode]])
    acted = np.moveaxis(acted, 0, -1)
    previous = np.clip(np.concatenate([np.zeros_like(acted[:1]), acted[:-1]]), -1, 1)
    whole = policy.unroll(params, observations, previous)
    np.testing.assert_allclose(whole.actions, acted, rtol=1e-4, atol=1e-5)
    first = policy.unroll(params, observations[:2], previous[:2])
    second = policy.unroll(params, observations[2:], previous[2:], first.state)
    np.testing.assert_allclose(second.actions, whole.actions[2:], rtol=1e-5, atol=1e-6)
    if policy.state_size:
        assert whole.hidden.shape == (5, 8, policy.hidden_size, 2)
        np.testing.assert_array_equal(whole.hidden[-1], whole.state[0])
        forgetful = policy.unroll(params, observations[2:], previous[2:]).actions
        assert not np.allclose(forgetful, whole.actions[2:], atol=1e-3)


@pytest.mark.parametrize("name", TRAINED)
def test_sequences_of_one_step_go_on_from_each_other(name):
    policy = POLICIES[name]
    params, rng = random_params(policy, 1), np.random.default_rng(1)
    observations = rng.integers(0, 256, (3, 8, policy.n_channels, 2))
    previous = rng.uniform(-1, 1, (3, policy.n_actions, 2))
    whole, state = policy.unroll(params, observations, previous), None
    for step in range(3):
        one = policy.unroll(params, observations[step : step + 1], previous[step : step + 1], state)
        np.testing.assert_allclose(one.actions[0], whole.actions[step], rtol=1e-5, atol=1e-6)
        assert np.abs(one.gradient(np.ones_like(one.actions))).max() > 0
        state = one.state


@pytest.mark.parametrize("name", TRAINED)
def test_gradient_is_that_of_central_differences(name):
    policy = POLICIES[name]
    params = random_params(policy, 2)
    rng = np.random.default_rng(2)
    observations = rng.integers(0, 256, (3, 5, policy.n_channels, 2))
    observations[:, :2] = observations[:, 2:3]
    previous, state = rng.uniform(-1, 1, (3, policy.n_actions, 2)), None
    if policy.state_size:
        state = tuple(rng.uniform(-1, 1, (2, 5, policy.hidden_size, 2)))
        for part in state:
            part[0] = part[1]

    def unroll(params):
        return policy.unroll(params, observations, previous, state, dtype=np.float64)

    unrolled = unroll(params)
    weights = rng.standard_normal(unrolled.actions.shape)
    by_hidden = rng.standard_normal(unrolled.hidden.shape) if policy.state_size else None

    def loss(params):
        one = unroll(params)
        return (one.actions * weights).sum() + (0 if by_hidden is None else (one.hidden * by_hidden).sum())

    check_gradients(loss, [unrolled.gradient(weights, by_hidden)], [params])


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("some", [[], [4], [1, 8, 16], [5, 6, 7, 8, 9]])
def test_gradient_of_few_pictures_is_the_sum_of_theirs(name, some):
    """Of pictures without a slope nothing is worked out."""
    policy = POLICIES[name]
    params, rng = random_params(policy, 3), np.random.default_rng(3)
    observations = rng.integers(0, 256, (1, 5, policy.n_channels, 20))
    observations[:, 3:] = observations[:, 2:3]
    slopes = np.zeros((1, policy.n_actions, 20))
    slopes[..., some] = rng.standard_normal((1, policy.n_actions, len(some)))
    whole = policy.unroll(params, observations, dtype=np.float64).gradient(slopes)
    expected = np.zeros(policy.n_params)
    for one in some:
        unrolled = policy.unroll(params, observations[..., [one]], dtype=np.float64)
        expected += unrolled.gradient(slopes[..., [one]])
    np.testing.assert_allclose(whole, expected, rtol=1e-9, atol=1e-9 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("name", ["convolutions", "dense"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-9), (np.float32, 2e-5)])
def test_gradient_is_that_of_pytorch(name, dtype, tolerance):
    data = np.load(GOLDEN)
    policy = policy_from_config(json.loads(str(data[f"{name}_config"])))
    unrolled = policy.unroll(
        data[f"{name}_params"], data[f"{name}_observations"], data[f"{name}_previous_actions"], dtype=dtype
    )
    np.testing.assert_allclose(unrolled.actions, data[f"{name}_actions"], rtol=0, atol=tolerance)
    gradient = unrolled.gradient(unrolled.actions - data[f"{name}_targets"])
    expected = data[f"{name}_gradient"]
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("name", [name for name in POLICIES if "memory" in name])
def test_cells_stay_with_their_patches_where_a_run_goes_on(name):
    """Of only some candidates, or with other patches: from the same states, and the same action before."""
    policy = POLICIES[name]
    rng = np.random.default_rng(3)
    population = np.stack([random_params(policy, seed) for seed in range(3)])
    pictures = rng.integers(0, 256, (6, 3, 7, policy.n_channels, 4))
    weights, order, rows = policy.prepare(population), rng.permutation(7), np.array([2, 0])
    whole, part, other = policy.start(weights, 7, 4), policy.start(weights, 7, 4), policy.start(weights, 7, 4)
    for number, seen in enumerate(pictures):
        if number == 3:
            part = part.keep(rows)
            state = tuple(array[:, order] for array in whole.state())
            other.resume(whole, state)
        whole.observations[...] = seen
        part.observations[...] = seen if number < 3 else seen[rows]
        other.observations[...] = seen[:, order]
        for run in (whole, part, other):
            run.step()
        if number >= 3:
            np.testing.assert_array_equal(part.actions, whole.actions[rows])
            np.testing.assert_array_equal(other.actions, whole.actions)
            for array, moved in zip(whole.state(), other.state()):
                np.testing.assert_array_equal(array[:, order], moved)
    assert np.abs(np.diff(whole.state()[0], axis=1)).max() > 0.01


def blinks(rng, n_sequences):
    """Sequences in which a patch blinks at first, and at last the same or another; 1 if it is the same, or else -1."""
    seen = np.zeros((4, 6, 8, n_sequences))
    seen[:, :, ::2] = 60
    first, same, each = rng.integers(0, 6, n_sequences), rng.random(n_sequences) < 0.5, np.arange(n_sequences)
    last = np.where(same, first, (first + rng.integers(1, 6, n_sequences)) % 6)
    seen[0, first, 4:6, each] = seen[3, last, 4:6, each] = 200
    return seen, np.where(same, 1.0, -1.0)


def test_cells_with_a_memory_learn_what_no_set_of_patches_says():
    sizes = dict(n_actions=1, grid=(2, 2), n_frames=2, patch_size=2, proj_dim=4, table_size=4, head="dense")
    rng = np.random.default_rng(0)
    without = ps.PatchPolicy(**sizes, head_sizes=(8,))
    seen, answers = blinks(rng, 64)
    run = without.start(without.prepare(without.initial(rng)[None]), 6, 64)
    run.observations[0] = seen[3]
    run.step()
    assert len(np.unique(run.actions)) == 1 < len(np.unique(answers))

    policy = ps.PatchPolicy(**sizes, head_sizes=(8,), hidden_size=8)
    params = policy.initial(rng)
    adam = Adam(np.zeros(len(params)), np.zeros(len(params)))
    for _ in range(150):
        seen, answers = blinks(rng, 32)
        unrolled = policy.unroll(params, seen)
        d_actions = np.zeros_like(unrolled.actions)
        d_actions[3, 0] = 2 * (unrolled.actions[3, 0] - answers) / 32
        params = adam.step(params, unrolled.gradient(d_actions), 0.01)
    seen, answers = blinks(rng, 64)
    np.testing.assert_array_equal(np.sign(policy.unroll(params, seen).actions[3, 0]), answers)


def test_a_state_that_does_not_fit_is_refused():
    policy = POLICIES["memory"]
    with pytest.raises(ps.InputError, match="state must be h and c"):
        policy.unroll(
            random_params(policy, 0), np.zeros((1, 3, policy.n_channels, 1)), None, (np.zeros((3, 5, 2)),) * 2
        )


def test_a_choice_has_no_gradient():
    policy = POLICIES["vote"]
    with pytest.raises(ps.InputError, match="no gradient"):
        policy.unroll(random_params(policy, 0), np.zeros((1, 3, policy.n_channels, 1)))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (dict(head="round"), "head"),
        (dict(n_frames=1), "n_frames"),
        (dict(grid=(3,)), "grid"),
        (dict(grid=(2, 2)), "n_votes"),
        (dict(head_sizes=(3,)), "head='dense'"),
        (dict(head="dense", convolutions=((4, 40, 1),)), "convolutions"),
        (dict(head="dense", convolutions=((4, 3),)), "convolutions"),
        (dict(proj_dim=0), "proj_dim"),
        (dict(hidden_size=-1), "hidden_size"),
    ],
)
def test_impossible_sizes_are_refused(sizes, message):
    with pytest.raises(ps.InputError, match=message):
        ps.PatchPolicy(**sizes)


@pytest.mark.parametrize("policy", [*POLICIES.values(), ps.AttentionAgentPolicy(picture_size=19)])
def test_configs_make_the_same_policy(policy):
    assert policy_from_config(json.loads(json.dumps(policy.config))) == policy


# Weights may be of any size, and pictures too.
@settings(max_examples=30, deadline=None)
@given(
    name=st.sampled_from(list(POLICIES)),
    exponent=st.integers(-120, 120),
    brightness=st.sampled_from([0.0, 1e-30, 0.4, 255.0, 1e30]),
    seed=st.integers(0, 2**32),
)
def test_any_size_of_numbers_gives_finite_actions(name, exponent, brightness, seed):
    policy = POLICIES[name]
    rng = np.random.default_rng(seed)
    params = rng.standard_normal(policy.n_params) * 10.0**exponent
    agent = policy.agent(params)
    for _ in range(3):
        pixels = brightness * rng.standard_normal((7, policy.n_channels))
        action = agent.act(pixels)
        assert np.isfinite(action).all()
        second = policy.agent(params)
        assert np.isfinite(second.act(pixels[::-1])).all()


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(list(POLICIES)),
    n_features=st.integers(1, 529),
    spread=st.sampled_from([0.05, 0.5, 5.0, 200.0]),
    whole=st.booleans(),
    plain=st.sampled_from([0.0, 0.5, 1.0]),
    seed=st.integers(0, 2**32),
)
def test_no_order_of_patches_changes_a_bit(name, n_features, spread, whole, plain, seed):
    policy = POLICIES[name]
    rng = np.random.default_rng(seed)
    params = random_params(policy, seed, spread)
    first, second = policy.agent(params), policy.agent(params)
    order = rng.permutation(n_features)
    for _ in range(3):
        pixels = rng.integers(0, 256, (n_features, policy.n_channels)).astype(np.float32)
        pixels[rng.random(n_features) < plain] = rng.integers(0, 256)
        if not whole:
            pixels += rng.standard_normal(pixels.shape, dtype=np.float32)
        if not policy.state_size:  # what is remembered is of a place
            order = rng.permutation(n_features)
        np.testing.assert_array_equal(first.act(pixels), second.act(pixels[order]))
        np.testing.assert_array_equal(first.latent, second.latent)
        np.testing.assert_array_equal(first.attention[:, order], second.attention)


EVERY_NUMBER = """
import sys
import numpy as np, pisensory as ps
policy = ps.PatchPolicy.car_racing()
rng = np.random.default_rng(7)
params = policy.initial(rng) + 0.2 * rng.standard_normal(policy.n_params)
weights = policy.prepare(params[None])
for n in range(1, 530, int(sys.argv[1])):
    pixels = rng.integers(0, 256, (n, policy.n_channels)).astype(np.float32)
    order = rng.permutation(n)
    latents = []
    for seen in (pixels, pixels[order]):
        run = policy.start(weights, n, 1)
        run.observations[0, :, :, 0] = seen
        run.step()
        latents.append((run.actions.tobytes(), run._latent.tobytes()))
    assert latents[0] == latents[1], n
"""


@pytest.mark.parametrize("kernel", ["", "Nehalem", "Sandybridge", "Haswell", "Zen", "SkylakeX"])
def test_no_kernel_and_no_number_of_patches_breaks_it(kernel):
    """The published sizes, on every kernel of OpenBLAS that this machine can run."""
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    if kernel:
        env["OPENBLAS_CORETYPE"] = kernel
    result = subprocess.run([sys.executable, "-c", EVERY_NUMBER, "23"], env=env, capture_output=True, text=True)
    if result.returncode < 0:
        pytest.skip(f"this machine cannot run the kernel {kernel}")
    assert result.returncode == 0, result.stderr


def test_patches_that_are_alike_count_as_one():
    rng = np.random.default_rng(4)
    seen = rng.integers(0, 256, (40, 12)).astype(np.float32)
    seen[5:30] = seen[33]
    seen[30, 0] = np.nextafter(seen[31, 0], np.float32(300))  # another patch, if only in the last bit
    seen[30, 1:] = seen[31, 1:]
    rows, counts, numbers = patches.distinct(seen)
    np.testing.assert_array_equal(rows[numbers], seen)
    assert sorted(counts) == [1] * 14 + [26]
    assert counts[numbers[33]] == 26
    order = rng.permutation(40)
    again = patches.distinct(seen[order])
    np.testing.assert_array_equal(again.rows, rows)
    np.testing.assert_array_equal(again.counts, counts)
    np.testing.assert_array_equal(again.numbers, numbers[order])

    queries, keys, values = (rng.standard_normal((n, 3)) for n in (7, len(rows), len(rows)))
    counted, log_total = softmax.softmax_attention(queries, keys, values, counts)
    one_by_one, log_of_all = softmax.softmax_attention(queries, keys[numbers], values[numbers])
    np.testing.assert_allclose(counted, one_by_one, rtol=1e-12)
    np.testing.assert_allclose(log_total, log_of_all, rtol=1e-12)
    weights = softmax.attention_weights(queries, keys, counts)[:, numbers]
    np.testing.assert_allclose(weights @ values[numbers], counted, rtol=1e-12)


def test_without_an_order_of_their_own_the_promise_would_break(monkeypatch):
    """The tests above can fail: with patches as they come, they do."""

    def as_they_come(seen):
        return patches.Distinct(seen, np.ones(len(seen)), np.arange(len(seen)))

    monkeypatch.setattr(patches, "distinct", as_they_come)
    policy = POLICIES["vote"]
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (529, policy.n_channels))
    first, second = (policy.agent(random_params(policy, 0)) for _ in range(2))
    first.act(pixels)
    second.act(rng.permutation(pixels))
    assert not np.array_equal(first.latent, second.latent)


def test_attention_agent_needs_its_patches_in_their_number():
    policy = ps.AttentionAgentPolicy(picture_size=19)
    assert policy.n_features == 16
    agent = policy.agent(np.zeros(policy.n_params))
    with pytest.raises(ps.InputError, match="16 inputs"):
        agent.act(np.zeros((15, policy.n_channels)))
    with pytest.raises(ps.InputError, match="n_votes"):
        ps.AttentionAgentPolicy(picture_size=7)
