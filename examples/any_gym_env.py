"""Train a permutation-invariant policy on any environment of Gymnasium, then shuffle its inputs.

    python examples/any_gym_env.py CartPole-v1 --minutes 3

The last two rows of the table are the same: the policy cannot tell in which order its inputs arrive.
"""

import argparse
import dataclasses
from pathlib import Path

import pisensory as ps


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("env", nargs="?", default="CartPole-v1", help="id of an environment")
    parser.add_argument("--minutes", type=float, default=3.0, help="training time")
    parser.add_argument("--out", type=Path, default=Path("runs/gym"), help="folder for the runs")
    parser.add_argument("--jobs", type=int, default=-1, help="worker processes, -1 for one a core")
    options = parser.parse_args()

    task = ps.GymTask(options.env)
    policy = ps.InvariantPolicy(n_actions=task.n_actions)
    print(f"{options.env}: {task.n_features} inputs, {task.n_actions} outputs, {policy.n_params} parameters")
    result = ps.train(
        policy,
        task,
        options.out / options.env,
        generations=100_000,
        minutes=options.minutes,
        population_size=32,
        n_episodes=4,
        sigma0=0.5,
        n_eval_episodes=32,
        n_jobs=options.jobs,
        resume=True,
        progress=True,
    )
    shuffled = dataclasses.replace(task, perturbation=ps.Perturbation(shuffle=True))
    scores = {
        "untrained": ps.evaluate(policy, 0 * result.params, task, 100),
        "trained, inputs in order": ps.evaluate(policy, result.params, task, 100),
        "trained, inputs shuffled": ps.evaluate(policy, result.params, shuffled, 100),
    }
    print(f"\n{ps.score_table(scores)}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt as stop:
        raise SystemExit(f"\n{stop}") from None
    except ps.PisensoryError as error:
        raise SystemExit(f"error: {error}") from None
