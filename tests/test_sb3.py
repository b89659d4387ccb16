"""Stable-Baselines3 (extra `sb3`) and our environments: its checker, PPO, shuffled inputs, a teacher for a student."""

import pathlib
import subprocess
import sys
import warnings

import numpy as np
import pytest

import pisensory as ps

sb3 = pytest.importorskip("stable_baselines3")
gymnasium = pytest.importorskip("gymnasium")
ps.register_envs()
ID = "pisensory/CartPoleSwingUpHarder-v0"


def make(shuffled):
    env = gymnasium.make(ID)
    return ps.perturb_env(env, ps.Perturbation(shuffle=True, reshuffle_every=50, n_noise=2)) if shuffled else env


@pytest.mark.parametrize("shuffled", [False, True])
def test_its_checker_passes(shuffled):
    from stable_baselines3.common.env_checker import check_env

    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        check_env(make(shuffled))


@pytest.mark.parametrize("shuffled", [False, True])
def test_ppo_learns_from_them_and_is_saved(tmp_path, shuffled):
    from stable_baselines3.common.vec_env import DummyVecEnv

    model = sb3.PPO("MlpPolicy", DummyVecEnv([lambda: make(shuffled)] * 2), n_steps=64, batch_size=64, device="cpu")
    model.learn(256)
    model.save(tmp_path / "model.zip")
    loaded = sb3.PPO.load(tmp_path / "model.zip", env=make(shuffled), device="cpu")
    seen = np.zeros(model.observation_space.shape, np.float32)
    np.testing.assert_array_equal(
        loaded.predict(seen, deterministic=True)[0], model.predict(seen, deterministic=True)[0]
    )
    loaded.learn(64)


def test_environments_run_in_its_processes():
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import SubprocVecEnv

    env = make_vec_env(f"pisensory.envs:{ID}", n_envs=2, seed=3, vec_env_cls=SubprocVecEnv)
    observations = env.reset()
    env.close()
    np.testing.assert_array_equal(observations[1], make(False).reset(seed=4)[0])


def test_example_ends_in_a_student_whose_score_knows_no_order(tmp_path):
    example = pathlib.Path(__file__).parent.parent / "examples" / "sb3_teacher.py"
    command = [sys.executable, str(example), "--steps", "4096", "--rounds", "1", "--out", str(tmp_path / "run")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    in_order, shuffled = (line.split(": ")[1] for line in result.stdout.splitlines() if line.startswith("student"))
    assert in_order == shuffled
