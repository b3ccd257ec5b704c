"""The REST API of a Ray cluster, as much of it as serving models takes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ray_jobs.serving.plan import ANY_GPU
from sandboxes.errors import ClusterError

if TYPE_CHECKING:
    import httpx

REDACTED = "<redacted>"
"""Stands in Ray's answers where it keeps secrets from browsers."""

_KIND = "accelerator_type:"
_APPLICATIONS = "/api/serve/applications/"


@dataclass(frozen=True, slots=True)
class ServeState:
    """What Ray Serve runs on a cluster: its applications by name, as it tells of them.

    ``http_port`` is where it listens, ``None`` where it does not run yet; ``options`` are what a new config
    must repeat for nothing else to change.
    """

    applications: Mapping[str, Mapping[str, Any]]
    http_port: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


class ServeApi:
    """The dashboard of a cluster. Whatever it refuses is a ``ClusterError`` that names the cure."""

    def __init__(self, url: str, *, timeout: float = 30.0) -> None:
        # Imported here: `induce` is imported without it.
        try:
            import httpx  # noqa: PLC0415
        except ImportError:
            raise ClusterError('asking a cluster needs httpx: pip install "induce[ray]"') from None

        self.url = url
        token, self._token_place = _token()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=timeout)

    def __enter__(self) -> ServeApi:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def state(self) -> ServeState:
        """Ask what runs."""
        told = self._object(self._ask("GET", _APPLICATIONS), "applications")
        http = told.get("http_options") or {}
        options = {
            name: told[name]
            for name in ("proxy_location", "http_options", "grpc_options", "target_capacity")
            if told.get(name) is not None
        }
        return ServeState(told["applications"], http.get("port"), options)

    def deploy(self, config: Mapping[str, Any]) -> None:
        """Have Ray Serve run the applications of this config, and no others that were deployed by one."""
        self._ask("PUT", _APPLICATIONS, config)

    def gpus(self) -> dict[str, int]:
        """Count the GPUs that the cluster has now, by kind; ``any`` are those that do not say theirs."""
        answer = self._object(self._ask("GET", "/api/v0/nodes?detail=1&limit=10000"), "data")
        counts: Counter[str] = Counter()
        try:
            for node in answer["data"]["result"]["result"]:
                resources = node["resources_total"] or {}
                if node["state"] == "ALIVE" and resources.get("GPU"):
                    kinds = [name.removeprefix(_KIND) for name in resources if name.startswith(_KIND)]
                    counts[kinds[0] if kinds else ANY_GPU] += int(resources["GPU"])
        except (LookupError, TypeError, AttributeError, ValueError):
            raise ClusterError(f"{self.url} tells of its nodes in another way than Ray 2.60 does") from None
        return dict(counts)

    def _object(self, response: httpx.Response, field_name: str) -> dict[str, Any]:
        try:
            told = response.json()
        except ValueError:
            told = None
        if not isinstance(told, dict) or not isinstance(told.get(field_name), dict):
            raise ClusterError(
                f"what answers at {self.url} is no Ray dashboard; write its URL, such as http://HEAD:8265"
            )
        return told

    def _ask(self, method: str, path: str, content: object = None) -> httpx.Response:
        import httpx  # noqa: PLC0415 - as above

        try:
            response = self._client.request(method, path, json=content)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            raise ClusterError(
                f"the Ray dashboard at {self.url} cannot be reached: {reason}; "
                "start the cluster, or write its URL as `address:`"
            ) from error
        if response.status_code in (401, 403):
            given = (
                f"the token from {self._token_place} is wrong" if self._token_place else "a token is wanted"
            )
            raise ClusterError(
                f"the cluster at {self.url} refuses us: {given}; "
                "set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH (`ray get-auth-token`, on its head, prints it)"
            )
        if response.status_code == 501:
            raise ClusterError(f'the cluster at {self.url} lacks Ray Serve: pip install "ray[serve]" there')
        if response.status_code != 200:
            said = " ".join(response.text.split())[:400] or "nothing"
            raise ClusterError(
                f"the cluster at {self.url} answers {method} {path} with {response.status_code}: {said}; "
                "see the log dashboard.log on its head"
            )
        return response


def _token() -> tuple[str, str]:
    """Find the token of the cluster as Ray does, and say where it was; both are empty where there is none."""
    if os.environ.get("RAY_AUTH_MODE", "token") == "disabled":
        return "", ""
    if token := os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return token, "RAY_AUTH_TOKEN"
    named = os.environ.get("RAY_AUTH_TOKEN_PATH", "")
    path = Path(named) if named else Path.home() / ".ray" / "auth_token"
    try:
        return path.read_text(encoding="utf-8").strip(), str(path)
    except (OSError, ValueError) as error:
        if named:
            raise ClusterError(
                f"RAY_AUTH_TOKEN_PATH names {path}, which cannot be read; name the file with the token"
            ) from error
        return "", ""
