"""HTTP to one model server: a connection for each request under way, and answers of bounded size.

Needs packages of the extra ``models``, so import it where it is used.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
import httpx

from hypotheses.models.langchain_endpoint import MalformedAnswerError, TooLargeAnswerError


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What a server answered; the names of ``headers`` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connections:
    """Connections to one server, which belong to the event loop that first uses them.

    No redirects are followed, so that a key goes only where the user sent it, and no compressed answers
    taken, whose size could not be bounded. aiohttp takes a third of the time per request that httpx does,
    whose pool moreover looks at all its connections for each.
    """

    def __init__(self, timeout: float, connect_timeout: float, max_bytes: int) -> None:
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout, sock_read=timeout)
        self._max_bytes = max_bytes
        self._session: aiohttp.ClientSession | None = None

    async def exchange(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None = None
    ) -> HttpAnswer:
        """Send a request and give the answer, whatever its status.

        Raises ``TooLargeAnswerError`` and ``MalformedAnswerError``, ``TimeoutError`` where no byte came for
        too long, ``OSError`` where the connection failed.
        """
        session = self._session = self._session or self._open()
        try:
            async with session.request(
                method, url, headers=headers, data=content, allow_redirects=False
            ) as response:
                named = {name.lower(): value for name, value in response.headers.items()}
                if named.get("content-encoding", "identity") != "identity":
                    raise MalformedAnswerError("its answer is compressed, which was not asked for")
                return HttpAnswer(response.status, named, await self._read(response))
        except aiohttp.InvalidURL:
            raise
        except aiohttp.ClientResponseError as error:
            raise ConnectionError(f"its answer is not HTTP: {error.message}") from None
        except aiohttp.ClientError as error:
            if isinstance(error, OSError | TimeoutError):
                raise
            raise ConnectionError(str(error)) from None  # some name a status that no server gave

    async def aclose(self) -> None:
        """Close all of them. Closing twice does no harm."""
        if self._session is not None:
            await self._session.close()

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        if (response.content_length or 0) > self._max_bytes:
            raise TooLargeAnswerError(self._max_bytes)
        parts, count = [], 0
        async for part in response.content.iter_any():
            count += len(part)
            if count > self._max_bytes:
                raise TooLargeAnswerError(self._max_bytes)
            parts.append(part)
        return b"".join(parts)

    def _open(self) -> aiohttp.ClientSession:
        context = httpx.create_ssl_context()  # with certificates of its own where the system has none
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=context, keepalive_timeout=60.0),
            timeout=self._timeout,
            headers={"accept-encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            # It would look into .netrc, too, but a request that says who asks is left as it is.
            trust_env=bool(urllib.request.getproxies()),
        )
