"""How training speeds up with workers: measured for one and two here, modelled for up to 256.

    python benchmarks/scaling.py

A generation is ask and tell, in one process, and the rollouts of the chunks, in the workers; every tenth scores
the mean as well. The model takes as measured here the serial part, the seconds and the size of a chunk, and what
handing a chunk over costs the trainer whatever is in it (on Dask where it is installed, in worker processes
where not; or --handover); and it assumes a network of --megabits and --latency. The trainer hands over one chunk
after another, the workers, as fast as this machine's cores, run them side by side.
"""

from __future__ import annotations

import argparse
import contextlib
import pickle
import time

import machine  # before NumPy: one thread a process
import numpy as np

import pisensory as ps
from pisensory.rollout import make_chunks, run_chunk
from pisensory.train.optimizer import Optimizer

WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
EVAL_EVERY, N_EVAL_EPISODES = 10, 256
N_SERIAL = 40  # generations of ask and tell to measure


def least_seconds(function, repetitions, clock=time.perf_counter):
    """Return the least time of `function` after one call to warm up: more is other load on the machine."""
    function()
    times = []
    for _ in range(repetitions):
        start = clock()
        function()
        times.append(clock() - start)
    return min(times)


def measure_serial(policy, population_size, diagonal):
    """Return the seconds that ask and tell take, decompositions of the covariance, now and then, included."""
    optimizer = Optimizer(np.zeros(policy.n_params), 0.1, population_size, (0,), diagonal=diagonal)
    scores = np.random.default_rng(0).standard_normal(population_size)
    start = time.process_time()
    for generation in range(N_SERIAL):
        optimizer.ask(generation)
        optimizer.tell(scores)
    return (time.process_time() - start) / N_SERIAL


def measure_chunks(policy, center, task, population_size, n_episodes, n_workers):
    """Return the seconds and the bytes, there and back, of each chunk of a generation cut for so many workers."""
    noise = 0.001 * np.random.default_rng(0).standard_normal((population_size, policy.n_params))
    chunks = make_chunks(policy, center + noise, task, n_episodes, (0, 1, 0), n_workers)
    seconds = least_seconds(lambda: run_chunk(chunks[0]), 3, time.process_time)
    result = len(pickle.dumps(run_chunk(chunks[0])))
    return [seconds] * len(chunks), [len(pickle.dumps(chunk)) + result for chunk in chunks]


def do_nothing(chunk):
    """Stand in for a worker that takes no time."""


def measure_handover(policy, repetitions):
    """Return on what, and in how many seconds, a chunk of one candidate is handed to a worker that does nothing."""
    chunks = make_chunks(policy, np.zeros((256, policy.n_params)), ps.CartPoleSwingUp(), 16, 0, 256)
    with contextlib.ExitStack() as stack:
        try:
            from distributed import LocalCluster
        except ImportError:
            name, executor = "worker processes", ps.ProcessExecutor(1)
        else:
            # Many threads, as many workers would: with few, what counts is the wait for each, not the work.
            cluster = stack.enter_context(LocalCluster(n_workers=1, threads_per_worker=32, dashboard_address=None))
            name, executor = "Dask", ps.DaskExecutor(cluster.scheduler_address)
        stack.callback(executor.close)
        return name, least_seconds(lambda: list(executor.map(do_nothing, chunks)), repetitions) / len(chunks)


def model_chunks(seconds, sizes, n_workers, handover, megabits, latency):
    """Return the seconds that chunks take on so many workers, each given one whenever it is free."""
    free = [0.0] * n_workers
    sent = 0.0
    for chunk_seconds, size in zip(seconds, sizes):
        sent += handover + 8 * size / (megabits * 1e6)
        worker = free.index(min(free))
        free[worker] = max(free[worker], sent) + latency + chunk_seconds
    return max(free)


def measure_speedup(policy, population, task, n_episodes, repetitions):
    """Return the seconds of a generation's rollouts in one and in two worker processes."""
    result = []
    for n_jobs in (1, 2):
        with_workers = ps.ProcessExecutor(n_jobs)
        try:
            result.append(
                least_seconds(
                    lambda executor=with_workers: ps.rollout(policy, population, task, n_episodes, executor=executor),
                    repetitions,
                )
            )
        finally:
            with_workers.close()
    return result


def model_case(policy, params, task, population_size, n_episodes, diagonal, network):
    """Print what a generation is made of; return how many times as fast as on one it is, by the model."""
    serial = measure_serial(policy, population_size, diagonal)
    print(f"  ask and tell: {1000 * serial:.0f} ms")
    speedups, alone = [], None
    for n_workers in WORKERS:
        seconds, sizes = measure_chunks(policy, params, task, population_size, n_episodes, n_workers)
        scoring = measure_chunks(policy, params, task, 1, N_EVAL_EPISODES, n_workers)
        if alone is None:
            alone = serial + sum(seconds) + sum(scoring[0]) / EVAL_EVERY
        generation = serial + model_chunks(seconds, sizes, n_workers, *network)
        generation += model_chunks(*scoring, n_workers, *network) / EVAL_EVERY
        speedups.append(alone / generation)
        if n_workers in (WORKERS[0], WORKERS[-1]):
            print(
                f"  for {n_workers} workers: {len(seconds)} chunks of {1000 * seconds[0]:.0f} ms, "
                f"{sum(sizes) / 1e6:.2f} MB there and back"
            )
    return speedups


def main():
    """Measure, model, and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="cartpole-v1-invariant", help="a shipped model (default: %(default)s)")
    parser.add_argument("--megabits", type=float, default=1000, help="a second, of the network (default: %(default)s)")
    parser.add_argument("--latency", type=float, default=0.002, help="seconds a chunk (default: %(default)s)")
    parser.add_argument("--handover", type=float, help="seconds a chunk, of the trainer (default: as measured)")
    parser.add_argument("--repetitions", type=int, default=5, help="of each measurement (default: %(default)s)")
    options = parser.parse_args()
    machine.report()
    policy, params = ps.load_model(options.model)
    task = ps.CartPoleSwingUp("v1")

    population = params + 0.001 * np.random.default_rng(0).standard_normal((256, policy.n_params))
    one, two = measure_speedup(policy, population, task, 16, options.repetitions)
    print(f"rollouts of 256 candidates x 16 episodes: {one:.2f} s in one worker, {two:.2f} s in two: {one / two:.2f} x")

    handover = options.handover
    if handover is None:
        name, handover = measure_handover(policy, options.repetitions)
        print(f"handing a chunk over on {name}: {1000 * handover:.2f} ms")
    network = (handover, options.megabits, options.latency)

    cases = (
        ("256 x 16", 256, 16, False),
        ("256 x 16, --diagonal", 256, 16, True),
        ("1024 x 16, --diagonal", 1024, 16, True),
        ("1024 x 64, --diagonal", 1024, 64, True),
    )
    speedups = {}
    for name, *case in cases:
        print(name)
        speedups[name] = model_case(policy, params, task, *case, network)
    print(f"\nspeed-up by the model, with {options.megabits:.0f} Mbit/s and {1000 * options.latency:.0f} ms a chunk:")
    width = max(map(len, speedups))
    print(f"{'workers':{width}}" + "".join(f"{n:>7}" for n in WORKERS))
    for name, values in speedups.items():
        print(f"{name:{width}}" + "".join(f"{value:7.1f}" for value in values))


if __name__ == "__main__":
    main()
