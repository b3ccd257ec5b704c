"""The file that says which models a cluster serves: what it may say, and how it is read."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from hypotheses.models.address import VLLM_URL, ModelAddress
from ray_jobs.serving.accelerators import GPU_MEMORY
from ray_jobs.serving.yaml_files import read_yaml
from sandboxes.errors import ClusterError, ModelError

APPLICATION = "induce-models"
"""What the application on Ray Serve is called, unless the file says otherwise."""

_REMOTE = ("s3://", "gs://", "abfss://", "azure://")
_PARAMETERS = r"(?:(\d+)x)?(\d+(?:\.\d+)?)([MBT])"

# What vLLM calls that for which a model has a field here.
_FIELDS = {
    "tensor_parallel_size": "tensor_parallel",
    "pipeline_parallel_size": "pipeline_parallel",
    "max_model_len": "max_model_len",
    "enable_prefix_caching": "prefix_caching",
    "speculative_config": "speculative",
    "kv_cache_dtype": "kv_cache_dtype",
    "enable_lora": "lora",
    "max_loras": "lora.max_adapters",
    "max_lora_rank": "lora.max_rank",
    "model": "source",
    "served_model_name": "name",
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Replicas(_Strict):
    """How many copies run: between two numbers, so that each has about so many requests at a time."""

    min: int = Field(default=1, ge=0)
    max: int = Field(default=1, ge=1)
    target_ongoing_requests: int = Field(default=64, ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> Replicas:
        if self.min > self.max:
            raise ValueError(f"min is {self.min} and max is {self.max}; make max at least {self.min}")
        return self


class Speculative(_Strict):
    """How vLLM guesses tokens ahead: by n-grams of the prompt, or with a small ``model``."""

    method: str = Field(min_length=1)
    num_speculative_tokens: int = Field(ge=1)
    model: str | None = None
    prompt_lookup_min: int | None = Field(default=None, ge=1)
    prompt_lookup_max: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _consistent(self) -> Speculative:
        if self.method == "ngram":
            if self.model:
                raise ValueError("ngram guesses without a model; leave out model, or name another method")
        elif self.prompt_lookup_min or self.prompt_lookup_max:
            raise ValueError(f"prompt_lookup_* are for ngram, not for {self.method}; leave them out")
        return self


class Lora(_Strict):
    """Adapters in a cloud's storage, each loaded when it is first asked for, as ``NAME:ADAPTER``."""

    folder: str
    max_adapters: int = Field(default=4, ge=1)
    max_rank: int = Field(default=16, ge=1)

    @field_validator("folder")
    @classmethod
    def _remote(cls, folder: str) -> str:
        if not folder.startswith(_REMOTE):
            raise ValueError(f"Ray loads adapters from {', '.join(_REMOTE)} alone; put the folder there")
        return folder.rstrip("/")


def _how_many(replicas: object) -> str:
    return "scaled" if isinstance(replicas, dict | Replicas) else "fixed"


