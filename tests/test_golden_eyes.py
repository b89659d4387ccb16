"""The agents that see, against numbers of the published networks, step by step."""

import numpy as np
import pytest

import pisensory as ps


def load(reference, name):
    return np.load(reference / "golden" / f"{name}.npz")


def test_sizes_are_the_published_ones():
    assert ps.PatchPolicy.car_racing().n_params == 7212
    assert ps.PatchPolicy.pong().n_params == 1_687_726
    assert ps.AttentionAgentPolicy.car_racing().n_params == 3667


def test_attention_agent_drives_as_published(reference):
    golden = load(reference, "attention_agent_carracing")
    agent = ps.AttentionAgentPolicy.car_racing().agent(golden["params"])
    for frame, action in zip(golden["frames"], golden["action"]):
        acted = agent.act(ps.Patches(7, 4).cut(frame[None]))
        np.testing.assert_allclose(acted, action, rtol=0, atol=1e-5)


@pytest.mark.parametrize("shuffled", [False, True])
def test_invariant_agent_drives_as_published(reference, shuffled):
    golden = load(reference, "invariant_carracing")
    agent = ps.PatchPolicy.car_racing().agent(golden["params"])
    rng = np.random.default_rng(0)
    gray = golden["gray"].copy()
    gray[:, 84:] = 0
    for step, (action, alpha) in enumerate(zip(golden["action"], golden["alpha"])):
        patches = ps.Patches(6, 6).cut(gray[step : step + 4])
        acted = agent.act(rng.permutation(patches) if shuffled else patches)
        np.testing.assert_allclose(acted, action, rtol=0, atol=1e-5)
        np.testing.assert_allclose(agent.latent, golden["latent"][step], rtol=0, atol=1e-5)
        np.testing.assert_allclose(agent.inside()["share"], alpha, rtol=0, atol=1e-5)


@pytest.mark.parametrize("shuffled", [False, True])
def test_invariant_agent_plays_as_published(reference, shuffled):
    golden = load(reference, "invariant_pong")
    params = np.random.default_rng(int(golden["params_rng_seed"])).standard_normal(int(golden["n_params"]))
    params = (params * golden["params_scale"]).astype(np.float32)
    agent = ps.PatchPolicy.pong().agent(params)
    rng = np.random.default_rng(0)
    for step, logits in enumerate(golden["logits"]):
        patches = ps.Patches(6, 6).cut(golden["frames"][step : step + 4])
        if step == golden["occluded_from_step"]:
            agent.reset()  # another number of patches
        if step >= golden["occluded_from_step"]:
            patches = patches[golden["patches_kept"]]
        acted = agent.act(rng.permutation(patches) if shuffled else patches)
        np.testing.assert_allclose(acted, logits, rtol=0, atol=1e-5)
        assert acted.argmax() == golden["action"][step]
        np.testing.assert_allclose(agent.latent, golden["latent"][step], rtol=0, atol=1e-5)
