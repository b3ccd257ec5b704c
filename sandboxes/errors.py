"""The errors of the project. A failing *candidate program* is never one of them: that is data.

::

    InduceError                 our world broke, or was asked for something impossible
    ├── TaskFormatError         a task file or task source cannot be read as tasks
    ├── ProposerError           a proposer (model, search, transcript) cannot do its work
    │   └── ModelError          a language model cannot be asked, or answers nothing of use
    ├── SandboxError            a sandbox cannot run programs on this machine, or died
    ├── MemoryStoreError        the concept memory cannot be read or written
    ├── RunLogError             a run log cannot be read, written, or does not fit its tasks
    │   └── FencedError         a writer of a run was replaced
    ├── SettingsError           a setting has a value that makes no sense
    ├── AlgorithmError          an algorithm cannot be compiled, or a graph is beyond its network's bounds
    └── ClusterError            a cluster cannot be reached, or broke a promise

Every message is one line that names the cause and the cure.
"""

from __future__ import annotations


class InduceError(Exception):
    """Root of every error that the project raises on purpose."""


class TaskFormatError(InduceError):
    """A task file or task source cannot be read as tasks."""


class ProposerError(InduceError):
    """A proposer cannot do its work."""


class ModelError(ProposerError):
    """A language model cannot be asked, or gives nothing that can be used."""


class SandboxError(InduceError):
    """A sandbox cannot run programs on this machine, or died while it ran one."""


class MemoryStoreError(InduceError):
    """The concept memory cannot be read or written."""


class RunLogError(InduceError):
    """A run log cannot be read or written, or does not fit the tasks it is used with."""


class SettingsError(InduceError):
    """A setting has a value that makes no sense."""


class AlgorithmError(InduceError):
    """An algorithm cannot be compiled into a network, or a graph is beyond what the network is exact for."""


class ClusterError(InduceError):
    """A cluster cannot be reached, or broke a promise."""
