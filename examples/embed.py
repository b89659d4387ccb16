"""Load a trained policy and act: all that embedding one takes, with NumPy alone.

    python examples/embed.py [POLICY.npz]

An input that dies is left out, and one that is plugged in is put in: the others go on with what they know.
"""

import sys

import pisensory as ps

policy, params = ps.load_policy(sys.argv[1]) if len(sys.argv) > 1 else ps.load_model("cartpole-v1-invariant")
agent = policy.agent(params)
agent.reset()
for observation in (
    {"x": 0.1, "v": 0.0, "cos": -1.0, "sin": 0.0, "w": 0.2},
    {"x": 0.1, "v": 0.1, "cos": -0.9, "sin": 0.1, "w": 0.4},
    {"x": 0.1, "cos": -0.9, "sin": 0.2, "w": 0.5},  # the sensor of v has died; NaN would say the same
    {"x": 0.1, "cos": -0.8, "sin": 0.3, "w": 0.6, "v, spare": 0.2},  # and another was plugged in
):
    print(f"{len(observation)} inputs: action {agent.act(observation)}")
