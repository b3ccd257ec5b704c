"""Taking an engine's stream apart, and bytes over a socket."""

from __future__ import annotations

import socket
import struct
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandboxes.container.transport import AttachTransport, Demultiplexer

pieces = st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=40)), max_size=20)


def multiplexed(parts: list[tuple[int, bytes]]) -> bytes:
    return b"".join(struct.pack("!BxxxI", stream, len(data)) + data for stream, data in parts)


def of(parts: list[tuple[int, bytes]], wanted: int) -> bytes:
    return b"".join(data for stream, data in parts if stream == wanted)


@given(pieces, st.lists(st.integers(1, 30)))
def test_streams_are_taken_apart_however_they_arrive(parts, cuts):
    data = multiplexed(parts)
    streams = Demultiplexer()
    out = b""
    for cut in cuts:
        out += streams.feed(data[:cut])
        data = data[cut:]
    out += streams.feed(data)
    assert out == of(parts, 1)
    assert streams.stderr == of(parts, 2)


def test_only_the_end_of_the_errors_is_kept():
    streams = Demultiplexer()
    for _ in range(100):
        streams.feed(multiplexed([(2, b"x" * 1000)]))
    streams.feed(multiplexed([(2, b"the end")]))
    assert len(streams.stderr) < 20_000
    assert streams.stderr.endswith(b"the end")


@pytest.mark.parametrize("data", [b"HTTP/1.1 500 no", b"\x00" * 8, b"\x03\x00\x00\x00\x00\x00\x00\x01x"])
def test_another_stream_is_an_error(data):
    with pytest.raises(OSError, match="sends a stream"):
        Demultiplexer().feed(data)


class TestAttachTransport:
    @pytest.fixture
    def ends(self):
        ours, theirs = socket.socketpair()
        removed = []
        transport = AttachTransport(ours, lambda: removed.append(True))
        yield transport, theirs, removed
        ours.close()
        theirs.close()

    def test_bytes_travel(self, ends):
        transport, theirs, _ = ends
        theirs.sendall(multiplexed([(1, b"hello"), (2, b"a warning")]))
        assert transport.receive(1) == b"hello"
        assert transport.last_words() == "a warning"
        assert transport.send(memoryview(b"request"), 1) == 7
        assert theirs.recv(100) == b"request"

    def test_nothing_in_time_is_none(self, ends):
        transport, theirs, _ = ends
        assert transport.receive(0.01) is None
        theirs.sendall(multiplexed([(2, b"only an error")]))
        assert transport.receive(1) is None

    def test_the_end_is_empty(self, ends):
        transport, theirs, _ = ends
        theirs.close()
        assert transport.receive(1) == b""

    def test_an_unread_stream_is_full_at_some_time(self, ends):
        transport, _, _ = ends
        data = memoryview(bytes(1 << 20))
        while transport.send(data, 0.05):
            pass

    def test_kill_wakes_the_reader(self, ends):
        transport, _, removed = ends
        threading.Timer(0.05, transport.kill).start()
        assert transport.receive(60) == b""
        transport.kill()
        assert removed == []

    def test_dispose_removes_and_never_raises(self, ends):
        transport, theirs, removed = ends
        theirs.close()
        transport.dispose()
        transport.dispose()
        assert removed

    def test_abandon_leaves_the_other_end_alone(self, ends):
        transport, theirs, removed = ends
        other = transport._socket.dup()
        transport.abandon()
        theirs.sendall(b"still here")
        assert other.recv(100) == b"still here"
        other.close()
        assert removed == []
