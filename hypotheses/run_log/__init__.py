"""A run, whole, in one SQLite file: append-only, safe against ``kill -9``, explained afterwards.

What is kept: the settings, where the tasks came from and their content hash, and for every finished task
each completion, hypothesis, program, execution and verdict with the solution. A task's answers never are.

A task is written in one transaction, so it is in the log wholly or not at all. The log is in WAL mode with
``synchronous=NORMAL``: the death of the process loses nothing that was recorded; a power cut can lose the
last moments but does not damage the file. Triggers refuse every update and delete: a log can only grow.
"""

from hypotheses.run_log.log import RunInfo, RunLog
from hypotheses.run_log.schema import SCHEMA_VERSION

__all__ = ["SCHEMA_VERSION", "RunInfo", "RunLog"]
