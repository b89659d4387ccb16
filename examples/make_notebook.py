"""Write the walk-through as a notebook: the cells of video_walkthrough.py, by jupytext, with nothing run."""

from pathlib import Path

import jupytext

SCRIPT = Path(__file__).with_name("video_walkthrough.py")


def make_notebook():
    """Return the notebook that the script is."""
    notebook = jupytext.read(SCRIPT, fmt="py:percent")
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"  # where jupytext draws one at random
    return notebook


if __name__ == "__main__":
    jupytext.write(make_notebook(), SCRIPT.with_suffix(".ipynb"), fmt="ipynb")
