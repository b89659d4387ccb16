"""Make the figures of report.md from trained policies, those of `pisensory report` that it shows and no others.

    python docs/make_figures.py [INVARIANT MODEL...]

The figures that compare are of all models, the others of INVARIANT alone. Without arguments it takes models that ship.
Each score is printed as it is found, each figure written to docs/images/report-*.png when its scores are complete.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pisensory import figures
from pisensory.cli.options import load_model
from pisensory.executors import open_executor
from pisensory.report import Subject
from pisensory.report.inside import study_inside
from pisensory.report.scores import Scorer
from pisensory.report.studies import plan

IMAGES = Path(__file__).parent / "images"
MODELS = ("cartpole-invariant", "cartpole-linear", "cartpole-mlp", "cartpole-v1-mlp", "cartpole-v1-invariant")
ALONE = ("dropped", "delay", "noise-kinds")
TOGETHER = ("reshuffling", "shuffling", "noise-features", "noise-inputs")
SEED = 0


def main() -> None:
    """Score the models and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=MODELS, help="shipped models, files or run folders")
    parser.add_argument("--episodes", type=int, default=1000, help="of each score")
    parser.add_argument("--jobs", type=int, default=-1, help="processes")
    options = parser.parse_args()
    subjects = [Subject(Path(name).stem, *load_model(name)) for name in options.models]
    plain: list[dict[str, Any]] = []
    with open_executor(None, options.jobs) as executor:
        scorer = Scorer(SEED, executor)
        for study in ("inputs", *ALONE, *TOGETHER):
            found = []
            for subject in subjects if study not in ALONE else subjects[:1]:
                for cell in plan(subject.policy, subject.task, options.episodes):
                    # Of the table of inputs the figures show the first score alone.
                    if cell.study.key == study and (study != "inputs" or not cell.condition.changes):
                        found.append(scorer.score(subject, cell))
                        print(study, subject.name, cell.condition.label, f"{found[-1]['mean']:.1f}", flush=True)
            plain = plain or found
            draw({"scores": {"inputs": plain, study: found}, "inside": [], "gaze": []})
    inside = study_inside(subjects[0], options.episodes, SEED)
    print("recovery", inside["recovery"]["episodes"], inside["recovery"]["steps_to_recover"])
    draw({"scores": {"inputs": plain}, "inside": [inside], "gaze": []})


def draw(report: Mapping[str, Any]) -> None:
    """Write the figures that a report has numbers for."""
    for figure in figures.report_figures(report):
        (IMAGES / f"report-{figure.study}.png").write_bytes(figures.as_png(figure.canvas))
        print(f"report-{figure.study}.png: {figure.alt}", flush=True)


if __name__ == "__main__":
    main()
