"""How long a step of cloning takes on the Ant's inputs, and what PyTorch needs for the same step.

    python benchmarks/cloning.py

One step is the way through a network and back, clipping and Adam, on 64 episodes of 500 steps with 28 inputs.
Times are medians over repetitions. With PyTorch installed, the same network with the same vector takes the same
step there, its LSTM fused over the whole sequence; both must come to the same loss and gradient. Ours and theirs
take turns, so that what else the machine does falls on both. NumPy has one thread, PyTorch all cores.

The gradient is also worked out in two halves, one after the other and by two processes.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time

import machine  # before NumPy: OpenBLAS splits even small products over its threads, which wait for each other
import numpy as np

import pisensory as ps
from pisensory.cloning.adam import Adam, clip
from pisensory.cloning.lesson import Lesson, add, study
from pisensory.layers import positional_table

N_EPISODES, N_STEPS, N_FEATURES, N_ACTIONS = 64, 500, 28, 8
POLICIES = {
    "published": ps.InvariantPolicy(N_ACTIONS, n_embeddings=32, head_sizes=(32,), bias=True, scale=True),
    "larger": ps.InvariantPolicy(N_ACTIONS, n_embeddings=128, head_sizes=(128, 128), bias=True, scale=True),
}


def make_batch(policy):
    """Return a vector, observations, previous actions and labels, the last three (step, ..., episode)."""
    rng = np.random.default_rng(0)
    params = 0.3 * rng.standard_normal(policy.n_params)
    observations = rng.standard_normal((N_STEPS, N_FEATURES, N_EPISODES), dtype=np.float32)
    previous, labels = rng.uniform(-1, 1, (2, N_STEPS, N_ACTIONS, N_EPISODES)).astype(np.float32)
    return params, observations, previous, labels


def our_step(policy, batch):
    """Return a function that takes one step from the same place, and returns loss and gradient (parameter,)."""
    params, observations, previous, labels = batch
    adam = Adam(np.zeros(len(params)), np.zeros(len(params)))

    def step():
        unrolled = policy.unroll(params, observations[:, :, None], previous)
        difference = unrolled.actions - labels
        gradient = unrolled.gradient(2 * difference / difference.size)
        adam.step(params, clip(gradient, 0.5), 1e-3)
        return float((difference**2).mean()), gradient

    return step


def torch_step(torch, policy, batch):
    """Return the same function made of PyTorch's layers and optimizer."""

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            size = policy.hidden_size
            self.lstm = torch.nn.LSTM(1 + N_ACTIONS, size)
            self.query = torch.nn.Linear(size, policy.proj_dim)
            self.key = torch.nn.Linear(size, policy.proj_dim)
            sizes = (policy.n_embeddings, *policy.head_sizes, N_ACTIONS)
            self.head = torch.nn.ModuleList(torch.nn.Linear(*pair) for pair in zip(sizes, sizes[1:]))
            table = positional_table(policy.n_embeddings, size)
            self.table = torch.from_numpy(np.asarray(table, np.float32))

        def forward(self, observations, previous):  # (step, episode, feature), (step, episode, action)
            inputs = torch.cat(
                [observations[..., None], previous[:, :, None].expand(-1, -1, N_FEATURES, -1)], dim=-1
            ).flatten(1, 2)
            keys = self.key(self.lstm(inputs)[0]).unflatten(1, (N_EPISODES, N_FEATURES))
            attention = torch.tanh(self.query(self.table) @ keys.transpose(-1, -2) / policy.proj_dim**0.5)
            values = torch.tanh((attention @ observations[..., None]).squeeze(-1))
            for layer in self.head:
                values = torch.tanh(layer(values))
            return values

    params, *arrays = batch
    observations, previous, labels = (torch.from_numpy(array.transpose(0, 2, 1).copy()) for array in arrays)
    network = Network()
    start = torch.from_numpy(params.astype(np.float32))
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)

    def step():
        torch.nn.utils.vector_to_parameters(start, network.parameters())
        optimizer.zero_grad()
        loss = ((network(observations, previous) - labels) ** 2).mean()
        loss.backward()
        gradient = torch.nn.utils.parameters_to_vector(part.grad for part in network.parameters()).numpy().copy()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 0.5)
        optimizer.step()
        return loss.item(), gradient

    return step


def take_turns(functions, repetitions):
    """Return the median time of each function, after one call each to warm up."""
    times = [[] for _ in functions]
    for number in range(repetitions + 1):
        for function, own in zip(functions, times):
            start = time.perf_counter()
            function()
            if number:
                own.append(time.perf_counter() - start)
    return [statistics.median(own) for own in times]


def measure(name, policy, repetitions):
    """Print the time of a step, ours and PyTorch's."""
    batch = make_batch(policy)
    ours = our_step(policy, batch)
    try:
        import torch
    except ImportError:
        print(f"{name} sizes: {take_turns([ours], repetitions)[0]:.2f} s a step; PyTorch is not installed")
        return
    theirs = torch_step(torch, policy, batch)
    (loss, gradient), (their_loss, their_gradient) = ours(), theirs()
    difference = np.abs(gradient - their_gradient).max() / np.abs(gradient).max()
    if abs(loss - their_loss) > 1e-5 * loss or difference > 1e-3:
        raise SystemExit(f"PyTorch comes to another result: loss {loss} and {their_loss}, gradient off {difference}")
    seconds, their_seconds = take_turns([ours, theirs], repetitions)
    print(
        f"{name} sizes: {seconds:.2f} s a step; PyTorch {their_seconds:.2f} s, {their_seconds / seconds:.1f} times "
        f"ours (largest difference of the gradients: {difference:.0e} of the largest component)"
    )


def measure_sharing(name, policy, params, observations, repetitions):
    """Print the time of a lesson's gradient, worked out alone and by two processes."""
    n_steps, n_features, _, n_episodes = observations.shape
    rng = np.random.default_rng(0)
    previous, labels = rng.uniform(-1, 1, (2, n_steps, policy.n_actions, n_episodes)).astype(np.float32)
    lesson = Lesson(
        policy, params, np.zeros((0, 1)), 0.0, observations, previous, labels, np.ones((n_steps, n_episodes), bool),
        np.zeros((n_steps, n_features, n_episodes), np.int16), None, n_steps * n_episodes,
    )  # fmt: skip
    with ps.ProcessExecutor(2) as processes:
        maps = (map, processes.map)
        alone, shared = take_turns([lambda some=some: add(some(study, lesson.parts())) for some in maps], repetitions)
    print(f"{name}, its gradient: {alone:.3f} s alone, two processes {shared:.3f} s")


def measure_memory(name):
    """Print the peak memory of a process that takes two steps without PyTorch."""
    command = [sys.executable, __file__, "--only-steps", name]
    kilobytes = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    print(f"{name} sizes: {kilobytes / 1024:.0f} MB at the peak")


def main():
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repetitions", type=int, default=7, help="of each measurement (default: 7)")
    parser.add_argument("--only-steps", choices=POLICIES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only_steps:
        policy = POLICIES[options.only_steps]
        step = our_step(policy, make_batch(policy))
        step(), step()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return
    machine.report()
    for name, policy in POLICIES.items():
        measure(name, policy, options.repetitions)
        measure_memory(name)
    params, observations, _, _ = make_batch(POLICIES["published"])
    measure_sharing("published sizes", POLICIES["published"], params, observations[:, :, None], options.repetitions)


if __name__ == "__main__":
    main()
