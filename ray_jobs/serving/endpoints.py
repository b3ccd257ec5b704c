"""Servers that somebody else runs: whether they answer, and have the model that the file says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ray_jobs.serving.cluster_file import ExternalModel
from sandboxes.errors import ClusterError

if TYPE_CHECKING:
    import httpx

KEY_VARIABLE = "INDUCE_MODEL_API_KEY"
"""Holds the key of servers of one's own, as it does when models are asked."""


@dataclass(frozen=True, slots=True)
class EndpointState:
    """Whether an endpoint can be used for its model; ``detail`` says why not, and what to do."""

    url: str
    usable: bool
    detail: str


def check_endpoints(model: ExternalModel, *, timeout: float = 10.0) -> Iterator[EndpointState]:
    """Ask each endpoint of a model which models it has."""
    # Imported here: `induce` is imported without it.
    try:
        import httpx  # noqa: PLC0415
    except ImportError:
        raise ClusterError('asking endpoints needs httpx: pip install "induce[ray]"') from None

    key = os.environ.get(KEY_VARIABLE, "")
    with httpx.Client(headers={"Authorization": f"Bearer {key}"} if key else {}, timeout=timeout) as client:
        for url in model.endpoints:
            try:
                response = client.get(f"{url}/models")
            except httpx.HTTPError as error:
                reason = str(error) or type(error).__name__
                yield EndpointState(url, False, f"cannot be reached: {reason}; is a server running there?")
                continue
            yield _judge(model, url, response)


def _judge(model: ExternalModel, url: str, response: httpx.Response) -> EndpointState:
    if response.status_code in (401, 403):
        return EndpointState(url, False, f"refuses us; set its key as {KEY_VARIABLE}")
    try:
        response.raise_for_status()
        names = [str(one["id"]) for one in response.json()["data"]]
    except Exception:  # whatever is amiss with it, it is none
        return EndpointState(
            url,
            False,
            f"is no server in OpenAI's protocol ({response.status_code}); does its URL end in /v1?",
        )
    if model.name not in names:
        listed = ", ".join(names[:10]) or "none"
        return EndpointState(url, False, f"does not have {model.name}, but {listed}; write that as its name")
    return EndpointState(url, True, "has the model")
