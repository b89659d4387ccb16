"""Makes the tables and pictures of pong.md.

    python docs/make_pong.py facts
    python docs/make_pong.py memory
    python docs/make_pong.py teachers
    python docs/make_pong.py astray
    python docs/make_pong.py alike [STEPS ...]             # until which the player waits
    python docs/make_pong.py mistakes MODEL
    python docs/make_pong.py costs MODEL
    python docs/make_pong.py losses MODEL
    python docs/make_pong.py recovery MODEL
    python docs/make_pong.py look-up
    python docs/make_pong.py occlusion [SHARE=MODEL ...]   # by the share removed in their training
    python docs/make_pong.py latent MODEL                  # needs scikit-learn

`facts` prints how many pictures a game has, and what a set of patches says of where the ball is. `memory` has networks
without and with a memory learn in which row the ball is. `teachers` scores the players that teach, with sticky actions.
`astray` prints how soon the player is back in the courts of its games after a wrong step, how many of the others look
like these, and what it meets after lost points. `alike` prints in how many of its games two courts in which no key is
right for both look the same, or nearly, with patches removed. `mistakes` prints how often a model does other than the
player there, and in the courts of the player's games, with none and with three tenths of its patches removed. `costs`
prints what one such step costs a game. `losses` prints how a model comes to lose a first point with patches removed,
and whether the player would still have saved it. `recovery` prints how often it loses a point after a wrong step in a
game of the player's. `look-up` plays by heart, with patches removed: it does what the player did where it saw these
patches and the fewest others, in its four games, or also after points that were lost. `occlusion` scores each model
with more and more of its patches removed, keeps the scores in pong.json, and draws images/pong-occlusion.png beside the
published ones; without models it draws what is kept. `latent` draws images/pong-latent.png.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import functools
import itertools
import json
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import pisensory as ps
from pisensory.cli.options import load_model
from pisensory.cloning.adam import Adam, clip, cosine_rate
from pisensory.figures import as_png
from pisensory.figures.style import INK, PALETTE, PAPER, new_figure, sequential, styled
from pisensory.files import atomic_write, write_text
from pisensory.layers.patches import Patches
from pisensory.tasks.perturbation import count_left
from pisensory.tasks.pong import GAME, KEYS, STICKINESS, PongGame
from pisensory.teachers.player import Player, Returner

DOCS = Path(__file__).parent
SCORES = DOCS / "pong.json"
SHARES = [number / 10 for number in range(10)]  # removed in the test
EPISODES = 8
N_STICKY = 5  # games with sticky actions
N_TEACHER_GAMES, N_TEACHER_STEPS = 5, 6000  # with sticky actions, and their steps, at most
N_BEHIND, MOST_BEHIND, N_STEPS_BEHIND = 60, 3, 300  # games that begin behind, points lost, steps played on
N_WRONG, N_CYCLE, N_BACK = 30, 460, 40  # wrong steps of each game, among its first steps; and steps to be back in
N_COSTS = 12  # games with a wrong step of each kind
N_FIRST = 600  # steps of a game, two rallies of each kind and more, in which a first point is lost or none
MEANS = {1: 0, 4: 2, 5: 3}  # buttons that do the same, but for firing
CHEAP = 0.85  # of the player's output, above which doing that costs no point
N_ASTRAY, N_ON = 60, 75  # wrong steps of each game from which a model is to recover, and steps from there on
DECIDED = 125  # the column from which there is hardly time to make a wrong step good
N_CHOICES, REMOVED = 24, 0.3  # choices of patches, and the share that each removes
LEARNT_REMOVED = 0.45  # the largest share removed as most of the runs of `pong-player` learnt
N_STARTS = 30  # idle frames at the start, at most
COURT = range(12, 79), range(18, 67)  # rows and columns of the picture where there is nothing but a ball
STRIDES = 6, 3, 2  # pixels from a patch to the next: side by side, and overlapping
FREE = range(30, 118)  # columns of the screen where all of a ball, and of its last three places, is in these
# Games with sticky actions to learn in which row the ball is, and steps of each; one more is held out.
N_GAMES, N_GAME_STEPS, N_UPDATES = 6, 4000, 1000
WARM_UP = 10  # steps of a sequence in which a memory may fill
N_HELD_OUT, N_HELD_OUT_STEPS = 24, 60  # sequences of the game held out, their second half is scored
# Tang and Ha (2021): by the share removed in training, at each of SHARES.
PUBLISHED = {
    0.0: [21, -20, -20, -21, -21, -21, -21, -21, -21, -21],
    0.3: [21, 12, 4, -3, -9, -13, -20, -20, -21, -21],
    0.5: [21, 15, 17, 15, 15, 10, -4, -14, -20, -21],
    0.7: [21, 11, 6, 6, 5, -1, -4, -8, -16, -21],
}


def main() -> None:
    """Do what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    jobs = parser.add_subparsers(required=True)
    for name, run, text in (
        ("facts", facts, "count pictures, and places of the ball that look alike"),
        ("memory", memory, "learn in which row the ball is, without and with a memory"),
        ("teachers", teachers, "score the players that teach, with sticky actions"),
        ("astray", astray, "see how the player comes back after a wrong step, and after lost points"),
        ("look-up", look_up, "play by heart, with patches removed"),
    ):
        jobs.add_parser(name, help=text).set_defaults(run=lambda options, run=run: run())
    for name, run, text in (
        ("mistakes", mistakes, "see in which of the player's courts a model does other than the player"),
        ("costs", costs, "see what one step other than its own costs a game of a model"),
        ("losses", losses, "see how a model loses a first point with patches removed"),
        ("recovery", recovery, "see how often a model loses a point after a wrong step"),
        ("latent", latent, "draw the latent code of a game by t-SNE"),
    ):
        job = jobs.add_parser(name, help=text)
        job.add_argument("model", metavar="MODEL", help="policy file, or name of a model")
        job.set_defaults(run=lambda options, run=run: run(options.model))
    job = jobs.add_parser("alike", help="see how alike courts of the player's games look with patches removed")
    job.add_argument(
        "latest", nargs="*", type=float, metavar="STEPS", default=[Player.latest], help="until which it waits"
    )
    job.set_defaults(run=lambda options: [alike_games(latest) for latest in options.latest])
    job = jobs.add_parser("occlusion", help="score with patches removed, and draw it")
    job.add_argument("models", nargs="*", metavar="SHARE=MODEL", help="policy file or model, by the share in training")
    job.set_defaults(run=lambda options: occlusion(options.models))
    options = parser.parse_args()
    options.run(options)


