"""The package as a whole: what importing it costs and loads, and that examples run."""

import configparser
import importlib.util
import pathlib
import re
import subprocess
import sys
import tarfile

import pytest
from warm import python

import pisensory as ps

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


def test_training_loads_no_plots_or_statistics_and_leaves_the_optimizer_whole(tmp_path):
    pytest.importorskip("matplotlib")
    code = (
        "import sys; import pisensory as ps; "
        "ps.train(ps.MLPPolicy(), ps.CartPoleSwingUp(max_steps=5), 'run', generations=1, population_size=4); "
        "import cma; print({'matplotlib', 'scipy.stats'} & set(sys.modules)); "
        "print(cma.s.figsave.__name__, cma.s.__file__ is not None, sys.modules['cma.s'] is cma.s, "
        "'matplotlib' in sys.modules)\n"
        "found = cma.fmin_lq_surr(cma.ff.sphere, [1, 1], 0.3, {'verbose': -9, 'maxfevals': 60})[1].result.fbest; "
        "print(found < 0.1, cma.fitness_models.kendall_tau([1, 2, 3], [1, 2, 3]))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert output.stdout.splitlines()[-3:] == ["set()", "savefig True True True", "True 1.0"]


def test_embedding_example_acts(tmp_path):
    output = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "embed.py")], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert output.returncode == 0, output.stderr
    lines = output.stdout.splitlines()
    assert [line[:8] for line in lines] == ["5 inputs", "5 inputs", "4 inputs", "5 inputs"]
    policy, params = ps.load_model("cartpole-v1-invariant")
    assert lines[0].endswith(f"action {policy.agent(params).act([0.1, 0.0, -1.0, 0.0, 0.2])}")


# Runs an example with episodes, lessons and scores on the way that are small.
EXAMPLE = """
import functools, runpy, sys
import pisensory as ps
from pisensory.cloning import recipe
from pisensory.tasks.base import Task

recipe._TEACHING = {**recipe._TEACHING, "population_size": 8, "n_episodes": 2}
recipe._CLONING = {**recipe._CLONING, "updates": 2, "batch_size": 4, "windows": 4}
Task.score_episodes = 8
ps.CartPoleSwingUp = functools.partial(ps.CartPoleSwingUp, max_steps=100)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_training_example_ends_in_a_table_and_goes_on(tmp_path):
    command = [ROOT / "examples" / "cartpole_train.py", "--out", tmp_path / "run"]
    command += ["--generations", "2", "--episodes", "20", "--jobs", "1", "--rounds", "1"]
    for _ in range(2):  # a run that is done is scored again
        output = python(EXAMPLE, *command, timeout=200)
        assert output.returncode == 0, output.stderr
        rows = {line[:30].strip(): line[30:].split() for line in output.stdout.splitlines()}
        in_order, shuffled = rows["in order"], rows["shuffled"]
        assert len(in_order) == len(rows["shuffled, each input ten times"]) == 6
        assert in_order[0] == shuffled[0]
        assert in_order[2] == shuffled[2]
        assert in_order[3] != shuffled[3]
        assert (in_order[4], shuffled[4]) == ("472.0", "471.0")
    if importlib.util.find_spec("matplotlib"):
        assert (tmp_path / "run" / "scores.png").read_bytes().startswith(b"\x89PNG")


def test_gym_example_shows_the_same_score_shuffled(tmp_path):
    command = [ROOT / "examples" / "any_gym_env.py", "--minutes", "0.002", "--out", tmp_path, "--jobs", "1"]
    output = python(EXAMPLE, *command, timeout=200)
    assert output.returncode == 0, output.stderr
    in_order, shuffled = (line.split()[-7:] for line in output.stdout.splitlines()[-2:])
    assert in_order == shuffled


def make_sdist(folder):
    """Make the source distribution and return what it unpacks to."""
    pytest.importorskip("setuptools")
    command = ["setup.py", "-q", "egg_info", "--egg-base", str(folder), "sdist", "--dist-dir", str(folder)]
    result = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(folder)
    return folder / archive.name[: -len(".tar.gz")]


def test_source_distribution_is_whole_and_its_tests_pass(tmp_path):
    unpacked = make_sdist(tmp_path)
    for folder in ("benchmarks", "docs", "examples", "pisensory", "tests"):
        ours = {
            path.relative_to(ROOT) for path in (ROOT / folder).rglob("*") if path.suffix != ".pyc" and path.is_file()
        }
        theirs = {path.relative_to(unpacked) for path in (unpacked / folder).rglob("*") if path.is_file()}
        assert ours == theirs
    for name in ("CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml", "setup.cfg", "setup.py"):
        assert (unpacked / name).read_bytes() == (ROOT / name).read_bytes() or name == "setup.cfg"
    command = [sys.executable, "-m", "pytest", "tests/test_independent.py", "tests/test_files.py"]
    result = subprocess.run(
        [*command, "-n", "0", "-p", "no:cacheprovider"], cwd=unpacked, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stdout
    code = "import pisensory; print(pisensory.__file__)"
    used = subprocess.run([sys.executable, "-c", code], cwd=unpacked, capture_output=True, text=True, timeout=60).stdout
    assert used.startswith(str(unpacked))


def test_description_survives_on_a_package_index():
    spec = importlib.util.spec_from_file_location("setup", ROOT / "setup.py")
    setup = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(setup)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = setup.describe(readme)
    targets = re.findall(r"\]\(([^)]*)\)", shown)
    assert targets
    assert all(target.startswith(("https://", "#")) for target in targets)
    for target in re.findall(r"\]\((?!https?:|#)([^)#]*)", readme):
        assert (ROOT / target).exists(), target
    for words in ("The method", "examples/embed.py", "in this repository", "pip install"):
        assert words in shown


def test_metadata_names_every_python_and_a_page():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    for minor in range(9, 14):
        assert f"Programming Language :: Python :: 3.{minor}" in config["metadata"]["classifiers"].splitlines()
    assert "https://" in config["metadata"]["project_urls"]
    extras = config["options.extras_require"]
    bounded = extras["viz"] + extras["tensorboard"] + config["options"]["install_requires"]
    for package in ("matplotlib", "tensorboardX", "cma", "gym", "numpy", "pillow"):
        assert re.search(rf"^{package}>=\d", bounded, re.MULTILINE), package
