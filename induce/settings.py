"""Settings: one frozen model, filled from flags, environment, ``induce.toml`` and defaults, in that order.

Environment variables are named ``INDUCE_<GROUP>__<NAME>``, such as ``INDUCE_SEARCH__SECONDS=30``; in
``induce.toml`` the same setting is ``seconds`` in the table ``[search]``.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from hypotheses.allocation import Allocation
from hypotheses.budget import Budget
from hypotheses.models.prices import Price
from hypotheses.recipes import Recipe
from hypotheses.selection import SelectionRule
from sandboxes import Limits, SettingsError

FILE_NAME = "induce.toml"


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SandboxSettings(_Group):
    """Where programs run, and with what."""

    back_end: str = Field(
        "embedded", description="embedded, docker, docker:IMAGE, unix:///SOCKET or tls://HOST:PORT"
    )
    servers: int | None = Field(None, ge=1, description="programs at a time; default: one a core")
    relaxed: bool = Field(False, description="run on a machine that lacks seccomp, less contained")
    python: Path | None = Field(None, description="interpreter of the embedded sandbox; default: this one")
    packages: Mapping[str, tuple[str, ...]] = Field(
        default_factory=lambda: {"sygus": (), "prose": ()},
        description="packages that programs may import, by family of tasks; a family not named: all",
    )
    monty: bool = Field(False, description="run what Monty can run there, which is faster")
    ca: Path | None = Field(None, description="certificates to trust for tls://; default: the system's")
    patience: float = Field(30.0, ge=0, description="seconds to wait for an engine or service that went away")


class SearchSettings(_Group):
    """The symbolic search."""

    seconds: float = Field(10.0, gt=0, description="time for one task")
    max_terms: int | None = Field(
        None, ge=1, description="terms for one task, instead of time: makes a run repeatable"
    )
    memory_mb: int = Field(512, ge=16, description="megabytes that the search of one task may store")


class SolverSettings(_Group):
    """The loop. What is not set is as the recipe has it."""

    recipe: str = Field("portfolio", description="the method: a name (`induce recipes list`) or a TOML file")
    rounds: int | None = Field(None, ge=1, description="rounds of feedback at most, the first included")
    samples: int | None = Field(None, ge=1, description="proposals in a round")
    programs: int | None = Field(None, ge=1, description="programs for one hypothesis")
    attempts: int | None = Field(None, ge=1, description="distinct predictions for one query")
    select: SelectionRule | None = Field(None, description="how the winner is chosen")
    allocation: Allocation | None = Field(None, description="how programs are shared out over hypotheses")
    concurrency: int | None = Field(None, ge=1, description="tasks solved at the same time")


class ModelSettings(_Group):
    """The language model. Keys come from the provider's own variables, such as OPENAI_API_KEY."""

    address: str | None = Field(
        None, description="vllm:NAME@URL, openai:NAME, anthropic:NAME, …; default: none"
    )
    concurrency: int = Field(64, ge=1, description="samples under way at one endpoint")
    timeout: float = Field(600.0, gt=0, description="seconds for one request")
    attempts: int = Field(6, ge=1, description="tries of one request")
    patience: float = Field(120.0, ge=0, description="seconds to wait for endpoints that went away")
    truncation: Literal["continue", "retry", "keep"] = Field(
        "continue", description="what to do with a completion that was cut off at its limit"
    )
    context: int | None = Field(None, ge=256, description="tokens that the model can read; default: no limit")
    tokenizer: str | None = Field(
        None, description="its tokenizer, a name or folder for transformers; default: an estimate"
    )
    speed: float | None = Field(
        None, gt=0, description="tokens a second that the endpoints write together, for estimates"
    )
    logprobs: bool = Field(False, description="ask for log-probabilities, which help to pick hypotheses")
    omit: tuple[str, ...] = Field((), description="parameters that the model refuses, such as temperature")
    prices: Mapping[str, Price] = Field(
        default_factory=dict,
        description="US dollars per million tokens, by model, where the table lacks them",
    )


class BudgetSettings(_Group):
    """What may be spent on each task and, with `run_`, on all together. Default: no limit."""

    tokens: int | None = Field(None, ge=1, description="tokens for a task, read and written")
    completion_tokens: int | None = Field(None, ge=1, description="tokens for a task, written")
    seconds: float | None = Field(None, gt=0, description="seconds for a task")
    money: float | None = Field(None, gt=0, description="US dollars for a task")
    programs: int | None = Field(None, ge=1, description="programs for a task")
    run_tokens: int | None = Field(None, ge=1, description="tokens for the run, read and written")
    run_completion_tokens: int | None = Field(None, ge=1, description="tokens for the run, written")
    run_seconds: float | None = Field(None, gt=0, description="seconds for the run, anew when it is resumed")
    run_money: float | None = Field(None, gt=0, description="US dollars for the run")
    run_programs: int | None = Field(None, ge=1, description="programs for the run")

    @property
    def task(self) -> Budget:
        """The budget of one task."""
        return Budget(self.tokens, self.completion_tokens, self.seconds, self.money, self.programs)

    @property
    def run(self) -> Budget:
        """The budget of the whole run."""
        return Budget(
            self.run_tokens,
            self.run_completion_tokens,
            self.run_seconds,
            self.run_money,
            self.run_programs,
        )


