"""The report: its numbers are those of `evaluate`, its page stands alone, and mistakes are told before any work."""

import dataclasses
import json
import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from warm import pisensory

import pisensory as ps
from pisensory import figures
from pisensory.cli import main
from pisensory.figures.scores import draw_shuffling
from pisensory.recording import record
from pisensory.report import Subject, inside, survival, write_report
from pisensory.report.inside import _first_run, study_inside
from pisensory.report.published import published_facts
from pisensory.report.scores import Scorer
from pisensory.report.studies import plan
from pisensory.tasks import task_from_config

pytest.importorskip("matplotlib")

WHOLE = ps.CartPoleSwingUp("harder")
SHORT = ps.CartPoleSwingUp("harder", max_steps=30)
VIDEO = ("linear", "linear_augment", "mlp", "mlp_augment", "invariant_ours", "invariant_official")


def subject(name, policy, task=SHORT, seed=0):
    return Subject(name, policy, 0.5 * np.random.default_rng(seed).standard_normal(policy.n_params), task)


def run_scores(subject, studies, n_episodes, seed=0, **changes):
    scorer = Scorer(seed, ps.SerialExecutor())
    cells = plan(subject.policy, subject.task, n_episodes)
    asked_for = (
        cell for cell in cells if cell.study.key in studies and changes.items() <= cell.condition.changes.items()
    )
    return [scorer.score(subject, cell) for cell in asked_for]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "deep" / "folder"
    subjects = [subject("one & only <b>", ps.InvariantPolicy()), subject("mlp", ps.MLPPolicy())]
    with pytest.MonkeyPatch.context() as patched:  # what happens is looked at for less long
        patched.setattr(survival, "AFTER", 100)
        patched.setattr(survival, "LONG", 1000)
        report = write_report(subjects, folder, 4, seed=3, n_jobs=1, command="pisensory report x")
    return subjects, folder, report


def test_every_number_is_that_of_evaluate(made):
    subjects, folder, report = made
    read = json.loads((folder / "report.json").read_text())
    assert read == json.loads(json.dumps(report))
    assert read["seed"] == 3
    assert set(read["versions"]) >= {"pisensory", "numpy", "python", "matplotlib"}
    by_name = {subject.name: subject for subject in subjects}
    for study in ("inputs", "reshuffling", "dropped", "delay", "noise-kinds", "shuffling"):
        for score in read["scores"][study][:: 1 if study == "inputs" else 7]:
            whose = by_name[score["model"]]
            policy = whose.policy
            if score["gain"] != 1:
                policy = dataclasses.replace(policy, gain=score["gain"])
            task = task_from_config(score["task"])
            found = ps.evaluate(policy, whose.params, task, score["episodes"], seed=3)
            assert (score["mean"], score["std"]) == (found.mean, found.std), (study, score["label"])
            assert score["interval_low"] == found.interval[0]


def test_shuffling_changes_nothing_for_invariant_policies_and_something_for_others(made):
    _, _, report = made
    for study in ("inputs", "shuffling"):
        for name, same in (("one & only <b>", True), ("mlp", False)):
            means = {score["key"]: score["mean"] for score in report["scores"][study] if score["model"] == name}
            assert (means["plain"] == means["shuffled"]) == same
    for score in report["scores"]["noise-features"]:
        twin = {"n_noise": score["n_noise"], "shuffle": not score["shuffle"]}
        (other,) = (s for s in report["scores"]["noise-features"] if twin.items() <= s.items())
        assert score["mean"] == other["mean"]
    assert report["inside"][0]["latent"]["largest_difference"] == 0
    assert report["inside"][0]["latent"]["in_order"] == report["inside"][0]["latent"]["shuffled"]


