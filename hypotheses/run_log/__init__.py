"""A run, whole: append-only, safe against ``kill -9``, explained afterwards.

It is kept in one SQLite file, which one process writes, or in a schema of a PostgreSQL database, which any
number of processes may.

What is kept: the settings, where the tasks came from and their content hash, every completion of a model as
it comes, with what was asked, and for every finished task each hypothesis, program, execution and verdict
with the solution. A task's answers never are.

A task is written in one transaction, so it is in the log wholly or not at all; the completions of a request
are written in one of their own before anybody sees them, so that none is paid for twice. A file is in WAL
mode with ``synchronous=NORMAL``: the death of the process loses nothing that was recorded; a power cut can
lose the last moments but does not damage the file. Triggers refuse every update and delete: a log can only
grow.

Whoever goes on with a run begins an epoch, and fences off all writers of earlier ones. In an epoch, a task
may be leased: only the holder of its newest lease, or of one shared with that, can record it.

Texts come back as they were written, whatever is in them. SQLite's own tools show one with a NUL up to there,
and one with lone surrogates, which are no Unicode, as bytes; PostgreSQL's show both escaped.
"""

from hypotheses.run_log.completions import RecordedRequest
from hypotheses.run_log.events import Event
from hypotheses.run_log.fencing import FencedError
from hypotheses.run_log.log import RunInfo, RunLog
from hypotheses.run_log.schema import SCHEMA_VERSION

__all__ = ["SCHEMA_VERSION", "Event", "FencedError", "RecordedRequest", "RunInfo", "RunLog"]
