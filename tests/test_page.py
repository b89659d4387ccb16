"""The page: what is in the file, that its numbers are the package's, and that it does in Chromium what it says.

The browser's tests need Chromium, Playwright and axe, and are skipped, saying so, where one is missing.
"""

import base64
import json
import pathlib
import re
import shutil

import numpy as np
import pytest

import pisensory as ps
from pisensory import layers, page
from pisensory.cli import main
from pisensory.cli.options import Model
from pisensory.tasks import cartpole

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


def random_models(seed=0):
    """An invariant, an mlp and a linear policy with random weights."""
    generator = np.random.default_rng(seed)
    policies = {"invariant": ps.InvariantPolicy(), "mlp": ps.MLPPolicy(), "linear": ps.MLPPolicy(hidden_sizes=())}
    return {
        name: (policy, 0.5 * generator.standard_normal(policy.n_params).astype(np.float32))
        for name, policy in policies.items()
    }


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
    with pytest.raises(ps.InputError, match="at most 50 noise inputs, got 51"):
        page.Settings(perturbation=ps.Perturbation(n_noise=51))
    with pytest.raises(ps.InputError, match="version must be one of"):
        page.Settings(version="v2")
    with pytest.raises(ps.InputError, match=r"below 2\^32"):
        page.Settings(seed=2**32)


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
        "version": "harder", "seed": 5, "model": 0, "rival": None, "divide": False, "shuffle": True, "every": 40,
        "noise": 3, "noise_std": 0.1, "copies": 1,
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
        (["mlp.npz", "--copies", "9"], 2, "at most 4 copies, got 9"),
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


def test_a_model_of_another_task_is_refused_whatever_its_size(files, monkeypatch, capsys):
    class Elsewhere(ps.Task):
        kind = "elsewhere"
        max_steps, perturbation = 1, ps.Perturbation()
        senses, _start = ps.Senses(("input",) * 5), None

    policy, params = random_models()["mlp"]
    monkeypatch.setattr("pisensory.cli.page.load_model", lambda options: Model(policy, params, Elsewhere()))
    assert main(["page", "there.npz", "-o", str(files / "page.html")]) == 2
    assert "there.npz was trained on a task of kind 'elsewhere'" in capsys.readouterr().err


# ---- The browser


@pytest.fixture(scope="module")
def browser():
    """Chromium, driven by Playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    executable = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if executable is None:
        pytest.skip("there is no Chromium on this machine")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=executable, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def show(browser, tmp_path):
    """A function that opens a page of these models, paused, and fails the test for whatever the console says."""
    contexts, complaints = [], []

    def open_page(models=None, address="", *, settings=None, **options):
        path = tmp_path / "page.html"
        page.write_page(path, models or random_models(), settings)
        context = browser.new_context(**{"reduced_motion": "reduce", **options})
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda request: complaints.append(request.url))
        tab.goto(path.as_uri() + address)
        assert [url.split("#")[0] for url in complaints] == [path.as_uri()]
        complaints.clear()
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def hand_made():
    """A policy that only keeps the cart near the middle, and so lets the pole hang."""
    return {"idle": (ps.MLPPolicy(hidden_sizes=()), np.array([-0.1, -0.1, 0, 0, 0, 0]))}


def wait(tab, condition):
    """Wait until a condition holds, asking from outside: the page forbids evaluation inside."""
    for _ in range(500):
        if tab.evaluate(condition):
            return
        tab.wait_for_timeout(20)
    pytest.fail(f"in 10 seconds it never came to {condition}")


def steps(tab, count):
    """Step the page's run so many times, and show where it is."""
    tab.evaluate("n => { for (let i = 1; i < n; i++) pisensory.run.step(); pisensory.step(); }", count)


def order(tab):
    """Which source is in each place."""
    return tab.evaluate("pisensory.run.inputs.order")


def states(tab):
    """The states of the carts, (contender, state variable)."""
    return tab.evaluate("pisensory.run.contenders.map(each => [...each.world.state])")


