"""``induce memory``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.progress import track
from rich.table import Table
from rich.text import Text

from induce import memory_store
from induce.cli.memory_stats import memory_statistics, print_statistics, statistics_record
from induce.cli.options import Json
from induce.cli.output import console, error_console, print_json, print_line
from induce.render import visible
from induce.sandboxing import open_sandbox
from induce.settings import resolve_settings
from induce.solution_view import highlighted
from memory import Concept, ConceptStore, RecallQuery
from memory.consolidation import consolidate
from memory.published import read_arc_memo, read_lessons, read_programs
from memory.records import Record, to_dict
from memory.rehearsal import rehearsal
from memory.shared_pieces import learn_shared_pieces
from memory.transfer import export_memory, import_memory

app = typer.Typer(
    help="Concepts that outlive a task: look at them, search, import, export, put in order.",
    no_args_is_help=True,
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
    settings = resolve_settings({"memory": {"address": address}})
    return memory_store.open_memory(settings.memory, frozen=frozen)


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
    describe: Annotated[
        bool,
        typer.Option(
            "--describe/--no-describe",
            help="Run programs without features in the sandbox, to know for which tasks to recall them.",
        ),
    ] = True,
) -> None:
    """Add what a file holds, all or nothing. What is there already stays as it is.

    A library of programs says nothing of what they are for. That is found out by running each on inputs that
    belong to no task, in the sandbox; it takes about a third of a second a program, the first time.

    Examples:

      induce memory import concepts.jsonl

      induce memory import library.jsonl --form programs
    """
    with open_memory(memory) as store:
        before = len(store)
        if form == "memory":
            import_memory(store, file)
        else:
            found = _READERS[form](file)
            store.bring(described(found) if describe else found)
        print_line(console(), f"{len(store) - before} concepts are new, {len(store)} in all")


def described(concepts: Sequence[Concept]) -> list[Concept]:
    """Give concepts with the features of their programs, showing how far that has come."""
    from hypotheses.recall.describing import with_features  # noqa: PLC0415  numpy is slow to load
    from hypotheses.recall.profile_folder import ProfileFolder  # noqa: PLC0415

    if not any(one.program is not None and not one.features for one in concepts):
        return list(concepts)
    settings = resolve_settings()
    with open_sandbox(settings.sandbox) as sandbox:
        profiles = ProfileFolder(memory_store.profile_folder())
        found = with_features(concepts, sandbox, profiles)
        progress = track(found, "running programs", len(concepts), console=error_console(), transient=True)
        return list(progress)


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


@app.command("abstract")
def abstract_programs(
    memory: MemoryChoice = None,
    most: Annotated[int, typer.Option("--most", "-n", min=1, help="How many pieces at most.")] = 20,
    json: Json = False,
) -> None:
    """Add the pieces that programs of different tasks share, as functions, without asking a model.

    Example:

      induce memory abstract
    """
    with open_memory(memory) as store:
        before = len(store)
        concepts = [store.get(one) for one in learn_shared_pieces(store, most=most)]
        new = len(store) - before
    _print_concepts(concepts, json=json)
    if not json:
        print_line(console(), f"{new} pieces are new")


@app.command()
def stats(memory: MemoryChoice = None, json: Json = False) -> None:
    """Show how the memory has grown, what of it is used and worth, and how tasks end with time.

    Example:

      induce memory stats
    """
    with open_memory(memory) as store:
        found = memory_statistics(store)
    if json:
        print_json(statistics_record(found))
    else:
        print_statistics(console(), found)


@app.command("consolidate")
def consolidate_memory(
    memory: MemoryChoice = None,
    most: Annotated[
        int, typer.Option("--most", min=1, help="How many concepts to look at, at most.")
    ] = 1_000,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done; nothing lasts. Others wait to write.")
    ] = False,
    json: Json = False,
) -> None:
    """Put the memory in order: merge what is double, archive what is of no use.

    Programs that differ in literals alone become one, and contradictions get cues that tell them apart.

    It goes on where the last time ended, beside whatever uses the memory. Nothing is deleted.

    Examples:

      induce memory consolidate --dry-run

      induce memory consolidate --most 5000
    """
    with open_memory(memory) as store, rehearsal(store) if dry_run else nullcontext(store) as used:
        done = consolidate(used, most=most)
    if json:
        print_json(asdict(done) | {"changed": done.changed, "dry_run": dry_run})
        return
    table = Table(box=None, show_header=False)
    table.add_column(justify="right")
    for number, what in (
        (done.examined, "examined"),
        (done.merged, "merged into others, of which they were duplicates"),
        (done.generalised, "generalised: merged into programs with parameters"),
        (done.separated, "separated by cues from what contradicts them"),
        (done.archived, "archived, as they harm or were never used"),
    ):
        table.add_row(str(number), what)
    console().print(table)
    if not done.complete:
        print_line(console(), "more is left to look at: run it again, or with a larger --most", "dim")
    if dry_run:
        print_line(console(), "a dry run: nothing was changed", "dim")


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
        f"  recalled {fared.recalled}, used {fared.used}, won {fared.wins}, lost {fared.losses}, "
        f"without it won {fared.wins_without}, lost {fared.losses_without}",
        "dim",
    )
    if concept.program is not None:
        out.print(highlighted(concept.program.source))
