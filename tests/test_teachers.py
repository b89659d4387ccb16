"""Teachers that see the simulator, and what their students learn from: pictures kept as bytes."""

import dataclasses
import os
import tracemalloc

import numpy as np
import pytest

import pisensory as ps
from pisensory.cli import main
from pisensory.cloning import episodes
from pisensory.cloning.episodes import EpisodeStore, collect, draw_windows
from pisensory.cloning.loop import Cloning
from pisensory.cloning.settings import CloneSettings
from pisensory.executors import SerialExecutor
from pisensory.files import map_npz, read_npz, write_npz
from pisensory.rollout import live, single_chunk
from pisensory.runs import read_config
from pisensory.runs.checkpoint import read_checkpoint
from pisensory.tasks import pong, task_from_text
from pisensory.teachers import TEACHERS, player

STUDENT = ps.PatchPolicy(grid=(2, 2), proj_dim=4, head="dense")
PARAMS = STUDENT.initial(np.random.default_rng(0))


def perform(teacher, task, n_episodes, seed=0):
    """Return the returns (episode,) of a teacher that acts itself."""
    run = task.start(seed, np.arange(n_episodes)[None])
    guides = [teacher(run.plain.world((0, episode))) for episode in range(n_episodes)]
    alive, returns = np.ones((1, n_episodes), bool), np.zeros(n_episodes)
    for _ in range(task.max_steps):
        actions = np.stack([guide() for guide in guides], axis=1)[None]
        rewards, over = run.step(actions.astype(np.float32), alive)
        returns += np.where(alive, rewards, 0)[0]
        alive &= ~over
        if not alive.any():
            break
    return returns


@pytest.fixture
def racing():
    pytest.importorskip("Box2D")
    return ps.CarRacingTask(max_steps=24, perturbation=ps.Perturbation(shuffle=True, reshuffle_every=7))


def test_driver_drives(racing):
    returns = perform(TEACHERS["driver"](), ps.CarRacingTask(), 3)
    assert returns.min() > 880


def test_cautious_drivers_are_slower(racing):
    task = ps.CarRacingTask(max_steps=300)
    fast, slow = (perform(TEACHERS["driver"](top_speed=speed), task, 1) for speed in (80.0, 30.0))
    assert slow < 0.8 * fast


def test_player_wins_points():
    pytest.importorskip("ale_py")
    for seed in (0, 1):  # one after the other in the same console
        assert perform(TEACHERS["player"](), ps.PongTask(max_steps=420), 1, seed) >= [3]


def test_a_returner_tries_nothing_and_holds_its_own(monkeypatch):
    pytest.importorskip("ale_py")
    monkeypatch.setattr(player.Player, "_search", lambda *given: pytest.fail("it tried a return"))
    assert perform(TEACHERS["returner"](), ps.PongTask(max_steps=420, sticky=True), 1, 0) >= [0]


def test_player_says_how_much_worse_other_actions_are():
    pytest.importorskip("ale_py")
    batch = collect(TEACHERS["player"](), _pong_student(), ps.PongTask(max_steps=60), 1, 0)
    labels = batch.labels[..., 0]
    assert (labels[:, [1, 4, 5]] == -1).all()
    assert (labels.max(axis=1) == 1).all()
    assert ((labels > -1) & (labels < 1)).any()


def test_what_is_rehearsed_has_not_happened():
    pytest.importorskip("ale_py")
    game = ps.PongTask().make_env()
    game.reset(3)
    before = game.look()
    with game.rehearsal():
        game.advance(2)
        assert game.look() != before
    assert game.look() == before
    game.close()


def test_the_memory_says_how_the_ball_flies():
    pytest.importorskip("ale_py")
    game = ps.PongTask().make_env()
    game.begin(1)
    courts = []
    for _ in range(60):
        courts.append(game.look())
        game.advance(0)
    game.close()
    flights = [
        (first.row + first.down, second.row)
        for first, second in zip(courts, courts[1:])
        if first.has_ball and (first.down, first.across) == (second.down, second.across)
    ]
    assert len(flights) > 20
    np.testing.assert_array_equal(*np.transpose(flights))
    assert {court.across for court in courts if court.has_ball} == {-4, 4}


