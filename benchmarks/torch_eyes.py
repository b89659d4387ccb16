"""The agents that see, in PyTorch, of the same flat vectors: to compare numbers and speed with."""

import math

import numpy as np
import torch
from torch.nn import functional

from pisensory.layers import positional_table
from pisensory.policies.voting_head import places_of


def named_tensors(policy, params, dtype=torch.float32):
    """Return the policy's arrays by name as tensors, cut from one flat tensor, and that."""
    flat = torch.tensor(np.asarray(params), dtype=dtype)
    return {name: flat[place].reshape(shape) for name, (place, shape) in policy.layout.items()}, flat


def latent_code(policy, named, patches, previous_action):
    """Return m (picture, place, channel) of gray patches (picture, feature, channel)."""
    pixels = (patches / 255).unflatten(2, (policy.n_frames, -1))
    changes = pixels[:, :, 1:] - pixels[:, :, :-1]
    changes = (changes if policy.time_first else changes.transpose(2, 3)).flatten(2)
    previous = previous_action[:, None].expand(-1, changes.shape[1], -1)
    keys = functional.linear(torch.cat([changes, previous], dim=2), named["w_key"], named["b_key"])
    normed = functional.layer_norm(pixels, pixels.shape[-1:], named.get("g_pixel"), named.get("c_pixel"))
    values = functional.linear(normed.flatten(2), named["w_value"], named["b_value"])
    table = torch.tensor(positional_table(policy.n_places, policy.table_size), dtype=patches.dtype)
    queries = functional.linear(table, named["w_query"], named["b_query"])
    weights = torch.softmax(queries @ keys.transpose(1, 2) / math.sqrt(policy.proj_dim), dim=-1)
    sums = torch.relu(weights @ values)
    return functional.layer_norm(sums, sums.shape[-1:], named.get("g_latent"), named.get("c_latent"))


def dense_head(policy, named, latent):
    """Return the actions (picture, action) of the head "dense"."""
    x = torch.relu(latent).transpose(1, 2).unflatten(2, policy.grid)
    for number, (_, _, stride) in enumerate(policy.convolutions):
        x = torch.relu(functional.conv2d(x, named[f"w_window{number}"], named[f"b_window{number}"], stride))
    x = x.flatten(1)
    for number in range(len(policy.head_sizes) + 1):
        x = functional.linear(x, named[f"head{number}_weight"], named[f"head{number}_bias"])
        if number < len(policy.head_sizes):
            x = torch.relu(x)
    return x if policy.discrete else torch.tanh(x)


class VoteHead:
    """The head of agents that vote, in the middle of an episode each."""

    def __init__(self, policy, named, centres, scale, n_pictures):
        self.policy, self.named, self.scale = policy, named, scale
        self.centres = torch.tensor(centres, dtype=torch.float32)
        self.hidden = torch.zeros(n_pictures, policy.lstm_size)
        self.cell = torch.zeros(n_pictures, policy.lstm_size)

    def act(self, x):
        """Return the actions (picture, action) on places (picture, place, channel)."""
        named = self.named
        voters = functional.linear(x, named["w_voter"], named["b_voter"])
        choices = functional.linear(x, named["w_choice"], named["b_choice"])
        votes = torch.softmax(voters @ choices.transpose(1, 2) / self.scale, dim=-1).sum(dim=1)
        places = torch.topk(votes, self.policy.n_votes, dim=1).indices
        lstm = (named[name] for name in ("w_input", "w_hidden", "b_input", "b_hidden"))
        seen = self.centres[places].flatten(1)
        self.hidden, self.cell = torch.lstm_cell(seen, (self.hidden, self.cell), *lstm)
        return torch.tanh(functional.linear(self.hidden, named["w_action"], named["b_action"]))


class InvariantDriver:
    """A `PatchPolicy` with the head "vote"."""

    def __init__(self, policy, params, n_pictures=1):
        self.policy, (self.named, _) = policy, named_tensors(policy, params)
        self.head = VoteHead(policy, self.named, places_of(policy.grid) / np.array(policy.grid), 1, n_pictures)
        self.action, self.mean, self.share = torch.zeros(n_pictures, policy.n_actions), 0, torch.zeros(n_pictures, 1, 1)

    def act(self, patches):
        """Return the actions (picture, action) on patches (picture, feature, channel)."""
        with torch.inference_mode():
            latent = latent_code(self.policy, self.named, patches, self.action)
            self.mean = (1 - self.share) * latent + self.share * self.mean
            self.action = self.head.act(self.mean)
            heard = torch.cat([self.head.hidden, self.action], dim=1)
            gate = torch.tanh(functional.linear(heard, self.named["gate0_weight"], self.named["gate0_bias"]))
            gate = functional.linear(gate, self.named["gate1_weight"], self.named["gate1_bias"])
            self.share = torch.sigmoid(gate)[:, :, None]
            return self.action


class AttentionAgent:
    """An `AttentionAgentPolicy`."""

    def __init__(self, policy, params, n_pictures=1):
        named, _ = named_tensors(policy, params)
        centres = (places_of(policy.grid) * policy.stride + policy.patch_size // 2) / policy.picture_size
        self.head = VoteHead(policy, named, centres, math.sqrt(policy.vote_dim), n_pictures)

    def act(self, patches):
        """Return the actions (picture, action) on patches (picture, feature, channel)."""
        with torch.inference_mode():
            return self.head.act(patches / 255)
