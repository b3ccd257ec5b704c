"""Programs from elsewhere get the features that they are recalled by: what they do when they are run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from hypotheses.recall.profile_folder import ProfileFolder
from memory import Concept
from sandboxes import Sandbox


def with_features(
    concepts: Iterable[Concept], sandbox: Sandbox, profiles: ProfileFolder
) -> Iterator[Concept]:
    """Yield concepts, those with a program and no features with the ones that ``query_of`` has of tasks.

    Each such program is run in ``sandbox`` on inputs that belong to no task, unless ``profiles`` knows it.
    Raises ``SandboxError`` where the sandbox failed.
    """
    for concept in concepts:
        if concept.program is None or concept.features:
            yield concept
        else:
            yield replace(concept, features=profiles.get(concept.program, sandbox).features)
