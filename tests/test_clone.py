"""Cloning: the student learns from the teacher, exactly resumable, and bad teachers are refused."""

import csv
import dataclasses
import errno
import json
import os
import platform
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from warm import pisensory

import pisensory as ps
from pisensory.cloning import episodes, lesson, loop
from pisensory.cloning.adam import Adam, clip, cosine_rate
from pisensory.cloning.episodes import EpisodeStore, collect
from pisensory.cloning.identify import identify
from pisensory.runs.checkpoint import read_checkpoint, write_checkpoint
from pisensory.runs.config import digest, read_config, write_config

TASK = ps.CartPoleSwingUp("v1", max_steps=60, perturbation=ps.Perturbation(shuffle=True))
TEACHER = (ps.MLPPolicy(hidden_sizes=()), np.array([0.3, -0.2, 0.5, 0.9, -0.1, 0.05]))
STUDENT = ps.InvariantPolicy(n_embeddings=6, proj_dim=4, hidden_size=4)
PARAMS = np.random.default_rng(0).standard_normal(STUDENT.n_params)
SMALL = {"batch_size": 8, "teacher_rounds": 3, "window": 25, "n_eval_episodes": 4, "eval_every": 2, "updates": 6}


def metrics(run_dir):
    with open(run_dir / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: value for name, value in row.items() if name not in ("seconds", "elapsed")} for row in rows]


@given(st.floats(0, 1), st.integers(1, 9), st.integers(1, 5), st.integers(1, 3), st.integers(0, 99))
def test_what_is_left_of_sequences_is_what_it_was(share, n_features, n_sequences, tries, seed):
    random = np.random.default_rng(seed)
    seen, remembered = random.random((3, n_features, 2, n_sequences)), random.random((n_features, 4, n_sequences))
    sources = np.broadcast_to(np.arange(n_features)[None, :, None], (3, n_features, n_sequences))
    nothing = np.zeros((3, 1, n_sequences))
    batch = episodes.Batch(seen, nothing, nothing, np.ones((3, n_sequences), bool), sources, np.empty(0))
    left, (state,) = episodes.occlude(batch, (remembered,), share, random, tries)
    assert left.sources.shape[1] == max(1, n_features - round(share * n_features))
    assert left.alive.shape[1] == tries * n_sequences
    for number in range(tries * n_sequences):
        kept, sequence = left.sources[0, :, number], number // tries
        assert len(set(kept)) == len(kept)
        np.testing.assert_array_equal(left.sources[..., number], np.broadcast_to(kept, left.sources.shape[:2]))
        np.testing.assert_array_equal(left.observations[..., number], seen[..., sequence][:, kept])
        np.testing.assert_array_equal(state[..., number], remembered[..., sequence][kept])


def test_occlusion_is_for_students_of_any_number_of_inputs(tmp_path):
    with pytest.raises(ps.InputError, match="with occlusion, inputs are left out: this policy takes 5 inputs, got 4"):
        ps.clone(ps.MLPPolicy(), TEACHER, ps.CartPoleSwingUp(), tmp_path / "run", occlusion=0.5)
    assert not (tmp_path / "run").exists()


def test_occlusion_learns_from_the_worst_of_its_tries(tmp_path, monkeypatch):
    """The first try is what a single one is, so that no sequence is less wrong with more of them."""
    lessons, n_tries = [], 5

    def study(one, executor):
        lessons.append(one)
        return lesson.study(one)

    monkeypatch.setattr(loop, "study_together", study)
    settings = {**SMALL, "rounds": 1, "updates": 1, "windows": 16, "identify": 0.1, "action_noise": 0, "seed": 3}
    for tries in (1, n_tries):
        ps.clone(STUDENT, TEACHER, TASK, tmp_path / str(tries), occlusion=0.9, tries=tries, **settings)
    one, several = lessons
    assert one.sources.shape[1] < 5 and several.alive.shape[1] == n_tries * one.alive.shape[1]
    assert several.n_alive == one.n_alive == one.alive.sum()
    told = ("observations", "previous_actions", "labels", "alive", "sources")
    for field in told:
        np.testing.assert_array_equal(getattr(one, field), getattr(several, field)[..., ::n_tries])
    for before, after in zip(one.state, several.state):
        np.testing.assert_array_equal(before, after[..., ::n_tries])

    actions = STUDENT.unroll(PARAMS, several.observations, several.previous_actions, several.state).actions
    several = several._replace(params=PARAMS)
    errors = ((actions - several.labels) ** 2 * several.alive[:, None]).sum(axis=(0, 1)).reshape(-1, n_tries)
    more = errors.max(axis=1) - errors[:, 0]
    assert (more > 1e-3).sum() > 3 and (more < 1e-6).any()
    chosen = errors.argmax(axis=1) + n_tries * np.arange(len(errors))
    worst = several._replace(**{field: getattr(several, field)[..., chosen] for field in told}, tries=1)
    worst = worst._replace(state=tuple(array[..., chosen] for array in several.state))
    expected, outcome = lesson.study(worst), lesson.study(several)
    assert outcome.loss == pytest.approx(errors.max(axis=1).sum() / one.n_alive, rel=1e-5)
    assert outcome.identify_loss == pytest.approx(expected.identify_loss, rel=1e-5)
    scale = np.abs(expected.gradient).max()
    np.testing.assert_allclose(outcome.gradient, expected.gradient, rtol=1e-4, atol=1e-5 * scale)


