"""A chat model that answers what it was given, and keeps what it was asked."""

from __future__ import annotations

import re

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from pydantic import Field

_FENCE = re.compile(r"(`{3,})[^`]*")


class RecordingModel(GenericFakeChatModel):
    """Gives its answers one after the other; ``asked`` are the messages of each question."""

    asked: list = Field(default_factory=list)

    def _generate(self, messages, *args, **kwargs):
        self.asked.append([(message.type, str(message.text)) for message in messages])
        return super()._generate(messages, *args, **kwargs)


def answering(*answers, tokens=None):
    """Make a model that gives these answers, and says it took ``tokens`` to read and to write, or nothing."""
    usage = None
    if tokens is not None:
        usage = {"input_tokens": tokens[0], "output_tokens": tokens[1], "total_tokens": sum(tokens)}
    return RecordingModel(messages=iter([AIMessage(one, usage_metadata=usage) for one in answers]))


def outside_fences(text):
    """What of a prompt is no data: the lines outside of fences."""
    outside, fence = [], ""
    for line in text.split("\n"):
        found = _FENCE.fullmatch(line)
        if fence:
            if line == fence:
                fence = ""
        elif found:
            fence = found[1]
        else:
            outside.append(line)
    assert not fence, "a fence is left open"
    return outside
