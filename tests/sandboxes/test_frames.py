"""The protocol's decoders, against whatever a hostile program could write into its result pipe."""

from __future__ import annotations

import itertools
import json
import os
import struct
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandboxes import Execution, Limits, Program, SandboxError
from sandboxes.connection import Connection, ServerDiedError
from sandboxes.fork_runner import run_program
from sandboxes.guest import wire
from sandboxes.guest.mailbox import Mailbox
from sandboxes.server_pool import ServerPool

KINDS = st.sampled_from(
    [b"H", b"Q", b"P", b"Y", b"L", b"F", b"R", b"T", b"W", b"E", b"B", b"A", b"U", b"X", b"\xff"]
)
HEADS = st.sampled_from(
    [
        b'{"status":"ok","error":null,"seconds":0}',
        b'{"status":"raised","error":"x","seconds":1e-3}',
        b'{"status":"timed_out","error":"x","seconds":1}',
        b'{"status":"ok","error":"x","seconds":0}',
        b'{"status":"ok","error":null,"seconds":NaN}',
        b'{"status":[],"error":{},"seconds":""}',
        b"[" * 1000,
        b"null",
    ]
)
VALUES = st.sampled_from(
    [
        b"1",
        b"[1,2",
        b'{"$set":[[]]}',
        b'{"$int":"' + b"9" * 5000 + b'"}',
        b'{"$ndarray":{"dtype":"O","shape":[1],"data":[1]}}',
        b'{"$ndarray":{"dtype":"int8","shape":[-1],"data":[]}}',
        b"[" * 300 + b"]" * 300,
        b'{"$float":"nan"}',
        b'"\\ud800"',
        b"-0.0",
        b"1e999",
    ]
)
RESULTS = st.builds(
    lambda *parts: b"\n".join(parts), HEADS, VALUES | st.binary(max_size=50), st.binary(max_size=50)
)
PAYLOADS = st.one_of(
    st.binary(max_size=200),
    RESULTS,
    st.sampled_from(
        [
            b"{}",
            b'{"status":"timed_out","error":"x","seconds":1}',
            b"numpy",
            b"scipy",
            b"\xff",
            b"null",
            b"[]",
        ]
    ),
)
FRAMES = st.builds(wire.frame, KINDS, PAYLOADS)
NOISE = st.one_of(
    FRAMES,
    st.binary(max_size=40),
    st.builds(lambda kind, n: kind + struct.pack("!I", n), KINDS, st.integers(0, 2**32 - 1)),
)
STREAMS = st.lists(NOISE, max_size=8).map(b"".join)


def chopped(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut a stream into pieces, as pipes do."""
    bounds = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(bounds) if a < b]


@given(st.lists(st.tuples(KINDS, st.binary(max_size=300))), st.lists(st.integers(0, 2000), max_size=6))
def test_frames_come_out_as_they_went_in_however_they_are_cut(frames, cuts):
    received, found = bytearray(), []
    for piece in chopped(b"".join(wire.frame(kind, payload) for kind, payload in frames), cuts):
        received += piece
        while (complete := wire.take(received)) is not None:
            found.append(complete)
    assert found == frames
    assert not received


@given(STREAMS)
def test_a_decoder_ends_with_frames_or_with_its_own_error(stream):
    received = bytearray(stream)
    taken = 0
    try:
        while (complete := wire.take(received, longest=1000)) is not None:
            taken += wire.HEADER.size + len(complete[1])
    except wire.ProtocolError:
        return
    assert taken + len(received) == len(stream)


@given(STREAMS, st.lists(st.integers(0, 2000), max_size=6))
def test_a_mailbox_passes_on_whole_expected_frames_and_nothing_else(stream, cuts):
    """What reaches the host is whole frames of the expected kinds, whatever a child writes."""
    source_out, source_in = os.pipe()
    target_out, target_in = os.pipe()
    mailbox = Mailbox(source_out, target_in, longest=400)
    expected = (wire.RESULT, wire.LAST)
    relayed = bytearray()
    try:
        for piece in chopped(stream, cuts):
            os.write(source_in, piece)
            mailbox.receive()
            while mailbox.next(expected) is not None:
                pass
            mailbox.relay()
    except wire.ProtocolError:
        mailbox.relay()
    finally:
        mailbox.close()
        for descriptor in (source_in, target_in):
            os.close(descriptor)
        while part := os.read(target_out, 1 << 16):
            relayed += part
        os.close(source_out)
        os.close(target_out)
    while (complete := wire.take(relayed)) is not None:
        assert complete[0] in expected
        assert len(complete[1]) <= 400
    assert not relayed


class Recited:
    """A transport that recites a stream, then falls silent or ends."""

    def __init__(self, pieces: list[bytes], ends: bool) -> None:
        self._pieces = [wire.frame(wire.HELLO, json.dumps(HELLO).encode()), *pieces]
        self._ends = ends
        self.disposed = threading.Event()

    def send(self, data: memoryview, seconds: float) -> int:
        return len(data)

    def receive(self, seconds: float) -> bytes | None:
        if self._pieces:
            return self._pieces.pop(0)
        if self._ends:
            return b""
        raise TimeoutError  # stands for a deadline that has passed

    def kill(self) -> None:
        pass

    def dispose(self) -> None:
        self.disposed.set()

    def abandon(self) -> None:
        pass

    def last_words(self) -> str:
        return ""


HELLO = {
    "protocol": wire.PROTOCOL,
    "python": "3.12.1",
    "packages": {"numpy": "2"},
    "missing": None,
    "landlock_abi": 0,
    "drops_privileges": False,
}


@settings(max_examples=300)
@given(STREAMS, st.lists(st.integers(0, 2000), max_size=6), st.booleans(), st.integers(1, 3))
def test_a_host_makes_of_any_stream_executions_or_an_error_of_ours(stream, cuts, ends, inputs):
    """Even from a server that has gone over to the enemy: executions for every input, or ``SandboxError``."""
    transports: list[Recited] = []

    def start() -> Connection:
        transports.append(Recited(chopped(stream, cuts), ends))
        return Connection(transports[-1])

    pool = ServerPool(1, start)
    try:
        executions = run_program(pool, Program("def f(x): return x", "f"), ["1"] * inputs, Limits())
    except SandboxError:
        assert len(transports) <= 3
        assert all(transport.disposed.is_set() for transport in transports)
    else:
        assert len(executions) == inputs
        assert all(isinstance(execution, Execution) for execution in executions)
        assert all(execution.error is None or execution.error.isprintable() for execution in executions)
    finally:
        pool.close()


@pytest.mark.parametrize(
    "hello",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b"\xff",
        b'{"protocol":2}',
        b'{"protocol":99}',
        b'{"protocol":[]}',
        b"[" * 100_000,
    ],
)
def test_a_strange_greeting_is_refused(hello):
    transport = Recited([], ends=True)
    transport._pieces = [wire.frame(wire.HELLO, hello)]
    with pytest.raises(SandboxError, match=r"does not speak the protocol|speaks version"):
        Connection(transport)
    assert transport.disposed.is_set()


def test_a_server_that_says_more_than_it_was_asked_fails_its_ping():
    extra = wire.frame(wire.PONG) + wire.frame(wire.END, b"{}")
    connection = Connection(Recited([extra], ends=True))
    with pytest.raises(ServerDiedError, match="nobody asked"):
        connection.ping()
