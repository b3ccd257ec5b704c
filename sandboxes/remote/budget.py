"""How much memory the programs of all clients may take while they wait."""

from __future__ import annotations


class MemoryBudget:
    """Counts bytes. One client can have half of them at most, and thus not shut out all others."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._taken = 0
        self._by_client: dict[str, int] = {}

    def take(self, client: str, count: int) -> bool:
        """Take ``count`` bytes, if there are so many."""
        own = self._by_client.get(client, 0)
        if self._taken + count > self._size or own + count > self._size // 2:
            return False
        self._taken += count
        self._by_client[client] = own + count
        return True

    def give(self, client: str, count: int) -> None:
        """Give back what was taken."""
        if count:
            self._taken -= count
            self._by_client[client] -= count
            if not self._by_client[client]:
                del self._by_client[client]
