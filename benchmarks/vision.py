"""How fast the agents that see are on one core, beside the same networks in PyTorch where it is installed.

    python benchmarks/vision.py

An invariant agent's time depends on what it sees: patches that are alike count as one, and in "noise" none are.
Each is measured in blocks of many calls, as a robot runs one network and not two in turn; ours and PyTorch's take turns
by blocks, in processor time, and medians are compared: on a busy machine their ratio holds, where the times do not. The
yardstick is a product of two matrices of 512 x 512 in float32, in the same turns. "As they come" is ours without what
makes it exact: patches in no order of their own, none counted for others, all sums in float32.
"""

from __future__ import annotations

import argparse
import statistics
import time
import tracemalloc
from unittest import mock

import machine  # before NumPy: one thread
import numpy as np

import pisensory as ps
from pisensory.layers import patches as patch_layer

try:
    import torch
    import torch_eyes

    torch.set_num_threads(1)
except ImportError:
    torch = None

IN_A_BLOCK = 40  # calls of one before the turn of the next
WARMING = 5  # of them, the first, which find another's numbers in the cache and do not count
N_BATCH = 8  # episodes stepped together
N_PICTURES = 32  # in a batch for the gradient


def busy(n_frames, size, n_colors, patches):
    """Return patches (feature, channel) of which no two are alike: the most work there can be."""
    fine = np.random.default_rng(0).integers(0, 256, (size + n_frames, size, n_colors))
    stack = np.stack([fine[step : step + size] for step in range(n_frames)])
    return patches.cut(stack.astype(np.uint8))


