"""A model that says what a script says: for tests of what is made of its answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

from hypotheses.budget import Cost, Ledger
from hypotheses.hypothesis import Completion
from hypotheses.models.chat import ChatRequest, request_key

Script = Callable[[ChatRequest, int], str | Completion | None]


class ScriptedModel:
    """A ``Sampler`` whose completions come from ``script(request, sample)``; ``None`` ends a request."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[ChatRequest] = []

    async def sample(self, request: ChatRequest, ledger: Ledger) -> AsyncGenerator[Completion, None]:
        self.asked.append(request)
        for sample in range(request.first, request.first + request.n):
            async with ledger.reserve(1, Cost(0), Cost(0, request.sampling.max_tokens)) as granted:
                said = self.script(request, sample) if granted else None
            if said is None:
                return
            completion = said if isinstance(said, Completion) else self.completion(request, sample, said)
            ledger.charge(completion)
            yield completion

    @staticmethod
    def completion(request: ChatRequest, sample: int, text: str, finish: str = "stop") -> Completion:
        return Completion(
            request.kind,
            request.prompt,
            text,
            "scripted",
            request.sampling.temperature,
            sample,
            completion_tokens=len(text.split()),
            key=request_key("scripted", request),
            finish=finish,
        )
