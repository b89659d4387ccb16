"""The page as a file: what is in it, the command that writes it, and that the docs' page is up to date."""

import base64
import json
import re

import numpy as np
import pytest
from driving import ROOT, claims, random_models, shipped_models

import pisensory as ps
from pisensory import page
from pisensory.cli import main
from pisensory.tasks import cartpole


def page_data(text):
    """What the page was given, as the browser reads it."""
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.S)[1])


# ---- The file


def test_the_file_is_small_and_needs_no_other():
    text = page.make_page(random_models())
    assert len(text.encode()) < 200_000
    assert "{{" not in text
    assert not re.search(r"https?:|<link(?! rel=\"icon\" href=\"data:,\")|\bsrc=|@import|url\(", text)


def test_weights_in_the_file_are_the_folded_ones_to_the_bit():
    models = random_models()
    described = {model["name"]: model for model in page_data(page.make_page(models))["models"]}
    assert [model["kind"] for model in described.values()] == ["invariant", "mlp", "linear"]
    for name, (policy, params) in models.items():
        for layer, expected in zip(described[name]["weights"], policy.prepare(params[None])):
            found = np.frombuffer(base64.b64decode(layer["data"]), "<f4").reshape(layer["rows"], layer["columns"])
            np.testing.assert_array_equal(found, expected[0, 0])


def test_the_physics_is_that_of_the_package():
    physics = page_data(page.make_page(random_models()))["physics"]
    assert physics["gravity"] == cartpole.GRAVITY and physics["time_step"] == cartpole.TIME_STEP
    assert set(physics) == {
        "gravity", "cart_mass", "pole_mass", "pole_length", "friction", "max_force", "time_step", "track_limit"
    }  # fmt: skip


@pytest.mark.parametrize(
    "policy", [ps.InvariantPolicy(n_actions=8), ps.MLPPolicy(28, 8), ps.MLPPolicy(4, 1)], ids=["ant", "mlp", "short"]
)
def test_a_policy_for_something_else_is_refused_saying_what_fits(policy):
    with pytest.raises(ps.InputError, match=r"a page shows agents of the cart-pole: invariant .* mlp .* 5 inputs"):
        page.make_page({"walker": (policy, np.zeros(policy.n_params))})


def test_too_much_for_one_page_is_refused():
    large = ps.MLPPolicy(hidden_sizes=(200, 200))
    with pytest.raises(ps.InputError, match="fewer or smaller models"):
        page.make_page({"large": (large, np.zeros(large.n_params))})
    with pytest.raises(ps.InputError, match="1 to 12 models, got 0"):
        page.make_page({})
    with pytest.raises(ps.InputError, match="n_noise must be at most 50 for a page, got 51"):
        page.PageSettings(perturbation=ps.Perturbation(n_noise=51))
    with pytest.raises(ps.InputError, match="version must be one of"):
        page.PageSettings(version="v2")
    with pytest.raises(ps.InputError, match=r"below 2\^32"):
        page.PageSettings(seed=2**32)


def test_a_name_cannot_break_out_of_its_place():
    policy, params = random_models()["linear"]
    name = "</script><script>alert(1)</script>{{data}}"
    text = page.make_page({name: (policy, params)})
    assert page_data(text)["models"][0]["name"] == name
    assert "alert(1)</script>" not in text
    assert text.count("<script") == 2


# ---- The command


@pytest.fixture
def files(tmp_path):
    """Policy files of the three kinds, and one of a walker."""
    models = {**random_models(), "walker": (ps.MLPPolicy(28, 8), np.zeros(ps.MLPPolicy(28, 8).n_params))}
    for name, (policy, params) in models.items():
        ps.save_policy(tmp_path / f"{name}.npz", policy, params)
    return tmp_path