def test_occlusion_draws_its_shares_from_the_least_to_the_largest(tmp_path, monkeypatch):
    shares = []

    def leave_out(batch, state, share, *others):
        shares.append(share)
        return episodes.occlude(batch, state, share, *others)

    monkeypatch.setattr(loop, "occlude", leave_out)
    settings = {**SMALL, "rounds": 1, "updates": 100, "occlusion": 0.6}
    for least in (0, 0.4, 0.6):
        ps.clone(STUDENT, TEACHER, TASK, tmp_path / str(least), **settings, least_occlusion=least)
    for least, drawn in zip((0, 0.4, 0.6), np.reshape(shares, (3, 100))):
        np.testing.assert_allclose(np.quantile(drawn, [0, 0.5, 1]), [least, (least + 0.6) / 2, 0.6], atol=0.08)
        assert least <= drawn.min() and drawn.max() <= 0.6


def test_tries_are_for_occlusion_and_a_margin_for_the_largest_of_outputs(tmp_path):
    with pytest.raises(ps.InputError, match="tries is for occlusion, which is 0"):
        ps.clone(STUDENT, TEACHER, TASK, tmp_path / "run", tries=2)
    with pytest.raises(ps.InputError, match="least_occlusion must be at most occlusion, which is 0"):
        ps.clone(STUDENT, TEACHER, TASK, tmp_path / "run", least_occlusion=0.2)
    with pytest.raises(ps.InputError, match="margin is for tasks in which the largest output is what is done"):
        ps.clone(STUDENT, TEACHER, TASK, tmp_path / "run", margin=0.5)
    with pytest.raises(ps.InputError, match="stakes is for tasks in which the largest output is what is done"):
        ps.clone(STUDENT, TEACHER, TASK, tmp_path / "run", stakes=0.5, windows=4)
    task = ps.GymTask("CartPole-v1", "gymnasium")
    with pytest.raises(ps.InputError, match="stakes is for windows, which is 0"):
        ps.clone(ps.MLPPolicy(n_features=4, n_actions=2), lambda seen: seen[:, :2], task, tmp_path / "run", stakes=0.5)
    assert not (tmp_path / "run").exists()


def test_with_a_margin_the_largest_label_is_to_be_so_far_ahead():
    actions = np.array([[[0.9, 0.2, 0.1], [0.1, 0.4, 0.0], [0.8, 0.3, 0.9]]], np.float32)  # (step, action, episode)
    labels = np.array([[[1, 1, -1], [0.5, 0.5, -1], [0.5, 0.5, 1]]], np.float32)
    one = make_lesson()._replace(labels=labels, alive=np.array([[True, True, True]]), margin=0.5)
    squares, gradient = lesson._errors(one, actions)
    lacks = [[0, 0, 0], [0, 0.7, 0], [0.4, 0.6, 0]]
    np.testing.assert_allclose(squares[0], np.square(lacks), atol=1e-6)
    np.testing.assert_allclose(gradient[0], 2 * (np.array([[-0.4, -1.3, 0], [0, 0.7, 0], [0.4, 0.6, 0]])), atol=1e-6)
    near = one._replace(labels=np.array([[[1, 1, 0.8], [0.8, -1, -1], [0.7, 0.9, 1]]], np.float32))
    lacks = [[0, 0, 0], [0, 0.7, 0], [0.2, 0.2, 0]]  # no farther than the labels are
    np.testing.assert_allclose(lesson._errors(near, actions)[0][0], np.square(lacks), atol=1e-6)
    equal = one._replace(labels=np.array([[[1, 1, -1], [1, -1, 1], [0.5, 1, 1]]], np.float32))
    lacks = [[0, 0, 0], [0, 0.6, 0], [0.4, 0, 0]]  # of several largest the one that the student favors
    np.testing.assert_allclose(lesson._errors(equal, actions)[0][0], np.square(lacks), atol=1e-6)
    dead = one._replace(alive=np.array([[True, False, True]]))
    assert not lesson._errors(dead, actions)[1][..., 1].any()


def test_a_part_of_the_sequences_begins_where_what_is_done_matters():
    batch = collect(TEACHER, (STUDENT, PARAMS), TASK, 4, seed=1)
    labels = np.full((*batch.alive.shape[:1], 3, 4), -1, np.float32)
    labels[:, :2] = 1  # two keys are as good, but in two steps
    labels[7, 1, 2], labels[9, 1, 3] = 0.5, 0.0
    batch = dataclasses.replace(batch, labels=labels)

    def draw(batch, stakes):
        drawn, _ = episodes.draw_windows(batch, 4000, 1, 1, 0.0, np.random.default_rng(0), stakes=stakes)
        return drawn.labels[0, 1]

    drawn = draw(batch, 0.75)
    assert np.mean(drawn == 0.5) == pytest.approx(0.25, abs=0.03)
    assert np.mean(drawn == 0) == pytest.approx(0.5, abs=0.03)
    assert np.mean(drawn[3000:] == 1) > 0.98
    alike = dataclasses.replace(batch, labels=np.ones_like(labels))
    assert (draw(alike, 0.75) == 1).all()


