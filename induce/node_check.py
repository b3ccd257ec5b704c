"""What a node of a cluster must have for a run: looked at there, before any work starts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from hypotheses.run_log import RunLog
from induce.language_model import ModelSource
from induce.memory_store import open_memory
from induce.sandboxing import open_sandbox
from induce.settings import Settings
from induce.wiring import make_proposer
from sandboxes import InduceError, Limits, Program, ProposerError


def check_node(
    spec: str, settings: Settings, content_hash: str, secrets: Mapping[str, str], log: str | None = None
) -> list[str]:
    """Say what is wrong on this machine, in words: with its sandbox, transcript, model, memory, or the log.

    ``log`` is the address of a run on a server.
    """
    os.environ.update(secrets)
    problems = []
    for check in (
        _sandbox_problems(settings),
        _proposer_problems(spec, settings, content_hash),
        _model_problems(spec, settings),
        _memory_problems(settings),
        _log_problems(log),
    ):
        try:
            problems += list(check)
        except InduceError as error:
            problems.append(str(error))
    return problems


def _sandbox_problems(settings: Settings) -> Iterator[str]:
    one = settings.sandbox.model_copy(update={"servers": 1})
    with open_sandbox(one) as sandbox:
        [run] = sandbox.run(Program("def f(x):\n    return x + 1", "f"), [41], Limits())
    if run.value != 42:
        yield f"its sandbox does not work ({run.status}: {run.error}); see `induce doctor` there"


def _proposer_problems(spec: str, settings: Settings, content_hash: str) -> Iterator[str]:
    try:
        wired = make_proposer(spec, settings)
    except ProposerError as error:
        if not content_hash:
            raise
        yield f"cannot read the transcript, which must be at the same path on every node: {error}"
        return
    if wired.content_hash != content_hash:
        yield f"has another transcript at the path of {spec}; copy the driver's there"


def _model_problems(spec: str, settings: Settings) -> Iterator[str]:
    """Ask the model's own servers for its name; a provider's are not asked, as that may cost something."""
    if not spec.startswith("recipe:") or settings.model.address is None:
        return
    address = ModelSource.parse(settings.model.address).address
    if address.provider != "vllm":
        return
    from ray_jobs.serving.cluster_file import ExternalModel  # noqa: PLC0415 - pydantic models, built once
    from ray_jobs.serving.endpoints import check_endpoints  # noqa: PLC0415

    for state in check_endpoints(ExternalModel(name=address.name, endpoints=address.base_urls)):
        if not state.usable:
            yield f"{state.url} {state.detail}"


def _memory_problems(settings: Settings) -> Iterator[str]:
    """See whether a memory on a server can be reached; one in a file is an actor's beside the driver."""
    if settings.memory.mode != "off" and "://" in settings.memory.address:
        with open_memory(settings.memory, frozen=settings.memory.mode == "frozen") as store:
            _ = store.clock
    yield from ()


def _log_problems(log: str | None) -> Iterator[str]:
    if log is not None:
        RunLog.open(log).close()
    yield from ()
