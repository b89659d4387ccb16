"""The package as a whole: what importing it costs and loads, and that examples run."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent


def test_import_loads_numpy_alone():
    code = (
        "import numpy, sys; before = set(sys.modules); import pisensory; "
        "print({name.split('.')[0] for name in set(sys.modules) - before "
        "if 'site-packages' in (getattr(sys.modules[name], '__file__', None) or '')} - {'pisensory'})"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "set()"


def test_import_loads_nothing_of_networks_or_processes():
    code = (
        "import numpy, sys; before = set(sys.modules); import pisensory; "
        "print({'multiprocessing', 'socket', 'concurrent.futures', 'asyncio'} & (set(sys.modules) - before))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "set()"


def test_embedding_example_acts(tmp_path):
    output = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "embed.py")], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert output.returncode == 0, output.stderr
    assert "action" in output.stdout


def test_training_example_ends_in_a_table(tmp_path):
    command = [
        sys.executable,
        str(ROOT / "examples" / "cartpole_train.py"),
        "--minutes",
        "0.02",
        "--out",
        str(tmp_path),
    ]
    output = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert output.returncode == 0, output.stderr
    rows = {line[:28].strip(): line[28:].split() for line in output.stdout.splitlines() if line.startswith("invariant")}
    assert rows["invariant, in order"][0] == rows["invariant, shuffled"][0]


def test_gym_example_shows_the_same_score_shuffled(tmp_path):
    command = [sys.executable, str(ROOT / "examples" / "any_gym_env.py"), "--minutes", "0.01", "--out", str(tmp_path)]
    output = subprocess.run([*command, "--jobs", "1"], capture_output=True, text=True, timeout=200)
    assert output.returncode == 0, output.stderr
    in_order, shuffled = (line.split()[-7:] for line in output.stdout.splitlines()[-2:])
    assert in_order == shuffled
