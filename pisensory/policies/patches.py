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

With a memory each patch runs the same LSTM, and its key is made of what that remembers:

    h_i, c_i = LSTM((changes of patch i, a_{t-1}), h_i, c_i);  key_i = W_k h_i + b_k
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
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
_FIRST_CELLS = 20.0  # likewise those of what cells see of changes, and of keys made of what they remember


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
        hidden_size: H, of the LSTM in each patch's cell, whose state keys are made of; 0 for cells without memory.

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
    hidden_size: int = 0

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
        object.__setattr__(self, "hidden_size", check_int("hidden_size", self.hidden_size, 0, MAX_SIZE))
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
    def n_pixels(self) -> int:
        """The pixels of a patch in one frame."""
        return self.patch_size**2

    @property
    def state_size(self) -> int:
        """The size of the hidden state of each patch's LSTM; 0 without."""
        return self.hidden_size

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
        size, gates = self.proj_dim, 4 * self.hidden_size
        n_heard = (self.n_frames - 1) * self.n_pixels + self.n_actions
        shapes: dict[str, tuple[int, ...]] = {}
        if self.hidden_size:
            shapes = {
                "w_cell_input": (gates, n_heard), "w_cell_hidden": (gates, self.hidden_size), "b_cell_input": (gates,),
                "b_cell_hidden": (gates,),
            }  # fmt: skip
        for name, n_inputs in (
            ("query", self.table_size), ("key", self.hidden_size or n_heard), ("value", self.n_channels)
        ):  # fmt: skip
            shapes[f"w_{name}"], shapes[f"b_{name}"] = (size, n_inputs), (size,)
        if self.norm_weights:
            for name, n_normed in (("pixel", self.n_pixels), ("latent", size)):
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
        Forget gates are open.
        """
        vector = super().initial(generator)
        vector[self.layout["w_key"][0]] *= _FIRST_CELLS if self.hidden_size else _FIRST_KEYS
        if self.hidden_size:
            cells = vector[self.layout["w_cell_input"][0]].reshape(4 * self.hidden_size, -1)
            cells[:, : -self.n_actions] *= _FIRST_CELLS
            layers.open_forget_gates(vector[self.layout["b_cell_input"][0]])
        for name, (place, _) in self.layout.items():
            if name.startswith("g_"):
                vector[place] = 1
        return vector

    def _changes(self, weights: np.ndarray) -> np.ndarray:
        """Return weights (candidate, output, input) as those of the changes (candidate, output, frame - 1, pixel)."""
        changes = weights[..., : (self.n_frames - 1) * self.n_pixels]
        if self.time_first:
            return changes.reshape(*weights.shape[:2], -1, self.n_pixels)
        return changes.reshape(*weights.shape[:2], self.n_pixels, -1).swapaxes(2, 3)

    def _unfold_changes(self, d_changes: np.ndarray) -> np.ndarray:
        """Return the gradient by weights (output, input of changes) from that by those for gray levels, as above."""
        d_changes = d_changes.reshape(len(d_changes), -1, self.n_pixels) / patches.WHITE
        return (d_changes if self.time_first else d_changes.swapaxes(1, 2)).reshape(len(d_changes), -1)

    def _fold_cells(self, named: dict[str, np.ndarray], dtype: type = np.float32) -> np.ndarray:
        """Return the folded LSTM of the cells, for changes in gray levels and the previous action."""
        seen = patches.fold_changes(self._changes(named["w_cell_input"])).swapaxes(1, 2)
        w_input = np.concatenate([seen, named["w_cell_input"][..., -self.n_actions :]], axis=-1)
        arrays = (named[name] for name in ("w_cell_hidden", "b_cell_input", "b_cell_hidden"))
        return layers.as_weights(layers.fold_lstm(w_input, *arrays), dtype)

    def _remember(
        self, lstm: np.ndarray, rows: np.ndarray, actions: np.ndarray, doubled_hidden: np.ndarray, cell: np.ndarray
    ) -> layers.LSTMSteps:
        """Return the steps of the cells of patches.

        Args:
            lstm: of `_fold_cells`, of one candidate.
            rows: gray levels (step, row, channel).
            actions: before each step (step, action, row), in [-1, 1].
            doubled_hidden, cell: 2 h and c before the first (row, hidden).
        """
        changes = patches.changes(rows, self.n_pixels).swapaxes(1, 2)
        inputs = np.concatenate([changes, actions], axis=1)
        return layers.LSTMSteps(lstm, inputs, doubled_hidden.T, cell.T)

    def _queries(self, named: dict[str, np.ndarray]) -> np.ndarray:
        """Return the queries (candidate, place, projection), divided by the scale of scores."""
        table = layers.positional_table(self.n_places, self.table_size)
        queries = table @ named["w_query"].swapaxes(1, 2) + named["b_query"][:, None]
        return queries / math.sqrt(self.proj_dim)

    def _prepare(self, population: np.ndarray) -> Weights:
        named = unflatten(population, self.layout)
        by_frame = named["w_value"].reshape(len(population), self.proj_dim, self.n_frames, -1)
        values = patches.fold_values(by_frame, named["b_value"], named.get("g_pixel"), named.get("c_pixel"))
        if self.hidden_size:
            to_keys, cells = 0.5 * named["w_key"].swapaxes(1, 2), [self._fold_cells(named)]
        else:
            to_keys, cells = patches.fold_changes(self._changes(named["w_key"])), []
        queries = np.clip(self._queries(named), -patches.LARGEST, patches.LARGEST).astype(np.float32)
        after = []
        if self.norm_weights:
            after = [layers.as_weights(np.stack([named["g_latent"], named["c_latent"]], axis=1))]
        head = self._dense_head.fold(named) if self.head == "dense" else _fold_vote(named, self.lstm_size)
        projections = [layers.as_weights(array, np.float64) for array in (to_keys, *values)]
        return [*projections, queries, *cells, *after, *head]

    def _start(self, weights: Weights, n_features: int, n_episodes: int) -> PolicyRun:
        return PatchRun(self, weights, n_features, n_episodes)

    def _unroll(
        self, params: np.ndarray, observations: np.ndarray, previous_actions: np.ndarray, state: State | None
    ) -> Unrolled:
        if self.head == "vote":
            raise InputError("the choice of places has no gradient: evolve this policy, or take head='dense'")
        return PatchSequence(self, params, observations, previous_actions, state)


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
        self._to_keys, *self._to_values, self._queries = weights[:4]
        rest = weights[4:]
        self._lstm = rest.pop(0) if policy.hidden_size else None
        self._after = rest.pop(0) if policy.norm_weights else None
        shape = (len(self._queries), n_episodes)
        self._seen = np.zeros((*shape, n_features, policy.n_channels), np.float32)
        self.observations = self._seen.transpose(0, 2, 3, 1)
        self._remembered = np.zeros((*shape, n_features, 2 * policy.hidden_size), np.float32)  # 2 h and c
        self._latent = np.zeros((*shape, policy.n_places, policy.proj_dim), np.float32)
        self._head: Any = (_VoteHead if policy.head == "vote" else _DenseHead)(policy, rest, n_episodes)
        self.actions = self._head.actions

    def step(self) -> None:
        """Compute `actions` from `observations`, and advance the state."""
        alive = np.ones(self._seen.shape[:2], bool) if self.alive is None else self.alive
        for candidate, episode in zip(*np.nonzero(alive)):
            if self._lstm is not None:
                self._remember(self._lstm[candidate, None], candidate, episode)
            latent = self._look(candidate, episode)
            self._head.see(candidate, episode, latent, self._latent[candidate, episode])
        self._head.act()

    def _distinct(self, candidate: int, episode: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the different patches of one episode, with what is remembered of them, counts, and numbers."""
        seen, n_channels = self._seen[candidate, episode], self.policy.n_channels
        if self._lstm is not None:
            seen = np.concatenate([seen, self._remembered[candidate, episode]], axis=1)
        rows, counts, numbers = patches.distinct(seen)
        return patches.cut_levels(rows[:, :n_channels]), rows[:, n_channels:], counts, numbers

    def _remember(self, lstm: np.ndarray, candidate: int, episode: int) -> None:
        """Advance the cells of one episode."""
        rows, before, _, numbers = self._distinct(candidate, episode)
        action = np.clip(self.actions[candidate, :, episode], -1, 1)
        actions = np.repeat(action[None, :, None], len(rows), axis=2)
        steps = self.policy._remember(lstm, rows[None], actions, *np.split(before, 2, axis=1))
        after = np.concatenate([steps.heard[0, 1:], steps.cell[1]]).T
        self._remembered[candidate, episode] = after[numbers]

    def _keys(self, candidate: int, rows: np.ndarray, remembered: np.ndarray) -> np.ndarray:
        """Return the keys of patches (row, channel), or of what is remembered of them."""
        size = self.policy.hidden_size
        heard = remembered[:, :size] if size else patches.changes(rows, self.policy.n_pixels)
        return patches.patch_keys(heard, self._to_keys[candidate])

    def _look(self, candidate: int, episode: int) -> np.ndarray:
        """Return the latent code m (place, channel) of one episode."""
        rows, remembered, counts, _ = self._distinct(candidate, episode)
        keys = self._keys(candidate, rows, remembered)
        values = patches.patch_values(rows, self.policy.n_pixels, *(array[candidate] for array in self._to_values))
        sums, _ = softmax.softmax_attention(self._queries[candidate], keys, values, counts)
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
            rows, remembered, counts, numbers = self._distinct(candidate, episode)
            keys = self._keys(candidate, rows, remembered)
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
        kept._latent[...], kept._remembered[...] = self._latent[rows], self._remembered[rows]
        kept.actions[...] = self.actions[rows]
        kept._head.take(self._head, rows)
        return kept

    def state(self) -> State:
        """Return h and c of each patch's cell, if there are any."""
        hidden, cell = np.split(np.moveaxis(self._remembered, 1, -1), 2, axis=2)
        return (0.5 * hidden, cell) if self.policy.hidden_size else ()

    def resume(self, before: PolicyRun, state: State) -> None:
        """Go on from another run: with its action and latent code, and h and c of the patches."""
        super().resume(before, state)
        assert isinstance(before, PatchRun)
        self._latent[...] = before._latent
        self._head.take(before._head, np.arange(len(self._seen)))
        if state:
            np.moveaxis(self._remembered, 1, -1)[...] = np.concatenate([2 * state[0], state[1]], axis=2)

    def memory(self) -> list[np.ndarray]:
        """Return the latent code, what the head remembers, and what the cells do."""
        return [np.moveaxis(array, 1, -1) for array in (self._latent, self._remembered)] + self._head.memory()


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
    """A patch policy's look at a batch of sequences of stacks of frames, each on its own if it has no memory.

    Pictures run a few at a time, in a core's cache, the dense layers all at once.
    What the way back needs is kept, but for the attention, which is computed again.
    """

    policy: PatchPolicy

    def __init__(
        self,
        policy: PatchPolicy,
        params: np.ndarray,
        observations: np.ndarray,
        previous_actions: np.ndarray,
        state: State | None,
    ) -> None:
        self.policy, dtype = policy, observations.dtype.type
        vector = params.astype(dtype)
        self._whole = unflatten(vector[None], policy.layout)
        self._named = {name: array[0] for name, array in self._whole.items()}
        n_steps, _, _, n_episodes = observations.shape
        n_pictures = n_steps * n_episodes
        self._fold(dtype)
        if policy.hidden_size:
            self._at_once = n_episodes
            self._looks = self._look_back(observations, previous_actions, state)
        else:
            self._at_once = _LOOKS_AT_ONCE
            seen = observations.transpose(0, 3, 1, 2).reshape(n_pictures, *observations.shape[1:3])
            self._looks = [self._look_at(some) for some in as_blocks(seen, _LOOKS_AT_ONCE)]
        latent = np.concatenate([look.normed for look in self._looks])
        if policy.norm_weights:
            latent *= self._named["g_latent"]
            latent += self._named["c_latent"]
        np.clip(latent, 0, layers.LARGEST_OUTPUT, out=latent)
        self._latent = latent.reshape(n_pictures, *policy.grid, policy.proj_dim)
        self._head = DenseHeadSequence(policy._dense_head, self._whole, self._latent)
        actions = self._head.outputs.reshape(policy.n_actions, n_steps, n_episodes)
        self.actions = np.ascontiguousarray(actions.swapaxes(0, 1))

    def _fold(self, dtype: type) -> None:
        """Make the queries, and one matrix each of what makes keys and values of pixels."""
        policy, named, whole = self.policy, self._named, self._whole
        self._queries = policy._queries(whole)[0].astype(dtype)
        if policy.hidden_size:
            self._to_keys = named["w_key"].T
        else:
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

    def _look_at(self, seen: np.ndarray) -> _Look:
        """Return the latent codes of a few pictures (picture, feature, channel), and what their way back needs.

        Patches of a picture that are alike are looked at once, and counted, if they are half of all in the first.
        """
        n_pictures, n_features, n_channels = seen.shape
        rows, sizes = seen.reshape(-1, n_channels), [n_features] * n_pictures
        counts: list[np.ndarray | None] = [None] * n_pictures
        if 2 * len(patches.distinct(seen[0]).rows) <= n_features:
            different = [patches.distinct(picture) for picture in seen]
            rows, sizes = np.concatenate([one.rows for one in different]), [len(one.rows) for one in different]
            counts = [one.counts for one in different]
        return self._look(rows, rows, sizes, counts)

    def _look_back(self, observations: np.ndarray, previous_actions: np.ndarray, state: State | None) -> list[_Look]:
        """Return the looks at all pictures of one step after the other, with cells that remember the steps before.

        Patches that are alike in all steps of a sequence, and in what is remembered of them, are looked at once.
        """
        policy, (n_steps, n_features, n_channels, n_episodes) = self.policy, observations.shape
        shape = (n_features, policy.hidden_size, n_episodes)
        if state is None:
            state = (np.zeros(shape),) * 2
        if [np.shape(part) for part in state] != [shape] * 2:
            raise InputError(f"state must be h and c, each of the shape {shape}, as Unrolled.state has them")
        seen = observations.transpose(3, 1, 0, 2).reshape(n_episodes, n_features, -1)
        before = np.concatenate([2 * state[0], state[1]], axis=1, dtype=seen.dtype)
        whole = np.concatenate([seen, np.moveaxis(before, -1, 0)], axis=2)
        different = [patches.distinct(one) for one in whole]
        self._sizes = [len(one.rows) for one in different]
        starts = np.cumsum([0, *self._sizes[:-1]])
        self._numbers = np.stack([one.numbers + start for one, start in zip(different, starts)], axis=1)
        together = np.concatenate([one.rows for one in different])
        rows = np.ascontiguousarray(together[:, : seen.shape[2]].reshape(-1, n_steps, n_channels).swapaxes(0, 1))
        actions = np.repeat(previous_actions, self._sizes, axis=2)
        lstm = policy._fold_cells(self._whole, seen.dtype.type)
        self._cells = policy._remember(lstm, rows, actions, *np.split(together[:, seen.shape[2] :], 2, axis=1))
        heard = 0.5 * self._cells.heard[:, 1:].swapaxes(1, 2)
        counts = [one.counts for one in different]
        return [self._look(one, remembered, self._sizes, counts) for one, remembered in zip(rows, heard)]

    @property
    def hidden(self) -> np.ndarray | None:
        """The cells' h after each step (step, feature, hidden, episode), if there are any."""
        return self._per_feature(0.5 * self._cells.heard[:, 1:]) if self.policy.hidden_size else None

    @property
    def state(self) -> State | None:
        """The cells' h and c after the last step, each (feature, hidden, episode), if there are any."""
        if not self.policy.hidden_size:
            return None
        return self._per_feature(0.5 * self._cells.heard[-1:, 1:])[0], self._per_feature(self._cells.cell[-1:])[0]

    def _per_feature(self, planes: np.ndarray) -> np.ndarray:
        """Return what the cells have of the patches that differ (step, hidden, row) as of all patches."""
        return planes[:, :, self._numbers].swapaxes(1, 2)

    def _look(
        self, rows: np.ndarray, heard: np.ndarray, sizes: list[int], counts: Sequence[np.ndarray | None]
    ) -> _Look:
        """Return the latent codes of a few pictures, and what their way back needs.

        Args:
            rows: the patches of one picture after the other (row, channel).
            heard: what their keys are made of (row, input).
            sizes: how many rows are each picture's.
            counts: how many patches each of these stands for.
        """
        ends = np.cumsum(sizes)
        by_frame = rows.reshape(len(rows), self.policy.n_frames, -1)
        pixels = norm.layer_norm(by_frame, norm.NORM_EPSILON * patches.WHITE**2)[0].reshape(rows.shape)
        values = pixels @ self._to_values
        values += self._constant
        keys, values = (np.split(array, ends[:-1]) for array in (heard @ self._to_keys, values))
        attended = [softmax.softmax_attention(self._queries, *parts) for parts in zip(keys, values, counts)]
        sums, log_totals = (np.stack(parts) for parts in zip(*attended))
        return _Look(heard, pixels, keys, values, counts, sums, log_totals, *norm.layer_norm(np.maximum(sums, 0)))

    def _gradient(self, d_actions: np.ndarray, d_hidden: np.ndarray | None) -> dict[str, np.ndarray]:
        n_pictures = len(self._latent)
        d_outputs = d_actions.swapaxes(0, 1).reshape(self.policy.n_actions, n_pictures)
        head, latent, looks = self._head, self._latent, self._looks
        some = np.flatnonzero(d_outputs.any(axis=0))
        if 2 * len(some) <= n_pictures and not self.policy.hidden_size:
            # What has no slope has no part in the gradient; one is always left.
            some = some if len(some) else np.zeros(1, int)
            d_outputs, latent = d_outputs[:, some], latent[some]
            number, place = np.divmod(some, self._at_once)
            looks = [looks[one].choose(place[number == one]) for one in np.unique(number)]
            head = DenseHeadSequence(self.policy._dense_head, self._whole, latent)
        d_picture, d_head = head.gradient(d_outputs)
        np.multiply(d_picture, latent > 0, out=d_picture)
        d_latents = d_picture.reshape(len(latent), -1, latent.shape[-1])
        return {**self._back_through_attention(looks, d_latents, d_hidden), **d_head}

    def _back_through_attention(
        self, looks: list[_Look], d_latents: np.ndarray, d_hidden: np.ndarray | None
    ) -> dict[str, np.ndarray]:
        """Return the gradients of what makes the latent codes of looks, by those (picture, place, channel)."""
        policy = self.policy
        totals = [np.zeros_like(array) for array in (self._queries, self._to_keys, self._to_values, self._constant)]
        d_queries, d_to_keys, d_to_values, d_constant = totals
        d_gain, d_bias = np.zeros((2, policy.proj_dim), d_latents.dtype)
        d_heard = []
        ends = np.cumsum([len(look.sums) for look in looks])
        for look, d_latent in zip(looks, np.split(d_latents, ends[:-1])):
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
            d_to_keys += look.heard.T @ d_keys
            if policy.hidden_size:
                d_heard.append(self._to_keys @ d_keys.T)
            d_to_values += look.pixels.T @ d_values
            d_constant += np.add.reduce(d_values, axis=0)
        result = self._unfold(*totals)
        if policy.hidden_size:
            result.update(self._back_through_time(np.stack(d_heard), d_hidden))
        return {**result, "g_latent": d_gain, "c_latent": d_bias} if policy.norm_weights else result

    def _back_through_time(self, d_heard: np.ndarray, d_hidden: np.ndarray | None) -> dict[str, np.ndarray]:
        """Return the gradients of the cells, from those by h through the keys (step, hidden, row) and otherwise."""
        if d_hidden is not None:
            np.add.at(np.moveaxis(d_heard, -1, 0), self._numbers, d_hidden.transpose(1, 3, 0, 2))
        named = layers.unfold_lstm(self._cells.back(0.5 * d_heard))
        w_input, n_actions = named["w_input"][0], self.policy.n_actions
        changes = self.policy._unfold_changes(w_input[:, :-n_actions])
        named["w_input"] = np.concatenate([changes, w_input[:, -n_actions:]], axis=1)
        return {f"{name[0]}_cell{name[1:]}": array for name, array in named.items()}

    def _unfold(
        self, d_queries: np.ndarray, d_to_keys: np.ndarray, d_to_values: np.ndarray, d_constant: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Return gradients by name from those of what `_fold` made."""
        policy, named = self.policy, self._named
        d_queries = d_queries / math.sqrt(policy.proj_dim)
        w_key = d_to_keys.T
        if not policy.hidden_size:
            keys = self._by_pixel(w_key)
            # What all keys share changes nothing: neither the action's columns nor the constant have a gradient.
            w_key = np.pad(policy._unfold_changes(keys[:, 1:] - keys[:, :-1]), ((0, 0), (0, policy.n_actions)))
        d_values = self._by_pixel(d_to_values.T)
        result = {
            "w_query": d_queries.T @ layers.positional_table(policy.n_places, policy.table_size),
            "b_query": d_queries.sum(axis=0),
            "w_key": w_key,
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

    heard: np.ndarray  # what keys are made of, of one picture after the other (row, input)
    pixels: np.ndarray  # normalised (row, channel)
    keys: list[np.ndarray]  # of each picture (feature, projection)
    values: list[np.ndarray]
    counts: Sequence[np.ndarray | None]  # how many patches each of these stands for (feature,); one if None
    sums: np.ndarray
    log_totals: np.ndarray
    normed: np.ndarray
    scale: np.ndarray

    def choose(self, chosen: np.ndarray) -> _Look:
        """Return the look at some of the pictures, by their numbers."""
        ends = np.cumsum([len(keys) for keys in self.keys])
        rows = np.concatenate([np.arange(ends[one] - len(self.keys[one]), ends[one]) for one in chosen])
        keys, values = ([parts[one] for one in chosen] for parts in (self.keys, self.values))
        arrays = (array[chosen] for array in (self.sums, self.log_totals, self.normed, self.scale))
        counts = [self.counts[one] for one in chosen]
        return _Look(self.heard[rows], self.pixels[rows], keys, values, counts, *arrays)