def test_all_that_is_done_to_the_inputs_is_there(made):
    _, _, report = made
    scores = report["scores"]
    counts = {study: sum(score["model"] == "one & only <b>" for score in found) for study, found in scores.items()}
    assert counts == {
        "inputs": 5, "reshuffling": 6, "shuffling": 2, "noise-features": 12, "noise-inputs": 11, "dropped": 15,
        "delay": 50, "noise-kinds": 20,
    }  # fmt: skip
    assert max(score["n_noise"] for score in scores["noise-inputs"]) == 1000
    # A plain network has no place for more inputs.
    assert {score["label"] for score in scores["inputs"] if score["model"] == "mlp"} == {
        "5 inputs, in order", "5 inputs, shuffled",
    }  # fmt: skip


class Page(HTMLParser):
    """What a page says: its elements with their attributes, and whether each is closed."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in ("meta", "link", "br", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_stands_alone_and_is_well_formed(made):
    _, folder, _ = made
    text = (folder / "report.html").read_text()
    page = Page(text)
    assert not page.open
    assert "<b>" not in text
    tags = [tag for tag, _ in page.elements]
    assert "script" not in tags and "link" not in tags
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href"):
            assert attributes.get(name, "#").startswith(("#", "data:"))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {attributes["href"][1:] for tag, attributes in page.elements if tag == "a"}
    assert len(targets) == 14 and targets <= set(ids)
    assert all(attributes.get("scope") for tag, attributes in page.elements if tag == "th")
    drawings = [attributes for tag, attributes in page.elements if tag == "svg"]
    assert len(drawings) == tags.count("figure") and all(drawing["aria-label"] for drawing in drawings)


def test_figures_are_written_as_png_and_svg(made):
    _, folder, report = made
    drawings = figures.report_figures(report)
    names = {drawing.name for drawing in drawings}
    assert len(names) == 11 and "latent-one-only-b" in names
    for name in names:
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (folder / f"{name}.svg").read_text()
        assert f"{name}.png" in (folder / "report.html").read_text()
    figures.as_svg(drawings[0].canvas, "first")
    box = drawings[0].canvas.get_tightbbox()  # inches; nothing is cut off
    assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figures.style.WIDTH


@pytest.mark.usefixtures("warm_workers")
def test_same_numbers_on_two_processes(made, tmp_path, monkeypatch):
    subjects, folder, report = made
    monkeypatch.setattr(figures, "as_png", lambda figure: b"")  # it is drawn as SVG
    again = write_report(subjects[1:], tmp_path, 4, seed=3, n_jobs=2)
    for study, found in again["scores"].items():
        expected = [score for score in report["scores"][study] if score["model"] == "mlp"]
        for one, other in zip(found, expected):
            assert {**one, "seconds": 0} == {**other, "seconds": 0}
    assert (tmp_path / "delay-mlp.svg").read_bytes() == (folder / "delay-mlp.svg").read_bytes()


def test_other_tasks_get_the_two_tables_and_a_note(tmp_path):
    pytest.importorskip("gymnasium")
    task = ps.GymTask("Pendulum-v1", max_steps=10)
    report = write_report([subject("other", ps.InvariantPolicy(), task)], tmp_path, 2, n_jobs=1)
    assert set(report["scores"]) == {"inputs", "reshuffling"}
    assert report["inside"] == []
    assert "left out" in report["notes"][0] and report["notes"][0] in (tmp_path / "report.html").read_text().replace(
        "&#x27;", "'"
    )


@pytest.mark.parametrize("n_episodes", [1, 3, 70])
def test_episodes_that_are_recorded_are_those_that_are_scored_to_the_bit(n_episodes):
    task = ps.CartPoleSwingUp("harder", max_steps=150, perturbation=ps.Perturbation(reshuffle_every=40, n_noise=2))
    policy, params = ps.load_model("cartpole-invariant")
    scored = ps.rollout(policy, params[None], task, n_episodes, seed=5)
    recorded = record(policy, params, task, n_episodes, 5, ["latent", "attention"])
    returns = np.zeros(n_episodes)
    for rewards in recorded.rewards:  # in the order in which a rollout adds them
        returns += rewards
    np.testing.assert_array_equal(returns, scored.returns[0])
    np.testing.assert_array_equal(recorded.alive.sum(axis=0), scored.lengths[0])
    assert recorded.observations.shape[1:] == (7, 1, n_episodes)
    weighted = np.einsum("sfme,sfe->sme", recorded.inside["attention"], recorded.observations[:, :, 0])
    np.testing.assert_allclose(np.tanh(policy.gain * weighted), recorded.inside["latent"], atol=1e-5)


def test_inside_a_policy_that_ends_at_once_nothing_recovers(monkeypatch):
    monkeypatch.setattr(survival, "AFTER", 100)
    # A push to the right for ever: off the track long before the reshuffle.
    policy = ps.InvariantPolicy()
    params = np.zeros(policy.n_params)
    params[-1] = 10
    found = study_inside(Subject("push", policy, params, ps.CartPoleSwingUp("v1")), 5, seed=0)
    assert found["recovery"] == {"episodes": 0, "steps_to_recover": None}
    assert found["latent"]["largest_difference"] == 0


def test_regression_reads_from_a_latent_code_what_is_in_it():
    policy = ps.InvariantPolicy()
    params = np.random.default_rng(1).standard_normal(policy.n_params)
    place, _ = policy.layout["w_query"]
    silent = params.copy()
    silent[place] = 0  # no attention: the code is 0 whatever the inputs are
    r2 = {}
    for name, vector in (("speaks", params), ("silent", silent)):
        whose = Subject(name, policy, vector, ps.CartPoleSwingUp("v1", max_steps=60))
        r2[name] = inside._regression(whose, 50, seed=0)["r2"]
    assert set(r2["silent"]) == {"x", "x_dot", "cos(theta)", "sin(theta)", "theta_dot"}
    assert all(-1 < value < 0.01 for value in r2["silent"].values())
    assert all(value < 1 for value in r2["speaks"].values())
    assert max(r2["speaks"].values()) > 0.5


def test_published_policies_are_known_by_their_numbers(published):
    harder = ps.CartPoleSwingUp("harder")
    assert published_facts(published, harder)["plain"] == (472, 426)
    assert published_facts(published, ps.CartPoleSwingUp("v1")) == {}
    changed = published.copy()
    changed[5] += 1e-3
    assert published_facts(changed, harder) == {}


def test_published_facts_are_those_of_the_paper(reference, published):
    paper = json.loads((reference / "paper.json").read_text())
    facts = published_facts(published, ps.CartPoleSwingUp("harder"))
    table = paper["cartpole_table"]["invariant"].values()
    assert [list(facts[key]) for key in ("plain", "shuffled", "twice, gain 0.5", "noise, gain 0.5")] == list(table)
    for period, figure in paper["reshuffle_table"]["cartpole"].items():
        assert list(facts["never" if period == "never" else f"every {period}"]) == figure


def test_published_scores_are_those_of_the_independent_run(reference, published):
    paper = json.loads((reference / "paper.json").read_text())
    table = paper["cartpole_table"]["independent run of the published weights, 20000 episodes (standard error 3)"]
    every = paper["reshuffle_table"]["cartpole, independent run, 20000 episodes"]
    expected = {
        "plain": table["5 obs"], "shuffled": table["5 obs shuffled"],
        "twice, gain 0.5": table["10 obs (copies), message sum x 0.5"],
        "noise, gain 0.5": table["5 obs + 5 noise, message sum x 0.5"],
        "noise, gain 1": table["5 obs + 5 noise, message sum x 1"],
        **{("never" if period == "never" else f"every {period}"): figure for period, figure in every.items()},
    }  # fmt: skip
    whose = Subject("published", ps.InvariantPolicy(), published, ps.CartPoleSwingUp("harder"))
    scores = run_scores(whose, ("inputs", "reshuffling"), 300)
    assert len(scores) == 11
    for score in scores:
        mean, deviation = expected[score["key"]]
        assert abs(score["mean"] - mean) < 3 * deviation * np.sqrt(1 / 300 + 1 / 20000), score["key"]


@pytest.mark.parametrize("name", ["invariant_ours", "invariant_official"])
def test_noise_features_cost_what_they_cost_in_the_independent_run(reference, name):
    expected = json.loads((reference / "paper.json").read_text())["video_env_v1, independent run, 20000 episodes"][name]
    figures_by_count = dict(zip((5, 10, 15, 20, 25), expected["shuffled + 5, 10, 15, 20, 25 noise"]))
    params = ps.load_params(reference / "weights" / f"video_{name}.npz")
    # Shuffled alone: in order they are the same, as is tested above.
    scores = run_scores(Subject(name, ps.InvariantPolicy(), params, WHOLE), ("noise-features",), 150, shuffle=True)
    assert len(scores) == 6
    for score in scores:
        mean, deviation = figures_by_count.get(score["n_noise"], expected["shuffled"])
        assert abs(score["mean"] - mean) < 3 * deviation * np.sqrt(1 / 150 + 1 / 20000), score["label"]


def test_six_models_of_the_video_are_in_its_order(reference):
    policies = {"linear": ps.MLPPolicy(hidden_sizes=()), "mlp": ps.MLPPolicy(), "invariant": ps.InvariantPolicy()}
    scores = []
    for name in VIDEO:
        params = ps.load_params(reference / "weights" / f"video_{name}.npz")
        scores += run_scores(Subject(name, policies[name.split("_")[0]], params, WHOLE), ("shuffling",), 200)
    returns = {(score["model"], score["key"]): score["returns"] for score in scores}
    for name in VIDEO:
        assert (returns[name, "plain"] == returns[name, "shuffled"]) == name.startswith("invariant")
    means = {name: np.mean(returns[name, "shuffled"]) for name in VIDEO}
    assert sorted(means, key=means.get)[-2:] == ["invariant_ours", "invariant_official"]
    _, figure = draw_shuffling(scores)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()][::-1] == list(VIDEO)


def test_recovery_is_where_the_code_stays_near():
    near = np.array([0, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 1], bool)
    assert [_first_run(near, length) for length in (1, 2, 3, 4, 5)] == [1, 1, 4, 8, None]


def test_recovery_of_the_published_policy(published):
    whose = Subject("published", ps.InvariantPolicy(), published, ps.CartPoleSwingUp("v1"))
    found = inside._recovery(whose, 200, seed=0)
    assert 200 < found["steps_to_recover"] < 900
    assert found["alive_at_the_end"] > 0.9
    before, after = np.array(found["reward_reshuffled"][:100]), np.array(found["reward_reshuffled"][100:])
    assert before.min() > 0.95 and after.min() < 0.7 and after[-100:].min() > 0.95
    np.testing.assert_array_equal(found["latent_distance"][:100], np.zeros(100))
    assert min(found["reward_alone"]) > 0.95


@pytest.mark.parametrize(
    ("subjects", "settings", "error", "message"),
    [
        ([], {}, ps.InputError, "at least one model"),
        ([subject("a", ps.MLPPolicy()), subject("a", ps.MLPPolicy())], {}, ps.InputError, "different names"),
        ([subject("seven", ps.MLPPolicy(7))], {}, ps.InputError, "seven does not fit its task: .* takes 7 inputs"),
        ([subject("two", ps.InvariantPolicy(2))], {}, ps.InputError, "two does not fit its task: .* 2 actions"),
        ([subject("a", ps.MLPPolicy())], {"n_episodes": 0}, ps.InputError, "n_episodes must be .* at least 1, got 0"),
        ([subject("a", ps.MLPPolicy())], {"seed": -1}, ps.InputError, "seed"),
        ([subject("a", ps.MLPPolicy())], {"folder": "/proc/no/report"}, ps.FileError, "cannot create the folder"),
        ([subject("a", ps.MLPPolicy())], {"folder": __file__}, ps.FileError, "cannot create the folder"),
        ([subject("a", ps.MLPPolicy())], {"folder": "/proc"}, ps.FileError, "cannot write to the folder"),
    ],
)  # fmt: skip
def test_mistakes_are_told_before_any_work(tmp_path, monkeypatch, subjects, settings, error, message):
    monkeypatch.setattr(Scorer, "score", lambda *_: pytest.fail("work was begun"))
    with pytest.raises(error, match=message):
        write_report(subjects, settings.pop("folder", tmp_path / "out"), **settings)


def test_missing_matplotlib_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ps.MissingExtraError, match=r"pip install 'pisensory\[viz\]'"):
        write_report([subject("a", ps.MLPPolicy())], tmp_path)


def test_command_makes_a_report_and_tells_mistakes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    ps.save_policy(tmp_path / "seven.npz", ps.MLPPolicy(7), np.zeros(ps.MLPPolicy(7).n_params))
    made = pisensory("report", "cartpole-mlp", "-o", "out", "-e", "2", "--max-steps", "20", "-j", "1", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert re.search(r"wrote out/report.html .* in \d+ s", made.stdout)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["command"] == "pisensory report cartpole-mlp -o out -e 2 --max-steps 20 -j 1"
    for arguments, code, message in (
        (["empty"], 1, "not a run of pisensory"),
        (["missing"], 1, "there is no file"),
        (["seven.npz"], 2, "seven does not fit its task"),
        (["cartpole-mlp", "-e", "0"], 2, "--episodes must be"),
        (["cartpole-mlp", "-o", "seven.npz"], 1, "cannot create the folder"),
    ):
        assert main(["report", *arguments]) == code
        said = capsys.readouterr().err
        assert message in said and "Traceback" not in said
        assert not (tmp_path / "report" / "report.html").exists()


def test_survival_is_of_episodes_that_were_upright_before():
    policy, params = ps.load_model("cartpole-v1-invariant")
    for push, survivors in ((0.0, 20), (50.0, 0)):
        event = dataclasses.replace(survival.EVENTS[0], push=push)
        before, after = survival.survive(policy, params, ps.CartPoleSwingUp("v1"), event, 20, 1)
        assert before.sum() > 18 and after.sum() == pytest.approx(survivors, abs=1)


def test_inputs_that_were_there_from_the_start_are_those_of_a_rollout():
    policy, params = ps.load_model("cartpole-v1-invariant")
    event = dataclasses.replace(survival.EVENTS[0], copies=True, at=0)
    alone = survival.survive(policy, params, ps.CartPoleSwingUp("v1"), survival.EVENTS[0], 20, 1)
    twice = survival.survive(policy, params, ps.CartPoleSwingUp("v1"), event, 20, 1)
    np.testing.assert_array_equal(alone, twice)
    with pytest.raises(ps.InputError, match="use an invariant policy"):
        survival.survive(*ps.load_model("cartpole-v1-mlp"), ps.CartPoleSwingUp("v1"), event)


def test_inputs_that_join_begin_with_nothing_remembered_and_the_others_go_on():
    policy, params = ps.load_model("cartpole-v1-invariant")
    agent, generator = policy.agent(params), np.random.default_rng(0)
    inputs = survival._Inputs(policy, params, generator, 5, 1)
    for number, values in enumerate(generator.standard_normal((30, 5, 1, 1), dtype=np.float32)):
        if number in (10, 20):
            inputs.change(dataclasses.replace(survival.EVENTS[0], noise=2))
        actions = inputs.act(values)
        heard = inputs._run.observations[0, :, 0, 0].tolist()
        assert len(heard) == 5 + 2 * (number >= 10) + 2 * (number >= 20)
        np.testing.assert_array_equal(actions[:, 0], agent.act({str(place): one for place, one in enumerate(heard)}))
