"""A model as the steps see it: ask for samples of a prompt, get completions."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from hypotheses.budget import Ledger
from hypotheses.hypothesis import Completion
from hypotheses.models.chat import ChatRequest, ContextOverflowError, Message
from hypotheses.prompts import Prompts
from hypotheses.proposer import Request
from hypotheses.recipes.recipe import Step

_SHORTER = 0.75
"""By how much a prompt is made shorter, each time that a server says it is too long."""

_SHORTENINGS = 8


class Sampler(Protocol):
    """Gives samples of a prompt: a ``ModelClient``."""

    def sample(self, request: ChatRequest, ledger: Ledger) -> AsyncGenerator[Completion, None]:
        """Yield the completions that the ledger allows, in the order of their samples."""
        ...


@dataclass(frozen=True, slots=True)
class Model:
    """A client with the prompts that suit its model."""

    client: Sampler
    prompts: Prompts

    async def ask(
        self,
        kind: str,
        write: Callable[[Prompts, int], tuple[Message, ...]],
        step: Step,
        request: Request,
        n: int,
        *,
        first: int = 0,
        rule: str = "",
        schema: str = "",
    ) -> AsyncGenerator[Completion, None]:
        """Yield up to ``n`` completions of the prompt that ``write`` gives, the samples from ``first`` on.

        ``write`` is given the prompts and the tokens to leave room for. Where the server says that the prompt
        is too long, it is written again for a smaller context.
        """
        prompts = self.prompts
        for attempt in range(_SHORTENINGS + 1):
            chat = ChatRequest(
                kind,
                write(prompts, step.max_tokens),
                step.sampling(schema if prompts.options.structured else ""),
                n=n,
                first=first,
                task_id=request.task.id,
                round=request.round,
                rule=rule,
            )
            try:
                async with aclosing(self.client.sample(chat, request.ledger)) as completions:
                    async for completion in completions:
                        yield completion
            except ContextOverflowError as overflow:
                if attempt == _SHORTENINGS:
                    raise
                # Tokens are estimated, so even a limit that the server tells is approached step by step.
                most = None if overflow.limit is None else int(overflow.limit * _SHORTER**attempt)
                prompts = prompts.shortened(chat.messages, step.max_tokens, _SHORTER, most)
            else:
                return


def complete(completion: Completion) -> bool:
    """Whether a completion ended of its own accord; one that was cut off is never read."""
    return completion.finish != "length"
