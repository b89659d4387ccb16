"""Agents in C: compiled, and compared with the agent in Python."""

import ctypes
import shutil
import subprocess
import sys

import numpy as np
import pytest

import pisensory as ps

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
STRICT = ["-std=c99", "-O2", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wdouble-promotion", "-Werror"]
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler here: no cc, gcc or clang")

POLICIES = {
    "small": ps.InvariantPolicy(),
    "deep": ps.InvariantPolicy(3, 5, 4, 6, (7, 2), bias=True, scale=True, gain=0.3),
    "linear": ps.MLPPolicy(4, 2, ()),
    "mlp": ps.MLPPolicy(28, 8, (32, 32)),
}


def compiled(policy, params, folder, *options):
    """Return the program that the policy becomes, which reads observations and writes actions."""
    ps.export_c(folder / "agent.c", policy, params)
    command = [COMPILER, *STRICT, *options, "-DAGENT_MAIN", "agent.c", "-o", "agent", "-lm"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr

    def act(observations):
        text = "".join(" ".join(f"{value:.9g}" for value in values) + "\n" for values in observations)
        return subprocess.run([folder / "agent"], input=text, capture_output=True, text=True, timeout=60)

    return act


def read(output):
    assert output.returncode == 0, output.stderr
    return np.array([[float(number) for number in line.split()] for line in output.stdout.splitlines()])


def drawn(policy, seed=0):
    return 0.5 * policy.initial(np.random.default_rng(seed)) + 0.01


@needs_compiler
@pytest.mark.parametrize("name", POLICIES)
def test_actions_agree_over_episodes(name, tmp_path):
    policy, rng = POLICIES[name], np.random.default_rng(1)
    params, n_features = drawn(policy), policy.n_features or 6
    agent = policy.agent(params)
    act = compiled(policy, params, tmp_path)
    seen = rng.standard_normal((2, 500, n_features)).astype(np.float32)
    expected = []
    for episode in seen:
        agent.reset()
        expected += [agent.act(values) for values in episode]
    actions = read(act([*seen[0], [], *seen[1]]))  # an empty line begins the second
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(actions, expected, rtol=0, atol=1e-6)


@needs_compiler
@pytest.mark.parametrize("model", ["cartpole-invariant", "cartpole-invariant-small", "cartpole-mlp"])
def test_trained_agents_agree_over_an_episode(model, tmp_path):
    policy, params = ps.load_model(model)
    recording = ps.record(policy, params, ps.CartPoleSwingUp("harder"), seed=3)
    actions = read(compiled(policy, params, tmp_path)(recording.observations[:, :, 0, 0]))
    assert len(actions) > 30 and np.abs(actions).max() > 0.9
    np.testing.assert_allclose(actions, recording.actions[:, :, 0], rtol=0, atol=1e-6)


@needs_compiler
def test_every_step_of_a_long_episode_agrees(tmp_path):
    """The actions fed back are those of Python: what rounds otherwise would grow from step to step."""
    policy, params = ps.load_model("cartpole-v1-invariant")
    ps.export_c(tmp_path / "agent.c", policy, params)
    command = [COMPILER, "-std=c99", "-O2", "-shared", "-fPIC", "agent.c", "-o", "agent.so", "-lm"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    library, number = ctypes.CDLL(str(tmp_path / "agent.so")), ctypes.c_float
    state = number * (32 * policy.hidden_size)

    class State(ctypes.Structure):
        _fields_ = (("doubled_hidden", state), ("cell", state), ("action", number * 1))

    recording = ps.record(policy, params, ps.CartPoleSwingUp("v1"), seed=0)
    inside, action = State(), (number * 1)()
    library.agent_reset(ctypes.byref(inside))
    for values, expected in zip(recording.observations[:, :, 0, 0], recording.actions[:, 0, 0]):
        assert library.agent_act(ctypes.byref(inside), (number * 5)(*values), 5, action) == 0
        assert abs(action[0] - expected) < 2e-5
        inside.action[0] = expected
    assert len(recording.actions) == 1000


@needs_compiler
def test_order_changes_no_bit_and_inputs_come_and_go(tmp_path):
    policy, rng = POLICIES["deep"], np.random.default_rng(2)
    params = drawn(policy)
    act, agent = compiled(policy, params, tmp_path), policy.agent(params)
    seen = rng.standard_normal((60, 9))
    assert act(seen).stdout == act(seen[:, rng.permutation(9)]).stdout
    seen[20:, 4] = np.nan  # one dies,
    seen[:40, 8] = np.nan  # and another joins
    seen[rng.random(seen.shape) < 0.05] = np.nan
    expected = [agent.act(values) for values in seen]
    np.testing.assert_allclose(read(act(seen)), expected, rtol=0, atol=1e-6)
    shorter = [list(values[:8]) for values in seen[:40]]
    assert act(shorter + seen[40:].tolist()).stdout == act(seen).stdout


@needs_compiler
def test_more_inputs_than_64_are_summed_without_overflow(tmp_path):
    policy = POLICIES["small"]
    params = drawn(policy)
    act, agent = compiled(policy, params, tmp_path, "-DAGENT_MAX_INPUTS=100"), policy.agent(params)
    seen = np.ones((5, 100)) + 1e-3 * np.random.default_rng(0).standard_normal((5, 100))
    np.testing.assert_allclose(read(act(seen)), [agent.act(values) for values in seen], rtol=0, atol=1e-6)


@needs_compiler
@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("small", "inf"),
        ("small", "nan nan"),
        ("small", "1 " * 33),
        ("small", "1 x"),
        ("mlp", "1 2"),
        ("linear", "nan " * 4),
    ],
)
def test_what_cannot_be_acted_on_is_refused(name, line, tmp_path):
    policy = POLICIES[name]
    compiled(policy, drawn(policy), tmp_path)
    refused = subprocess.run([tmp_path / "agent"], input=line + "\n", capture_output=True, text=True, timeout=60)
    assert refused.returncode == 2 and refused.stdout == "" and "cannot act on" in refused.stderr


def test_policies_without_c_code_say_so(tmp_path):
    policy = ps.AttentionAgentPolicy(picture_size=16, n_votes=3)
    with pytest.raises(ps.InputError, match="no C code for a policy of kind 'attention-agent'"):
        ps.export_c(tmp_path / "agent.c", policy, np.zeros(policy.n_params))
    assert not list(tmp_path.iterdir())


def test_numbers_are_kept_to_the_bit_and_lines_are_short(tmp_path):
    policy, params = ps.load_model("cartpole-linear")
    ps.export_c(tmp_path / "agent.c", policy, params)
    text = (tmp_path / "agent.c").read_text()
    row = text.partition("HEAD_0[1][6] = {")[2].partition("};")[0].strip(" {},\n")
    np.testing.assert_array_equal(
        np.array([number.strip(" f") for number in row.split(",")], np.float32), params.astype(np.float32)
    )
    assert max(len(line) for line in text.splitlines()) <= 120 and "@" not in text and "malloc" not in text


def test_command_writes_the_file(tmp_path):
    command = [sys.executable, "-m", "pisensory", "export", "cartpole-invariant-small", "-o", "agent.c"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert "wrote agent.c" in result.stdout
    ps.export_c(tmp_path / "same.c", *ps.load_model("cartpole-invariant-small"))
    assert (tmp_path / "agent.c").read_bytes() == (tmp_path / "same.c").read_bytes()
    np.savez(tmp_path / "bare.npz", params=np.zeros(ps.MLPPolicy(7, 2, (3,)).n_params))
    sized = [*command[:3], "export", "bare.npz", "--policy", "mlp", "--hidden-sizes", "3", "-o", "b.c"]
    wrong = subprocess.run(sized, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert wrong.returncode == 2 and "Traceback" not in wrong.stderr
