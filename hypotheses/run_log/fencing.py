"""Who may still write: epochs of a run, and leases of its tasks.

Whoever begins an epoch fences off all writers of earlier ones; a lease of a task fences off all its earlier
leases, unless it is shared. So a writer that was taken for dead, and is not, can do no harm.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypotheses.run_log.database import Driver
from hypotheses.run_log.moment import now
from hypotheses.run_log.schema import to_column
from sandboxes import RunLogError

_LEASES = "leases"
"""Names the lock under which leases are granted and solutions recorded."""


class FencedError(RunLogError):
    """A writer has been replaced: a new epoch has begun, or its task has been leased to another."""


def begin_epoch(driver: Driver) -> int:
    """Begin a new epoch; give its number."""
    epoch = driver.insert("INSERT INTO epochs (begun) VALUES (?)", (now(),))
    assert epoch is not None  # noqa: S101  nothing conflicts with it
    return epoch


def newest_epoch(driver: Driver) -> int:
    """Give the number of the newest epoch; 0 where there is none."""
    return int(driver.execute("SELECT max(id) FROM epochs").fetchone()[0] or 0)


def check_epoch(driver: Driver, epoch: int, address: str) -> None:
    """Raise ``FencedError`` where an epoch is over."""
    newest = newest_epoch(driver)
    if newest != epoch:
        raise FencedError(
            f"another process has gone on with the run {address}: its epoch {newest} has begun, and this "
            f"writer is of epoch {epoch}; it wrote nothing of this: stop it"
        )


def grant(driver: Driver, epoch: int, task_ids: Sequence[str], holder: str, *, shared: bool) -> list[int]:
    """Grant leases of tasks; give their tokens."""
    if not shared:  # whoever records under an earlier one has done so, or will see this one
        driver.lock(_LEASES)
    when = now()
    rows = [(epoch, to_column(task_id), to_column(holder), shared, when) for task_id in task_ids]
    return driver.insert_many("leases (epoch, task_id, holder, shared, granted)", rows)


def recorded_under(driver: Driver, task_id: str) -> list[int | None]:
    """Give the token under which a task was recorded; nothing where it is not finished.

    Until the transaction ends, nobody else records it, and nobody leases anything for himself alone.
    """
    driver.lock(_LEASES, shared=True)
    driver.lock(f"task {task_id}")
    found = driver.execute("SELECT token FROM solutions WHERE task_id = ?", (to_column(task_id),))
    return [row[0] for row in found.fetchall()]


def check_token(driver: Driver, epoch: int, task_id: str, token: int, address: str) -> None:
    """Raise ``FencedError`` where a lease has been superseded, ``RunLogError`` where it never was granted."""
    text = to_column(task_id)
    row = driver.execute("SELECT epoch FROM leases WHERE id = ? AND task_id = ?", (token, text)).fetchone()
    if row is None:
        raise RunLogError(f"the run {address} has granted no lease {token} of the task {task_id}; lease it")
    later = driver.execute(
        "SELECT id FROM leases WHERE task_id = ? AND id > ? AND NOT shared LIMIT 1", (text, token)
    ).fetchone()
    if row[0] != epoch or later is not None:
        by = f"lease {later[0]} of the task" if later else f"epoch {epoch}"
        raise FencedError(
            f"lease {token} of the task {task_id} of the run {address} has been superseded by {by}; "
            "nothing of it was recorded: drop it"
        )
