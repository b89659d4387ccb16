"""Our environments for Gymnasium, which imports the module before the colon of an id and has no other plugins:

gymnasium.make("pisensory.envs:pisensory/CartPoleSwingUpHarder-v0")
"""

from .tasks.gym_env import register_envs

register_envs()
