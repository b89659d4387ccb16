"""The networks and the physics against an independent implementation in PyTorch: tests/make_golden.py."""

import json
import pathlib

import numpy as np
import pytest

import pisensory as ps
from pisensory.tasks.cartpole import CartPoleRun

DATA = np.load(pathlib.Path(__file__).parent / "data" / "independent.npz", allow_pickle=False)


def names(kind):
    return sorted(name[len(kind) + 1 : -len("_params")] for name in DATA if name.startswith(kind) and "params" in name)


def recorded(kind, name, *parts):
    return [DATA[f"{kind}_{name}_{part}"] for part in parts]


@pytest.mark.parametrize("name", names("invariant"))
def test_invariant_policies_agree_over_an_episode(name):
    params, observations, actions, latents, hidden, cell = recorded(
        "invariant", name, "params", "obs", "action", "latent", "hidden", "cell"
    )
    policy = ps.InvariantPolicy(**json.loads(str(DATA[f"invariant_{name}_sizes"])))
    agent = policy.agent(params)
    for observation, action, latent in zip(observations, actions, latents):
        np.testing.assert_allclose(agent.act(observation), action, rtol=0, atol=1e-5)
        np.testing.assert_allclose(agent.latent, latent, rtol=0, atol=1e-5)
    inside = agent.inside()
    np.testing.assert_allclose(inside["hidden"], hidden, rtol=0, atol=1e-5)
    np.testing.assert_allclose(inside["cell"], cell, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", names("mlp"))
def test_mlp_policies_agree(name):
    params, observations, actions = recorded("mlp", name, "params", "obs", "action")
    agent = ps.MLPPolicy(**json.loads(str(DATA[f"mlp_{name}_sizes"]))).agent(params)
    np.testing.assert_allclose([agent.act(observation) for observation in observations], actions, rtol=0, atol=1e-6)


@pytest.mark.parametrize("version", ["harder", "v0", "v1"])
def test_cart_pole_agrees_over_episodes(version):
    states, actions, rewards = (DATA[f"physics_{name}"] for name in ("state", "action", f"reward_{version}"))
    run = CartPoleRun(version, states[0].T[:, None].copy())
    observed = np.empty((1, 5, 1, states.shape[1]))
    for state, action, reward in zip(states[1:], actions, rewards):
        earned, over = run.step(action[None, None], np.ones((1, len(action)), bool))
        run.observe(observed)
        x, x_dot, theta, theta_dot = state.T
        np.testing.assert_allclose(run.state[:, 0], state.T, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(earned[0], reward, rtol=0, atol=1e-9)
        np.testing.assert_array_equal(over[0], np.abs(x) > 2.4)
        np.testing.assert_allclose(
            observed[0, :, 0], [x, x_dot, np.cos(theta), np.sin(theta), theta_dot], rtol=1e-9, atol=1e-9
        )
