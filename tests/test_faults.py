"""Faulty inputs and other kinds of noise: delays, dropped inputs, noise that is not white."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pisensory as ps
from pisensory.tasks import task_from_config
from pisensory.tasks.perturbation import WALK_MEMORY


def observe(perturbation, n_steps, n_episodes=3):
    """Return what two candidates see of the cart-pole under no force (step, candidate, feature, episode)."""
    task = ps.CartPoleSwingUp("harder", perturbation=perturbation)
    run = task.start(0, np.tile(np.arange(n_episodes), (2, 1)))
    seen = np.empty((n_steps, 2, task.n_features, n_episodes), np.float32)
    for step in range(n_steps):
        run.observe(seen[step][:, :, None])
        run.step(np.zeros((2, 1, n_episodes)), np.ones((2, n_episodes), bool))
    return seen


def test_dropped_inputs_read_zero_and_the_others_what_they_did():
    plain, dropped = observe(ps.Perturbation(), 5), observe(ps.Perturbation(dropped=(1, 4)), 5)
    assert (dropped[:, :, [1, 4]] == 0).all()
    np.testing.assert_array_equal(dropped[:, :, [0, 2, 3]], plain[:, :, [0, 2, 3]])


def test_dropping_inputs_is_not_having_them():
    policy = ps.InvariantPolicy()
    params = np.random.default_rng(3).standard_normal(policy.n_params)
    zeroed, without = policy.agent(params), policy.agent(params)
    for _ in range(50):
        observation = np.random.default_rng(1).standard_normal(5).astype(np.float32)
        observation[2] = 0
        assert abs(zeroed.act(observation) - without.act(np.delete(observation, 2))) < 1e-4


@pytest.mark.parametrize("delay", [1, 2, 7])
def test_a_delayed_input_shows_the_past_and_at_first_the_start(delay):
    plain, late = observe(ps.Perturbation(), 20), observe(ps.Perturbation(delay=delay, delayed=3), 20)
    np.testing.assert_array_equal(late[delay:, :, 3], plain[:-delay, :, 3])
    np.testing.assert_array_equal(late[:delay, :, 3], np.repeat(plain[:1, :, 3], delay, axis=0))
    others = [0, 1, 2, 4]
    np.testing.assert_array_equal(late[:, :, others], plain[:, :, others])


def test_candidates_that_are_dropped_take_their_past_with_them():
    perturbation = ps.Perturbation(delay=4, delayed=0, n_noise=2, noise_kind="walk")
    whole = observe(perturbation, 12)
    run = ps.CartPoleSwingUp("harder", perturbation=perturbation).start(0, np.tile(np.arange(3), (2, 1)))
    seen = np.empty(whole.shape[1:], np.float32)
    for step in range(12):
        if step == 6:
            run, seen = run.keep(np.array([False, True])), seen[1:]
        run.observe(seen[:, :, None])
        run.step(np.zeros((len(seen), 1, 3)), np.ones((len(seen), 3), bool))
    np.testing.assert_array_equal(seen[0], whole[-1, 1])


def test_noise_of_every_kind_has_its_size_and_its_memory():
    noise = {
        kind: observe(ps.Perturbation(n_noise=10, noise_std=0.4, noise_kind=kind), 1000, 40)[:, 0, 5:]
        for kind in ("white", "constant", "walk")
    }
    memory = {kind: np.mean(values[:-50] * values[50:]) / np.mean(values**2) for kind, values in noise.items()}
    for kind, tolerance in (("white", 0.01), ("constant", 0.1), ("walk", 0.05)):
        assert abs(noise[kind].std() / 0.4 - 1) < tolerance
    assert abs(memory["white"]) < 0.02
    assert memory["constant"] == 1
    assert abs(memory["walk"] - np.exp(-50 / WALK_MEMORY)) < 0.1
    assert abs(noise["walk"][0].std() / noise["walk"][-1].std() - 1) < 0.2


def test_white_noise_is_the_stream_that_the_others_are_made_of():
    white = observe(ps.Perturbation(n_noise=7, noise_std=0.5), 8)
    constant = observe(ps.Perturbation(n_noise=7, noise_std=0.5, noise_kind="constant"), 8)
    copied = observe(ps.Perturbation(n_noise=7, noise_std=0.5, noise_kind="copy"), 8)
    np.testing.assert_array_equal(constant[:, :, 5:], np.repeat(white[:1, :, 5:], 8, axis=0))
    inputs = white[:, :, [0, 1, 2, 3, 4, 0, 1]]
    np.testing.assert_array_equal(copied[:, :, 5:], white[:, :, 5:] + inputs)


def test_copies_of_a_faulty_input_are_as_faulty():
    seen = observe(ps.Perturbation(n_noise=5, noise_std=0, noise_kind="copy", dropped=(1,), delay=2, delayed=0), 9)
    np.testing.assert_array_equal(seen[:, :, 5:], seen[:, :, :5])


PERTURBATIONS = st.builds(
    ps.Perturbation,
    shuffle=st.booleans(),
    reshuffle_every=st.none() | st.integers(1, 9),
    n_noise=st.integers(0, 3),
    noise_kind=st.sampled_from(["white", "constant", "walk", "copy"]),
    dropped=st.sets(st.integers(0, 4)).map(tuple),
    delay=st.integers(0, 4),
    delayed=st.integers(0, 4),
)


@settings(max_examples=50, deadline=None)
@given(perturbation=PERTURBATIONS)
def test_files_give_back_the_perturbation(perturbation):
    task = ps.CartPoleSwingUp("v1", perturbation=perturbation)
    read = task_from_config(json.loads(json.dumps(task.config))).perturbation
    if not perturbation.delay:  # then it does not matter which input is not late
        perturbation = dataclasses.replace(perturbation, delayed=0)
    assert read == perturbation


def test_files_of_before_say_the_same_as_those_of_now():
    before = {"shuffle": True, "reshuffle_every": None, "n_noise": 2, "noise_std": 0.1, "n_copies": 1}
    assert ps.Perturbation(**before).config == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"noise_kind": "pink"}, "noise_kind must be one of white, constant, walk, copy"),
        ({"dropped": 3}, "dropped must be a sequence"), ({"dropped": (-1,)}, "each of dropped"),
        ({"delay": -1}, "delay must be"), ({"delayed": 0.5}, "delayed must be"),
    ],
)  # fmt: skip
def test_impossible_faults_are_refused_by_name(arguments, message):
    with pytest.raises(ps.InputError, match=message):
        ps.Perturbation(**arguments)


@pytest.mark.parametrize(
    ("arguments", "name"), [({"dropped": (5,)}, "dropped"), ({"delay": 1, "delayed": 7}, "delayed")]
)
def test_inputs_that_there_are_not_are_refused_before_any_work(arguments, name):
    task = ps.CartPoleSwingUp(perturbation=ps.Perturbation(**arguments))
    with pytest.raises(ps.InputError, match=f"{name} must be inputs of the task, 0 to 4"):
        ps.rollout(ps.InvariantPolicy(), np.zeros((1, 913)), task, 1)
