"""Every public function, class and command with every argument wrong: refused by name, at once, or taken."""

import functools
import inspect
import itertools
import resource
import signal

import numpy as np
import pytest

import pisensory as ps
from pisensory import figures
from pisensory.cli import main, make_parser

gymnasium = pytest.importorskip("gymnasium")

SECONDS, MEGABYTES = 5, 400
POLICY, TASK = ps.MLPPolicy(hidden_sizes=()), ps.CartPoleSwingUp("v1", max_steps=4)
PARAMS, LONG = np.zeros(POLICY.n_params), "x" * 300
INVARIANT = ps.InvariantPolicy(n_embeddings=2, proj_dim=2, hidden_size=2)
ZEROS = np.zeros(INVARIANT.n_params)


class Unprintable:
    """An object that cannot even be shown."""

    def __repr__(self):
        raise RuntimeError("no")


WRONG = [
    None, "text", "", LONG, b"bytes", -1, 0, 1.5, 10**10, 10**400, float("nan"), float("inf"), -1e300, True, [], {}, (),
    [None], ["text"], {"text": None}, (1, 2, 3, 4, 5, 6, 7), np.zeros((2, 2)), np.array(None), np.zeros(0), object(),
    Unprintable(), len, ps.Perturbation, Exception("text"), 2 + 3j, range(10**10), np.datetime64("now"),
]  # fmt: skip


def small_env():
    return gymnasium.make("CartPole-v1")


