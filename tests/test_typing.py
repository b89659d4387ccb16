"""Calls that cannot be right are refused by mypy, and right ones are not."""

import subprocess
import sys

import pytest

pytest.importorskip("mypy")

RIGHT = """
import numpy as np
import pisensory as ps

policy, task = ps.InvariantPolicy(), ps.CartPoleSwingUp()
params = np.zeros(policy.n_params)
agent = ps.Agent(policy, params)
policy.agent(params.astype(np.float32)).act([1, 2.5, 3])
agent.act(np.arange(5))
agent.act({"x": 0.1, "v": np.float64(2)})
readings: dict[str, float] = {"x": 0.1}
agent.act(readings)
ps.Agents(policy, list(params), 2, 5).act([[1.0, 2.0], [3.0, 4.0]])
ps.evaluate(policy, [0.5] * 913, task)
ps.rollout(policy, [params, params], task)
ps.save_policy("a.npz", policy, params, task=task, note="x")
ps.export_c("a.c", policy, params)
ps.record(policy, params, task, 1, 0, ["latent"]).attention.shape
with ps.ProcessExecutor(2) as executor:
    ps.rollout(policy, params[None], task, executor=executor)
"""

WRONG = [
    'agent.act("0.1 0.2")', "agent.act(None)", 'agent.act(["0.1"])', "agent.act(object())", 'agent.act({"x": "0.1"})',
    "agent.act({1: 0.5})", "agent.act([1j])", 'policy.agent("weights.npz")', "ps.Agent(policy, None)",
    'ps.evaluate(policy, "weights.npz", task)', "ps.evaluate(policy, None, task)", 'ps.rollout(policy, ["a"], task)',
    "ps.rollout(policy, 3, task)", 'ps.save_policy("a.npz", policy, "params")', 'ps.export_c("a.c", policy, None)',
    'ps.save_policy("a.npz", policy, params, task="harder")', 'ps.record(policy, "params", task)',
    'ps.train(policy, task, "run", init="zeros")', 'ps.clone(policy, (policy, params), task, "run", init={})',
    'ps.Agents(policy, params, 2, 5).act("text")', 'policy.prepare("text")', "policy.soften(None, 1.0)",
    'policy.unroll(params, "text")', 'ps.scale_action(None, "text")', "agent.params = params",
]  # fmt: skip


def complaints(folder, code):
    """Return the numbers of the lines that mypy complains of."""
    (folder / "calls.py").write_text(code)
    command = [sys.executable, "-m", "mypy", "--no-error-summary", "--follow-imports=silent", "calls.py"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    lines = [line for line in result.stdout.splitlines() if ": error:" in line]
    return {int(line.split(":")[1]): line for line in lines}


def test_mypy_refuses_what_is_wrong_and_takes_what_is_right(tmp_path):
    n_lines = RIGHT.count("\n")
    found = complaints(tmp_path, RIGHT + "\n".join(WRONG) + "\n")
    assert [line for number, line in found.items() if number <= n_lines] == []
    missed = [call for number, call in enumerate(WRONG, n_lines + 1) if number not in found]
    assert missed == []