def observation(tab):
    """What the first network got in its last step, by place."""
    return tab.evaluate("[...pisensory.run.contenders[0].observation].slice(0, pisensory.run.inputs.order.length)")


def picture(tab, selector):
    """A screenshot of one element."""
    return tab.locator(selector).first.screenshot()


def pixels(tab, number=0):
    """What is drawn of one cart and pole, to the pixel and wherever the window is scrolled to."""
    return tab.evaluate("number => document.querySelectorAll('figure canvas')[number].toDataURL()", number)


# ---- Its numbers

_DRIVE = """({ number, version, state, noise, observations }) => {
  const { page, CartPole, Contender } = pisensory;
  const nPlaces = 5 + noise[0].length, out = { actions: [], states: [] };
  const contender = new Contender(page.models[number], new CartPole(version, state, page.physics), nPlaces);
  const inputs = {
    order: Array.from({ length: nPlaces }, (_, place) => place),
    arrange: (sources, into) => { into.set(sources); into.set(noise[contender.steps], 5); },
  };
  noise.forEach(() => {
    contender.step(inputs, 0);
    contender.world.over = false;
    out.actions.push(contender.action);
    out.states.push([...contender.world.state]);
  });
  return out;
}"""


@pytest.fixture
def double_precision(monkeypatch):
    """The package's own network code, run in double precision on the weights it folds."""
    as_weights, make_block = layers.as_weights, layers.make_block

    def weighted_sum(attention, values, gain, scratch, out):
        products = attention.planes.reshape(len(attention.planes), *values.shape) * values
        out[...] = gain * products.sum(axis=1)

    monkeypatch.setattr(layers, "as_weights", lambda array: as_weights(array).astype(np.float64))
    monkeypatch.setattr(layers, "make_block", lambda *sizes: make_block(*sizes, dtype=np.float64))
    monkeypatch.setattr(layers, "exact_weighted_sum", weighted_sum)


def python_run(policy, params, version, state, noise):
    """Actions (step,) and states (step, state variable) of the package from `state`, past the end of the track."""
    network = policy.start(policy.prepare(params[None]), 5 + noise.shape[1], 1)
    world = cartpole.CartPoleRun(version, np.array(state, dtype=np.float64).reshape(4, 1, 1))
    sources = np.empty((1, 5, 1))
    actions, passed = [], []
    for row in noise:
        world.observe(sources[:, :, None])
        network.observations[0, :, 0, 0] = np.concatenate([sources[0, :, 0], row])
        network.step()
        world.step(network.actions, np.ones((1, 1), dtype=bool))
        actions.append(float(network.actions[0, 0, 0]))
        passed.append(world.state[:, 0, 0].copy())
    return np.array(actions), np.array(passed)


def assert_same_run(tab, models, name, version, seed, n_noise):
    """200 steps from the same start, in the page and in the package at the page's precision."""
    generator = np.random.default_rng(seed)
    state = cartpole.initial_state(version, generator)
    noise = 0.1 * generator.standard_normal((200, n_noise))
    number = list(models).index(name)
    given = {"number": number, "version": version, "state": state.tolist(), "noise": noise.tolist()}
    found = tab.evaluate(_DRIVE, given)
    actions, passed = python_run(*models[name], version, state, noise)
    np.testing.assert_allclose(found["actions"], actions, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found["states"], passed, rtol=0, atol=1e-5)
    assert np.ptp(actions) > 0.01


@pytest.mark.parametrize("name, n_noise", [("invariant", 0), ("invariant", 10), ("mlp", 0), ("linear", 0)])
def test_random_networks_and_physics_agree_with_the_package(show, double_precision, name, n_noise):
    models = random_models()
    tab = show(models)
    for version in cartpole.VERSIONS:
        assert_same_run(tab, models, name, version, 3, n_noise)


