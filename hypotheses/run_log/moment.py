"""The present, as a log writes it."""

from datetime import UTC, datetime


def now() -> str:
    """Give the present time, to the second, with its zone."""
    return datetime.now(UTC).isoformat(timespec="seconds")
