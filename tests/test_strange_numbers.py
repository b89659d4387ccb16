"""Numbers that fit nowhere, and checkpoints whose arrays fit but are of another kind: our error, or none."""

import contextlib
import json
import sys

import numpy as np
import pytest

import pisensory as ps
from pisensory import executors
from pisensory.blas import THREAD_VARIABLES
from pisensory.files import header_array, read_npz, write_npz
from pisensory.policies import policy_from_config
from pisensory.tasks import task_from_config

LARGEST = float(np.finfo(np.float32).max)
SETTINGS = {"generations": 2, "population_size": 4, "n_episodes": 1, "n_eval_episodes": 2}
POLICY, TASK = ps.MLPPolicy(hidden_sizes=()), ps.CartPoleSwingUp("v1", max_steps=5)


@pytest.mark.parametrize("gain", [1e39, 1e30, 10**400, 1.1e6, float("inf"), float("nan"), -1, 0, "1", None])
def test_gains_that_leave_no_numbers_are_refused(gain):
    with pytest.raises(ps.InputError, match="gain must be"):
        ps.InvariantPolicy(gain=gain)
    with pytest.raises(ps.InputError, match="gain must be"):
        policy_from_config({"kind": "invariant", "gain": gain})


@pytest.mark.parametrize("policy", [ps.InvariantPolicy(gain=1e6), ps.InvariantPolicy(gain=1e-300), ps.MLPPolicy(3)])
@pytest.mark.parametrize("size", [LARGEST, 1e36, 1e-45, 0.0])
def test_the_largest_gain_and_the_largest_inputs_act(policy, size, recwarn):
    params = np.random.default_rng(0).standard_normal(policy.n_params)
    agent = policy.agent(params)
    for signs in ([1, 1, 1], [1, -1, 1], [-1, -1, -1], [0, 0, 1]):
        assert np.abs(agent.act(size * np.array(signs, np.float32))).max() <= 1
    assert not [warning for warning in recwarn if warning.category is RuntimeWarning]


@pytest.mark.parametrize("kind", ["white", "constant", "walk", "copy"])
def test_noise_is_bounded(kind, recwarn):
    with pytest.raises(ps.InputError, match="noise_std must be at most"):
        ps.Perturbation(n_noise=1, noise_std=1e39, noise_kind=kind)
    perturbation = ps.Perturbation(n_noise=2, noise_std=1e6, noise_kind=kind)
    task = ps.CartPoleSwingUp("v1", 20, perturbation)
    policy = ps.InvariantPolicy(gain=1e6)
    params = np.random.default_rng(0).standard_normal(policy.n_params)
    assert np.isfinite(ps.evaluate(policy, params, task, 4).mean)
    assert not [warning for warning in recwarn if warning.category is RuntimeWarning]


COUNTS = [3 * 10**8, 10**10, 10**400, -1, 1.5, "2", None, True, [1]]


@pytest.mark.parametrize("name", ["n_copies", "n_noise", "delay", "delayed", "reshuffle_every", "shuffle", "dropped"])
def test_counts_in_a_file_are_bounded(name):
    for count in COUNTS:
        config = {**TASK.config, "perturbation": {name: count, **({"delay": 1} if name == "delayed" else {})}}
        try:
            task = task_from_config(json.loads(json.dumps(config)))
            _ = task.n_features
        except ps.InputError as error:
            assert name in str(error) or "inputs" in str(error)
        else:
            assert name == "reshuffle_every" or count in (True, [1], None)


def test_a_population_that_no_memory_holds_is_refused(tmp_path):
    for settings in ({"population_size": 3 * 10**8}, {"n_episodes": 3 * 10**8}, {"n_eval_episodes": 3 * 10**8}):
        with pytest.raises(ps.InputError, match=f"{next(iter(settings))} must be at most"):
            ps.train(POLICY, TASK, tmp_path / "run", **{**SETTINGS, **settings})
    with pytest.raises(ps.InputError, match="too many to score at once"):
        ps.rollout(POLICY, np.zeros((100, 6)), TASK, 10**7)
    assert not list(tmp_path.iterdir())