# Starts from which rounding in the last bit of double precision does not grow past the bounds in 200 steps: the
# published agent switches between full left and full right, so from some starts no two programs agree for long.
@pytest.mark.parametrize(
    "name, n_noise, version, seeds",
    [
        ("invariant", 0, "harder", range(6)),
        ("invariant", 0, "v1", (1, 2, 4)),
        ("invariant", 10, "harder", range(6)),
        ("invariant", 10, "v1", (1, 2, 3, 4, 5)),
        ("mlp", 0, "v1", range(6)),
        ("linear", 0, "v1", range(6)),
    ],
)
def test_published_networks_agree_with_the_package(show, reference, double_precision, name, n_noise, version, seeds):
    models = published_models(reference)
    tab = show(models)
    for seed in seeds:
        assert_same_run(tab, models, name, version, seed, n_noise)


@pytest.mark.parametrize("name", ["mlp", "linear"])
def test_plain_networks_agree_even_with_single_precision(show, reference, name):
    models = published_models(reference)
    tab = show(models)
    for seed in (0, 3, 4):
        assert_same_run(tab, models, name, "v1", seed, 0)


def published_models(reference):
    """The published invariant agent, and an mlp and a linear policy to compare it with."""
    names = {"invariant": "cartpole_pi", "mlp": "video_mlp_augment", "linear": "video_linear_augment"}
    vectors = {name: ps.load_params(reference / "weights" / f"{file}.npz") for name, file in names.items()}
    return {name: (policy, vectors[name]) for name, (policy, _) in random_models().items()}


def test_each_step_agrees_with_the_package_in_single_precision(show):
    models = random_models()
    tab = show(models)
    generator = np.random.default_rng(0)
    observations = generator.standard_normal((100, 15)).astype(np.float32)
    for number, (policy, params) in enumerate(models.values()):
        n_inputs = 15 if policy.n_features is None else 5
        agent = policy.agent(params)
        expected = [float(agent.act(row[:n_inputs])[0]) for row in observations]
        found = tab.evaluate(
            """([number, rows]) => {
              const { page, Contender } = pisensory;
              const { network } = new Contender(page.models[number], null, rows[0].length);
              return rows.map((row) => network.act(row, row.length));
            }""",
            [number, observations[:, :n_inputs].tolist()],
        )
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_the_invariant_agent_holds_the_pole_again_after_a_shuffle(show, reference):
    tab = show(published_models(reference))
    held = tab.evaluate(
        """() => Array.from({ length: 20 }, (_, seed) => {
          const { Run, page } = pisensory;
          const run = new Run(page, { ...page.settings, version: "v1", seed });
          const steps = (count) => { for (let i = 0; i < count; i++) run.step(); };
          steps(400);
          const before = run.contenders[0].upright;
          run.act("shuffle");
          let longest = 0, current = 0;
          for (let i = 0; i < 1000; i++) {
            run.step();
            current = run.contenders[0].upright && !run.over ? current + 1 : 0;
            longest = Math.max(longest, current);
          }
          return before && longest >= 100;
        })"""
    )
    assert sum(held) >= 18


# ---- What it does


def test_it_loads_from_disk_and_plays(show):
    tab = show(reduced_motion="no-preference")
    wait(tab, "pisensory.run.steps > 5")
    assert tab.locator("#play").inner_text() == "Pause"
    assert tab.title() == "3 agents · pisensory"


def test_pause_step_and_restart(show):
    tab = show()
    tab.click("#play")
    wait(tab, "pisensory.run.steps > 2")
    tab.click("#play")
    before = tab.evaluate("pisensory.run.steps")
    shot = picture(tab, "figure canvas")
    tab.wait_for_timeout(200)
    assert tab.evaluate("pisensory.run.steps") == before
    assert picture(tab, "figure canvas") == shot
    tab.click("#step")
    assert tab.evaluate("pisensory.run.steps") == before + 1
    assert picture(tab, "figure canvas") != shot
    tab.click("#restart")
    assert tab.evaluate("pisensory.run.steps") == 0


def test_speed(show, hand_made):
    tab = show(hand_made)
    counts = []
    for speed in ("4", "0.1"):
        tab.click("#restart")
        tab.select_option("#speed", speed)
        tab.click("#play")
        tab.wait_for_timeout(600)
        tab.click("#play")
        counts.append(tab.evaluate("pisensory.run.steps"))
    assert counts[0] > 5 * counts[1] > 0


