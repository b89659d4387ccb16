"""Draw how candidates for the shipped models rose, over minutes.

    python docs/make_curves.py docs/images/training-curves.png NAME=FOLDER[,FOLDER...] [NAME=...]

The folders of a name are the stages of one training, in order: run folders of train or clone, or what is kept of
them in docs/runs. Their environment steps and their time are added up; a teacher, which is another network than
that of the last stage, is dotted. Prints when the network of the last stage first came to a score.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from pisensory.figures import as_png, join_stages, read_curve
from pisensory.figures.style import MARKERS, colour, new_figure, styled
from pisensory.runs import read_config

SCORES = (300, 400, 472, 498, 515, 560)


def join(folders):
    """Return million environment steps, minutes and held-out scores of a teacher and of its student (3, line) each."""
    networks = {folder: read_config(Path(folder))["policy"] for folder in folders}
    lines = {True: [np.empty((3, 0))], False: [np.empty((3, 0))]}  # of the student, and of its teacher
    for folder, curve in zip(folders, join_stages([{folder: read_curve(folder) for folder in folders}], "")):
        columns = np.stack([curve.columns[name] for name in ("env_steps", "elapsed", "held_out")])
        scored = columns[:, np.isfinite(columns[2])] / [[1e6], [60], [1]]
        lines[networks[folder] == networks[folders[-1]]].append(scored)
    return (np.concatenate(lines[student], axis=1) for student in (False, True))


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
            teacher, student = join(folders)
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
