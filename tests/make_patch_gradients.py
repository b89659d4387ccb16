"""Makes data/patch_gradients.npz with PyTorch: random weights, patches and targets, actions, autograd's gradient.

PYTHONPATH=.:benchmarks python tests/make_patch_gradients.py
"""

import json
import pathlib

import numpy as np
import torch
from torch_eyes import dense_head, latent_code, named_tensors

import pisensory as ps

POLICIES = {
    "convolutions": ps.PatchPolicy(
        n_actions=3, grid=(6, 5), n_frames=3, patch_size=2, proj_dim=4, table_size=4, norm_weights=True,
        time_first=True, head="dense", convolutions=((5, 3, 2), (4, 2, 1)), head_sizes=(7,), discrete=True,
    ),
    "dense": ps.PatchPolicy(
        n_actions=2, grid=(3, 4), n_frames=4, patch_size=2, proj_dim=3, table_size=6, head="dense", head_sizes=(6, 5)
    ),
}  # fmt: skip


def main():
    arrays = {}
    for name, policy in POLICIES.items():
        rng = np.random.default_rng(len(arrays))
        params = policy.initial(rng) + 0.3 * rng.standard_normal(policy.n_params)
        observations = rng.integers(0, 256, (2, 7, policy.n_channels, 3)).astype(np.uint8)
        targets, previous = rng.standard_normal((2, 2, policy.n_actions, 3))
        named, flat = named_tensors(policy, params, torch.float64)
        flat.requires_grad_()
        named = {key: flat[place].reshape(shape) for key, (place, shape) in policy.layout.items()}
        patches = torch.tensor(observations.transpose(0, 3, 1, 2).reshape(6, 7, -1).astype(np.float64))
        before = torch.tensor(previous.transpose(0, 2, 1).reshape(6, -1))
        actions = dense_head(policy, named, latent_code(policy, named, patches, before))
        actions = actions.unflatten(0, (2, 3)).transpose(1, 2)
        (0.5 * ((actions - torch.tensor(targets)) ** 2).sum()).backward()
        saved = {
            "config": json.dumps(policy.config), "params": params, "observations": observations, "targets": targets,
            "previous_actions": previous, "actions": actions.detach().numpy(), "gradient": flat.grad.numpy(),
        }  # fmt: skip
        arrays.update({f"{name}_{key}": value for key, value in saved.items()})
    np.savez_compressed(pathlib.Path(__file__).parent / "data" / "patch_gradients.npz", **arrays)


if __name__ == "__main__":
    main()
