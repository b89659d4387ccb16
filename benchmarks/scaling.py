"""How training speeds up with workers: measured for one and two here, modelled for up to 256.

    python benchmarks/scaling.py

A generation is ask and tell, in one process, and the rollouts of the chunks, in the workers. The model takes
the serial part, the seconds and the size of a chunk as measured here, and a network of --megabits and
--latency: the trainer sends and receives one chunk after another, the workers run them side by side.
"""

from __future__ import annotations

import argparse
import os
import pickle
import statistics
import time

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np

import pisensory as ps
from pisensory.rollout import make_chunks, run_chunk
from pisensory.train.optimizer import Optimizer

WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def median_seconds(function, repetitions):
    """Return the median time of `function` after one call to warm up."""
    function()
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure_serial(policy, population_size, diagonal, repetitions):
    """Return the seconds that ask and tell take, the eigendecompositions included."""
    optimizer = Optimizer(np.zeros(policy.n_params), 0.1, population_size, (0,), diagonal=diagonal)
    scores = np.random.default_rng(0).standard_normal(population_size)
    generation = iter(range(10**9))

    def step():
        optimizer.ask(next(generation))
        optimizer.tell(scores)

    return statistics.mean(median_seconds(step, repetitions) for _ in range(3))


def measure_chunks(policy, center, task, population_size, n_episodes, n_workers):
    """Return the seconds and the bytes, there and back, of each chunk of a generation cut for so many workers."""
    noise = 0.001 * np.random.default_rng(0).standard_normal((population_size, policy.n_params))
    chunks = make_chunks(policy, center + noise, task, n_episodes, (0, 1, 0), n_workers)
    seconds = median_seconds(lambda: run_chunk(chunks[0]), 3)
    result = len(pickle.dumps(run_chunk(chunks[0])))
    return [seconds] * len(chunks), [len(pickle.dumps(chunk)) + result for chunk in chunks]


def model_generation(serial, seconds, sizes, n_workers, megabits, latency):
    """Return the seconds of a generation on so many workers, each given a chunk whenever it is free."""
    free = [0.0] * n_workers
    sent = 0.0
    for chunk_seconds, size in zip(seconds, sizes):
        sent += 8 * size / (megabits * 1e6)
        worker = free.index(min(free))
        free[worker] = max(free[worker], sent) + latency + chunk_seconds
    return serial + max(free)


def measure_speedup(policy, population, task, n_episodes, repetitions):
    """Return the seconds of a generation's rollouts in one and in two worker processes."""
    result = []
    for n_jobs in (1, 2):
        with_workers = ps.ProcessExecutor(n_jobs)
        try:
            result.append(
                median_seconds(
                    lambda executor=with_workers: ps.rollout(policy, population, task, n_episodes, executor=executor),
                    repetitions,
                )
            )
        finally:
            with_workers.close()
    return result


def main():
    """Measure, model, and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="cartpole-v1-invariant", help="a shipped model (default: %(default)s)")
    parser.add_argument("--megabits", type=float, default=1000, help="a second, of the network (default: %(default)s)")
    parser.add_argument("--latency", type=float, default=0.002, help="seconds a chunk (default: %(default)s)")
    parser.add_argument("--repetitions", type=int, default=5, help="of each measurement (default: %(default)s)")
    options = parser.parse_args()
    policy, params = ps.load_model(options.model)
    task = ps.CartPoleSwingUp("v1")

    population = params + 0.001 * np.random.default_rng(0).standard_normal((256, policy.n_params))
    one, two = measure_speedup(policy, population, task, 16, options.repetitions)
    print(f"rollouts of 256 candidates x 16 episodes: {one:.2f} s in one worker, {two:.2f} s in two: {one / two:.2f} x")

    cases = (
        ("256 x 16", 256, 16, False),
        ("256 x 16, --diagonal", 256, 16, True),
        ("1024 x 16, --diagonal", 1024, 16, True),
        ("1024 x 64, --diagonal", 1024, 64, True),
    )
    speedups, alone = {}, None
    for name, population_size, n_episodes, diagonal in cases:
        serial = measure_serial(policy, population_size, diagonal, 20)
        print(f"{name}: ask and tell {1000 * serial:.0f} ms")
        speedups[name] = []
        for n_workers in WORKERS:
            seconds, sizes = measure_chunks(policy, params, task, population_size, n_episodes, n_workers)
            generation = model_generation(serial, seconds, sizes, n_workers, options.megabits, options.latency)
            alone = alone if n_workers > 1 else serial + sum(seconds)
            speedups[name].append(alone / generation)
            if n_workers in (1, 256):
                print(
                    f"  for {n_workers} workers {len(seconds)} chunks of {1000 * seconds[0]:.0f} ms; "
                    f"{sum(sizes) / 1e6:.2f} MB a generation, there and back"
                )
    print(f"\nspeed-up by the model, with {options.megabits:.0f} Mbit/s and {1000 * options.latency:.0f} ms a chunk:")
    width = max(map(len, speedups))
    print(f"{'workers':{width}}" + "".join(f"{n:>7}" for n in WORKERS))
    for name, values in speedups.items():
        print(f"{name:{width}}" + "".join(f"{value:7.1f}" for value in values))


if __name__ == "__main__":
    main()
