"""Tasks of several tasks, perturbations that draw from ranges, pushes, and cloning on windows."""

import dataclasses
import json

import numpy as np
import pytest

import pisensory as ps
from pisensory.cloning.episodes import collect, draw_windows
from pisensory.rollout import Chunk, run_chunk
from pisensory.runs import read_metrics
from pisensory.tasks import Mixture, Part, task_from_config, task_from_text

TEXT = "mix: 2 harder shuffle reshuffle_every=5..40 reference=6; v1 n_noise=0..3 push=-1..1 push_at=0..20; v1"
SHORT = ps.CartPoleSwingUp("v1", max_steps=60)
POLICY = ps.InvariantPolicy(n_embeddings=6, proj_dim=4, hidden_size=3)


def params(seed=0):
    return np.random.default_rng(seed).normal(size=POLICY.n_params)


def run(perturbation, n_episodes=200, seed=4):
    task = dataclasses.replace(SHORT, perturbation=perturbation)
    return task.start(seed, np.arange(n_episodes)[None])


def orders(running, n_steps=60):
    """Return the sources of each step (step, feature, episode)."""
    seen, none = [], np.zeros((1, 1, running.sources.shape[2]), np.float32)
    for _ in range(n_steps):
        seen.append(running.sources[0].copy())
        running.step(none, np.ones((1, seen[0].shape[1]), bool))
    return np.array(seen)


def test_text_and_file_give_the_same_mixture():
    mixture = task_from_text(TEXT)
    assert [part.weight for part in mixture.parts] == [2, 1, 1]
    assert mixture.parts[0].task.perturbation == ps.Perturbation(shuffle=True, reshuffle_every=(5, 40))
    assert mixture.parts[1].task.perturbation == ps.Perturbation(n_noise=(0, 3), push=(-1, 1), push_at=(0, 20))
    assert task_from_config(json.loads(json.dumps(mixture.config))) == mixture
    again = "mix: " + "; ".join(f"{part.weight} {part.label} reference={part.reference}" for part in mixture.parts)
    assert task_from_text(again) == mixture


@pytest.mark.parametrize(
    "text", ["mix:", "mix: harder; ", "mix: harder speed=2", "mix: 0 harder", "mix: nobody", "mix: mix: v1"]
)
def test_what_is_no_mixture_is_refused(text):
    with pytest.raises(ps.InputError):
        task_from_text(text)


def test_parts_must_have_the_same_inputs():
    class Other(ps.CartPoleSwingUp):
        n_actions = 2

    with pytest.raises(ps.InputError, match="same inputs"):
        Mixture((SHORT, Other()))


@pytest.mark.parametrize("n_episodes", [3, 4, 7, 64])
def test_each_part_gets_its_episodes(n_episodes):
    shares = task_from_text(TEXT).shares(n_episodes)
    assert sum(share.n_episodes for share in shares) == n_episodes
    assert min(share.n_episodes for share in shares) >= 1
    with pytest.raises(ps.InputError, match="at least one for each of 3 parts"):
        task_from_text(TEXT).shares(2)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_score_is_the_weighted_mean_of_the_parts(n_jobs):
    parts = [dataclasses.replace(task, max_steps=50) for task in task_from_text(TEXT).tasks]
    mixture = Mixture((Part(parts[0], 2, 6), Part(parts[1], 1, 3), parts[2]))
    population = np.stack([params(1), params(2)])
    result = ps.rollout(POLICY, population, mixture, 20, seed=3, n_jobs=n_jobs)
    first, means = 0, []
    for share in mixture.shares(20):
        episodes = np.arange(first, first + share.n_episodes)
        own = run_chunk(Chunk(POLICY, share.task, (3,), population, np.arange(2), np.stack([episodes] * 2)))
        np.testing.assert_array_equal(result.returns[:, episodes], own.returns * share.factor)
        np.testing.assert_array_equal(result.lengths[:, episodes], own.lengths)
        means.append(own.returns.mean(axis=1))
        first += share.n_episodes
    expected = 0.5 * means[0] / 6 + 0.25 * means[1] / 3 + 0.25 * means[2]
    np.testing.assert_allclose(result.returns.mean(axis=1), expected, rtol=1e-12)
    np.testing.assert_allclose(list(mixture.scores(result.returns).values()), [mean.mean() for mean in means])


def test_mixture_has_no_episodes_of_its_own_and_no_inputs_to_change():
    mixture = task_from_text(TEXT)
    with pytest.raises(ps.InputError, match="choose one of its parts"):
        mixture.start(0, np.zeros((1, 1), int))
    with pytest.raises(ps.InputError, match="write it there"):
        mixture.altered({"shuffle": True}, {})
    assert mixture.plain.tasks[1].perturbation == ps.Perturbation()
    assert mixture.altered({}, {}) is mixture


