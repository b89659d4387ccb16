"""What the page does in Chromium when someone uses it."""

import re

import numpy as np
import pytest
from driving import ALONE, observation, order, picture, pixels, random_models, states, steps, wait

import pisensory as ps
from pisensory import page


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
    shot = picture(tab, ".stage")
    tab.wait_for_timeout(200)
    assert tab.evaluate("pisensory.run.steps") == before
    assert picture(tab, ".stage") == shot
    tab.click("#step")
    assert tab.evaluate("pisensory.run.steps") == before + 1
    assert picture(tab, ".stage") != shot
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
    tab = show(settings=page.PageSettings(perturbation=ps.Perturbation(reshuffle_every=7)))
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
    tab = show(address=ALONE + "&copies=2")
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
    before = picture(tab, ".stage")
    tab.click("#push-right")
    assert picture(tab, ".stage") != before  # an arrow shows the push
    steps(tab, 10)
    pushed = states(tab)[0]
    assert pushed[1] > start[1] + 0.5
    steps(tab, 1)
    assert tab.evaluate("pisensory.run.push") == 0
    tab.keyboard.press("ArrowLeft")  # while the button has the focus
    assert tab.evaluate("pisensory.run.push") == -10
    steps(tab, 12)
    canvas = tab.locator(".stage:visible")
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
    canvas = tab.locator(".stage:visible")
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
    controls = tab.locator("button:enabled:visible, select:visible, input:visible, canvas[tabindex]:visible").count()
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
    for address in ("#skip=0&seed=9", "#skip=0&seed=9&noise=7&shuffle=1&copies=2"):
        tab.evaluate("hash => { location.hash = hash; }", address)
        wait(tab, "pisensory.run.settings.seed === 9")
        starts.append(states(tab))
    assert starts[0] == starts[1]


def test_side_by_side_both_get_the_same_state_and_the_same_inputs(show):
    tab = show(viewport={"width": 1200, "height": 900})  # two pictures of whole pixels
    assert tab.locator("figure:visible").count() == 1
    tab.select_option("#rival", label="mlp")
    assert tab.locator("figcaption b").all_inner_texts() == ["Invariant", "Plain"]
    assert tab.locator("figcaption small").all_inner_texts() == ["invariant", "mlp"]
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


def test_who_leaves_the_track_is_put_back_without_a_memory(show):
    runaway = {"runaway": (ps.MLPPolicy(hidden_sizes=()), np.array([0, 0, 0, 0, 0, 9.0])), **random_models()}
    tab = show(runaway, "#rival=1&skip=0")
    over = "pisensory.run.contenders[0].world.over"
    first = states(tab)[0]
    tab.evaluate(f"while (!{over}) pisensory.run.step()")
    tab.click("#step")
    assert tab.locator(".doing").first.inner_text() == "left the track"
    gone = states(tab)[0]
    steps(tab, 40)
    assert states(tab)[0] == gone
    steps(tab, 12)
    back = states(tab)[0]
    assert not tab.evaluate(over) and abs(back[0]) < 1 and back != first
    assert "left the track once" in tab.locator(".scores").first.inner_text()


def test_an_agent_that_is_put_back_remembers_nothing(show):
    tab = show()
    steps(tab, 30)
    memory = "[...pisensory.run.contenders[0].network.cell].slice(0, 40)"
    assert np.abs(tab.evaluate(memory)).min() > 0
    tab.evaluate("pisensory.run.contenders[0].network.reset()")
    assert np.abs(tab.evaluate(memory)).max() == 0
    assert tab.evaluate("pisensory.run.contenders[0].network.previous") == 0


def test_leaving_the_track_is_said(show):
    policy = ps.MLPPolicy(hidden_sizes=())
    tab = show({"runaway": (policy, np.array([0, 0, 0, 0, 0, 9.0]))}, reduced_motion="no-preference")
    tab.select_option("#speed", "4")
    wait(tab, "pisensory.run.contenders[0].losses > 0")
    assert re.fullmatch(r"Linear left the track at step \d+\.", tab.locator("#status").inner_text())


