"""What ``induce memory stats`` shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from induce.cli.output import print_line
from induce.render import visible
from memory import Concept, ConceptStore
from memory.experience import Part, growth, most_valuable, progress, whole
from memory.trials import Value

_BARS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class MemoryStatistics:
    """How a memory has grown, what of it is used, and whether tasks go better with it.

    ``growth`` and ``progress`` (by family, all under the empty name) are by equal parts of the time.
    """

    figures: dict[str, Any]
    kinds: Counter[str]
    growth: list[int]
    valuable: list[tuple[Concept, Value]] = field(default_factory=list)
    progress: dict[str, list[Part]] = field(default_factory=dict)


def memory_statistics(store: ConceptStore) -> MemoryStatistics:
    """Read a memory for its statistics."""
    concepts, clock = list(store.concepts()), store.clock
    fared = [concept.statistics for concept in concepts]
    figures = {
        "memory": store.name,
        "concepts": len(concepts),
        "archived": sum(1 for _ in store.concepts(archived=True)),
        "with a program": sum(concept.program is not None for concept in concepts),
        "tasks done": clock,
        "recalled": sum(one.recalled for one in fared),
        "ever recalled": sum(one.recalled > 0 for one in fared),
        "ever used": sum(one.used > 0 for one in fared),
        "wins": sum(one.wins for one in fared),
        "losses": sum(one.losses for one in fared),
        "wins without": sum(one.wins_without for one in fared),
        "losses without": sum(one.losses_without for one in fared),
    }
    return MemoryStatistics(
        figures,
        Counter(concept.kind or "none" for concept in concepts),
        growth(store.records(), clock),
        most_valuable(concepts),
        progress(store.outcomes()),
    )


def statistics_record(found: MemoryStatistics) -> dict[str, Any]:
    """Give statistics as ``--json`` has them."""
    concepts = found.figures["concepts"]
    families = {family: list(map(_part_record, parts)) for family, parts in found.progress.items()}
    everything = families.pop("", [])
    return {
        **{key.replace(" ", "_"): value for key, value in found.figures.items()},
        "kinds": dict(found.kinds),
        "growth": found.growth,
        "reuse": {
            name: found.figures[f"ever {name}"] / concepts if concepts else None
            for name in ("recalled", "used")
        },
        "most_valuable": [
            {"id": concept.id, "name": concept.name, **_trials(concept), **asdict(value)}
            for concept, value in found.valuable
        ],
        "progress": everything,
        "families": families,
    }


def print_statistics(out: Console, found: MemoryStatistics) -> None:
    """Print statistics as tables."""
    table = Table(box=None, show_header=False)
    concepts = found.figures["concepts"]
    for key, value in found.figures.items():
        share = f" of {concepts}, {value / concepts:.0%}" if key.startswith("ever ") and concepts else ""
        table.add_row(Text(key, "dim"), Text(visible(f"{value}{share}")))
    for kind, number in found.kinds.most_common():
        table.add_row(Text(f"kind {visible(kind)}", "dim"), str(number))
    if any(found.growth):
        numbers = " ".join(map(str, found.growth))
        table.add_row(Text("learned", "dim"), f"{_sparkline(found.growth)}  {numbers}")
    out.print(table)
    if found.valuable:
        out.print()
        print_line(out, "worth most: solved with it minus solved without it, in %, with 90 % intervals")
        out.print(_value_table(found.valuable))
    if found.progress:
        out.print()
        print_line(out, "tasks solved with time, in ten equal parts")
        out.print(_progress_table(found.progress[""]))
    if len(found.progress) > 2:
        out.print()
        print_line(out, "by family, from the first part to the last")
        out.print(_family_table(found.progress))


def _value_table(valuable: Sequence[tuple[Concept, Value]]) -> Table:
    table = _table("id", "name", numbers=("with it", "without", "worth", ""))
    for concept, value in valuable:
        fared = concept.statistics
        table.add_row(
            concept.id[:12],
            Text(visible(concept.name)),
            f"{fared.wins}/{fared.wins + fared.losses}",
            f"{fared.wins_without}/{fared.wins_without + fared.losses_without}",
            f"{100 * value.gain:+.0f}",
            Text(f"[{100 * value.low:+.0f}, {100 * value.high:+.0f}]"),
        )
    return table


def _progress_table(parts: Sequence[Part]) -> Table:
    table = _table("part", numbers=("tasks", "solved", "%", "work a task", "seconds a task"))
    for number, part in enumerate(parts, start=1):
        table.add_row(str(number), *_cells(part))
    table.add_row(f"all  {_solved_line(parts)}", *_cells(whole(parts)))
    return table


def _family_table(found: dict[str, list[Part]]) -> Table:
    table = _table("family", "solved", numbers=("tasks", "solved", "%", "work a task", "seconds a task"))
    for family, parts in found.items():
        if family:
            table.add_row(Text(visible(family)), _solved_line(parts), *_cells(whole(parts)))
    return table


def _table(*texts: str, numbers: Sequence[str]) -> Table:
    table = Table(*texts, *numbers, box=None, header_style="dim")
    for column in table.columns[len(texts) :]:
        column.justify = "right"
        column.no_wrap = True
    return table


def _cells(part: Part) -> tuple[str, ...]:
    if not part.tasks:
        return ("0", "0", "", "", "")
    return (
        str(part.tasks),
        str(part.solved),
        f"{100 * part.solved / part.tasks:.0f}",
        f"{part.work / part.tasks:,.0f}",
        f"{part.seconds / part.tasks:.2f}",
    )


def _solved_line(parts: Sequence[Part]) -> str:
    return _sparkline([part.rate for part in parts], highest=1.0)


def _sparkline(values: Sequence[float | None], highest: float | None = None) -> str:
    """Draw values as bars, the highest one full; nothing where there is none."""
    top = highest or max((value for value in values if value is not None), default=0) or 1
    return "".join(
        " " if value is None else _BARS[1 + round((len(_BARS) - 2) * value / top)] for value in values
    )


def _part_record(part: Part) -> dict[str, Any]:
    return asdict(part) | {"solved_share": part.rate}


def _trials(concept: Concept) -> dict[str, int]:
    names = ("wins", "losses", "wins_without", "losses_without")
    return {name: getattr(concept.statistics, name) for name in names}
