"""The Ant: its rewards, its determinism, the published weights on it, and the command line."""

import concurrent.futures
import json
import os
import sys
import threading

import numpy as np
import pytest
from warm import pisensory, python

import pisensory as ps
from pisensory.tasks import ant, environment, libraries, task_from_config

pytest.importorskip("pybullet", reason="pybullet is not installed: pip install 'pisensory[ant]'")
pytest.importorskip("pybullet_envs_gymnasium", reason="install it with pip install 'pisensory[ant]'")

POLICY = ps.InvariantPolicy(8, n_embeddings=4, proj_dim=4, hidden_size=3)
POPULATION = np.random.default_rng(0).standard_normal((3, POLICY.n_params))
MLP = ps.MLPPolicy(28, 8, (32, 32))
PUBLISHED = ps.InvariantPolicy(8, n_embeddings=32, head_sizes=(32,), bias=True, scale=True)


def test_task_is_the_published_one():
    task = ps.AntTask(perturbation=ps.Perturbation(shuffle=True, n_noise=2))
    assert (task.plain.n_features, task.n_features, task.n_actions, task.max_steps) == (28, 30, 8, 1000)
    for same in (task, task.for_training):
        assert task_from_config(json.loads(json.dumps(same.config))) == same
    with pytest.raises(ps.InputError, match="28"):
        ps.rollout(ps.MLPPolicy(5, 8), np.zeros((1, ps.MLPPolicy(5, 8).n_params)), task.plain, 1)


def test_training_leaves_out_the_bonus_and_is_no_less_than_zero_a_step():
    task = ps.AntTask(max_steps=100)
    params = 0.2 * np.random.default_rng(1).standard_normal((3, MLP.n_params))[2]
    env = task.make_env()
    # The task seeds an episode's environment from (seed, episode); here the same numbers are drawn again.
    start = np.random.default_rng(np.random.SeedSequence((7,), spawn_key=(0, 0)))
    agent = MLP.agent(params)
    observation, _ = env.reset(seed=int(start.integers(2**31)))
    true = trained = 0.0
    signs = set()
    for _ in range(task.max_steps):
        observation, reward, *_ = env.step(agent.act(observation))
        _, *others = env.unwrapped.rewards  # the first is the bonus
        true, trained = true + reward, trained + max(0.0, sum(others))
        signs.add(sum(others) > 0)
    assert signs == {True, False}
    assert ps.rollout(MLP, params[None], task, 1, seed=7).returns[0, 0] == pytest.approx(true, rel=0.01)
    assert ps.rollout(MLP, params[None], task.for_training, 1, seed=7).returns[0, 0] == pytest.approx(trained, rel=0.01)
    env.close()


def test_episodes_depend_on_their_seed_and_number_alone():
    task = ps.AntTask(max_steps=20)
    first = ps.rollout(POLICY, POPULATION, task, 3, seed=5).returns
    ps.rollout(POLICY, POPULATION, task, 2, seed=6)  # leaves the engines in other states
    np.testing.assert_array_equal(ps.rollout(POLICY, POPULATION, task, 3, seed=5).returns, first)
    np.testing.assert_array_equal(ps.rollout(POLICY, POPULATION[1:], task, 2, seed=5).returns, first[1:, :2])
    assert len(np.unique(first)) == first.size
    assert not np.array_equal(ps.rollout(POLICY, POPULATION, task, 3, seed=6).returns, first)


def test_scores_do_not_depend_on_workers_or_the_order_of_inputs():
    task = ps.AntTask(max_steps=20)
    shuffled = ps.AntTask(max_steps=20, perturbation=ps.Perturbation(shuffle=True))
    here = ps.rollout(POLICY, POPULATION, task, 2, seed=5).returns
    np.testing.assert_array_equal(ps.rollout(POLICY, POPULATION, task, 2, seed=5, n_jobs=2).returns, here)
    np.testing.assert_array_equal(ps.rollout(POLICY, POPULATION, shuffled, 2, seed=5).returns, here)


def test_published_policies_run(reference):
    def score(policy, name, shuffle):
        params = ps.load_params(reference / "weights" / f"{name}.npz")
        task = ps.AntTask(perturbation=ps.Perturbation(shuffle=shuffle))
        return ps.evaluate(policy, params, task, 2).mean

    # Of 100 episodes: 2567 +- 105, 1840 +- 99, and 262 +- 154 shuffled (docs/cloning.md).
    assert score(PUBLISHED, "ant_pi", True) == pytest.approx(2567, abs=300)
    assert score(MLP, "ant_mlp", False) == pytest.approx(1840, abs=400)
    assert score(MLP, "ant_mlp", True) < 900


