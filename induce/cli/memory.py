"""``induce memory``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.table import Table
from rich.text import Text

from induce.cli.options import Json
from induce.cli.output import console, print_json, print_line
from induce.render import visible
from induce.settings import resolve_settings
from induce.solution_view import highlighted
from memory import Concept, ConceptStore, RecallQuery
from memory.published import read_arc_memo, read_lessons, read_programs
from memory.records import Record, to_dict
from memory.transfer import export_memory, import_memory

app = typer.Typer(
    help="Concepts that outlive a task: look at them, search, import, export.", no_args_is_help=True
)

MemoryChoice = Annotated[
    str | None,
    typer.Option(
        "--memory",
        help="A file, or postgresql+psycopg://USER@HOST/DATABASE. Default: the setting memory.address.",
    ),
]
Ids = Annotated[list[str], typer.Argument(metavar="ID…", help="Concepts, by their ids or how these begin.")]

_READERS = {"arc-memo": read_arc_memo, "lessons": read_lessons, "programs": read_programs}


def open_memory(address: str | None, *, frozen: bool = False) -> ConceptStore:
    """Open the memory of that address, or the one that the settings name."""
    return ConceptStore.open(address or resolve_settings().memory.address, frozen=frozen)


@app.command("list")
def list_concepts(
    memory: MemoryChoice = None,
    archived: Annotated[bool, typer.Option("--archived", help="Those that are recalled no longer.")] = False,
    json: Json = False,
) -> None:
    """List the concepts, in the order they were learned in.

    Example:

      induce memory list
    """
    with open_memory(memory) as store:
        _print_concepts(list(store.concepts(archived=archived)), json=json)


@app.command()
def show(ids: Ids, memory: MemoryChoice = None, json: Json = False) -> None:
    """Show concepts in full, with where they come from and how they have fared.

    Example:

      induce memory show 3f2a
    """
    with open_memory(memory) as store:
        for concept in _named(store, ids):
            if json:
                print_json(to_dict(Record(concept)))
            else:
                _print_concept(concept)


@app.command()
def search(
    words: Annotated[list[str], typer.Argument(help="What it is about.")],
    memory: MemoryChoice = None,
    features: Annotated[
        list[str] | None, typer.Option("--feature", help="A structural token of the task, such as grid.")
    ] = None,
    most: Annotated[int, typer.Option("--most", "-n", min=1, help="How many concepts at most.")] = 8,
    json: Json = False,
) -> None:
    """Find concepts by words and features, the most relevant first.

    Example:

      induce memory search mirror symmetry
    """
    query = RecallQuery(" ".join(words), tuple(features or ()))
    with open_memory(memory) as store:
        found = store.recall(query, most)
    if json:
        for one in found:
            print_json(
                {"score": round(one.score, 6), "ranks": dict(one.ranks)} | to_dict(Record(one.concept))
            )
    else:
        _print_concepts([one.concept for one in found], json=False)


@app.command("import")
def import_concepts(
    file: Annotated[Path, typer.Argument(help="A file of `induce memory export`, or of a --form.")],
    memory: MemoryChoice = None,
    form: Annotated[
        Literal["memory", "arc-memo", "lessons", "programs"],
        typer.Option(help="What the file holds: a memory, or what others have published."),
    ] = "memory",
) -> None:
    """Add what a file holds, all or nothing. What is there already stays as it is.

    Examples:

      induce memory import concepts.jsonl

      induce memory import library.jsonl --form programs
    """
    with open_memory(memory) as store:
        before = len(store)
        if form == "memory":
            import_memory(store, file)
        else:
            store.bring(_READERS[form](file))
        print_line(console(), f"{len(store) - before} concepts are new, {len(store)} in all")


@app.command("export")
def export_concepts(
    file: Annotated[Path, typer.Argument(help="Where to: .jsonl, .yaml or .yml.")],
    memory: MemoryChoice = None,
    history: Annotated[
        bool, typer.Option("--history/--no-history", help="With old versions and archived concepts.")
    ] = True,
) -> None:
    """Write the memory to a file, which is there when it is whole.

    Example:

      induce memory export concepts.yaml
    """
    with open_memory(memory) as store:
        written = export_memory(store, file, history=history)
    print_line(console(), f"{written} versions are in {file}")


@app.command()
def forget(
    ids: Ids,
    memory: MemoryChoice = None,
    purge: Annotated[
        bool, typer.Option("--purge", help="Delete them for good; they must be archived and exported.")
    ] = False,
) -> None:
    """Archive concepts: they are recalled no longer, but stay in the store.

    Example:

      induce memory forget 3f2a
    """
    with open_memory(memory) as store:
        found = [concept.id for concept in _named(store, ids)]
        if purge:
            store.purge(found)
        else:
            store.archive(found)
    print_line(console(), f"{len(found)} {'deleted' if purge else 'archived'}")


@app.command()
def stats(memory: MemoryChoice = None, json: Json = False) -> None:
    """Show how the memory has grown, and what of it is used.

    Example:

      induce memory stats
    """
    with open_memory(memory) as store:
        concepts, archived, clock = (
            list(store.concepts()),
            len(list(store.concepts(archived=True))),
            store.clock,
        )
        name = store.name
    counts = Counter(concept.kind or "none" for concept in concepts)
    figures: dict[str, Any] = {
        "memory": name,
        "concepts": len(concepts),
        "archived": archived,
        "with a program": sum(concept.program is not None for concept in concepts),
        "tasks done": clock,
        "recalled": sum(concept.statistics.recalled for concept in concepts),
        "ever used": sum(concept.statistics.used > 0 for concept in concepts),
        "wins": sum(concept.statistics.wins for concept in concepts),
        "losses": sum(concept.statistics.losses for concept in concepts),
    }
    if json:
        print_json({key.replace(" ", "_"): value for key, value in figures.items()} | {"kinds": dict(counts)})
        return
    table = Table(box=None, show_header=False)
    for key, value in figures.items():
        table.add_row(Text(key, "dim"), Text(visible(str(value))))
    for kind, number in counts.most_common():
        table.add_row(Text(f"kind {visible(kind)}", "dim"), str(number))
    console().print(table)


def _named(store: ConceptStore, ids: list[str]) -> list[Concept]:
    """Give the concepts whose ids are, or begin with, those given."""
    return [store.get(store.find_id(one)) for one in ids]


def _print_concepts(concepts: list[Concept], *, json: bool) -> None:
    if json:
        for concept in concepts:
            print_json(to_dict(Record(concept)))
        return
    if not concepts:
        print_line(console(), "no concepts")
        return
    table = Table("id", "name", "kind", "used", "description", box=None, header_style="dim")
    table.columns[0].no_wrap = True
    table.columns[3].justify = "right"
    for concept in concepts:
        first = concept.description.strip().partition("\n")[0]
        cells = (concept.id[:12], concept.name, concept.kind, str(concept.statistics.used), first)
        table.add_row(*(Text(visible(cell)) for cell in cells))
    console().print(table)


def _print_concept(concept: Concept) -> None:
    out = console()
    print_line(out, f"{concept.name}  {concept.kind}".rstrip(), "bold")
    origin, fared = concept.provenance, concept.statistics
    print_line(out, f"{concept.id}, version {concept.version}", "dim")
    print_line(out, concept.description)
    for title, lines in (
        ("parameters", concept.parameters),
        ("relevant when", concept.cues),
        ("notes", concept.notes),
        ("features", concept.features),
        ("came from", concept.came_from),
    ):
        for line in lines:
            print_line(out, f"  {title}: {line}")
    where = [part for part in (origin.source, origin.run, origin.family, origin.task, origin.model) if part]
    print_line(out, f"  learned at {origin.clock}{' from ' if where else ''}{', '.join(where)}", "dim")
    print_line(
        out,
        f"  recalled {fared.recalled}, used {fared.used}, won {fared.wins}, lost {fared.losses}",
        "dim",
    )
    if concept.program is not None:
        out.print(highlighted(concept.program.source))
