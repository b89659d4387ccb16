"""Our cart-pole as an environment of gym and Gymnasium, wrappers, and any environment as a task."""

import collections
import concurrent.futures
import dataclasses
import json
import pathlib
import re
import subprocess
import sys
import time
import warnings
from typing import ClassVar

import numpy as np
import pytest
from warm import pisensory

import pisensory as ps
from pisensory.tasks import environment, task_from_config
from pisensory.tasks.drawing import draw_cartpole
from pisensory.tasks.libraries import load_library

gymnasium = pytest.importorskip("gymnasium")
ps.register_envs()

IDS = {
    "pisensory/CartPoleSwingUpHarder-v0": "harder",
    "pisensory/CartPoleSwingUp-v0": "v0",
    "pisensory/CartPoleSwingUp-v1": "v1",
}
LIBRARIES = ["gym", "gymnasium"]


@pytest.fixture(params=LIBRARIES)
def library(request):
    """gym or Gymnasium; neither's own warnings count."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield load_library(request.param)


def step_together(env, task, seed, n_steps):
    """Yield what an environment, and the batched task's episode 0 of the seed, show and give, step by step."""
    run = task.start(seed, np.zeros((1, 1), int))
    shown = np.empty((task.n_features, 1, 1), np.float32)
    observation, _ = env.reset(seed=seed)
    rng = np.random.default_rng(0)
    rewards, over, reward = np.zeros((1, 1)), np.zeros((1, 1), bool), 0.0
    terminated = False
    for _ in range(n_steps):
        run.observe(shown.transpose(1, 0, 2)[:, :, None])
        yield (observation, reward, terminated), (shown[:, 0, 0], rewards[0, 0], over[0, 0])
        action = rng.uniform(-1, 1, 1).astype(np.float32)
        observation, reward, terminated, _, _ = env.step(action)
        rewards, over = run.step(action[None, :, None], np.ones((1, 1), bool))


@pytest.mark.parametrize("env_id", IDS)
def test_environment_and_task_are_one_physics(library, env_id):
    env = library.make(env_id).unwrapped
    for single, batched in step_together(env, ps.CartPoleSwingUp(IDS[env_id]), seed=5, n_steps=400):
        np.testing.assert_array_equal(single[0], batched[0])
        assert single[1:] == batched[1:]


def test_resets_go_through_the_episodes_of_the_seed(library):
    env = library.make("pisensory/CartPoleSwingUpHarder-v0")
    starts = [env.reset(seed=9)[0], env.reset()[0], env.reset()[0]]
    run = ps.CartPoleSwingUp("harder").start(9, np.arange(3)[None])
    shown = np.empty((1, 5, 3), np.float32)
    run.observe(shown[:, :, None])
    np.testing.assert_array_equal(np.array(starts).T, shown[0])


def test_agent_scores_alike_in_both(library):
    policy = ps.InvariantPolicy()
    params = 0.3 * np.random.default_rng(1).standard_normal(policy.n_params)
    agent = policy.agent(params)
    env = library.make("pisensory/CartPoleSwingUp-v1")
    observation, _ = env.reset(seed=3)
    score, over = 0.0, False
    while not over:
        observation, reward, terminated, truncated, _ = env.step(agent.act(observation))
        score += reward
        over = terminated or truncated
    expected = ps.rollout(policy, params[None], ps.CartPoleSwingUp("v1"), 1, seed=3).returns[0, 0]
    assert score == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("env_id", IDS)