@pytest.mark.parametrize("start", [1, 2])
def test_the_memory_says_where_the_knob_is_and_the_player_where_the_paddle_will_be(start):
    """Beyond the court, too, where the console reads it no more; the paddle moves in odd frames or in even ones."""
    pytest.importorskip("ale_py")
    game, generator = ps.PongTask().make_env(), np.random.default_rng(start)
    game.begin(start)
    knobs, paddles, beyond = [], [], 0
    upwards = int(np.flatnonzero((player._PLANS == -1).all(axis=1))[0])
    for number in range(40):
        court = game.look()
        plan = int(generator.integers(len(player._PLANS))) if number % 4 else upwards
        expected, knob = player._reach(court, 2 * player._AHEAD)[plan], court.knob
        for move in player._PLANS[plan]:
            game.advance(player.KEYS[player._MOVES.index(int(move))])
            knob, found = np.clip(knob + pong.TURN * move, *pong.ENDS), game.look().knob
            knobs.append(found - knob)
            beyond += found < 20
        paddles.append(game.look().paddle - expected)
    game.close()
    assert beyond > 5
    assert np.abs(knobs).max() < 3 and np.median(np.abs(knobs)) < 1e-9
    assert np.abs(paddles).max() <= 2 and np.median(np.abs(paddles)) == 0


def test_a_player_does_not_turn_the_knob_to_and_fro_as_the_ball_comes():
    pytest.importorskip("ale_py")
    game = ps.PongTask().make_env()
    game.begin(2)
    play, before, turns = TEACHERS["player"]()(game), 0, []
    for _ in range(300):
        court, action = game.look(), int(play().argmax())
        if court.is_coming and 30 < court.column < 110:
            turns.append({before, action} == {2, 3})
        before = action
        game.advance(action)
    game.close()
    assert len(turns) > 60 and not any(turns)


def test_a_player_that_was_in_such_a_court_does_what_it_did(monkeypatch):
    pytest.importorskip("ale_py")

    def labels(seed):
        return collect(TEACHERS["player"](horizon=40), _pong_student(), ps.PongTask(max_steps=130), 1, seed).labels

    monkeypatch.setattr(player, "_FOUND", {})
    first = labels(2)
    assert len(player._FOUND) >= 2
    labels(0)
    np.testing.assert_array_equal(labels(2), first)
    monkeypatch.setattr(player, "_FOUND", {})
    np.testing.assert_array_equal(labels(2), first)


def test_what_a_player_finds_is_the_same_when_a_point_ends_the_game(monkeypatch):
    pytest.importorskip("ale_py")
    game, found = ps.PongTask().make_env(), []
    for points in (0, 20):
        monkeypatch.setattr(player, "_FOUND", {})
        game.begin(1)
        game._ale.setRAM(14, points)
        game.advance(0)  # the emulator takes them for won
        play = TEACHERS["player"]()(game)
        while not game.look().is_coming:
            game.advance(int(play().argmax()))
        play()
        found.append(list(player._FOUND.values()))
    assert len(found[0]) >= 2
    assert found[0] == found[1]
    game.close()


def test_what_a_player_finds_does_not_depend_on_when_the_other_paddle_rests(monkeypatch):
    pytest.importorskip("ale_py")
    game, teacher, comings, was_coming = ps.PongTask().make_env(), TEACHERS["player"](), 0, False
    game.begin(3)
    play = teacher(game)
    while True:
        comings, was_coming = comings + (game.look().is_coming and not was_coming), game.look().is_coming
        if comings == 2:
            break
        game.advance(int(play().argmax()))
    # The other paddle rests in one frame of eight, told by the clock alone: in four of them the own one moves as now.
    memories, ways, found, own = set(), set(), set(), int(game._ale.getRAM()[8]) % 2
    for clock in range(own, 8, 2):
        game._ale.setRAM(8, clock)
        with game.rehearsal():
            ways.add(tuple((game.advance(0), game.look())[1] for _ in range(20)))
        monkeypatch.setattr(player, "_FOUND", {})
        memories.add(game.memory())
        found.add(teacher._search(game, player._Hand(), 1))
    assert len(ways) > 1
    assert len(memories) == len(found) == 1
    game.close()


