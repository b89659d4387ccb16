"""What all commands have in common: the defaults of --jobs and --seed, and bars that only a terminal shows."""

import os
import re
import struct
import subprocess
import sys

import pytest

from pisensory.cli import make_parser
from pisensory.page import PageSettings

tqdm = pytest.importorskip("tqdm")
MODEL = "cartpole-linear"
LEARN = ["--max-steps", "3", "--eval-episodes", "1", "-j", "1"]
EVOLVE = [*LEARN, "-m", "2", "-p", "2", "-e", "1"]
STUDY = ["--rounds", "2", "--updates", "1", "--batch-size", "1", "--teacher-rounds", "1"]
SHOWING = {
    "train": ["train", "linear", "run", *EVOLVE],
    "clone": ["clone", "linear", MODEL, "run", *LEARN, *STUDY, "--evolve", "1"],
    "report": ["report", MODEL, "-e", "2", "--max-steps", "3", "-j", "1"],
    "sweep": ["sweep", "sweep.toml", "-j", "1"],
    "video": ["video", MODEL, "--max-steps", "3", "-o", "film.gif", "--width", "320"],
}


def commands():
    (found,) = (action for action in make_parser()._actions if hasattr(action, "choices") and action.choices)
    return found.choices


def option(parser, flag):
    return next((action for action in parser._actions if flag in action.option_strings), None)


def test_defaults_are_the_same_in_every_command():
    jobs = {name: found for name, parser in commands().items() if (found := option(parser, "--jobs"))}
    seeds = {name: found for name, parser in commands().items() if (found := option(parser, "--seed"))}
    assert set(jobs) == {"train", "evaluate", "clone", "sweep", "report"}
    assert set(seeds) == {"train", "evaluate", "clone", "report", "video", "watch", "page"}
    assert {name: found.default for name, found in jobs.items()} == dict.fromkeys(jobs, -1)
    # That of a run that is resumed is its own: what is not given is the library's, of which the help tells.
    assert {name: found.default for name, found in seeds.items()} == dict.fromkeys(seeds)
    for found, default in [*((each, "-1") for each in jobs.values()), *((each, "0") for each in seeds.values())]:
        assert re.search(r"\(default: (.*?)\)", found.help)[1] == default
    assert {"-j"} <= set.intersection(*(set(found.option_strings) for found in jobs.values()))
    assert PageSettings().seed == 0


def prepare(folder):
    (folder / "sweep.toml").write_text(
        'command = "train linear"\nseeds = [0]\n'
        "options = {generations = 1, population-size = 2, episodes = 1, eval-episodes = 1, max-steps = 3}\n"
    )


def start(name, folder, **streams):
    prepare(folder)
    return subprocess.Popen([sys.executable, "-m", "pisensory", *SHOWING[name]], cwd=folder, **streams)


@pytest.mark.parametrize("name", SHOWING)
def test_bars_are_quiet_in_a_pipe(name, tmp_path):
    pytest.importorskip("matplotlib")
    process = start(name, tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, errors = process.communicate(timeout=200)
    assert (process.returncode, errors) == (0, "")
    assert out
    logs = [log.read_text() for log in tmp_path.rglob("*.log")]
    assert not any("%|" in log for log in logs) and bool(logs) == (name == "sweep")


@pytest.mark.parametrize("name", SHOWING)
def test_bars_show_in_a_terminal(name, tmp_path):
    pytest.importorskip("matplotlib")
    fcntl, pty, termios = map(pytest.importorskip, ("fcntl", "pty", "termios"))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    process = start(name, tmp_path, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError:  # how Linux says that nobody writes any more
        pass
    os.close(ours)
    assert process.wait(timeout=200) == 0
    assert "%|" in shown.decode()
