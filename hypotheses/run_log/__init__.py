"""A run, whole, in one SQLite file: append-only, safe against ``kill -9``, explained afterwards.

What is kept: the settings, where the tasks came from and their content hash, every completion of a model as
it comes, with what was asked, and for every finished task each hypothesis, program, execution and verdict
with the solution. A task's answers never are.

A task is written in one transaction, so it is in the log wholly or not at all; the completions of a request
are written in one of their own before anybody sees them, so that none is paid for twice. The log is in WAL
mode with ``synchronous=NORMAL``: the death of the process loses nothing that was recorded; a power cut can
lose the last moments but does not damage the file. Triggers refuse every update and delete: a log can only
grow.

Texts come back as they were written, whatever is in them. SQLite's own tools show one with a NUL up to there,
and one with lone surrogates, which are no Unicode, as bytes.
"""

from hypotheses.run_log.completions import RecordedRequest
from hypotheses.run_log.log import RunInfo, RunLog
from hypotheses.run_log.schema import SCHEMA_VERSION

__all__ = ["SCHEMA_VERSION", "RecordedRequest", "RunInfo", "RunLog"]
