"""The AttentionNeuron with eyes: the vision policies of Tang and Ha (2021), section 4.

It sees any number of patches of a stack of gray frames, in any order. A patch's key is made of how it changes from
frame to frame, its value of its pixels, normalised (`layers.patches`); attention with fixed positional queries, a
softmax over the patches, makes a latent picture of them, a grid of places with some channels each:

    m = LayerNorm(relu(softmax(Q K^T / sqrt d) V))                (place, channel)

Two heads make an action of it. "vote" is AttentionAgent's (`attention_agent`), on a running mean of the latent code
whose share alpha the agent chooses itself:

    x_t = (1 - alpha) m_t + alpha x_{t-1};  places = the winners of the vote in x_t
    h,c = LSTM(places, h, c);  a_t = tanh(W h + b);  alpha = sigmoid(W_2 tanh(W_1 (h, a_t) + b_1) + b_2)

"dense" is a stack of convolutions and of dense layers, relu between them, on relu(m); it can be trained by gradient.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .. import layers
from ..errors import MAX_SIZE, InputError, check_bool, check_choice, check_int, check_sizes
from ..layers import norm, patches, softmax
from ..parameters import dense_shapes, unflatten
from .base import Policy, PolicyRun, State, Unrolled, Weights
from .dense_head import DenseHead, DenseHeadRun, DenseHeadSequence, as_blocks, check_windows
from .voting_head import VotingHead, fold_memory, fold_votes, memory_shapes, places_of, vote_shapes

HEADS = ("vote", "dense")
_LOOKS_AT_ONCE = 8  # pictures on the way to a gradient that stay in a core's cache
_FIRST_KEYS = 60.0  # how much larger than other weights those of keys are at first


@dataclasses.dataclass(frozen=True)
class PatchPolicy(Policy):
    """A policy for any number of patches in any order.

    A patch is gray levels from 0 to 255, its channels in the order frame, row, column (`Patches.cut`). Beyond 1024
    they are cut.

    Args:
        n_actions: A, outputs.
        grid: rows and columns of the latent picture, M places in all.
        n_frames: frames of the stack, the newest last.
        patch_size: rows and columns of a patch.
        proj_dim: d, the size of queries, keys and values, and the channels of a place.
        table_size: columns of the positional table that queries are made of.
        norm_weights: whether the layer norms have gains and biases.
        time_first: whether W_k lists the changes frame by frame, or pixel by pixel.
        head: "vote" or "dense".
        convolutions: for "dense", of each: channels, size of the window, stride.
        head_sizes: for "dense", hidden layers after them.
        discrete: for "dense", whether the outputs are scores of which the largest is chosen, without the last tanh.
        vote_dim: for "vote", the size of what scores are products of.
        n_votes: for "vote", places chosen.
        lstm_size: for "vote", of the memory.

    Raises:
        InputError: for a size below one, a head that there is not, convolutions that do not fit the grid, or sizes
            that are too large together.

    Examples:
        >>> policy = ps.PatchPolicy.car_racing()
        >>> policy.n_params, policy.n_features
        (7212, None)
        >>> ps.PatchPolicy.pong().n_params
        1687726
    """

    n_actions: int = 3
    grid: tuple[int, int] = (32, 32)
    n_frames: int = 4
    patch_size: int = 6
    proj_dim: int = 16
    table_size: int = 8
    norm_weights: bool = False
    time_first: bool = False
    head: str = "vote"
    convolutions: tuple[tuple[int, int, int], ...] = ()
    head_sizes: tuple[int, ...] = ()
    discrete: bool = False
    vote_dim: int = 4
    n_votes: int = 10
    lstm_size: int = 16

    kind: ClassVar[str] = "patches"

    def __post_init__(self) -> None:
        for name in (
            "n_actions",
            "n_frames",
            "patch_size",
            "proj_dim",
            "table_size",
            "vote_dim",
            "n_votes",
            "lstm_size",
        ):
            object.__setattr__(self, name, check_int(name, getattr(self, name), 1, MAX_SIZE))
        for name in ("norm_weights", "time_first", "discrete"):
            object.__setattr__(self, name, check_bool(name, getattr(self, name)))
        object.__setattr__(self, "grid", check_sizes("grid", self.grid))
        object.__setattr__(self, "head_sizes", check_sizes("head_sizes", self.head_sizes))
        object.__setattr__(self, "convolutions", check_windows(self.convolutions))
        if len(self.grid) != 2:
            raise InputError(f"grid must be rows and columns, got {self.grid!r}")
        if self.n_frames < 2:
            raise InputError("n_frames must be at least 2, since keys are made of what changes")
        check_choice("head", self.head, HEADS)
        if self.head == "vote" and (self.convolutions or self.head_sizes or self.discrete):
            raise InputError("convolutions, head_sizes and discrete are for head='dense'")
        if self.head == "vote" and self.n_votes > math.prod(self.grid):
            raise InputError(f"n_votes must be at most the {math.prod(self.grid)} places, got {self.n_votes}")
        _ = self._dense_head.pictures
        super().__post_init__()

    @classmethod
    def car_racing(cls) -> PatchPolicy:
        """Return the published policy for CarRacing, of 7212 parameters."""
        return cls()

    @classmethod
    def pong(cls) -> PatchPolicy:
        """Return the published policy for Pong, of 1,687,726 parameters."""
        return cls(
            n_actions=6, grid=(20, 20), proj_dim=32, norm_weights=True, time_first=True, head="dense",
            convolutions=((64, 4, 2), (64, 3, 1)), head_sizes=(512,), discrete=True,
        )  # fmt: skip

    @property
    def n_channels(self) -> int:  # type: ignore[override]
        """The numbers of a patch: frame, row, column."""
        return self.n_frames * self.patch_size**2

    @property
    def n_places(self) -> int:
        """M, the places of the latent picture."""
        return math.prod(self.grid)

    @property
    def _dense_head(self) -> DenseHead:
        """The head "dense"."""
        picture = (*self.grid, self.proj_dim)
        last = "none" if self.discrete else "tanh"
        return DenseHead(picture, self.convolutions, self.head_sizes, self.n_actions, last)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The named arrays and their shapes, in the order of the published weights."""
        n_pixels, size = self.patch_size**2, self.proj_dim
        n_changes = (self.n_frames - 1) * n_pixels
        shapes: dict[str, tuple[int, ...]] = {}
        for name, n_inputs in (
            ("query", self.table_size), ("key", n_changes + self.n_actions), ("value", self.n_channels)
        ):  # fmt: skip
            shapes[f"w_{name}"], shapes[f"b_{name}"] = (size, n_inputs), (size,)
        if self.norm_weights:
            for name, n_normed in (("pixel", n_pixels), ("latent", size)):
                shapes[f"g_{name}"], shapes[f"c_{name}"] = (n_normed,), (n_normed,)
        if self.head == "dense":
            return {**shapes, **self._dense_head.shapes}
        heard = self.lstm_size + self.n_actions
        return {
            **shapes,
            **vote_shapes(size, self.vote_dim),
            **memory_shapes(self.n_votes, self.lstm_size, self.n_actions),
            **dense_shapes("gate", (heard, self.lstm_size, 1)),
        }

    def initial(self, generator: np.random.Generator) -> np.ndarray:
        """Return a first vector (parameter,): as for every policy, but gains of layer norms at one, and larger keys.

        Changes from frame to frame are small: otherwise all places would look at all patches alike, and learn alike.
        """
        vector = super().initial(generator)
        vector[self.layout["w_key"][0]] *= _FIRST_KEYS
        for name, (place, _) in self.layout.items():
            if name.startswith("g_"):
                vector[place] = 1
        return vector

    def _changes(self, w_key: np.ndarray) -> np.ndarray:
        """Return W_k (candidate, projection, input) of the changes as (candidate, projection, frame - 1, pixel)."""
        n_pixels = self.patch_size**2
        changes = w_key[..., : (self.n_frames - 1) * n_pixels]
        if self.time_first:
            return changes.reshape(*w_key.shape[:2], -1, n_pixels)
        return changes.reshape(*w_key.shape[:2], n_pixels, -1).swapaxes(2, 3)

    def _queries(self, named: dict[str, np.ndarray]) -> np.ndarray:
        """Return the queries (candidate, place, projection), divided by the scale of scores."""
        table = layers.positional_table(self.n_places, self.table_size)
        queries = table @ named["w_query"].swapaxes(1, 2) + named["b_query"][:, None]
        return queries / math.sqrt(self.proj_dim)

    def _prepare(self, population: np.ndarray) -> Weights:
        named = unflatten(population, self.layout)
        by_frame = named["w_value"].reshape(len(population), self.proj_dim, self.n_frames, -1)
        projections = patches.fold_patches(
            self._changes(named["w_key"]), by_frame, named["b_value"], named.get("g_pixel"), named.get("c_pixel")
        )
        queries = np.clip(self._queries(named), -patches.LARGEST, patches.LARGEST).astype(np.float32)
        after = []
        if self.norm_weights:
            after = [layers.as_weights(np.stack([named["g_latent"], named["c_latent"]], axis=1))]
        head = self._dense_head.fold(named) if self.head == "dense" else _fold_vote(named, self.lstm_size)
        return [*(layers.as_weights(array, np.float64) for array in projections), queries, *after, *head]

    def _start(self, weights: Weights, n_features: int, n_episodes: int) -> PolicyRun:
        return PatchRun(self, weights, n_features, n_episodes)

    def _unroll(
        self, params: np.ndarray, observations: np.ndarray, previous_actions: np.ndarray, state: State | None
    ) -> Unrolled:
        if self.head == "vote":
            raise InputError("the choice of places has no gradient: evolve this policy, or take head='dense'")
        return PatchSequence(self, params, observations)


