"""A policy of Stable-Baselines3's as the teacher of a permutation-invariant student (extra `sb3`).

    python examples/sb3_teacher.py

PPO, which sees the inputs in order, learns the cart-pole swing-up; the student learns to act as it does, whatever the
order. It takes some minutes; with `--steps 2000 --rounds 2` some seconds, for a teacher that knows nothing yet.
"""

import argparse

from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env

import pisensory as ps

ENV = "pisensory.envs:pisensory/CartPoleSwingUpHeight-v0"

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--out", default="runs/sb3")
    options = parser.parse_args()
    teacher = PPO("MlpPolicy", make_vec_env(ENV, n_envs=16), n_steps=256, batch_size=256, gamma=0.995, device="cpu")
    teacher.learn(options.steps)
    result = ps.clone(
        ps.InvariantPolicy(), lambda seen: teacher.predict(seen, deterministic=True)[0], ps.CartPoleSwingUp("v1"),
        options.out, rounds=options.rounds, teacher_rounds=8, dagger=True, progress=True,
    )  # fmt: skip
    shuffled = ps.CartPoleSwingUp("v1", perturbation=ps.Perturbation(shuffle=True))
    for name, task in (("in order", ps.CartPoleSwingUp("v1")), ("shuffled", shuffled)):
        print(f"student, {name}: {ps.evaluate(result.policy, result.params, task, 100).mean:.1f}")
