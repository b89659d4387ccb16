"""Makes the tables and pictures of pong.md.

    python docs/make_pong.py facts
    python docs/make_pong.py occlusion [SHARE=MODEL ...]   # policy files, by the share removed in their training
    python docs/make_pong.py latent MODEL                  # needs scikit-learn

`facts` prints how many pictures a game has, and what a set of patches says of where the ball is. `occlusion` scores
each model with more and more of its patches removed, keeps the scores in pong.json, and draws images/pong-occlusion.png
beside the published ones; without models it draws what is kept. `latent` draws images/pong-latent.png.
"""

from __future__ import annotations

import argparse
import collections
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import pisensory as ps
from pisensory.figures import as_png
from pisensory.figures.style import PALETTE, new_figure, sequential, styled
from pisensory.files import atomic_write, write_text
from pisensory.tasks.pong import Court, PongGame
from pisensory.teachers.player import Player

DOCS = Path(__file__).parent
SCORES = DOCS / "pong.json"
SHARES = [number / 10 for number in range(10)]
EPISODES = 8
N_STARTS = 30  # idle frames at the start, at most
COURT = slice(2, 13), slice(3, 11)  # rows and columns of patches where there is nothing but a ball
FREE = range(30, 118)  # columns of the screen where all of a ball, and of its last three places, is in these
# Published: rows are the share removed in training, columns that in the test.
PUBLISHED = {
    0.0: [21, -20, -20, -21, -21, -21, -21, -21, -21, -21],
    0.1: [21, 7, -5, -10, -16, -19, -21, -21, -21, -21],
    0.2: [21, 11, 5, -3, -8, -17, -20, -21, -20, -21],
    0.3: [21, 12, 4, -3, -9, -13, -20, -20, -21, -21],
    0.4: [21, 17, 8, 0, 0, -10, -16, -18, -21, -21],
    0.5: [21, 15, 17, 15, 15, 10, -4, -14, -20, -21],
    0.6: [21, 16, 11, 13, 10, 7, 2, -10, -17, -21],
    0.7: [21, 11, 6, 6, 5, -1, -4, -8, -16, -21],
    0.8: [1, -13, -15, -15, -16, -17, -18, -13, -17, -20],
    0.9: [-12, -17, -20, -20, -19, -20, -19, -21, -21, -20],
}


