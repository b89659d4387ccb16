"""The promises that hold bit for bit: no order of the inputs, no chunks or workers, no interruptions."""

import dataclasses
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pisensory as ps
from pisensory import layers
from pisensory.rollout import join_chunks, make_chunks, run_chunk

TASK = ps.CartPoleSwingUp()
PERTURBATIONS = st.builds(
    ps.Perturbation,
    n_noise=st.integers(0, 6),
    noise_std=st.floats(0, 2),
    n_copies=st.integers(1, 3),
    noise_kind=st.sampled_from(["white", "constant", "walk", "copy"]),
    dropped=st.sets(st.integers(0, 4), max_size=2).map(tuple),
    delay=st.integers(0, 6),
    delayed=st.integers(0, 4),
)


def random_population(policy, n_candidates, seed, scale=0.7):
    return scale * np.random.default_rng(seed).standard_normal((n_candidates, policy.n_params))


@settings(max_examples=30, deadline=None)
@given(
    perturbation=PERTURBATIONS,
    version=st.sampled_from(["harder", "v0", "v1"]),
    n_candidates=st.integers(1, 5),
    n_episodes=st.integers(1, 20),
    head_sizes=st.sampled_from([(), (6,)]),
    seed=st.integers(0, 2**32),
)
def test_shuffled_trajectories_are_the_same(perturbation, version, n_candidates, n_episodes, head_sizes, seed):
    policy = ps.InvariantPolicy(n_embeddings=6, proj_dim=4, hidden_size=3, head_sizes=head_sizes)
    population = random_population(policy, n_candidates, seed)
    task = ps.CartPoleSwingUp(version, max_steps=30, perturbation=perturbation)
    shuffled = dataclasses.replace(task, perturbation=dataclasses.replace(perturbation, shuffle=True))
    plain = ps.rollout(policy, population, task, n_episodes, seed)
    same = ps.rollout(policy, population, shuffled, n_episodes, seed)
    np.testing.assert_array_equal(plain.returns, same.returns)
    np.testing.assert_array_equal(plain.lengths, same.lengths)


@settings(max_examples=40, deadline=None)
@given(n_features=st.integers(1, 80), exponent=st.integers(-44, 38), seed=st.integers(0, 2**32))
def test_agent_is_invariant_to_any_order_and_size_of_inputs(n_features, exponent, seed):
    policy = ps.InvariantPolicy(n_actions=2, n_embeddings=7, proj_dim=5, hidden_size=4)
    rng = np.random.default_rng(seed)
    params = rng.standard_normal(policy.n_params)
    order = rng.permutation(n_features)
    first, second = policy.agent(params), policy.agent(params)
    for _ in range(5):
        observation = (rng.uniform(-1, 1, n_features) * 10.0**exponent).astype(np.float32)
        np.testing.assert_array_equal(first.act(observation), second.act(observation[order]))
        np.testing.assert_array_equal(first.latent, second.latent)
        np.testing.assert_array_equal(first.attention[:, order], second.attention)


def test_an_ordinary_sum_would_break_the_promise(monkeypatch):
    """The tests above can fail: with float32 sums in the order of the features, they do."""

    def ordinary_sum(attention, counted, part, exact, out):
        products = attention.planes * counted.reshape(-1)
        out[...] = part * products.reshape(len(products), len(counted), -1).sum(axis=1)

    monkeypatch.setattr(layers, "exact_weighted_sum", ordinary_sum)
    policy = ps.InvariantPolicy()
    population = random_population(policy, 4, seed=0)
    task = ps.CartPoleSwingUp("harder", max_steps=100)
    shuffled = dataclasses.replace(task, perturbation=ps.Perturbation(shuffle=True))
    plain = ps.rollout(policy, population, task, 16)
    assert not np.array_equal(plain.returns, ps.rollout(policy, population, shuffled, 16).returns)