def test_shuffle_moves_every_input_to_the_place_it_says(show):
    tab = show()
    steps(tab, 20)
    assert order(tab) == [0, 1, 2, 3, 4]
    before = picture(tab, "#traces"), picture(tab, "#mind")
    tab.click("#shuffle")
    steps(tab, 30)
    shuffled = order(tab)
    assert sorted(shuffled) == [0, 1, 2, 3, 4] and shuffled != [0, 1, 2, 3, 4]
    sources = tab.evaluate("[...pisensory.run.contenders[0].sources]")
    assert observation(tab) == [sources[source] for source in shuffled]
    names = ["x", "ẋ", "cos θ", "sin θ", "θ̇"]
    assert tab.locator("#places .name").all_inner_texts() == [names[source] for source in shuffled]
    assert tab.locator("#status").inner_text().startswith("Shuffled. The places now hear")
    # What a place heard before stays in its trace, as what it was.
    heard = tab.evaluate("[...pisensory.run.contenders[0].traces[0].sources].slice(0, 50)")
    assert heard == [0] * 20 + [shuffled[0]] * 30
    assert before[0] != picture(tab, "#traces") and before[1] != picture(tab, "#mind")


def test_reshuffle_every_so_many_steps(show):
    tab = show(settings=page.Settings(perturbation=ps.Perturbation(reshuffle_every=7)))
    assert tab.locator("#every").input_value() == "7"
    seen = []
    for _ in range(22):
        steps(tab, 1)
        seen.append(tuple(order(tab)))
    changes = [step for step in range(1, 22) if seen[step] != seen[step - 1]]
    assert changes == [7, 14, 21]
    tab.select_option("#every", "0")
    steps(tab, 30)
    assert tuple(order(tab)) == seen[-1]


def test_noise_inputs_come_and_go_one_at_a_time(show):
    tab = show()
    steps(tab, 5)
    before = picture(tab, "#mind"), picture(tab, ".rows")
    for number in range(3):
        tab.click("#noise-more")
        assert tab.locator("#noise-count").inner_text() == str(number + 1)
    assert before[0] != picture(tab, "#mind") and before[1] != picture(tab, ".rows")
    steps(tab, 5)
    assert order(tab) == [0, 1, 2, 3, 4, 100, 101, 102]
    noise = observation(tab)[5:]
    assert len(set(noise)) == 3 and 0 < max(map(abs, noise)) < 1
    assert tab.locator("#places li").count() == 8
    tab.click("#shuffle")
    tab.click("#noise-less")
    assert sorted(order(tab)) == [0, 1, 2, 3, 4, 100, 101]
    tab.evaluate("for (let i = 0; i < 60; i++) document.querySelector('#noise-more').click()")
    assert tab.locator("#noise-count").inner_text() == "50"
    assert tab.locator("#noise-more").is_disabled()
    steps(tab, 2)


def test_removing_a_noise_input_leaves_the_memories_of_the_others_alone(show):
    tab = show()
    tab.click("#noise-more")
    tab.evaluate("pisensory.run.inputs.order = [0, 100, 1, 2, 3, 4]")
    steps(tab, 10)
    memory = "[...pisensory.run.contenders[0].network.cell].slice(0, 48)"
    before = np.reshape(tab.evaluate(memory), (6, 8))
    tab.click("#noise-less")
    after = np.reshape(tab.evaluate(memory), (6, 8))
    np.testing.assert_array_equal(after[:5], before[[0, 2, 3, 4, 5]])
    assert np.abs(before).min() > 0


