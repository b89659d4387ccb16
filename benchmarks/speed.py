"""How fast pisensory is on this machine, and beside EvoJAX and PyTorch where they are installed.

    python benchmarks/speed.py

Speeds are medians over repetitions. The population is 256 candidates x 16 episodes of the task v1, with the
weights of --weights if given. Steps are counted as long as an episode is alive, and the share of episodes
that live to the end is printed: for a figure of the machinery alone, give weights that keep all alive.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import subprocess
import sys
import tempfile
import time

import machine  # before NumPy: it says how many threads BLAS has
import numpy as np

import pisensory as ps

N_CANDIDATES, N_EPISODES, N_STEPS = 256, 16, 1000


def median_seconds(function, repetitions):
    """Return the median time of `function` after one call to warm up."""
    function()
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def population(weights):
    """Return 256 candidates around the given weights, or around zero: (candidate, parameter)."""
    center = np.zeros(ps.InvariantPolicy().n_params) if weights is None else ps.load_params(weights)
    return center + 0.001 * np.random.default_rng(0).standard_normal((N_CANDIDATES, len(center)))


def measure_rollout(candidates, version, n_jobs, repetitions, length):
    """Print the speed of whole rollouts; return environment steps a second. `length`: of the yardstick, seconds."""
    task = ps.CartPoleSwingUp(version)
    policy = ps.InvariantPolicy()
    executor = ps.SerialExecutor() if n_jobs == 1 else ps.ProcessExecutor(n_jobs)
    lengths = []

    def run():
        result = ps.rollout(policy, candidates, task, N_EPISODES, executor=executor)
        lengths.append(result.lengths)

    seconds = median_seconds(run, repetitions)
    executor.close()
    steps, alive = lengths[-1].sum(), (lengths[-1] == N_STEPS).mean()
    speed = steps / seconds
    print(
        f"rollout, {version}, {n_jobs} process{'es' if n_jobs > 1 else ''}: {speed / 1e6:5.2f} million steps a "
        f"second, {speed * length:.0f} a yardstick, {seconds:.2f} s for 256 x 16 episodes ({100 * alive:.0f} % alive "
        "to the end)"
    )
    return speed


def measure_generation(candidates):
    """Print the time of a whole generation of training, and how much of it is outside the rollouts."""
    with tempfile.TemporaryDirectory() as folder:
        ps.train(
            ps.InvariantPolicy(), ps.CartPoleSwingUp("v1"), f"{folder}/run", generations=21, n_jobs=2, sigma0=0.001,
            init=candidates.mean(axis=0), population_size=N_CANDIDATES, n_episodes=N_EPISODES, eval_every=100,
        )  # fmt: skip
        with open(f"{folder}/run/metrics.csv", newline="") as file:
            rows = list(csv.DictReader(file))[1:]
    seconds, rollouts = (sum(float(row[name]) for row in rows) for name in ("seconds", "rollout_seconds"))
    print(
        f"a generation of training, 2 processes: {seconds / len(rows):.2f} s, "
        f"{100 * (1 - rollouts / seconds):.0f} % of it outside the rollouts (mean of {len(rows)})"
    )


def measure_memory():
    """Print the peak memory of a process that does what a worker does (Linux only)."""
    code = (
        "import numpy as np, pisensory as ps; "
        f"ps.rollout(ps.InvariantPolicy(), np.zeros(({N_CANDIDATES}, 913)), ps.CartPoleSwingUp('v1'), {N_EPISODES}); "
        "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])"
    )
    kilobytes = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    print(f"peak memory of a worker: {kilobytes / 1024:.0f} MB")


def measure_import(repetitions):
    """Print what importing pisensory costs over importing NumPy."""
    code = "import numpy, time; start = time.perf_counter(); import pisensory; print(time.perf_counter() - start)"
    times = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(repetitions)
    ]
    print(f"import pisensory, over import numpy: {1000 * statistics.median(times):.0f} ms")


def measure_act(repetitions):
    """Print the time of one agent.act with five inputs, and of the same network in PyTorch."""
    policy = ps.InvariantPolicy()
    agent = policy.agent(np.random.default_rng(0).standard_normal(policy.n_params))
    observation = np.ones(5, np.float32)

    def act_many():
        for _ in range(1000):
            agent.act(observation)

    ours = median_seconds(act_many, repetitions) * 1000
    print(f"agent.act, 5 inputs: {ours:.1f} microseconds, {ours / 1e6 / machine.yardstick():.4f} yardsticks")
    try:
        import torch
    except ImportError:
        print("PyTorch is not installed: no comparison (pip install torch)")
        return
    theirs = median_seconds(torch_agent(torch), repetitions) * 1000
    print(f"the same network in PyTorch: {theirs:.1f} microseconds, {theirs / ours:.1f} times ours")


def torch_agent(torch):
    """Return a function that acts a thousand times with the same network made of PyTorch's layers."""
    torch.set_num_threads(1)
    cell, query, key, head = (
        torch.nn.LSTMCell(2, 8),
        torch.nn.Linear(8, 32, bias=False),
        torch.nn.Linear(8, 32, bias=False),
        torch.nn.Linear(16, 1),
    )
    table = torch.randn(16, 8)
    observation = np.ones(5, np.float32)

    @torch.no_grad()
    def act_many():
        state = (torch.zeros(5, 8), torch.zeros(5, 8))
        action = torch.zeros(1)
        for _ in range(1000):
            inputs = torch.from_numpy(observation).unsqueeze(-1)
            state = cell(torch.cat([inputs, action.repeat(5, 1)], dim=-1), state)
            attention = torch.tanh(query(table) @ key(state[0]).T)
            action = torch.tanh(head(torch.tanh(attention @ inputs).squeeze(-1)))
            action.numpy()

    return act_many


