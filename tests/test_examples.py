"""The examples of a control loop and of a web service: they do what they say."""

import importlib.util
import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import pisensory as ps

EXAMPLES = Path(__file__).parents[1] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(name, *options):
    return subprocess.run([sys.executable, EXAMPLES / name, *options], capture_output=True, text=True, timeout=120)


class Witness:
    """An agent that notes which inputs it is given."""

    def __init__(self, agent):
        self.agent, self.seen = agent, []

    def reset(self):
        self.agent.reset()

    def act(self, inputs):
        self.seen.append(tuple(inputs))
        return self.agent.act(inputs)


def test_the_control_loop_loses_a_sensor_gets_another_and_keeps_the_pole_up():
    policy, params = ps.load_model("cartpole-v1-invariant")
    agent = Witness(policy.agent(params))
    pole = ps.CartPoleSwingUp("v1", max_steps=1200).start(0, np.zeros((1, 1), int))
    upright, taken, late = load("control_loop").loop(agent, pole, 1200, rate=1e9)
    assert [len(agent.seen[step]) for step in (0, 299, 300, 599, 600, 1199)] == [5, 5, 4, 4, 5, 5]
    assert agent.seen[600][-1] == "x_dot, spare" and "x_dot" not in agent.seen[600]
    assert len(upright) == len(taken) == len(late) == 1200
    assert np.mean(upright[400:]) > 0.95 > upright[0]


def test_the_control_loop_prints_its_deadlines():
    done = run("control_loop.py", "--seconds", "0.4", "--rate", "500")
    assert done.returncode == 0 and not done.stderr
    assert "of 200 deadlines met" in done.stdout and "x_dot has died" in done.stdout
    wrong = run("control_loop.py", "--rate", "-5")
    assert wrong.returncode == 2 and "--rate" in wrong.stderr and "Traceback" not in wrong.stderr
    assert "cartpole-mlp" in run("control_loop.py", "--model", "cartpole-mpl").stderr


@pytest.fixture
def service():
    module = load("service")
    policy, params = ps.load_model("cartpole-invariant-small")
    fleet = module.Fleet(policy, params, 4, 5)
    with module.make_server(fleet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield module, fleet, server.server_port
        server.shutdown()
        thread.join()


def test_clients_of_the_service_get_the_actions_of_agents_of_their_own(service):
    module, fleet, port = service
    policy, params = ps.load_model("cartpole-invariant-small")
    seen = np.random.default_rng(0).standard_normal((3, 20, 5)).astype(np.float32)
    got = np.empty((3, 20, 1))

    def play(number):
        client = module.Client(port)
        for step in range(20 - 5 * number):
            got[number, step] = client.act(seen[number, step].tolist())
        client.end()

    threads = [threading.Thread(target=play, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(3):
        agent = policy.agent(params)
        expected = [agent.act(one) for one in seen[number, : 20 - 5 * number]]
        np.testing.assert_allclose(got[number, : 20 - 5 * number], expected, atol=1e-5)
    assert fleet.n_actions == 45 and fleet.n_steps < 45
    again = module.Client(port)  # in the place of one that has ended
    np.testing.assert_allclose(again.act(seen[0, 0].tolist()), got[0, 0], atol=1e-5)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"observation": [0, 0, 0, 0]}, "a list of 5 numbers"), ({"observation": [0, 0, 0, 0, "1"]}, "[4]"),
        ({"observation": [0, 0, 0, 0, float("nan")]}, "finite"), ({"observation": [0, 0, 0, 0, 1e300]}, "finite"),
        ({"observations": [0] * 5}, '{"observation"'), ([], "must be"), ({"observation": None}, "got null"),
    ],
)  # fmt: skip
def test_the_service_refuses_what_is_wrong_and_goes_on(service, body, words):
    module, _, port = service
    client, other = module.Client(port), module.Client(port)
    before = other.act([0.5] * 5)
    answer = client.ask("POST", f"/agents/{client._number}/act", body)
    assert words in answer["error"]
    policy, params = ps.load_model("cartpole-invariant-small")
    agent = policy.agent(params)
    np.testing.assert_allclose([before, other.act([0.1] * 5)], [agent.act([0.5] * 5), agent.act([0.1] * 5)], atol=1e-5)
    np.testing.assert_allclose(client.act([0.5] * 5), before, atol=1e-5)


def test_the_service_knows_its_agents(service):
    module, _, port = service
    clients = [module.Client(port) for _ in range(4)]
    assert "--agents" in clients[0].ask("POST", "/agents")["error"]
    clients[1].end()
    gone = clients[0].ask("POST", f"/agents/{clients[1]._number}/act", {"observation": [0] * 5})
    assert "there is no agent" in gone["error"]
    assert "all there is" in clients[0].ask("POST", "/nothing")["error"]
    assert json.dumps(clients[0].act([0] * 5))


def test_the_demo_of_the_service_says_how_fast_it_was():
    done = run("service.py", "--demo", "3", "--agents", "4", "--model", "cartpole-invariant-small")
    assert done.returncode == 0 and "300 actions for 3 clients" in done.stdout, done.stderr
    wrong = run("service.py", "--demo", "9", "--agents", "4")
    assert wrong.returncode == 2 and "--demo" in wrong.stderr