def test_copies_say_the_same_and_their_sum_can_be_divided(show):
    tab = show(address="#copies=2")
    steps(tab, 3)
    seen = observation(tab)
    assert seen[:5] == seen[5:]
    summed = tab.evaluate("[...pisensory.run.contenders[0].network.latent]")
    tab.check("#divide")
    tab.click("#restart")
    tab.click("#copies-less")
    tab.click("#copies-more")
    steps(tab, 3)
    divided = tab.evaluate("[...pisensory.run.contenders[0].network.latent]")
    tab.click("#restart")
    tab.click("#copies-less")
    steps(tab, 3)
    single = tab.evaluate("[...pisensory.run.contenders[0].network.latent]")
    np.testing.assert_allclose(divided, single, rtol=0, atol=1e-12)
    assert not np.allclose(summed, single, atol=1e-3)


def test_an_unplugged_input_reads_zero_until_it_is_plugged_in_again(show):
    tab = show()
    steps(tab, 5)
    button = tab.get_by_role("button", name="unplug cosine of the angle")
    before = picture(tab, "#places li:nth-child(3)")
    button.click()
    assert picture(tab, "#places li:nth-child(3)") != before
    steps(tab, 1)
    assert observation(tab)[2] == 0 and observation(tab)[3] != 0
    tab.click("#shuffle")
    steps(tab, 1)
    assert observation(tab)[order(tab).index(2)] == 0
    tab.get_by_role("button", name=re.compile("^plug in cosine")).click()
    steps(tab, 1)
    assert observation(tab)[order(tab).index(2)] != 0


def test_pushes_from_buttons_keys_and_dragging(show, hand_made):
    tab = show(hand_made)
    steps(tab, 1)
    start = states(tab)[0]
    before = picture(tab, "figure canvas")
    tab.click("#push-right")
    assert picture(tab, "figure canvas") != before  # an arrow shows the push
    steps(tab, 10)
    pushed = states(tab)[0]
    assert pushed[1] > start[1] + 0.5
    steps(tab, 1)
    assert tab.evaluate("pisensory.run.push") == 0
    tab.keyboard.press("ArrowLeft")  # while the button has the focus
    assert tab.evaluate("pisensory.run.push") == -10
    steps(tab, 12)
    canvas = tab.locator("figure canvas")
    box = canvas.bounding_box()
    tab.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 100)
    tab.mouse.down()
    steps(tab, 3)
    assert tab.evaluate("pisensory.run.push") > 10
    tab.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 100)
    assert tab.evaluate("pisensory.run.push") < -10
    tab.mouse.up()
    assert tab.evaluate("pisensory.run.push") == 0


def test_the_whole_picture_works_by_keyboard(show):
    tab = show()
    canvas = tab.locator("figure canvas")
    canvas.focus()
    canvas.press(".")
    assert tab.evaluate("pisensory.run.steps") == 1
    canvas.press("s")
    assert order(tab) != [0, 1, 2, 3, 4]
    canvas.press("ArrowRight")
    assert tab.evaluate("pisensory.run.push") == 10
    canvas.press("r")
    assert tab.evaluate("pisensory.run.steps") == 0
    assert tab.evaluate("document.activeElement.tagName") == "CANVAS"
    tab.keyboard.press(" ")
    assert tab.evaluate("pisensory.view.playing")
    # Everything that can be clicked can be reached with the tab key.
    controls = tab.locator("button:enabled:visible, select:visible, input:visible, canvas[tabindex]").count()
    tab.keyboard.press(" ")
    reached = set()
    for _ in range(controls + 5):
        tab.keyboard.press("Tab")
        reached.add(
            tab.evaluate(
                "[...document.querySelectorAll('button, select, input, canvas')].indexOf(document.activeElement)"
            )
        )
    assert len(reached - {-1}) >= controls


def test_the_same_seed_is_the_same_run_and_another_is_not(show):
    tab = show()
    tab.fill("#seed", "42")
    tab.locator("#seed").blur()
    steps(tab, 100)
    first, shot = states(tab), pixels(tab)
    tab.click("#restart")
    assert tab.evaluate("pisensory.run.settings.seed") == 42
    steps(tab, 100)
    assert states(tab) == first and pixels(tab) == shot
    tab.click("#new-seed")
    steps(tab, 100)
    assert states(tab) != first and pixels(tab) != shot


