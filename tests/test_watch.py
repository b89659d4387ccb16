"""The window: what keys do to an episode that is being watched, and that all else is the episode of a rollout."""

import os
import sys

import numpy as np
import pytest
from warm import pisensory

import pisensory as ps
from pisensory.cli import main
from pisensory.tasks.cartpole import accelerations
from pisensory.video import watch
from pisensory.video.show import Show

pygame = pytest.importorskip("pygame")
pytest.importorskip("PIL.Image")
INVARIANT, MLP = (ps.load_model(f"cartpole-v1-{kind}") for kind in ("invariant", "mlp"))
PAIR = {"invariant": INVARIANT, "mlp": MLP}
FAST = {"frames_per_second": 100, "width": 320}
ORDER = list(range(5))


@pytest.fixture(autouse=True)
def no_display(monkeypatch):
    pygame.display.quit()  # which another test may have begun with another driver
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    yield
    pygame.display.quit()


def press(*keys):
    for key in keys:
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=getattr(pygame, f"K_{key}")))


def close_window():
    pygame.event.post(pygame.event.Event(pygame.QUIT))


def sources(show, number=0):
    return show.moments[number].task.sources[0, :, 0].tolist()


def state(show, number=0):
    return show.moments[number].task.plain.state[:, 0, 0].copy()


def on_screen():
    return pygame.surfarray.array3d(pygame.display.get_surface()).transpose(1, 0, 2)


def test_an_episode_left_alone_is_that_of_a_rollout_and_the_next_follows(monkeypatch):
    monkeypatch.setattr("pisensory.video.show._HOLD", 0.02)
    task = ps.CartPoleSwingUp("harder", max_steps=40)
    show = Show({"a": INVARIANT}, task, 5, **FAST)
    while len(show.watched) < 3:
        assert show.frame()
    show.close()
    first, second, _ = show.watched
    for episode, seed in ((first, 5), (second, 6)):
        expected = ps.rollout(INVARIANT[0], INVARIANT[1][None], task, 1, seed)
        assert (episode.seed, episode.scores) == ((seed,), (expected.returns[0, 0],))
        assert (episode.n_steps, episode.n_shuffles, episode.n_pushes) == (expected.lengths[0, 0], 0, 0)


@pytest.mark.parametrize("perturbation", [ps.Perturbation(), ps.Perturbation(n_copies=2)], ids=["plain", "copies"])
def test_space_shuffles_what_the_agent_sees_and_it_goes_on(perturbation):
    task = ps.CartPoleSwingUp("v1", perturbation=perturbation)
    show = Show({"a": INVARIANT}, task, **FAST)
    for _ in range(5):
        show.frame()
    before, n_inputs = sources(show), task.n_features
    hidden = show.moments[0].policy.hidden[0, :, :, 0].copy()
    press("SPACE")
    show.frame()
    after = sources(show)
    assert before == sorted(before) and sorted(after) == before and after != before
    shown = show.moments[0].observations[0, :, 0, 0]
    own = np.empty((1, 5, 1, 4), np.float32)
    show.moments[0].task.plain.observe(own)
    np.testing.assert_array_equal(shown, own[0, after, 0, 0])
    assert show.watched[-1].n_shuffles == 1
    for _ in range(5):
        show.frame()
    assert sources(show) == after and len(after) == n_inputs
    assert show.moments[0].number == 22
    # It has kept the state of its places, and thinks on.
    assert np.abs(show.moments[0].policy.hidden[0, :, :, 0] - hidden).max() > 0.01
    show.close()


@pytest.mark.parametrize(("key", "push"), [("LEFT", -1.0), ("RIGHT", 1.0)])
def test_arrows_push_the_cart_for_as_long_as_the_perturbation_says(key, push):
    task = ps.CartPoleSwingUp("v1", perturbation=ps.Perturbation(push_steps=7))
    show = Show({"a": INVARIANT}, task, steps_per_frame=1, **FAST)
    for number in range(12):
        if number == 2:
            press(key)
        step, (_, x_dot, theta, theta_dot) = show.moments[0], state(show)
        assert step.number == number
        action = float(step.actions[0, 0, 0]) + push * (2 <= number < 9)
        show.frame()
        x_ddot, _ = accelerations(x_dot, np.sin(theta), np.cos(theta), theta_dot, action)
        assert state(show)[1] == pytest.approx(x_dot + 0.01 * x_ddot, abs=1e-5)
        assert show.moments[0].task.pushed[0, 0] == push * (2 <= number < 8)
    assert show.watched[-1].n_pushes == 1
    show.close()


def test_a_push_is_drawn_while_it_lasts():
    show = Show({"a": INVARIANT}, ps.CartPoleSwingUp("v1"), frames_per_second=100, width=960)

    def pushed():
        show.frame()
        scene = on_screen()[60:90, 40:440].astype(int)
        return (np.abs(scene - (194, 78, 8)).max(axis=2) < 20).sum()

    assert pushed() == 0
    press("RIGHT")
    show.frame()
    assert pushed() > 100
    for _ in range(12):
        show.frame()
    assert pushed() == 0
    show.close()


def test_r_begins_the_episode_again_and_n_the_next():
    show = Show({"a": INVARIANT}, ps.CartPoleSwingUp("harder"), (4, 2), **FAST)
    begun = state(show)
    press("SPACE", "RIGHT")
    for _ in range(3):
        show.frame()
    assert (state(show) != begun).all() and sources(show) != ORDER
    press("r")
    show.frame()
    assert show.moments[0].number == 0 and sources(show) == ORDER
    np.testing.assert_array_equal(state(show), begun)
    press("n")
    show.frame()
    assert (state(show) != begun).all()
    assert [episode.seed for episode in show.watched] == [(4, 2), (4, 2), (4, 3)]
    assert [(episode.n_shuffles, episode.n_pushes) for episode in show.watched] == [(1, 1), (0, 0), (0, 0)]
    show.close()


