"""Concepts of what remembered programs share, without a model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from memory.concept import Concept
from memory.pieces import Fragment, fragments
from memory.store import ConceptStore
from sandboxes import Program

FRAGMENT = "fragment"
"""The kind of concepts that are a piece of several programs."""

MOST_READ = 1_000
"""How many programs are compared."""


def learn_shared_pieces(store: ConceptStore, *, most: int = 20) -> list[str]:
    """Store up to ``most`` pieces that present programs of different tasks share, and give their ids.

    Each is a function with what varies as parameters, and came from the concepts whose programs have it. What
    is stored already stays as it is. The first ``MOST_READ`` programs are read; none is run.
    """
    having = (one for one in store.concepts() if one.program is not None and one.kind != FRAGMENT)
    concepts = list(islice(having, MOST_READ))
    programs = [one.program for one in concepts if one.program is not None]
    tasks = [
        f"{one.provenance.family}/{one.provenance.task}" if one.provenance.task else one.id
        for one in concepts
    ]
    found = fragments(programs, tasks=tasks, most=most)
    return store.add([_concept(fragment, concepts) for fragment in found])


def _concept(fragment: Fragment, concepts: Sequence[Concept]) -> Concept:
    sources = [concepts[position] for position in fragment.uses]
    features = set.intersection(*(set(one.features) for one in sources))
    return Concept(
        fragment.name,
        f"{fragment.name.replace('_', ' ')}: a piece that several programs share",
        fragment.parameters,
        program=Program(fragment.source, fragment.name, "positional"),
        kind=FRAGMENT,
        features=tuple(sorted(features)),
        came_from=tuple(dict.fromkeys(one.id for one in sources)),
    )