class ServedModel(_Strict):
    """A model that the cluster is to serve with vLLM.

    ``source`` is where the weights come from: a name on the Hugging Face hub, a folder that all nodes see, or
    one in a cloud's storage. ``engine_kwargs`` are passed on to vLLM. ``parameters`` (``"7B"``) and
    ``gpu_memory`` (GB) serve the estimate of the memory alone, where names do not tell them.
    """

    name: str
    source: str | None = Field(default=None, min_length=1)
    tensor_parallel: int = Field(default=1, ge=1)
    pipeline_parallel: int = Field(default=1, ge=1)
    replicas: Annotated[
        Annotated[int, Field(ge=1), Tag("fixed")] | Annotated[Replicas, Tag("scaled")],
        Discriminator(_how_many),
    ] = 1
    accelerator: str | None = None
    max_model_len: int | None = Field(default=None, ge=1)
    prefix_caching: bool = True
    routing: Literal["balanced", "prefix"] = "balanced"
    speculative: Speculative | None = None
    kv_cache_dtype: str | None = Field(default=None, min_length=1)
    lora: Lora | None = None
    engine_kwargs: dict[str, Any] = {}
    parameters: str | None = None
    gpu_memory: float | None = Field(default=None, gt=0)

    @field_validator("name")
    @classmethod
    def _addressable(cls, name: str) -> str:
        return _checked_name(name)

    @field_validator("accelerator")
    @classmethod
    def _known(cls, accelerator: str | None) -> str | None:
        if accelerator is None or accelerator in GPU_MEMORY:
            return accelerator
        close = difflib.get_close_matches(accelerator.upper(), GPU_MEMORY, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]}?" if close else f"it knows {', '.join(GPU_MEMORY)}"
        raise ValueError(f"Ray knows no GPU {accelerator!r}; {hint}")

    @field_validator("parameters")
    @classmethod
    def _countable(cls, parameters: str | None) -> str | None:
        if parameters is not None and not re.fullmatch(_PARAMETERS, parameters, re.IGNORECASE):
            raise ValueError(f"{parameters!r} is no number of parameters; write one such as 7B or 360M")
        return parameters

    @field_validator("engine_kwargs")
    @classmethod
    def _said_once(cls, values: dict[str, Any]) -> dict[str, Any]:
        for key, value in values.items():
            if key in _FIELDS:
                raise ValueError(f"{key} is not for engine_kwargs; write it as {_FIELDS[key]}")
            if key == "distributed_executor_backend" and value != "ray":
                raise ValueError(f"{key} must be ray on a Ray cluster; leave it out")
        return values

    @model_validator(mode="after")
    def _consistent(self) -> ServedModel:
        if self.routing == "prefix" and not self.prefix_caching:
            raise ValueError(
                "routing: prefix is of no use without prefixes that are kept; set prefix_caching"
            )
        return self

    @property
    def min_replicas(self) -> int:
        """How many copies run at least."""
        return self.replicas.min if isinstance(self.replicas, Replicas) else self.replicas

    @property
    def max_replicas(self) -> int:
        """How many copies run at most."""
        return self.replicas.max if isinstance(self.replicas, Replicas) else self.replicas

    @property
    def gpus_per_replica(self) -> int:
        """How many GPUs one copy takes."""
        return self.tensor_parallel * self.pipeline_parallel

    @property
    def parameter_count(self) -> float | None:
        """How many parameters the model has, by ``parameters`` or by its name."""
        text = self.parameters or f"{self.name} {self.source or ''}"
        found = re.search(rf"(?<![A-Za-z0-9.]){_PARAMETERS}(?![A-Za-z0-9])", text, re.IGNORECASE)
        if found is None:
            return None
        experts, number, unit = found.groups()
        return int(experts or 1) * float(number) * {"M": 1e6, "B": 1e9, "T": 1e12}[unit.upper()]


class ExternalModel(_Strict):
    """A model that somebody else serves, at one or several URLs. Nothing is deployed for it."""

    name: str
    endpoints: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]

    @field_validator("name")
    @classmethod
    def _addressable(cls, name: str) -> str:
        return _checked_name(name)

    @field_validator("endpoints")
    @classmethod
    def _in_full(cls, endpoints: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_checked_url(url) for url in endpoints)


def _kind(model: object) -> str:
    external = "endpoints" in model if isinstance(model, dict) else isinstance(model, ExternalModel)
    return "external" if external else "served"


