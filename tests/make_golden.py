"""Compute tests/data/independent.npz: what the networks and the physics should give, by PyTorch (tested with 2.13).

    python tests/make_golden.py

It shares no code with the package. The networks are PyTorch's own modules in double precision, with random weights
rounded to single precision. The cart-pole's accelerations come from its Lagrangian, differentiated automatically:
a cart of mass 0.5 kg on a track with friction of 0.1 N s/m, and on it a homogeneous rod of 0.5 kg and 0.6 m that turns
by theta from upright, towards -x, under 9.82 m/s^2; 10 N for an action of one; explicit Euler steps of 0.01 s.
"""

import json
import math
import pathlib

import numpy as np
import torch

torch.set_default_dtype(torch.float64)

N_STEPS = 25
INVARIANT = {
    "cartpole": (5, {}),
    "cartpole_copies": (15, {"gain": 0.5}),
    "ant": (28, {"n_actions": 8, "n_embeddings": 32, "head_sizes": (32,), "bias": True, "scale": True}),
    "small": (
        3,
        {"n_actions": 2, "n_embeddings": 5, "proj_dim": 7, "hidden_size": 4, "head_sizes": (3,), "bias": True},
    ),
    "odd": (
        12,
        {"n_actions": 3, "n_embeddings": 9, "proj_dim": 6, "hidden_size": 5, "head_sizes": (8, 4), "scale": True},
    ),
    "one_input": (1, {"n_embeddings": 1, "proj_dim": 1, "hidden_size": 1}),
}
MLP = {
    "cartpole": {"n_features": 5, "n_actions": 1, "hidden_sizes": (16,)},
    "linear": {"n_features": 5, "n_actions": 1, "hidden_sizes": ()},
    "ant": {"n_features": 28, "n_actions": 8, "hidden_sizes": (32, 32)},
}


def head(sizes):
    """Return linear layers from sizes[0] to sizes[-1], each followed by a tanh."""
    layers = [(torch.nn.Linear(n_in, n_out), torch.nn.Tanh()) for n_in, n_out in zip(sizes[:-1], sizes[1:])]
    return torch.nn.Sequential(*(module for pair in layers for module in pair))