def test_parts_are_chosen_by_their_weights():
    mixture = task_from_text(TEXT)
    chosen = [mixture.tasks.index(mixture.choose(x)) for x in np.linspace(0, 0.999, 1000)]
    assert [chosen.count(number) for number in range(3)] == [500, 250, 250]


def test_episodes_draw_how_often_they_are_reshuffled():
    seen = orders(run(ps.Perturbation(reshuffle_every=(5, 40))))
    changed = np.any(seen[1:] != seen[:-1], axis=1)
    periods = np.array([np.flatnonzero(one)[0] + 1 if one.any() else 99 for one in changed.T])
    assert periods.min() >= 5 and np.median(periods) < 20 and len(np.unique(periods)) > 20
    for one, period in zip(changed.T, periods):  # a new order is now and then the old one
        assert not one[[step for step in range(59) if (step + 1) % period]].any()


def test_range_of_one_number_is_that_number():
    fixed = orders(run(ps.Perturbation(reshuffle_every=7, n_noise=2)))
    np.testing.assert_array_equal(fixed, orders(run(ps.Perturbation(reshuffle_every=(7, 7), n_noise=(2, 2)))))


@pytest.mark.parametrize("kind", ["white", "copy"])
def test_episodes_draw_how_many_noise_inputs_there_are(kind):
    running = run(ps.Perturbation(n_noise=(1, 4), noise_kind=kind))
    seen = np.empty((1, 9, 1, 200), np.float32)
    running.observe(seen)
    there = seen[0, 5:, 0] != 0
    assert set(there.sum(axis=0)) == {1, 2, 3, 4}
    assert np.all(np.diff(there.astype(int), axis=0) <= 0)


def test_push_is_added_to_the_actions_for_a_while():
    still = np.zeros((1, 1, 50), np.float32)
    alive = np.ones((1, 50), bool)
    pushed, plain = run(ps.Perturbation(push=0.5, push_at=10, push_steps=5), 50), run(ps.Perturbation(), 50)
    for step in range(30):
        np.testing.assert_array_equal(pushed.plain.state, plain.plain.state)
        pushed.step(still, alive)
        plain.step(still + (0.5 if 10 <= step < 15 else 0), alive)
    assert not still.any()


def test_pushes_are_drawn_for_each_episode():
    task = dataclasses.replace(SHORT, perturbation=ps.Perturbation(push=(-2, 2), push_at=(0, 30)))
    running, plain = task.start(1, np.arange(40)[None]), SHORT.start(1, np.arange(40)[None])
    same = []
    for _ in range(30):
        same.append((running.plain.state == plain.plain.state).all(axis=(0, 1)))
        for one in (running, plain):
            one.step(np.zeros((1, 1, 40), np.float32), np.ones((1, 40), bool))
    begun = np.argmin(same, axis=0)
    assert len(np.unique(begun)) > 10
    assert ps.rollout(POLICY, params()[None], task, 40).returns.shape == (1, 40)


@pytest.mark.parametrize(
    "settings",
    [
        {"reshuffle_every": (0, 5)}, {"reshuffle_every": (9, 5)}, {"n_noise": (1, 2, 3)}, {"n_noise": (-1, 2)},
        {"push": "hard"}, {"push": float("nan")}, {"push_at": -1}, {"push_steps": 0},
    ],
)  # fmt: skip
def test_what_is_no_range_is_refused_by_name(settings):
    with pytest.raises(ps.InputError, match=next(iter(settings))):
        ps.Perturbation(**settings)


def test_files_of_before_have_the_same_config():
    assert list(ps.Perturbation().config) == ["shuffle", "reshuffle_every", "n_noise", "noise_std", "n_copies"]
    full = ps.Perturbation(push=(-1, 1), push_at=5, reshuffle_every=(2, 9))
    assert ps.Perturbation(**json.loads(json.dumps(full.config))) == full


def test_a_mixture_is_scored_on_as_many_episodes_as_its_parts_are(monkeypatch):
    monkeypatch.setattr(ps.CartPoleSwingUp, "score_episodes", 16)  # as those are that take long
    assert task_from_text("mix: harder; v1").score_episodes == 16
    monkeypatch.setattr(ps.CartPoleSwingUp, "score_episodes", 1)
    assert task_from_text("mix: harder; v1").score_episodes == 2


