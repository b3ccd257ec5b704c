"""The service, from the side of clients that mean harm, are slow, or vanish."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import struct
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandboxes import EmbeddedSandbox, Limits, Program, SandboxError
from sandboxes.guest import wire
from sandboxes.remote import Tokens, UnixAddress, parse_address
from sandboxes.remote.background import running
from sandboxes.remote.request import ClientLimits
from sandboxes.remote.service import SandboxService, ServiceOptions, server_context

PLUS_ONE = Program("def f(x): return x + 1", "f")
SLEEP = "import time\ndef f(x): time.sleep(60)"
QUICK = Limits(seconds=0.3, memory_mb=64, output_bytes=10_000)


def works(service, name: str = "bob") -> bool:
    """Whether another client is served as if nothing had been."""
    with service.sandbox(name) as sandbox:
        return sandbox.run(PLUS_ONE, [1], QUICK)[0].value == 2


def lent(service) -> int:
    return service.service.servers.size - service.service.turns._free


class TestStrangers:
    def test_who_says_nothing_is_dropped(self, start):
        service = start(options=ServiceOptions(greeting_seconds=0.2))
        silent, half = service.raw(), service.raw()
        half.send_bytes(wire.HEADER.pack(wire.TOKEN, 100) + b'{"proto')
        assert silent.receive_all() == half.receive_all() == []
        assert works(service)

    def test_who_does_not_shake_hands_is_dropped(self, start):
        service = start(tls=True, options=ServiceOptions(greeting_seconds=0.2))
        address = service.service.address
        with socket.create_connection((address.host, address.port)) as connected:
            connected.settimeout(10)
            assert connected.recv(1) == b""
        with socket.create_connection((address.host, address.port)) as connected:
            connected.sendall(b"GET / HTTP/1.1\r\n\r\n")
            connected.settimeout(10)
            while connected.recv(100):  # an alert, maybe
                pass
        assert works(service)

    def test_many_of_them_shut_out_nobody(self, start):
        service = start(options=ServiceOptions(strangers=5, greeting_seconds=60))
        silent = [service.raw() for _ in range(20)]
        assert works(service)
        assert all(raw.receive_all() == [] for raw in silent[:15])
        assert len(service.service._strangers) <= 5

    def test_some_of_many_handshakes_are_dropped_without_a_trace(self, start):
        service = start(tls=True, options=ServiceOptions(strangers=3))
        with service.sandbox(concurrency=40) as sandbox, ThreadPoolExecutor(40) as callers:
            runs = list(callers.map(lambda n: sandbox.run(PLUS_ONE, [n], QUICK)[0].value, range(80)))
        assert runs == list(range(1, 81))

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (wire.frame(wire.PING), "the first frame is a token"),
            (wire.frame(wire.REQUEST, b"{}"), "the first frame is a token"),
            (wire.frame(wire.TOKEN, b"{}"), "the first frame is not a token"),
            (wire.frame(wire.TOKEN, b"[" * 4000), "the first frame is not a token"),
            (wire.frame(wire.TOKEN, b"\xff"), "the first frame is not a token"),
            (wire.HEADER.pack(wire.TOKEN, 4097), "the first frame is a token"),
            (wire.HEADER.pack(wire.TOKEN, 2**32 - 1), "the first frame is a token"),
            (b"GET / HTTP/1.1\r\n\r\n", "the first frame is a token"),
        ],
    )
    def test_who_does_not_begin_with_a_token_is_refused(self, start, data, reason):
        service = start()
        raw = service.raw()
        raw.send_bytes(data)
        kind, payload = raw.receive()
        assert kind == wire.REFUSED
        assert reason in payload.decode()
        assert raw.receive_all() == []

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            (
                {"protocol": 99, "token": "alice-has-this-token"},
                f"version {wire.PROTOCOL} .* client version 99;",
            ),
            ({"protocol": "1\n", "token": "alice-has-this-token"}, r"client version \?;"),
            ({"protocol": True, "token": "alice-has-this-token"}, r"client version \?;"),
            ({"protocol": wire.PROTOCOL, "token": "alice-has-this-toke"}, "not known"),
            ({"protocol": wire.PROTOCOL, "token": ""}, "not known"),
            ({"protocol": wire.PROTOCOL, "token": None}, "not known"),
            ({"protocol": wire.PROTOCOL, "token": ["alice-has-this-token"]}, "not known"),
        ],
    )
    def test_another_version_or_token_is_refused(self, start, fields, reason):
        raw = start().raw()
        raw.send(wire.TOKEN, fields)
        kind, payload = raw.receive()
        assert kind == wire.REFUSED
        assert re.search(reason, payload.decode())
        assert raw.receive_all() == []


class TestSlowClients:
    def test_half_a_program_holds_no_server(self, start):
        service = start(servers=1, options=ServiceOptions(read_seconds=1))
        slow = service.client()
        slow.send(wire.REQUEST, slow.REQUEST)
        slow.send_bytes(wire.HEADER.pack(wire.PROGRAM, 1000) + b"{")
        assert works(service)
        assert slow.receive_all() == []  # in the end, nobody waits for it

    @pytest.mark.parametrize("sent", [1, 4, 5, 20])
    def test_half_a_request_is_not_waited_for(self, start, sent):
        service = start(options=ServiceOptions(read_seconds=0.2))
        slow = service.client()
        slow.send_bytes(wire.frame(wire.REQUEST, json.dumps(slow.REQUEST).encode())[:sent])
        assert slow.receive_all() == []
        assert works(service)

    def test_one_that_is_idle_stays(self, start):
        service = start(options=ServiceOptions(read_seconds=0.1, greeting_seconds=0.1))
        idle = service.client()
        time.sleep(0.5)  # longer than anything it might run into
        idle.send(wire.PING)
        assert idle.receive() == (wire.PONG, b"")

    def test_one_that_does_not_read_is_hung_up_on(self, start, until):
        service = start(servers=1, options=ServiceOptions(write_seconds=0.3))
        deaf = service.client()
        source = "def f(x): return 'x' * 1_000_000"
        deaf.run(source, *range(100), output_bytes=2_000_000, memory_mb=200)
        assert works(service)  # there is one server, so that one must be free again
        until(lambda: "alice" not in service.service._connections)

    def test_slow_reading_is_not_a_timeout_of_the_program(self, start):
        service = start(servers=1)
        slow = service.client()
        slow.run("def f(x): return 'x' * 1_000_000", *range(20), output_bytes=2_000_000, memory_mb=200)
        kinds = []
        while (frame := slow.receive())[0] != wire.END:
            kinds.append(frame[0])
            time.sleep(0.02)
        assert kinds.count(wire.RESULT) == 20
        assert frame == (wire.END, b"{}")


class TestClientsThatVanish:
    @pytest.mark.parametrize("how", ["close", "half", "reset"])
    def test_their_run_ends(self, start, until, how):
        service = start(servers=1)
        gone = service.client()
        gone.run(SLEEP, 0)
        until(lambda: lent(service) == 1 and service.lender.servers._running)
        [server] = service.lender.servers._running
        if how == "half":
            gone.socket.shutdown(socket.SHUT_WR)
        elif how == "reset":
            gone.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if how != "half":
            gone.close()
        assert works(service)
        assert server not in service.lender.servers._running  # and all that it ran is gone with it

    def test_they_leave_the_line(self, start, until):
        service = start(servers=1)
        first, second = service.client(), service.client()
        first.run(SLEEP, 0)
        until(lambda: lent(service) == 1)
        second.run(SLEEP, 0)
        assert second.receive() == (wire.WAITING, b"")
        second.close()
        until(lambda: service.service.turns.waiting == 0)
        assert lent(service) == 1
        first.close()
        assert works(service)

    def test_they_hang_up_within_a_program(self, start, until):
        service = start()
        gone = service.client()
        gone.send(wire.REQUEST, gone.REQUEST)
        gone.send_bytes(wire.HEADER.pack(wire.PROGRAM, 1_000_000) + b"x" * 600_000)
        gone.close()
        until(lambda: not service.service._connections and not service.service.memory._taken)


class TestHostileClients:
    @pytest.mark.parametrize(
        "data",
        [
            wire.HEADER.pack(wire.REQUEST, (1 << 16) + 1),
            wire.HEADER.pack(wire.REQUEST, 2**32 - 1),
            wire.frame(wire.PROGRAM, b"{}"),
            wire.frame(wire.PING, b"x"),
            wire.frame(wire.TOKEN, b"{}"),
            wire.frame(wire.END),
            wire.frame(b"\x00"),
            wire.frame(wire.REQUEST, b"{}"),
            b"\xff" * 10_000,
        ],
    )
    def test_a_frame_out_of_order_is_refused(self, start, data):
        service = start()
        hostile = service.client()
        hostile.send_bytes(data)
        assert hostile.receive_all() == [wire.REFUSED]
        assert works(service)

    @pytest.mark.parametrize("length", [wire.MAX_FRAME + 1, 2**32 - 1])
    def test_a_program_that_is_too_long_is_refused(self, start, length):
        hostile = start().client()
        hostile.send(wire.REQUEST, hostile.REQUEST)
        hostile.send_bytes(wire.HEADER.pack(wire.PROGRAM, length))
        assert hostile.receive_all() == [wire.REFUSED]

    def test_a_request_must_be_followed_by_its_program(self, start):
        hostile = start().client()
        hostile.send(wire.REQUEST, hostile.REQUEST)
        hostile.send(wire.PING)
        assert hostile.receive_all() == [wire.REFUSED]

    def test_who_speaks_out_of_turn_is_hung_up_on(self, start, until):
        service = start(servers=1)
        hostile = service.client()
        hostile.run(SLEEP, 0)
        until(lambda: lent(service) == 1)
        hostile.send(wire.PING)
        assert wire.PONG not in hostile.receive_all()
        assert works(service)

    def test_the_next_request_may_follow_at_once(self, start):
        client = start().client()
        for n in range(200):
            client.run("def f(x): return x + 1", n)
            kinds = []
            while (frame := client.receive())[0] != wire.END:
                kinds.append(frame[0])
            assert kinds == [wire.LOADED, wire.RESULT]

    @pytest.mark.parametrize("program", [b"", b"{}", b"nonsense", b"[" * 100_000, b'{"inputs": 7}'])
    def test_a_program_that_is_none_is_no_result(self, start, program):
        service = start(servers=1)
        hostile = service.client()
        hostile.send(wire.REQUEST, hostile.REQUEST)
        hostile.send(wire.PROGRAM, program)
        kinds = set()
        while (kind := hostile.receive()[0]) not in (wire.END, b""):
            kinds.add(kind)
        assert kinds <= {wire.BROKEN}
        assert works(service)

    @pytest.mark.parametrize("inputs", [1, 3, 1000])
    def test_a_wrong_number_of_inputs_spoils_nothing(self, start, inputs):
        service = start(servers=1)
        hostile = service.client()
        hostile.run("def f(x): return x", 1, 2, inputs=inputs)
        while hostile.receive()[0] not in (wire.END, b""):
            pass
        hostile.close()
        assert works(service)

    def test_too_many_connections_are_turned_away(self, start):
        service = start(servers=1, limits=ClientLimits(waiting=1))
        clients = [service.client() for _ in range(18)]
        one_more = service.raw()
        one_more.send(wire.TOKEN, {"protocol": wire.PROTOCOL, "token": "alice-has-this-token"})
        assert one_more.receive_all() == [wire.BUSY]
        assert works(service)
        for client in clients:
            client.close()

    def test_memory_for_programs_has_an_end(self, start, until):
        service = start(servers=1, options=ServiceOptions(memory_bytes=2_000_000))
        first, second, third = (service.client() for _ in range(3))
        text = "x" * 900_000
        first.run(SLEEP, text)
        until(lambda: lent(service) == 1)
        second.run("def f(x): return len(x)", text)
        assert second.receive() == (wire.BUSY, b"")
        with ThreadPoolExecutor(1) as other:
            run = other.submit(works, service)  # which has its own half
            until(lambda: service.service.turns.waiting == 1)
            first.close()
            assert run.result(20)
        until(lambda: not service.service.memory._taken)
        second.run("def f(x): return len(x)", text)  # the connection is as good as ever
        assert second.receive()[0] == wire.LOADED
        third.run("def f(x): return x", "x" * 3_000_000)
        assert third.receive() == (wire.BUSY, b"")


_KINDS = [getattr(wire, name) for name in dir(wire) if isinstance(getattr(wire, name), bytes)]
_PAYLOADS = st.binary(max_size=60) | st.sampled_from(
    [b"{}", b"null", b'{"protocol": 2, "token": "alice-has-this-token"}', b"[[[[", b"9" * 5000]
)


@pytest.fixture(scope="module")
def one_service(tmp_path_factory):
    """One service for all that is thrown at it."""
    folder = tmp_path_factory.mktemp("s")
    token = "alice-has-this-token"
    options = ServiceOptions(greeting_seconds=2, read_seconds=2, write_seconds=2)
    with EmbeddedSandbox(1) as lender:
        service = SandboxService(
            lender, UnixAddress(f"{folder}/s"), Tokens({"alice": token}), None, None, options
        )
        with running(service, 5) as address:
            yield str(address)


class TestFuzz:
    @staticmethod
    def throw(address: str, data: bytes, known: bool) -> None:
        connected = socket.socket(socket.AF_UNIX)
        with connected:
            connected.settimeout(20)
            connected.connect(address.removeprefix("unix://"))
            if known:
                fields = {"protocol": wire.PROTOCOL, "token": "alice-has-this-token"}
                connected.sendall(wire.frame(wire.TOKEN, json.dumps(fields).encode()))
            try:
                connected.sendall(data)
                connected.shutdown(socket.SHUT_WR)
                while connected.recv(1 << 16):
                    pass
            except (BrokenPipeError, ConnectionResetError):
                pass

    @staticmethod
    def check(address: str) -> None:
        """The next client is served."""
        from sandboxes.remote import RemoteSandbox

        with RemoteSandbox(address, "alice-has-this-token") as sandbox:
            assert sandbox.run(PLUS_ONE, [1], QUICK)[0].value == 2

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.binary(max_size=300), known=st.booleans())
    def test_bytes(self, one_service, data, known):
        self.throw(one_service, data, known)
        self.check(one_service)

    @settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(frames=st.lists(st.tuples(st.sampled_from(_KINDS), _PAYLOADS), max_size=6), known=st.booleans())
    def test_frames(self, one_service, frames, known):
        self.throw(one_service, b"".join(wire.frame(kind[:1], payload) for kind, payload in frames), known)
        self.check(one_service)

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        change=st.fixed_dictionaries(
            {},
            optional={
                "inputs": st.integers(-1, 5),
                "seconds": st.floats(0.01, 0.5),
                "memory_mb": st.integers(-1, 100),
                "output_bytes": st.integers(0, 100),
                "packages": st.sampled_from([[], ["numpy"], ["os"], ["numpy", "numpy"]]),
            },
        ),
        program=st.binary(max_size=40)
        | st.sampled_from([b'{"source": "", "entry_point": "f", "call": "single", "inputs": [1, 2]}', b"{}"]),
    )
    def test_requests(self, one_service, change, program):
        request = {
            "inputs": 1,
            "seconds": 0.2,
            "wall_seconds": 3.0,
            "memory_mb": 64,
            "output_bytes": 1000,
            "packages": [],
            "obtainable": [],
        }
        frames = wire.frame(wire.REQUEST, json.dumps(request | change).encode())
        self.throw(one_service, frames + wire.frame(wire.PROGRAM, program), True)
        self.check(one_service)


class TestListening:
    TOKENS = Tokens({"alice": "alice-has-this-token"})

    def service(self, path) -> SandboxService:
        return SandboxService(EmbeddedSandbox(1), UnixAddress(str(path)), self.TOKENS)

    def test_a_socket_is_its_owners_alone_and_goes_with_the_service(self, folder):
        old = os.umask(0)
        try:
            service = self.service(folder / "socket")
            with service._lender, running(service, 0):
                assert stat.S_IMODE((folder / "socket").stat().st_mode) == 0o600
        finally:
            os.umask(old)
        assert not (folder / "socket").exists()

    def test_a_stale_socket_is_replaced(self, folder):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(folder / "socket"))
        service = self.service(folder / "socket")
        with service._lender, running(service, 0) as address:
            assert str(address) == f"unix://{folder}/socket"

    def test_another_service_is_left_alone(self, start, folder):
        first = start()
        second = self.service(folder / "socket")
        with second._lender:
            with pytest.raises(SandboxError, match="another service listens on"), running(second, 0):
                pass
            assert works(first)

    def test_a_socket_that_is_somebody_elses_by_now_stays(self, folder):
        service = self.service(folder / "socket")
        with service._lender, running(service, 0), socket.socket(socket.AF_UNIX) as other:
            (folder / "socket").unlink()
            other.bind(str(folder / "socket"))
        assert (folder / "socket").is_socket()

    def test_a_file_that_is_no_socket_is_left_alone(self, folder):
        (folder / "socket").write_text("precious")
        service = self.service(folder / "socket")
        with (
            service._lender,
            pytest.raises(SandboxError, match="no socket; remove it"),
            running(service, 0),
        ):
            pass
        assert (folder / "socket").read_text() == "precious"

    def test_a_folder_that_is_not_there(self, folder):
        service = self.service(folder / "none" / "socket")
        with service._lender, pytest.raises(SandboxError, match="cannot listen on"), running(service, 0):
            pass

    def test_a_port_that_is_taken(self, start, certificates):
        first = start(tls=True)
        with EmbeddedSandbox(1) as lender:
            service = SandboxService(
                lender, parse_address(first.address), self.TOKENS, server_context(certificates.chain)
            )
            with pytest.raises(SandboxError, match="cannot listen on"), running(service, 0):
                pass

    def test_tls_needs_a_certificate(self, certificates):
        with EmbeddedSandbox(1) as lender, pytest.raises(SandboxError, match="needs a certificate"):
            SandboxService(lender, parse_address("tls://localhost:0"), self.TOKENS)
        for chain in ("/nowhere", certificates.ca):
            with pytest.raises(SandboxError, match="cannot be used"):
                server_context(chain)
