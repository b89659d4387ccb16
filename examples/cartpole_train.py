"""From nothing to an agent that does not mind its inputs being shuffled: the cart-pole swing-up, on two cores.

An MLP is evolved, which learns to swing up and balance within a minute. It then teaches a permutation-invariant
policy, which sees the same inputs in any order, sometimes in a new one in the middle of an episode. At the end both are
scored with their inputs in order, shuffled, among noise and given several times, beside the published figures and the
policies that ship. Ctrl-C stops it; the same command goes on.
"""

import argparse
import dataclasses
from pathlib import Path

import pisensory as ps
from pisensory.cloning import TAUGHT_POLICY

# What is done to the inputs, and the mean returns of the invariant policy and the MLP of Tang and Ha, "The Sensory
# Neuron as a Transformer", 2021. They halve the sum over inputs where each is given twice, as we do, and among noise.
INPUTS = {
    "in order": (ps.Perturbation(), 472, 593),
    "shuffled": (ps.Perturbation(shuffle=True), 471, 38),
    "shuffled again every 200 steps": (ps.Perturbation(shuffle=True, reshuffle_every=200), 318, None),
    "shuffled, 5 noise inputs more": (ps.Perturbation(shuffle=True, n_noise=5), 461, None),
    "shuffled, each input twice": (ps.Perturbation(shuffle=True, n_copies=2), 471, None),
    "shuffled, each input ten times": (ps.Perturbation(shuffle=True, n_copies=10), None, None),
}
WIDE = 250  # episodes where there are fifty inputs, which take ten times as long


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--generations", type=int, default=750, help="of the teacher's evolution")
    parser.add_argument("--rounds", type=int, default=200, help="of the invariant policy's lessons")
    parser.add_argument("--episodes", type=int, default=1000, help="that are scored at the end, for each number")
    parser.add_argument("--seed", type=int, default=1, help="of everything random")
    parser.add_argument("--out", type=Path, default=Path("runs/example"), help="folder for the run and the picture")
    parser.add_argument("--jobs", type=int, default=-1, help="worker processes, -1 for one a core")
    options = parser.parse_args()

    task = ps.CartPoleSwingUp("harder")
    reshuffled = dataclasses.replace(task, perturbation=ps.Perturbation(reshuffle_every=(50, 1000)))
    print(f"An MLP is evolved for {options.generations} generations and teaches {TAUGHT_POLICY.n_params} parameters")
    print(f"in {options.rounds} rounds. The `best` score is of 256 episodes.", flush=True)
    result = ps.train_with_teacher(
        TAUGHT_POLICY,
        ps.Mixture((ps.Part(task, weight=2), ps.Part(reshuffled))),
        options.out,
        generations=0,  # which would be of the clone's own evolution
        teacher_generations=options.generations,
        clone_rounds=options.rounds,
        seed=options.seed,
        n_jobs=options.jobs,
        resume=options.out.exists(),
        progress=True,
    )
    policies = {
        "invariant": (TAUGHT_POLICY, result.params),
        "its teacher, an MLP": ps.load_policy(options.out / "teacher" / "best.npz"),
        "shipped invariant": ps.load_model("cartpole-invariant"),
        "shipped MLP": ps.load_model("cartpole-mlp"),
    }
    columns = {name: score(*policy, task, options) for name, policy in policies.items()}
    columns["published invariant"] = [invariant for _, invariant, _ in INPUTS.values()]
    columns["published MLP"] = [mlp for _, _, mlp in INPUTS.values()]
    print_table(columns)
    draw(columns, options.out / "scores.png")


def score(policy, params, task, options):
    """Return the mean return for each of INPUTS; None for what the policy cannot be given."""
    means = []
    for perturbation, _, _ in INPUTS.values():
        perturbed = dataclasses.replace(task, perturbation=perturbation)
        if policy.n_features not in (None, perturbed.n_features):  # an MLP takes five inputs and no others
            means.append(None)
            continue
        if policy.n_features is None:  # k times the inputs make k times the sum: the gain puts it right, as published
            policy = dataclasses.replace(policy, gain=1 / perturbation.n_copies)
        n_episodes = min(WIDE, options.episodes) if perturbation.n_copies > 2 else options.episodes
        means.append(ps.evaluate(policy, params, perturbed, n_episodes, n_jobs=options.jobs).mean)
    return means


def print_table(columns):
    """Print the mean returns, a line for each of INPUTS."""
    first = max(map(len, INPUTS))
    print(f"\n{'mean return':{first}}  " + "  ".join(columns))
    for number, name in enumerate(INPUTS):
        shown = ("-" if means[number] is None else f"{means[number]:.1f}" for means in columns.values())
        print(f"{name:{first}}  " + "  ".join(f"{text:>{len(column)}}" for text, column in zip(shown, columns)))


def draw(columns, path):
    """Draw the mean returns as dots, if matplotlib is there."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("\nWith matplotlib (pip install 'pisensory[viz]') there is a picture of this, too.")
        return
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.subplots()
    for (name, means), colour in zip(columns.items(), ("C0", "C1", "C0", "C1", "C7", "C3")):
        kind = {"marker": "o"} if not name.startswith(("shipped", "published")) else {"marker": "s", "mfc": "none"}
        kind = {"marker": "x"} if name.startswith("published") else kind
        rows = [row for row, mean in enumerate(means) if mean is not None]
        axes.plot([means[row] for row in rows], rows, label=name, color=colour, ls="none", ms=8, **kind)
    axes.set_yticks(range(len(INPUTS)), list(INPUTS))
    axes.invert_yaxis()
    axes.set(xlabel="mean return of an episode", xlim=(0, 660))
    axes.grid(color="#dddddd")
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    figure.savefig(path, dpi=120)
    print(f"\nThe same as a picture: {path}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt as stop:
        raise SystemExit(f"\n{stop}") from None
    except ps.PisensoryError as error:
        raise SystemExit(f"error: {error}") from None