def test_shuffles_and_noise_leave_the_start_of_a_seed_as_it_is(show):
    tab = show()
    starts = []
    for address in ("#seed=9", "#seed=9&noise=7&shuffle=1&copies=2"):
        tab.evaluate("hash => { location.hash = hash; }", address)
        wait(tab, "pisensory.run.settings.seed === 9")
        starts.append(states(tab))
    assert starts[0] == starts[1]


def test_the_address_repeats_everything_that_was_done(show):
    tab = show(address="#seed=7&version=v0&rival=1")
    steps(tab, 10)
    tab.click("#shuffle")
    steps(tab, 5)
    tab.click("#noise-more")
    tab.click("#push-left")
    steps(tab, 5)
    tab.get_by_role("button", name="unplug turning speed").click()
    tab.select_option("#every", "25")
    steps(tab, 40)
    where, arranged = states(tab), order(tab)
    again = show(address="#" + tab.url.split("#")[1])
    steps(again, 60)
    assert states(again) == where and order(again) == arranged
    assert again.evaluate("pisensory.run.settings.version") == "v0"
    assert again.url.split("#")[1] == tab.url.split("#")[1]


@pytest.mark.parametrize(
    "address",
    [
        "#seed=-1&model=99&noise=1e9",
        "#do=5.nothing.1~x~3.noise.1.2~4.plug.77",
        "#version=__proto__&std=NaN&do=1.toString.0",
    ],
)
def test_an_address_that_makes_no_sense_is_as_good_as_none(show, address):
    tab = show(address=address)
    steps(tab, 10)
    assert order(tab) == [0, 1, 2, 3, 4]
    assert tab.evaluate("pisensory.run.settings.seed") == 1


def test_side_by_side_both_get_the_same_state_and_the_same_inputs(show):
    tab = show(viewport={"width": 1200, "height": 900})  # two pictures of whole pixels
    assert tab.locator("figure").count() == 1
    tab.select_option("#rival", label="mlp")
    assert tab.locator("figure b").all_inner_texts()[::4] == ["invariant", "mlp"]
    left, right = states(tab)
    assert left == right
    assert pixels(tab, 0) == pixels(tab, 1)
    steps(tab, 1)
    first, second = tab.evaluate("pisensory.run.contenders.map(each => [...each.sources])")
    assert first == second
    tab.click("#shuffle")
    steps(tab, 50)
    left, right = states(tab)
    assert left != right
    assert pixels(tab, 0) != pixels(tab, 1)
    for number in (0, 1):
        sources = tab.evaluate(f"[...pisensory.run.contenders[{number}].sources]")
        seen = tab.evaluate(f"[...pisensory.run.contenders[{number}].observation]")[:5]
        assert seen == [sources[source] for source in order(tab)]
    before = picture(tab, "#mind")
    tab.select_option("#watched", "1")
    assert picture(tab, "#mind") != before
    assert "no attention" in tab.locator("#mind-note").inner_text()


def test_switching_the_model_and_the_environment(show):
    tab = show()
    tab.select_option("#model", label="linear")
    assert tab.evaluate("pisensory.run.contenders[0].model.name") == "linear"
    assert "linear" not in tab.locator("#rival option").all_inner_texts()
    tab.select_option("#version", "harder")
    assert tab.evaluate("pisensory.run.contenders[0].world.version") == "harder"


def test_after_the_end_of_the_track_it_stops_and_says_so(show):
    policy = ps.MLPPolicy(hidden_sizes=())
    tab = show({"runaway": (policy, np.array([0, 0, 0, 0, 0, 9.0]))}, reduced_motion="no-preference")
    tab.select_option("#speed", "4")
    wait(tab, "pisensory.run.over")
    assert re.fullmatch(r"runaway left the track at step \d+\.", tab.locator("#status").inner_text())
    assert tab.locator("#play").inner_text() == "Play"
    tab.click("#play")
    wait(tab, "!pisensory.run.over && pisensory.run.steps < 200")