def test_student_learns_to_do_what_the_teacher_does_with_a_margin(tmp_path):
    def teacher(observations):
        moves = np.where(observations[:, 1] > 0, 0.1, -0.1)
        return np.stack([moves, -moves], axis=1)

    task = ps.GymTask("CartPole-v1", "gymnasium", max_steps=60)
    settings = {**SMALL, "rounds": 40, "learning_rate": 0.02, "patience": 999, "windows": 32, "window": 1}
    result = ps.clone(ps.MLPPolicy(n_features=4, n_actions=2), teacher, task, tmp_path / "run", margin=0.5, **settings)
    batch = collect(teacher, (result.policy, result.params), task, 8, seed=99)
    actions = result.policy.unroll(result.params, batch.observations, batch.previous_actions).actions
    ahead = (actions[:, 0] - actions[:, 1]) * np.sign(batch.labels[:, 0])
    clear = batch.alive & (np.abs(batch.observations[:, 1, 0]) > 0.1)
    assert np.mean(ahead[clear] > 0.3) > 0.9  # the labels themselves are 0.2 apart


def test_student_comes_to_act_as_the_teacher(tmp_path):
    ps.clone(STUDENT, TEACHER, TASK, tmp_path / "run", rounds=60, learning_rate=0.03, patience=999, **SMALL)
    losses = [float(row["held_out_loss"]) for row in metrics(tmp_path / "run") if row["held_out_loss"]]
    assert losses[-1] < 0.15 * losses[0]


@pytest.mark.parametrize(
    ("dagger", "identify_weight", "occlusion", "tries"),
    [(False, 0, 0, 1), (True, 0, 0, 1), (True, 0.3, 0, 1), (True, 0.3, 0.5, 1), (True, 0, 0.5, 3)],
)
def test_resumed_clone_ends_as_one_that_never_stopped(tmp_path, dagger, identify_weight, occlusion, tries):
    settings = {"rounds": 6, "dagger": dagger, "identify": identify_weight, "occlusion": occlusion, **SMALL}
    settings["tries"] = tries
    whole = ps.clone(STUDENT, TEACHER, TASK, tmp_path / "whole", **settings)
    stopped = 0
    while stopped < 6:
        parts = ps.clone(STUDENT, TEACHER, TASK, tmp_path / "parts", resume=True, minutes=1e-9, **settings)
        assert parts.rounds == stopped + 1
        stopped = parts.rounds
    np.testing.assert_array_equal(whole.params, parts.params)
    assert metrics(tmp_path / "whole") == metrics(tmp_path / "parts")
    for path in (tmp_path / "whole").rglob("*.npz"):
        if path.name != "checkpoint.npz":
            assert path.read_bytes() == (tmp_path / "parts" / path.relative_to(tmp_path / "whole")).read_bytes()


def test_teacher_acts_first_then_the_student_with_dagger():
    taught = collect(TEACHER, (STUDENT, PARAMS), TASK, 5, seed=1)
    driven = collect(TEACHER, (STUDENT, PARAMS), TASK, 5, seed=1, shares=(0, 0))
    np.testing.assert_array_equal(taught.previous_actions[1:], taught.labels[:-1])
    np.testing.assert_array_equal(taught.observations[0], driven.observations[0])
    agent = STUDENT.agent(PARAMS)
    actions = [agent.act(observation) for observation in driven.observations[:, :, 0, 2]]
    np.testing.assert_allclose(driven.previous_actions[1:, :, 2], actions[:-1], atol=1e-5)


class CountingExecutor(ps.ProcessExecutor):
    """Processes, and how many lessons, and parts of anything, were sent to them."""

    n_lessons = n_parts = 0

    def map(self, function, items):
        items = list(items)
        self.n_lessons += sum(isinstance(item, lesson.Lesson) for item in items)
        self.n_parts += len(items)
        return super().map(function, items)


@pytest.fixture(scope="module")
def two_workers():
    with CountingExecutor(2) as executor:
        yield executor


@pytest.mark.parametrize("n_parts", [2, 3])
def test_workers_share_a_batch_without_changing_it(n_parts, two_workers, monkeypatch):
    """Episodes end at different times, and so do their parts."""
    task = ps.CartPoleSwingUp("harder", max_steps=120, perturbation=ps.Perturbation(shuffle=True, reshuffle_every=20))
    arguments = (TEACHER, (STUDENT, PARAMS), task, 14, 3, (0.0, 0.7), True, 10)
    alone = collect(*arguments)
    monkeypatch.setattr(two_workers, "n_near", n_parts)
    monkeypatch.setattr(two_workers, "n_parts", 0)
    together = collect(*arguments, executor=two_workers)
    assert two_workers.n_parts == n_parts
    lengths = alone.alive.sum(axis=0)
    assert len(set(lengths)) > 2 and lengths.max() == len(alone.alive)
    for field in dataclasses.fields(alone):
        np.testing.assert_array_equal(getattr(together, field.name), getattr(alone, field.name), field.name)
    dead = ~alone.alive
    for name in ("observations", "previous_actions", "labels", "sources"):
        assert not np.moveaxis(getattr(together, name), -1, 1)[dead].any()


@pytest.mark.parametrize("n_episodes", [5, 8, 64])
def test_no_worker_is_without_a_part_of_a_batch(n_episodes):
    jobs = []

    class Two(ps.SerialExecutor):
        n_near = 2

        def map(self, function, items):
            jobs.extend(items)
            return map(function, items)

    together = collect(TEACHER, (STUDENT, PARAMS), TASK, n_episodes, 3, executor=Two())
    assert len(jobs) == 2 and all((job[1].episodes >= 0).any() for job in jobs)
    alone = collect(TEACHER, (STUDENT, PARAMS), TASK, n_episodes, 3)
    np.testing.assert_array_equal(together.observations, alone.observations)


