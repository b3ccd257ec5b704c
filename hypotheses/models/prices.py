"""What models charge. The table is ``prices.toml``; a price that is not known is never taken for 0."""

from __future__ import annotations

import functools
import ipaddress
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.resources import files
from urllib.parse import urlsplit

from hypotheses.models.address import RECORDED, ModelAddress
from sandboxes.errors import ModelError

_MILLION = 1e6
_DATE = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8}|latest)$")
_LOCAL_NAMES = (".local", ".localhost", ".internal", ".lan", ".home.arpa")


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens: of the prompt, of a prompt read from the provider's cache, written.

    Raises ``ModelError`` for a price below 0.
    """

    prompt: float
    cached: float
    completion: float

    def __post_init__(self) -> None:
        for part in fields(self):
            value = getattr(self, part.name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not (value >= 0 and math.isfinite(value)):
                raise ModelError(
                    f"the price {part.name} = {value!r} is not a number of US dollars for a million tokens"
                )

    def money(self, prompt_tokens: int, cached_tokens: int, completion_tokens: int) -> float:
        """Give the cost in US dollars; ``cached_tokens`` are some of ``prompt_tokens``."""
        cached = min(cached_tokens, prompt_tokens)
        whole = (prompt_tokens - cached) * self.prompt + cached * self.cached
        return (whole + completion_tokens * self.completion) / _MILLION


FREE = Price(0.0, 0.0, 0.0)
"""The price of a server of one's own, and of answers that are recorded."""


def price_of(
    address: ModelAddress, overrides: Mapping[str, Price | Mapping[str, float]] | None = None
) -> Price | None:
    """Give what a model charges, or ``None`` where that is not known.

    ``overrides`` go before the table, by the address with or without its URLs (``openai:gpt-4o``) or by the
    bare name; a mapping has ``prompt`` and ``completion``, and ``cached`` where that is not as ``prompt``.
    Recorded answers, and servers on this machine or in a private network, cost nothing. Raises ``ModelError``
    for an override that is no price.
    """
    for key in (str(address), f"{address.provider}:{address.name}", address.name):
        if overrides is not None and key in overrides:
            return _read(key, overrides[key])
    if address.provider == RECORDED:
        return FREE
    if address.base_urls:
        return FREE if all(map(_is_local, address.base_urls)) else None
    if address.provider == "ollama":
        return FREE  # without a URL, the server of this machine
    listed = _table().get(address.provider, {})
    return listed.get(address.name) or listed.get(_DATE.sub("", address.name))


def _read(key: str, price: Price | Mapping[str, float]) -> Price:
    if isinstance(price, Price):
        return price
    if not {"prompt", "completion"} <= price.keys() <= {"prompt", "cached", "completion"}:
        raise ModelError(f"the price of {key} needs prompt and completion, and may have cached; nothing else")
    return Price(price["prompt"], price.get("cached", price["prompt"]), price["completion"])


@functools.cache
def _table() -> dict[str, dict[str, Price]]:
    text = files("hypotheses.models").joinpath("prices.toml").read_text()
    return {
        provider: {
            name: Price(entry["prompt"], entry["cached"], entry["completion"])
            for name, entry in models.items()
        }
        for provider, models in tomllib.loads(text).items()
    }


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        # A name without a dot is one of the local network.
        return "." not in host or host.endswith(_LOCAL_NAMES)
    return address.is_loopback or address.is_private or address.is_link_local
