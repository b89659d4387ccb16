"""Load a trained policy and act: all that embedding one takes, with NumPy alone."""

import sys

import numpy as np

import pisensory as ps

if len(sys.argv) > 1:
    policy, params = ps.load_policy(sys.argv[1])
else:  # no file given: any vector will do to show the calls
    policy = ps.InvariantPolicy()
    params = np.random.default_rng(0).standard_normal(policy.n_params)

agent = policy.agent(params)
agent.reset()
for observation in ([0.1, 0.0, -1.0, 0.0, 0.2], [0.1, 0.1, -0.9, 0.1, 0.4]):
    print("action", agent.act(observation))
