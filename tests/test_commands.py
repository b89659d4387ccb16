"""What README and docs tell readers to type is typed, at small budgets, a page's commands and Python in their order.

Each page has a folder of its own, in which nothing is but what its commands write and the files of `provided`. A block
under `<!-- not run: REASON -->` is left out. New pages are found by themselves; options of every command are parsed as
they stand, and commands that SMALL knows are run.
"""

import configparser
import functools
import pathlib
import re
import shlex
import shutil

import numpy as np
import pytest

import pisensory as ps
from pisensory import figures
from pisensory.cli import main, make_parser
from pisensory.cloning import recipe
from pisensory.report import gaze, inside, survival
from pisensory.tasks.base import Task
from pisensory.tasks.environment import EnvironmentTask

ROOT = pathlib.Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = "pisensory|python|python3|pip|dask|mpiexec|mkdocs|eval"
BLOCK = re.compile(
    r"(?P<skip><!-- not run: [^>]+ -->\n+)?"
    r"(?:```(?P<language>bash|python)\n(?P<fenced>(?:(?!```)[^\n]*\n)*)```"
    rf"|(?<=\n\n)(?P<indented>    (?:[A-Z_]+=\S+ )*(?:{PROGRAMS}) [^\n]*\n(?:    [^\n]*\n)*))",
)
# Options that keep a command short: what they are in place of, or added.
FEW = {"--episodes": "2", "--jobs": "1", "--max-steps": "20"}
LEARN = {**FEW, "--eval-episodes": "2"}
SMALL = {
    "train": {**LEARN, "--episodes": "1", "--generations": "1", "--population-size": "2"},
    "clone": {**LEARN, "--rounds": "1", "--teacher-rounds": "1", "--updates": "1", "--batch-size": "2"},
    "evaluate": FEW, "report": FEW, "video": {"--max-steps": "4"}, "models": {}, "page": {}, "plot": {},
}  # fmt: skip
# Sizes of networks, where they are given and no file has them: evolution takes the cube of the parameters.
SIZES = {"--n-embeddings": "8", "--hidden-size": "4", "--head-sizes": "8"}
SHORT = {"-e": "--episodes", "-m": "--generations", "-p": "--population-size", "-j": "--jobs"}
NOT_OF = {("clone", "--episodes"): "batches are its episodes"}
STANDS_FOR = {
    "MODEL": "cartpole-invariant-small", "RUN": "runs/old", "RUN_DIR": "runs/new", "DIR": "lab",
    "toy_policy.py": str(ROOT / "tests" / "toy_policy.py"), "toy_task.py": str(ROOT / "tests" / "toy_task.py"),
}  # fmt: skip
PUBLISHED = {"carracing_pi.npz", "carracing.npz", "ant_mlp.npz", "ant_pi.npz", "cartpole_pi.npz"}
REPORTED = set()
NEEDS = {"carracing": "Box2D", "ant": "pybullet", "pong": "ale_py", "gymnasium:": "gymnasium"}


def blocks(text):
    """Yield the language and text of each block that is to be run."""
    for block in BLOCK.finditer(text):
        if not block["skip"]:
            yield block["language"] or "bash", block["fenced"] or block["indented"]


def commands(block):
    """Yield the commands of a block of shell, each as a list of words."""
    for line in block.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words and re.match(r"[A-Z_]+=", words[0]):
            del words[0]
        if words:
            yield [STANDS_FOR.get(word, word) for word in words if not re.match(r"\[[A-Z]|[A-Z]+\.*\]", word)]


def shorten(words):
    """Return the words of a command of ours with small budgets, or None where it is only to be parsed."""
    name = next(word for word in words if word in SMALL or not word.startswith(("-", "/")))
    if name not in SMALL or any("dask:" in word for word in words):
        return None
    small = {option: value for option, value in SMALL[name].items() if (name, option) not in NOT_OF}
    sizes = {} if "--init-from" in words else SIZES
    shortened, given = [], set()
    for number, word in enumerate(words):
        option = SHORT.get(word, word)
        before = SHORT.get(words[number - 1], words[number - 1]) if number else ""
        if before == "--evolve":
            word = "1"
        given |= {option} & set(small)
        if word != "--open":
            shortened.append({**sizes, **small}.get(before, word))
    if name == "report":  # of one model: what is scored is the same for each
        kept = shortened.index("report") + 2
        models = [word for word in shortened[kept:] if word in {path.stem for path in MODELS}]
        shortened = [word for word in shortened if word not in models or word == shortened[kept - 1]]
    if name == "video" and not shortened[-1].endswith((".gif", ".mp4")):
        return None
    return shortened + [text for option in small if option not in given for text in (option, small[option])]


MODELS = list((ROOT / "pisensory" / "models").glob("*.npz"))


@pytest.fixture(scope="module")
def provided(tmp_path_factory):
    """A folder of what pages speak of as there: a run, and files of a teacher and of published weights."""
    folder = tmp_path_factory.mktemp("provided")
    policy, params = ps.load_model("cartpole-invariant-small")
    task = ps.CartPoleSwingUp(max_steps=20)
    ps.train(policy, task, folder / "runs" / "old", generations=1, population_size=4, n_episodes=2, n_eval_episodes=2)
    (folder / "docs" / "images").mkdir(parents=True)
    ps.save_policy(folder / "teacher.npz", *ps.load_model("cartpole-mlp"))
    np.savez(folder / "published.npz", params=params)
    return folder


