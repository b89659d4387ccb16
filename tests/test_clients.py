"""What other libraries do with our environments: pickle them, check them, make them by name, step many at once."""

import copy
import pickle
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
from warm import pisensory

import pisensory as ps
from pisensory.tasks.libraries import load_library

gymnasium = pytest.importorskip("gymnasium")
ps.register_envs()

IDS = {
    "pisensory/CartPoleSwingUpHarder-v0": "harder",
    "pisensory/CartPoleSwingUpCosine-v0": "v0",
    "pisensory/CartPoleSwingUpHeight-v0": "v1",
}
ALIASES = {
    "pisensory/CartPoleSwingUp-v0": "pisensory/CartPoleSwingUpCosine-v0",
    "pisensory/CartPoleSwingUp-v1": "pisensory/CartPoleSwingUpHeight-v0",
}
PERTURBATION = ps.Perturbation(shuffle=True, reshuffle_every=7, n_noise=2, noise_kind="walk", delay=3)


def copies():
    yield pytest.param(lambda env: pickle.loads(pickle.dumps(env)), id="pickle")
    yield pytest.param(copy.deepcopy, id="deepcopy")
    cloudpickle = pytest.importorskip("cloudpickle")
    yield pytest.param(lambda env: pickle.loads(cloudpickle.dumps(env)), id="cloudpickle")


