"""`pisensory clone`: train a policy to act as another does, then go on with evolution if asked."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..cloning import clone
from ..errors import check_int
from ..evaluate import evaluate, score_table
from ..files import load_params
from ..policies import policy_from_config
from ..runs import BEST, CONFIG, read_config
from ..tasks import task_from_config
from ..train import train
from ..train.loop import check_covariances
from .options import POLICY_KINDS, Model, add_sizes, add_task, default_policy, given, load_file, make_policy, make_task

# Settings that a resumed run takes from its folder: the library's name, and the option's.
_SETTINGS = {
    "rounds": "rounds", "teacher_rounds": "teacher_rounds", "updates": "updates", "batch_size": "batch_size",
    "memory": "memory", "window": "window", "learning_rate": "learning_rate",
    "action_noise": "action_noise", "teacher_gain": "teacher_gain", "teacher_share": "teacher_share",
    "identify": "identify", "seed": "seed", "dagger": "dagger",
    "patience": "patience", "max_megabytes": "max_megabytes", "eval_every": "eval_every",
    "n_eval_episodes": "eval_episodes",
}  # fmt: skip
_EVOLVE_SIGMA0 = 0.02


def add(commands: Any) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser(
        "clone",
        help="train a policy to act as another does",
        description="Train STUDENT to act as TEACHER does, by back-propagation through time. The teacher sees the "
        "inputs in order, the student as the options say. With --resume, options that are not given are those of "
        "the run.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("student", choices=POLICY_KINDS, help="the network to train")
    parser.add_argument("teacher", metavar="TEACHER", help="shipped model, file, run folder, or bare vector")
    parser.add_argument("run_dir", metavar="RUN_DIR", help="folder for settings, metrics, checkpoint and student")
    group = parser.add_argument_group("cloning")
    group.add_argument("--rounds", type=int, metavar="N", help="rounds of collecting and learning (default: 400)")
    group.add_argument(
        "--teacher-rounds",
        type=int,
        metavar="N",
        help="rounds in which the teacher acts (default: 16)",
    )
    group.add_argument("--dagger", action="store_true", default=None, help="then collect the student's own episodes")
    group.add_argument(
        "--teacher-share",
        type=float,
        metavar="S",
        help="of the actions in them, up to this much is still the teacher's (default: 0)",
    )
    group.add_argument(
        "--identify",
        type=float,
        metavar="W",
        help="weight of a second loss, of telling which input each LSTM is fed (default: 0)",
    )
    group.add_argument("--updates", type=int, metavar="N", help="steps of descent in a round (default: 25)")
    group.add_argument("--batch-size", type=int, metavar="N", help="episodes in a batch (default: 64)")
    group.add_argument("--memory", type=int, metavar="N", help="latest batches to choose from (default: 60)")
    group.add_argument("--window", type=int, metavar="N", help="shortest sequence, in steps (default: 100)")
    group.add_argument("--learning-rate", type=float, metavar="R", help="at first; it falls (default: 0.001)")
    group.add_argument("--action-noise", type=float, metavar="S", help="on previous actions (default: 0.03)")
    group.add_argument(
        "--teacher-gain", type=float, metavar="G", help="soften the teacher: a factor before its tanh (default: 1)"
    )
    group.add_argument("--eval-every", type=int, metavar="N", help="rounds between held-out scores (default: 5)")
    group.add_argument("--eval-episodes", type=int, metavar="N", help="held-out episodes (default: 256)")
    group.add_argument("--patience", type=int, metavar="N", help="scores without a better one (default: 40)")
    group.add_argument("--max-megabytes", type=int, metavar="N", help="of the latest batches to use (default: 1024)")
    group.add_argument("--seed", type=int, metavar="N", help="seed of everything random (default: 0)")
    group.add_argument("--init-from", metavar="FILE", help="start from the parameters in this .npz (default: random)")
    group.add_argument("--minutes", type=float, metavar="M", help="stop after M minutes (default: no limit)")
    group.add_argument("--resume", action="store_true", help="go on with the run in RUN_DIR")
    group.add_argument(
        "--evolve", type=int, metavar="N", help="then N generations of CMA-ES, in RUN_DIR/evolve (default: none)"
    )
    group.add_argument("--executor", metavar="E", help="serial, processes or dask:ADDRESS (default: by --jobs)")
    group.add_argument(
        "--jobs", "-j", type=int, default=-1, metavar="N", help="worker processes, -1 for one a core (default: -1)"
    )
    add_task(parser, default="that of the teacher, or harder")
    add_sizes(parser)


def run(options: argparse.Namespace) -> int:
    """Clone, evolve if asked, and print the scores of teacher and student."""
    folder, evolved_folder = Path(options.run_dir), Path(options.run_dir) / "evolve"
    if options.evolve is not None:
        check_int("--evolve", options.evolve, 1)
    teacher = load_file(options.teacher, options.task)
    old = read_config(folder) if options.resume and (folder / CONFIG).exists() else None
    task = make_task(options, teacher.task if old is None else task_from_config(old["task"]))
    student = default_policy(options.student, task) if old is None else policy_from_config(old["policy"])
    student = make_policy(options, student)
    if options.evolve is not None:
        check_covariances(student)
    result = clone(
        student,
        (teacher.policy, teacher.params),
        task,
        folder,
        **given(options, _SETTINGS),
        init=None if options.init_from is None else load_params(options.init_from),
        minutes=options.minutes,
        resume=options.resume,
        n_jobs=options.jobs,
        executor=options.executor,
        progress=True,
    )
    students = {"student": Model(result.policy, result.params, task)}
    if options.evolve is not None:
        evolved = train(
            result.policy, task, evolved_folder, generations=options.evolve, init=result.params, sigma0=_EVOLVE_SIGMA0,
            resume=(evolved_folder / CONFIG).exists(), n_jobs=options.jobs, executor=options.executor, progress=True,
        )  # fmt: skip
        students["student, evolved"] = Model(result.policy, evolved.params, task)
    print(f"{result.rounds} rounds, {result.updates:,} updates. The best student: {folder / BEST}\n")
    models = {"teacher": teacher._replace(task=task.plain), **students}
    print(
        score_table(
            {
                name: evaluate(
                    model.policy, model.params, model.task, task.score_episodes, 0, options.jobs, options.executor
                )
                for name, model in models.items()
            }
        )
    )
    return 0