def test_teacher_has_its_share_in_the_actions():
    batches = [collect(TEACHER, (STUDENT, PARAMS), TASK, 3, 1, shares) for shares in ((0, 0.8), (0, 0), (1, 1))]
    first, student, teacher = (batch.previous_actions[1, 0] for batch in batches)
    np.testing.assert_allclose(first, student + np.array([0, 0.4, 0.8]) * (teacher - student), atol=1e-6)
    np.testing.assert_array_equal(batches[0].labels[0], batches[2].labels[0])


def test_teacher_sees_the_inputs_in_order_and_the_student_shuffled():
    plain = collect(TEACHER, (STUDENT, PARAMS), TASK.plain, 5, seed=1)
    shuffled = collect(TEACHER, (STUDENT, PARAMS), TASK, 5, seed=1)
    np.testing.assert_array_equal(plain.labels, shuffled.labels)
    np.testing.assert_array_equal(np.sort(plain.observations, axis=1), np.sort(shuffled.observations, axis=1))
    assert not np.array_equal(plain.observations, shuffled.observations)


def test_batches_know_what_each_input_is():
    plain = collect(TEACHER, (STUDENT, PARAMS), TASK.plain, 3, seed=1, with_sources=True)
    assert (plain.sources == np.arange(5)[:, None]).all()
    perturbation = ps.Perturbation(reshuffle_every=20, n_copies=2, n_noise=3, noise_std=9.0)
    task = ps.CartPoleSwingUp("v1", max_steps=60, perturbation=perturbation)
    shuffled = collect(TEACHER, (STUDENT, PARAMS), task, 3, seed=1, with_sources=True)
    assert collect(TEACHER, (STUDENT, PARAMS), task, 3, seed=1).sources.shape == (60, 0, 3)
    for name in range(5):  # an input is shown, twice, where the sources say so
        for step, episode in ((0, 0), (19, 1), (20, 2), (59, 1)):
            places = shuffled.sources[step, :, episode] == name
            assert places.sum() == 2
            assert (shuffled.observations[step, places, :, episode] == plain.observations[step, name, :, episode]).all()
    assert ((shuffled.sources == 5).sum(axis=1) == 3).all()
    assert not np.array_equal(shuffled.sources[19], shuffled.sources[20])
    np.testing.assert_array_equal(shuffled.sources[20], shuffled.sources[39])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), n_classes=st.integers(2, 5), hidden_size=st.integers(1, 3))
def test_gradients_of_telling_inputs_apart_are_those_of_central_differences(seed, n_classes, hidden_size):
    rng = np.random.default_rng(seed)
    classifier, hidden = rng.standard_normal((n_classes, 1 + hidden_size)), rng.standard_normal((3, 2, hidden_size, 2))
    sources, alive = rng.integers(0, n_classes, (3, 2, 2)), np.array([[True, True], [True, True], [True, False]])
    loss, d_classifier, d_hidden = identify(classifier, hidden, sources, alive)
    scores = np.einsum("ch,sfhe->scfe", classifier[:, 1:], hidden) + classifier[:, :1, None]
    chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    right = np.take_along_axis(chances, sources[:, None], axis=1)[:, 0]
    assert loss == pytest.approx(-np.log(right).transpose(0, 2, 1)[alive].mean())
    for array, gradient in ((classifier, d_classifier), (hidden, d_hidden)):
        for place in np.ndindex(array.shape):
            losses = []
            for step in (1e-5, -1e-5):
                array[place] += step
                losses.append(identify(classifier, hidden, sources, alive)[0])
                array[place] -= step
            assert gradient[place] == pytest.approx((losses[0] - losses[1]) / 2e-5, rel=1e-5, abs=1e-8)


def test_steps_that_are_asked_together_change_no_bit_of_the_gradients(monkeypatch):
    rng = np.random.default_rng(0)
    classifier, hidden = rng.standard_normal((4, 6)), rng.standard_normal((11, 3, 5, 4)).astype(np.float32)
    sources, alive = rng.integers(0, 4, (11, 3, 4)), rng.random((11, 4)) < 0.8
    results = []
    for n_together in (1, 4, 11):
        monkeypatch.setattr("pisensory.cloning.identify._COLUMNS", n_together * 3 * 4)
        results.append(identify(classifier, hidden, sources, alive))
    for loss, *gradients in results[1:]:
        assert loss == pytest.approx(results[0][0], rel=1e-6)
        for one, other in zip(gradients, results[0][1:]):
            np.testing.assert_array_equal(one, other)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators keep or return memory as they like")
