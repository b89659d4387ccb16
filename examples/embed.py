"""Load a trained policy and act: all that embedding one takes, with NumPy alone."""

import sys

import pisensory as ps

if len(sys.argv) > 1:
    policy, params = ps.load_policy(sys.argv[1])
else:
    policy, params = ps.load_model("cartpole-invariant")

agent = policy.agent(params)
agent.reset()
for observation in ([0.1, 0.0, -1.0, 0.0, 0.2], [0.1, 0.1, -0.9, 0.1, 0.4]):
    print("action", agent.act(observation))
