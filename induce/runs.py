"""Runs: start one, go on with one, find them, and clear away the old ones."""

from __future__ import annotations

import contextlib
import itertools
import secrets
import shlex
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

from hypotheses.run_log import Event, RunInfo, RunLog
from hypotheses.task import Task
from induce._version import __version__
from induce.language_model import ModelSource
from induce.memory_store import open_memory
from induce.settings import BudgetSettings, Settings, resolve_settings
from induce.tasks import TaskSet, load_tasks
from induce.wiring import WiredProposer, choose_proposer, make_proposer
from sandboxes import Limits, RunLogError, TaskFormatError

SUFFIX = ".sqlite"

BATCH = "batch"
"""What the timeline of a batch begins with."""

LOOKED_UP_AT_ONCE = 64

BadTaskHandler = Callable[[TaskFormatError], None]


@dataclass(frozen=True, slots=True)
class Run:
    """A run under way: its log, its tasks, and what solves them."""

    log: RunLog
    tasks: TaskSet
    proposer: WiredProposer
    settings: Settings
    address: str
    """What opens the log again: its path, or where it is on a server, as the user gave it."""

    @property
    def name(self) -> str:
        """How the run is called."""
        return self.log.name

    @property
    def total(self) -> int:
        """How many tasks it has."""
        return self.log.info.tasks

    def unfinished(self, log: RunLog | None = None, first: Sequence[str] = ()) -> Iterator[Task]:
        """Yield the tasks that have no solution yet in the log, or in ``log``, which is the same run's.

        Those whose ids are like one of ``first``, a shell's patterns, come before the others.
        """
        reader = log or self.log
        tasks = _first(self.tasks, first) if first else iter(self.tasks)
        while page := list(itertools.islice(tasks, LOOKED_UP_AT_ONCE)):
            finished = reader.finished_among([task.id for task in page])
            yield from (task for task in page if task.id not in finished)


def _first(tasks: TaskSet, patterns: Sequence[str]) -> Iterator[Task]:
    """Yield all tasks, those first that are like a pattern: the source is read twice, and nothing kept."""

    def preferred(task: Task) -> bool:
        return any(fnmatchcase(task.id, pattern) for pattern in patterns)

    yield from (task for task in tasks if preferred(task))
    yield from (task for task in tasks if not preferred(task))


def start_run(
    tasks: TaskSet, count: int, proposer_spec: str | None, settings: Settings, path: str | Path | None = None
) -> Run:
    """Start a run of ``count`` tasks in a new log, in the runs folder unless ``path`` says where.

    ``path`` may also be an address on a PostgreSQL server.

    ``proposer_spec`` is who proposes; ``None``: the recipe of the settings.
    """
    spec, settings = choose_proposer(settings, proposer_spec)
    proposer = make_proposer(spec, settings)
    settings = _at_its_clock(settings)
    info = RunInfo(
        source=tasks.source,
        source_options=tasks.options | {"skip_bad": tasks.skips_bad},
        content_hash=tasks.content_hash(),
        tasks=count,
        proposer=proposer.spec,
        proposer_hash=proposer.content_hash,
        settings=settings.model_dump(mode="json"),
        induce_version=__version__,
    )
    address = str(path or _new_path(settings))
    return Run(RunLog.create(address, info), tasks, proposer, settings, address)


def _at_its_clock(settings: Settings) -> Settings:
    """Note the memory's clock as a run begins, so that it recalls the same when it is resumed or replayed."""
    if settings.memory.mode == "off" or settings.memory.clock is not None:
        return settings
    with open_memory(settings.memory, frozen=settings.memory.mode == "frozen") as store:
        memory = settings.memory.model_copy(update={"clock": store.clock})
    return settings.model_copy(update={"memory": memory})


