"""Features of several channels: perturbations move them whole, and one loop reads every task."""

import dataclasses
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pisensory as ps
from pisensory.rollout import check_fit, live, make_chunks, run_chunk, single_chunk
from pisensory.tasks import TASKS, register, task_from_config, task_from_text
from pisensory.tasks.base import START, TaskRun, per_episode

N_FEATURES, N_CHANNELS = 6, 3


@dataclasses.dataclass(frozen=True)
class Patches(ps.Task):
    """Six patches of three channels; channel c of patch p reads 100 episode + 10 p + c, and a tenth more a step."""

    max_steps: int = 20
    perturbation: ps.Perturbation = dataclasses.field(default_factory=ps.Perturbation)

    kind: ClassVar[str] = "patches"
    n_actions: ClassVar[int] = 1

    @property
    def senses(self):
        return ps.Senses(tuple(f"patch {number}" for number in range(N_FEATURES)), N_CHANNELS, (2, 3))

    def _start(self, seed, episodes):
        return PatchesRun(100.0 * episodes)


class PatchesRun(TaskRun):
    """Runs of `Patches`."""

    def __init__(self, values):
        self.values = values

    def observe(self, out):
        patch, channel = np.ogrid[:N_FEATURES, :N_CHANNELS]
        out[...] = self.values[:, None, None] + (10 * patch + channel)[None, :, :, None]

    def step(self, actions, alive):
        self.values = self.values + 0.1
        return np.ones(alive.shape), np.zeros(alive.shape, bool)

    def keep(self, rows):
        return PatchesRun(self.values[rows])


def observe(perturbation, n_steps=12, n_looks=1, drop_at=None):
    """What is seen (step, candidate, feature, channel, episode), and sources (step, candidate, feature, episode)."""
    task = Patches(perturbation=perturbation)
    run = task.start(3, np.tile(np.arange(4), (2, 1)))
    seen, sources = [], []
    for step in range(n_steps):
        if step == drop_at:
            run = run.keep(np.array([False, True]))
        n_candidates = 2 if drop_at is None or step < drop_at else 1
        out = np.empty((n_candidates, task.n_features, N_CHANNELS, 4), np.float32)
        for _ in range(n_looks):
            run.observe(out)
        seen.append(out)
        sources.append(run.sources)
        run.step(np.zeros((len(out), 1, 4)), np.ones((len(out), 4), bool))
    return seen, sources


PERTURBATIONS = st.builds(
    ps.Perturbation,
    shuffle=st.booleans(),
    reshuffle_every=st.none() | st.integers(1, 5),
    n_noise=st.integers(0, 3),
    n_copies=st.integers(1, 3),
    noise_kind=st.sampled_from(["white", "constant", "walk", "copy"]),
    dropped=st.sets(st.integers(0, 5), max_size=2).map(tuple),
    delay=st.integers(0, 4),
    delayed=st.integers(0, 5),
)


@settings(max_examples=60, deadline=None)
@given(perturbation=PERTURBATIONS)
def test_features_move_whole_and_sources_say_where(perturbation):
    plain, _ = observe(ps.Perturbation())
    for step, (seen, sources) in enumerate(zip(*observe(perturbation))):
        for place in np.ndindex(sources.shape):
            candidate, feature, episode = place
            source = sources[place]
            if source >= N_FEATURES:
                continue
            expected = plain[step][candidate, source, :, episode]
            if source in perturbation.dropped:
                expected = np.zeros(N_CHANNELS)
            elif perturbation.delay and source == perturbation.delayed:
                expected = plain[max(0, step - perturbation.delay)][candidate, source, :, episode]
            np.testing.assert_array_equal(seen[candidate, feature, :, episode], expected)


@settings(max_examples=40, deadline=None)
@given(perturbation=PERTURBATIONS)
def test_time_advances_in_step_alone_and_rows_can_go_any_time(perturbation):
    once, sources = observe(perturbation)
    for other, others in (observe(perturbation, n_looks=3), observe(perturbation, drop_at=5)):
        for step in range(len(once)):
            np.testing.assert_array_equal(once[step][-1], other[step][-1])
            np.testing.assert_array_equal(sources[step][-1], others[step][-1])