def test_checkers_pass_without_warnings(library, env_id, monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = library.make(env_id, render_mode="rgb_array").unwrapped
    checker = __import__(f"{library.__name__}.utils.env_checker", fromlist=["check_env"])
    if library.__name__ == "gym":
        np_bool8 = {"bool8": np.bool_} if not hasattr(np, "bool8") else {}
        for name, value in np_bool8.items():  # gym's checker needs what NumPy 2 has not
            setattr(np, name, value)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        checker.check_env(env, skip_render_check=False)
    assert [str(w.message) for w in caught if "bool8" not in str(w.message)] == []
    env.close()


def test_spaces_bound_what_can_be_seen(library):
    env = library.make("pisensory/CartPoleSwingUpHarder-v0").unwrapped
    assert env.observation_space.dtype == np.float32
    assert env.action_space.shape == (1,)
    for seed in range(20):
        observation, _ = env.reset(seed=seed)
        over, action = False, 1.0
        for _ in range(1000):
            assert env.observation_space.contains(observation)
            if over:
                break
            action = float(np.sign(observation[1]) or 1.0)  # always with the speed: as fast as can be
            observation, _, over, _, _ = env.step(np.array([action], np.float32))


def test_reset_takes_a_state_and_nothing_else(library):
    env = library.make("pisensory/CartPoleSwingUp-v1").unwrapped
    observation, _ = env.reset(options={"state": (0.5, 0.1, 0.0, 0.2)})
    np.testing.assert_allclose(observation, [0.5, 0.1, 1.0, 0.0, 0.2], rtol=1e-6)
    with pytest.raises(ps.InputError, match="'state' and no others"):
        env.reset(options={"speed": 3})
    with pytest.raises(ps.InputError, match="the state must be"):
        env.reset(options={"state": (1, 2)})
    with pytest.raises(ps.InputError, match="finite number"):
        env.step([np.nan])


def test_pictures_show_the_cart(library):
    env = library.make("pisensory/CartPoleSwingUp-v1", render_mode="rgb_array")
    env.reset(seed=0)
    picture = env.render()
    assert picture.shape == (400, 600, 3)
    assert picture.dtype == np.uint8
    left, right = (draw_cartpole(x, 0.3, 0.5, 1.0) for x in (-1.0, 1.0))
    blue = [np.argwhere((image == (0, 114, 178)).all(axis=2))[:, 1].mean() for image in (left, right)]
    assert blue[1] - blue[0] == pytest.approx(2.0 * 600 / 5.8, abs=2)


def test_window_opens_and_closes(library, monkeypatch):
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = library.make("pisensory/CartPoleSwingUp-v1", render_mode="human")
    env.reset(seed=0)
    assert env.unwrapped._window is not None
    env.step(env.action_space.sample())
    env.close()
    assert env.unwrapped._window is None


def test_the_libraries_own_wrappers_work(library, tmp_path):
    def make():
        return library.make("pisensory/CartPoleSwingUp-v1", render_mode="rgb_array")

    env = library.wrappers.RecordEpisodeStatistics(library.wrappers.TimeLimit(make(), 5))
    env.reset(seed=0)
    rewards, over = [], False
    while not over:
        _, reward, _, over, info = env.step(np.array([0.5], np.float32))
        rewards.append(reward)
    assert len(rewards) == 5
    assert float(np.asarray(info["episode"]["r"]).item()) == pytest.approx(sum(rewards), rel=1e-5)


@pytest.mark.parametrize("name", ["SyncVectorEnv", "AsyncVectorEnv"])
def test_vector_environments_step_as_single_ones_do(library, name):
    envs = [library.make("pisensory/CartPoleSwingUp-v1") for _ in range(2)]
    starts = [env.reset(seed=seed)[0] for seed, env in enumerate(envs)]
    actions = np.array([[0.3], [-0.8]], np.float32)
    singles = [env.step(action) for env, action in zip(envs, actions)]
    vector = getattr(library.vector, name)([lambda: library.make("pisensory/CartPoleSwingUp-v1")] * 2)
    np.testing.assert_array_equal(vector.reset(seed=[0, 1])[0], starts)
    observations, rewards, *_ = vector.step(actions)
    vector.close()
    np.testing.assert_array_equal(observations, [single[0] for single in singles])
    np.testing.assert_array_equal(rewards, [single[1] for single in singles])


def test_videos_are_recorded(library, tmp_path):
    pytest.importorskip("moviepy")
    if library.__name__ == "gym":
        pytest.importorskip("moviepy.video.io.ImageSequenceClip")
    env = library.make("pisensory/CartPoleSwingUp-v1", render_mode="rgb_array")
    env = library.wrappers.RecordVideo(
        library.wrappers.TimeLimit(env, 5), str(tmp_path), episode_trigger=lambda _: True
    )
    env.reset(seed=0)
    over = False
    while not over:
        over = env.step(np.array([0.5], np.float32))[3]
    env.close()
    (video,) = tmp_path.glob("*.mp4")
    assert video.stat().st_size > 1000


@pytest.mark.parametrize(
    "perturbation",
    [
        ps.Perturbation(shuffle=True), ps.Perturbation(reshuffle_every=3), ps.Perturbation(n_noise=4, noise_std=0.3),
        ps.Perturbation(shuffle=True, reshuffle_every=4, n_noise=2, n_copies=2),
        ps.Perturbation(dropped=(0, 3), delay=3, delayed=1, n_noise=2, noise_kind="walk"),
        ps.Perturbation(shuffle=True, delay=1, n_noise=7, noise_kind="copy"),
        ps.Perturbation(n_noise=1, noise_kind="constant"),
    ],
)  # fmt: skip
def test_wrappers_agree_with_the_batched_task(library, perturbation):
    env = ps.perturb_env(library.make("pisensory/CartPoleSwingUpHarder-v0").unwrapped, perturbation)
    task = ps.CartPoleSwingUp("harder", perturbation=perturbation)
    for single, batched in step_together(env, task, seed=4, n_steps=50):
        np.testing.assert_array_equal(single[0], batched[0])
        assert env.observation_space.contains(single[0])


def test_wrapper_refuses_what_it_cannot_perturb(library):
    with pytest.raises(ps.InputError, match="gym or Gymnasium"):
        ps.perturb_env("CartPole-v1", ps.Perturbation())

    class Table(library.Env):
        observation_space = library.spaces.Discrete(3)
        action_space = library.spaces.Discrete(2)

    with pytest.raises(ps.InputError, match="one axis"):
        ps.perturb_env(Table(), ps.Perturbation())


def test_our_environment_as_a_task_is_our_task():
    policy = ps.InvariantPolicy()
    population = np.random.default_rng(0).standard_normal((2, policy.n_params))
    task = ps.GymTask("pisensory/CartPoleSwingUp-v1", max_steps=50)
    assert (task.n_features, task.n_actions) == (5, 1)
    result = ps.rollout(policy, population, task, 3, seed=1)
    assert (result.lengths == 50).all()
    shuffled = ps.GymTask("pisensory/CartPoleSwingUp-v1", max_steps=50, perturbation=ps.Perturbation(shuffle=True))
    np.testing.assert_array_equal(ps.rollout(policy, population, shuffled, 3, seed=1).returns, result.returns)


@pytest.mark.usefixtures("warm_workers")
@pytest.mark.parametrize("env_id", ["Pendulum-v1", "CartPole-v1"])
def test_environments_run_alike_in_workers_and_in_both_libraries(library, env_id):
    task = ps.GymTask(env_id, library.__name__, max_steps=30)
    policy = ps.InvariantPolicy(task.n_actions, 4, 4, 3)
    population = np.random.default_rng(0).standard_normal((3, policy.n_params))
    here = ps.rollout(policy, population, task, 4, seed=2)
    np.testing.assert_array_equal(ps.rollout(policy, population, task, 4, seed=2, n_jobs=2).returns, here.returns)
    assert len(set(here.returns[0])) > 1
    assert task_from_config(json.loads(json.dumps(task.config))) == task


class Counter(gymnasium.Env):
    """Counts steps; observes them one-hot; earns the action; breaks or lies on request."""

    observation_space = gymnasium.spaces.Discrete(12)
    made = closed = 0

    def __init__(self, fail_at=None, high=2.0, observation=None):
        self.action_space = gymnasium.spaces.Box(-1.0, high, (1,), np.float32)
        self._fail_at, self._observation = fail_at, observation
        Counter.made += 1

    def reset(self, *, seed=None, options=None):
        self._count = 0
        return 0, {}

    def step(self, action):
        self._count += 1
        if self._count == self._fail_at:
            raise RuntimeError("the motor is on fire")
        return self._count, float(action[0]), self._count >= 9, False, {}

    def close(self):
        Counter.closed += 1


def test_actions_are_scaled_to_the_bounds_and_discrete_inputs_are_one_hot():
    task = ps.GymTask(Counter)
    assert (task.n_features, task.n_actions) == (12, 1)
    params = np.zeros((2, 13))
    params[1, 12] = 99.0  # the bias: an action of one
    result = ps.rollout(ps.MLPPolicy(12, 1, ()), params, task, 2)
    np.testing.assert_allclose(result.returns, [[4.5, 4.5], [18, 18]])
    assert (result.lengths == 9).all()


def test_environments_are_made_once_and_closed():
    environment.close_environments()
    Counter.made = Counter.closed = 0
    task = ps.GymTask(Counter)
    for seed in range(3):
        ps.rollout(ps.MLPPolicy(12, 1, ()), np.zeros((4, 13)), task, 4, seed)
    assert Counter.made == 16
    environment.close_environments()
    assert Counter.closed == 16


def test_a_task_makes_one_environment_and_the_rollout_has_it():
    environment.close_environments()
    Counter.made = 0
    task = ps.GymTask(Counter)
    assert Counter.made == 1
    shuffled = dataclasses.replace(task.plain, perturbation=ps.Perturbation(shuffle=True))
    ps.rollout(ps.MLPPolicy(12, 1, ()), np.zeros((1, 13)), shuffled, 4)
    assert Counter.made == 4


class SlowToMake(Counter):
    """Lets other threads run while it is made, stepped and closed."""

    users: ClassVar = collections.Counter()

    def __init__(self):
        time.sleep(0.001)
        super().__init__()

    def reset(self, **options):
        SlowToMake.users[id(self)] += 1
        assert SlowToMake.users[id(self)] == 1
        return super().reset(**options)

    def step(self, action):
        time.sleep(0.0001)
        result = super().step(action)
        if result[2]:
            SlowToMake.users[id(self)] -= 1
        return result


def test_threads_score_alike_and_never_share_an_environment():
    task = ps.GymTask(SlowToMake)
    policy = ps.MLPPolicy(12, 1, ())
    population = np.random.default_rng(0).standard_normal((8, policy.n_params))
    expected = ps.rollout(policy, population, task, 4).returns
    environment.close_environments()
    SlowToMake.users.clear()
    with concurrent.futures.ThreadPoolExecutor(4) as executor:
        for _ in range(5):
            np.testing.assert_array_equal(ps.rollout(policy, population, task, 4, executor=executor).returns, expected)


def test_pool_gives_an_environment_to_one_thread_only():
    """Two threads that ask for the last idle environment at once: one gets it, the other a new one."""
    environment.close_environments()
    task = ps.GymTask(Counter)  # leaves one idle

    class Slow(list):
        def __bool__(self):  # asked between looking for an idle environment and taking it
            some = len(self) > 0
            time.sleep(0.05)
            return some

    environment._idle.update({key: Slow(envs) for key, envs in environment._idle.items()})
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        first, second = executor.map(lambda task: environment.Lease(task, 1), [task, task])
    assert first.envs[0] is not second.envs[0]


def test_no_more_environments_are_made_than_are_stepped_at_once():
    environment.close_environments()
    Counter.made = 0
    result = ps.rollout(ps.MLPPolicy(12, 1, ()), np.zeros((2, 13)), ps.GymTask(Counter), 100)
    assert result.returns.shape == (2, 100)
    assert Counter.made <= ps.GymTask.chunk_episodes


def test_only_episodes_that_are_lived_through_are_begun(monkeypatch):
    environment.close_environments()
    begun, reset = [], Counter.reset
    monkeypatch.setattr(Counter, "made", 0)
    monkeypatch.setattr(Counter, "reset", lambda self, **given: begun.append(self) or reset(self, **given))
    task = ps.GymTask(Counter)
    Counter.made = 0
    ps.rollout(ps.MLPPolicy(12, 1, ()), np.zeros((2, 13)), task, 1)  # rows are four wide
    assert len(begun) == len(set(map(id, begun))) == 2 and Counter.made <= 2
    ps.rollout(ps.MLPPolicy(12, 1, ()), np.zeros((2, 13)), task, 17)  # and here nine
    assert len(begun) == 2 + 34


def test_failing_environments_are_named_with_the_episode(tmp_path):
    task = ps.GymTask(Counter, kwargs={"fail_at": 3})
    with pytest.raises(ps.TaskError, match=r"Counter, step 3 of episode 0\): RuntimeError: the motor is on fire"):
        ps.rollout(ps.MLPPolicy(12, 1, ()), np.zeros((1, 13)), task, 1)


def test_failing_environments_leave_the_checkpoint(tmp_path, monkeypatch):
    settings = {"population_size": 4, "n_episodes": 2, "n_eval_episodes": 2, "resume": True}
    ps.train(ps.MLPPolicy(12, 1, ()), ps.GymTask(Counter), tmp_path / "run", generations=1, **settings)
    before = (tmp_path / "run" / "checkpoint.npz").read_bytes()
    monkeypatch.setattr(Counter, "step", lambda self, action: 1 / 0)
    with pytest.raises(ps.TaskError, match="ZeroDivisionError"):
        ps.train(ps.MLPPolicy(12, 1, ()), ps.GymTask(Counter), tmp_path / "run", generations=2, **settings)
    assert (tmp_path / "run" / "checkpoint.npz").read_bytes() == before


class Unbounded(Counter):
    """An environment whose actions have no bounds."""

    def __init__(self):
        super().__init__(high=np.inf)


class Pixels(Counter):
    """An environment that observes a picture."""

    observation_space = gymnasium.spaces.Box(0, 255, (8, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"env": "NoSuchEnv-v0"}, "cannot make the environment 'NoSuchEnv-v0'"),
        ({"env": "Pendulum-v1", "library": "jim"}, "library must be one of"),
        ({"env": "Pendulum-v1", "kwargs": {"colour": 1}}, "cannot make the environment"),
        ({"env": Unbounded}, "without bounds"), ({"env": Pixels}, "a Box of one axis"),
        ({"env": "Pendulum-v1", "max_steps": 0}, "max_steps"),
    ],
)  # fmt: skip
def test_environments_that_cannot_be_tasks_are_refused(arguments, message):
    with pytest.raises(ps.InputError, match=message):
        ps.GymTask(**arguments)


