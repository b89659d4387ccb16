# %% [markdown]
# # The sensory neuron as a transformer, step by step
#
# A video walks through the agent of Tang and Ha (2021) in PyTorch: the layer first, then its invariance, the networks
# that are compared, their training by evolution, and what shuffled and noisy inputs do to each. This is the same walk
# with pisensory, in NumPy, on a small budget: some minutes on two cores that have nothing else to do, where the video's
# trainings took days. Extras: `viz`, `tensorboard`, `progress`.
#
# It is a script, `python examples/video_walkthrough.py`, and a notebook of the same cells.

# %%
import argparse
import dataclasses
import shlex
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import pisensory as ps
from pisensory.figures import read_curve
from pisensory.layers import positional_table
from pisensory.video import write_video

parser = argparse.ArgumentParser(
    description="Walk through the AttentionNeuron agent: its layer, its training, and its robustness.",
    formatter_class=argparse.ArgumentDefaultsHelpFormatter,
)
parser.add_argument("--generations", type=int, default=100, help="of each training")
parser.add_argument("--episodes", type=int, default=100, help="in each violin")
parser.add_argument("--jobs", type=int, default=-1, help="worker processes, -1 for one a core")
parser.add_argument("--out", type=Path, default=Path("runs/walkthrough"), help="folder for all that is written")
in_notebook = "ipykernel" in sys.modules
options = parser.parse_args([] if in_notebook else None)

# %%
begun = time.perf_counter()
options.out.mkdir(parents=True, exist_ok=True)
BLUE, ORANGE = "#0072b2", "#d55e00"


def show(path):
    """Say where a picture is, and show it in a notebook."""
    print(f"[{time.perf_counter() - begun:.0f} s] wrote {path}", flush=True)
    if in_notebook:
        from IPython.display import Image, display

        display(Image(filename=path))


def save(figure, name):
    figure.savefig(options.out / f"{name}.png", dpi=100)
    show(options.out / f"{name}.png")


# %% [markdown]
# ## 1. The positional table
#
# The queries of the attention are fixed: a sinusoidal table that has nothing to do with the inputs, one row for each
# number of the latent code. Left, the agent's own table; right, the same rule in a larger size, where one sees it.

# %%
policy = ps.InvariantPolicy()
figure = Figure((8, 3), layout="constrained")
for axes, (rows, columns) in zip(figure.subplots(1, 2), ((policy.n_embeddings, policy.hidden_size), (64, 64))):
    image = axes.imshow(positional_table(rows, columns), cmap="PuOr", vmin=-1, vmax=1, aspect="auto")
    axes.set(title=f"{rows} rows, {columns} columns", xlabel="column", ylabel="row: number of the latent code")
figure.colorbar(image, ax=figure.axes, pad=0.02)
save(figure, "positional-table")

# %% [markdown]
# ## 2. One layer, any number of inputs
#
# The same 913 parameters read 5, 10 or 20 inputs. The attention has a column for each input; the latent code, and so
# the action, is of one size.

# %%
generator = np.random.default_rng(0)
params = generator.normal(scale=0.5, size=policy.n_params)
agent = policy.agent(params)
print(f"{policy.n_params} parameters")
for n_features in (5, 10, 20):
    agent.reset()
    action = agent.act(generator.normal(size=n_features))
    print(
        f"{n_features:2} inputs: attention {agent.attention.shape}, latent {agent.latent.shape}, action {action.shape}"
    )

# %% [markdown]
# ## 3. The order of the inputs does not matter, but what the layer remembers does
#
# From a fresh state, permuted inputs give the same latent code, to the last bit. Each input has an LSTM of its own,
# though, and its state stays where it is: if the inputs change places in the middle of an episode, each LSTM goes on
# with a stranger's memory, and the code is another one.

# %%
first, second = generator.normal(size=(2, 5))
order = np.array([3, 0, 4, 1, 2])


def latent_after(*observations):
    agent.reset()
    for observation in observations:
        agent.act(observation)
    return agent.latent


def largest_difference(one, other):
    return np.abs(one - other).max()