def test_the_command_writes_the_page_and_opens_it(files, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    names = [str(files / f"{name}.npz") for name in ("invariant", "mlp", "invariant")]
    output = files / "page.html"
    arguments = ["--task", "harder", "--seed", "5", "--noise-features", "3", "-s", "--reshuffle-every", "40"]
    assert main(["page", *names, "-o", str(output), "--open", *arguments]) == 0
    data = page_data(output.read_text(encoding="utf-8"))
    assert [model["name"] for model in data["models"]] == ["invariant", "mlp", "invariant 2"]
    assert data["settings"] == {
        "version": "harder", "seed": 5, "model": 0, "rival": 1, "divide": False, "skip": 300, "unplugged": [],
        "shuffle": True, "every": 40, "noise": 3, "noise_std": 0.1, "copies": 1,
    }  # fmt: skip
    assert opened == [output.resolve().as_uri()]
    assert str(output) in capsys.readouterr().out


def test_the_page_starts_in_v1_unless_told_otherwise(files):
    output = files / "page.html"
    assert main(["page", str(files / "mlp.npz"), "-o", str(output)]) == 0
    assert page_data(output.read_text(encoding="utf-8"))["settings"]["version"] == "v1"


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        (["walker.npz"], 2, "agents of the cart-pole"),
        (["nothing.npz"], 1, "no file"),
        (["mlp.npz", "--copies", "9"], 2, "--copies must be at most 4 for a page, got 9"),
        (["mlp.npz", "--seed", "-1"], 2, "seed must be"),
        (["mlp.npz", "--max-steps", "100"], 2, "leave out --max-steps"),
        (["mlp.npz", "--task", "gym:CartPole-v1"], 2, "not a task of kind 'gym': use v1, v0 or harder"),
    ],
)
def test_the_command_says_what_is_wrong_and_writes_nothing(files, capsys, arguments, code, message):
    output = files / "page.html"
    assert main(["page", str(files / arguments[0]), *arguments[1:], "-o", str(output)]) == code
    assert message in capsys.readouterr().err
    assert not output.exists()


def test_a_model_of_another_task_is_refused_whatever_its_size(files, capsys):
    pytest.importorskip("pybullet")
    policy, params = random_models()["mlp"]
    ps.save_policy(files / "there.npz", policy, params, task=ps.AntTask().config)
    assert main(["page", str(files / "there.npz"), "-o", str(files / "page.html")]) == 2
    assert "there.npz was trained on a task of kind 'ant'" in capsys.readouterr().err


# ---- The page of the docs


def test_the_page_of_the_docs_is_no_older_than_its_sources():
    linked = (ROOT / "docs" / "play.html").read_text(encoding="utf-8")
    built = page.make_page(shipped_models(), page.PageSettings(seed=1, eyes="eyes.html"))
    assert '<a href="eyes.html">' in built and "eyes.html" not in page.make_page(shipped_models())
    now, then = page_data(built), page_data(linked)
    # Weights are folded in floating point, whose last bit may differ from machine to machine; all else may not.
    for new, old in zip(now["models"], then["models"]):
        for layer, kept in zip(new.pop("weights"), old.pop("weights")):
            assert (layer["rows"], layer["columns"]) == (kept["rows"], kept["columns"])
            one, other = (np.frombuffer(base64.b64decode(each["data"]), "<f4") for each in (layer, kept))
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9)
    advice = "docs/play.html is older than its sources: run `python docs/make_page.py`"
    assert now == then, advice
    whole = re.compile(r'<script id="data".*?</script>', re.S)
    assert whole.sub("", built) == whole.sub("", linked), advice


def test_claims_are_of_the_agents_they_name_and_of_every_scenario():
    found = claims()
    fingerprints = [page.fingerprint(*model) for model in shipped_models().values()]
    assert found["fingerprints"] == fingerprints
    data = page_data(page.make_page({**random_models(), **shipped_models()}))
    assert data["claims"]["models"] == [3, 4]
    assert set(data["claims"]["outcomes"]) == {scenario["id"] for scenario in data["scenarios"]}
    assert page_data(page.make_page(random_models()))["claims"] is None


def test_what_the_words_of_a_scenario_rely_on_was_measured():
    scenarios = page_data(page.make_page(shipped_models()))["scenarios"]
    for scenario in scenarios:
        claim = claims()["outcomes"][scenario["id"]]
        for count, (least, most) in zip(claim["recoveries"], scenario["expect"]):
            assert least <= count / claim["tries"] <= most, scenario["id"]


def test_the_model_beside_the_first_is_of_another_kind_if_there_is_one():
    models = random_models()
    names = ("mlp", "linear", "invariant")
    assert page_data(page.make_page({name: models[name] for name in names}))["settings"]["rival"] == 2
    assert page_data(page.make_page({name: models[name] for name in names[:2]}))["settings"]["rival"] == 1
    assert page_data(page.make_page({"mlp": models["mlp"]}))["settings"]["rival"] is None