def test_memory_is_kept_from_one_lesson_to_the_next():
    """A lesson fills some 20 MB, which are 5000 pages."""
    program = """
import resource, numpy as np, pisensory as ps
from pisensory.cloning.lesson import Lesson, study
policy = ps.InvariantPolicy(n_embeddings=32, hidden_size=24, head_sizes=(32,))
seen, actions = np.ones((40, 5, 1, 64), np.float32), np.ones((40, 1, 64), np.float32)
alive, sources = np.ones((40, 64), bool), np.zeros((40, 5, 64), np.int16)
nothing = np.zeros((6, 25))
lesson = Lesson(policy, np.ones(policy.n_params), nothing, 0.3, seen, actions, actions, alive, sources, None, 1)
for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    study(lesson)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    command = [sys.executable, "-c", program]
    assert int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) < 1000


def make_lesson(n_alive_in_second_half=25):
    """Return a lesson of 6 episodes, the last three of which live for so many of its 25 steps."""
    batch = collect(TEACHER, (STUDENT, PARAMS), TASK, 6, seed=1, with_sources=True).beginning(25)
    alive = batch.alive.copy()
    alive[n_alive_in_second_half:, 3:] = False
    rng = np.random.default_rng(0)
    state = tuple(rng.uniform(-1, 1, (2, 5, STUDENT.state_size, 6)).astype(np.float32))
    classifier = rng.standard_normal((6, 1 + STUDENT.state_size))
    return lesson.Lesson(
        STUDENT, PARAMS, classifier, 0.3, batch.observations, batch.previous_actions, batch.labels, alive,
        batch.sources, state, int(alive.sum()),
    )  # fmt: skip


@pytest.mark.parametrize("n_alive", [25, 7, 0])
def test_halves_of_a_lesson_add_up_to_the_whole(monkeypatch, n_alive):
    whole = make_lesson(n_alive)
    assert whole.parts() == [whole]  # too short to be worth it
    monkeypatch.setattr(lesson, "_WORTH_HALVING", 0)
    halves = whole.parts()
    assert [half.alive.shape[1] for half in halves] == [3, 3]
    expected, added = lesson.study(whole), lesson.add(map(lesson.study, halves))
    scale = np.abs(expected.gradient).max()
    np.testing.assert_allclose(added.gradient, expected.gradient, rtol=1e-4, atol=1e-6 * scale)
    assert added.loss == pytest.approx(expected.loss, rel=1e-6)
    assert added.identify_loss == pytest.approx(expected.identify_loss, rel=1e-6)


def test_a_lesson_is_not_halved_within_the_tries_of_a_sequence(monkeypatch):
    monkeypatch.setattr(lesson, "_WORTH_HALVING", 0)
    whole = make_lesson()
    assert [half.alive.shape[1] for half in whole._replace(tries=2).parts()] == [2, 4]
    one = whole._replace(tries=6)
    assert one.parts() == [one]


def test_two_processes_share_the_steps_of_descent_and_change_no_bit(tmp_path, monkeypatch, two_workers):
    monkeypatch.setattr(lesson, "_WORTH_HALVING", 0)
    settings = {**SMALL, "rounds": 4, "identify": 0.3, "dagger": True}
    alone = ps.clone(STUDENT, TEACHER, TASK, tmp_path / "alone", **settings)
    two_workers.n_lessons = 0
    shared = ps.clone(STUDENT, TEACHER, TASK, tmp_path / "shared", executor=two_workers, **settings)
    assert two_workers.n_lessons == 2 * shared.updates
    np.testing.assert_array_equal(alone.params, shared.params)
    assert metrics(tmp_path / "alone") == metrics(tmp_path / "shared")


def test_steps_of_descent_on_single_steps_are_not_sent(tmp_path, monkeypatch, two_workers):
    monkeypatch.setattr(lesson, "_WORTH_HALVING", 0)
    student, settings = ps.MLPPolicy(), {**SMALL, "rounds": 2, "windows": 32, "window": 1}
    alone = ps.clone(student, TEACHER, TASK, tmp_path / "alone", **settings)
    two_workers.n_lessons = 0
    shared = ps.clone(student, TEACHER, TASK, tmp_path / "shared", executor=two_workers, **settings)
    assert two_workers.n_lessons == 0
    np.testing.assert_array_equal(alone.params, shared.params)
    assert metrics(tmp_path / "alone") == metrics(tmp_path / "shared")


def test_student_learns_which_of_its_inputs_is_which(tmp_path):
    settings = {**SMALL, "rounds": 30, "learning_rate": 0.02, "patience": 999}
    ps.clone(STUDENT, TEACHER, TASK, tmp_path / "run", identify=1.0, **settings)
    losses = [float(row["identify_loss"]) for row in metrics(tmp_path / "run")]
    assert losses[0] > 0.8 * np.log(6)  # it guesses: six classes, of which noise does not occur
    assert np.mean(losses[-5:]) < 0.6 * losses[0]
    ps.clone(STUDENT, TEACHER, TASK, tmp_path / "unasked", **{**settings, "rounds": 1})
    assert metrics(tmp_path / "unasked")[0]["identify_loss"] == ""


def test_students_without_memory_are_not_asked_what_their_inputs_are(tmp_path):
    with pytest.raises(ps.InputError, match="identify is for a student with a state"):
        ps.clone(ps.MLPPolicy(), TEACHER, TASK, tmp_path / "run", identify=0.1, **SMALL)
    assert not (tmp_path / "run").exists()


def test_teacher_gain_softens_the_labels(tmp_path):
    for gain in (1.0, 0.25):
        ps.clone(STUDENT, TEACHER, TASK, tmp_path / str(gain), rounds=1, teacher_gain=gain, **SMALL)
    (hard, soft) = (np.load(tmp_path / name / "episodes" / "block-000000.npz") for name in ("1.0", "0.25"))
    np.testing.assert_allclose(np.arctanh(soft["labels"][0]), 0.25 * np.arctanh(hard["labels"][0]), atol=1e-5)
    with pytest.raises(ps.InputError, match="teacher_gain is for policies"):
        ps.clone(STUDENT, lambda inputs: inputs[:, :1], TASK, tmp_path / "f", teacher_gain=0.5, **SMALL)


def test_functions_can_teach():
    vector = TEACHER[1]

    def teacher(observations):
        return np.tanh(observations @ vector[:5, None] + vector[5])

    named, function = (collect(who, (STUDENT, PARAMS), TASK, 4, seed=0) for who in (TEACHER, teacher))
    np.testing.assert_allclose(function.labels[:20], named.labels[:20], atol=1e-4)


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        (lambda observations: np.full((len(observations), 1), np.nan), "step 0 of episode 0"),
        (lambda observations: np.full((len(observations), 1), 1.5), r"numbers in \[-1, 1\]"),
        (lambda observations: np.zeros(3), r"shape \(episode, action\)"),
        ((ps.MLPPolicy(7), np.zeros(ps.MLPPolicy(7).n_params)), "takes 7 inputs"),
        ((ps.MLPPolicy(), np.zeros(3)), "3 numbers"),
        (None, "teacher must be"),
    ],
)
def test_teachers_that_do_not_fit_are_refused(tmp_path, teacher, message):
    with pytest.raises(ps.InputError, match=message):
        ps.clone(STUDENT, teacher, TASK, tmp_path / "run", rounds=2, **SMALL)


@pytest.mark.parametrize("setting", ["rounds", "learning_rate", "clip", "window", "batch_size"])
def test_impossible_settings_are_refused_by_name(tmp_path, setting):
    with pytest.raises(ps.InputError, match=setting):
        ps.clone(STUDENT, TEACHER, TASK, tmp_path / "run", **{setting: 0})
    assert not (tmp_path / "run").exists()


def test_shares_above_one_are_refused(tmp_path):
    with pytest.raises(ps.InputError, match="teacher_share"):
        ps.clone(STUDENT, TEACHER, TASK, tmp_path / "run", teacher_share=1.1)


@pytest.mark.parametrize(
    ("student", "message"),
    [
        (ps.InvariantPolicy(2), "gives 2 actions"),
        (ps.MLPPolicy(7), "takes 7 inputs"),
        (ps.MLPPolicy(5, 3), "3 actions"),
    ],
)
def test_students_that_do_not_fit_are_refused(tmp_path, student, message):
    with pytest.raises(ps.InputError, match=message):
        ps.clone(student, TEACHER, TASK, tmp_path / "run", **SMALL)
    assert not (tmp_path / "run").exists()


def test_run_ends_when_the_score_no_longer_rises(tmp_path):
    settings = {**SMALL, "learning_rate": 1e-30, "eval_every": 1}
    result = ps.clone(STUDENT, TEACHER, TASK, tmp_path / "run", rounds=50, patience=3, **settings)
    assert result.rounds < 10
    best = max(float(row["held_out"]) for row in metrics(tmp_path / "run"))
    assert result.score == best
    policy, params = ps.load_policy(tmp_path / "run" / "best.npz")
    assert policy == STUDENT
    np.testing.assert_array_equal(params, result.params)


def test_teacher_that_fails_later_costs_no_finished_round(tmp_path):
    calls_left = np.inf

    def teacher(observations):
        nonlocal calls_left
        calls_left -= 1
        return np.tanh(observations[:, :1] if calls_left > 0 else observations[:, :1] * np.nan)

    settings = {"rounds": 4, **SMALL}
    whole = ps.clone(STUDENT, teacher, TASK, tmp_path / "whole", **settings)
    calls_left = 2 * TASK.max_steps + 10  # the held-out episodes and the first round, and into the second
    with pytest.raises(ps.InputError, match="the teacher's action at step"):
        ps.clone(STUDENT, teacher, TASK, tmp_path / "run", **settings)
    assert read_checkpoint(tmp_path / "run")[1]["done"] == 1
    calls_left = np.inf
    result = ps.clone(STUDENT, teacher, TASK, tmp_path / "run", resume=True, **settings)
    np.testing.assert_array_equal(result.params, whole.params)
    assert metrics(tmp_path / "run") == metrics(tmp_path / "whole")


@pytest.mark.parametrize("error", [RuntimeError("not one of ours"), ps.TaskError("an environment's")])
def test_error_of_any_kind_costs_no_finished_round(tmp_path, error):
    class Failing(ps.SerialExecutor):
        scored = 0

        def map(self, function, items):
            self.scored += 1
            if self.scored == 2:
                raise error
            return super().map(function, items)

    settings = {"rounds": 5, "dagger": True, **SMALL}
    with pytest.raises(type(error)):
        ps.clone(STUDENT, TEACHER, TASK, tmp_path / "run", executor=Failing(), **settings)
    assert read_checkpoint(tmp_path / "run")[1]["done"] == 2
    ps.clone(STUDENT, TEACHER, TASK, tmp_path / "run", resume=True)
    whole = ps.clone(STUDENT, TEACHER, TASK, tmp_path / "whole", **settings)
    np.testing.assert_array_equal(ps.load_policy(tmp_path / "run" / "best.npz")[1], whole.params)
    assert metrics(tmp_path / "run") == metrics(tmp_path / "whole")


@pytest.mark.parametrize("numbers", [[0], [0, 1, 2]])
def test_episodes_deleted_under_a_running_clone_are_named(tmp_path, numbers):
    def teacher(observations):
        for number in numbers if (tmp_path / "run" / "episodes" / "block-000002.npz").exists() else ():
            (tmp_path / "run" / "episodes" / f"block-{number:06d}.npz").unlink(missing_ok=True)
        return observations[:, :1]

    settings = {**SMALL, "rounds": 9, "teacher_rounds": 4, "updates": 30}
    with pytest.raises(ps.FileError, match=r"block-00000\d.npz is missing, and the run needs it"):
        ps.clone(STUDENT, teacher, ps.CartPoleSwingUp("v1", max_steps=20), tmp_path / "run", **settings)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("alive", lambda array: array & False, "no episode in it is alive"),
        ("labels", lambda array: array + 1.5, r"its labels are not all numbers in \[-1, 1\]"),
        ("labels", lambda array: array * np.nan, r"its labels are not all numbers in \[-1, 1\]"),
        ("previous_actions", lambda array: array - 2, "its previous_actions are not all"),
        ("sources", lambda array: array + 6, "its sources are not all inputs, 0 to 5"),
        ("sources", lambda array: array - 9, "its sources are not all inputs, 0 to 5"),
        ("observations", lambda array: array[:, :, 0], "is damaged"),
        ("observations", lambda array: array * np.inf, "its observations are not all finite"),
        ("labels", lambda array: array[1:], "its labels are of the shape"),
    ],
)
def test_batches_that_no_episodes_are_in_are_refused(tmp_path, name, change, message):
    batch = collect(TEACHER, (STUDENT, PARAMS), TASK, 3, seed=1, with_sources=True)
    store = EpisodeStore(tmp_path, "this", 2**20, 5)
    with np.errstate(invalid="ignore"):
        store.write(0, dataclasses.replace(batch, **{name: change(getattr(batch, name))}))
    with pytest.raises(ps.FileError, match=message):
        store.read(0)


def test_disk_that_is_full_while_collecting_loses_nothing(tmp_path, monkeypatch):
    settings = {"rounds": 6, **SMALL}
    whole = ps.clone(STUDENT, TEACHER, TASK, tmp_path / "whole", **settings)
    write = loop.EpisodeStore.write

    def full(store, number, batch):
        with monkeypatch.context() as patch:
            if number == 2:
                patch.setattr(os, "fsync", fail)
            write(store, number, batch)

    def fail(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(loop.EpisodeStore, "write", full)
        with pytest.raises(ps.FileError, match=r"block-000002.npz: No space left on device"):
            ps.clone(STUDENT, TEACHER, TASK, tmp_path / "run", **settings)
    assert read_checkpoint(tmp_path / "run")[1]["done"] == 2
    result = ps.clone(STUDENT, TEACHER, TASK, tmp_path / "run", resume=True, **settings)
    np.testing.assert_array_equal(result.params, whole.params)
    assert metrics(tmp_path / "run") == metrics(tmp_path / "whole")


def test_episodes_of_another_task_are_refused_by_the_run(tmp_path):
    settings = {"rounds": 3, **SMALL}
    for version in ("v0", "v1"):
        task = ps.CartPoleSwingUp(version, max_steps=60)
        ps.clone(STUDENT, TEACHER, task, tmp_path / version, minutes=1e-9, **settings)
    shutil.copy(tmp_path / "v0" / "episodes" / "block-000000.npz", tmp_path / "v1" / "episodes")
    with pytest.raises(ps.FileError, match=r"block-000000.npz holds episodes of another task"):
        ps.clone(STUDENT, TEACHER, task, tmp_path / "v1", resume=True, **settings)


def test_other_teachers_are_refused_on_resume(tmp_path):
    ps.clone(STUDENT, TEACHER, TASK, tmp_path / "run", rounds=1, **SMALL)
    other = (TEACHER[0], TEACHER[1] + 1)
    with pytest.raises(ps.InputError, match="teacher: 'sha256"):
        ps.clone(STUDENT, other, TASK, tmp_path / "run", rounds=1, resume=True, **SMALL)


def test_episodes_on_disk_are_bounded_and_those_of_another_task_refused(tmp_path):
    batch = collect(TEACHER, (STUDENT, PARAMS), TASK, 8, seed=0)
    EpisodeStore(tmp_path, "this", 1, 5).write(0, batch)
    store = EpisodeStore(tmp_path, "this", round(2.5 * (tmp_path / "block-000000.npz").stat().st_size), 5)
    for number in range(6):
        assert store.is_full is (number > 2)
        store.write(number, batch)
    (tmp_path / "block-copy.npz").write_bytes(b"")  # somebody's, and left alone
    assert store.numbers == [4, 5]
    store.prune()
    kept = [f"block-{number:06d}.npz" for number in (4, 5)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [*kept, "block-copy.npz"]
    np.testing.assert_array_equal(store.read(5).labels, batch.labels)
    with pytest.raises(ps.FileError, match="another task"):
        EpisodeStore(tmp_path, "that", 1, 5).read(5)


def test_run_that_was_killed_with_a_full_store_goes_on_exactly(tmp_path, monkeypatch):
    settings = {"rounds": 9, "dagger": True, "max_megabytes": 1, **SMALL, "batch_size": 128, "updates": 1}
    whole = ps.clone(STUDENT, TEACHER, TASK, tmp_path / "whole", **settings)
    files = list((tmp_path / "whole" / "episodes").iterdir())
    assert len(files) < 8
    assert sum(path.stat().st_size for path in files) <= 2**20
    for _ in range(5):
        ps.clone(STUDENT, TEACHER, TASK, tmp_path / "run", minutes=1e-9, resume=True, **settings)
    write = loop.EpisodeStore.write

    class Killed(BaseException):
        """Nothing is written after it, as after a kill."""

    def die(store, number, batch):
        write(store, number, batch)
        if number == 7:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(loop.EpisodeStore, "write", die)
        patch.setattr(loop.EpisodeStore, "is_full", False)
        with pytest.raises(Killed):
            ps.clone(STUDENT, TEACHER, TASK, tmp_path / "run", resume=True, **settings)
    assert read_checkpoint(tmp_path / "run")[1]["done"] == 5
    result = ps.clone(STUDENT, TEACHER, TASK, tmp_path / "run", resume=True, **settings)
    np.testing.assert_array_equal(result.params, whole.params)
    assert metrics(tmp_path / "run") == metrics(tmp_path / "whole")


def test_missing_episodes_are_told_and_batches_too_large_to_read_refused(tmp_path, monkeypatch):
    settings = {"rounds": 6, **SMALL}
    ps.clone(STUDENT, TEACHER, TASK, tmp_path / "run", minutes=1e-9, **settings)
    (tmp_path / "run" / "episodes" / "block-000000.npz").unlink()
    with pytest.raises(ps.FileError, match=r"block-000000.npz is missing.*another folder"):
        ps.clone(STUDENT, TEACHER, TASK, tmp_path / "run", resume=True, **settings)
    monkeypatch.setattr(episodes, "MAX_BYTES", 2**10)
    with pytest.raises(ps.InputError, match=r"8 episodes take .* MB.*batch_size"):
        ps.clone(STUDENT, TEACHER, TASK, tmp_path / "large", **settings)


def test_stop_at_the_very_end_of_a_round_undoes_all_of_it(tmp_path, monkeypatch):
    settings = {"rounds": 4, **SMALL}
    whole = ps.clone(STUDENT, TEACHER, TASK, tmp_path / "whole", **settings)
    advance = loop.Cloning.advance

    def stop(learner):
        row = advance(learner)
        if learner.done == 2:
            signal.raise_signal(signal.SIGTERM)
        return row

    with monkeypatch.context() as patch:
        patch.setattr(loop.Cloning, "advance", stop)
        with pytest.raises(ps.TrainingInterrupted, match="stopped by SIGTERM after round 1;"):
            ps.clone(STUDENT, TEACHER, TASK, tmp_path / "run", **settings)
    result = ps.clone(STUDENT, TEACHER, TASK, tmp_path / "run", resume=True, **settings)
    np.testing.assert_array_equal(result.params, whole.params)
    assert metrics(tmp_path / "run") == metrics(tmp_path / "whole")


def test_adam_takes_the_steps_of_its_paper():
    adam = Adam(np.zeros(2), np.zeros(2))
    first = adam.step(np.zeros(2), np.array([1.0, -100.0]), 0.1)
    np.testing.assert_allclose(first, [-0.1, 0.1], rtol=1e-6)
    second = adam.step(first, np.array([1.0, 0.0]), 0.1)
    mean, square = 0.9 * 0.1 * -100 / (1 - 0.81), 0.999 * 0.001 * 1e4 / (1 - 0.999**2)
    np.testing.assert_allclose(second, [-0.2, 0.1 - 0.1 * mean / np.sqrt(square)], rtol=1e-6)


def test_clip_and_rate():
    np.testing.assert_allclose(clip(np.array([3.0, 4.0]), 0.5), [0.3, 0.4])
    np.testing.assert_array_equal(clip(np.array([0.3, 0.4]), 0.5), [0.3, 0.4])
    assert cosine_rate(2.0, 0) == 2.0
    assert cosine_rate(2.0, 1) == pytest.approx(0.02)
    assert cosine_rate(2.0, 0.5) == pytest.approx(2.0 * (0.01 + 0.99 / 2))


def test_command_line_clones_and_evolves(tmp_path):
    ps.save_policy(tmp_path / "teacher.npz", *TEACHER, task=TASK.plain.config)
    arguments = ["clone", "invariant", "teacher.npz", "run", "--rounds", "3", "--batch-size", "4", "--dagger"]
    arguments += ["--teacher-rounds", "2", "--evolve", "1", "-j", "1", "-s", "--identify", "0.3"]
    arguments += ["--updates", "2", "--eval-episodes", "4"]
    result = pisensory(*arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "student, evolved" in result.stdout
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["training"]["dagger"] is True
    assert config["training"]["identify"] == 0.3
    assert config["task"]["perturbation"]["shuffle"] is True
    refused = pisensory(*arguments[:3], "none", "--evolve", "0", cwd=tmp_path)
    assert refused.returncode == 2
    assert "--evolve must be a whole number of at least 1, got 0" in refused.stderr
    assert not (tmp_path / "none").exists()
    missing = pisensory("clone", "mlp", "none.npz", "x", cwd=tmp_path)
    assert missing.returncode == 1
    assert "there is no file" in missing.stderr


def test_what_is_new_since_a_run_began_is_the_usual_in_it(tmp_path):
    ps.clone(STUDENT, TEACHER, TASK, tmp_path / "run", rounds=2, minutes=1e-9, **SMALL)
    config = read_config(tmp_path / "run")
    del config["training"]["matching"]
    write_config(tmp_path / "run", config)
    arrays, progress = read_checkpoint(tmp_path / "run")
    write_checkpoint(tmp_path / "run", arrays, {**progress, "config": digest(config)})
    with pytest.raises(ps.InputError, match=r"training matching: 0.002 in .*, 0.5 asked for"):
        ps.clone(STUDENT, TEACHER, TASK, tmp_path / "run", resume=True, matching=0.5)
    assert ps.clone(STUDENT, TEACHER, TASK, tmp_path / "run", resume=True).rounds == 2
