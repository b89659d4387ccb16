"""Makes the tables and pictures of pong.md.

    python docs/make_pong.py facts
    python docs/make_pong.py latent MODEL                  # needs scikit-learn

`facts` prints how many pictures a game has, and what a set of patches says of where the ball is. `latent` draws
images/pong-latent.png.
"""

from __future__ import annotations

import argparse
import collections
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

import pisensory as ps
from pisensory.cli.options import load_model
from pisensory.figures import as_png
from pisensory.figures.style import PALETTE, new_figure, styled
from pisensory.files import atomic_write
from pisensory.layers.patches import Patches
from pisensory.tasks.pong import STICKINESS, PongGame
from pisensory.teachers.player import Player

DOCS = Path(__file__).parent
N_STICKY = 5  # games with sticky actions
N_STARTS = 30  # idle frames at the start, at most
COURT = range(12, 79), range(18, 67)  # rows and columns of the picture where there is nothing but a ball
STRIDES = 6, 3, 2  # pixels from a patch to the next: side by side, and overlapping
FREE = range(30, 118)  # columns of the screen where all of a ball, and of its last three places, is in these


def main() -> None:
    """Do what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    jobs = parser.add_subparsers(required=True)
    job = jobs.add_parser("facts", help="count pictures, and places of the ball that look alike")
    job.set_defaults(run=lambda options: facts())
    job = jobs.add_parser("latent", help="draw the latent code of a game by t-SNE")
    job.add_argument("model", metavar="MODEL", help="policy file, or name of a model")
    job.set_defaults(run=lambda options: latent(options.model))
    options = parser.parse_args()
    options.run(options)


class Step(NamedTuple):
    """A step of a game: what is seen before it (frame, row, column), what is chosen, and the points made before."""

    stack: np.ndarray
    action: int
    points: float


def steps(world: PongGame, choose: Callable[[np.ndarray], np.ndarray]) -> Iterator[Step]:
    """Yield each step of a game that has begun, before it is done; `choose` gives the buttons' scores."""
    stack, points, over = np.repeat(world.picture[None], 4, axis=0), 0.0, False
    while not over:
        action = int(np.argmax(choose(stack)))
        yield Step(stack, action, points)
        picture, reward, over, *_ = world.step(action)
        stack, points = np.concatenate([stack[1:], picture[None]]), points + reward


def played(world: PongGame) -> Iterator[Step]:
    """Yield the steps of the player's game."""
    play = Player()(world)
    return steps(world, lambda _: play())


def sorted_set(patches: np.ndarray) -> bytes:
    """Return the patches (feature, channel) as a set, whatever their order."""
    return patches[np.lexsort(patches.T[::-1])].tobytes()


def facts() -> None:
    """Print what there is to learn in Pong, and what a set of patches shows."""
    cut = ps.PongTask.seen.patches.cut
    games: dict[tuple, list[int]] = collections.defaultdict(list)
    world = PongGame(0.0)
    for n_idle in range(1, N_STARTS + 1):
        world.begin(n_idle)
        first_rally = itertools.takewhile(lambda step: not step.points, played(world))
        courts = [court[1:3] for court in (world.look() for _ in first_rally) if court.has_ball]
        games[tuple(courts)].append(n_idle)
    print(f"{N_STARTS} starts, {len(games)} games once there is a ball: idle frames {list(games.values())}")
    actions: dict[bytes, collections.Counter[int]] = collections.defaultdict(collections.Counter)
    for n_idle, *_ in games.values():
        world.begin(n_idle)
        for step in played(world):
            actions[sorted_set(cut(step.stack))][step.action] += 1
    n_steps = sum(sum(counts.values()) for counts in actions.values())
    apart = sum(sum(counts.values()) - max(counts.values()) for counts in actions.values())
    print(f"{n_steps} steps, {len(actions)} sets of patches; in {apart} steps the player does other than mostly")

    seen = list(in_mid_court())
    print(f"sticky: {len(seen)} steps with a ball in mid-court")
    for stride in STRIDES:
        alike(Patches(ps.PongTask.seen.patches.size, stride), seen)


def in_mid_court() -> Iterator[tuple[np.ndarray, tuple[int, int]]]:
    """Yield the stacks of frames, and the rows and columns of the ball, where it is in mid-court in all four."""
    world = PongGame(STICKINESS)
    for seed in range(N_STICKY):
        world.reset(seed)
        free = 0
        for step in played(world):
            court = world.look()
            free = free + 1 if court.has_ball and court.column in FREE else 0
            if free >= 4:
                yield step.stack, (court.row, court.column)


def alike(patches: Patches, seen: list[tuple[np.ndarray, tuple[int, int]]]) -> None:
    """Print in which places the ball looks the same to an agent that sees the set of these patches."""
    starts = np.arange(0, ps.PongTask.seen.size - patches.size + 1, patches.stride)
    inside = np.outer(*(np.isin(starts, court) & np.isin(starts + patches.size, court) for court in COURT)).ravel()
    places: dict[bytes, set[tuple[int, int]]] = collections.defaultdict(set)
    for stack, place in seen:
        middle = patches.cut(stack)[inside]
        places[sorted_set(middle[(middle != middle[:, :1]).any(axis=1)])].add(place)
    several = [np.array(list(group)) for group in places.values() if len(group) > 1]
    apart = np.concatenate([np.abs(group - group[0])[1:] for group in several])
    rows, columns = (collections.Counter(apart[:, axis].tolist()) for axis in (0, 1))
    print(
        f"{patches.stride} pixels apart: {len(places)} sets of patches with the ball, {len(several)} of several places"
    )
    print(f"  rows apart {rows.most_common()}, columns {columns.most_common()}")


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