# The command line, whose scores at the end are of so few episodes that no workers are started for them.
_FOUR = """
import sys
from pisensory.cli import main
from pisensory.tasks import AntTask

AntTask.score_episodes = 4
sys.exit(main(sys.argv[1:]))
"""


def test_command_line_trains_and_scores_it(tmp_path):
    arguments = ["-m", "2", "-p", "4", "-e", "2", "--eval-episodes", "2", "-j", "2", "--max-steps", "20"]
    # Else the optimizer has a matrix of 3873 x 3873 numbers.
    arguments += ["--hidden-size", "4", "--proj-dim", "4", "--head-sizes", "4"]
    trained = python(_FOUR, "train", "invariant", "run", "--task", "ant", *arguments, cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert "build time" not in trained.stdout + trained.stderr  # the engine's banner
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["policy"]["n_embeddings"] == 32
    in_order, shuffled = (line.split()[-7:] for line in trained.stdout.splitlines()[-2:])
    assert in_order == shuffled
    scored = pisensory("evaluate", "run", "-e", "3", "--json", "--shuffle", cwd=tmp_path)
    result = json.loads(scored.stdout)
    policy, params = ps.load_policy(tmp_path / "run" / "best.npz")
    assert result["mean"] == ps.evaluate(policy, params, ps.AntTask(max_steps=20), 3).mean
    assert result["task"]["training"] is False


def test_command_line_clones_on_it(tmp_path):
    ps.save_policy(tmp_path / "teacher.npz", MLP, np.zeros(MLP.n_params) + 0.01, task=ps.AntTask(max_steps=20).config)
    arguments = ["--rounds", "2", "--updates", "2", "--batch-size", "2", "--eval-episodes", "2", "-s", "-j", "1"]
    cloned = python(_FOUR, "clone", "invariant", "teacher.npz", "run", *arguments, cwd=tmp_path)
    assert cloned.returncode == 0, cloned.stderr
    assert json.loads((tmp_path / "run" / "config.json").read_text())["task"]["kind"] == "ant"
    wrong = pisensory("clone", "invariant", "cartpole-mlp", "other", "--task", "ant", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "the policy takes 5 inputs but the task gives 28" in wrong.stderr
    assert not (tmp_path / "other").exists()


def test_threads_score_alike_and_leave_the_process_its_output(capfd):
    task = ps.AntTask(max_steps=20)
    expected = ps.rollout(POLICY, POPULATION, task, 4, seed=5).returns
    environment.close_environments()
    with concurrent.futures.ThreadPoolExecutor(3) as executor:
        for _ in range(2):
            result = ps.rollout(POLICY, POPULATION, task, 4, seed=5, executor=executor)
            np.testing.assert_array_equal(result.returns, expected)
    os.write(1, b"said on stdout")
    os.write(2, b"said on stderr")
    assert capfd.readouterr() == ("said on stdout", "said on stderr")


def test_two_threads_that_keep_quiet_at_once_are_one_after_the_other(capfd):
    entered, leave = threading.Event(), threading.Event()

    def first():
        with ant._no_output(), libraries.quiet():
            entered.set()
            leave.wait(0.2)

    thread = threading.Thread(target=first)
    thread.start()
    entered.wait()
    with ant._no_output(), libraries.quiet():
        leave.set()
        thread.join(0.1)
    thread.join()
    os.write(1, b"said on stdout")
    print("said on stderr", file=sys.stderr)
    assert capfd.readouterr() == ("said on stdout", "said on stderr\n")


@pytest.mark.parametrize("module", ["pybullet", "pybullet_envs_gymnasium"])
def test_missing_package_names_the_extra(module, monkeypatch):
    environment.close_environments()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ps.MissingExtraError, match=r"pip install 'pisensory\[ant\]'"):
        ps.AntTask()


def test_command_line_without_the_extra_says_so(tmp_path):
    code = "import sys; sys.modules['pybullet'] = None; from pisensory.cli import main; sys.exit(main(sys.argv[1:]))"
    for command in (["train", "invariant"], ["clone", "invariant", "cartpole-mlp"]):
        result = python(code, *command, tmp_path / "run", "--task", "ant")
        assert result.returncode == 1
        assert "pip install 'pisensory[ant]'" in result.stderr
        assert "Traceback" not in result.stderr
        assert not (tmp_path / "run").exists()


def test_camera_takes_pictures():
    env = ps.AntTask().with_pictures().make_env()
    env.reset(seed=0)
    picture = env.render()
    assert picture.shape[2] == 3
    assert picture.std() > 5
    env.close()