@pytest.mark.parametrize("end", [lambda: press("q"), lambda: press("ESCAPE"), close_window], ids=["q", "esc", "close"])
def test_the_show_ends(end):
    show = Show({"a": MLP}, ps.CartPoleSwingUp("v1"), **FAST)
    assert show.frame()
    end()
    assert not show.frame()
    show.close()


def test_two_agents_are_shuffled_and_pushed_alike():
    show = Show(PAIR, ps.CartPoleSwingUp("v1"), **FAST)
    for key in ("SPACE", "RIGHT", "SPACE"):
        press(key)
        show.frame()
        assert sources(show, 0) == sources(show, 1) != ORDER
        assert (
            show.moments[0].task.pushed[0, 0] == show.moments[1].task.pushed[0, 0] == float(show.watched[-1].n_pushes)
        )
    show.close()


def test_keys_come_on_top_of_the_tasks_own_shuffles():
    task = ps.CartPoleSwingUp("v1", perturbation=ps.Perturbation(reshuffle_every=10, n_noise=2))
    show, orders = Show({"a": INVARIANT}, task, steps_per_frame=1, **FAST), []
    for number in range(25):
        if number == 14:
            press("SPACE")
        orders.append(sources(show))
        show.frame()
    assert [number for number in range(1, 25) if orders[number] != orders[number - 1]] == [10, 15, 20]
    show.close()


def test_the_window_shows_the_moment_and_its_senses():
    show = Show({"a": INVARIANT}, ps.CartPoleSwingUp("v1"), frames_per_second=100, width=640)
    show.frame()
    first = on_screen()
    for _ in range(110):  # the traces are full, and older steps forgotten
        show.frame()
    last = on_screen()
    assert first.shape == last.shape == (*show._film._film.size[::-1], 3)
    moved = np.abs(last.astype(int) - first).max(axis=2) > 60
    assert moved[:, :320].sum() > 100 and moved[:, 320:].sum() > 1000  # the cart; traces and attention
    assert show._film._recorders[0].first == show.moments[0].number - 200 > 0
    show.close()


def test_agents_that_see_patches_are_watched_too():
    pytest.importorskip("pygame")
    pytest.importorskip("Box2D")
    policy = ps.PatchPolicy.car_racing()
    params = policy.initial(np.random.default_rng(0))
    show = Show({"a": (policy, params)}, ps.CarRacingTask(max_steps=20), **FAST)
    show.frame()
    before = sources(show)
    press("SPACE")
    show.frame()
    assert sources(show) != before and sorted(sources(show)) == before
    show.close()


def test_only_a_run_that_keeps_an_order_can_be_shuffled():
    run = ps.CartPoleSwingUp().start(0, np.zeros((1, 1), int))
    with pytest.raises(ps.InputError, match="cannot be shuffled"):
        run.shuffle()
    with pytest.raises(ps.InputError, match="action must be a number"):
        run.push(float("nan"))


def test_the_command_says_how_episodes_went(capsys):
    pygame.display.init()
    press("SPACE", "LEFT", "q")
    assert main(["watch", "cartpole-v1-mlp", "--seed", "3", "--width", "320", "--frames-per-second", "100"]) == 0
    assert capsys.readouterr().out == "seed 3, 0 steps, 1 shuffles, 1 pushes; scores: cartpole-v1-mlp 0.0\n"


def test_function_returns_the_episodes():
    pygame.display.init()
    press("n", "q")
    assert [episode.seed for episode in watch(PAIR, ps.CartPoleSwingUp("v1"), 7, **FAST)] == [(7,), (8,)]


def run_command(*arguments, **environment):
    kept = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    return pisensory("watch", *arguments, env={**kept, **environment})


@pytest.mark.parametrize("driver", ["", "x11"])
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is a display whatever the environment says")
def test_no_display_is_told(driver):
    result = run_command("cartpole-v1-mlp", SDL_VIDEODRIVER=driver)
    assert result.returncode == 1
    assert "no window can be opened" in result.stderr and "pisensory video" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("library", ["gym", "gymnasium"])
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is a display whatever the environment says")
def test_environments_say_so_too(library, monkeypatch):
    for name in ("SDL_VIDEODRIVER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    module = pytest.importorskip(library)
    ps.register_envs()
    env = module.make("pisensory/CartPoleSwingUp-v1", render_mode="human")
    with pytest.raises(ps.DisplayError, match="render_mode='rgb_array'"):
        env.reset(seed=0)
    env.close()


@pytest.mark.parametrize("module", ["pygame", "PIL.Image"])
def test_missing_packages_name_the_extra(monkeypatch, module):
    from pisensory.tasks.drawing import load_pillow

    load_pillow.cache_clear()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ps.MissingExtraError, match=r"pip install 'pisensory\[viz\]'"):
        watch({"a": MLP}, ps.CartPoleSwingUp("v1"))
    load_pillow.cache_clear()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--width", "9"], "--width must be"),
        (["--steps-per-frame", "0"], "--steps-per-frame must be"),
        (["--frames-per-second", "0"], "--frames-per-second must be"),
        (["--seed", "-1"], "--seed must be"),
        (["--noise-features", "3"], "cartpole-v1-mlp: the policy takes 5 inputs"),
        (["--task", "mix: v1; harder"], "cannot be drawn"),
    ],
)
def test_mistakes_are_told_before_a_window_opens(arguments, message, capsys, monkeypatch):
    monkeypatch.setattr("pisensory.video.show.Window", None)
    assert main(["watch", "cartpole-v1-mlp", *arguments]) == 2
    assert message in capsys.readouterr().err
