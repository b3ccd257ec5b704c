"""What turns texts into vectors: models in this process, or on a server."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sandboxes import MemoryStoreError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float32]

_HOW = (
    "write model2vec:NAME_OR_FOLDER, sentence-transformers:NAME_OR_FOLDER, openai:NAME, "
    "or vllm:NAME@http://127.0.0.1:8000/v1 for a server"
)
_ADDRESS = re.compile(r"(?P<provider>[\w-]+):(?!//)(?P<name>\S.*?)(?:@(?P<url>https?://\S+))?")


class Embedder(Protocol):
    """Turns texts into vectors, of which those of like meaning are near each other.

    ``name`` says with what, and which version of it: vectors are compared with those of the same name alone.
    """

    @property
    def name(self) -> str:
        """What vectors are stored under."""
        ...

    def embed(self, texts: Sequence[str]) -> Matrix:
        """Give a row of unit length for each text, or of zeros for one that says nothing.

        Raises ``MemoryStoreError`` that says what to do.
        """
        ...


def open_embedder(spec: str) -> Embedder:
    """Open a model by its address: ``PROVIDER:NAME``, or ``PROVIDER:NAME@URL`` for a server of one's own.

    ``model2vec`` and ``sentence-transformers`` run in this process, and take a folder too; ``openai`` and
    ``vllm`` are servers that speak OpenAI's protocol. Raises ``MemoryStoreError`` where there is none.
    """
    address = _ADDRESS.fullmatch(spec.strip())
    if address is None:
        raise MemoryStoreError(f"{spec!r} names no embedder: {_HOW}")
    provider, name, url = address["provider"].lower().replace("-", "_"), address["name"], address["url"]
    if provider in ("openai", "vllm"):
        from memory.embedding_server import EmbeddingServer  # noqa: PLC0415  httpx may not be there

        return EmbeddingServer(provider, name, url)
    if provider not in ("model2vec", "sentence_transformers"):
        raise MemoryStoreError(f"there is no provider {address['provider']!r} of embedders: {_HOW}")
    if url is not None:
        raise MemoryStoreError(f"{address['provider']} runs in this process and has no URL: {_HOW}")
    return _Model2Vec(name) if provider == "model2vec" else _SentenceTransformers(name)


def unit(rows: Sequence[Sequence[float]] | npt.NDArray[Any]) -> Matrix:
    """Give rows their direction with a length of one; zeros stay zeros."""
    import numpy as np  # noqa: PLC0415  slow to load

    wide = np.asarray(rows, dtype=np.float64).reshape(len(rows), -1 if len(rows) else 0)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    scaled: Matrix = (wide / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return scaled


class _Model2Vec:
    """Static vectors of tokens, averaged: no network of layers, and so by far the fastest."""

    def __init__(self, name: str) -> None:
        try:
            from model2vec import StaticModel  # noqa: PLC0415  an extra
        except ImportError as error:
            raise MemoryStoreError(
                "model2vec is missing, which embeds texts: pip install 'induce[dense]'"
            ) from error
        try:
            self._model = StaticModel.from_pretrained(_place(name), force_download=False)
        except Exception as error:
            raise _unopened("model2vec", name, error) from error
        weights = [self._model.embedding, *_there(self._model.weights, self._model.token_mapping)]
        vocabulary = self._model.tokenizer.to_str().encode()
        self.name = f"model2vec:{_label(name)}#{_fingerprint([vocabulary, *map(_bytes, weights)])}"

    def embed(self, texts: Sequence[str]) -> Matrix:
        """Give a row of unit length for each text."""
        return unit(self._model.encode(list(texts), use_multiprocessing=False) if texts else [])


class _SentenceTransformers:
    """Transformers of sentences, on whatever device there is."""

    def __init__(self, name: str) -> None:
        try:
            from sentence_transformers import SentenceTransformer  # noqa: PLC0415  an extra
        except ImportError as error:
            raise MemoryStoreError(
                "sentence-transformers is missing, which embeds texts: "
                "pip install 'induce[sentence-transformers]'"
            ) from error
        try:
            self._model = SentenceTransformer(_place(name))
        except Exception as error:
            raise _unopened("sentence-transformers", name, error) from error
        weights = (tensor for _, tensor in sorted(self._model.state_dict().items()))
        parts = (_bytes(tensor.detach().cpu().float().numpy()) for tensor in weights)
        self.name = f"sentence-transformers:{_label(name)}#{_fingerprint(parts)}"

    def embed(self, texts: Sequence[str]) -> Matrix:
        """Give a row of unit length for each text."""
        return unit(self._model.encode(list(texts), show_progress_bar=False) if texts else [])


def _place(name: str) -> str:
    folder = Path(name).expanduser()
    return str(folder) if folder.is_dir() else name


def _label(name: str) -> str:
    """Give the name of a folder without the way to it, which is another elsewhere."""
    folder = Path(name).expanduser()
    return Path(os.path.abspath(folder)).name if folder.is_dir() else name


def _fingerprint(parts: Iterable[bytes]) -> str:
    """Tell versions of a model apart by what it is made of, wherever it lies."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()[:12]


def _bytes(array: npt.NDArray[Any]) -> bytes:
    return array.tobytes()


def _there(*arrays: npt.NDArray[Any] | None) -> list[npt.NDArray[Any]]:
    return [array for array in arrays if array is not None]


def _unopened(provider: str, name: str, error: Exception) -> MemoryStoreError:
    said = " ".join(str(error).split()) or type(error).__name__
    return MemoryStoreError(
        f"cannot open the embedder {provider}:{name}: {said[:300]}; "
        "name a folder that holds one, or a model that can be downloaded"
    )