def calls(folder):
    """Return name -> (what to call, its right arguments): all of `pisensory.__all__`, and methods of what they make."""
    ps.save_policy(folder / "model.npz", POLICY, PARAMS)
    policy, model = {"policy": POLICY, "params": PARAMS}, folder / "model.npz"
    quick = {"task": TASK, "run_dir": folder / "run", "minutes": 1e-4, "n_eval_episodes": 1}
    table = {
        "Agent": (ps.Agent, policy),
        "Agents": (ps.Agents, {**policy, "n_agents": 2, "n_features": 5}),
        "export_c": (ps.export_c, {**policy, "path": folder / "agent.c"}),
        "record": (ps.record, {**policy, "task": TASK, "n_episodes": 1, "seed": 0, "inside": ["latent"]}),
        "AttentionAgentPolicy": (ps.AttentionAgentPolicy, {}),
        "CNNPolicy": (ps.CNNPolicy, {}),
        "CarRacingTask": (ps.CarRacingTask, {"max_steps": 3}),
        "PatchPolicy": (ps.PatchPolicy, {"hidden_size": 2}),
        "Patches": (ps.Patches, {"size": 6, "stride": 6}),
        "PongTask": (ps.PongTask, {"max_steps": 3}),
        "Mixture": (ps.Mixture, {"parts": (ps.Part(TASK),)}),
        "Part": (ps.Part, {"task": TASK}),
        "AntTask": (ps.AntTask, {"max_steps": 3, "perturbation": ps.Perturbation(), "training": False}),
        "CartPoleSwingUp": (ps.CartPoleSwingUp, {}),
        "DaskExecutor": (ps.DaskExecutor, {"scheduler": "text"}),
        "GymTask": (ps.GymTask, {"env": "CartPole-v1"}),
        "InvariantPolicy": (ps.InvariantPolicy, {}),
        "MLPPolicy": (ps.MLPPolicy, {}),
        "LSTMPolicy": (ps.LSTMPolicy, {}),
        "AblatedPolicy": (ps.AblatedPolicy, {}),
        "Perturbation": (ps.Perturbation, {}),
        "ProcessExecutor": (ps.ProcessExecutor, {}),
        "Senses": (ps.Senses, {"names": ("a", "b")}),
        "SerialExecutor": (ps.SerialExecutor, {}),
        "clone": (
            ps.clone,
            {**quick, "student": POLICY, "teacher": (POLICY, PARAMS), "rounds": 1, "updates": 1, "batch_size": 1},
        ),
        "evaluate": (ps.evaluate, {**policy, "task": TASK, "n_episodes": 1}),
        "load_model": (ps.load_model, {"name": "cartpole-linear"}),
        "load_params": (ps.load_params, {"path": model}),
        "load_policy": (ps.load_policy, {"path": model}),
        "perturb_env": (ps.perturb_env, {"env": small_env(), "perturbation": ps.Perturbation()}),
        "register_envs": (ps.register_envs, {}),
        "rollout": (ps.rollout, {"policy": POLICY, "population": PARAMS[None], "task": TASK, "n_episodes": 1}),
        "save_policy": (ps.save_policy, {**policy, "path": folder / "saved.npz"}),
        "scale_action": (ps.scale_action, {"space": small_env().action_space, "outputs": [0.5, 0.1]}),
        "score_table": (ps.score_table, {"evaluations": {"a": ps.evaluate(POLICY, PARAMS, TASK, 1)}}),
        "train": (ps.train, {**quick, "policy": POLICY, "generations": 1, "population_size": 2, "n_episodes": 1}),
        "train_with_teacher": (
            ps.train_with_teacher,
            {**quick, "policy": INVARIANT, "generations": 1, "population_size": 2, "n_episodes": 1},
        ),
    }
    observations = np.zeros((2, 5, 1, 3))
    methods = {
        "Agent.act": (POLICY.agent(PARAMS).act, {"observation": np.zeros(5)}),
        "Agents.act": (ps.Agents(POLICY, PARAMS, 2).act, {"observations": np.zeros((2, 5))}),
        "Agents.reset": (ps.Agents(POLICY, PARAMS, 2).reset, {"agents": [0]}),
        "Policy.agent": (INVARIANT.agent, {"params": ZEROS}),
        "Policy.prepare": (INVARIANT.prepare, {"population": ZEROS[None]}),
        "Policy.start": (
            INVARIANT.start,
            {"weights": INVARIANT.prepare(ZEROS[None]), "n_features": 2, "n_episodes": 4},
        ),
        "Policy.soften": (INVARIANT.soften, {"params": ZEROS, "gain": 0.5}),
        "Policy.unroll": (INVARIANT.unroll, {"params": ZEROS, "observations": observations}),
        "Policy.initial": (INVARIANT.initial, {"generator": np.random.default_rng(0)}),
        "Task.start": (TASK.start, {"seed": 0, "episodes": np.zeros((1, 2), int)}),
        "ProcessExecutor.map": (ps.ProcessExecutor(1).map, {"function": abs, "items": []}),
        "Perturbation.n_features": (ps.Perturbation().n_features, {"n_sources": 5}),
    }
    return {**table, **methods}


# What others than this package decide on, or what takes anything at all.
ANYTHING = {
    ("save_policy", "about"), ("Policy.start", "weights"), ("ProcessExecutor.map", "function"),
    ("ProcessExecutor.map", "items"), ("Policy.initial", "generator"), ("Policy.unroll", "dtype"),
    ("Policy.unroll", "state"),
}  # fmt: skip


# What messages call arguments, where that is not their name.
WORDS = {
    "params": "the parameter vector", "init": "the parameter vector", "population": "the population",
    "observation": "the observation", "n_features": "the number of inputs", "space": "the environment",
    "env": "environment", "seed": "seed", "scheduler": "scheduler's address", "run_dir": "run folder",
    "teacher_gain": "gain",
}  # fmt: skip


def names_of_all():
    results = {"CloneResult", "Evaluation", "Recording", "Rollout", "TrainResult"}
    public = {name: getattr(ps, name) for name in ps.__all__}
    errors = {name for name, value in public.items() if inspect.isclass(value) and issubclass(value, BaseException)}
    return set(public) - results - errors - {"Policy", "Task"}


