"""Data in prompts: in a fence that it cannot close, not too long, and free of a chat's control tokens."""

from __future__ import annotations

import re
import unicodedata

_TICKS = re.compile(r"`{3,}")

# What tokenizers of chat models may take for the end of a message, even in the middle of a text. A name like
# that in a regular expression's group, ``(?P<s>…)``, is left alone.
_CONTROL_TOKEN = re.compile(
    r"(?<!P)<(?=[|\uff5c]|/?(?:s|bos|eos|pad|unk|mask|cls|sep|think)>|/?[a-z]+(?:_[a-z0-9]+)+>|</?SYS>>)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\])"
)
_KEPT = frozenset("\n\t")
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))


def fenced(info: str, text: str, most: int) -> str:
    """Put text into a fence longer than any run of backticks in it; give nothing for text that is blank."""
    if not text.strip():
        return ""
    inside = block(text.strip("\n"), most)
    ticks = "`" * max(3, 1 + max((len(run) for run in _TICKS.findall(inside)), default=0))
    return f"{ticks}{info}\n{inside}\n{ticks}"


def block(text: str, most: int) -> str:
    """Make text of many lines fit for a fence; beyond ``most`` characters its middle is left out."""
    if len(text) > most:
        left_out = len(text) - 2 * (most // 2)
        text = f"{text[: most // 2]}\n... {left_out:,} characters left out ...\n{text[-(most // 2) :]}"
    seen = "".join(one if one.isprintable() or one in _KEPT else _visible(one) for one in text)
    return _CONTROL_TOKEN.sub(lambda found: f"\\x{ord(found[0]):02x}", seen)


def line(text: str, most: int) -> str:
    """Make text fit for a line; beyond ``most`` characters its end is left out."""
    whole = " ".join(text[: 2 * most].split())
    return block(whole if len(whole) <= most else f"{whole[: most - 3]}...", most)


def _visible(char: str) -> str:
    """Write what cannot be seen, or breaks a line, as Python would in a literal; unusual spaces stay."""
    return repr(char)[1:-1] if unicodedata.category(char) in _HIDDEN else char