print("permuted from the start:     ", largest_difference(latent_after(first), latent_after(first[order])))
print(
    "permuted at both steps:      ",
    largest_difference(latent_after(first, second), latent_after(first[order], second[order])),
)
print(
    "permuted after the first one:", largest_difference(latent_after(first, second), latent_after(first, second[order]))
)

# %% [markdown]
# ## 4. Flat parameters, out and in
#
# Evolution knows no layers: it proposes flat vectors. `layout` says which part of the vector is which array, and a
# policy is always given its vector, so there is nothing to set and nothing to forget.

# %%
for name, (part, shape) in policy.layout.items():
    print(f"{name:12} {shape!s:9} {part.start:4} to {part.stop - 1}")
arrays = {name: params[part].reshape(shape) for name, (part, shape) in policy.layout.items()}
again = np.concatenate([array.ravel() for array in arrays.values()])
print("the same vector again:", np.array_equal(again, params))
ps.save_policy(options.out / "random.npz", policy, params)
loaded_policy, loaded = ps.load_policy(options.out / "random.npz")
print("the same action from a file:", loaded_policy.agent(loaded).act(first) == policy.agent(params).act(first))

# %% [markdown]
# ## 5. A rollout
#
# A whole population lives through its episodes at once, stepped together. `v1` is the video's task: a pole that hangs
# still is to be swung up; a step earns from 0 to 1 by its height, and an episode has 1000 steps of 0.01 s.

# %%
task = ps.CartPoleSwingUp("v1")
population = generator.normal(scale=0.5, size=(32, policy.n_params))
start = time.perf_counter()
result = ps.rollout(policy, population, task, n_episodes=16, seed=0)
seconds = time.perf_counter() - start
print(f"returns {result.returns.shape} (candidate, episode): the best mean is {result.returns.mean(axis=1).max():.1f}")
print(f"{result.lengths.sum():,} steps in {seconds:.2f} s: {result.lengths.sum() / seconds / 1e6:.1f} million a second")

# %% [markdown]
# ## 6. Five experiments
#
# A linear network and an MLP, each trained with its inputs in order and, "augmented", with the inputs shuffled in every
# episode; and the invariant network, which need never see a shuffle. They run one after the other, each on all cores.
# Run the walk again with more `--generations` and they go on from where they are.

# %%
EXPERIMENTS = {
    "linear": ["linear"],
    "linear-augment": ["linear", "--shuffle-on-reset"],
    "mlp": ["mlp"],
    "mlp-augment": ["mlp", "--shuffle-on-reset"],
    "invariant": ["invariant", "--preset", "paper"],
}


