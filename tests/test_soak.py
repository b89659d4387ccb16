"""Long runs take no more memory, files or processes than short ones, and leave nothing behind."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROC = Path("/proc")
pytestmark = pytest.mark.skipif(not (PROC / "self" / "fd").exists(), reason="reads /proc")


def start(folder, generations):
    command = [
        sys.executable, "-m", "pisensory", "train", "mlp", str(folder), "--task", "v1", "--max-steps", "5", "-p", "8",
        "-e", "4", "--hidden-sizes", "8", "-j", "2", "-m", str(generations),
    ]  # fmt: skip
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def generation(folder):
    path = folder / "metrics.csv"
    return path.read_text().count("\n") - 1 if path.exists() else 0


def wait_for(folder, process, number):
    while generation(folder) < number:
        assert process.poll() is None
        time.sleep(0.02)


def family(process_id):
    """The process and all below it."""
    found = [process_id]
    for task in (PROC / str(process_id) / "task").iterdir():
        for child in (task / "children").read_text().split():
            found += family(int(child))
    return found


def use(members):
    """Kilobytes of memory and open files of each process; the fewest of a while, as some are open for a moment."""
    files = []
    for _ in range(20):
        files.append([len(list((PROC / str(member) / "fd").iterdir())) for member in members])
        time.sleep(0.01)
    statuses = [(PROC / str(member) / "status").read_text() for member in members]
    memory = [int(re.search(r"VmRSS:\s+(\d+)", status)[1]) for status in statuses]
    return list(zip(memory, map(min, zip(*files))))


def shared_memory(process_id):
    """The files in shared memory that a process uses."""
    lines = (PROC / str(process_id) / "maps").read_text().splitlines()
    return {line.split()[5] for line in lines if "/dev/shm/" in line}


def is_running(process_id):
    try:
        return (PROC / str(process_id) / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def all_end(members):
    """Whether all these processes end within a few seconds: Python's tracker of resources outlives its parent a bit."""
    for _ in range(200):
        if not any(map(is_running, members)):
            return True
        time.sleep(0.05)
    return False


def soak(folder, first, last):
    process = start(folder, last + 100_000)
    try:
        wait_for(folder, process, first)
        members = family(process.pid)
        before = use(members)
        wait_for(folder, process, last)
        assert family(process.pid) == members
        after = use(members)
        assert len(members) >= 3  # the trainer and two workers
        for (memory, files), (memory_after, files_after) in zip(before, after):
            assert memory_after < 1.05 * memory
            assert files_after <= files
        shared = set().union(*map(shared_memory, members))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
        assert all_end(members)
        assert not any(map(os.path.exists, shared))
    finally:
        process.kill()
        process.wait()


def test_run_grows_in_nothing(tmp_path):
    soak(tmp_path / "run", 100, 300)


@pytest.mark.slow
def test_long_run_grows_in_nothing(tmp_path):
    soak(tmp_path / "run", 200, 2400)


def test_killed_trainer_leaves_no_orphans(tmp_path):
    process = start(tmp_path / "run", 99_999)
    wait_for(tmp_path / "run", process, 5)
    members = family(process.pid)
    assert len(members) >= 3
    process.kill()
    process.wait()
    assert all_end(members)
