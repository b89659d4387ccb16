"""The networks and the physics against numbers recorded from the original systems."""

import json

import numpy as np
import pytest

import pisensory as ps
from pisensory.tasks.cartpole import CartPoleRun

INVARIANT = ["cartpole_n5", "cartpole_n10", "cartpole_n15", "ant_n28", "random0", "random1", "random2"]
# The recorded latent codes are themselves up to 1.7e-5 from those computed in float64, and ours 2.8e-5: sums of
# 15 inputs as large as 6 whose attention is the difference of large numbers. Actions agree to 1e-6.
LATENT = 4e-5
VIDEO = {
    "video_invariant_ours": ps.InvariantPolicy(),
    "video_mlp": ps.MLPPolicy(),
    "video_linear": ps.MLPPolicy(hidden_sizes=()),
}


def invariant_policy(config):
    return ps.InvariantPolicy(
        n_actions=config["act_dim"],
        n_embeddings=config["hidden_dim"],
        proj_dim=config["msg_dim"],
        hidden_size=config["pos_em_dim"],
        head_sizes=(config["hidden_dim"],) * config["num_hidden_layers"],
        bias=config["pi_layer_bias"],
        scale=config["pi_layer_scale"],
    )


@pytest.mark.parametrize("name", INVARIANT)
def test_invariant_policy_agrees_step_by_step(reference, name):
    # The previous action fed back is the recorded one: some of these networks are chaotic, and amplify the
    # last bit of an action a thousandfold within ten steps, in the original as here.
    data = np.load(reference / "golden" / f"invariant_{name}.npz")
    policy = invariant_policy(json.loads(str(data["config"])))
    run = policy.start(policy.prepare(data["params"][None]), data["obs"].shape[1], 1)
    for step, observation in enumerate(data["obs"]):
        run.observations[0, :, 0, 0] = observation
        run.step()
        np.testing.assert_allclose(run.actions[0, :, 0], data["action"][step], rtol=0, atol=1e-5)
        np.testing.assert_allclose(run.latent[0, :, 0], data["latent"][step], rtol=0, atol=LATENT)
        np.testing.assert_allclose(run.hidden[0, :, :, 0], data["h"][step], rtol=0, atol=1e-5)
        np.testing.assert_allclose(run.cell[0, :, :, 0], data["c"][step], rtol=0, atol=1e-5)
        run.actions[0, :, 0] = data["action"][step]


@pytest.mark.parametrize("name", ["cartpole_n5", "cartpole_n10", "cartpole_n15", "random0", "random2"])
def test_agent_agrees_over_whole_episodes(reference, name):
    data = np.load(reference / "golden" / f"invariant_{name}.npz")
    agent = invariant_policy(json.loads(str(data["config"]))).agent(data["params"])
    for observation, action, latent in zip(data["obs"], data["action"], data["latent"]):
        np.testing.assert_allclose(agent.act(observation), action, rtol=0, atol=1e-5)
        np.testing.assert_allclose(agent.latent, latent, rtol=0, atol=LATENT)


@pytest.mark.parametrize("name", ["ant", "random"])
def test_mlp_agrees(reference, name):
    data = np.load(reference / "golden" / f"mlp_{name}.npz")
    config = json.loads(str(data["config"]))
    hidden_sizes = (config["hidden_dim"],) * (config["num_hidden_layers"] + 1)
    agent = ps.MLPPolicy(config["obs_dim"], config["act_dim"], hidden_sizes).agent(data["params"])
    actions = [agent.act(observation) for observation in data["obs"]]
    np.testing.assert_allclose(actions, data["action"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", VIDEO)
def test_video_policies_agree(reference, name):
    data = np.load(reference / "golden" / f"{name}.npz")
    agent = VIDEO[name].agent(data["params"])
    actions = [agent.act(observation)[0] for observation in data["obs"]]
    np.testing.assert_allclose(actions, data["action"], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("version", "tolerance"), [("harder", 1e-9), ("v0", 1e-4), ("v1", 1e-4)])
def test_cartpole_agrees(reference, version, tolerance):
    data = np.load(reference / "golden" / "cartpole_env.npz")
    run = CartPoleRun(version, data[f"{version}_initial_state"].T[:, None].copy())
    actions = np.clip(data[f"{version}_action"], -1, 1)
    n_episodes, n_steps = actions.shape
    observations = np.empty((1, 5, n_episodes))
    run.observe(observations[:, :, None])
    np.testing.assert_allclose(observations[0].T, data[f"{version}_initial_obs"], rtol=0, atol=max(tolerance, 1e-7))
    for step in range(n_steps):
        rewards, over = run.step(actions[None, None, :, step], np.ones((1, n_episodes), bool))
        run.observe(observations[:, :, None])
        np.testing.assert_allclose(run.state[:, 0].T, data[f"{version}_state"][:, step], rtol=0, atol=tolerance)
        np.testing.assert_allclose(observations[0].T, data[f"{version}_obs"][:, step], rtol=0, atol=tolerance)
        np.testing.assert_allclose(rewards[0], data[f"{version}_reward"][:, step], rtol=0, atol=tolerance)
        # The recorded flag counts the limit on time too, which is the rollout's business here.
        np.testing.assert_array_equal(over[0], data[f"{version}_done"][:, step])


@pytest.mark.parametrize(
    ("perturbation", "gain", "mean", "deviation"),
    [
        (ps.Perturbation(), 1.0, 498, 421),
        (ps.Perturbation(shuffle=True), 1.0, 498, 421),
        (ps.Perturbation(n_copies=2, shuffle=True), 0.5, 498, 421),
        (ps.Perturbation(n_noise=5), 0.5, 482, 405),
        (ps.Perturbation(n_noise=5, shuffle=True), 1.0, 485, 411),
        (ps.Perturbation(n_noise=10), 1.0, 465, 399),
        (ps.Perturbation(reshuffle_every=100), 1.0, 257, 254),
    ],
)
def test_published_weights_score_what_they_should(published, perturbation, gain, mean, deviation):
    # Means and deviations of an independent run of 20,000 episodes (paper.json); three standard errors of ours.
    task = ps.CartPoleSwingUp("harder", perturbation=perturbation)
    result = ps.evaluate(ps.InvariantPolicy(gain=gain), published, task, n_episodes=1000, seed=1)
    assert abs(result.mean - mean) < 3 * deviation / np.sqrt(1000)
    assert abs(result.std - deviation) < 0.1 * deviation