def test_scores_are_sums_of_the_rewards(show, hand_made):
    tab = show(hand_made, "#version=v0")
    rewards = []
    for _ in range(30):
        steps(tab, 1)
        rewards.append(np.cos(states(tab)[0][2]))
    assert tab.evaluate("pisensory.run.contenders[0].score") == pytest.approx(sum(rewards))
    steps(tab, 1500)
    kept = tab.evaluate("[pisensory.run.contenders[0].score, pisensory.run.contenders[0].recentScore]")
    shown = [float(text.replace("−", "-")) for text in tab.locator("figcaption b").all_inner_texts()[1:3]]
    assert shown == pytest.approx(kept, abs=0.051)
    assert kept[0] < kept[1] < 0


def test_a_plain_network_hears_the_places_it_knows_and_no_others(show):
    policy = ps.MLPPolicy(n_features=7, hidden_sizes=())
    weights = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.05])
    tab = show({"seven": (policy, weights)}, "#noise=1")
    steps(tab, 1)
    seen = observation(tab)
    action = tab.evaluate("pisensory.run.contenders[0].action")
    assert action == pytest.approx(np.tanh(np.dot(seen, weights[:6]) + 0.05), abs=1e-6)
    for _ in range(3):
        tab.click("#noise-more")
    assert tab.locator("#places li.deaf").count() == 2
    steps(tab, 1)
    seen = observation(tab)
    action = tab.evaluate("pisensory.run.contenders[0].action")
    assert action == pytest.approx(np.tanh(np.dot(seen[:7], weights[:7]) + 0.05), abs=1e-6)


def test_the_link_is_copied_or_the_page_says_why_not(show):
    tab = show(address="#seed=33")
    tab.click("#share")
    wait(tab, "document.querySelector('#status').textContent.includes('address')")
    assert "seed=33" in tab.url


# ---- How it looks, and to whom


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_its_window_and_has_no_accessibility_violations(show, width, scheme):
    axe = pytest.importorskip("axe_playwright_python", reason="axe is not installed")
    source = pathlib.Path(axe.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
    size = {"width": width, "height": 844}
    tab = show(address="#rival=1&noise=12", viewport=size, color_scheme=scheme, device_scale_factor=2)
    steps(tab, 30)
    tab.get_by_role("button", name="unplug cosine of the angle").click()
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    for canvas in ("figure canvas", "#traces", "#mind"):
        drawn, shown = tab.evaluate(
            "name => { const c = document.querySelector(name); return [c.width, c.clientWidth]; }", canvas
        )
        assert drawn == 2 * shown > 200
    tab.evaluate(source)
    violations = tab.evaluate("axe.run().then(result => result.violations.map(each => [each.id, each.nodes[0].html]))")
    assert violations == []


def test_dark_mode_is_dark_and_can_change_while_it_is_open(show):
    tab = show(color_scheme="light")
    background = "getComputedStyle(document.body).backgroundColor"
    light, shot = tab.evaluate(background), picture(tab, "figure canvas")
    tab.emulate_media(color_scheme="dark")
    tab.wait_for_timeout(50)
    assert sum(map(int, re.findall(r"\d+", tab.evaluate(background)))) < 120
    assert sum(map(int, re.findall(r"\d+", light))) > 700
    assert picture(tab, "figure canvas") != shot


def test_reduced_motion_waits_to_be_asked(show):
    tab = show(reduced_motion="reduce")
    tab.wait_for_timeout(200)
    assert tab.evaluate("pisensory.run.steps") == 0
    assert "less motion" in tab.locator("#status").inner_text()
    assert tab.evaluate("getComputedStyle(document.querySelector('#play')).transitionDuration") == "0s"


def test_what_the_pictures_show_is_said_in_words(show):
    tab = show()
    steps(tab, 5)
    assert re.fullmatch(
        r"invariant: cart at -?\d\.\d metres, pole \d+ degrees from upright",
        tab.locator("figure canvas").get_attribute("aria-label"),
    )
    label = tab.locator("#mind").get_attribute("aria-label")
    assert label.startswith("Mean size of attention for each place: position x 0.") and "turning speed 0." in label
