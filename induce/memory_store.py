"""From settings to an open memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from induce.settings import MemorySettings

if TYPE_CHECKING:
    from memory import ConceptStore


def profile_folder() -> Path:
    """Give the folder where it is kept what remembered programs do."""
    return platformdirs.user_cache_path("induce") / "profiles"


def open_memory(settings: MemorySettings, *, frozen: bool = False) -> ConceptStore:
    """Open the memory of the settings, with its embedder if they name one.

    Raises ``MemoryStoreError`` where it cannot be opened.
    """
    from memory import ConceptStore  # noqa: PLC0415  most runs use no memory

    embedder = None
    if settings.embedder is not None:
        from memory.embedding import open_embedder  # noqa: PLC0415

        embedder = open_embedder(settings.embedder)
    return ConceptStore.open(settings.address, frozen=frozen, embedder=embedder)