def attempt(call):
    """Call, within bounds of time and memory; return what it returns, or our error."""

    def too_long(number, frame):
        raise AssertionError(f"it took longer than {SECONDS} s")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.signal(signal.SIGPROF, too_long)  # by the processor's time: others may be busy here too
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        return call()
    except ps.PisensoryError as error:
        return error
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1024 * MEGABYTES


def test_every_public_name_is_called(tmp_path):
    assert names_of_all() - set(calls(tmp_path)) == set()


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("train_with_teacher",)]


@pytest.mark.parametrize("name", sorted(names_of_all() - {"train_with_teacher"}) + SLOW)
def test_functions_refuse_what_is_wrong(name, tmp_path, monkeypatch, recwarn):
    monkeypatch.chdir(tmp_path)
    check(name, tmp_path, recwarn)


@pytest.mark.parametrize(
    "name",
    [
        "Agent.act",
        "Agents.act",
        "Agents.reset",
        "Policy.agent",
        "Policy.prepare",
        "Policy.start",
        "Policy.soften",
        "Policy.unroll",
        "Task.start",
        "Perturbation.n_features",
    ],
)
def test_methods_refuse_what_is_wrong(name, tmp_path, monkeypatch, recwarn):
    monkeypatch.chdir(tmp_path)
    check(name, tmp_path, recwarn)


def check(name, tmp_path, recwarn):
    function, right = calls(tmp_path)[name]
    first = attempt(functools.partial(function, **fresh(right, tmp_path, 0)))
    assert not isinstance(first, ps.PisensoryError) or name == "DaskExecutor"
    complaints = []
    for number, parameter in enumerate(inspect.signature(function).parameters):
        if (name, parameter) in ANYTHING:
            continue
        for place, value in enumerate(WRONG):
            if parameter == "teacher" and callable(value):
                continue  # a teacher may be any function, and fails in its own way
            arguments = {**fresh(right, tmp_path, 1 + 100 * number + place), parameter: value}
            try:
                error = attempt(functools.partial(function, **arguments))
            except BaseException as raised:
                complaints.append(f"{parameter}={describe(value)}: {type(raised).__name__}: {str(raised)[:150]}")
                continue
            if not isinstance(error, ps.PisensoryError):
                continue
            if len(str(error)) > 800:
                complaints.append(f"{parameter}={describe(value)}: a message of {len(str(error))} characters")
            named = any(word in str(error) for word in (parameter, WORDS.get(parameter, parameter)))
            if isinstance(error, ps.InputError) and not named:
                complaints.append(f"{parameter}={describe(value)}: not named in {error}")
    if complaints:
        pytest.fail(f"{len(complaints)} of {name}:\n" + "\n".join(complaints[:12]), pytrace=False)
    assert [str(warning.message) for warning in recwarn if warning.category is RuntimeWarning] == []


def fresh(arguments, folder, number):
    """Return the arguments, with a run folder that is not there yet."""
    return {**arguments, "run_dir": folder / f"run-{number}"} if "run_dir" in arguments else arguments


def describe(value):
    try:
        return repr(value)[:40]
    except Exception:
        return type(value).__name__


TEXTS = ["", "text", "-1", "0", "1.5", "nan", "inf", "10000000000", "1e400", LONG, "a:b:c", "gymnasium:a:b:c", "None"]
TEXTS += ["100000,100000", "1,-1", "/dev/null", "\x1b[2J", "é\udcff"]
QUICK = ["--max-steps", "3", "--eval-episodes", "1", "-j", "1", "--minutes", "0.0001"]
COMMANDS = {
    "train": ["linear", "run-{}", "-m", "1", "-p", "2", "-e", "1", *QUICK],
    "evaluate": ["cartpole-linear", "-e", "1", "--max-steps", "3"],
    "clone": [
        "linear", "cartpole-linear", "run-{}", "--rounds", "1", "--updates", "1", "--batch-size", "1",
        "--teacher-rounds", "1", *QUICK,
    ],
    "report": ["cartpole-linear", "-e", "2", "--max-steps", "3", "-j", "1", "-o", "report-{}"],
    "sweep": ["sweep.toml", "-o", "sweep-{}", "--dry-run"],
    "plot": ["run", "-o", "plot-{}.png"],
    "video": ["cartpole-linear", "--max-steps", "3", "-o", "film-{}.gif", "--width", "320"],
    "models": [],
    "export": ["cartpole-linear", "-o", "agent-{}.c"],
    "page": ["cartpole-linear", "-o", "page-{}.html"],
}  # fmt: skip