def resume_run(
    path: str | Path,
    on_bad: BadTaskHandler,
    source: str | None = None,
    present: Settings | None = None,
    remark: Callable[[str], object] = warnings.warn,
) -> Run:
    """Open a run to go on with it, under the settings it was started with.

    How programs are contained, and where models are asked (with the user's keys), is for this machine's user
    to say, not for the log, which may be somebody else's: the settings of the sandbox, the model and the runs
    folder are the present ones, prices too where both know them, and of each limit of the budget the smaller
    one counts. The model must be the same one, wherever it is served now. The limits of programs are part of
    the record and stay: ``remark`` is told where they are wider than the present ones.

    ``on_bad`` is told of bad tasks where the run was started so as to skip them; ``source`` is where the
    tasks are now, if they have moved; ``present`` are the present settings.

    Raises ``RunLogError`` where the tasks or the transcript are no longer what they were.
    """
    log = RunLog.open(path, read_only=False)
    with contextlib.ExitStack() as on_error:
        on_error.callback(log.close)
        info = log.info
        present = present or resolve_settings()
        settings = _within_means(_settings_of(log, present), present)
        if wider := _wider(settings.limits, present.limits):
            remark(f"as the run's log has it, programs may use {wider}: stop this if it is not your own run")
        _check_model(log, settings)
        tasks = reload_tasks(log, on_bad, source)
        proposer = make_proposer(info.proposer, settings)
        if proposer.content_hash != info.proposer_hash:
            raise RunLogError(
                f"the transcript of {info.proposer} has changed since the run {path} began; put it back"
            )
        on_error.pop_all()
    return Run(log, tasks, proposer, settings, str(path))


def replay_run(log: RunLog, path: Path, on_bad: BadTaskHandler, source: str | None, present: Settings) -> Run:
    """Start a run at ``path`` that does what the run in ``log`` did, with its settings and its proposer.

    Raises ``RunLogError`` where the tasks or the transcript are no longer what they were.
    """
    settings = _settings_of(log, present)
    recorded = log.info.settings.get("model", {}).get("address")
    # Nobody is asked, so it does not matter whose address it is: the model's name is part of the keys.
    settings = settings.model_copy(update={"model": settings.model.model_copy(update={"address": recorded})})
    if settings.memory.mode == "learn":  # what is done again teaches nothing new
        memory = settings.memory.model_copy(update={"mode": "frozen"})
        settings = settings.model_copy(update={"memory": memory})
    tasks = reload_tasks(log, on_bad, source)
    if make_proposer(log.info.proposer, settings).content_hash != log.info.proposer_hash:
        raise RunLogError(
            f"the transcript of {log.info.proposer} has changed since {log.address} began; put it back"
        )
    return start_run(tasks, log.info.tasks, log.info.proposer, settings, path)


def reload_tasks(log: RunLog, on_bad: BadTaskHandler, source: str | None = None) -> TaskSet:
    """Load a run's tasks again, from where they are now if they have moved.

    ``on_bad`` is told of bad tasks where the run was started so as to skip them.

    Raises ``RunLogError`` where their content is not what the run was started with.
    """
    info = log.info
    options = dict(info.source_options)
    skip_bad = on_bad if options.pop("skip_bad", False) else None
    try:
        tasks = load_tasks(source or info.source, **options, skip_bad=skip_bad)
    except TypeError as error:
        raise RunLogError(f"{log.address} is damaged: it names unknown options of its tasks") from error
    except TaskFormatError as error:
        raise RunLogError(
            f"{error}; if the tasks of {log.address} have moved, say where with --tasks"
        ) from error
    if tasks.content_hash() != info.content_hash:
        raise RunLogError(
            f"the tasks in {tasks.source} are not those the run {log.address} was started with "
            "(their content hash differs); put them back, or name the right ones with --tasks"
        )
    return tasks


def _settings_of(log: RunLog, present: Settings) -> Settings:
    try:
        recorded = Settings.model_validate(log.info.settings)
    except ValueError as error:
        raise RunLogError(f"{log.address} holds settings that this induce does not know") from error
    here = ("address", "concurrency", "timeout", "attempts", "patience")  # the rest is part of the record
    model = recorded.model.model_copy(update={name: getattr(present.model, name) for name in here})
    memory = recorded.memory.model_copy(
        update={"address": present.memory.address, "embedder": present.memory.embedder}
    )
    return recorded.model_copy(
        update={
            "sandbox": present.sandbox,
            "runs": present.runs,
            "cluster": present.cluster.model_copy(
                update={"results": present.cluster.results or recorded.cluster.results}
            ),
            "model": model,
            "memory": memory,
        }
    )


