"""Balance a pole at a thousand steps a second, while a sensor dies and another is plugged in.

    python examples/control_loop.py [--seconds 4] [--rate 1000] [--model NAME or FILE.npz]

The pole is simulated, in steps of a hundredth of a second of its own time; the clock is a real one. A quarter of the
way through, the sensor of the cart's speed dies; half-way, a spare one is plugged in. The agent is told neither:
inputs that stay keep their state. Ctrl-C stops it.
"""

import argparse
import math
import time
from pathlib import Path

import numpy as np

import pisensory as ps

SENSORS = ("x", "x_dot", "cos", "sin", "theta_dot")
DYING, SPARE = "x_dot", "x_dot, spare"


def loop(agent, pole, n_steps, rate):
    """Run the loop; return the cosines of the pole's angle, and of each step the seconds it took and it was late by."""
    observation = np.empty((1, len(SENSORS), 1, 1), np.float32)  # (candidate, feature, channel, episode)
    agent.reset()
    upright, taken, late = [], [], []
    try:
        start = time.perf_counter()
        for step in range(n_steps):
            pole.observe(observation)
            inputs = dict(zip(SENSORS, observation.ravel().tolist()))
            upright.append(inputs["cos"])
            speed = inputs[DYING]
            if step >= n_steps // 4:
                del inputs[DYING]
            if step >= n_steps // 2:
                inputs[SPARE] = speed
            asked = time.perf_counter()
            action = agent.act(inputs)
            taken.append(time.perf_counter() - asked)
            pole.step(action.reshape(1, 1, 1), np.ones((1, 1), bool))
            deadline = start + (step + 1) / rate
            late.append(max(0.0, time.perf_counter() - deadline))
            while (left := deadline - time.perf_counter()) > 0:
                if left > 0.0005:  # a system sleeps longer than asked
                    time.sleep(left - 0.0003)
    except KeyboardInterrupt:
        print(f"stopped after {len(upright)} of {n_steps} steps")
    return upright, taken, late


def main():
    """Read the options, run the loop, and say how it went."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="of the clock")
    parser.add_argument("--rate", type=float, default=1000.0, help="steps a second")
    parser.add_argument("--model", default="cartpole-v1-invariant", help="a shipped model, or a file of one")
    options = parser.parse_args()
    n_steps = options.seconds * options.rate
    if not (math.isfinite(n_steps) and n_steps >= 4 and options.rate > 0):
        parser.error(f"--seconds and --rate must give at least four steps, got {options.seconds} and {options.rate}")
    try:
        load = ps.load_policy if Path(options.model).suffix == ".npz" else ps.load_model
        policy, params = load(options.model)
        agent = policy.agent(params)
        pole = ps.CartPoleSwingUp("v1", max_steps=int(n_steps)).start(0, np.zeros((1, 1), int))
        upright, taken, late = loop(agent, pole, int(n_steps), options.rate)
    except ps.PisensoryError as error:
        parser.error(str(error))
    if not upright:
        return
    quarter = int(n_steps) // 4
    print(f"{'sensors':<28} steps  upright (mean of cos)")
    for number, name in enumerate(("all five", f"{DYING} has died", "a spare one, just plugged in", "the same, later")):
        part = upright[number * quarter : (number + 1) * quarter if number < 3 else None]
        if part:
            print(f"{name:<28} {len(part):>5}  {np.mean(part):.3f}")
    middle, most, longest = 1e6 * np.percentile(taken, [50, 99, 100])
    print(f"agent.act: {middle:.0f} microseconds in the middle, {most:.0f} of 99 %, {longest:.0f} at most")
    met = np.mean(np.array(late) == 0)
    print(f"{100 * met:.1f} % of {len(late)} deadlines met, at most {1000 * max(late):.2f} ms late")


if __name__ == "__main__":
    main()