@pytest.fixture()
def weights(request, tmp_path):
    """Where published weights are copied from; None where there are none."""
    try:
        return request.getfixturevalue("reference") / "weights"
    except pytest.skip.Exception:
        return None


@pytest.fixture()
def small_library(monkeypatch):
    """The functions that take long, with small budgets whatever they are asked for."""
    learn = {"n_eval_episodes": 2, "n_jobs": 1}
    few = {"generations": 1, "population_size": 2, "n_episodes": 1}
    less = {
        "train": (3, {**few, **learn}), "train_with_teacher": (3, {**few, **learn}), "evaluate": (3, {"n_episodes": 2}),
        "clone": (4, {"rounds": 1, "teacher_rounds": 1, "updates": 1, "batch_size": 2, **learn}),
    }  # fmt: skip

    def shorter(function, most, small):
        return functools.wraps(function)(lambda *given, **more: function(*given[:most], **{**more, **small}))

    for name, (most, small) in less.items():
        monkeypatch.setattr(ps, name, shorter(getattr(ps, name), most, small))
    monkeypatch.setattr(recipe, "_TEACHING", {**recipe._TEACHING, "population_size": 2, "n_episodes": 1})
    monkeypatch.setattr(recipe, "_CLONING", {**recipe._CLONING, "updates": 2, "windows": 2})
    for task in (Task, EnvironmentTask, ps.CarRacingTask, ps.PongTask):
        monkeypatch.setattr(task, "score_episodes", 2)
    for module, name, small in ((survival, "AFTER", 50), (survival, "LONG", 50), (inside, "RECOVERY_STEPS", 200)):
        monkeypatch.setattr(module, name, small)
    monkeypatch.setattr(gaze, "MOMENTS", (2, 4, 6))
    monkeypatch.setattr(figures, "as_svg", lambda figure, name: "<svg/>")  # it is drawn as PNG
    whole = ps.ProcessExecutor
    monkeypatch.setattr(ps, "ProcessExecutor", lambda *_: whole(1))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_tells_to_type_works(page, tmp_path, monkeypatch, capsys, weights, small_library, provided):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(provided, tmp_path, dirs_exist_ok=True)
    policy, params = ps.load_model("cartpole-invariant-small")
    names = {"__name__": "__main__", "ps": ps, "np": np, "policy": policy, "params": params}
    names["task"] = ps.CartPoleSwingUp(max_steps=20)
    for language, block in blocks(page.read_text(encoding="utf-8")):
        if language == "python":
            exec(compile(block, str(page), "exec"), names)
            continue
        for words in commands(block):
            if words[0] == "pisensory":
                run_ours(words[1:], weights, capsys)
            else:
                check_others(words)


def run_ours(words, weights, capsys):
    plain = [
        word for number, word in enumerate(words) if word != "--load" and (not number or words[number - 1] != "--load")
    ]
    if "--load" not in words:  # what is loaded has options of its own
        make_parser().parse_args(plain)
    shortened = shorten(words)
    missing = [package for task, package in NEEDS.items() if any(word.startswith(task) for word in words)]
    for package in missing:
        pytest.importorskip(package)
    for name in PUBLISHED & set(words):
        if weights is None:
            return
        shutil.copy(weights / name, name)
    # A report takes long however few its episodes are, and is the same whichever page asks for it.
    once = ("report", *NEEDS) if words[0] == "report" else ()
    if once and (seen := frozenset(once) & set(words)) in REPORTED:
        return
    if once:
        REPORTED.add(seen)
    if shortened is not None:
        code = main(shortened)
        assert code == 0, f"{shlex.join(['pisensory', *shortened])}: {capsys.readouterr().err}"


def check_others(words):
    """Check a command of which the page's reader is told, but which is not run here, as far as can be told."""
    extras = configparser.ConfigParser()
    extras.read(ROOT / "setup.cfg")
    for names in re.findall(r"(?:pisensory|\.)\[([\w,]+)\]", " ".join(words)):
        assert set(names.split(",")) <= set(extras["options.extras_require"]), words
    scripts = [word for word in words if word.endswith(".py")]
    for script in scripts:
        text = (ROOT / script).read_text(encoding="utf-8")
        for option in (word for word in words if word.startswith("--")):
            assert option in text, f"{script} has no {option}"


def test_options_are_those_of_the_text_where_they_are_not_small():
    words = next(commands("pisensory train mlp runs/a -p 64 --sigma0 0.5 \\\n   --diagonal # so\n"))
    assert shorten(words[1:])[:7] == ["train", "mlp", "runs/a", "-p", "2", "--sigma0", "0.5"]
    assert shorten(words[1:])[-2:] == ["--generations", "1"]
    assert shorten(["frobnicate", "x"]) is None


def test_every_page_and_block_is_found():
    found = {page.stem: [block for _, block in blocks(page.read_text(encoding="utf-8"))] for page in PAGES}
    assert sum(map(len, found.values())) > 25
    assert any("--dagger" in block for block in found["cloning"])  # an indented one
    skipped = "<!-- not run: a cluster -->\n```bash\nsrun x\n```\n\n```bash\npisensory models\n```\n"
    assert list(blocks(skipped)) == [("bash", "pisensory models\n")]
