"""The walk-through of the video: the script and its notebook run, and show what they say."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pisensory as ps

EXAMPLES = Path(__file__).parents[1] / "examples"
RUNS = ("linear", "linear-augment", "mlp", "mlp-augment", "invariant")
PICTURES = ("positional-table.png", "training.png", "shuffling.png", "noise.png", "film.gif")
for package in ("matplotlib", "tensorboardX", "PIL"):
    pytest.importorskip(package)


def check(out, said):
    """Check what a walk has written, and what it said on its way."""
    from PIL import Image

    for picture in PICTURES:
        with Image.open(out / picture) as image:
            assert len(set(image.convert("L").getdata())) > 30  # there is something to see
    for run in RUNS:
        policy, params = ps.load_policy(out / run / "best.npz")
        assert policy.label == run.split("-")[0] and params.any()
        assert list((out / run / "tensorboard").iterdir())
    assert "913 parameters" in said
    for n_features in (5, 10, 20):
        assert f"{n_features:2} inputs: attention (16, {n_features}), latent (16,), action (1,)" in said
    assert re.search(r"permuted from the start: +0\.0\n", said) and re.search(r"permuted at both steps: +0\.0\n", said)
    assert float(re.search(r"permuted after the first one: +(\S+)", said)[1]) > 0.01
    assert "the same vector again: True" in said and "the same action from a file: [ True]" in said
    in_order, shuffled = (
        re.search(rf"^{label}: (.*)", said, re.M)[1].split(", ") for label in ("in order", "shuffled")
    )
    for one, other in zip(in_order[4:], shuffled[4:]):  # the invariant ones
        assert one == other
    assert in_order[:4] != shuffled[:4]
    noise = [re.search(rf"^{label}: (.*)", said, re.M)[1].split(", ") for label in ("invariant", "shipped invariant")]
    assert [len(means) for means in noise] == [6, 6]
    assert min(map(float, noise[1])) > 700  # noise does not harm the shipped one


@pytest.mark.slow  # its cells are those of the notebook, which is walked through below
def test_the_script_walks_through_all_of_it(tmp_path):
    command = [
        sys.executable,
        EXAMPLES / "video_walkthrough.py",
        "--generations",
        "2",
        "--episodes",
        "6",
        "--jobs",
        "1",
    ]
    done = subprocess.run([*command, "--out", tmp_path / "out"], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    check(tmp_path / "out", done.stdout)


def test_the_notebook_walks_through_all_of_it(tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(EXAMPLES / "video_walkthrough.ipynb", as_version=4)
    (place,) = [number for number, cell in enumerate(notebook.cells) if "parse_args" in cell.source]
    small = (
        f"options.generations, options.episodes, options.jobs, options.out = 2, 6, 1, Path({str(tmp_path)!r})\n"
        "import contextlib, io\n"
        "from pisensory.cli import main\n"
        "from pisensory.tasks.base import Task\n"
        "Task.score_episodes = 8\n"
        "def shortened(command, **settings):\n"  # the trainings, in this process
        "    with contextlib.redirect_stdout(io.StringIO()) as said:\n"
        "        code = main([*command[3:], '--max-steps', '50', '--eval-episodes', '8'])\n"
        "    return subprocess.CompletedProcess(command, code, said.getvalue())\n"
        "subprocess.run = shortened\n"
        "def write_video(path, pair, film, write=write_video, **settings):\n"
        "    return write(path, pair, dataclasses.replace(film, max_steps=40), **settings)"
    )
    notebook.cells.insert(place + 1, nbformat.v4.new_code_cell(small))
    nbclient.NotebookClient(notebook, timeout=900, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    check(tmp_path, "".join(output.text for output in outputs if output.output_type == "stream"))
    assert sum(output.output_type == "display_data" for output in outputs) == len(PICTURES)


def test_the_notebook_is_the_script():
    pytest.importorskip("jupytext")
    nbformat = pytest.importorskip("nbformat")
    made = runpy.run_path(str(EXAMPLES / "make_notebook.py"))["make_notebook"]()
    kept = nbformat.read(EXAMPLES / "video_walkthrough.ipynb", as_version=4)
    cells = [[(cell.cell_type, cell.source) for cell in notebook.cells] for notebook in (made, kept)]
    assert cells[0] == cells[1], "run examples/make_notebook.py"
    assert len(cells[0]) > 20 and not any(cell.get("outputs") for cell in kept.cells)


def test_chapters_agree_with_what_the_layer_does():
    """What the third chapter says holds of the trained agent too, in both ways of going on."""
    policy, params = ps.load_model("cartpole-v1-invariant")
    observations = np.random.default_rng(3).normal(size=(20, 5))
    order = np.array([3, 0, 4, 1, 2])
    agents = [policy.agent(params) for _ in range(3)]
    for number, observation in enumerate(observations):
        agents[0].act(observation)
        agents[1].act(observation[order])
        agents[2].act(observation[order] if number >= 10 else observation)
    np.testing.assert_array_equal(agents[0].latent, agents[1].latent)
    assert np.abs(agents[0].latent - agents[2].latent).max() > 1e-3
