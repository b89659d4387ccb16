"""Chunks run anywhere, with the same scores: executors of others, and a real Dask cluster on this machine."""

import concurrent.futures
import contextlib
import json
import multiprocessing
import os
import pathlib
import pickle
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from eventful_tasks import EventfulTask, FailingTask
from warm import pisensory

import pisensory as ps
from pisensory.cli import main
from pisensory.rollout import make_chunks
from pisensory.runs.checkpoint import read_checkpoint

TASK = ps.CartPoleSwingUp("v1", max_steps=60)
POLICY = ps.InvariantPolicy(n_embeddings=4, proj_dim=4, hidden_size=2)
POPULATION = np.random.default_rng(0).standard_normal((5, POLICY.n_params))
SETTINGS = {"population_size": 4, "n_episodes": 80, "n_eval_episodes": 4, "eval_every": 1}


@pytest.fixture(scope="module")
def expected():
    return ps.rollout(POLICY, POPULATION, TASK, 90, seed=3).returns


@pytest.mark.parametrize("name", ["serial", "processes"])
def test_named_executors_score_alike(expected, name):
    np.testing.assert_array_equal(ps.rollout(POLICY, POPULATION, TASK, 90, 3, 2, name).returns, expected)


@pytest.mark.parametrize("make", [concurrent.futures.ThreadPoolExecutor, concurrent.futures.ProcessPoolExecutor])
def test_executors_of_others_score_alike_and_stay_open(expected, make):
    with make(2) as executor:
        for _ in range(2):
            result = ps.rollout(POLICY, POPULATION, TASK, 90, 3, executor=executor)
            np.testing.assert_array_equal(result.returns, expected)
        evaluation = ps.evaluate(POLICY, POPULATION[0], TASK, 90, 3, executor=executor)
        np.testing.assert_array_equal(evaluation.returns, expected[0])


class Counting:
    """Maps here, tells nothing of itself, and notes how many items it was given."""

    def __init__(self):
        self.counts = []

    def map(self, function, items):
        items = list(items)
        self.counts.append(len(items))
        return [function(item) for item in items]


def test_executors_that_do_not_tell_their_size_have_as_many_workers_as_jobs_are_asked_for(expected, tmp_path):
    executor = Counting()
    for n_jobs in (1, 3, np.int64(5), 2.0):
        result = ps.rollout(POLICY, POPULATION, TASK, 90, 3, n_jobs, executor)
        np.testing.assert_array_equal(result.returns, expected)
    alone, *others = executor.counts
    assert [count % n_jobs for count, n_jobs in zip(others, (3, 5, 2))] == [0, 0, 0]
    assert min(others) >= alone
    executor.counts.clear()
    ps.train(POLICY, TASK, tmp_path / "run", generations=1, n_jobs=7, executor=executor, **SETTINGS)
    assert executor.counts[0] % 7 == 0
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        np.testing.assert_array_equal(ps.rollout(POLICY, POPULATION, TASK, 90, 3, 2, pool).returns, expected)


def test_executors_that_tell_their_size_are_believed():
    class Telling(Counting):
        num_workers = 4

    executor = Telling()
    ps.rollout(POLICY, POPULATION[:4], TASK, 4, n_jobs=3, executor=executor)
    assert executor.counts == [4]


@pytest.mark.parametrize("n_jobs", [0, -2, 1.5, True, "2", None, np.nan])
def test_what_is_no_number_of_jobs_is_refused(n_jobs):
    with pytest.raises(ps.InputError, match="n_jobs must be at least 1, or -1"):
        ps.rollout(POLICY, POPULATION, TASK, 2, n_jobs=n_jobs)


def children(process_id):
    return pathlib.Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()