@settings(max_examples=25, deadline=None)
@given(
    n_candidates=st.integers(1, 12),
    n_episodes=st.sampled_from([1, 3, 16, 70, 130]),
    perturbation=PERTURBATIONS,
    cuts=st.lists(st.integers(0, 30), max_size=4),
    seed=st.integers(0, 2**32),
)
def test_scores_do_not_depend_on_chunks(n_candidates, n_episodes, perturbation, cuts, seed):
    policy = ps.InvariantPolicy(n_embeddings=6, proj_dim=4, hidden_size=3)
    perturbation = dataclasses.replace(perturbation, shuffle=True, reshuffle_every=7)
    task = ps.CartPoleSwingUp("harder", max_steps=16, perturbation=perturbation)
    population = random_population(policy, n_candidates, seed)
    whole = ps.rollout(policy, population, task, n_episodes, seed)
    chunks = []
    for chunk in make_chunks(policy, population, task, n_episodes, seed):
        for rows in np.split(np.arange(len(chunk.candidates)), sorted(cuts)):
            if len(rows):
                chunks.append(
                    dataclasses.replace(chunk, candidates=chunk.candidates[rows], episodes=chunk.episodes[rows])
                )
    pieces = join_chunks(chunks, [run_chunk(chunk) for chunk in chunks], n_candidates, n_episodes, task)
    np.testing.assert_array_equal(whole.returns, pieces.returns)
    np.testing.assert_array_equal(whole.lengths, pieces.lengths)


@pytest.fixture(scope="module")
def two_workers():
    with ps.ProcessExecutor(2) as executor:
        yield executor


@pytest.mark.parametrize("policy", [ps.InvariantPolicy(), ps.MLPPolicy(), ps.MLPPolicy(hidden_sizes=())])
def test_scores_do_not_depend_on_workers(policy, two_workers):
    task = ps.CartPoleSwingUp("harder", max_steps=40, perturbation=ps.Perturbation(reshuffle_every=10))
    population = random_population(policy, 70, seed=3)
    here = ps.rollout(policy, population, task, 16, seed=5)
    there = ps.rollout(policy, population, task, 16, seed=5, executor=two_workers)
    np.testing.assert_array_equal(here.returns, there.returns)
    np.testing.assert_array_equal(here.lengths, there.lengths)


def test_candidates_meet_the_same_episodes_and_seeds_differ():
    policy = ps.MLPPolicy()
    population = np.tile(random_population(policy, 1, seed=0), (3, 1))
    task = ps.CartPoleSwingUp("harder", max_steps=50, perturbation=ps.Perturbation(shuffle=True))
    returns = ps.rollout(policy, population, task, 8, seed=1).returns
    np.testing.assert_array_equal(returns, np.tile(returns[:1], (3, 1)))
    assert len(set(returns[0])) == 8
    assert not np.array_equal(returns, ps.rollout(policy, population, task, 8, seed=2).returns)


def test_numpy_global_state_is_not_touched(tmp_path):
    before = np.random.get_state()[1].copy()
    ps.train(ps.MLPPolicy(), ps.CartPoleSwingUp(max_steps=20), tmp_path / "run", generations=2, population_size=4)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def apart(*sizes):
    """Have gates take one product a feature, whatever the machine could do."""
    return False


def test_features_side_by_side_have_the_bits_of_features_apart(monkeypatch):
    """All that a run shows, keeps and hands on, whether attention fits over the gates or not."""
    policy = ps.InvariantPolicy(n_actions=2, hidden_size=3, n_embeddings=6)
    many = dataclasses.replace(policy, n_embeddings=7)  # more than fit over the gates
    rng, rows = np.random.default_rng(0), np.array([0, 1, 3])
    if not layers.exact_side_by_side(12, 6, 5, 16, np.float32):
        pytest.skip("this machine's BLAS does not add columns up alike")
    for each in (policy, many):
        weights = each.prepare(random_population(each, 4, seed=1))
        observations = rng.standard_normal((6, 4, 5, 1, 16)).astype(np.float32)
        seen = []
        for choose in (layers.exact_side_by_side, apart):
            monkeypatch.setattr(layers, "exact_side_by_side", choose)
            run = each.start(weights, 5, 16)
            for number, observation in enumerate(observations):
                if number == 2:
                    run = run.keep(rows)
                if number == 4:
                    before, run = run, each.start([array[rows] for array in weights], 5, 16)
                    run.resume(before, before.state())
                run.observations[...] = observation[: len(run.actions)]
                run.step()
                shown = [*run.inside().values(), *run.memory(), *run.state(), run.actions]
                seen.append([array.copy() for array in shown])
        for first, second in zip(seen[:6], seen[6:]):
            for one, other in zip(first, second):
                np.testing.assert_array_equal(one, other)