class RunSettings(_Group):
    """Where runs are kept, and how long."""

    directory: Path = Field(
        default_factory=lambda: platformdirs.user_data_path("induce") / "runs",
        description="where runs go that are not given a name",
    )
    retention_days: float = Field(30.0, gt=0, description="age at which `induce runs gc` deletes them")


MemoryMode = Literal["off", "frozen", "learn"]
"""What a run does with the memory."""


class MemorySettings(_Group):
    """Where concepts are kept that outlive a task."""

    address: str = Field(
        default_factory=lambda: str(platformdirs.user_data_path("induce") / "memory.sqlite"),
        description="a file, or postgresql+psycopg://USER@HOST/DATABASE",
    )
    mode: MemoryMode = Field(
        "off",
        description="off; frozen: recall what is there as a run begins; learn: also keep what tasks teach",
    )
    batch: int | None = Field(
        None, ge=1, description="tasks after which what they taught is recalled; default: as the recipe says"
    )
    clock: int | None = Field(
        None, ge=0, description="recall, frozen, what was learned before that many tasks; default: all"
    )
    concepts: int = Field(300, ge=1, description="concepts recalled for a task, of which a model sees a few")
    embedder: str | None = Field(
        None,
        description="model2vec:NAME, sentence-transformers:NAME or vllm:NAME@URL, to find by vectors, too",
    )


class ClusterSettings(_Group):
    """How batches are spread over a Ray cluster."""

    address: str | None = Field(
        None, description="auto, local, HOST:PORT or ray://HOST:PORT; default: RAY_ADDRESS, or else local"
    )
    workers: int | None = Field(
        None, ge=1, description="solver processes; default: as many as there is room for"
    )
    cpus: float = Field(1.0, gt=0, description="CPUs of a worker, and programs at a time in its sandbox")
    results: str | None = Field(
        None, description="where solutions are also written as Parquet: a folder, s3://…, gs://…"
    )


class Settings(BaseSettings):
    """All settings, resolved."""

    model_config = SettingsConfigDict(
        env_prefix="INDUCE_", env_nested_delimiter="__", frozen=True, extra="forbid"
    )

    limits: Limits = Field(default_factory=Limits)
    sandbox: SandboxSettings = Field(default_factory=SandboxSettings)
    search: SearchSettings = Field(default_factory=SearchSettings)
    solver: SolverSettings = Field(default_factory=SolverSettings)
    model: ModelSettings = Field(default_factory=ModelSettings)
    budget: BudgetSettings = Field(default_factory=BudgetSettings)
    runs: RunSettings = Field(default_factory=RunSettings)
    memory: MemorySettings = Field(default_factory=MemorySettings)
    cluster: ClusterSettings = Field(default_factory=ClusterSettings)
    recipe: Recipe | None = Field(
        None, description="a recipe of one's own, in place of the one that solver.recipe names"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put flags before the environment before the file."""
        from_file = InitSettingsSource(settings_cls, init_kwargs=_read_file())
        return init_settings, env_settings, from_file


def resolve_settings(flags: Mapping[str, Mapping[str, Any]] | None = None) -> Settings:
    """Resolve all settings; ``flags`` are the user's, by group, and those that are ``None`` are left out.

    Raises ``SettingsError`` that names the setting and its value.
    """
    given = {
        group: {name: value for name, value in values.items() if value is not None}
        for group, values in (flags or {}).items()
    }
    try:
        return Settings(**{group: values for group, values in given.items() if values})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            raise SettingsError(f"there is no setting {name} (in {origin_of(name)})") from error
        group, _, member = name.partition(".")
        where = "the command line" if member in given.get(group, {}) else origin_of(name)
        raise SettingsError(
            f"the setting {name} cannot be {first['input']!r} (from {where}): {first['msg']}"
        ) from error


def origin_of(name: str) -> str:
    """Say where the value of a setting such as ``search.seconds`` comes from, flags aside."""
    group, _, member = name.partition(".")
    variable = environment_variable(name)
    if variable in os.environ:
        return variable
    in_file = _read_file().get(group, {})
    if isinstance(in_file, dict) and (member in in_file or not member):
        return str(settings_file())
    return "the default"


def environment_variable(name: str) -> str:
    """Give the environment variable of a setting such as ``search.seconds``."""
    return f"INDUCE_{name.replace('.', '__')}".upper()


def settings_file() -> Path | None:
    """Give the ``induce.toml`` in force: the nearest in this folder or above, else the user's own."""
    here = Path.cwd()
    places = [*(folder / FILE_NAME for folder in (here, *here.parents)), user_settings_file()]
    return next((place for place in places if place.is_file()), None)


def user_settings_file() -> Path:
    """Give the place of the user's own settings file, whether or not there is one."""
    return platformdirs.user_config_path("induce") / FILE_NAME


def _read_file() -> dict[str, Any]:
    path = settings_file()
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"cannot read the settings in {path}: {error}") from error
