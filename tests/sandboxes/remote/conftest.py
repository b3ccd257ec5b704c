"""Services, real ones, and clients that speak to them frame by frame."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from sandboxes import EmbeddedSandbox
from sandboxes.guest import wire
from sandboxes.remote import RemoteSandbox, Tokens, parse_address
from sandboxes.remote.background import running
from sandboxes.remote.request import ClientLimits
from sandboxes.remote.service import SandboxService, ServiceOptions, server_context

TOKENS = {"alice": "alice-has-this-token", "bob": "bob-has-another-one", "eve": "eve-is-let-in-as-well"}


@dataclass
class Certificates:
    ca: str
    chain: str
    other_ca: str
    wrong_host: str


@pytest.fixture(scope="session")
def certificates(tmp_path_factory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    ca, other = trustme.CA(), trustme.CA()
    paths = [str(folder / name) for name in ("ca.pem", "chain.pem", "other.pem", "wrong_host.pem")]
    ca.cert_pem.write_to_path(paths[0])
    ca.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(paths[1])
    other.cert_pem.write_to_path(paths[2])
    ca.issue_cert("elsewhere.example").private_key_and_cert_chain_pem.write_to_path(paths[3])
    return Certificates(*paths)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for sockets."""
    path = Path(tempfile.mkdtemp(prefix="induce-test-"))
    yield path
    shutil.rmtree(path)


class Service:
    """A service under test, with its inside at hand."""

    def __init__(
        self,
        service: SandboxService,
        lender: EmbeddedSandbox,
        ca: str | None,
        closing: contextlib.ExitStack,
    ) -> None:
        self._closing = closing
        self.service = service
        self.lender = lender
        self.ca = ca

    @property
    def address(self) -> str:
        return str(self.service.address)

    def sandbox(self, name: str = "alice", **options: Any) -> RemoteSandbox:
        return RemoteSandbox(self.address, TOKENS[name], self.ca, **options)

    def raw(self) -> Raw:
        raw = Raw(self.address.removeprefix("unix://"))
        self._closing.callback(raw.close)
        return raw

    def client(self, name: str = "alice") -> Raw:
        raw = self.raw()
        raw.send(wire.TOKEN, {"protocol": wire.PROTOCOL, "token": TOKENS[name]})
        assert raw.receive()[0] == wire.HELLO
        return raw


REQUEST = {
    "inputs": 1,
    "seconds": 1.0,
    "wall_seconds": 12.0,
    "memory_mb": 64,
    "output_bytes": 10_000,
    "packages": [],
    "obtainable": [],
}


class Raw:
    """A client that can say anything."""

    REQUEST = REQUEST

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(path)
        self._received = bytearray()

    def send_bytes(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send(self, kind: bytes, payload: Any = b"") -> None:
        self.send_bytes(
            wire.frame(kind, payload if isinstance(payload, bytes) else json.dumps(payload).encode())
        )

    def receive(self) -> tuple[bytes, bytes]:
        """Give the next frame, or two times nothing at the end."""
        while (complete := wire.take(self._received)) is None:
            try:
                data = self.socket.recv(1 << 18)
            except ConnectionResetError:
                data = b""
            if not data:
                return b"", b""
            self._received += data
        return complete

    def receive_all(self) -> list[bytes]:
        """Give the kinds of all frames until the end."""
        kinds = []
        while (kind := self.receive()[0]) != b"":
            kinds.append(kind)
        return kinds

    def run(self, source: str, *inputs: Any, **request: Any) -> None:
        """Ask for a run, without waiting for anything."""
        self.send(wire.REQUEST, REQUEST | {"inputs": len(inputs)} | request)
        self.send(
            wire.PROGRAM, {"source": source, "entry_point": "f", "call": "single", "inputs": list(inputs)}
        )

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def start(folder, certificates) -> Iterator[Callable[..., Service]]:
    """Start a service; its options are those of ``ClientLimits`` and ``ServiceOptions``."""
    with contextlib.ExitStack() as stack:

        def start(
            servers: int = 2,
            tls: bool = False,
            limits: ClientLimits | None = None,
            options: ServiceOptions | None = None,
            grace: float = 5.0,
            tokens: dict[str, str] = TOKENS,
            chain: str = certificates.chain,
        ) -> Service:
            lender = stack.enter_context(EmbeddedSandbox(servers))
            address = parse_address("tls://localhost:0" if tls else f"unix://{folder}/socket")
            context = server_context(chain) if tls else None
            service = SandboxService(lender, address, Tokens(tokens), context, limits, options)
            stack.enter_context(running(service, grace))
            return Service(service, lender, certificates.ca if tls else None, stack)

        yield start


def until(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    """Wait until something has come about that only another thread or process can bring about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.005)


@pytest.fixture(name="until")
def _until() -> Callable[..., None]:
    return until


@pytest.fixture(autouse=True)
def _no_token_in_logs(caplog) -> Iterator[None]:
    """No test, whatever it does, makes the service log a token or fail in a way that it does not foresee."""
    caplog.set_level(logging.DEBUG)
    yield
    for record in caplog.get_records("call"):
        text = record.getMessage()
        assert not any(token in text for token in TOKENS.values())
        assert record.levelno < logging.ERROR, text