def test_scores_are_sums_of_the_rewards(show, hand_made):
    tab = show(hand_made, ALONE + "&version=v0")
    rewards = []
    for _ in range(30):
        steps(tab, 1)
        rewards.append(np.cos(states(tab)[0][2]))
    assert tab.evaluate("pisensory.run.contenders[0].score") == pytest.approx(sum(rewards))
    steps(tab, 1500)
    kept = tab.evaluate("[pisensory.run.contenders[0].score, pisensory.run.contenders[0].recentScore]")
    shown = re.search(r"score (−?[\d.]+), last 1000 steps (−?[\d.]+)", tab.locator(".scores").first.inner_text())
    assert [float(text.replace("−", "-")) for text in shown.groups()] == pytest.approx(kept, abs=0.051)
    assert kept[0] < kept[1] < 0


def test_a_plain_network_hears_the_places_it_knows_and_no_others(show):
    policy = ps.MLPPolicy(n_features=7, hidden_sizes=())
    weights = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.05])
    tab = show({"seven": (policy, weights)}, ALONE + "&noise=1")
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


# ---- What it leaves alone


def test_a_seed_that_is_being_typed_stays_as_it_is(show):
    tab = show(address=ALONE + "&every=10")
    tab.select_option("#speed", "4")
    tab.click("#play")
    tab.locator("#seed").fill("1234")
    moved = order(tab)
    wait(tab, f"JSON.stringify(pisensory.run.inputs.order) !== JSON.stringify({moved})")
    tab.evaluate("document.querySelector('#shuffle').click()")
    assert tab.locator("#seed").input_value() == "1234"
    assert tab.evaluate("pisensory.run.settings.seed") == 0
    tab.keyboard.press("Enter")
    wait(tab, "pisensory.run.settings.seed === 1234")


def test_a_seed_that_is_none_is_refused_in_words(show):
    tab = show()
    steps(tab, 3)
    for wrong in ("-3", "1.5", "99999999999"):
        tab.locator("#seed").fill(wrong)
        tab.keyboard.press("Enter")
        assert tab.locator("#status").inner_text() == "A seed is a whole number from 0 to 4294967295."
        assert tab.locator("#seed").input_value() == "0" and tab.evaluate("pisensory.run.steps") == 3


def test_menus_and_buttons_stay_the_same_things_while_it_reshuffles(show):
    tab = show(address="#rival=1&every=5&skip=0")
    tab.locator("#places button").nth(2).focus()
    things = "document.querySelectorAll('select, option, button, figure, canvas, input, output, li')"
    tab.evaluate(f"for (const each of {things}) each.mark = true")
    steps(tab, 40)
    tab.evaluate("pisensory.restart()")
    assert tab.evaluate(f"[...{things}].filter((each) => !each.mark).length") == 0
    assert tab.evaluate("document.activeElement === document.querySelectorAll('#places button')[2]")


def test_nothing_is_read_aloud_that_did_not_change(show):
    tab = show(address="#rival=1&every=10&skip=0")
    tab.evaluate(
        """() => {
          window.written = [];
          const live = document.querySelectorAll("[role=status], [aria-live], output");
          const watcher = new MutationObserver((all) => window.written.push(...all.map((each) => each.target.id)));
          for (const each of live) watcher.observe(each, { childList: true, characterData: true, subtree: true });
        }"""
    )
    tab.evaluate(
        """async () => {
          document.querySelector("#play").click();
          while (pisensory.run.steps <= 60) await new Promise(requestAnimationFrame);
          document.querySelector("#play").click();
        }"""
    )
    assert tab.evaluate("window.written") == []


def test_play_and_shuffle_go_on_when_the_agent_beside_it_changes(show):
    tab = show(address="#rival=1&skip=0")
    steps(tab, 10)
    tab.select_option("#rival", label="linear")
    assert tab.locator("figcaption b").all_inner_texts() == ["Invariant", "Linear"]
    tab.select_option("#model", label="linear")
    assert tab.locator("figure:visible").count() == 1
    tab.select_option("#rival", label="mlp")
    tab.click("#shuffle")
    steps(tab, 5)
    assert tab.locator("#tally b").all_inner_texts() == ["linear 0 of 1", "plain 0 of 1"]


def test_two_of_one_kind_are_told_apart_by_their_names(show):
    models = {f"{word} invariant": random_models(seed)["invariant"] for seed, word in enumerate(("first", "second"))}
    tab = show(models, "")
    assert tab.locator("figcaption b").all_inner_texts() == list(models)
    assert tab.locator("#watched option").all_inner_texts() == list(models)
    tab.click("#shuffle")
    assert tab.locator("#tally b").all_inner_texts() == [f"{name} 0 of 1" for name in models]