Answers = dict[bytes, "collections.Counter[int]"]  # by the set of patches that is seen, how often what was done


class Step(NamedTuple):
    """A step of a game: what is seen before it (frame, row, column), the buttons' scores, the points made before."""

    stack: np.ndarray
    outputs: np.ndarray
    points: float

    @property
    def action(self) -> int:
        """The button that is chosen."""
        return int(np.argmax(self.outputs))


def steps(world: PongGame, choose: Callable[[np.ndarray], np.ndarray]) -> Generator[Step, None, float]:
    """Yield each step of a game that has begun, before it is done; `choose` gives the buttons' scores.

    Returns the points made in all.
    """
    stack, points, over = np.repeat(world.picture[None], 4, axis=0), 0.0, False
    while not over:
        step = Step(stack, choose(stack), points)
        yield step
        picture, reward, over, *_ = world.step(step.action)
        stack, points = np.concatenate([stack[1:], picture[None]]), points + reward
    return points


def score(world: PongGame, choose: Callable[[np.ndarray], np.ndarray]) -> float:
    """Play a game that has begun to its end; return the points."""
    game = steps(world, choose)
    while True:
        try:
            next(game)
        except StopIteration as end:
            return end.value


def played(world: PongGame, latest: float = Player.latest) -> Iterator[Step]:
    """Yield the steps of the player's game; until `latest` steps before the ball is there it waits."""
    play = Player(latest=latest)(world)
    return steps(world, lambda _: play())


def sorted_set(patches: np.ndarray) -> bytes:
    """Return the patches (feature, channel) as a set, whatever their order."""
    return patches[np.lexsort(patches.T[::-1])].tobytes()


def seen_set(step: Step) -> bytes:
    """Return the set of patches that is seen in a step."""
    return sorted_set(ps.PongTask.seen.patches.cut(step.stack))


def choose_patches(generator: np.random.Generator, removed: float) -> np.ndarray:
    """Return the numbers, in order, of the patches that are left when a share of them is removed."""
    n_patches = ps.PongTask().n_features
    return np.sort(generator.permutation(n_patches)[: count_left(n_patches, removed)])


def number(patches: np.ndarray, names: dict[bytes, int]) -> list[int]:
    """Return the numbers of patches (feature, channel) by `names`, in which those get the next that are not there."""
    return [names.setdefault(patch.tobytes(), len(names)) for patch in patches]


def note(actions: Answers, lessons: Iterable[Step]) -> None:
    """Count what is done in each step, by the set of patches that is seen."""
    for step in lessons:
        actions[seen_set(step)][step.action] += 1