class AttentionNeuron(torch.nn.Module):
    """The network of Tang and Ha (2021), section 3.1, with a head."""

    def __init__(
        self, n_actions=1, n_embeddings=16, proj_dim=32, hidden_size=8, head_sizes=(), bias=False, scale=False, gain=1.0
    ):
        super().__init__()
        self.lstm = torch.nn.LSTMCell(1 + n_actions, hidden_size)
        self.query = torch.nn.Linear(hidden_size, proj_dim, bias)
        self.key = torch.nn.Linear(hidden_size, proj_dim, bias)
        self.head = head((n_embeddings, *head_sizes, n_actions))
        self.n_actions, self.gain = n_actions, gain
        self.divisor = math.sqrt(proj_dim) if scale else 1.0
        rows, columns = torch.arange(n_embeddings)[:, None], torch.arange(hidden_size)[None]
        angles = rows / 10_000 ** (2 * (columns // 2) / hidden_size)
        self.table = torch.where(columns % 2 == 0, torch.sin(angles), torch.cos(angles))

    def forward(self, observations):
        """Return actions (step, action), latent codes (step, embedding), and the last h and c (feature, hidden)."""
        state, action = None, torch.zeros(self.n_actions)
        actions, latents = [], []
        for observation in observations:
            told = action.expand(len(observation), self.n_actions)
            state = self.lstm(torch.cat([observation[:, None], told], dim=1), state)
            attention = torch.tanh(self.query(self.table) @ self.key(state[0]).T / self.divisor)
            latents.append(torch.tanh(self.gain * (attention @ observation)))
            action = self.head(latents[-1])
            actions.append(action)
        return torch.stack(actions), torch.stack(latents), *state


def randomize(network, generator, spread):
    """Give a network random weights, and return them as one vector, single precision."""
    vector = (spread * generator.standard_normal(sum(p.numel() for p in network.parameters()))).astype(np.float32)
    torch.nn.utils.vector_to_parameters(torch.from_numpy(vector.astype(np.float64)), network.parameters())
    return vector


def record_networks(generator):
    """Return name -> array for all networks."""
    arrays = {}
    for name, (n_features, sizes) in INVARIANT.items():
        network = AttentionNeuron(**sizes)
        params = randomize(network, generator, 0.4)
        observations = generator.standard_normal((N_STEPS, n_features)).astype(np.float32)
        results = network(torch.from_numpy(observations.astype(np.float64)))
        parts = dict(zip(("action", "latent", "hidden", "cell"), (result.detach().numpy() for result in results)))
        arrays.update({f"invariant_{name}_{part}": value.astype(np.float32) for part, value in parts.items()})
        arrays[f"invariant_{name}_params"], arrays[f"invariant_{name}_obs"] = params, observations
        arrays[f"invariant_{name}_sizes"] = np.array(json.dumps(sizes))
    for name, sizes in MLP.items():
        network = head((sizes["n_features"], *sizes["hidden_sizes"], sizes["n_actions"]))
        arrays[f"mlp_{name}_params"] = randomize(network, generator, 0.4)
        observations = generator.standard_normal((N_STEPS, sizes["n_features"])).astype(np.float32)
        arrays[f"mlp_{name}_obs"] = observations
        actions = network(torch.from_numpy(observations.astype(np.float64))).detach().numpy()
        arrays[f"mlp_{name}_action"] = actions.astype(np.float32)
        arrays[f"mlp_{name}_sizes"] = np.array(json.dumps(sizes))
    return arrays


def energies(place, speed):
    """Return the kinetic and the potential energy (J) at the places and speeds of cart (m) and rod (rad)."""
    half, mass, cart = 0.3, 0.5, 0.5
    x_dot, theta_dot = speed
    # The rod's middle is at (x - half sin(theta), half cos(theta)).
    middle = (x_dot - half * torch.cos(place[1]) * theta_dot, -half * torch.sin(place[1]) * theta_dot)
    inertia = mass * (2 * half) ** 2 / 12
    kinetic = 0.5 * cart * x_dot**2 + 0.5 * mass * (middle[0] ** 2 + middle[1] ** 2) + 0.5 * inertia * theta_dot**2
    return kinetic, mass * 9.82 * half * torch.cos(place[1])


def lagrangian(place, speed):
    kinetic, potential = energies(place, speed)
    return kinetic - potential


def accelerate(place, speed, action):
    """Solve the equations of Euler and Lagrange for the accelerations of cart and rod."""
    masses = torch.func.hessian(lagrangian, argnums=1)(place, speed)
    mixed = torch.func.jacfwd(torch.func.grad(lagrangian, argnums=1), argnums=0)(place, speed)
    slope = torch.func.grad(lagrangian, argnums=0)(place, speed)
    outside = torch.stack([10.0 * action - 0.1 * speed[0], torch.zeros(())])
    return torch.linalg.solve(masses, outside + slope - mixed @ speed)


def record_physics(generator):
    """Return name -> array of episodes of the cart-pole, and what each version says of their states."""
    n_episodes, n_steps = 6, 60
    states = generator.uniform(-1, 1, (n_episodes, 4)) * (2.3, 5.0, math.pi, 8.0)
    actions = generator.uniform(-1, 1, (n_steps, n_episodes))
    trajectory = [torch.from_numpy(states)]
    for forces in torch.from_numpy(actions):
        moved = []
        for state, force in zip(trajectory[-1], forces):
            place, speed = state[0::2], state[1::2]
            moved_place, moved_speed = place + 0.01 * speed, speed + 0.01 * accelerate(place, speed, force)
            moved.append(torch.stack([moved_place[0], moved_speed[0], moved_place[1], moved_speed[1]]))
        trajectory.append(torch.stack(moved))
    after = torch.stack(trajectory[1:])
    upright, x = torch.cos(after[:, :, 2]), after[:, :, 0]
    rewards = {"harder": (1 + upright) / 2 * torch.cos(math.pi * x / 4.8), "v0": upright, "v1": (1 + upright) / 2}
    return {
        "physics_state": torch.stack(trajectory).numpy(), "physics_action": actions,
        **{f"physics_reward_{version}": reward.numpy() for version, reward in rewards.items()},
    }  # fmt: skip


if __name__ == "__main__":
    rng = np.random.default_rng(20211)
    out = pathlib.Path(__file__).parent / "data" / "independent.npz"
    np.savez_compressed(out, **record_networks(rng), **record_physics(rng))
    print(f"wrote {out} ({out.stat().st_size / 1000:.0f} kB)")
