"""Run many small untrusted Python programs, fast and contained.

>>> from sandboxes import EmbeddedSandbox, Limits, Program
>>> with EmbeddedSandbox() as sandbox:
...     [run] = sandbox.run(Program("def f(x): return x + 1", "f"), [41], Limits())
>>> run.value
42
"""

from sandboxes.cancellation import Cancellation, RunCancelledError, run_async
from sandboxes.embedded import EmbeddedSandbox
from sandboxes.environment import Environment
from sandboxes.errors import (
    ClusterError,
    InduceError,
    MemoryStoreError,
    ModelError,
    ProposerError,
    RunLogError,
    SandboxError,
    SettingsError,
    TaskFormatError,
)
from sandboxes.execution import Execution, Status
from sandboxes.limits import Limits
from sandboxes.program import CallStyle, Program
from sandboxes.sandbox import Sandbox

__all__ = [
    "CallStyle",
    "Cancellation",
    "ClusterError",
    "EmbeddedSandbox",
    "Environment",
    "Execution",
    "InduceError",
    "Limits",
    "MemoryStoreError",
    "ModelError",
    "Program",
    "ProposerError",
    "RunCancelledError",
    "RunLogError",
    "Sandbox",
    "SandboxError",
    "SettingsError",
    "Status",
    "TaskFormatError",
    "run_async",
]
