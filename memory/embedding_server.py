"""Vectors from a server that speaks OpenAI's protocol, such as vLLM."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from memory.embedding import unit
from memory.indexing import in_chunks
from sandboxes import MemoryStoreError

if TYPE_CHECKING:
    import httpx

    from memory.embedding import Matrix

_URLS = {"openai": "https://api.openai.com/v1", "vllm": "http://127.0.0.1:8000/v1"}
_KEYS = {"openai": "OPENAI_API_KEY", "vllm": "INDUCE_MODEL_API_KEY"}
"""Where the key is, as for language models: a server of one's own is not sent OpenAI's."""

TRIES = 4
_AT_A_TIME = 64
_SECONDS = 60.0
_LONGEST_PAUSE = 30.0


class EmbeddingServer:
    """Asks ``URL/embeddings``, again after a pause where the server is busy or fails.

    Its name leaves the URL out: a model is the same wherever it is served, and is told from others by what
    the server calls it. ``pause`` is how many seconds pass before the second try; it doubles.
    """

    def __init__(self, provider: str, model: str, url: str | None = None, *, pause: float = 1.0) -> None:
        self.name = f"{provider}:{model}"
        self._model = model
        self._url = _embeddings_url(url or _URLS[provider])
        self._key_name = _KEYS[provider]
        self._pause = pause
        _httpx()

    def embed(self, texts: Sequence[str]) -> Matrix:
        """Give a row of unit length for each text."""
        key = os.environ.get(self._key_name)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        rows: list[list[float]] = []
        with _httpx().Client(headers=headers, timeout=_SECONDS) as client:
            for some in in_chunks(texts, _AT_A_TIME):
                rows += self._read(self._ask(client, some), len(some))
        if len(set(map(len, rows))) > 1:
            raise self._failed("it answered with vectors of different lengths")
        return unit(rows)

    def _ask(self, client: httpx.Client, texts: list[str]) -> httpx.Response:
        asked = {"model": self._model, "input": texts, "encoding_format": "float"}
        pause, trouble = self._pause, ""
        for tries_left in reversed(range(TRIES)):
            wish = 0.0
            try:
                answer = client.post(self._url, json=asked)
            except _httpx().TransportError as error:
                trouble = str(error) or type(error).__name__
            else:
                if answer.status_code == 200:
                    return answer
                trouble = f"it answered {answer.status_code}: {_said(answer)}"
                if answer.status_code != 429 and answer.status_code < 500:
                    raise self._failed(trouble)
                wish = _seconds(answer.headers.get("Retry-After", ""))
            if tries_left:
                time.sleep(min(max(pause, wish), _LONGEST_PAUSE))
                pause *= 2
        raise self._failed(f"{trouble} (after {TRIES} tries)")

    def _read(self, answer: httpx.Response, number: int) -> list[list[float]]:
        """Give the vectors in the order of the texts, whatever order they came in."""
        try:
            rows = {
                int(one["index"]): [float(part) for part in one["embedding"]] for one in answer.json()["data"]
            }
        except (ValueError, TypeError, KeyError) as error:
            raise self._failed(f"its answer is none of OpenAI's protocol: {error!r}") from error
        if sorted(rows) != list(range(number)) or not all(rows.values()):
            raise self._failed(f"it answered with {len(rows)} vectors for {number} texts")
        return [rows[index] for index in range(number)]

    def _failed(self, what: str) -> MemoryStoreError:
        return MemoryStoreError(
            f"the embedder {self.name} at {self._url} failed: {what}; "
            f"check that it serves this model, and the key in {self._key_name} if it asks for one"
        )


def _embeddings_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or "@" in url or parts.query or parts.fragment:
        # It is not shown, as it may hold a password.
        raise MemoryStoreError(
            f"this is not the base URL of a server of embeddings: write one such as {_URLS['vllm']}, without "
            "a user or a query, and put a key into the environment"
        )
    path = parts.path.rstrip("/").removesuffix("/embeddings").rstrip("/") or "/v1"
    return f"{parts.scheme}://{parts.netloc}{path}/embeddings"


def _said(answer: httpx.Response) -> str:
    """Give what a server says is wrong, in one line."""
    try:
        found: Any = answer.json()
        said = found.get("message") or found["error"]
        said = said["message"] if isinstance(said, dict) else said
    except (ValueError, TypeError, KeyError, AttributeError):
        said = answer.text
    return " ".join(str(said).split())[:300] or answer.reason_phrase


def _seconds(wish: str) -> float:
    return float(wish) if wish.isdecimal() else 0.0


def _httpx() -> Any:
    try:
        import httpx  # noqa: PLC0415  an extra
    except ImportError as error:
        raise MemoryStoreError(
            "httpx is missing, which speaks to servers of embeddings: pip install 'induce[models]'"
        ) from error
    return httpx