def facts() -> None:
    """Print what there is to learn in Pong, and what a set of patches shows."""
    games: dict[tuple, list[int]] = collections.defaultdict(list)
    world = PongGame(0.0)
    for n_idle in range(1, N_STARTS + 1):
        world.begin(n_idle)
        first_rally = itertools.takewhile(lambda step: not step.points, played(world))
        courts = [court[1:3] for court in (world.look() for _ in first_rally) if court.has_ball]
        games[tuple(courts)].append(n_idle)
    print(f"{N_STARTS} starts, {len(games)} games once there is a ball: idle frames {list(games.values())}")
    actions: Answers = collections.defaultdict(collections.Counter)
    note(actions, whole_games(world, [n_idle for n_idle, *_ in games.values()]))
    n_steps = sum(sum(counts.values()) for counts in actions.values())
    apart = sum(sum(counts.values()) - max(counts.values()) for counts in actions.values())
    print(f"{n_steps} steps, {len(actions)} sets of patches; in {apart} steps the player does other than mostly")

    seen = list(in_mid_court())
    print(f"sticky: {len(seen)} steps with a ball in mid-court")
    for stride in STRIDES:
        alike(Patches(ps.PongTask.seen.patches.size, stride), seen, remembers=False)
    bounced = [moment for moment in seen if moment.since is not None]
    print(f"{len(bounced)} of them after it came from a wall; alike in when it did, too:")
    alike(ps.PongTask.seen.patches, bounced, remembers=False)
    alike(ps.PongTask.seen.patches, bounced, remembers=True)


class Moment(NamedTuple):
    """What is seen in mid-court (frame, row, column), where the ball is, and how many steps ago it left a wall."""

    stack: np.ndarray
    place: tuple[int, int]
    since: int | None


def in_mid_court() -> Iterator[Moment]:
    """Yield the moments in which the ball is in mid-court in all four frames."""
    world = PongGame(STICKINESS)
    for seed in range(N_STICKY):
        world.reset(seed)
        free, since, before = 0, None, None
        for step in played(world):
            court = world.look()
            free = free + 1 if court.has_ball and court.column in FREE else 0
            since = None if since is None or not court.has_ball else since + 1
            # A paddle turns the ball around across the court, a wall does not.
            if before and before.across == court.across and before.down * court.down < 0:
                since = 0
            elif before and before.across != court.across:
                since = None
            before = court if court.has_ball else None
            if free >= 4:
                yield Moment(step.stack, (court.row, court.column), since)


def alike(patches: Patches, seen: list[Moment], *, remembers: bool) -> None:
    """Print in which places the ball looks the same to an agent that sees the set of these patches.

    One that remembers knows as well how long ago the ball came from a wall.
    """
    starts = np.arange(0, ps.PongTask.seen.size - patches.size + 1, patches.stride)
    inside = np.outer(*(np.isin(starts, court) & np.isin(starts + patches.size, court) for court in COURT)).ravel()
    places: dict[tuple[bytes, int | None], set[tuple[int, int]]] = collections.defaultdict(set)
    for moment in seen:
        middle = patches.cut(moment.stack)[inside]
        known = moment.since if remembers else None
        places[sorted_set(middle[(middle != middle[:, :1]).any(axis=1)]), known].add(moment.place)
    several = [np.array(list(group)) for group in places.values() if len(group) > 1]
    apart = np.concatenate([np.empty((0, 2), int), *(np.abs(group - group[0])[1:] for group in several)])
    rows, columns = (collections.Counter(apart[:, axis].tolist()) for axis in (0, 1))
    print(
        f"{patches.stride} pixels apart: {len(places)} sets of patches with the ball, {len(several)} of several places"
    )
    print(f"  rows apart {rows.most_common()}, columns {columns.most_common()}")