def test_covariances_that_no_checkpoint_holds_are_refused_before_work_begins(tmp_path):
    policy = ps.MLPPolicy(5, 1, (585,))
    assert policy.n_params == 4096
    with pytest.raises(ps.InputError, match="diagonal=True"):
        ps.train(policy, TASK, tmp_path / "run", **SETTINGS)
    assert not list(tmp_path.iterdir())
    assert ps.train(policy, TASK, tmp_path / "run", **SETTINGS, diagonal=True).generations == 2
    assert ps.train(policy, TASK, tmp_path / "run", **{**SETTINGS, "generations": 3}, resume=True).generations == 3


def other_kinds(array):
    """Give arrays of the same shape and another kind."""
    for dtype in (np.int8, np.uint64, bool, np.float16, "U3"):
        yield np.ones(array.shape, dtype)
    yield np.full(array.shape, np.nan)
    yield np.full(array.shape, 1e308)
    yield np.full(array.shape, -1)
    yield np.zeros((*array.shape, 1))
    yield np.zeros(0)


@pytest.mark.parametrize("kind", ["train", "clone"])
def test_checkpoints_of_another_kind_are_refused_or_go_on(tmp_path, kind, recwarn):
    def go_on(rounds):
        if kind == "train":
            return ps.train(POLICY, TASK, tmp_path / "run", **{**SETTINGS, "generations": rounds}, resume=True)
        teacher = (POLICY, np.ones(6))
        sizes = {"updates": 1, "batch_size": 2, "teacher_rounds": 1, "n_eval_episodes": 2, "rounds": 9}
        return ps.clone(POLICY, teacher, TASK, tmp_path / "run", **sizes, minutes=1e-4, resume=True)

    go_on(2)
    path = tmp_path / "run" / "checkpoint.npz"
    arrays = read_npz(path)
    header = json.loads(str(arrays.pop("header")))
    tried = 0
    for name, array in arrays.items():
        for other in other_kinds(array):
            tried += 1
            write_npz(path, {"header": header_array(header), **arrays, name: other})
            with contextlib.suppress(ps.PisensoryError):
                go_on(3)
    for name in header:
        for value in (None, "text", -1, 1e300, [], {}, True, 10**30):
            tried += 1
            write_npz(path, {"header": header_array({**header, name: value}), **arrays})
            with contextlib.suppress(ps.PisensoryError):
                go_on(3)
    assert tried > 60


def test_windows_gets_no_more_workers_than_it_can_wait_for(monkeypatch):
    assert ps.ProcessExecutor(100).n_workers == 100
    monkeypatch.setattr(sys, "platform", "win32")
    assert ps.ProcessExecutor(100).n_workers == 61
    assert executors.count_jobs(61) == 61
    monkeypatch.setattr(executors.os, "sched_getaffinity", lambda number: range(96))
    assert executors.count_jobs(-1) == 61


def test_workers_have_one_thread_on_every_system(monkeypatch):
    assert "VECLIB_MAXIMUM_THREADS" in THREAD_VARIABLES
    monkeypatch.delenv("VECLIB_MAXIMUM_THREADS", raising=False)
    with executors._one_thread_each():
        assert executors.os.environ["VECLIB_MAXIMUM_THREADS"] == "1"
    assert "VECLIB_MAXIMUM_THREADS" not in executors.os.environ


def test_what_cannot_be_sent_to_workers_is_refused_before_work_begins(tmp_path):
    gymnasium = pytest.importorskip("gymnasium")
    task = ps.GymTask(lambda: gymnasium.make("Pendulum-v1"), max_steps=3)
    policy = ps.MLPPolicy(3, 1, ())
    with pytest.raises(ps.InputError, match=r"cannot be sent to worker processes.*n_jobs=1"):
        ps.train(policy, task, tmp_path / "run", **SETTINGS, n_jobs=2)
    with pytest.raises(ps.InputError, match="cannot be sent to worker processes"):
        ps.rollout(policy, np.zeros((4, 4)), task, 1, executor="processes", n_jobs=2)
    assert not list(tmp_path.iterdir())
    assert ps.train(policy, task, tmp_path / "run", **SETTINGS, n_jobs=1).generations == 2
