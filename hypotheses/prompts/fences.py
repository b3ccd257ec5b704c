"""Data in prompts: always inside a fence that it cannot close, and free of a chat's control tokens."""

from __future__ import annotations

import re
import unicodedata

_TICKS = re.compile(r"`{3,}")

# What tokenizers of chat models may take for the end of a message, even in the middle of a text. A name like
# that in a regular expression's group, ``(?P<s>…)``, is left alone.
_CONTROL_TOKEN = re.compile(
    r"(?<!P)<(?="
    r"[|\uff5c]"
    r"|/?(?:s|bos|eos|pad|unk|mask|cls|sep|think|filename|reponame)>"
    r"|/?[a-z]+(?:_[a-z0-9]+)+>"
    r"|</?SYS>>"
    r")"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\])"
)
_KEPT = frozenset("\n\t")
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))


def fence(info: str, text: str) -> str:
    """Put ``text`` into a fence that is longer than any run of backticks in it."""
    ticks = "`" * max(3, 1 + max((len(run) for run in _TICKS.findall(text)), default=0))
    return f"{ticks}{info}\n{text}\n{ticks}"


def disarm(text: str) -> str:
    """Break control tokens of chat models by a hexadecimal escape, which means the same in a literal."""
    return _CONTROL_TOKEN.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def disarm_literal(text: str) -> str:
    """Escape what could close a fence or end a message inside the string literals of ``text``."""
    return disarm(_TICKS.sub(lambda run: "\\x60" * len(run[0]), text))


def block(text: str, limit: int | None = None) -> str:
    """Make text of many lines fit for a fence; beyond ``limit`` characters its middle is left out."""
    if limit is not None and len(text) > limit:
        head, tail = text[: limit // 2], text[len(text) - limit // 2 :]
        text = f"{head}\n... {len(text) - len(head) - len(tail):,} characters left out ...\n{tail}"
    if not (text.isascii() and text.isprintable()):
        text = "".join(c if c.isprintable() or c in _KEPT else _visible(c) for c in text)
    return disarm(text)


def line(text: str, limit: int | None = None) -> str:
    """Make text fit for one line; beyond ``limit`` characters its middle is left out."""
    if limit is not None and len(text) > limit:
        half = limit // 2
        left_out = len(text) - 2 * half
        text = f"{text[:half]} ... {left_out:,} characters left out ... {text[len(text) - half :]}"
    return block(text.strip()).replace("\n", "\\n").replace("\t", "\\t")


def _visible(char: str) -> str:
    """Write what cannot be seen, or breaks a line, as Python would in a literal; unusual spaces stay."""
    return repr(char)[1:-1] if unicodedata.category(char) in _HIDDEN else char