@settings(max_examples=20, deadline=None)
@given(perturbation=PERTURBATIONS)
def test_nobody_need_look_at_every_step(perturbation):
    seen, _ = observe(perturbation)
    run = Patches(perturbation=perturbation).start(3, np.tile(np.arange(4), (2, 1)))
    for _ in range(len(seen) - 1):
        run.step(np.zeros((2, 1, 4)), np.ones((2, 4), bool))
    out = np.empty_like(seen[-1])
    run.observe(out)
    np.testing.assert_array_equal(out, seen[-1])


def test_noise_inputs_have_a_channel_of_noise_each():
    seen, _ = observe(ps.Perturbation(n_noise=50, noise_std=0.5), 200)
    noise = np.array(seen)[:, 0, N_FEATURES:]
    assert noise.shape[1:] == (50, N_CHANNELS, 4)
    assert abs(noise.std() - 0.5) < 0.01
    channels = np.corrcoef(noise.transpose(2, 0, 1, 3).reshape(N_CHANNELS, -1))
    assert np.abs(channels - np.eye(N_CHANNELS)).max() < 0.02
    np.testing.assert_array_equal(np.array(seen)[:, 0], np.array(seen)[:, 1])


def test_copied_noise_is_on_top_of_whole_features():
    seen, _ = observe(ps.Perturbation(n_noise=8, noise_std=0.0, noise_kind="copy"))
    for step in seen:
        np.testing.assert_array_equal(step[:, N_FEATURES:], step[:, [0, 1, 2, 3, 4, 5, 0, 1]])


def test_plain_run_and_sources_of_the_task_itself():
    task = ps.CartPoleSwingUp(perturbation=ps.Perturbation(shuffle=True, n_noise=2))
    run = task.start(0, np.arange(3)[None])
    shown, seen = np.empty((1, 5, 1, 3), np.float32), np.empty((1, 7, 1, 3), np.float32)
    run.observe(seen)
    run.plain.observe(shown)
    assert run.sources.shape == (1, 7, 3)
    assert (np.sort(run.sources, axis=1) == np.arange(7)[:, None]).all()
    own = np.argsort(run.sources, axis=1)[:, :5]
    np.testing.assert_array_equal(np.take_along_axis(seen[:, :, 0], own, axis=1), shown[:, :, 0])
    plain = task.plain.start(0, np.arange(3)[None])
    np.testing.assert_array_equal(plain.sources, np.tile(np.arange(5)[:, None], (1, 1, 3)))


def test_channels_have_to_fit_as_inputs_and_actions_do():
    with pytest.raises(ps.InputError, match="inputs of 1 channels but those of the task have 3"):
        check_fit(ps.InvariantPolicy(), Patches())
    with pytest.raises(ps.InputError, match="grid must have a place for each of 6 inputs"):
        ps.Senses(("a",) * 6, 1, (2, 2))


def test_tasks_are_found_by_what_people_call_them():
    assert task_from_text("v1") == ps.CartPoleSwingUp("v1")
    assert task_from_text("v1", ps.CartPoleSwingUp("harder", 50)) == ps.CartPoleSwingUp("v1", 50)
    pendulum = ps.GymTask("Pendulum-v1", max_steps=7)
    assert task_from_text("gymnasium:Pendulum-v1", pendulum) == pendulum
    assert task_from_text("gym:Pendulum-v1", pendulum) == ps.GymTask("Pendulum-v1", "gym")
    assert task_from_text("harder", pendulum) == ps.CartPoleSwingUp()
    assert (pendulum.label, ps.CartPoleSwingUp("v0").label) == ("Pendulum-v1", "v0")
    with pytest.raises(ps.InputError, match=r"a task must be one of harder, v0, v1, ant, or gym:ID .* got 'v2'"):
        task_from_text("v2")
    with pytest.raises(ps.InputError, match="library must be one of gym, gymnasium, got 'jim'"):
        task_from_text("jim:Pendulum-v1")