def test_features_side_by_side_are_refused_where_a_column_is_rounded_by_its_place(monkeypatch):
    real = np.matmul

    def rounded_by_place(weights, inputs, out):
        real(weights, inputs, out)
        out[..., -1] = np.nextafter(out[..., -1], np.float32(9))

    monkeypatch.setattr(np, "matmul", rounded_by_place)
    assert not layers.exact_side_by_side.__wrapped__(32, 11, 5, 16, np.float32)


BOTH_WAYS = """
import dataclasses
import numpy as np, pisensory as ps
from pisensory import layers

chosen, answers = layers.exact_side_by_side, []

def choose(*sizes):
    answers.append(chosen(*sizes))
    return answers[-1]

for hidden_size, n_noise, n_episodes in ((2, 0, 16), (8, 0, 16), (8, 2, 5), (8, 40, 4), (32, 0, 16), (32, 2, 9)):
    policy = ps.InvariantPolicy(hidden_size=hidden_size)
    population = 0.5 * np.random.default_rng(hidden_size).standard_normal((3, policy.n_params))
    task = ps.CartPoleSwingUp("v1", max_steps=16, perturbation=ps.Perturbation(n_noise=n_noise))
    shuffled = dataclasses.replace(task, perturbation=dataclasses.replace(task.perturbation, shuffle=True))
    layers.exact_side_by_side = lambda *sizes: False
    apart = ps.rollout(policy, population, task, n_episodes).returns
    layers.exact_side_by_side = choose
    for each in (task, shuffled):
        np.testing.assert_array_equal(ps.rollout(policy, population, each, n_episodes).returns, apart)
assert len(answers) == 12
print(*answers)
"""


@pytest.mark.parametrize("kernel", ["Nehalem", "Sandybridge", "Haswell", "Zen", "SkylakeX"])
def test_side_by_side_or_not_scores_and_orders_are_the_same_on_every_kernel(kernel):
    """Of OpenBLAS, as far as this machine can run them: Haswell's rounds by the place, at most of these sizes."""
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OPENBLAS_CORETYPE": kernel}
    result = subprocess.run([sys.executable, "-c", BOTH_WAYS], env=env, capture_output=True, text=True)
    if result.returncode < 0:
        pytest.skip(f"this machine cannot run the kernel {kernel}")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "policy",
    [
        ps.InvariantPolicy(),
        ps.InvariantPolicy(hidden_size=32, n_embeddings=32),
        ps.InvariantPolicy(n_embeddings=40),
        ps.MLPPolicy(hidden_sizes=(64, 64)),
        ps.LSTMPolicy(),
    ],
)
def test_chunks_are_cut_by_the_memory_that_runs_take(policy):
    weights = policy.prepare(np.zeros((64, policy.n_params)))
    policy.start(weights, 5, 16)  # what is asked of BLAS takes memory once
    tracemalloc.start()
    try:
        run = policy.start(weights, 5, 16)
        for _ in range(2):
            run.step()
        taken = tracemalloc.get_traced_memory()[0] / 4 / (64 * 16)
    finally:
        tracemalloc.stop()
    assert 0.8 < policy.step_numbers(5) / taken < 1.5
    n_rows = max(len(chunk.candidates) for chunk in make_chunks(policy, np.zeros((512, policy.n_params)), TASK, 16, 0))
    assert n_rows * 16 * taken * 4 < 2**21