def test_a_player_comes_to_play_the_same_rallies_in_turns():
    pytest.importorskip("ale_py")
    game = ps.PongTask().make_env()
    game.begin(2)
    play, before, rallies, rally, points = TEACHERS["player"]()(game), False, [], [], 0
    while len(rallies) < 6:
        court = game.look()
        if court.has_ball and not before:
            rallies.append(rally := [])
        before = court.has_ball
        rally.append(court)
        points += sum(game.advance(int(play().argmax())))
    assert points == 5
    assert rallies[2] != rallies[3]
    assert rallies[2] == rallies[4] and rallies[3][0] == rallies[5][0]
    assert {rally[0].column for rally in rallies[2:5:2]} == {75}
    game.close()


def test_a_player_waits_where_its_knob_is_turned_down_until_the_ball_is_near():
    pytest.importorskip("ale_py")
    game = ps.PongTask().make_env()
    game.reset(1)
    teacher, generator, waited, far = player.Player(horizon=40), np.random.default_rng(0), [0, 0], 0
    play = teacher(game)
    rest, down = (ps.PongTask.action_names.index(name) for name in ("rest", "down"))
    for _ in range(150):  # whatever is done, with the paddle anywhere
        outputs, court = play(), game.look()
        steps_left = (139 - court.column) / court.across if court.is_coming else np.inf
        if steps_left > teacher.latest:
            at_end = court.knob >= 190
            waited[at_end] += 1
            far += court.is_coming
            np.testing.assert_allclose(outputs[[rest, down]], [1 if at_end else 0.9, 1])
            assert np.sort(outputs)[-3] <= 0.5
        elif court.column < 142:
            assert np.sort(outputs)[-2] <= 0.5
        game.step(int(generator.integers(6)))
    assert min(*waited, far) > 5
    game.close()


def _pong_student():
    student = ps.PatchPolicy(n_actions=6, grid=(2, 2), proj_dim=4, head="dense", discrete=True)
    return student, student.initial(np.random.default_rng(0))


def test_a_student_whose_scores_are_beyond_one_may_act(tmp_path):
    pytest.importorskip("ale_py")
    student, params = _pong_student()
    few = {"rounds": 2, "teacher_rounds": 1, "updates": 1, "batch_size": 1, "n_eval_episodes": 1, "average": 0.0}
    teacher = TEACHERS["player"]()
    result = ps.clone(
        student, teacher, ps.PongTask(max_steps=6), tmp_path / "run", dagger=True, init=1e3 * params, **few
    )
    assert result.rounds == 2
    batch = collect(teacher, (student, 1e3 * params), ps.PongTask(max_steps=6), 1, 0, (0.0, 0.0))
    assert np.abs(batch.previous_actions[1:]).max() == 1


def test_batches_show_what_the_student_saw(racing):
    batch = collect(TEACHERS["driver"](), (STUDENT, PARAMS), racing, 3, 5, (0.0, 1.0))
    assert batch.newest.dtype == np.uint8
    assert batch.observations.size == 0
    chunk = single_chunk(STUDENT, PARAMS, racing, 3, 5)
    for step in live(chunk):
        if step.number == 24:
            break
        looked = batch.look(np.full((1, 3), step.number), np.arange(3), 4)
        np.testing.assert_array_equal(looked[0], chunk.in_order(step.observations))
        if step.number < 23:
            step.actions[0, :, :3] = batch.previous_actions[step.number + 1]
    assert step.number == 24


def test_batches_can_show_what_was_removed_after_what_the_student_saw(racing):
    task = dataclasses.replace(racing, max_steps=3, perturbation=ps.Perturbation(shuffle=True, removed=0.3))
    seen, whole = (collect(TEACHERS["driver"](), (STUDENT, PARAMS), task, 2, 5, with_removed=too) for too in (0, 1))
    n_left = task.n_features
    assert seen.sources.shape == (3, n_left, 2) and whole.sources.shape == (3, 256, 2) and n_left < 256
    np.testing.assert_array_equal(whole.sources[:, :n_left], seen.sources)
    assert (np.sort(whole.sources, axis=1) == np.arange(256)[:, None]).all()
    moment = np.array([[2, 2]]), np.arange(2), 4
    np.testing.assert_array_equal(whole.look(*moment)[:, :n_left], seen.look(*moment))
    assert set(np.unique(whole.look(*moment))) <= set(np.unique(whole.newest))


