"""A player for Pong that reads the console's memory and tries its returns in copies of the game; it sees no picture.

The paddle follows a knob. Both lag, by a law that was found by watching them: in each frame that an action lasts the
knob turns by 40/7 rows; every second frame the paddle goes half of the way to the row in which the knob was read a
frame or so ago. So what five actions, and rest after them, make of the paddle until the ball arrives is known for all
of their 243 ways.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..tasks.pong import ENDS, KEYS, TURN, reading
from .base import Teacher

_MOVES = (0, -1, 1)  # what the knob does by each of KEYS
_AHEAD = 5  # actions planned
_PLANS = np.array(list(itertools.product(_MOVES, repeat=_AHEAD)), float)
# Of equal plans, the one that moves less, and that moves sooner: when is then not so important.
_EFFORT = np.abs(_PLANS) @ (0.3 + 0.002 * np.arange(_AHEAD))
# While the paddle waits the knob is turned down all the time: there is nothing to be seen for that.
_DOWNWARDS = 0.3 * (_PLANS != 1).sum(axis=1)
_WALLS = 30.5, 193.0  # rows between which the ball bounces
_HIT, _PAST = 139, 142  # columns where the paddle meets the ball, and beyond which it does not
_CHOOSE_UNTIL = 125  # column up to which a return is chosen
# The row to wait in. At the end of the knob's way all is as it was before, whatever was done before: so games repeat
# themselves, and what an agent did wrong is forgotten.
_HOME = ENDS[1]
_SETTLED = 2 * _AHEAD + 6  # ticks after which the paddle is where the knob is, but for half a row
_MARGIN = 0.5  # from the output of the best action to that of any other
# And from that of turning the knob down to that of resting, while the paddle waits and the knob is not at its end yet:
# what is left undone then is made good in the next steps, but a turn too many as the ball comes costs points.
_CHEAP = 0.1
_NEAR = 2.0  # rows from where the ball is to be met that are as good: so there are no last corrections
_LENGTH = 13.0  # rows of the paddle that return the ball
_MIDDLE = 112.0  # the row in the middle of the court
# The frame of a step in which points are best won. By that the next ball comes from column 75, or else 76, 77 or 78: so
# rallies after such points begin alike.
_WON_IN = 2
_CHANGE_AFTER = 3  # returns, after which to play to the other side for as many


class Return(NamedTuple):
    """How to meet the ball.

    Attributes:
        up: whether with the upper part of the paddle, which sends it up.
        aim: rows from that end, where it is to be met.
        risk: rows beyond the end, below zero, that are thought to meet it still.
    """

    up: bool
    aim: float
    risk: float = -4.0


_RETURNS = (
    Return(True, -4), Return(False, -4), Return(True, -3), Return(True, -2), Return(False, -2), Return(True, -1),
    Return(False, -1), Return(False, 2), Return(True, 6),
)  # fmt: skip


class Outcome(NamedTuple):
    """What comes of a return; the smaller the better.

    Attributes:
        lost: points lost: 1, 0 if the rally goes on, or -1 for a point that is won.
        astray: whether none is won in the frame `_WON_IN`.
        n_steps: steps until then.
    """

    lost: int
    astray: bool
    n_steps: int


@dataclasses.dataclass(frozen=True)
class Player(Teacher):
    """A teacher for Pong: it knows where the ball will be, and tries in copies of the game which return is best.

    That is one that wins a point, and so that the next rally begins as most do, and soon. So a game comes to be the
    same few rallies over and over, and that can be copied. What cannot be seen, in which frames the other paddle
    rests, is taken to be always the same there.

    Its outputs are soft: 1 for the best of rest, up and down, at most 0.5 for the others, less by what they cost, and
    -1 for what it does not do. But while the paddle waits they are 0.9 for rest, and 1 for down, or 1 for both if the
    knob is at its end.

    Args:
        horizon: steps that a return is tried for; with 0 none is: each goes away from the other paddle.
        softness: rows of error that make an action as bad as can be.
        latest: steps before the ball is there, until which the paddle waits, if a return was tried: the whole way takes
            seven. While it waits it may rest as well as not, so that until then nothing need be seen.
    """

    horizon: int = 160
    softness: float = 8.0
    latest: float = 9.5

    kind: ClassVar[str] = "player"
    task: ClassVar[str] = "pong"

    def __call__(self, world: Any) -> Callable[[], np.ndarray]:
        """Return what plays the game `world`, a `PongGame`."""
        hand, chosen = _Hand(), None

        def play() -> np.ndarray:
            nonlocal chosen
            court = world.look()
            if not court.is_coming or court.column >= _CHOOSE_UNTIL:
                chosen = chosen if court.is_coming else None
            elif chosen is None and self.horizon:
                chosen = self._choose(world, hand)
            waits = self._waits(court, chosen)
            costs = hand.costs(court, chosen, waits)
            outputs = np.full(6, -1.0)
            for move, action in zip(_MOVES, KEYS):
                more = costs[_PLANS[:, 0] == move].min() - costs.min()
                outputs[action] = 1 - _MARGIN - (2 - _MARGIN) * min(1.0, more / self.softness)
            if waits:
                outputs[KEYS[0]] = 1 if court.knob >= _HOME else 1 - _CHEAP
            outputs[_best_action(costs)] = 1
            return outputs

        return play

    def _waits(self, court: Any, option: Return | None) -> bool:
        """Return whether the ball does not come, is past the paddle, or is far away, if it is known how to meet it."""
        if not court.is_coming or court.column >= _PAST:
            return True
        return option is not None and _steps_left(court) > self.latest

    def _choose(self, world: Any, hand: _Hand) -> Return:
        """Return how to meet the ball: as is best by itself or, if that is not enough, with the next return.

        If a rally goes on, that it ends is enough.
        """
        outcome, option = self._search(world, hand, 1)
        if outcome.lost >= 0 or (outcome.astray and not hand.returns):
            outcome, option = self._search(world, hand, 2)
        return option

    def _search(self, world: Any, hand: _Hand, n_returns: int) -> tuple[Outcome, Return]:
        """Return the best that comes of at most so many returns, and the first of them; what was found is known."""
        key = self, world.memory(), world.look().knob, hand.returns, n_returns
        if key not in _FOUND:
            if len(_FOUND) >= _MOST_FOUND:
                _FOUND.clear()
            outcomes: list[Outcome] = []
            for option in _RETURNS:
                outcomes.append(self._try(world, hand.copy(), option, n_returns))
                if outcomes[-1].lost < 0 and not outcomes[-1].astray:
                    break
            best = outcomes.index(min(outcomes))
            if outcomes[best].lost == 0:
                # Where none scores, another each time of those that lose nothing: or a rally may go on for ever.
                kept = [number for number, outcome in enumerate(outcomes) if outcome.lost == 0]
                best = kept[hand.returns % len(kept)]
            _FOUND[key] = outcomes[best], _RETURNS[best]
        return _FOUND[key]

    def _try(self, world: Any, hand: _Hand, option: Return, n_returns: int) -> Outcome:
        """Return what comes of a return, and of the best ones after it, in a copy of the game."""
        is_met = False
        with world.rehearsal():
            world.set_clock()
            for step in range(self.horizon):
                court = world.look()
                if is_met and court.is_coming:
                    if n_returns == 1:
                        return Outcome(0, True, step)
                    outcome, _ = self._search(world, hand, n_returns - 1)
                    return outcome._replace(n_steps=step + outcome.n_steps)
                is_met = is_met or not court.is_coming
                way = None if is_met else option
                points = world.advance(_best_action(hand.costs(court, way, self._waits(court, way))))
                if any(points):
                    return Outcome(-sum(points), points[_WON_IN] != 1, step)
        return Outcome(0, True, self.horizon)


@dataclasses.dataclass(frozen=True)
class Returner(Player):
    """A player that tries nothing: it sends each ball away from the other paddle, as may be seen beforehand.

    In games that never repeat themselves a student cannot know what came out best in copies of the game.
    """

    horizon: int = 0

    kind: ClassVar[str] = "returner"


# What was found, by the player, the console's memory, the knob, the returns before and those tried: games repeat
# themselves.
_FOUND: dict[tuple, tuple[Outcome, Return]] = {}
_MOST_FOUND = 10_000


class _Hand:
    """What a player remembers, and the costs of its plans."""

    def __init__(self) -> None:
        self.returns, self._was_coming = 0, False

    def copy(self) -> _Hand:
        """Return another hand that remembers the same."""
        other = _Hand()
        other.__dict__.update(self.__dict__)
        return other

    def costs(self, court: Any, option: Return | None, waits: bool) -> np.ndarray:
        """Return what each of _PLANS costs, in rows of error (plan,), and remember the court.

        Args:
            court: as it is now.
            option: how to meet the ball; None to send it away from the other paddle.
            waits: whether to wait for it.
        """
        coming = court.is_coming
        if not court.has_ball:
            self.returns = 0
        elif self._was_coming and not coming:
            self.returns += 1
        self._was_coming = coming
        if waits:
            return np.abs(_reach(court, _SETTLED + 1) - _HOME) + _DOWNWARDS
        n_steps = max(_steps_left(court), 0.0)
        row = _bounce(court.row + court.down * n_steps)
        up = court.other + 7.5 > _MIDDLE
        if self.returns // _CHANGE_AFTER % 2:
            up = not up
        met = row - _reach(court, max(round(2 * n_steps), 1))  # rows from the paddle's upper end
        up, aim, risk = option or Return(up, 0.0, -1.5)
        met = met if up else _LENGTH - met
        near, far = 30 + 20 * np.abs(met - risk), 15 + 20 * np.abs(met - _LENGTH + risk)
        good = np.maximum(np.abs(met - aim) - _NEAR, 0)
        return np.where(met < risk, near, np.where(met > _LENGTH - risk, far, good)) + _EFFORT


def _steps_left(court: Any) -> float:
    """Return the steps until a ball that comes is where the paddle meets it."""
    return (_HIT - court.column) / court.across


def _best_action(costs: np.ndarray) -> int:
    """Return the number of the action with which the cheapest of _PLANS begins, by what they cost (plan,)."""
    return KEYS[_MOVES.index(int(_PLANS[np.argmin(costs), 0]))]


def _bounce(row: float) -> float:
    """Return the row between the walls where a ball is that would be in `row` without them."""
    low, high = _WALLS
    way = (row - low) % (2 * (high - low))
    return low + min(way, 2 * (high - low) - way)


def _reach(court: Any, n_ticks: int) -> np.ndarray:
    """Return the row of the paddle after so many ticks, of two frames each, of each of _PLANS (plan,)."""
    seen, settled = _follow(court.knob, court.late)
    if n_ticks > _SETTLED:
        return settled
    paddle: np.ndarray = np.full(len(_PLANS), court.paddle)
    for rows in seen[:n_ticks]:
        paddle = np.floor((paddle + rows + 0.5) / 2)
    return paddle


@functools.lru_cache(maxsize=128)
def _follow(knob: float, late: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where the paddle sees the knob at each tick of each of _PLANS (tick, plan), and its end (plan,)."""
    seen, knobs = np.empty((_SETTLED, len(_PLANS))), np.full(len(_PLANS), knob)
    for tick in range(_SETTLED):
        number, half = divmod(tick, 2)
        move = _PLANS[:, number] if number < _AHEAD else 0.0
        seen[tick] = reading(np.clip(knobs + TURN / 4 * (late + 2 * half) * move, *ENDS))
        if half:
            knobs = np.clip(knobs + TURN * move, *ENDS)
    return seen, reading(knobs)