def drive(n_frames, size, n_colors, patches):
    """Return patches of a road that bends through squares of grass: about as many are of one gray as in the game."""
    rows, columns = np.indices((size, size))
    stack = np.empty((n_frames, size, size, n_colors), np.uint8)
    for step in range(n_frames):
        grass = np.where((rows + 3 * step) // 24 % 2 * (columns // 24 % 2), 170, 155)
        middle = size / 2 + 12 * np.sin((rows - 3 * step) / 30)
        stack[step] = np.where(np.abs(columns - middle) < 11, 102, grass)[..., None]
    stack[:, 7 * size // 8 :] = 0
    return patches.cut(stack)


def rally(n_frames, size, n_colors, patches):
    """Return patches of a game of Pong."""
    stack = np.full((n_frames, size, size, n_colors), 87, np.uint8)
    stack[:, :10] = 0
    stack[:, 10:14] = stack[:, 77:] = 236
    for step in range(n_frames):
        stack[step, 30 + step : 38 + step, 9:11] = 130
        stack[step, 50:58, 73:75] = 147
        stack[step, 40 + 2 * step : 42 + 2 * step, 40 + 2 * step] = 236
    return patches.cut(stack)


def random_params(policy):
    """Return a vector (parameter,) of the size of trained ones."""
    rng = np.random.default_rng(1)
    return (policy.initial(rng) + 0.05 * rng.standard_normal(policy.n_params)).astype(np.float32)


def in_turns(functions, n_blocks, in_a_block=IN_A_BLOCK, warming=WARMING):
    """Return the median milliseconds of each function, called in blocks, which take turns."""
    times = [[] for _ in functions]
    for _ in range(n_blocks):
        for function, taken in zip(functions, times):
            for number in range(in_a_block):
                start = time.process_time()
                function()
                if number >= warming:
                    taken.append(time.process_time() - start)
    return [1e3 * statistics.median(taken) for taken in times]


def tell(name, times, share=1):
    """Print the milliseconds of ours and PyTorch's, if that was measured, and the ratio."""
    *ours, yardstick = [taken / share for taken in times[:-1]] + [times[-1]]
    theirs = f", PyTorch {ours[1]:6.2f} ms: {ours[1] / ours[0]:.2f} times as fast" if len(ours) > 1 else ""
    print(f"{name:42s} {ours[0]:6.2f} ms{theirs} (yardstick {yardstick:.2f} ms)", flush=True)


def yardstick():
    """Multiply two matrices."""
    return YARD @ YARD


YARD = np.random.default_rng(0).standard_normal((512, 512)).astype(np.float32)


def measure_steps(name, policy, seen, network, n_blocks):
    """Print the time of a step of one agent, and of each of several together."""
    params = random_params(policy)
    agent = policy.agent(params)
    functions = [lambda: agent.act(seen)]
    if torch is not None:
        net, one = network(policy, params, 1), torch.tensor(seen)[None]
        functions.append(lambda: net.act(one))
    tell(f"{name}, a step alone", in_turns([*functions, yardstick], n_blocks))

    run = policy.start(policy.prepare(params[None]), len(seen), N_BATCH)
    batch = np.repeat(seen[None, None], N_BATCH, axis=1).transpose(0, 2, 3, 1)  # in memory, one after the other

    def step():
        run.observations[...] = batch
        run.step()

    functions = [step]
    if torch is not None:
        nets, many = network(policy, params, N_BATCH), torch.tensor(seen)[None].repeat(N_BATCH, 1, 1)
        functions.append(lambda: nets.act(many))
    tell(f"{name}, a step of {N_BATCH} together", in_turns([*functions, yardstick], n_blocks), N_BATCH)


def as_they_come(seen):
    """Return patches as `distinct` does, but in the order in which they came, each for itself."""
    return patch_layer.Distinct(seen, np.ones(len(seen)), np.arange(len(seen)))


def measure_exactness(name, policy, seen, n_blocks):
    """Print the time of a step of one agent, and without what makes it exact."""
    weights = policy.prepare(random_params(policy)[None])
    runs = [policy.start(each, len(seen), 1) for each in (weights, [array.astype(np.float32) for array in weights])]
    for run in runs:
        run.observations[0, :, :, 0] = seen

    def plain():
        with mock.patch.object(patch_layer, "distinct", as_they_come):
            runs[1].step()

    ours, theirs = in_turns([runs[0].step, plain], n_blocks)
    print(f"{name:42s} {ours:6.2f} ms, as they come {theirs:6.2f} ms: {ours / theirs - 1:+.0%}", flush=True)


class TorchPong:
    """A `PatchPolicy` with the head "dense" in PyTorch."""

    def __init__(self, policy, params, n_pictures):
        self.policy, (self.named, self.flat) = policy, torch_eyes.named_tensors(policy, params)
        self.before = torch.zeros(n_pictures, policy.n_actions)

    def actions(self, patches):
        """Return the actions (picture, action), with a way back."""
        return torch_eyes.dense_head(
            self.policy, self.named, torch_eyes.latent_code(self.policy, self.named, patches, self.before)
        )

    def act(self, patches):
        """Return the actions (picture, action)."""
        with torch.inference_mode():
            return self.actions(patches)


def measure_gradient(name, policy, seen, n_blocks):
    """Print the time of a picture's way forward and back, and what the batch takes of memory."""
    params = random_params(policy)
    stacked = np.repeat(seen[None], N_PICTURES, axis=0)
    stacked += np.random.default_rng(0).integers(0, 9, stacked.shape)
    observations = stacked.transpose(1, 2, 0)[None]
    d_actions = np.random.default_rng(1).standard_normal((1, policy.n_actions, N_PICTURES)).astype(np.float32)

    def ours():
        return policy.unroll(params, observations).gradient(d_actions)

    functions = [ours]
    if torch is not None:
        net = TorchPong(policy, params, N_PICTURES)
        leaf = net.flat.requires_grad_()
        patches = torch.tensor(stacked)
        weights = torch.tensor(d_actions[0].T.copy())

        def theirs():
            leaf.grad = None
            net.named = {key: leaf[place].reshape(shape) for key, (place, shape) in policy.layout.items()}
            (net.actions(patches) * weights).sum().backward()
            return leaf.grad.numpy()

        difference = np.linalg.norm(ours() - theirs()) / np.linalg.norm(theirs())
        assert difference < 1e-2, f"the gradients differ by {difference}"  # a relu at its kink may fall either way
        functions.append(theirs)
    tell(f"{name}, forward and back", in_turns([*functions, yardstick], n_blocks, 4, 1), N_PICTURES)
    tracemalloc.start()
    ours()
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    print(f"    memory of {N_PICTURES} pictures forward and back: {peak:.0f} MB")


def measure_task(name, task, n_steps, n_episodes=4):
    """Print a task's steps a second of processor time, pictures and patches included."""
    run = task.start(0, np.arange(n_episodes)[None])
    out = np.zeros((1, n_episodes, task.n_features, task.n_channels), np.float32).transpose(0, 2, 3, 1)
    alive = np.ones((1, n_episodes), bool)
    actions = np.zeros((1, task.n_actions, n_episodes), np.float32)
    actions[:, -1] = -1
    run.observe(out)
    start = time.process_time()
    for _ in range(n_steps):
        run.step(actions, alive)
        run.observe(out)
    seconds = time.process_time() - start
    print(f"{name:42s} {n_steps * n_episodes / seconds:6.0f} steps a second", flush=True)


def main():
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--blocks", type=int, default=6, help="of each, of 40 calls (default: %(default)s)")
    n_blocks = parser.parse_args().blocks
    machine.report()
    print(f"PyTorch {torch.__version__ if torch else 'not installed'}, one thread")
    cut = ps.Patches(6, 6)
    car, color, pong = drive(4, 96, 1, cut), busy(1, 96, 3, ps.Patches(7, 4)), rally(4, 84, 1, cut)
    networks = (torch_eyes.InvariantDriver, torch_eyes.AttentionAgent, TorchPong) if torch else (None,) * 3
    measure_steps("invariant CarRacing", ps.PatchPolicy.car_racing(), car, networks[0], n_blocks)
    noise = busy(4, 96, 1, cut)
    measure_steps("invariant CarRacing, noise", ps.PatchPolicy.car_racing(), noise, networks[0], n_blocks)
    measure_steps("AttentionAgent", ps.AttentionAgentPolicy.car_racing(), color, networks[1], n_blocks)
    measure_steps("invariant Pong", ps.PatchPolicy.pong(), pong, networks[2], n_blocks)
    noise = busy(4, 84, 1, cut)
    measure_steps("invariant Pong, noise", ps.PatchPolicy.pong(), noise, networks[2], n_blocks)
    for name, policy, pictures in (
        ("CarRacing", ps.PatchPolicy.car_racing(), {"": car, ", noise": busy(4, 96, 1, cut)}),
        ("Pong", ps.PatchPolicy.pong(), {"": pong, ", noise": noise}),
    ):
        for kind, seen in pictures.items():
            measure_exactness(f"{name}{kind}, exact", policy, seen, n_blocks)
    small = ps.PatchPolicy(grid=(16, 16), head="dense", convolutions=((16, 4, 2), (16, 3, 1)), head_sizes=(32,))
    measure_gradient("invariant Pong", ps.PatchPolicy.pong(), pong, n_blocks)
    measure_gradient("a small driver", small, car, n_blocks)
    for name, settings in (
        ("CarRacing, gray", {}), ("CarRacing, color", {"view": "color"}),
        ("CarRacing, Gymnasium's picture", {"picture": "gymnasium"}),
    ):  # fmt: skip
        try:
            measure_task(name, ps.CarRacingTask(**settings), 50 if "picture" in settings else 250)
        except ps.MissingExtraError as error:
            print(f"{name}: {error}")
    try:
        measure_task("Pong", ps.PongTask(), 250)
    except ps.MissingExtraError as error:
        print(f"Pong: {error}")


if __name__ == "__main__":
    main()
