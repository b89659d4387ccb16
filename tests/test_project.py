"""What a project has beside its code: a version that all files agree on, a citation, help to begin with, completion."""

import datetime
import os
import pathlib
import re
import subprocess
import sys

import pytest

import pisensory as ps
from pisensory.cli import main, make_parser

ROOT = pathlib.Path(__file__).parent.parent


def test_files_agree_on_the_version():
    log = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    version, released = re.search(r"^## (\S+) \((.*)\)$", log, re.MULTILINE).groups()
    cited = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert version == ps.__version__
    assert f"version: {version}\n" in cited and f'date-released: "{datetime.date.fromisoformat(released)}"' in cited


def test_help_begins_with_commands_that_are_there(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    commands = re.findall(r"^  pisensory (.*)$", text, re.MULTILINE)
    assert len(commands) == 3 and text.index(commands[0]) < text.index("options:")
    for command in commands:
        make_parser().parse_args(command.split())


@pytest.mark.parametrize("line, expected", [("pisensory ev", "evaluate"), ("pisensory train --gen", "--generations")])
def test_shells_complete(line, expected, tmp_path):
    pytest.importorskip("argcomplete")
    asked = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_IFS": "\n"}
    asked["_ARGCOMPLETE_STDOUT_FILENAME"] = str(tmp_path / "answer")
    environment = {**os.environ, **asked, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-m", "pisensory"], env=environment, timeout=60, check=False)
    assert expected in (tmp_path / "answer").read_text().split()