def test_actions_are_scaled_for_a_loop_of_ones_own(library):
    box = library.spaces.Box(np.array([-2.0, 0.0], np.float32), np.array([2.0, 1.0], np.float32))
    action = ps.scale_action(box, [-1.0, 0.5])
    assert action.dtype == np.float32
    np.testing.assert_array_equal(action, [-2.0, 0.75])
    assert ps.scale_action(library.spaces.Discrete(3, start=5), np.array([0.1, 0.9, -1.0])) == 6
    for space, outputs, message in (
        (box, [0.0], r"outputs must be of the shape \(2,\)"), (library.spaces.MultiDiscrete([2, 3]), [0.0], "acts by"),
        (library.spaces.MultiBinary(2), [0.0, 1.0], "acts by"), (5, [0.0], "acts by"),
        (library.spaces.Box(-np.inf, 1.0, (1,)), [0.0], "without bounds"),
    ):  # fmt: skip
        with pytest.raises(ps.InputError, match=message):
            ps.scale_action(space, outputs)


def test_spaces_of_ones_own_class_are_spaces():
    class Angles(gymnasium.spaces.Box):
        pass

    class Turning(Counter):
        observation_space = Angles(-1.0, 1.0, (3,))

    class Levers(Counter):
        observation_space = gymnasium.spaces.MultiBinary(4)

    assert ps.GymTask(Turning).n_features == 3
    with pytest.raises(ps.InputError, match="a Box of one axis, or Discrete"):
        ps.GymTask(Levers)