class ClusterFile(_Strict):
    """A cluster, and the models that it serves.

    ``address`` is the URL of its dashboard; ``auto`` is what the environment says, or this machine's.
    ``application`` is what Ray Serve calls all these models together, and ``route_prefix`` the path under
    which they answer: two files need two of each. ``url`` is where clients reach Ray Serve, where that is
    not ``http_port`` of the dashboard's host.
    """

    address: str | None = None
    application: str = Field(default=APPLICATION, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    route_prefix: str = "/"
    http_port: int = Field(default=8000, ge=1, le=65535)
    url: str | None = None
    models: Annotated[
        tuple[
            Annotated[
                Annotated[ServedModel, Tag("served")] | Annotated[ExternalModel, Tag("external")],
                Discriminator(_kind),
            ],
            ...,
        ],
        Field(min_length=1, strict=False),
    ]

    @field_validator("address")
    @classmethod
    def _dashboard(cls, address: str | None) -> str | None:
        if address is None or address == "auto":
            return address
        if urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).hostname:
            raise ValueError(f"{address!r} is no dashboard; write its URL, such as http://HEAD:8265, or auto")
        return address.rstrip("/")

    @field_validator("route_prefix")
    @classmethod
    def _path(cls, prefix: str) -> str:
        if prefix != "/" and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", prefix):
            raise ValueError(f"{prefix!r} is no path; write one such as /models, without / at its end")
        return prefix

    @field_validator("url")
    @classmethod
    def _reachable(cls, url: str | None) -> str | None:
        return None if url is None else _checked_url(url)

    @model_validator(mode="after")
    def _distinct(self) -> ClusterFile:
        names = [model.name for model in self.models]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"there are two models {twice!r}; give all their endpoints or replicas to one")
        return self

    @property
    def served(self) -> tuple[ServedModel, ...]:
        """The models to deploy."""
        return tuple(model for model in self.models if isinstance(model, ServedModel))

    @property
    def external(self) -> tuple[ExternalModel, ...]:
        """The models that are served already."""
        return tuple(model for model in self.models if isinstance(model, ExternalModel))


def read_cluster_file(path: str | Path) -> ClusterFile:
    """Read a file. Raises ``ClusterError`` that names the field that is wrong, and the cure."""
    path = Path(path)
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise ClusterError(f"{path}: this is no cluster file; begin with `models:` and a list of models")
    try:
        return ClusterFile.model_validate(values)
    except ValidationError as error:
        errors = error.errors()
        # A field that is misspelt is also missing.
        first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
        raise ClusterError(f"{path}: {_complaint(first, values)}") from error


def _complaint(error: ErrorDetails, values: dict[str, Any]) -> str:
    """Say in one line where it is wrong, and what to do."""
    where, place, kind = "", list(error["loc"]), ClusterFile.model_fields
    at: object = values
    for step in place:
        if step in ("served", "external", "fixed", "scaled"):  # which kind of a thing it was taken for
            continue
        if isinstance(step, int):
            named = at[step] if isinstance(at, list) and step < len(at) else None
            name = named.get("name") if isinstance(named, dict) else None
            where += f"[{name}]" if isinstance(name, str) else f"[{step + 1}]"
            at = named
        else:
            where += f".{step}" if where else step
            at = at.get(step) if isinstance(at, dict) else None
    fields = _fields_beside(place) or list(kind)
    if error["type"] == "extra_forbidden":
        last = str(place[-1])
        close = difflib.get_close_matches(last, fields, n=1)
        cure = f"did you mean {close[0]}?" if close else f"there are {', '.join(fields)}"
        return f"{where}: there is no such field; {cure}"
    if error["type"] == "missing":
        return f"{where}: it is missing; write `{place[-1]}:`"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "value_error":
        return f"{where}: {message}" if where else message
    found = error["input"]
    shown = "nothing" if found is None else repr(found)
    return f"{where}: {shown[:80]} cannot be: {message[:1].lower() + message[1:]}; write a value that fits"


def _fields_beside(place: list[int | str]) -> list[str]:
    """Give the fields that there are where one is that there is not."""
    inner: dict[str, type[BaseModel]] = {
        "served": ServedModel,
        "external": ExternalModel,
        "scaled": Replicas,
        "speculative": Speculative,
        "lora": Lora,
    }
    for step in reversed(place[:-1]):
        if isinstance(step, str) and step in inner:
            return list(inner[step].model_fields)
    return list(ClusterFile.model_fields)


def _checked_name(name: str) -> str:
    try:
        return ModelAddress("vllm", name).name
    except ModelError as error:
        raise ValueError(str(error)) from None


def _checked_url(url: str) -> str:
    try:
        if not url.startswith(("http://", "https://")):
            raise ModelError(f"{url!r} is not the URL of a server: write one such as {VLLM_URL}")
        return ModelAddress.parse(f"vllm:NAME@{url}").urls[0]
    except ModelError as error:
        raise ValueError(str(error)) from None