def _fold_vote(named: dict[str, np.ndarray], lstm_size: int) -> Weights:
    """Return vote, memory, and the two layers of the gate; the first reads channels (1, 2 h, action)."""
    first, second = layers.fold_dense(named, "gate")
    hidden, action, bias = np.split(first, [lstm_size, first.shape[-1] - 1], axis=-1)
    first = np.concatenate([bias, 0.5 * hidden, action], axis=-1)
    return [*fold_votes(named), *fold_memory(named), layers.as_weights(first), layers.as_weights(second)]


class PatchRun(PolicyRun):
    """A population of patch policies in the middle of their episodes.

    The network of one step is far larger than what an episode shares with others, so episodes run one after the
    other, each in a core's cache.
    """

    def __init__(self, policy: PatchPolicy, weights: Weights, n_features: int, n_episodes: int) -> None:
        self.policy, self.weights = policy, weights
        *self._projections, self._queries = weights[:4]
        rest = weights[4:]
        self._after = rest.pop(0) if policy.norm_weights else None
        shape = (len(self._queries), n_episodes)
        self._seen = np.zeros((*shape, n_features, policy.n_channels), np.float32)
        self.observations = self._seen.transpose(0, 2, 3, 1)
        self._latent = np.zeros((*shape, policy.n_places, policy.proj_dim), np.float32)
        self._head: Any = (_VoteHead if policy.head == "vote" else _DenseHead)(policy, rest, n_episodes)
        self.actions = self._head.actions

    def step(self) -> None:
        """Compute `actions` from `observations`, and advance the state."""
        alive = np.ones(self._seen.shape[:2], bool) if self.alive is None else self.alive
        for candidate, episode in zip(*np.nonzero(alive)):
            latent = self._look(candidate, episode)
            self._head.see(candidate, episode, latent, self._latent[candidate, episode])
        self._head.act()

    def _project(self, candidate: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the keys and values of patches (row, channel)."""
        return patches.project_patches(rows, *(array[candidate] for array in self._projections))

    def _look(self, candidate: int, episode: int) -> np.ndarray:
        """Return the latent code m (place, channel) of one episode."""
        rows, counts, _ = patches.distinct(self._seen[candidate, episode])
        sums, _ = softmax.softmax_attention(self._queries[candidate], *self._project(candidate, rows), counts)
        np.maximum(sums, 0, out=sums)
        latent, _ = norm.layer_norm(sums)
        if self._after is not None:
            gain, bias = self._after[candidate]
            latent *= gain
            latent += bias
        return latent

    def inside(self) -> dict[str, np.ndarray]:
        """Return what there is to see of the last step.

        "latent" is what the head sees (candidate, place, channel, episode), "attention" the softmax (candidate,
        feature, place, episode), and "places", for the head "vote", the numbers of the winners, the best first
        (candidate, winner, episode).
        """
        attention = np.empty((*self._seen.shape[:2], self.policy.n_places, self._seen.shape[2]), np.float32)
        for candidate, episode in np.ndindex(self._seen.shape[:2]):
            rows, counts, numbers = patches.distinct(self._seen[candidate, episode])
            keys, _ = self._project(candidate, rows)
            weights = softmax.attention_weights(self._queries[candidate], keys, counts)
            attention[candidate, episode] = weights[:, numbers]
        return {
            "latent": self._latent.transpose(0, 2, 3, 1),
            "attention": attention.transpose(0, 3, 2, 1),
            **self._head.inside(),
        }

    def keep(self, rows: np.ndarray) -> PatchRun:
        """Return the run of only these candidates, in the state they are in."""
        _, n_episodes, n_features, _ = self._seen.shape
        kept = PatchRun(self.policy, [array[rows] for array in self.weights], n_features, n_episodes)
        kept._latent[...] = self._latent[rows]
        kept._head.take(self._head, rows)
        return kept

    def resume(self, before: PolicyRun, state: State) -> None:
        """Go on from another run: what is remembered is nothing of the patches."""
        assert isinstance(before, PatchRun)
        self._latent[...] = before._latent
        self._head.take(before._head, np.arange(len(self._seen)))

    def memory(self) -> list[np.ndarray]:
        """Return the latent code and what the head remembers."""
        return [np.moveaxis(self._latent, 1, -1), *self._head.memory()]


class _VoteHead:
    """The head "vote" of a population: a running mean of the latent code, the vote, the LSTM, and the gate."""

    def __init__(self, policy: PatchPolicy, weights: Weights, n_episodes: int) -> None:
        *vote, self._first, self._second = weights
        centres = places_of(policy.grid) / np.array(policy.grid)
        self._voting = VotingHead(vote[:2], vote[2:], centres, policy.n_votes, n_episodes)
        self._share = np.zeros((len(self._first), 1, 1, n_episodes), np.float32)  # alpha
        self.actions = self._voting.actions

    def see(self, candidate: int, episode: int, latent: np.ndarray, mean: np.ndarray) -> None:
        """Mix the latent code of one episode into its running mean (place, channel), and vote in that."""
        share = self._share[candidate, 0, 0, episode]
        mean *= share
        latent *= np.float32(1) - share
        mean += latent
        self._voting.choose(candidate, episode, mean)

    def act(self) -> None:
        """Compute `actions`, and the share that the running means keep."""
        self._voting.act()
        hidden = np.tanh(self._first @ self._voting.heard.matrices)
        scores = self._second[..., :-1] @ hidden
        scores += self._second[..., -1:]
        # sigmoid(x) = (tanh(x / 2) + 1) / 2
        scores *= np.float32(0.5)
        np.tanh(scores, out=scores)
        scores += np.float32(1)
        np.multiply(scores, np.float32(0.5), out=self._share)

    def inside(self) -> dict[str, np.ndarray]:
        return {"places": self._voting.places.swapaxes(1, 2), "share": self._share[:, 0]}

    def take(self, head: _VoteHead, rows: np.ndarray) -> None:
        """Take over the state of these candidates of another head."""
        self._voting.take(head._voting, rows)
        self._share[...] = head._share[rows]

    def memory(self) -> list[np.ndarray]:
        """Return what the LSTM remembers, and the gate."""
        return [*self._voting.memory(), self._share]


class _DenseHead:
    """The head "dense" of a population, on what is positive of the latent code."""

    def __init__(self, policy: PatchPolicy, weights: Weights, n_episodes: int) -> None:
        self._grid, self._run = policy.grid, DenseHeadRun(policy._dense_head, weights, n_episodes)
        self.actions = self._run.actions

    def see(self, candidate: int, episode: int, latent: np.ndarray, kept: np.ndarray) -> None:
        """Look at the latent code of one episode."""
        kept[...] = latent
        self._run.see(candidate, episode, np.clip(latent, 0, layers.LARGEST_OUTPUT).reshape(*self._grid, -1))

    def act(self) -> None:
        """Compute `actions`."""
        self._run.act()

    def inside(self) -> dict[str, np.ndarray]:
        return {}

    def take(self, head: _DenseHead, rows: np.ndarray) -> None:
        """Take over the state of these candidates of another head: there is none."""

    def memory(self) -> list[np.ndarray]:
        """Return the actions."""
        return [self.actions]


class PatchSequence(Unrolled):
    """A patch policy's look at a batch of stacks of frames, each on its own, as it has no memory.

    Pictures run a few at a time, in a core's cache, the dense layers all at once.
    What the way back needs is kept, but for the attention, which is computed again.
    """

    policy: PatchPolicy

    def __init__(self, policy: PatchPolicy, params: np.ndarray, observations: np.ndarray) -> None:
        self.policy, dtype = policy, observations.dtype.type
        vector = params.astype(dtype)
        self._named = {name: array[0] for name, array in unflatten(vector[None], policy.layout).items()}
        n_steps, n_features, n_channels, n_episodes = observations.shape
        n_pictures = n_steps * n_episodes
        self._seen = observations.transpose(0, 3, 1, 2).reshape(n_pictures, n_features, n_channels)
        self._fold(dtype)
        self._looks = [self._look(seen) for seen in as_blocks(self._seen, _LOOKS_AT_ONCE)]
        latent = np.concatenate([look.normed for look in self._looks])
        if policy.norm_weights:
            latent *= self._named["g_latent"]
            latent += self._named["c_latent"]
        np.clip(latent, 0, layers.LARGEST_OUTPUT, out=latent)
        self._latent = latent.reshape(n_pictures, *policy.grid, policy.proj_dim)
        whole = {name: array[None] for name, array in self._named.items()}
        self._head = DenseHeadSequence(policy._dense_head, whole, self._latent)
        actions = self._head.outputs.reshape(policy.n_actions, n_steps, n_episodes)
        self.actions = np.ascontiguousarray(actions.swapaxes(0, 1))

    def _fold(self, dtype: type) -> None:
        """Make the queries, and one matrix each of what makes keys and values of pixels."""
        policy, named = self.policy, self._named
        whole = {name: array[None] for name, array in named.items()}
        self._queries = policy._queries(whole)[0].astype(dtype)
        changes = policy._changes(whole["w_key"])[0] / patches.WHITE  # (projection, frame - 1, pixel)
        nothing = np.zeros_like(changes[:, :1])
        keys = np.concatenate([nothing, changes], axis=1) - np.concatenate([changes, nothing], axis=1)
        self._to_keys = keys.reshape(policy.proj_dim, -1).T.astype(dtype)
        values, constant = self._by_pixel(named["w_value"]), named["b_value"]
        if policy.norm_weights:
            constant = constant + np.einsum("dfp,p->d", values, named["c_pixel"])
            values = values * named["g_pixel"]
        self._to_values = values.reshape(policy.proj_dim, -1).T.astype(dtype)
        self._constant = constant.astype(dtype)

    def _by_pixel(self, w_value: np.ndarray) -> np.ndarray:
        """Return W_v or its gradient as (projection, frame, pixel)."""
        return w_value.reshape(self.policy.proj_dim, self.policy.n_frames, -1)

    def _look(self, seen: np.ndarray) -> _Look:
        """Return the latent codes of a few pictures (picture, feature, channel), and what their way back needs.

        Patches of a picture that are alike are looked at once, and counted, if they are half of all in the first.
        """
        n_pictures, n_features, n_channels = seen.shape
        rows, sizes = seen.reshape(-1, n_channels), [n_features] * n_pictures
        counts: list[np.ndarray | None] = [None] * n_pictures
        if 2 * len(patches.distinct(np.ascontiguousarray(seen[0])).rows) <= n_features:
            different = [patches.distinct(np.ascontiguousarray(picture)) for picture in seen]
            rows, sizes = np.concatenate([one.rows for one in different]), [len(one.rows) for one in different]
            counts = [one.counts for one in different]
        ends = np.cumsum(sizes)
        by_frame = rows.reshape(len(rows), self.policy.n_frames, -1)
        pixels = norm.layer_norm(by_frame, norm.NORM_EPSILON * patches.WHITE**2)[0].reshape(rows.shape)
        values = pixels @ self._to_values
        values += self._constant
        keys, values = (np.split(array, ends[:-1]) for array in (rows @ self._to_keys, values))
        attended = [softmax.softmax_attention(self._queries, *parts) for parts in zip(keys, values, counts)]
        sums, log_totals = (np.stack(parts) for parts in zip(*attended))
        return _Look(rows, pixels, keys, values, counts, sums, log_totals, *norm.layer_norm(np.maximum(sums, 0)))

    def _gradient(self, d_actions: np.ndarray, d_hidden: np.ndarray | None) -> dict[str, np.ndarray]:
        n_pictures = len(self._seen)
        d_outputs = d_actions.swapaxes(0, 1).reshape(self.policy.n_actions, n_pictures)
        d_picture, d_head = self._head.gradient(d_outputs)
        latent = self._latent
        np.multiply(d_picture, latent > 0, out=d_picture)
        return {**self._back_through_attention(d_picture.reshape(n_pictures, -1, latent.shape[-1])), **d_head}

    def _back_through_attention(self, d_latents: np.ndarray) -> dict[str, np.ndarray]:
        """Return the gradients of what makes the latent codes, from those by them (picture, place, channel)."""
        policy = self.policy
        totals = [np.zeros_like(array) for array in (self._queries, self._to_keys, self._to_values, self._constant)]
        d_queries, d_to_keys, d_to_values, d_constant = totals
        d_gain, d_bias = np.zeros((2, policy.proj_dim), d_latents.dtype)
        for look, d_latent in zip(self._looks, as_blocks(d_latents, _LOOKS_AT_ONCE)):
            if policy.norm_weights:
                d_gain += np.einsum("pmc,pmc->c", d_latent, look.normed)
                d_bias += np.add.reduce(d_latent, axis=(0, 1))
                d_latent = d_latent * self._named["g_latent"]
            d_sums = norm.layer_norm_back(look.normed, look.scale, d_latent)
            np.multiply(d_sums, look.sums > 0, out=d_sums)
            back = [
                softmax.softmax_attention_back(self._queries, *parts)
                for parts in zip(look.keys, look.values, look.sums, look.log_totals, d_sums, look.counts)
            ]
            d_looks, d_keys, d_values = zip(*back)
            d_queries += np.add.reduce(d_looks)
            d_keys, d_values = np.concatenate(d_keys), np.concatenate(d_values)
            d_to_keys += look.rows.T @ d_keys
            d_to_values += look.pixels.T @ d_values
            d_constant += np.add.reduce(d_values, axis=0)
        result = self._unfold(*totals)
        return {**result, "g_latent": d_gain, "c_latent": d_bias} if policy.norm_weights else result

    def _unfold(
        self, d_queries: np.ndarray, d_to_keys: np.ndarray, d_to_values: np.ndarray, d_constant: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Return gradients by name from those of what `_fold` made."""
        policy, named = self.policy, self._named
        d_queries = d_queries / math.sqrt(policy.proj_dim)
        keys = self._by_pixel(d_to_keys.T)
        changes = (keys[:, 1:] - keys[:, :-1]) / patches.WHITE
        if not policy.time_first:
            changes = changes.swapaxes(1, 2)
        d_values = self._by_pixel(d_to_values.T)
        result = {
            "w_query": d_queries.T @ layers.positional_table(policy.n_places, policy.table_size),
            "b_query": d_queries.sum(axis=0),
            # What all keys share changes nothing: neither the action's columns nor the constant have a gradient.
            "w_key": np.pad(changes.reshape(policy.proj_dim, -1), ((0, 0), (0, policy.n_actions))),
            "b_key": np.zeros(policy.proj_dim),
            "w_value": d_values,
            "b_value": d_constant,
        }
        if policy.norm_weights:
            values = self._by_pixel(named["w_value"])
            result["g_pixel"] = np.einsum("dfp,dfp->p", d_values, values)
            result["c_pixel"] = np.einsum("d,dfp->p", d_constant, values)
            result["w_value"] = d_values * named["g_pixel"] + d_constant[:, None, None] * named["c_pixel"]
        return result


class _Look(NamedTuple):
    """What the way back from the latent codes of a few pictures needs; arrays (picture, ...), but for what is said."""

    rows: np.ndarray  # the patches, or those that differ, of one picture after the other (row, channel)
    pixels: np.ndarray  # of these, normalised (row, channel)
    keys: list[np.ndarray]  # of each picture (feature, projection)
    values: list[np.ndarray]
    counts: list[np.ndarray | None]  # how many patches each of these stands for (feature,); one if None
    sums: np.ndarray
    log_totals: np.ndarray
    normed: np.ndarray
    scale: np.ndarray
