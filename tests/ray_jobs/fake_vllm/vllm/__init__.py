"""As much of vLLM as Ray Serve needs to build and run an application: its names, and an engine that echoes.

The arguments of the engine are those of vLLM's own that our configs write, and nothing else: any other
name is refused by Ray as it would be with vLLM.
"""

import dataclasses
import sys
from types import ModuleType
from typing import Any

from pydantic import BaseModel, ConfigDict


@dataclasses.dataclass
class AsyncEngineArgs:
    model: str = ""
    served_model_name: Any = None
    tensor_parallel_size: int = 1
    pipeline_parallel_size: int = 1
    max_model_len: int | None = None
    enable_prefix_caching: bool | None = None
    speculative_config: dict[str, Any] | None = None
    kv_cache_dtype: str = "auto"
    enable_lora: bool = False
    max_loras: int = 1
    max_lora_rank: int = 16
    max_num_seqs: int | None = None
    gpu_memory_utilization: float = 0.9
    quantization: str | None = None
    dtype: str = "auto"
    distributed_executor_backend: str | None = None
    enable_log_requests: bool = False


@dataclasses.dataclass
class FrontendArgs:
    enable_auto_tool_choice: bool = False


class VLLMClientError(Exception):
    """What a client did wrong."""


def _message(name: str) -> type[BaseModel]:
    fields: dict[str, Any] = {
        "__module__": __name__,
        "model_config": ConfigDict(extra="allow"),
        "__annotations__": {"model": str | None, "stream": bool | None},
        "model": None,
        "stream": False,
    }
    return type(name, (BaseModel,), fields)


_MESSAGES = {
    "entrypoints.openai.chat_completion.protocol": (
        "ChatCompletionRequest ChatCompletionResponse ChatCompletionStreamResponse"
    ),
    "entrypoints.openai.completion.protocol": "CompletionRequest CompletionResponse CompletionStreamResponse",
    "entrypoints.pooling.embed.protocol": "EmbeddingChatRequest EmbeddingCompletionRequest EmbeddingResponse",
    "entrypoints.pooling.scoring.protocol": "ScoreResponse ScoreTextRequest",
    "entrypoints.serve.engine.protocol": "ErrorInfo ErrorResponse",
    "entrypoints.serve.tokenize.protocol": (
        "DetokenizeRequest DetokenizeResponse TokenizeChatRequest TokenizeCompletionRequest TokenizeResponse"
    ),
    "entrypoints.speech_to_text.transcription.protocol": (
        "TranscriptionRequest TranscriptionResponse TranscriptionStreamResponse"
    ),
}
_NAMES: dict[str, dict[str, Any]] = {
    "engine.arg_utils": {"AsyncEngineArgs": AsyncEngineArgs},
    "entrypoints.launchers.cli_args": {"FrontendArgs": FrontendArgs},
    "exceptions": {"VLLMClientError": VLLMClientError},
    **{path: {name: _message(name) for name in names.split()} for path, names in _MESSAGES.items()},
}

for _path, _names in _NAMES.items():
    _at = __name__
    for _step in _path.split("."):
        _parent, _at = _at, f"{_at}.{_step}"
        if _at not in sys.modules:
            sys.modules[_at] = ModuleType(_at)
            sys.modules[_at].__path__ = []
            setattr(sys.modules[_parent], _step, sys.modules[_at])
    vars(sys.modules[_at]).update(_names)
