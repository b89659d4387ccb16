"""What all commands have in common: the defaults of --jobs and --seed, and bars that only a terminal shows."""

import os
import re
import select
import struct
from pathlib import Path

import pytest
from warm import Started, python

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
    "sweep": ["--load", str(Path(__file__).with_name("few_scores.py")), "sweep", "sweep.toml", "-j", "1"],
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


# A command that scores few episodes at the end, and draws nothing; its errors go to a terminal, if one is named.
COMMAND = """
import os, sys
from pisensory import figures
from pisensory.cli import main
from pisensory.report import survival
from pisensory.tasks.base import Task

Task.score_episodes, survival.AFTER, survival.LONG, figures.report_figures = 8, 50, 50, lambda report: []
terminal, *words = sys.argv[1:]
if terminal:
    os.dup2(os.open(terminal, os.O_WRONLY | os.O_NOCTTY), 2)
sys.exit(main(words))
"""


@pytest.mark.parametrize("name", SHOWING)
def test_bars_are_quiet_in_a_file(name, tmp_path):
    pytest.importorskip("matplotlib")
    prepare(tmp_path)
    done = python(COMMAND, "", *SHOWING[name], cwd=tmp_path, timeout=200)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
    logs = [log.read_text() for log in tmp_path.rglob("*.log")]
    assert not any("%|" in log for log in logs) and bool(logs) == (name == "sweep")


@pytest.mark.parametrize("name", SHOWING)
def test_bars_show_in_a_terminal(name, tmp_path):
    pytest.importorskip("matplotlib")
    fcntl, pty, termios = map(pytest.importorskip, ("fcntl", "pty", "termios"))
    prepare(tmp_path)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    process = Started([os.ttyname(theirs), *SHOWING[name]], COMMAND, tmp_path)
    while process.poll() is None and not select.select([ours], [], [], 0.05)[0]:
        pass  # until it has written there, and so has it open itself
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