@pytest.mark.parametrize(("occlusion", "hidden_size", "n_learnt"), [(0.0, 0, 39), (0.5, 0, 49), (0.5, 3, 39)])
def test_occlusion_chooses_from_what_the_episode_removed_too(tmp_path, racing, occlusion, hidden_size, n_learnt):
    task = dataclasses.replace(racing, view="coarse", max_steps=2, perturbation=ps.Perturbation(removed=0.2))
    student = ps.PatchPolicy(grid=(2, 2), patch_size=8, proj_dim=4, head="dense", hidden_size=hidden_size)
    settings = {"rounds": 1, "teacher_rounds": 1, "updates": 1, "n_eval_episodes": 1, "batch_size": 1}
    ps.clone(student, TEACHERS["driver"](), task, tmp_path / "run", occlusion=occlusion, **settings)
    (block,) = (tmp_path / "run" / "episodes").iterdir()
    assert read_npz(block)["sources"].shape == (2, n_learnt, 1)


def test_what_cannot_be_made_again_is_kept_as_it_was_seen(racing):
    noisy = dataclasses.replace(racing, max_steps=3, perturbation=ps.Perturbation(n_noise=2))
    batch = collect(TEACHERS["driver"](), (STUDENT, PARAMS), noisy, 1, 5)
    assert batch.newest.size == 0
    assert batch.observations.shape == (3, 258, 144, 1)
    assert np.array_equal(batch.look(np.array([[2]]), np.array([0]), 4)[0], batch.observations[2])


def test_sequences_of_one_step_are_drawn_from_all_steps_alike(racing):
    batch = collect(TEACHERS["driver"](), (STUDENT, PARAMS), racing, 2, 5)
    window, state = draw_windows(batch, 400, 1, 1, 0.2, np.random.default_rng(0), 4)
    assert state is None
    assert window.observations.shape == (1, 256, 144, 400)
    # The action before the first step is the only one of zeros.
    first = (window.previous_actions == 0).all(axis=1).mean()
    assert 0.01 < first < 0.1
    labels = {tuple(label) for label in batch.labels.swapaxes(1, 2).reshape(-1, 3).tolist()}
    assert {tuple(label) for label in window.labels[0].T.tolist()} == labels


def test_a_thousand_steps_of_64_episodes_fit_into_700_megabytes(tmp_path, racing):
    store = EpisodeStore(tmp_path, "this", 2**31, 256)
    for number, n_steps in enumerate((4, 24)):
        task = dataclasses.replace(racing, max_steps=n_steps)
        store.write(number, collect(TEACHERS["driver"](), (STUDENT, PARAMS), task, 2, 5, (0, 0)))
    short, long = (os.path.getsize(store.path(number)) for number in range(2))
    assert (long - short) / (2 * 20) * 64_000 < 700e6


def test_a_batch_is_opened_once_and_takes_no_memory(tmp_path, monkeypatch, racing):
    store, opened = EpisodeStore(tmp_path, "this", 2**31, 256), []
    store.write(0, collect(TEACHERS["driver"](), (STUDENT, PARAMS), racing, 2, 5))
    monkeypatch.setattr(episodes, "map_npz", lambda path: opened.append(path) or map_npz(path))
    batches = [store.read(0) for _ in range(25)]
    assert len(opened) == 1
    assert not batches[0].newest.flags.owndata
    assert not batches[0].newest.flags.writeable


def test_files_are_mapped_and_not_read(tmp_path):
    arrays = {"large": np.arange(2**22), "small": np.float32([[1.5, 2.5]]), "text": np.array("header")}
    write_npz(tmp_path / "a.npz", arrays)
    tracemalloc.start()
    mapped = map_npz(tmp_path / "a.npz")
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()
    for name, array in read_npz(tmp_path / "a.npz").items():
        np.testing.assert_array_equal(mapped[name], array)
    np.savez_compressed(tmp_path / "b.npz", large=np.arange(9))
    with pytest.raises(ps.FileError, match=r"b.npz .* packed in an unusual way"):
        map_npz(tmp_path / "b.npz")
    damaged = bytearray((tmp_path / "a.npz").read_bytes())
    damaged[2**20] ^= 1
    (tmp_path / "a.npz").write_bytes(damaged)
    with pytest.raises(ps.FileError, match="damaged"):
        map_npz(tmp_path / "a.npz")


