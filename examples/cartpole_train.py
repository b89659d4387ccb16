"""Train a permutation-invariant policy and an MLP on the cart-pole swing-up, then shuffle their inputs.

Takes about four minutes on two cores. The invariant policy scores the same, to the last bit, with its inputs
in order and shuffled; the MLP does not.
"""

import argparse
import dataclasses
from pathlib import Path

import numpy as np

import pisensory as ps


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.8, help="training time of each policy")
    parser.add_argument("--out", type=Path, default=Path("runs/example"), help="folder for the two runs")
    parser.add_argument("--jobs", type=int, default=-1, help="worker processes, -1 for one a core")
    options = parser.parse_args()

    task = ps.CartPoleSwingUp("harder")
    policies = {"invariant": ps.InvariantPolicy(), "mlp": ps.MLPPolicy()}
    perturbations = {
        "in order": (ps.Perturbation(), 1.0),
        "shuffled": (ps.Perturbation(shuffle=True), 1.0),
        "shuffled, 5 noise inputs": (ps.Perturbation(shuffle=True, n_noise=5), 1.0),
        "shuffled, each input twice": (ps.Perturbation(shuffle=True, n_copies=2), 0.5),
    }

    trained = {}
    for name, policy in policies.items():
        print(f"Training {name}: {policy.n_params} parameters, {options.minutes:g} minutes")
        result = ps.train(
            policy,
            task,
            options.out / name,
            generations=100_000,
            minutes=options.minutes,
            init=np.random.default_rng(0).uniform(-0.5, 0.5, policy.n_params),
            n_jobs=options.jobs,
            resume=(options.out / name).exists(),
            progress=True,
        )
        trained[name] = policy, result.params
        trained[f"shipped {name}"] = ps.load_model(f"cartpole-{name}")

    scores = {}
    for name, (policy, params) in trained.items():
        for inputs, (perturbation, gain) in perturbations.items():
            perturbed = dataclasses.replace(task, perturbation=perturbation)
            if policy.n_features is None:
                # Twice the inputs make twice the sum: the gain puts it right, as in the paper.
                policy = dataclasses.replace(policy, gain=gain)
            if policy.n_features in (None, perturbed.n_features):
                scores[f"{name}, {inputs}"] = ps.evaluate(policy, params, perturbed)

    print(f"\n{ps.score_table(scores)}\n")
    print("An MLP takes five inputs and no others, so it has no rows for noise and more inputs. The shipped policies")
    print("were trained for longer: `pisensory models` says how long.")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt as stop:
        raise SystemExit(f"\n{stop}") from None
    except ps.PisensoryError as error:
        raise SystemExit(f"error: {error}") from None
