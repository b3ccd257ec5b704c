"""From settings to a solver that is ready to work."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hypotheses.proposer import Implementer, Proposer
from hypotheses.recorded import RecordedProposer
from hypotheses.run_log import RunLog
from hypotheses.search import SearchProposer
from hypotheses.solver import Recorder, Solver, SolverConfig
from induce.sandboxing import open_sandbox
from induce.settings import Settings
from sandboxes import ProposerError


@dataclass(frozen=True, slots=True)
class WiredProposer:
    """A proposer with what the loop must know of it.

    ``spec`` makes it again; ``content_hash`` is that of a transcript, empty for others. The rest is what
    suits it where the settings do not say: ``concurrency`` is how many tasks it serves well at a time.
    """

    spec: str
    proposer: Proposer
    implementer: Implementer | None
    content_hash: str
    samples: int
    rounds: int | None
    concurrency: int
    stop_early: bool


def make_proposer(spec: str, settings: Settings) -> WiredProposer:
    """Make the proposer that ``spec`` names: ``search`` or ``recorded:TRANSCRIPT``.

    Raises ``ProposerError`` for another name, or a transcript that cannot be read.
    """
    kind, _, argument = spec.partition(":")
    if spec == "search":
        max_terms = settings.search.max_terms
        search = SearchProposer(None if max_terms else settings.search.seconds, max_terms)
        return WiredProposer(
            spec,
            search,
            None,
            content_hash="",
            samples=settings.solver.attempts,  # further programs cost time, and would not be asked for
            rounds=1,
            concurrency=1,  # one keeps a core busy; a second would only halve its share of the budget
            stop_early=True,
        )
    if kind == "recorded" and argument:
        transcript = Path(argument).expanduser().absolute()  # a run may be resumed from another folder
        recorded = RecordedProposer(transcript)
        return WiredProposer(
            f"recorded:{transcript}",
            recorded,
            recorded,
            content_hash=recorded.content_hash,
            samples=64,
            rounds=None,
            concurrency=4,
            stop_early=False,  # the answers are paid for already, so all of them are played
        )
    raise ProposerError(f"there is no proposer {spec!r}; there are `search` and `recorded:TRANSCRIPT`")


@contextlib.contextmanager
def open_solver(
    wired: WiredProposer,
    settings: Settings,
    recorder: Recorder | None = None,
    remark: Callable[[str], object] = warnings.warn,
) -> Iterator[Solver]:
    """Give a solver with a sandbox of its own, which is closed at the end.

    ``remark`` is told where a run log's programs ran in another environment so far.
    """
    chosen = settings.solver
    config = SolverConfig(
        rounds=chosen.rounds or wired.rounds,
        samples=chosen.samples or wired.samples,
        programs=chosen.programs,
        attempts=chosen.attempts,
        selection=chosen.select,
        stop_early=wired.stop_early,
        concurrency=chosen.concurrency or wired.concurrency,
    )
    with open_sandbox(settings.sandbox) as sandbox:
        if isinstance(recorder, RunLog) and sum(recorder.count().values()) < recorder.info.tasks:
            before = recorder.environments
            if not recorder.enter(sandbox.environment):
                remark(
                    f"programs ran in {before[-1]} so far, and now run in {sandbox.environment}: "
                    "they may behave differently"
                )
        yield Solver(
            wired.proposer,
            sandbox,
            implementer=wired.implementer,
            config=config,
            limits=settings.limits,
            recorder=recorder,
            packages={family: frozenset(names) for family, names in settings.sandbox.packages.items()},
        )