def main() -> None:
    """Do what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    jobs = parser.add_subparsers(required=True)
    job = jobs.add_parser("facts", help="count pictures, and places of the ball that look alike")
    job.set_defaults(run=lambda options: facts())
    job = jobs.add_parser("occlusion", help="score with patches removed, and draw it")
    job.add_argument("models", nargs="*", metavar="SHARE=MODEL", help="policy file, by the share removed in training")
    job.set_defaults(run=lambda options: occlusion(options.models))
    job = jobs.add_parser("latent", help="draw the latent code of a game by t-SNE")
    job.add_argument("model", metavar="MODEL", help="policy file")
    job.set_defaults(run=lambda options: latent(options.model))
    options = parser.parse_args()
    options.run(options)


def game(sticky: float, n_idle: int) -> Iterator[tuple[np.ndarray, Court, int, float]]:
    """Play a game; yield each step's stack of pictures, the court, the player's action, and the points before."""
    world = PongGame(sticky)
    world.reset(n_idle)
    if not sticky:
        world.begin(n_idle)
    play, points, over = Player()(world), 0.0, False
    stack = np.repeat(world.picture[None], 4, axis=0)
    while not over:
        action = int(np.argmax(play()))
        yield stack, world.look(), action, points
        picture, reward, over, *_ = world.step(action)
        stack, points = np.concatenate([stack[1:], picture[None]]), points + reward


def sorted_set(patches: np.ndarray) -> bytes:
    """Return the patches (feature, channel) as a set, whatever their order."""
    return patches[np.lexsort(patches.T[::-1])].tobytes()


def facts() -> None:
    """Print what there is to learn in Pong, and what a set of patches shows."""
    cut = ps.PongTask.seen.patches.cut
    actions: dict[bytes, collections.Counter[int]] = collections.defaultdict(collections.Counter)
    games: dict[tuple, list[int]] = collections.defaultdict(list)
    for n_idle in range(1, N_STARTS + 1):
        rally = []
        for stack, court, action, _ in game(0.0, n_idle):
            actions[sorted_set(cut(stack))][action] += 1
            if court.has_ball:
                rally.append(court[1:5])
        games[tuple(rally)].append(n_idle)
    n_steps = sum(sum(counts.values()) for counts in actions.values())
    apart = sum(sum(counts.values()) - max(counts.values()) for counts in actions.values())
    print(f"{N_STARTS} starts: {len(games)} games, once there is a ball: idle frames {list(games.values())}")
    print(
        f"{n_steps} steps, {len(actions)} sets of patches; in {apart} steps the player does other than in most of a set"
    )

    places: dict[bytes, list[tuple[int, int]]] = collections.defaultdict(list)
    for seed in range(10):
        free = 0
        for stack, court, _, _ in game(0.25, seed):
            free = free + 1 if court.has_ball and court.column in FREE else 0
            if free >= 4:
                middle = cut(stack).reshape(14, 14, -1)[COURT].reshape(-1, 144)
                balls = middle[(middle != middle[:, :1]).any(axis=1)]
                places[sorted_set(balls)].append((court.row, court.column))
    several = [np.array(group) for group in places.values() if len(set(group)) > 1]
    apart_rows = np.concatenate([np.abs(group[:, 0] - group[0, 0])[1:] for group in several])
    apart_columns = np.concatenate([np.abs(group[:, 1] - group[0, 1])[1:] for group in several])
    print(f"sticky: {sum(map(len, places.values()))} steps with a ball in mid-court, {len(places)} sets of its patches")
    print(f"{len(several)} sets of several places: rows apart {collections.Counter(apart_rows.tolist()).most_common()}")
    print(f"columns apart {collections.Counter(apart_columns.tolist()).most_common()}")


def occlusion(models: list[str]) -> None:
    """Score models with patches removed, and draw the scores beside the published ones."""
    kept = json.loads(SCORES.read_text("utf-8")) if SCORES.exists() else {}
    for text in models:
        share, _, file = text.partition("=")
        policy, params = ps.load_policy(file)
        kept[share] = []
        for removed in SHARES:
            task = ps.PongTask(perturbation=ps.Perturbation(shuffle=True, removed=removed))
            kept[share].append(ps.evaluate(policy, params, task, EPISODES, n_jobs=-1).mean)
            print(f"trained with {share}, tested with {removed}: {kept[share][-1]:.1f}", flush=True)
        write_text(SCORES, json.dumps(dict(sorted(kept.items())), indent=1) + "\n")
    grids = {"published": PUBLISHED, "ours": {float(share): row for share, row in kept.items()}}
    with styled():
        figure, panels = new_figure(4.4, 1, 2, width_ratios=(1, 1), gridspec_kw={})
        image = None
        for axes, (title, grid) in zip(panels, grids.items()):
            image = draw_grid(axes, title, grid)
        figure.colorbar(image, ax=panels, label="score", pad=0.02).outline.set_visible(False)
        save(figure, "pong-occlusion.png")


def draw_grid(axes: Any, title: str, grid: dict[float, list[float]]) -> Any:
    """Draw scores by the share removed in training, downwards, and in the test."""
    rows = np.array([grid[share] for share in sorted(grid)])
    image = axes.imshow(rows, cmap=sequential(), vmin=-21, vmax=21, aspect="auto")
    for (row, column), score in np.ndenumerate(rows):
        axes.text(column, row, f"{score:.0f}", ha="center", va="center", fontsize=7.5,
                  color="white" if score > 8 else "black")  # fmt: skip
    axes.set_yticks(range(len(rows)), [f"{share:g}" for share in sorted(grid)])
    axes.set_xticks(range(len(SHARES)), [f"{share:g}" for share in SHARES])
    axes.set(title=title, xlabel="share removed in the test", ylabel="share removed in training")
    axes.grid(visible=False)
    return image


def latent(model: str) -> None:
    """Draw the latent code of each step of a game in two dimensions, and pictures of five groups."""
    from sklearn.cluster import KMeans
    from sklearn.manifold import TSNE

    policy, params = ps.load_policy(model)
    agent = policy.agent(params)
    world, task = PongGame(0.0), ps.PongTask()
    stack = np.repeat(world.reset(0)[0][None], 4, axis=0)
    generator, codes, pictures, over = np.random.default_rng(0), [], [], False
    order = generator.permutation(task.n_features)
    while not over:
        action = int(np.argmax(agent.act(task.seen.patches.cut(stack)[order])))
        codes.append(np.array(agent.latent).ravel())
        pictures.append(stack[-1])
        picture, _, over, *_ = world.step(action)
        stack = np.concatenate([stack[1:], picture[None]])
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
        save(figure, "pong-latent.png")


def save(figure: Any, name: str) -> None:
    """Write a figure into docs/images."""
    with atomic_write(DOCS / "images" / name) as file:
        file.write(as_png(figure))


if __name__ == "__main__":
    main()
