"""A policy as a web service: many agents, stepped together.

    python examples/service.py [--port 8000] [--model NAME or FILE.npz] [--agents 256] [--inputs 5]
    python examples/service.py --demo 50

    POST /agents               begins an agent:   {"agent": 3}
    POST /agents/3/act         {"observation": [0.1, 0.0, -1.0, 0.0, 0.2]}:  {"action": [0.93]}
    DELETE /agents/3           ends it

What is asked within a millisecond is answered by one step of `ps.Agents`. Mistakes get 400 or 404 and {"error": ...},
and nobody else's agent notices. It listens on this machine alone. --demo N plays N clients, and says how fast it was.
"""

import argparse
import http.client
import http.server
import json
import re
import threading
import time
from pathlib import Path

import numpy as np

import pisensory as ps

LARGEST_BODY = 1_000_000  # bytes


class Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Fleet:
    """Agents for clients that come and go; what they ask in the same moment is one step of all."""

    def __init__(self, policy, params, n_agents, n_features, wait=0.001):
        self._agents = ps.Agents(policy, params, n_agents, n_features)
        self._n_features = n_features
        self._free, self._busy = list(range(n_agents))[::-1], set()
        self._waiting = {}  # agent -> [observation, event, action]
        self._wait, self._changed = wait, threading.Condition()
        self.n_steps = self.n_actions = 0
        threading.Thread(target=self._run, daemon=True).start()

    def begin(self):
        """Return the number of an agent at the beginning of its episode."""
        with self._changed:
            if not self._free:
                raise Refused(503, f"all {len(self._agents)} agents are taken: end one, or start with more --agents")
            number = self._free.pop()
            self._busy.add(number)
            self._agents.reset([number])
            return number

    def end(self, number):
        """Take an agent back."""
        with self._changed:
            self._check(number)
            self._busy.remove(number)
            self._free.append(number)

    def act(self, number, observation):
        """Return the action of an agent, a list of numbers."""
        values = _read_numbers("observation", observation, self._n_features)
        answered, answer = threading.Event(), [None]
        with self._changed:
            self._check(number)
            self._waiting[number] = (values, answered, answer)
            self._changed.notify()
        answered.wait()
        return answer[0].tolist()

    def _check(self, number):
        if number not in self._busy:
            raise Refused(404, f"there is no agent {number}: POST /agents begins one")
        if number in self._waiting:
            raise Refused(409, f"agent {number} is acting: one request at a time")

    def _run(self):
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
            time.sleep(self._wait)  # for others to join
            with self._changed:
                numbers, asked = list(self._waiting), list(self._waiting.values())
                actions = self._agents.act(np.stack([values for values, _, _ in asked]), numbers)
                self._waiting.clear()
                self.n_steps, self.n_actions = self.n_steps + 1, self.n_actions + len(asked)
            for (_, answered, answer), action in zip(asked, actions):
                answer[0] = action
                answered.set()


def _read_numbers(name, value, length):
    if not isinstance(value, list) or len(value) != length:
        raise Refused(400, f"{name} must be a list of {length} numbers, got {json.dumps(value)[:80]}")
    for place, number in enumerate(value):
        # The largest float32; a comparison with NaN is false.
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not abs(number) < 3.4e38:
            raise Refused(400, f"{name}[{place}] must be a finite number, got {json.dumps(number)[:80]}")
    return np.array(value, np.float32)


def make_server(fleet, port=0):
    """Return a server of a fleet on this machine; port 0 is any that is free."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # connections stay open
        disable_nagle_algorithm = True

        def do_POST(self):
            self._answer()

        def do_DELETE(self):
            self._answer()

        def _answer(self):
            try:
                status, answer = 200, self._do(self._read())
            except Refused as refused:
                status, answer = refused.status, {"error": str(refused)}
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _read(self):
            length = self.headers.get("Content-Length") or "0"
            if not length.isdecimal() or int(length) > LARGEST_BODY:
                self.close_connection = True
                raise Refused(413, f"Content-Length must be at most {LARGEST_BODY}, got {length[:80]}")
            return self.rfile.read(int(length))

        def _do(self, body):
            if (self.command, self.path) == ("POST", "/agents"):
                return {"agent": fleet.begin()}
            match = re.fullmatch(r"/agents/(\d{1,9})(/act)?", self.path)
            if match is None or (self.command == "POST") != bool(match[2]):
                raise Refused(404, "POST /agents, POST /agents/N/act and DELETE /agents/N are all there is")
            if self.command == "DELETE":
                fleet.end(int(match[1]))
                return {}
            try:
                request = json.loads(body)
            except (ValueError, RecursionError):
                raise Refused(400, "the body must be JSON") from None
            if not isinstance(request, dict) or set(request) != {"observation"}:
                raise Refused(400, 'the body must be {"observation": [...]}')
            return {"action": fleet.act(int(match[1]), request["observation"])}

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads, request_queue_size = True, 128

    return Server(("127.0.0.1", port), Handler)


class Client:
    """A client with an agent of its own."""

    def __init__(self, port):
        self._connection = http.client.HTTPConnection("127.0.0.1", port)
        self._number = self.ask("POST", "/agents")["agent"]

    def act(self, observation):
        """Return the action."""
        return self.ask("POST", f"/agents/{self._number}/act", {"observation": observation})["action"]

    def end(self):
        """Give the agent back."""
        self.ask("DELETE", f"/agents/{self._number}")
        self._connection.close()

    def ask(self, method, path, body=None):
        """Return the answer to a request."""
        self._connection.request(method, path, None if body is None else json.dumps(body))
        return json.loads(self._connection.getresponse().read())


def play(port, n_clients, n_steps, n_features):
    """Let clients act side by side, each so many steps."""

    def one(number):
        client, generator = Client(port), np.random.default_rng(number)
        for _ in range(n_steps):
            client.act(generator.standard_normal(n_features).tolist())
        client.end()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(n_clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main():
    """Read the options and serve."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--port", type=int, default=8000, help="to listen on; 0 is any that is free")
    parser.add_argument("--model", default="cartpole-v1-invariant", help="a shipped model, or a file of one")
    parser.add_argument("--agents", type=int, default=256, help="the most at a time")
    parser.add_argument("--inputs", type=int, default=5, help="of each agent")
    parser.add_argument("--demo", type=int, default=0, metavar="N", help="play N clients of 100 steps, and end")
    options = parser.parse_args()
    if not 0 <= options.port < 65536 or not 0 <= options.demo <= options.agents:
        parser.error(f"--port must be below 65536, and --demo at most --agents, got {options.port} and {options.demo}")
    try:
        load = ps.load_policy if Path(options.model).suffix == ".npz" else ps.load_model
        fleet = Fleet(*load(options.model), options.agents, options.inputs)
        server = make_server(fleet, 0 if options.demo else options.port)
    except (ps.PisensoryError, OSError) as error:
        parser.error(str(error))
    with server:
        if not options.demo:
            print(f"listening on http://127.0.0.1:{server.server_port}; Ctrl-C ends it")
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                print("ended")
            return
        threading.Thread(target=server.serve_forever, daemon=True).start()
        start = time.perf_counter()
        play(server.server_port, options.demo, 100, options.inputs)
        seconds = time.perf_counter() - start
        print(
            f"{fleet.n_actions} actions for {options.demo} clients in {seconds:.1f} s, "
            f"{fleet.n_actions / seconds:.0f} a second, in {fleet.n_steps} steps of "
            f"{fleet.n_actions / fleet.n_steps:.1f} agents"
        )
        server.shutdown()


if __name__ == "__main__":
    main()