def listens(process_id):
    """Whether a process would handle an interrupt if one came: Python, until it is told to ignore them."""
    try:
        status = pathlib.Path(f"/proc/{process_id}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return bool(int(re.search(r"SigCgt:\s*(\w+)", status)[1], 16) >> (signal.SIGINT - 1) & 1)


def is_caught_starting(process):
    """Wait until four workers start, the last of which has just begun to import what it needs; False if unseen.

    On a busy machine the moment may pass between two looks, and then the process ends by itself.
    """
    while process.poll() is None:
        workers = children(process.pid)[1:]  # the first is none
        if len(workers) >= 4 and all(map(listens, workers)):
            return True
        time.sleep(0.001)
    return False


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="looks for workers in /proc")
def test_an_interrupt_while_workers_start_prints_nothing_of_theirs(tmp_path):
    code = (
        "import pisensory as ps, numpy as np\n"
        "if __name__ == '__main__':\n"
        "    executor = ps.ProcessExecutor(4)\n"
        "    try:\n"
        "        ps.rollout(ps.MLPPolicy(), np.zeros((4, 113)), ps.CartPoleSwingUp(), 20000, executor=executor)\n"
        "    except KeyboardInterrupt:\n"
        "        print('stopped')\n"
    )
    (tmp_path / "script.py").write_text(code)
    command = [sys.executable, "script.py"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    for _ in range(9):
        process = subprocess.Popen(command, cwd=tmp_path, start_new_session=True, **pipes)
        if is_caught_starting(process):
            break
        assert process.communicate() == ("", "")
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert (output, errors) == ("stopped\n", "")


@pytest.mark.parametrize("executor", ["threads", "dask", "dask:", "dask:here", "dask:tcp:/", 7, object()])
def test_what_is_no_executor_is_refused(executor):
    with pytest.raises(ps.InputError, match=r"executor must|address is like tcp://10\.0\.0\.1:8786"):
        ps.rollout(POLICY, POPULATION, TASK, 2, executor=executor)


def test_chunks_carry_the_population_once_and_little_else():
    policy = ps.InvariantPolicy()
    population = np.zeros((256, policy.n_params))
    chunks = make_chunks(policy, population, TASK, 16, (0, 1, 2))
    sent = sum(len(pickle.dumps(chunk)) for chunk in chunks)
    assert population.nbytes < sent < 1.1 * population.nbytes


@pytest.mark.parametrize("n_workers", [1, 2, 3, 8, 256, 1000])
def test_there_are_as_many_chunks_for_each_worker_as_the_population_allows(n_workers):
    policy = ps.InvariantPolicy()
    chunks = make_chunks(policy, np.zeros((256, policy.n_params)), TASK, 16, 0, n_workers)
    assert len(chunks) % n_workers == 0 or len(chunks) == 256
    sizes = [len(chunk.candidates) for chunk in chunks]
    assert sum(sizes) == 256
    assert max(sizes) - min(sizes) <= 1


class Cluster:
    """A Dask scheduler and workers, each a process of its own."""

    def __init__(self, folder):
        self.folder, self.processes, self.event = folder, [], folder / "event"
        log = self._start("scheduler", "--port", "0", "--host", "127.0.0.1")
        self.address = self._wait_for(log, r"(tcp://127\.0\.0\.1:\d+)")

    def have_workers(self, number):
        """Start workers until there are so many, or more."""
        for _ in range(number - sum(process.poll() is None for process in self.processes[1:])):
            self.add_worker()

    def add_worker(self):
        """Start a worker, and return its process once it has joined."""
        log = self._start("worker", self.address, "--nthreads", "1", "--no-nanny", "--host", "127.0.0.1")
        self._wait_for(log, r"Registered to:")
        return self.processes[-1]

    def _start(self, *arguments):
        log = self.folder / f"{len(self.processes)}.log"
        paths = os.pathsep.join([os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], "--no-dashboard", *arguments[1:]]
        with open(log, "wb") as file:
            settings = {"cwd": self.folder, "env": {**os.environ, "PYTHONPATH": paths, "EVENT": str(self.event)}}
            self.processes.append(subprocess.Popen(command, stdout=file, stderr=file, **settings))
        return log

    def _wait_for(self, log, pattern):
        for _ in range(3000):
            found = re.search(pattern, log.read_text())
            if found:
                return found.group(0)
            assert self.processes[-1].poll() is None, log.read_text()
            time.sleep(0.02)
        raise AssertionError(log.read_text())

    @property
    def scheduler(self):
        return self.processes[0]

    def close(self):
        for process in reversed(self.processes):
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def clusters(tmp_path_factory):
    """All clusters there have been, the last of which is in use."""
    pytest.importorskip("distributed")
    with contextlib.ExitStack() as stack:
        found = []

        def start():
            found.append(stack.enter_context(contextlib.closing(Cluster(tmp_path_factory.mktemp("cluster")))))

        start()
        yield found, start


@pytest.fixture
def cluster(clusters):
    """A cluster whose scheduler runs, of whose workers some may have ended: that of the test before, if it can be."""
    found, start = clusters
    if found[-1].scheduler.poll() is not None:
        start()
    return found[-1]


@pytest.fixture
def small_chunks(monkeypatch):
    """A single worker gets several, too."""
    monkeypatch.setattr(sys.modules["pisensory.rollout"], "_CHUNK_NUMBERS", 9000)


def train_with_event(tmp_path, cluster, happen):
    """Train on the cluster; in the middle of generation 2, let something happen to it."""
    event = cluster.event
    for path in (event, event.with_name("event taken")):
        path.unlink(missing_ok=True)

    def wait():
        while not event.exists() or not event.read_text():
            time.sleep(0.01)
        happen(int(event.read_text()))
        event.with_name("event taken").touch()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    executor = f"dask:{cluster.address}"
    task = EventfulTask("v1", max_steps=60)
    result = ps.train(POLICY, task, tmp_path / "run", generations=4, executor=executor, **SETTINGS)
    thread.join()
    return result


def test_scores_on_a_dask_cluster_are_those_of_a_serial_run(
    cluster, tmp_path, expected, recwarn, small_chunks, monkeypatch
):
    cluster.have_workers(1)
    executor = f"dask:{cluster.address}"
    np.testing.assert_array_equal(ps.rollout(POLICY, POPULATION, TASK, 90, 3, executor=executor).returns, expected)

    large = ps.MLPPolicy(hidden_sizes=(1000,))
    ps.rollout(large, np.zeros((200, large.n_params)), ps.CartPoleSwingUp(max_steps=1), 2, executor=executor)
    assert not [str(warning.message) for warning in recwarn]  # of 11 MB sent at once

    settings = f"--preset paper --task v1 -p 6 -e 2 -m 3 --max-steps 50 --executor {executor}".split()
    monkeypatch.setattr(type(TASK), "score_episodes", 8)
    assert main(["train", "mlp", str(tmp_path / "run"), *settings]) == 0
    task, few = ps.CartPoleSwingUp("v1", max_steps=50), {"generations": 3, "population_size": 6, "n_episodes": 2}
    ps.train(ps.MLPPolicy(), task, tmp_path / "serial", **few)
    assert (tmp_path / "run" / "best.npz").read_bytes() == (tmp_path / "serial" / "best.npz").read_bytes()
    scored = [
        pisensory("evaluate", "run", "-e", "90", "--json", "--executor", name, cwd=tmp_path)
        for name in ("serial", executor)
    ]
    assert [result.stderr for result in scored] == ["", ""]
    here, there = ({**json.loads(result.stdout), "seconds": 0} for result in scored)
    assert here == there


def test_dask_clients_and_their_executors_are_taken_as_they_are(cluster, expected, small_chunks):
    import distributed

    cluster.have_workers(1)
    with distributed.Client(cluster.address, set_as_default=False) as client:
        for _ in range(2):
            np.testing.assert_array_equal(ps.rollout(POLICY, POPULATION, TASK, 90, 3, 1, client).returns, expected)
        assert client.status == "running"
        pool = client.get_executor()
        np.testing.assert_array_equal(ps.rollout(POLICY, POPULATION, TASK, 90, 3, 2, pool).returns, expected)
    with pytest.raises(ps.InputError, match="client must be open"):
        ps.rollout(POLICY, POPULATION, TASK, 90, 3, 1, client)


def test_dask_worker_killed_in_the_middle_and_one_that_joins_late_change_nothing(cluster, tmp_path):
    cluster.have_workers(2)

    def kill_and_join(process_id):
        os.kill(process_id, signal.SIGKILL)
        cluster.add_worker()

    result = train_with_event(tmp_path, cluster, kill_and_join)
    serial = ps.train(POLICY, TASK, tmp_path / "serial", generations=4, **SETTINGS)
    np.testing.assert_array_equal(result.mean_params, serial.mean_params)


def test_a_sweep_on_dask_ends_as_one_on_these_cores(cluster, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    cluster.have_workers(1)
    file = tmp_path / "small.toml"
    file.write_text(
        'command = "train {policy}"\nseeds = [3]\n[grid]\npolicy = ["linear", "lstm"]\n[options]\ntask = "v1"\n'
        'preset = "paper"\nmax-steps = 20\ngenerations = 2\npopulation-size = 4\nepisodes = 2\neval-episodes = 4\n'
    )
    monkeypatch.setattr(type(TASK), "score_episodes", 8)  # which few_scores.py does, too, and leaves so
    words = ["--load", str(pathlib.Path(__file__).with_name("few_scores.py")), "sweep", str(file), "-o"]
    assert main([*words, str(tmp_path / "here"), "-j", "2"]) == 0
    assert main([*words, str(tmp_path / "there"), "--executor", f"dask:{cluster.address}"]) == 0
    tables = [(tmp_path / folder / "table.csv").read_text() for folder in ("here", "there")]
    assert tables[0] == tables[1] and "linear" in tables[0]


@pytest.fixture
def unforgiving(cluster):
    """Has the scheduler give up on what has killed one worker."""
    import distributed

    with distributed.Client(cluster.address, set_as_default=False) as client:

        def allow(number):
            client.run_on_scheduler(lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", number))

        allow(0)
        yield
        allow(3)


def test_what_fails_on_a_dask_worker_is_told_apart(unforgiving, cluster):
    cluster.have_workers(1)
    with pytest.raises(RuntimeError, match="the task is broken") as raised:
        ps.rollout(POLICY, POPULATION, FailingTask("v1", max_steps=2), 4, executor=f"dask:{cluster.address}")
    assert not isinstance(raised.value, ps.PisensoryError)
    with pytest.raises(ps.ExecutorError, match=r"Dask cluster at tcp://.*KilledWorker"):
        ps.rollout(POLICY, POPULATION, FailingTask("v1", max_steps=1), 4, executor=f"dask:{cluster.address}")


def test_dask_scheduler_that_goes_away_stops_the_run_with_a_checkpoint(cluster, tmp_path, monkeypatch):
    cluster.have_workers(1)
    monkeypatch.setattr("pisensory.executors._DASK_TIMEOUT", 1)
    gone = ps.DaskExecutor(cluster.address)
    with pytest.raises(ps.ExecutorError, match=r"Dask cluster at tcp://.*checkpoint.*--resume"):
        train_with_event(tmp_path, cluster, lambda process_id: cluster.scheduler.kill())
    assert read_checkpoint(tmp_path / "run")[1]["done"] == 2
    with pytest.raises(ps.ExecutorError, match="Dask cluster at tcp://"):
        assert gone.n_workers
    gone.close()
    resumed = ps.train(POLICY, TASK, tmp_path / "run", generations=4, resume=True, **SETTINGS)
    serial = ps.train(POLICY, TASK, tmp_path / "serial", generations=4, **SETTINGS)
    np.testing.assert_array_equal(resumed.mean_params, serial.mean_params)


def test_missing_scheduler_is_an_error_that_says_so(tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("pisensory.executors._DASK_TIMEOUT", 0.3)
    with pytest.raises(ps.ExecutorError, match=r"no Dask scheduler at tcp://127\.0\.0\.1:9"):
        ps.train(POLICY, TASK, tmp_path / "run", executor="dask:tcp://127.0.0.1:9", **SETTINGS)