def _within_means(recorded: Settings, present: Settings) -> Settings:
    """Give settings under which no more is spent than present ones allow, counted in present prices."""
    limits = {}
    for name in BudgetSettings.model_fields:
        both = (getattr(recorded.budget, name), getattr(present.budget, name))
        limits[name] = min((limit for limit in both if limit is not None), default=None)
    prices = {**recorded.model.prices, **present.model.prices}
    return recorded.model_copy(
        update={
            "budget": BudgetSettings(**limits),
            "model": recorded.model.model_copy(update={"prices": prices}),
        }
    )


def _wider(limits: Limits, present: Limits) -> str:
    """Name the limits that are wider than the present ones."""
    names = {
        "seconds": "s of CPU",
        "memory_mb": "MiB",
        "output_bytes": "bytes of output",
        "processes": "processes",
    }
    return ", ".join(
        f"{getattr(limits, name):g} {unit} (you: {getattr(present, name):g})"
        for name, unit in names.items()
        if getattr(limits, name) > getattr(present, name)
    )


def _check_model(log: RunLog, settings: Settings) -> None:
    """Raise ``RunLogError`` where the model that is named now is not the one the run was made with."""
    if not log.info.proposer.startswith("recipe:"):
        return
    recorded = model_of(log)
    present = settings.model.address
    if present is None:
        raise RunLogError(
            f"{log.address} was made with the model {recorded.spec}; if you trust that address, go on with "
            f"--model {shlex.quote(recorded.spec)}"
        )
    if ModelSource.parse(present).name != recorded.name:
        raise RunLogError(
            f"{log.address} was made with the model {recorded.name}, not {ModelSource.parse(present).name}; "
            "name where that model is with --model"
        )


def model_of(log: RunLog) -> ModelSource:
    """Give the model that a run was started with."""
    address = log.info.settings.get("model", {}).get("address")
    if not isinstance(address, str):
        raise RunLogError(f"{log.address} is damaged: it does not say which model it was made with")
    return ModelSource.parse(address)


def is_on_server(address: str) -> bool:
    """Whether a run, or a memory, is kept in a database on a server, not in a file."""
    return "://" in address


def mark_as_batch(log: RunLog) -> None:
    """Say of a new run that it is to be spread over workers, also when it is resumed."""
    log.note([Event(time.time(), BATCH)])


def is_batch(log: RunLog) -> bool:
    """Whether a run was begun as a batch, to be spread over workers."""
    first = next(iter(log.events()), None)
    return first is not None and first.what == BATCH


def run_address(name: str, settings: Settings) -> str | Path:
    """Give what opens a run that is named by its address, its path or, in the runs folder, its bare name."""
    return name if is_on_server(name) else run_path(name, settings)


def run_path(name: str, settings: Settings) -> Path:
    """Give the path of a run that is named by its path or, in the runs folder, by its bare name."""
    path = Path(name)
    in_folder = settings.runs.directory / (name if name.endswith(SUFFIX) else name + SUFFIX)
    return in_folder if not path.exists() and len(path.parts) == 1 and in_folder.exists() else path


def find_runs(settings: Settings) -> list[Path]:
    """Give the files in the runs folder that are named as logs are, oldest first."""
    found = settings.runs.directory.glob(f"*{SUFFIX}")
    files = [path for path in found if path.is_file() and not path.is_symlink()]
    return sorted(files, key=lambda path: (_last_written(path), path.name))


def old_runs(settings: Settings) -> list[Path]:
    """Give the logs in the runs folder that nobody wrote to for ``runs.retention_days``."""
    limit = time.time() - settings.runs.retention_days * 86_400
    return [path for path in find_runs(settings) if _last_written(path) < limit]


def _last_written(path: Path) -> float:
    journal = path.with_name(path.name + "-wal")  # a reader may leave an empty one
    files = [path, journal] if journal.exists() and journal.stat().st_size else [path]
    return max(file.stat().st_mtime for file in files)


def _new_path(settings: Settings) -> Path:
    name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}{SUFFIX}"
    return settings.runs.directory / name