def options_of(command):
    """Return the parser's actions for a command, but help."""
    (commands,) = (action for action in make_parser()._actions if hasattr(action, "choices") and action.choices)
    return [action for action in commands.choices[command]._actions if action.dest != "help"]


def runs_of(command):
    """Yield the words of the command with each argument wrong in every way, and the spellings of that argument."""
    right = COMMANDS[command]
    places = [action for action in options_of(command) if not action.option_strings]
    for number in range(len(places)):
        for text in TEXTS:
            yield [*right[:number], text, *right[number + 1 :]], []
    for action in options_of(command):
        if action.option_strings and action.nargs != 0:
            for text in TEXTS:
                yield [*right, f"{action.option_strings[0]}={text}"], action.option_strings


def test_every_command_is_called():
    (commands,) = (action for action in make_parser()._actions if hasattr(action, "choices") and action.choices)
    # A window stays open: mistakes of `watch` are in test_watch.py.
    assert set(commands.choices) == {*COMMANDS, "watch"}


# Those that do much work with what is right all the same: every so many of the ways, but in the slow test.
COSTLY = {"train": 6, "clone": 6, "report": 10}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_refuse_what_is_wrong(command, tmp_path, monkeypatch, capfd):
    check_command(command, COSTLY.get(command, 1), tmp_path, monkeypatch, capfd)


@pytest.mark.slow
@pytest.mark.parametrize("command", COSTLY)
def test_costly_commands_refuse_all_that_is_wrong(command, tmp_path, monkeypatch, capfd):
    check_command(command, 1, tmp_path, monkeypatch, capfd)


def check_command(command, every, tmp_path, monkeypatch, capfd):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("webbrowser.open", lambda address: None)
    # What a report's pictures look like does not depend on its arguments.
    monkeypatch.setattr(figures, "as_png", lambda figure: b"")
    monkeypatch.setattr(figures, "as_svg", lambda figure, name: "<svg/>")
    parser = make_parser()  # one for all: to make it takes longer than most of the commands
    monkeypatch.setattr("pisensory.cli.make_parser", lambda: parser)
    (tmp_path / "sweep.toml").write_text('command = "train linear"\noptions = {generations = 1}\n')
    ps.train(POLICY, TASK, "run", generations=1, population_size=2, n_episodes=1, n_eval_episodes=1)
    complaints = []
    for number, (words, spellings) in enumerate(itertools.islice(runs_of(command), 0, None, every)):
        words = [word.replace("{}", str(number)) for word in (command, *words)]
        code = None
        try:
            code = attempt(functools.partial(main, words))
        except SystemExit as stop:
            code = stop.code
        except BaseException as raised:
            complaints.append(f"{words[1:]}: {type(raised).__name__}: {str(raised)[:150]}")
        said = capfd.readouterr().err
        if code not in (None, 0, 1, 2) or (code and not said) or "Traceback" in said:
            complaints.append(f"{words[1:]}: exit code {code}, {said[-300:]}")
        if code == 2 and spellings and not any(spelling in said for spelling in spellings):
            complaints.append(f"{words[1:]}: {spellings[0]} is not named in {said[-300:]}")
    if complaints:
        pytest.fail(f"{len(complaints)} of {command}:\n" + "\n".join(complaints[:15]), pytrace=False)