def measure_evojax(candidates, repetitions):
    """Print the speed of EvoJAX's own cart-pole rollout with as many candidates and episodes, and of ours in turns."""
    try:
        import jax
        import jax.numpy as jnp
        from evojax.policy.mlp_pi import PermutationInvariantPolicy
        from evojax.sim_mgr import SimManager
        from evojax.task.cartpole import CartPoleSwingUp
    except ImportError:
        print("EvoJAX is not installed: no comparison (pip install evojax jax)")
        return
    network = PermutationInvariantPolicy(act_dim=1, hidden_dim=16)
    manager = SimManager(
        policy_net=network, train_vec_task=CartPoleSwingUp(), valid_vec_task=CartPoleSwingUp(test=True), seed=0,
        n_repeats=N_EPISODES, test_n_repeats=1, pop_size=N_CANDIDATES, n_evaluations=1,
    )  # fmt: skip
    params = 0.001 * jax.random.normal(jax.random.PRNGKey(0), (N_CANDIDATES, network.num_params), jnp.float32)
    executor = ps.ProcessExecutor(2)
    task, policy = ps.CartPoleSwingUp("v1"), ps.InvariantPolicy()
    steps = ps.rollout(policy, candidates, task, N_EPISODES, executor=executor).lengths.sum()
    jax.block_until_ready(manager.eval_params(params, test=False)[0])
    ours, theirs = [], []
    for _ in range(repetitions):
        start = time.perf_counter()
        ps.rollout(policy, candidates, task, N_EPISODES, executor=executor)
        between = time.perf_counter()
        jax.block_until_ready(manager.eval_params(params, test=False)[0])
        ours.append(steps / (between - start))
        # EvoJAX steps every episode to the end, alive or not: all steps are counted.
        theirs.append(N_CANDIDATES * N_EPISODES * N_STEPS / (time.perf_counter() - between))
    executor.close()
    ratios = [mine / other for mine, other in zip(ours, theirs)]
    print(
        f"in turns on two cores: EvoJAX {statistics.median(theirs) / 1e6:.2f} million steps a second, ours "
        f"{statistics.median(ours) / 1e6:.2f}; ours is {statistics.median(ratios):.1f} times as fast (median of "
        f"{', '.join(f'{ratio:.1f}' for ratio in ratios)})"
    )


def main():
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--weights", help=".npz with 913 parameters (default: zeros)")
    parser.add_argument("--repetitions", type=int, default=5, help="of each measurement (default: 5)")
    options = parser.parse_args()
    candidates, length = population(options.weights), machine.report()
    one = measure_rollout(candidates, "v1", 1, options.repetitions, length)
    two = measure_rollout(candidates, "v1", 2, options.repetitions, length)
    print(f"two processes are {two / one:.2f} times as fast as one")
    measure_rollout(candidates, "harder", 2, options.repetitions, length)
    measure_generation(candidates)
    measure_memory()
    measure_import(options.repetitions)
    measure_act(options.repetitions)
    measure_evojax(candidates, options.repetitions)


if __name__ == "__main__":
    main()