def test_the_loop_in_the_documentation_drives_what_was_trained(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    task, policy = ps.GymTask("Pendulum-v1"), ps.InvariantPolicy(1, 4, 4, 3)
    settings = {"population_size": 4, "n_episodes": 1, "n_eval_episodes": 1}
    result = ps.train(policy, task, "runs/swing", generations=2, **settings)
    text = (pathlib.Path(__file__).parents[1] / "docs" / "gym.md").read_text()
    (lines,) = (block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "scale_action" in block)
    # The task seeds an episode's environment from (seed, episode); here the same number is drawn again.
    start = int(np.random.default_rng(np.random.SeedSequence((7,), spawn_key=(0, 0))).integers(2**31))
    exec(lines.replace("seed=0", f"seed={start}"), {})
    expected = ps.evaluate(policy, result.params, task, 1, seed=7).mean
    assert float(capsys.readouterr().out) == pytest.approx(expected, rel=1e-3)


def test_missing_gymnasium_names_the_extra(monkeypatch):
    environment.close_environments()
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(ps.MissingExtraError, match=r"pip install 'pisensory\[gymnasium\]'"):
        ps.GymTask("Pendulum-v1")


def test_command_line_trains_and_scores_environments(tmp_path):
    arguments = ["-m", "2", "-p", "4", "-e", "2", "-j", "2", "--max-steps", "20", "--eval-episodes", "4"]
    result = pisensory("train", "invariant", "run", "--task", "gymnasium:Pendulum-v1", *arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "unmaintained" not in result.stderr
    score = ["evaluate", "run", "-e", "3", "--json"]
    plain, shuffled = (
        json.loads(pisensory(*command, cwd=tmp_path).stdout) for command in (score, [*score, "--shuffle"])
    )
    assert plain["mean"] == shuffled["mean"]
    assert plain["task"]["env"] == "Pendulum-v1"
    failed = pisensory("train", "mlp", "other", "--task", "gymnasium:Nothing-v0", cwd=tmp_path)
    assert failed.returncode == 2
    assert "Nothing-v0" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_gym_finds_the_environments_without_importing_us():
    code = "import gym; env = gym.make('pisensory/CartPoleSwingUpHarder-v0'); print(env.reset(seed=0)[0].shape)"
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60)
    assert result.stdout.strip() == "(5,)", result.stderr


@pytest.mark.parametrize("first", ["import gymnasium", "import pisensory", "import gym"])
def test_gymnasium_finds_the_environments_by_the_module_in_the_id(first):
    make = "print(gymnasium.make('pisensory.envs:pisensory/CartPoleSwingUpHarder-v0').reset()[0].shape)"
    code = f"{first}; import gymnasium; {make}"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.stdout.strip() == "(5,)", result.stderr