@pytest.fixture(params=["gym", "gymnasium"])
def library(request):
    """gym or Gymnasium; neither's own warnings count."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield load_library(request.param)


def make(library, perturbed):
    env = library.make("pisensory/CartPoleSwingUpHarder-v0")
    return ps.perturb_env(env, PERTURBATION) if perturbed else env


def go_on(env, n_steps, seed):
    """Step an environment with random actions and return all that it shows and gives."""
    rng = np.random.default_rng(seed)
    seen = []
    for _ in range(n_steps):
        observation, reward, terminated, *_ = env.step(rng.uniform(-1, 1, 1).astype(np.float32))
        seen.append((*observation.tolist(), reward, terminated))
        if terminated:
            seen.append(tuple(env.reset()[0].tolist()))
    return seen


@pytest.mark.parametrize("perturbed", [False, True])
@pytest.mark.parametrize("duplicate", list(copies()))
def test_environments_are_copied_in_the_middle(library, duplicate, perturbed):
    env = make(library, perturbed)
    env.reset(seed=4)
    go_on(env, 20, seed=0)
    copied = duplicate(env)
    assert go_on(copied, 200, seed=1) == go_on(env, 200, seed=1)


def test_pickles_are_read_where_nothing_was_imported(tmp_path):
    env = make(gymnasium, True)
    env.reset(seed=4)
    (tmp_path / "env.pkl").write_bytes(pickle.dumps(env))
    code = f"import pickle; print(pickle.load(open({str(tmp_path / 'env.pkl')!r}, 'rb')).step([0.5])[0].tolist())"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.stdout.strip() == str(env.step([0.5])[0].tolist()), result.stderr


def test_batches_are_copied_in_the_middle():
    env = gymnasium.make_vec("pisensory/CartPoleSwingUpHarder-v0", num_envs=5)
    env.reset(seed=1)
    env.step(np.full((5, 1), 0.5))
    copied = pickle.loads(pickle.dumps(env))
    np.testing.assert_array_equal(copied.step(np.zeros((5, 1)))[0], env.step(np.zeros((5, 1)))[0])


@pytest.mark.parametrize(
    "perturbation", [PERTURBATION, ps.Perturbation(n_copies=2, dropped=(1,)), ps.Perturbation(n_noise=1)]
)
@pytest.mark.parametrize("env_id", ["Pendulum-v1", "pisensory/CartPoleSwingUpHeight-v0"])
def test_perturbed_environments_pass_the_checker(env_id, perturbation):
    from gymnasium.utils.env_checker import check_env

    env = ps.perturb_env(gymnasium.make(env_id), perturbation)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env, skip_render_check=True)
    of_others = ("infinity", "different from the unwrapped", "symmetric and normalized")
    said = [str(warning.message) for warning in caught]
    assert [text for text in said if not any(words in text for words in of_others)] == []


def test_perturbed_environments_are_made_again_from_their_spec():
    env = make(gymnasium, True)
    again = gymnasium.make(env.spec)
    assert again.spec.additional_wrappers == env.spec.additional_wrappers
    np.testing.assert_array_equal(again.reset(seed=2)[0], env.reset(seed=2)[0])
    assert go_on(again, 100, seed=0) == go_on(env, 100, seed=0)


@pytest.mark.parametrize("perturbation", [True, None, {"shuffle": True}, "shuffle"])
def test_what_is_no_perturbation_is_refused(library, perturbation):
    with pytest.raises(ps.InputError, match=r"perturbation must be a Perturbation, such as ps\.Perturbation"):
        ps.perturb_env(library.make("CartPole-v1"), perturbation)


@pytest.mark.parametrize("name", ["gym", "gymnasium"])
def test_no_version_is_called_out_of_date(name):
    made = [*IDS, *ALIASES]
    code = (
        f"import {name}, pisensory, warnings; warnings.simplefilter('always')\n"
        f"from pisensory.tasks.gym_env import register_{'gym' if name == 'gym' else 'envs'} as register; register()\n"
        f"for env_id in {made!r}: env = {name}.make(env_id); env.reset(); print(env.unwrapped.version, env.spec.id)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    real = [ALIASES.get(env_id, env_id) for env_id in made]
    assert result.stdout.splitlines() == [f"{IDS[env_id]} {env_id}" for env_id in real], result.stderr
    assert "out of date" not in result.stderr


OWN = "gymnasium:pisensory/CartPoleSwingUpHarder-v0"


@pytest.mark.parametrize("first", ["", "import gymnasium", "import gym", "import pisensory.envs"])
@pytest.mark.parametrize("name", ["gym", "gymnasium"])
def test_own_ids_are_tasks_whatever_was_imported_first(name, first):
    code = (
        f"{first}\nimport pisensory as ps\n"
        f"task = ps.GymTask('pisensory/CartPoleSwingUpCosine-v0', {name!r}); print(task.n_features, task.n_actions)"
    )
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60)
    assert result.stdout.split() == ["5", "1"], result.stderr


def test_own_ids_work_on_the_command_line(tmp_path):
    command = ["train", "linear", tmp_path / "run", "--task", OWN]
    settings = ["-m", "1", "-p", "4", "-e", "1", "--max-steps", "20", "--eval-episodes", "2", "-j", "1"]
    result = pisensory(*command, *settings)
    assert result.returncode == 0, result.stderr


def step_with_sync(n_envs, n_steps, **arguments):
    """Yield what a batched environment and as many single ones show and give, step by step."""
    env_id = "pisensory/CartPoleSwingUpHarder-v0"
    batched = gymnasium.make_vec(env_id, num_envs=n_envs, vectorization_mode="vector_entry_point", **arguments)
    singles = gymnasium.make_vec(env_id, num_envs=n_envs, vectorization_mode="sync", **arguments)
    yield batched.reset(seed=3), singles.reset(seed=3)
    rng = np.random.default_rng(0)
    for _ in range(n_steps):
        actions = rng.uniform(-1.2, 1.2, (n_envs, 1)).astype(np.float32)
        yield batched.step(actions), singles.step(actions)


@pytest.mark.parametrize("limit", [1000, 30])
def test_batched_environments_are_the_single_ones_to_the_bit(limit):
    n_over = 0
    for batched, singles in step_with_sync(8, 400, max_episode_steps=limit):
        for ours, theirs in zip(batched[:-1], singles[:-1]):
            np.testing.assert_array_equal(ours, theirs)
        ours, theirs = batched[-1], singles[-1]
        assert set(ours) == set(theirs)
        for name in ours:
            np.testing.assert_array_equal(ours[name], theirs[name])
        n_over += len(ours) > 0
    assert n_over > 5


def test_batched_environments_keep_gymnasiums_conventions():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make_vec("pisensory/CartPoleSwingUpHeight-v0", num_envs=3, render_mode="rgb_array")
    assert env.unwrapped.version == "v1"
    observations, _ = env.reset(seed=[5, 6, 7])
    assert env.observation_space.contains(observations)
    np.testing.assert_array_equal(observations[1], make_plain().reset(seed=6)[0])
    assert env.observation_space == gymnasium.vector.utils.batch_space(env.single_observation_space, 3)
    pictures = env.render()
    assert len(pictures) == 3
    assert pictures[0].shape == (400, 600, 3)
    recorded = gymnasium.wrappers.vector.RecordEpisodeStatistics(env)
    recorded.reset(seed=0)
    recorded.step(env.action_space.sample())
    with pytest.raises(ps.InputError, match=r"finite numbers \(3, 1\)"):
        env.step(np.full((3, 1), np.nan))
    with pytest.raises(ps.InputError, match="3 environments need as many seeds"):
        env.reset(seed=[1])


def make_plain():
    return gymnasium.make("pisensory/CartPoleSwingUpHeight-v0")


def best_speed(step, steps_a_call):
    """Return the most steps a second of processor time, of several tries: others may be busy here too."""
    speeds = []
    for _ in range(8):
        start = time.process_time()
        for _ in range(300):
            step()
        speeds.append(300 * steps_a_call / (time.process_time() - start))
    return max(speeds)


def test_environments_are_fast():
    env = gymnasium.make("pisensory/CartPoleSwingUpHarder-v0", max_episode_steps=10**6)
    env.reset(seed=0, options={"state": (0.0, 0.0, 0.0, 0.0)})
    action = np.zeros(1, np.float32)
    single = best_speed(lambda: env.step(action), 1)
    assert single > 30_000
    batch = gymnasium.make_vec("pisensory/CartPoleSwingUpHarder-v0", num_envs=64)
    batch.reset(seed=0)
    actions = np.zeros((64, 1), np.float32)
    # A single environment did 13 thousand steps a second when this was asked for: twenty times that.
    assert best_speed(lambda: batch.step(actions), 64) > 20 * 13_000
