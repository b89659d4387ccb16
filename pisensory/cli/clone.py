"""Train a policy to act as another does.

Trains STUDENT to act as TEACHER does, by back-propagation through time, then goes on with evolution if asked. The
teacher sees the inputs in order, the student as the options say. With --resume, options that are not given are those
of the run.
"""

from __future__ import annotations

import argparse

from ..cloning import clone
from ..cloning.episodes import AnyTeacher
from ..errors import MAX_COUNT, InputError, check_int
from ..evaluate import evaluate, score_table
from ..files import as_path, load_params
from ..runs import BEST, CONFIG
from ..runs.folder import EVOLVE
from ..tasks import TASKS
from ..teachers import TEACHERS
from ..train import train
from ..train.loop import check_covariances
from .arguments import add_options, given, shows_progress
from .options import Model, add_sizes, add_task, choose_run, choose_task, load_model, policy_names

_EVOLVE_SIGMA0 = 0.02


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("student", choices=policy_names(), help="the network to train")
    parser.add_argument(
        "model", nargs="?", metavar="TEACHER", help="shipped model, file, run folder, or bare vector; or --teacher"
    )
    parser.add_argument("run_dir", metavar="RUN_DIR", help="folder for settings, metrics, checkpoint and student")
    group = parser.add_argument_group("cloning")
    group.add_argument(
        "--teacher", choices=TEACHERS, help="a teacher that sees the simulator, in place of TEACHER (default: none)"
    )
    add_options(group, "run", {"": clone})
    group.add_argument("--init-from", metavar="FILE", help="start from the parameters in this .npz (default: random)")
    group.add_argument(
        "--evolve", type=int, metavar="N", help="then N generations of CMA-ES, in RUN_DIR/evolve (default: none)"
    )
    add_task(parser, default="that of the teacher, or harder")
    add_sizes(parser)


def run(options: argparse.Namespace) -> int:
    """Clone, evolve if asked, and print the scores of teacher and student."""
    generations = None if options.evolve is None else check_int("--evolve", options.evolve, 1, MAX_COUNT)
    asked = {"progress": shows_progress(), **given(options, "run")}
    if (options.model is None) == (options.teacher is None):
        raise InputError("say who is to teach: TEACHER, a trained policy, or --teacher, which sees the simulator")
    teaches: AnyTeacher
    teacher, models = None, {}
    if options.teacher is not None:
        teaches = TEACHERS[options.teacher]()
        base = TASKS[teaches.task]()
    else:
        teacher = load_model(options.model, choose_task(options.task), asked=options.task)
        teaches, base = (teacher.policy, teacher.params), teacher.task
    task, student, _ = choose_run(options, options.student, base)
    if teacher is not None:
        models["teacher"] = teacher._replace(task=task.plain)
    if generations is not None:
        check_covariances(student)
    init = None if options.init_from is None else load_params(as_path(options.init_from, "--init-from"))
    result = clone(student, teaches, task, options.run_dir, init=init, **asked)
    models["student"] = Model(result.policy, result.params, task)
    where = {name: asked[name] for name in ("n_jobs", "executor") if name in asked}
    if generations is not None:
        folder = result.run_dir / EVOLVE
        evolved = train(
            result.policy, task, folder, generations=generations, init=result.params, sigma0=_EVOLVE_SIGMA0,
            resume=(folder / CONFIG).exists(), progress=asked["progress"], **where,
        )  # fmt: skip
        models["student, evolved"] = Model(result.policy, evolved.params, task)
    print(f"{result.rounds} rounds, {result.updates:,} updates. The best student: {result.run_dir / BEST}\n")
    scores = {
        name: evaluate(model.policy, model.params, model.task, task.score_episodes, **where)
        for name, model in models.items()
    }
    print(score_table(scores))
    return 0
