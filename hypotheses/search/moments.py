"""Dates and times of day in a text: read, rounded, moved on, and written another way.

An output is cut into runs, each of which writes one moment in one layout, by Dijkstra's algorithm over the
positions in all outputs at once. What FlashFill++ (Cambronero et al. 2023, sections 3 and 4) does by guarded
operators of its language is done here by the order: a text is read as a moment, which is rounded down, then
moved on, then taken back by a unit, and at last written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import count

from hypotheses.search.helpers import moments as helper
from hypotheses.search.helpers import source_of
from hypotheses.search.language import (
    UNDEFINED,
    Call,
    Column,
    Constant,
    Expression,
    Problem,
    Variable,
    evaluate,
    holds,
    joining,
    on_values,
)
from hypotheses.search.vocabulary import Vocabulary

STEPS = {60: 1, 30: 1, 20: 1, 15: 1, 10: 1, 120: 1, 1440: 2, 720: 2, 360: 2, 240: 2, 180: 2, 90: 2, 5: 2}
"""Minutes that moments are rounded to, or moved on by, with their costs; of equals the first one counts."""

PARTS = {
    **dict.fromkeys(("%Y", "%m", "%d", "%B", "%b", "%A", "%a", "%H", "%M", "%S", "%p", "%P"), 10),
    **dict.fromkeys(("%-d", "%-m", "%-H", "%-I", "%I"), 11),
    **dict.fromkeys(("%y", "%-M", "%-S", "%V", "%-V", "%j", "%-j"), 15),
}
"""What a layout is made of, as ``strftime`` of the GNU C library has it, with costs."""

DATES = frozenset("%Y %y %m %-m %B %b %d %-d %A %a %V %-V %j %-j".split())
"""What a time of day alone does not have."""

TWELVE_HOURS = ("%-I", "%I")
_CLASSES = (
    "%Y %y",
    "%m %-m %B %b",
    "%d %-d",
    "%A %a",
    "%V %-V %j %-j",
    "%H %-H %-I %I",
    "%M %-M",
    "%S %-S",
    "%p %P",
)
CLASS = {layout: 1 << number for number, layouts in enumerate(_CLASSES) for layout in layouts.split()}
"""Parts of one class are in a run but once; seconds come after minutes, unless they are alone."""

LITERAL = 10
"""What a character between the parts costs; a letter costs twice as much, and a digit is always a part's."""

MOMENT = 20
"""What each operation on a moment costs."""

NO_YEAR = 1900
"""The year of a moment whose text has none."""

MAX_MOMENTS = 1_000
MAX_EXAMPLES = 20
"""What is found on so many examples is then tried on all."""

SLICE = 500
"""States looked at between two steps."""

MAX_READ = 1_000
"""Longer texts are not read: what names a moment is short."""

MAX_LENGTH = 60
"""Outputs longer than this are not cut into parts."""


def _read_day_first(text: str) -> datetime:
    return helper.read_moment(text, True)


def _read_clock(text: str) -> datetime:
    """Read a time of day in digits alone, such as 930 or 1415."""
    if not (text.isdigit() and 3 <= len(text) <= 4):
        raise ValueError(f"{text!r} is no time of day in digits")
    return helper.read_moment(f"{text[:-2]}:{text[-2:]}")


def _add(moment: datetime, minutes: int) -> datetime:
    return moment + timedelta(minutes=minutes)


FIELD = on_values(
    "str mark int -> str",
    lambda text, mark, i: text.split(mark)[i],
    "_0.split(_1)[_2]",
    "the _2th part of _0 split at each _1",
)
READ = (
    on_values("str -> moment", helper.read_moment, "read_moment(_0)", "the moment in _0"),
    on_values(
        "str -> moment", _read_day_first, "read_moment(_0, True)", "the moment in _0, day first", cost=2
    ),
    on_values(
        "str -> moment", _read_clock, "read_moment(_0[:-2] + ':' + _0[-2:])", "the time of day in _0", cost=2
    ),
)
ROUND = on_values(
    "moment int -> moment",
    helper.floor_moment,
    "floor_moment(_0, _1)",
    "_0 rounded down to a multiple of _1 minutes",
)
MOVE_ON = on_values("moment int -> moment", _add, "_0 + timedelta(minutes=_1)", "_0 plus _1 minutes")
TAKE_BACK = (
    on_values(
        "moment -> moment",
        lambda m: m - timedelta(minutes=1),
        "_0 - timedelta(minutes=1)",
        "the minute before _0",
    ),
    on_values(
        "moment -> moment",
        lambda m: m - timedelta(seconds=1),
        "_0 - timedelta(seconds=1)",
        "the second before _0",
    ),
)
WRITE = on_values("moment str -> str", datetime.strftime, "_0.strftime(_1)", "_0 written as _1")
JOIN = joining("str")