class Watched(NamedTuple):
    """The pictures of a game (step, pixel), and the ball's row in mid-court, NaN where it is not there (step,)."""

    pictures: np.ndarray
    rows: np.ndarray

    def sequences(self, starts: np.ndarray, n_steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Return what is seen from some steps on (step, feature, channel, sequence), and the rows (step, sequence)."""
        steps = starts + np.arange(n_steps)[:, None]
        stacks = np.concatenate([self.pictures[steps - ago] for ago in (3, 2, 1, 0)], axis=-1)
        return np.moveaxis(stacks[..., ps.PongTask.seen.places], 1, -1).astype(np.float32), self.rows[steps]


def watch(seed: int) -> Watched:
    """Watch a game with sticky actions."""
    world = PongGame(STICKINESS)
    world.reset(seed)
    play, pictures, rows = Returner()(world), [], []
    for step in itertools.islice(steps(world, lambda _: play()), N_GAME_STEPS):
        court = world.look()
        pictures.append(step.stack[-1].ravel())
        rows.append(court.row if court.has_ball and court.column in FREE else np.nan)
    return Watched(np.array(pictures), np.array(rows))


def memory() -> None:
    """Print how well networks without and with a memory learn in which row the ball is."""
    *lessons, test = (watch(seed) for seed in range(N_GAMES + 1))
    known = np.concatenate([game.rows for game in lessons])
    middle, spread = np.nanmean(known), np.nanstd(known)
    print(
        f"{np.isfinite(known).sum()} steps with the ball in mid-court; its rows' standard deviation is {spread:.1f}",
        flush=True,
    )
    lessons = [game._replace(rows=(game.rows - middle) / spread) for game in lessons]
    starts = 3 + N_HELD_OUT_STEPS * np.arange(min(N_HELD_OUT, len(test.rows) // N_HELD_OUT_STEPS - 1))
    seen, rows = test.sequences(starts, N_HELD_OUT_STEPS)
    rows[: N_HELD_OUT_STEPS // 2] = np.nan
    for hidden_size, n_sequences, n_steps in ((0, 240, 1), (16, 6, 40)):
        policy = dataclasses.replace(
            ps.PatchPolicy.pong(), grid=(8, 8), proj_dim=16, convolutions=(), head_sizes=(64,), hidden_size=hidden_size
        )
        params = learn(policy, lessons, n_sequences, n_steps)
        wrong = (middle + spread * policy.unroll(params, seen).actions[:, 0] - rows)[np.isfinite(rows)]
        print(
            f"hidden size {hidden_size}, {policy.n_params} parameters, {len(wrong)} steps of another game; rows wrong:"
        )
        print(f"  {np.sqrt(np.mean(wrong**2)):.1f} root mean square, {np.median(abs(wrong)):.1f} median", flush=True)


def learn(policy: ps.PatchPolicy, games: list[Watched], n_sequences: int, n_steps: int) -> np.ndarray:
    """Return the parameters (parameter,) of a policy whose first output has come to be the ball's row, NaN for none."""
    generator = np.random.default_rng(0)
    params = mean = policy.initial(generator)
    adam = Adam(np.zeros_like(params), np.zeros_like(params))
    for number in range(N_UPDATES):
        game = games[generator.integers(len(games))]
        starts = generator.integers(3, len(game.rows) - n_steps, n_sequences)
        seen, rows = game.sequences(starts, n_steps)
        rows[: min(WARM_UP, n_steps - 1)] = np.nan
        unrolled = policy.unroll(params, seen)
        slopes = np.zeros_like(unrolled.actions)
        slopes[:, 0] = np.nan_to_num(2 * (unrolled.actions[:, 0] - rows)) / max(np.isfinite(rows).sum(), 1)
        gradient = clip(unrolled.gradient(slopes), 0.5)
        params = adam.step(params, gradient, cosine_rate(0.002, number / N_UPDATES))
        mean = params + 0.99 * (mean - params)
    return mean


def teachers() -> None:
    """Print what the players that teach score with sticky actions."""
    for teacher in (Player(), Returner()):
        for seed in range(N_TEACHER_GAMES):
            world = PongGame(STICKINESS)
            world.reset(seed)
            play, points, n_steps, over = teacher(world), 0, 0, False
            while not over and n_steps < N_TEACHER_STEPS:
                reward, over = world.step(int(np.argmax(play())))[1:3]
                points, n_steps = points + reward, n_steps + 1
            print(f"{teacher.kind}, game {seed}: {points} points ahead after {n_steps} steps", flush=True)


def astray() -> None:
    """Print how the player comes back to the courts of its games after a wrong step, and what it meets if behind."""
    world, actions, own = PongGame(0.0), collections.defaultdict(collections.Counter), {}
    for step in whole_games(world):
        seen = seen_set(step)
        actions[seen][step.action] += 1
        own[seen] = step
    other, back, lost = {}, 0, 0
    for game in games_astray(world, N_BACK + N_CYCLE):
        after = [seen_set(step) in own for step in game[N_BACK:]]
        back, lost = back + all(after), lost + loses_a_point(game)
        other.update((seen, step) for step in game[:N_BACK] if (seen := seen_set(step)) not in own)
    print(
        f"{4 * N_WRONG} games with a wrong step: in {back} the player is back for good in courts of its games after "
        f"{N_BACK} steps; in {lost} it loses a point"
    )
    for removed in (REMOVED, LEARNT_REMOVED):
        alike, costly = look_alike(list(own.values()), list(other.values()), removed)
        print(
            f"with {removed:g} removed {100 * alike:.1f} % of the {len(other)} other sets after a wrong step look like "
            f"one in its games; in {100 * costly:.1f} % what it does there costs something here",
            flush=True,
        )
    note(actions, games_behind(PongGame(0.0, MOST_BEHIND)))
    several = sum(len(counts) > 1 for counts in actions.values())
    print(f"{N_BEHIND} games behind: {len(actions) - len(own)} sets more; {several} of all sets have two answers")


def look_alike(own: list[Step], other: list[Step], removed: float) -> tuple[float, float]:
    """Return in what part of other steps one sees what one sees in the player's own, with a share of patches removed.

    And in what part, besides, what the player does in such a step of its own costs something in the other.
    """
    names: dict[bytes, int] = {}
    numbers = np.array([number(ps.PongTask.seen.patches.cut(step.stack), names) for step in (*own, *other)])
    does = [step.action for step in own]
    costs_there = np.array([step.outputs[does] for step in other]) < CHEAP  # (other, own)
    generator, alike, costly = np.random.default_rng(0), 0, 0
    for _ in range(N_CHOICES):
        n_different = count_different(numbers[:, choose_patches(generator, removed)])
        same = n_different[len(own) :, : len(own)] == 0
        alike += np.count_nonzero(same.any(axis=1))
        costly += np.count_nonzero((same & costs_there).any(axis=1))
    n_asked = N_CHOICES * len(other)
    return alike / n_asked, costly / n_asked


def alike_games(latest: float) -> None:
    """Print in how many of the player's games courts that ask for different keys look alike with patches removed."""
    world, names, known = PongGame(0.0), {}, {}
    shown, right, games = [], [], []  # of each set: its patches by number, which keys are right, in which games it is
    for n_idle in range(1, 5):
        for step in whole_games(world, [n_idle], latest):
            place = known.setdefault(seen_set(step), len(known))
            if place == len(shown):
                shown.append(number(ps.PongTask.seen.patches.cut(step.stack), names))
                right.append(np.zeros(len(KEYS), bool))
                games.append(np.zeros(4, bool))
            right[place] |= step.outputs[list(KEYS)] >= CHEAP
            games[place][n_idle - 1] = True
    shown, right, games = np.array(shown), np.array(right), np.array(games)
    agree = (right[:, None] & right).any(axis=2)
    generator, counts = np.random.default_rng(0), np.zeros(3)
    for _ in range(N_CHOICES):
        n_different = count_different(shown[:, choose_patches(generator, REMOVED)])
        nearest = np.where(agree, np.inf, n_different).min(axis=1)
        counts += [games[nearest <= n_patches].any(axis=0).sum() for n_patches in range(3)]
    n_sole, (same, one, two) = np.count_nonzero(right.sum(axis=1) == 1), 100 * counts / (4 * N_CHOICES)
    print(
        f"waiting until {latest:g} steps are left: {len(shown)} sets, in {n_sole} of which "
        f"one key alone is right; with {REMOVED:g} removed {same:.1f} % of {4 * N_CHOICES} games have a court that "
        f"looks the same as one in which another key is, {one:.1f} % one with at most one patch different, {two:.1f} % "
        "with two",
        flush=True,
    )


def count_different(numbers: np.ndarray) -> np.ndarray:
    """Return in how many patches each two of some sets differ (set, set), by the patches' numbers (set, patch)."""
    ordered = np.sort(numbers, axis=1)
    places = np.arange(ordered.shape[1])
    first = np.maximum.accumulate(np.where(np.diff(ordered, axis=1, prepend=-1), places, 0), axis=1)
    # The second of patches that are alike is another than the first.
    _, kinds = np.unique(ordered * len(places) + places - first, return_inverse=True)
    has = np.zeros((len(numbers), kinds.max() + 1), np.float32)
    np.put_along_axis(has, kinds.reshape(ordered.shape), 1, axis=1)
    return len(places) - has @ has.T


def games_astray(world: PongGame, n_steps: int) -> Iterator[list[Step]]:
    """Yield the steps of the player's games that follow a wrong one."""
    for at, other in wrong_steps(world, [range(20, N_CYCLE)] * 4, N_WRONG, np.random.default_rng(0)):
        play = Player()(world)
        game = steps(world, wrong_at(at, other, lambda _, play=play: play()))
        yield list(itertools.islice(game, at + 1, at + 1 + n_steps))


def wrong_steps(
    world: PongGame, among: list[Sequence[int]], n_wrong: int, generator: np.random.Generator
) -> Iterator[tuple[int, int]]:
    """Begin each of four games so many times, and yield one step of those named, and how many keys beside to press."""
    for n_idle, places in enumerate(among, start=1):
        for _ in range(n_wrong):
            world.begin(n_idle)
            yield int(generator.choice(places)), int(generator.integers(1, len(KEYS)))


def mistakes(model: str) -> None:
    """Print how often a model does other than the player, with all patches and with three tenths removed.

    What the player gives nearly as much for as for what it does is no mistake that costs a point.
    """
    policy, params = load_model(model)[:2]
    world, known = PongGame(0.0), set()
    groups = {
        "in its games": whole_games(world),
        f"in the {N_BACK} steps after a wrong one": itertools.chain.from_iterable(games_astray(world, N_BACK)),
        "behind": games_behind(PongGame(0.0, MOST_BEHIND)),
    }
    for name, lessons in groups.items():
        patches, given = {}, {}  # by set, and what the player gives for each key, at most, in the courts that look so
        for step in lessons:
            if (seen := seen_set(step)) not in known:
                patches[seen] = ps.PongTask.seen.patches.cut(step.stack)
                given[seen] = np.maximum(given.get(seen, -1), step.outputs[list(KEYS)])
        known |= set(patches)
        outputs = np.array(list(given.values()))  # (set, key)
        judges = [outputs == 1, outputs >= CHEAP]
        stacked = np.stack(list(patches.values()), axis=-1).astype(np.float32)  # feature, channel, set
        whole = wrong_answers(policy, params, stacked, judges)
        generator, wrong = np.random.default_rng(0), []
        for _ in range(N_CHOICES):
            kept = choose_patches(generator, REMOVED)
            wrong.append(wrong_answers(policy, params, stacked[kept], judges))
        some, costly = np.mean(wrong, axis=0)
        none = sum(not one[1] for one in wrong)
        print(
            f"{name}, {len(patches)} sets: other than the player in {100 * whole[0]:.2f} %, at a cost in "
            f"{100 * whole[1]:.2f} %; with {REMOVED:g} removed in {100 * some:.2f} and {100 * costly:.2f} %, "
            f"in none at a cost with {none} of {N_CHOICES} choices",
            flush=True,
        )


def wrong_answers(policy: Any, params: np.ndarray, patches: np.ndarray, judges: list[np.ndarray]) -> list[float]:
    """Return in what part of sets of patches (feature, channel, set) a policy is wrong, by each judge (set, key)."""
    keys = np.array([KEYS.index(MEANS.get(action, action)) for action in range(6)])
    answers = [
        keys[np.argmax(policy.unroll(params, some[None]).actions[0], axis=0)]
        for some in np.array_split(patches, 1 + patches.shape[2] // 128, axis=2)
    ]
    chosen = np.concatenate(answers)[:, None]
    return [1 - np.take_along_axis(right, chosen, axis=1).mean() for right in judges]


def student(model: str) -> Callable[..., np.ndarray]:
    """Return what gives a model's scores of the buttons, by what is seen and which patches of it are left, if not all.

    How many are left is the same each time.
    """
    policy, params = load_model(model)[:2]
    agent = policy.agent(params)

    def act(stack: np.ndarray, kept: np.ndarray | slice = slice(None)) -> np.ndarray:
        return agent.act(ps.PongTask.seen.patches.cut(stack)[kept])

    return act


def costs(model: str) -> None:
    """Print what it costs the games of a model to do for one step other than it would, with all its patches."""
    play, world, generator = student(model), PongGame(0.0), np.random.default_rng(0)
    done = []  # in each of the four games, in its first steps; none where the player has a choice
    for n_idle in range(1, 5):
        world.begin(n_idle)
        player = Player()(world)
        game = itertools.islice(steps(world, play), N_CYCLE)
        done.append([MEANS.get(step.action, step.action) if decides(player()) else None for step in game])
    for own, instead in itertools.permutations(range(len(KEYS)), 2):
        scores = []
        for game in generator.integers(4, size=N_COSTS).tolist():
            at = generator.choice([number for number in range(20, N_CYCLE) if done[game][number] == KEYS[own]])
            world.begin(game + 1)
            scores.append(score(world, wrong_at(at, instead - own, play)))
        names = (ps.PongTask.action_names[KEYS[key]] for key in (instead, own))
        print(
            f"{' instead of '.join(names)} in one step: {np.mean(scores):.1f} points on average, "
            f"{scores.count(21)} of {N_COSTS} games won 21 : 0",
            flush=True,
        )


def decides(outputs: np.ndarray) -> bool:
    """Return whether all that the player does not do would cost something, by its outputs for the buttons."""
    return np.count_nonzero(outputs >= CHEAP) == 1


def wrong_at(at: int, other: int, play: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """Return what does what `play` does, but in one step the key that comes so many after its own."""
    numbers = itertools.count()

    def choose(stack: np.ndarray) -> np.ndarray:
        outputs = play(stack)
        if next(numbers) == at:
            best = int(np.argmax(outputs))
            own = KEYS.index(MEANS.get(best, best))
            outputs = np.eye(len(outputs))[KEYS[(own + other) % len(KEYS)]]
        return outputs

    return choose


def losses(model: str) -> None:
    """Print how a model loses a first point with patches removed, and if the player would have saved it from there."""
    act, world, generator = student(model), PongGame(0.0), np.random.default_rng(0)
    saved, first = 0, collections.Counter()
    for _ in range(N_CHOICES):
        play = functools.partial(act, kept=choose_patches(generator, REMOVED))
        for n_idle in range(1, 5):
            world.begin(n_idle)
            if loses_a_point(itertools.islice(steps(world, play), N_FIRST)):
                world.begin(n_idle)
                rescued = Rescued(play, Player()(world))
                saved += not loses_a_point(itertools.islice(steps(world, rescued), N_FIRST))
                first[rescued.wrong] += 1
    n_lost = sum(first.values())
    print(f"{n_lost} of {4 * N_CHOICES} games lose a point in their first {N_FIRST} steps with {REMOVED:g} removed")
    print(f"in {saved} of them the player loses none if it takes over after the first step that costs something:")
    for wrong, count in first.most_common():
        print(f"  {wrong}: {count}")


def loses_a_point(game: Iterable[Step]) -> bool:
    """Return whether the other side makes a point in these steps of a game; none is played after that."""
    before = -np.inf
    for step in game:
        if step.points < before:
            return True
        before = step.points
    return False


class Rescued:
    """Does what `play` does until that costs something, once, and what the player does from there on."""

    def __init__(self, play: Callable[[np.ndarray], np.ndarray], player: Callable[[], np.ndarray]) -> None:
        self.play, self.player = play, player
        self.wrong = ""  # what was done, and what the player would have done

    def __call__(self, stack: np.ndarray) -> np.ndarray:
        """Return the buttons' scores."""
        right = self.player()
        if self.wrong:
            return right
        outputs = self.play(stack)
        done, better = int(np.argmax(outputs)), int(np.argmax(right))
        if right[done] < CHEAP:
            names = (ps.PongTask.action_names[MEANS.get(action, action)] for action in (done, better))
            self.wrong = " instead of ".join(names)
        return outputs


def recovery(model: str) -> None:
    """Print how often a point is lost after one wrong step in a game of the player's: by a model, and by the player."""
    world = PongGame(0.0)
    among = [decisive(world, n_idle) for n_idle in range(1, 5)]
    for removed in (None, 0.0, REMOVED):
        act, generator, lost = student(model), np.random.default_rng(0), 0
        for at, other in wrong_steps(world, among, N_ASTRAY, generator):
            then, play = None, Player()(world)
            if removed is not None:
                then = functools.partial(act, kept=choose_patches(generator, removed))
            game = steps(world, wrong_at(at, other, taken_over(at, play, then)))
            lost += loses_a_point(itertools.islice(game, at + N_ON))
        who = "the player loses" if removed is None else f"with {removed:g} removed {model} loses"
        print(f"{who} {lost} of {4 * N_ASTRAY} points after a wrong step", flush=True)


def decisive(world: PongGame, n_idle: int) -> list[int]:
    """Return the steps of a game of the player's in which one key alone is right, and there is time left."""
    world.begin(n_idle)
    game = itertools.islice(played(world), N_CYCLE)
    return [at for at, step in enumerate(game) if decides(step.outputs) and world.look().column < DECIDED]


def taken_over(
    at: int, player: Callable[[], np.ndarray], then: Callable[[np.ndarray], np.ndarray] | None
) -> Callable[[np.ndarray], np.ndarray]:
    """Return what does what the player does up to a step, and then what `then` does, if there is one."""
    numbers = itertools.count()
    return lambda stack: player() if next(numbers) <= at or then is None else then(stack)


def look_up() -> None:
    """Print what tables of what the player saw and did score, with patches removed."""
    print("by its four games:", flush=True)
    score_table(lambda: whole_games(PongGame(0.0)))
    print(f"and by {N_BEHIND} that begin behind:", flush=True)
    score_table(lambda: itertools.chain(whole_games(PongGame(0.0)), games_behind(PongGame(0.0, MOST_BEHIND))))


def whole_games(world: PongGame, starts: Iterable[int] = range(1, 5), latest: float = Player.latest) -> Iterator[Step]:
    """Yield the steps of the player's four games, by the idle frames that they begin with; it waits as in `played`."""
    for n_idle in starts:
        world.begin(n_idle)
        yield from played(world, latest)


def games_behind(world: PongGame) -> Iterator[Step]:
    """Yield what the player does first in games that begin some points behind."""
    for seed in range(N_BEHIND):
        world.reset(seed)
        yield from itertools.islice(played(world), N_STEPS_BEHIND)


def score_table(lessons: Callable[[], Iterator[Step]]) -> None:
    """Print what a table of the player's steps scores, with patches removed."""
    cut, world = ps.PongTask.seen.patches.cut, PongGame(0.0)
    names: dict[bytes, int] = {}  # of patches that are not of one color

    def named(stack: np.ndarray, kept: np.ndarray | slice) -> collections.Counter[int]:
        patches = cut(stack)[kept]
        return collections.Counter(number(patches[(patches != patches[:, :1]).any(axis=1)], names))

    done = {frozenset(named(step.stack, slice(None)).items()): step.action for step in lessons()}
    print(f"{len(done)} sets of patches")
    table = np.zeros((len(done), len(names)), np.int16)
    for row, seen in zip(table, done):
        for name, count in seen:
            row[name] = count
    actions, sizes = np.array(list(done.values())), table.sum(axis=1)

    def choose(stack: np.ndarray, kept: np.ndarray) -> np.ndarray:
        seen = {name: count for name, count in named(stack, kept).items() if name < table.shape[1]}
        common = np.minimum(table[:, list(seen)], list(seen.values())).sum(axis=1)
        costs = sizes - 11 * common  # a patch that was not there counts ten times one that is hidden now
        return np.bincount(actions[costs == costs.min()], minlength=6)

    for share in SHARES:
        scores, generator = [], np.random.default_rng(0)
        for n_idle in [1, 2, 3, 4] * (EPISODES // 4):
            kept = choose_patches(generator, share)
            world.begin(n_idle)
            scores.append(score(world, functools.partial(choose, kept=kept)))
        print(f"{share:g} removed: {np.mean(scores):.1f} {scores}", flush=True)


def occlusion(models: list[str]) -> None:
    """Score models with patches removed, and draw the scores beside the published ones."""
    kept = json.loads(SCORES.read_text("utf-8")) if SCORES.exists() else {}
    for text in models:
        share, _, model = text.partition("=")
        policy, params = load_model(model)[:2]
        kept[share] = []
        for removed in SHARES:
            task = ps.PongTask(perturbation=ps.Perturbation(shuffle=True, removed=removed))
            kept[share].append(ps.evaluate(policy, params, task, EPISODES, n_jobs=-1).mean)
            print(f"trained with {share}, tested with {removed}: {kept[share][-1]:.1f}", flush=True)
        write_text(SCORES, json.dumps(dict(sorted(kept.items())), indent=1) + "\n")
    grids = {"published": PUBLISHED, "ours": {float(share): row for share, row in kept.items()}}
    with styled():
        figure, panels = new_figure(3, 1, 2)
        for axes, (title, grid) in zip(panels.flat, grids.items()):
            image = draw_grid(axes, title, grid)
        figure.colorbar(image, ax=panels, label="points won less points lost", pad=0.02).outline.set_visible(False)
    with atomic_write(DOCS / "images" / "pong-occlusion.png") as file:
        file.write(as_png(figure))


def draw_grid(axes: Any, title: str, grid: dict[float, list[float]]) -> Any:
    """Draw scores by the share removed in training, downwards, and in the test; return the image."""
    rows = np.array([grid[share] for share in sorted(grid)])
    image = axes.imshow(rows, cmap=sequential(), vmin=-GAME, vmax=GAME, aspect="auto")
    for (row, column), points in np.ndenumerate(rows):
        color = PAPER if points > 6 else INK
        axes.text(column, row, f"{points:.0f}", ha="center", va="center", fontsize=8, color=color)
    axes.set_yticks(range(len(rows)), [f"{share:g}" for share in sorted(grid)])
    axes.set_xticks(range(len(SHARES)), [f"{share:g}" for share in SHARES])
    axes.set(title=title, xlabel="share removed in the test", ylabel="share removed in training")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    return image


def latent(model: str) -> None:
    """Draw the latent code of each step of a game in two dimensions, and pictures of five groups."""
    from sklearn.cluster import KMeans
    from sklearn.manifold import TSNE

    policy, params = load_model(model)[:2]
    agent, world = policy.agent(params), PongGame(0.0)
    world.reset(0)
    order = np.random.default_rng(0).permutation(ps.PongTask().n_features)
    codes, pictures = [], []
    for step in steps(world, lambda stack: agent.act(ps.PongTask.seen.patches.cut(stack)[order])):
        codes.append(agent.latent.ravel())
        pictures.append(step.stack[-1])
    points = TSNE(perplexity=30, init="pca", random_state=0).fit_transform(np.array(codes, np.float32))
    groups = KMeans(25, n_init=4, random_state=0).fit(points)
    # Five groups that lie far apart: each the farthest from those before.
    chosen = [int(np.argmax(np.bincount(groups.labels_)))]
    while len(chosen) < 5:
        gaps = np.linalg.norm(groups.cluster_centers_[:, None] - groups.cluster_centers_[chosen], axis=2).min(axis=1)
        chosen.append(int(np.argmax(gaps)))
    with styled():
        figure, panels = new_figure(6.4, 5, 5, width_ratios=(3.2, 3.2, 1.9, 1.9, 1.9))
        large = figure.add_subplot(panels[0, 0].get_gridspec()[:, :2])
        for axes in panels[:, :2].flat:
            axes.remove()
        large.scatter(*points.T, s=5, color="0.75")
        large.set(xticks=[], yticks=[], title=f"{len(points)} steps of a game")
        for number, group in enumerate(chosen):
            members = np.flatnonzero(groups.labels_ == group)
            large.scatter(*points[members].T, s=12, color=PALETTE[number])
            nearest = members[np.argsort(np.linalg.norm(points[members] - groups.cluster_centers_[group], axis=1))]
            for axes, step in zip(panels[number, 2:], nearest[np.linspace(0, len(nearest) - 1, 3).astype(int)]):
                axes.imshow(pictures[step], cmap="gray", vmin=0, vmax=255)
                axes.set(xticks=[], yticks=[])
                axes.grid(visible=False)
                for spine in axes.spines.values():
                    spine.set(visible=True, color=PALETTE[number], linewidth=2)
    with atomic_write(DOCS / "images" / "pong-latent.png") as file:
        file.write(as_png(figure))


if __name__ == "__main__":
    main()