def pisensory(*arguments):
    """Run a command of pisensory, and show it."""
    print(f"\n$ pisensory {shlex.join(map(str, arguments))}", flush=True)
    done = subprocess.run([sys.executable, "-m", "pisensory", *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    print(done.stdout, flush=True)
    if done.returncode:
        raise SystemExit(done.returncode)


for number, (name, (network, *settings)) in enumerate(EXPERIMENTS.items(), 1):
    print(f"[{time.perf_counter() - begun:.0f} s] training {number} of {len(EXPERIMENTS)}: {name}")
    run = options.out / name
    settings += ["--task", "v1", "-p", 64, "-e", 4, "--generations", options.generations]
    settings += ["--jobs", options.jobs, "--tensorboard", *(["--resume"] if run.exists() else [])]
    pisensory("train", network, run, *settings)

# %% [markdown]
# ## 7. The TensorBoard folder
#
# Each run has the event files of TensorBoard beside its own `metrics.csv`. `tensorboard --logdir runs/walkthrough`
# shows them in a browser; here are the same numbers in a figure.

# %%
for path in sorted(options.out.glob("*/tensorboard/*")):
    print(path)
figure = Figure((8, 3.6), layout="constrained")
axes = figure.subplots()
for name in EXPERIMENTS:
    columns = read_curve(options.out / name).columns
    there = np.isfinite(columns["held_out"])
    steps = columns["env_steps"][there] / 1e6
    axes.plot(steps, columns["held_out"][there], label=name, marker=".", ls="--" if "augment" in name else "-")
axes.set(xlabel="million environment steps", ylabel="mean return of held-out episodes", ylim=(0, 1000))
axes.legend()
save(figure, "training")

# %% [markdown]
# ## 8. Shuffled inputs
#
# Every network meets the same episodes twice, with its inputs in order (left halves) and shuffled at the start of each
# (right halves). To the five comes the invariant policy that is shipped, which was trained for longer: in the video,
# too, the authors' own weights stand beside those of the walk.

# %%
models = {name: ps.load_policy(options.out / name / "best.npz") for name in EXPERIMENTS}
models["shipped\ninvariant"] = ps.load_model("cartpole-v1-invariant")


def returns_of(name, **inputs):
    perturbed = dataclasses.replace(task, perturbation=ps.Perturbation(**inputs))
    return ps.evaluate(*models[name], perturbed, options.episodes).returns


def draw_half(axes, returns, places, side, color, label):
    """Draw half a violin of each array of returns, and a line at its mean."""
    spread = [values + 1e-3 * generator.normal(size=len(values)) for values in returns]  # equal ones have no density
    parts = axes.violinplot(spread, places, widths=0.85, side=side, showextrema=False)
    for body in parts["bodies"]:
        body.set(facecolor=color, alpha=0.75)
    half = 0.4 if side == "high" else -0.4
    for place, values in zip(places, returns):
        axes.plot([place, place + half], [values.mean()] * 2, color="black", lw=1.5)
    axes.fill_between([], [], color=color, alpha=0.75, label=label)


figure = Figure((8, 4), layout="constrained")
axes, places = figure.subplots(), range(len(models))
for shuffle, side, color, label in ((False, "low", BLUE, "in order"), (True, "high", ORANGE, "shuffled")):
    returns = [returns_of(name, shuffle=shuffle) for name in models]
    draw_half(axes, returns, places, side, color, label)
    print(
        f"{label}:", ", ".join(f"{' '.join(name.split())} {values.mean():.1f}" for name, values in zip(models, returns))
    )
axes.set_xticks(places, [name.replace("-", "\n") for name in models])
axes.set(ylabel="return of an episode (line: mean)", ylim=(-20, 1000))
axes.legend(loc="upper left", bbox_to_anchor=(0, 1.12), ncols=2, frameon=False)
save(figure, "shuffling")

# %% [markdown]
# ## 9. Inputs of noise
#
# The invariant networks also take inputs that say nothing: 0 to 25 of Gaussian noise among the five, all shuffled. The
# others cannot be asked, since they have no place for a sixth input.

# %%
figure = Figure((8, 4), layout="constrained")
axes, counts = figure.subplots(), (0, 5, 10, 15, 20, 25)
for name, side, color in (("invariant", "low", BLUE), ("shipped\ninvariant", "high", ORANGE)):
    label = " ".join(name.split())
    returns = [returns_of(name, shuffle=True, n_noise=n_noise) for n_noise in counts]
    draw_half(axes, returns, range(len(counts)), side, color, label)
    print(f"{label}:", ", ".join(f"{values.mean():.1f}" for values in returns))
axes.set_xticks(range(len(counts)), counts)
axes.set(xlabel="inputs of noise", ylabel="return of an episode (line: mean)", ylim=(-20, 1000))
axes.legend(loc="upper left", bbox_to_anchor=(0, 1.12), ncols=2, frameon=False)
save(figure, "noise")

# %% [markdown]
# ## 10. A film
#
# Two agents in the same episode, whose inputs are shuffled at its start and once more: the shipped invariant one and
# the MLP of this walk.

# %%
film = dataclasses.replace(task, max_steps=400, perturbation=ps.Perturbation(shuffle=True, reshuffle_every=250))
pair = {"shipped invariant": models["shipped\ninvariant"], "mlp of this walk": models["mlp"]}
scores = write_video(options.out / "film.gif", pair, film, steps_per_frame=5, frames_per_second=20, width=760)
print(", ".join(f"{name} {score:.1f}" for name, score in zip(pair, scores)))
show(options.out / "film.gif")
print(f"All of it is in {options.out}. To go on by hand: pisensory watch cartpole-v1-invariant")