def test_windows_go_on_from_the_state_that_the_student_had():
    task = dataclasses.replace(SHORT, perturbation=ps.Perturbation(shuffle=True, reshuffle_every=9))
    teacher = ps.load_model("cartpole-mlp")
    batch = collect(teacher, (POLICY, params()), task, 12, 1, (0.0, 1.0), with_sources=True, state_every=8)
    whole = POLICY.unroll(params(), batch.observations, batch.previous_actions)
    windows, state = draw_windows(batch, 50, 16, 8, 0.2, np.random.default_rng(0))
    assert windows.observations.shape == (16, 5, 1, 50)
    unrolled = POLICY.unroll(params(), windows.observations, windows.previous_actions, state)
    found = 0
    for number in range(50):
        for first in range(0, len(batch.alive), 8):
            for episode in range(12):
                part = batch.observations[first : first + 16, ..., episode]
                if len(part) == 16 and np.array_equal(part, windows.observations[..., number]):
                    np.testing.assert_allclose(
                        unrolled.actions[..., number], whole.actions[first : first + 16, :, episode], atol=1e-5
                    )
                    np.testing.assert_array_equal(
                        windows.labels[..., number], batch.labels[first : first + 16, :, episode]
                    )
                    found += 1
    assert found > 30
    assert not windows.alive[:, 0].all() or windows.alive.any()


def test_student_is_told_the_actions_that_were_taken():
    """Where the teacher acts in part, a student that goes on alone from what it remembers must know what was done."""
    teacher = ps.load_model("cartpole-mlp")
    batch = collect(teacher, (POLICY, params()), SHORT, 4, 1, (1.0, 1.0), state_every=10)
    whole = POLICY.unroll(params(), batch.observations[:10], batch.previous_actions[:10])
    np.testing.assert_allclose(np.stack(whole.state), batch.states[1], atol=1e-5)


def test_clone_on_windows_of_a_mixture_and_evolve_it(tmp_path):
    short = [dataclasses.replace(task, max_steps=40) for task in task_from_text(TEXT).tasks]
    mixture = Mixture((Part(short[0], 2, 6), *short[1:]))
    teacher = ps.load_model("cartpole-mlp")
    settings = {"teacher_rounds": 1, "updates": 3, "batch_size": 8, "windows": 8, "window": 16, "identify": 0.3}
    settings.update(dagger=True, average=0.9, eval_every=1, n_eval_episodes=8)
    whole = ps.clone(POLICY, teacher, mixture, tmp_path / "whole", rounds=4, **settings)
    with pytest.raises(ps.InputError):
        ps.clone(POLICY, teacher, mixture, tmp_path / "whole", rounds=4, resume=True, windows=9)
    rows = read_metrics(tmp_path / "whole")
    names = list(mixture.part_names)
    assert list(rows[0])[-3:] == names
    for row in rows:
        means = [float(row[name]) for name in names]
        assert float(row["held_out"]) == pytest.approx(0.5 * means[0] / 6 + 0.25 * means[1] + 0.25 * means[2])
    evolved = ps.train(
        POLICY, mixture, tmp_path / "evolved", init=whole.params, generations=2, population_size=4, n_episodes=4,
        diagonal=True, sigma0=0.01, n_eval_episodes=8,
    )  # fmt: skip
    assert evolved.generations == 2 and set(names) < set(read_metrics(tmp_path / "evolved")[0])


@pytest.mark.parametrize("few", [{"n_eval_episodes": 2}, {"n_episodes": 2}], ids=str)
def test_fewer_episodes_than_parts_are_refused_before_any_work(tmp_path, few):
    mixture, teacher = task_from_text(TEXT), ps.load_model("cartpole-mlp")
    with pytest.raises(ps.InputError, match=f"{next(iter(few))} must be at least one for each of 3 parts"):
        ps.train(POLICY, mixture, tmp_path / "run", **few)
    if "n_eval_episodes" in few:
        with pytest.raises(ps.InputError, match="n_eval_episodes must be"):
            ps.clone(POLICY, teacher, mixture, tmp_path / "run", **few)
    assert not (tmp_path / "run").exists()


def test_average_is_kept_through_a_resume(tmp_path):
    teacher = ps.load_model("cartpole-mlp")
    task = dataclasses.replace(SHORT, max_steps=30, perturbation=ps.Perturbation(shuffle=True))
    settings = {"teacher_rounds": 1, "updates": 3, "batch_size": 8, "windows": 8, "window": 10, "dagger": True}
    settings.update(average=0.9, eval_every=1, n_eval_episodes=8, rounds=4)
    whole = ps.clone(POLICY, teacher, task, tmp_path / "whole", **settings)
    ps.clone(POLICY, teacher, task, tmp_path / "parts", minutes=1e-9, **settings)
    parts = ps.clone(POLICY, teacher, task, tmp_path / "parts", resume=True)
    np.testing.assert_array_equal(whole.params, parts.params)
    assert parts.rounds == 4