def test_registered_tasks_are_known_by_name_and_file(monkeypatch):
    monkeypatch.delitem(TASKS, "patches", raising=False)
    assert register(Patches) is Patches
    task = Patches(7, ps.Perturbation(shuffle=True))
    assert task_from_config(task.config) == task
    assert task_from_text("patches") == Patches()
    assert task_from_text("patches", task) == task
    assert register(Patches) is Patches
    other = type("Other", (Patches,), {})
    with pytest.raises(ps.InputError, match="'patches' is that of Patches"):
        register(other)
    monkeypatch.delitem(TASKS, "patches")
    with pytest.raises(ps.InputError, match="cannot be drawn"):
        task.with_pictures()


TASK = ps.CartPoleSwingUp("harder", 150, ps.Perturbation(reshuffle_every=20, shuffle=True, n_noise=2))
POLICY = ps.InvariantPolicy(n_embeddings=4, proj_dim=4, hidden_size=2)
POPULATION = np.random.default_rng(0).standard_normal((3, POLICY.n_params))


def test_the_loop_shows_what_the_scores_are_made_of():
    chunk = make_chunks(POLICY, POPULATION, TASK, 70, 5)[0]
    expected = run_chunk(chunk)
    returns, lengths = np.zeros(chunk.episodes.shape), np.zeros(chunk.episodes.shape, int)
    n_rows = []
    for number, step in enumerate(live(chunk)):
        assert step.number == number
        returns[step.rows] += step.rewards
        lengths[step.rows] += step.alive
        n_rows.append(len(step.alive))
        assert step.observations.shape == (n_rows[-1], 7, 1, chunk.episodes.shape[1])
        assert step.task.sources.shape == (n_rows[-1], 7, chunk.episodes.shape[1])
        assert (step.totals.lengths[step.rows][step.alive] == number).all()
        np.testing.assert_array_equal(step.totals.returns, returns)
    assert not step.alive.any()
    assert step.number == expected.lengths.max()
    np.testing.assert_array_equal(returns, expected.returns)
    np.testing.assert_array_equal(lengths, expected.lengths)


@pytest.mark.parametrize("n_episodes", [1, 3, 16, 130])
def test_a_single_chunk_is_what_a_rollout_scores(n_episodes):
    chunk = single_chunk(POLICY, POPULATION[1], TASK, n_episodes, 5)
    seen = [(chunk.in_order(step.actions), chunk.in_order(step.alive), step) for step in live(chunk)]
    expected = ps.rollout(POLICY, POPULATION, TASK, n_episodes, 5)
    totals = seen[-1][2].totals
    np.testing.assert_array_equal(chunk.in_order(totals.returns), expected.returns[1])
    np.testing.assert_array_equal(np.sum([alive for _, alive, _ in seen], axis=0), expected.lengths[1])
    assert {actions.shape for actions, _, _ in seen} == {(1, n_episodes)}


def test_a_reader_may_act_in_the_policys_place():
    task = ps.CartPoleSwingUp("harder", 60)
    chunk = single_chunk(POLICY, POPULATION[0], task, 8, 5)
    for step in live(chunk):
        step.actions[...] = np.where(step.number % 2, 1.0, -1.0)
        if step.number < task.max_steps:
            lived = step
    states = lived.task.plain.state
    run = task.start(5, chunk.episodes)
    for number in range(lived.number + 1):
        run.step(np.full((1, 1, 8), 1.0 if number % 2 else -1.0), np.ones((1, 8), bool))
    np.testing.assert_array_equal(states, run.plain.state)


def test_readers_see_no_warnings_and_keep_their_own_settings():
    params = 1e6 * POPULATION[0]
    with np.errstate(all="raise"):
        for _ in live(single_chunk(POLICY, params, ps.CartPoleSwingUp("v1", 5), 4, 0)):
            assert np.geterr()["over"] == "raise"


def test_starts_are_drawn_once_for_each_episode():
    starts = per_episode((1,), START, np.array([[0, 1], [1, 0]]), lambda generator: generator.standard_normal(2))
    np.testing.assert_array_equal(starts[0], starts[1, ::-1])
