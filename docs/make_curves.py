"""Draw how candidates for the shipped models rose, over minutes.

    python docs/make_curves.py docs/images/training-curves.png NAME=FOLDER[,FOLDER...] [NAME=...]

The folders of a name are the stages of one training, in order: run folders of train or clone, or what is kept of
them in docs/runs. Their environment steps and their time are added up; a teacher, which is another network than
that of the last stage, is dotted. Prints when the network of the last stage first came to a score.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np

from pisensory.figures import as_png
from pisensory.figures.style import MARKERS, colour, new_figure, styled

NAMES = ("env_steps", "elapsed", "held_out")
SCORES = (300, 400, 472, 498, 515, 560)


def read_stage(folder):
    """Return the environment steps, seconds and held-out scores (line,) of a stage, and its network's settings."""
    lines = list(csv.DictReader((Path(folder) / "metrics.csv").read_text().splitlines()))
    columns = np.array([[float(line[name] or "nan") for line in lines] for name in NAMES])
    return columns, json.loads((Path(folder) / "config.json").read_text())["policy"]


def join_stages(folders):
    """Return million environment steps, minutes and scores of a teacher and of its student (3, line) each."""
    stages = [read_stage(folder) for folder in folders]
    before, teacher, student = np.zeros((3, 1)), [np.empty((3, 0))], []
    for columns, policy in stages:
        columns = columns + before
        before = np.array([[columns[0, -1]], [columns[1, -1]], [0.0]])
        (student if policy == stages[-1][1] else teacher).append(columns[:, np.isfinite(columns[2])])
    scale = np.array([[1e-6], [1 / 60], [1]])
    return scale * np.concatenate(teacher, axis=1), scale * np.concatenate(student, axis=1)


def main():
    """Draw the trainings and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("image", help="to write, .png")
    parser.add_argument("trainings", nargs="+", metavar="NAME=FOLDER,FOLDER", type=_training, help="name and stages")
    options = parser.parse_args()
    trainings = options.trainings
    with styled():
        figure, axes = new_figure(4.4 + 0.1 * len(trainings))
        taught = False
        for number, (name, folders) in enumerate(trainings):
            teacher, student = join_stages(folders)
            marker = {"marker": MARKERS[number % len(MARKERS)], "markevery": max(1, student.shape[1] // 8)}
            axes.plot(teacher[1], teacher[2], color=colour(number), lw=1, ls=":")
            taught |= teacher.size > 0
            axes.plot(student[1], student[2], color=colour(number), lw=1.4, label=name, markersize=5, **marker)
            print(name)
            for score in SCORES:
                above = np.flatnonzero(student[2] >= score)
                if len(above):
                    steps, minutes, _ = student[:, above[0]]
                    print(f"  {score:5d}  {steps:9,.1f} M steps  {minutes:6.1f} minutes")
        if taught:
            axes.plot([], [], color="0.4", lw=1, ls=":", label="its teacher, before it")
        axes.set_xlabel("minutes")
        axes.set_ylabel("return of held-out episodes")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=3)
    with open(options.image, "wb") as file:
        file.write(as_png(figure))


def _training(text):
    name, folders = text.split("=", 1)
    return name, folders.split(",")


if __name__ == "__main__":
    main()