@pytest.mark.parametrize("hidden_size", [0, 3])
def test_resumed_clone_of_a_driver_ends_as_one_that_never_stopped(tmp_path, racing, hidden_size):
    task = dataclasses.replace(racing, view="coarse", max_steps=8)
    student = ps.PatchPolicy(grid=(2, 2), patch_size=8, proj_dim=4, head="dense", hidden_size=hidden_size)
    settings = {"rounds": 3, "teacher_rounds": 1, "dagger": True, "updates": 1, "n_eval_episodes": 1, "batch_size": 1}
    teacher = TEACHERS["driver"]()
    whole = ps.clone(student, teacher, task, tmp_path / "whole", **settings)
    for _ in range(3):
        parts = ps.clone(student, teacher, task, tmp_path / "parts", resume=True, minutes=1e-9, **settings)
    np.testing.assert_array_equal(whole.params, parts.params)
    last = [read_checkpoint(tmp_path / name)[0] for name in ("whole", "parts")]  # not of the best round, as these are
    np.testing.assert_array_equal(last[0]["params"], last[1]["params"])
    saved = read_config(tmp_path / "parts")["training"]
    assert (saved["windows"], saved["window"]) == ((16, 30) if hidden_size else (64, 1))
    with pytest.raises(ps.InputError, match="teacher"):
        ps.clone(student, TEACHERS["driver"](braking=9.0), task, tmp_path / "parts", resume=True, **settings)


def test_teachers_of_another_task_are_refused(tmp_path):
    with pytest.raises(ps.InputError, match="the teacher 'driver' is for the task 'carracing', got 'v1'"):
        ps.clone(ps.InvariantPolicy(), TEACHERS["driver"](), ps.CartPoleSwingUp("v1"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_command_line_wants_one_teacher(tmp_path, capsys):
    for words in ([str(tmp_path / "run")], ["cartpole-mlp", str(tmp_path / "run"), "--teacher", "driver"]):
        assert main(["clone", "invariant", *words]) == 2
        assert "say who is to teach" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_each_episode_has_a_background_of_its_own(racing):
    task = ps.CarRacingTask(view="coarse", background="noise")
    seen = []
    for numbers in ([[0, 1]], [[1, 2]]):
        run = task.start(3, np.array(numbers))
        run.observe(np.zeros((1, 49, 256, 2), np.float32))
        seen.append(run.plain._backgrounds[0])
    assert np.array_equal(seen[0][1], seen[1][0])
    assert not np.array_equal(seen[0][0], seen[0][1])


def test_parts_of_a_mixture_have_settings_of_their_task(racing):
    text = "mix: carracing:coarse shuffle; 2 carracing:coarse background=noise reshuffle_every=20..500"
    mixture = task_from_text(text)
    assert [task.background for task in mixture.tasks] == [None, "noise"]
    assert task_from_text("mix: " + mixture.parts[1].label).tasks[0] == mixture.tasks[1]
    with pytest.raises(ps.InputError, match="no setting 'kind'"):
        task_from_text("mix: carracing kind=x")


def test_a_student_with_a_memory_is_held_to_whole_episodes_and_learns_from_the_states_it_had(tmp_path, racing):
    task = dataclasses.replace(racing, view="coarse")
    student = ps.PatchPolicy(grid=(2, 2), patch_size=8, proj_dim=4, head="dense", hidden_size=3)
    settings = CloneSettings(window=10, windows=4, batch_size=3, n_eval_episodes=1)
    learner = Cloning(student, TEACHERS["driver"](), task, settings, None, SerialExecutor(), tmp_path)
    loss = learner._held_out_loss()
    batch = learner._held_out
    steps = np.repeat(np.arange(len(batch.alive))[:, None], 3, axis=1)
    whole = batch.look(steps, np.arange(3), task.senses.n_frames)
    unrolled = student.unroll(learner.params, whole, batch.previous_actions)
    alive = batch.alive[:, None]
    errors = (unrolled.actions - batch.labels) ** 2 * alive
    assert np.isclose(loss, errors.sum() / (alive.sum() * task.n_actions), rtol=1e-5)
    np.testing.assert_allclose(learner._watch(batch), unrolled.actions, atol=1e-5)

    noted = collect(TEACHERS["driver"](), (student, learner.params), task, 3, 5, state_every=5)
    steps = np.repeat(np.arange(10)[:, None], 3, axis=1)
    before = student.unroll(learner.params, noted.look(steps, np.arange(3), 4), noted.previous_actions[:10])
    for array, expected in zip(noted.states[2], before.state):
        np.testing.assert_allclose(array, expected, atol=1e-5)
