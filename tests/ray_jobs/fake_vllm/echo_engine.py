"""An engine for Ray Serve's LLM servers that needs no GPU and no weights: it says again what it is told."""

import os

from ray.llm._internal.serve.core.configs.openai_api_models import ChatCompletionResponse
from ray.llm._internal.serve.core.engine.protocol import LLMEngine


class EchoEngine(LLMEngine):
    def __init__(self, llm_config):
        self._name = llm_config.model_id
        self._config = llm_config

    async def start(self):
        if self._config.engine_kwargs.get("quantization") == "impossible":
            raise ValueError("vLLM knows no quantization impossible")

    async def chat(self, request, raw_request_info=None):
        said = request.messages[-1]["content"]
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        yield ChatCompletionResponse(id="1", model=self._name, choices=[choice], replica=os.getpid())

    async def check_health(self):
        pass

    def routing_stats(self):
        return {}

    async def resolve_lora(self, lora_model):
        raise NotImplementedError

    async def completions(self, request, raw_request_info=None):
        raise NotImplementedError
        yield

    async def embeddings(self, request, raw_request_info=None):
        raise NotImplementedError
        yield

    async def transcriptions(self, request, raw_request_info=None):
        raise NotImplementedError
        yield

    async def reset_prefix_cache(self):
        pass
