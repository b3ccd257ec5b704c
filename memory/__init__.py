"""Concepts that outlive a task: stored, and found again.

A memory is a file (SQLite) or on a server (PostgreSQL). What was learned by a clock is seen by later ones
only; of a concept every version is kept, and nothing is deleted that has not been exported.

>>> from memory import Concept, ConceptStore, RecallQuery
>>> with ConceptStore.open("memory.sqlite") as store:  # doctest: +SKIP
...     store.add([Concept("mirror", "turn the grid around its vertical axis", cues=("both halves match",))])
...     store.tick()
...     store.recall(RecallQuery("the output is mirrored", clock=store.clock))
"""

from memory.anti_unification import Generalised, bind, generalise, parameters_of
from memory.concept import Concept, Outcome, Provenance, Statistics
from memory.consolidation import Consolidated, consolidate
from memory.embedding import Embedder, open_embedder
from memory.pieces import Fragment, fragments
from memory.published import read_arc_memo, read_lessons, read_programs
from memory.query import Memory, Recalled, RecallQuery
from memory.records import Record
from memory.store import ConceptStore
from memory.transfer import export_memory, import_memory, read_records
from memory.trials import Value, value_of

__all__ = [
    "Concept",
    "ConceptStore",
    "Consolidated",
    "Embedder",
    "Fragment",
    "Generalised",
    "Memory",
    "Outcome",
    "Provenance",
    "RecallQuery",
    "Recalled",
    "Record",
    "Statistics",
    "Value",
    "bind",
    "consolidate",
    "export_memory",
    "fragments",
    "generalise",
    "import_memory",
    "open_embedder",
    "parameters_of",
    "read_arc_memo",
    "read_lessons",
    "read_programs",
    "read_records",
    "value_of",
]