MOMENTS = Vocabulary(
    kinds=("str",),
    operators=(),
    constants=lambda _columns, _outputs: (),
    limit=lambda _: lambda _: True,
    sequences=("str",),
    locals=("read_moment", "floor_moment", "timedelta", "datetime", "re", "MONTHS"),
    imports={"read_moment": source_of(helper)},
)
"""How tasks whose values are texts are put, and how what is found is printed."""


_State = tuple[Column, int, int]
"""A position in each output, the moment of the run, and the classes of the parts written in it."""


@dataclass(frozen=True, slots=True)
class _Moment:
    """A moment for each example, with its cost."""

    cost: int
    expression: Expression
    column: Column

    def cost_after(self, other: _Moment) -> int:
        """What it costs where ``other`` is there already: if it is made from that, only the rest."""
        expression = self.expression
        while isinstance(expression, Call) and expression.operator is not FIELD:
            expression = expression.arguments[0]
            if expression is other.expression:
                return self.cost - other.cost
        return self.cost


class MomentEngine:
    """Searches for a way to write the outputs of ``problem`` as moments that are in its inputs.

    ``terms`` counts the moments made and the parts tried; ``exhausted`` is set at the end.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._rows, self._outputs = problem.rows[:MAX_EXAMPLES], problem.outputs[:MAX_EXAMPLES]
        self.terms = 0
        self.exhausted = False
        self.pending: Expression | None = None

    def steps(self) -> Iterator[Expression | None]:
        """Yield the cheapest solution, if there is one, and ``None`` in between."""
        outputs = self._outputs
        longest = max(len(text) for row in self._rows for text in row)
        if longest <= MAX_READ and max(map(len, outputs)) <= MAX_LENGTH and min(map(len, outputs)) > 0:
            moments: list[_Moment] = []
            for moment in self._moments():
                moments.append(moment)
                if len(moments) % 100 == 0:
                    yield None
            if moments:
                yield None
                for found in self._write(moments):
                    if found is None or holds(found, self.problem):
                        yield found
        self.exhausted = True

    def _moments(self) -> Iterator[_Moment]:
        """Yield moments, each stage made of the one before; of those with one origin all differ."""
        seen: set[tuple[Column, Expression | None]] = set()

        def new(cost: int, operator_arguments: Call) -> _Moment | None:
            self.terms += 1
            try:
                column = evaluate(operator_arguments, self._rows)
            except (*UNDEFINED, OverflowError):
                return None
            # What was moved on from two moments that are alike so far is not: the run before may tell.
            key = (
                column,
                operator_arguments.arguments[0] if operator_arguments.operator is MOVE_ON else None,
            )
            if key in seen or len(seen) >= MAX_MOMENTS:
                return None
            seen.add(key)
            return _Moment(cost, operator_arguments, column)

        calls = [(text, operator) for text in self._texts() for operator in READ]
        read = _present(
            new(MOMENT * (text.cost + operator.cost), Call(operator, (text,))) for text, operator in calls
        )
        stepped = [(Constant(step, "int", cost), MOMENT * cost) for step, cost in STEPS.items()]
        again = MOMENT // 2  # a period is mostly as long as the steps that its beginning is rounded to
        rounded = _present(
            new(one.cost + cost, Call(ROUND, (one.expression, step)))
            for one in read
            for step, cost in stepped
        )
        moved = _present(
            new(one.cost + (again if _rounded_to(one, step) else cost), Call(MOVE_ON, (one.expression, step)))
            for one in (*rounded, *read)
            for step, cost in stepped
        )
        back = _present(
            new(one.cost + MOMENT, Call(operator, (one.expression,)))
            for one in (*moved, *rounded)
            for operator in TAKE_BACK
        )
        yield from (*read, *rounded, *moved, *back)

    def _texts(self) -> Iterator[Expression]:
        """Yield the arguments, and the fields of those that are records."""
        variables = [leaf for leaf in self.problem.language.leaves if isinstance(leaf, Variable)]
        yield from variables
        for variable in variables:
            column = evaluate(variable, self._rows)
            for mark in ",;|\t_":
                if all(mark in text for text in column):
                    for place in (0, 1, 2, 3, -1, -2):
                        yield Call(FIELD, (variable, Constant(mark, "mark"), Constant(place, "int")))

    def _write(self, moments: Sequence[_Moment]) -> Iterator[Expression | None]:
        """Yield the cheapest runs, each of one moment, that make up all outputs; ``None`` in between."""
        outputs = self._outputs
        goal, start = tuple(map(len, outputs)), (0,) * len(outputs)
        written = [self._written(moment.column) for moment in moments]
        order = count()
        # Nothing is written before the first run.
        first: _State = (start, -1, 0)
        queue: list[tuple[int, int, _State]] = [(0, next(order), first)]
        best = {first: 0}
        came: dict[_State, tuple[_State, str]] = {}

        def reach(cost: int, state: _State, before: _State, layout: str) -> None:
            self.terms += 1
            if cost < best.get(state, cost + 1):
                best[state] = cost
                came[state] = (before, layout)
                heappush(queue, (cost, next(order), state))

        for popped in count():
            if not queue:
                return
            if popped % SLICE == 0:
                yield None
            cost, _, state = heappop(queue)
            position, current, used = state
            if cost > best[state]:
                continue
            if position == goal and used:
                yield self._expression(moments, came, state)
                return
            if current < 0:
                for index, moment in enumerate(moments):
                    reach(moment.cost, (start, index, 0), state, "")
                continue
            if (literal := _shared_character(outputs, position)) is not None:
                moved = tuple([p + 1 for p in position])
                reach(
                    cost + _literal_cost(literal), (moved, current, used), state, literal.replace("%", "%%")
                )
            for layout, part_cost, column in written[current]:
                own = CLASS[layout]
                if used & own or _out_of_order(own, used):
                    continue
                if all(o.startswith(part, p) for o, part, p in zip(outputs, column, position, strict=True)):
                    moved = tuple([p + len(part) for p, part in zip(position, column, strict=True)])
                    reach(cost + part_cost, (moved, current, used | own), state, layout)
            if used and not outputs[0][position[0] - 1].isalnum():
                for index, moment in enumerate(moments):
                    if index != current:
                        own = moment.cost_after(moments[current])
                        reach(cost + own + MOMENT, (position, index, 0), state, "")

    def _written(self, column: Column) -> list[tuple[str, int, tuple[str, ...]]]:
        """List the parts of a moment that are in all outputs, with their layouts and costs."""
        twelve = all(re.search("[ap]m", output, re.IGNORECASE) for output in self._outputs)
        dated = any(moment.year != NO_YEAR for moment in column)
        found = []
        for layout, cost in PARTS.items():
            if layout in DATES and not dated:
                continue
            parts = tuple([moment.strftime(layout) for moment in column])
            if all(part in output for part, output in zip(parts, self._outputs, strict=True)):
                found.append((layout, cost - 2 if twelve and layout in TWELVE_HOURS else cost, parts))
        return found

    def _expression(
        self,
        moments: Sequence[_Moment],
        came: Mapping[_State, tuple[_State, str]],
        state: _State,
    ) -> Expression:
        """Put the runs on the way to ``state`` together."""
        runs: list[tuple[int, str]] = []
        while state in came:
            before, layout = came[state]
            if runs and runs[-1][0] == state[1]:
                runs[-1] = (state[1], layout + runs[-1][1])
            else:
                runs.append((state[1], layout))
            state = before
        pieces = [
            Call(WRITE, (moments[index].expression, Constant(layout, "str")))
            for index, layout in runs
            if layout
        ]
        whole: Expression = pieces[0]
        for piece in pieces[1:]:
            whole = Call(JOIN, (piece, whole))
        return whole


def _present(moments: Iterator[_Moment | None]) -> list[_Moment]:
    return [moment for moment in moments if moment is not None]


def _rounded_to(moment: _Moment, step: Constant) -> bool:
    expression = moment.expression
    return isinstance(expression, Call) and expression.operator is ROUND and expression.arguments[1] == step


def _out_of_order(part: int, used: int) -> bool:
    """Whether a part of a class comes too early or too late in a run that has others."""
    if part == CLASS["%S"]:
        return bool(used) and not used & CLASS["%M"]
    return part == CLASS["%H"] and bool(used & (CLASS["%M"] | CLASS["%S"]))


def _shared_character(outputs: Column, position: Column) -> str | None:
    """Give the character that all outputs have at their positions, unless it is a digit."""
    following = {output[p : p + 1] for output, p in zip(outputs, position, strict=True)}
    character = following.pop()
    return None if following or not character or character.isdigit() else character


def _literal_cost(character: str) -> int:
    return LITERAL * (2 if character.isalpha() else 1)
