"""The Docker back end on a real engine: starting, what a container may, failing, being forked, ending."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from sandboxes import Limits, Program, SandboxError, fork_runner
from sandboxes.cancellation import Cancellation, RunCancelledError
from sandboxes.connection import UnreachableError
from sandboxes.container import DockerSandbox, fleet, from_host, labels
from sandboxes.container.image import find_image
from sandboxes.container.sweep import containers_of, sweep
from sandboxes.container.transport import AttachTransport
from sandboxes.fork_runner import longest_run

PLUS_ONE = Program("def f(x): return x + 1", "f")
QUICK = Limits(seconds=0.5, memory_mb=64)
PATIENT = Limits(seconds=20, memory_mb=64)
BUSY = Program("import time\ndef f(x):\n    while time.process_time() < x: pass\n    return x", "f")
ENDLESS = Program("def f(x):\n    while True: pass", "f")


def own(sandbox: DockerSandbox, engine) -> list[str]:
    """The containers of a sandbox, in any state."""
    fleet_of = sandbox._pool._start
    return containers_of(engine, fleet_of._name)


def import_image(engine, name: str) -> None:
    """Make an image without any program, tagged 1."""
    with io.BytesIO() as file:
        with tarfile.open(fileobj=file, mode="w") as tar:
            tar.addfile(tarfile.TarInfo(name))
        with engine.client() as client:
            client.import_image_from_data(file.getvalue(), name, "1", [f"LABEL test={name}"])
            image, *_ = client.images(filters={"label": f"test={name}"})
            client.tag(image["Id"], name, "1", force=True)


@pytest.fixture
def sandbox(host):
    with DockerSandbox(host=host, servers=1) as sandbox:
        yield sandbox


@pytest.fixture
def request_sent(monkeypatch) -> threading.Event:
    """Set when a request to a container that has greeted goes out."""
    sent = threading.Event()
    original = fork_runner._Fork._request

    def request(self, program, inputs):
        data = original(self, program, inputs)
        sent.set()
        return data

    monkeypatch.setattr(fork_runner._Fork, "_request", request)
    return sent


class TestStarting:
    def test_waits_for_the_first_program(self, host, engine):
        with DockerSandbox(host=host, servers=2) as sandbox:
            assert own(sandbox, engine) == []
            assert sandbox.run(PLUS_ONE, [1, 2], QUICK)[1].value == 3
            assert len(own(sandbox, engine)) == 1
            assert sandbox.concurrency == 2
        assert own(sandbox, engine) == []

    def test_has_a_container_for_each_cpu_of_the_engine(self, host, engine):
        with engine.client() as client:
            cpus = client.info()["NCPU"]
        with DockerSandbox(host=host) as sandbox:
            assert sandbox.concurrency == cpus

    def test_says_what_programs_run_in(self, sandbox):
        environment = sandbox.environment
        assert environment.back_end == "docker"
        assert environment.python == sys.version.split()[0]
        assert {"numpy", "scipy"} <= set(environment.packages)
        assert "unknown" not in environment.packages.values()
        assert environment.more["image"].startswith("induce-sandbox:")
        assert environment.more["image_id"].startswith("sha256:")

    def test_packages_work(self, sandbox):
        source = "import numpy as np, scipy.stats\ndef f(x): return float(scipy.stats.norm.cdf(np.array(x)))"
        assert sandbox.run(Program(source, "f"), [0], Limits())[0].value == 0.5

    @pytest.mark.parametrize("arguments", [{"servers": 0}, {"memory_mb": 1}])
    def test_needs_a_server_and_memory(self, host, arguments):
        with pytest.raises(ValueError, match="needs at least"):
            DockerSandbox(host=host, **arguments)

    def test_a_server_is_replaced_after_so_many_requests(self, host, engine):
        with DockerSandbox(host=host, servers=1, recycle_after=2) as sandbox:
            sandbox.run(PLUS_ONE, [1], QUICK)
            [first] = own(sandbox, engine)
            sandbox.run(PLUS_ONE, [1], QUICK)
            sandbox.run(PLUS_ONE, [1], QUICK)
            assert first not in own(sandbox, engine) or len(own(sandbox, engine)) == 2

    def test_keeps_no_descriptor(self, host):
        def descriptors() -> int:
            return len(os.listdir("/proc/self/fd"))

        with DockerSandbox(host=host, servers=1) as sandbox:
            sandbox.run(PLUS_ONE, [1], QUICK)
        before = descriptors()
        for _ in range(3):
            with DockerSandbox(host=host, servers=1) as sandbox:
                sandbox.run(PLUS_ONE, [1], QUICK)
        assert descriptors() <= before


class TestContainer:
    def test_is_hardened(self, sandbox, engine):
        sandbox.run(PLUS_ONE, [1], QUICK)
        [container] = own(sandbox, engine)
        with engine.client() as client:
            found = client.inspect_container(container)
        config, options = found["Config"], found["HostConfig"]
        assert config["User"] == "65534:65534"
        assert options["Init"] or "podman" in str(found).lower()  # which may lack the program for it
        assert options["NetworkMode"] == "none"
        assert options["ReadonlyRootfs"]
        assert options["AutoRemove"]
        assert {"ALL", "CHOWN", "CAP_CHOWN"} & set(options["CapDrop"])  # Podman names each
        assert any(entry.startswith("no-new-privileges") for entry in options["SecurityOpt"])
        assert options["Memory"] == options["MemorySwap"] == 2048 * 2**20
        assert options["PidsLimit"] == fleet.PIDS
        assert options["NanoCpus"] == 10**9
        assert not options["Privileged"]
        assert not options["Binds"]
        assert "noexec" in options["Tmpfs"][sandbox._image.scratch]
        assert options["LogConfig"]["Type"] in ("none", "k8s-file", "journald")
        told = {entry.partition("=")[0] for entry in config["Env"]}
        assert told <= {
            *fleet.ENVIRONMENT,
            "PATH",
            "LD_LIBRARY_PATH",
            "container",
            "HOME",
            "HOSTNAME",
            "TERM",
        }

    def test_is_what_the_kernel_sees_too(self, host, engine, monkeypatch):
        """From within, by the server itself, whom no filter confines."""
        scratch = find_image(engine).scratch
        code = (
            "import os, json, sys\n"
            "seen = open('/proc/self/status').read() + open('/proc/self/mountinfo').read()\n"
            "try: open('/x', 'w')\nexcept OSError as error: seen += error.strerror\n"
            f"open('{scratch}/x', 'w').close()\n"
            "seen += 'interfaces=' + ','.join(os.listdir('/sys/class/net'))\n"
            "seen += f' ids={os.getuid()},{os.getgid()},{os.getgroups()} pid={os.getpid()}'\n"
            "sys.exit(json.dumps(seen))\n"
        )
        with DockerSandbox(host=host, servers=1) as sandbox:
            monkeypatch.setattr(
                sandbox._pool._start, "_greeting", len(code).to_bytes(4, "big") + code.encode()
            )
            with pytest.raises(SandboxError) as caught:
                sandbox.run(PLUS_ONE, [1], QUICK)
            init = sandbox._pool._start._init
        seen = str(caught.value)
        for expected in (
            "NoNewPrivs:\\t1",
            "CapEff:\\t0000000000000000",
            "CapBnd:\\t0000000000000000",
            "Seccomp:\\t2",
            "Read-only file system",
            "interfaces=lo ids=65534,65534,",
            "PPid:\\t1\\n" if init else " pid=1",
        ):
            assert expected in seen
        assert "noexec" in next(line for line in seen.split("\\n") if f" {scratch} " in line)

    def test_made_from_the_host_it_has_no_shell(self, host, engine, sandbox):
        tree = from_host.collect(())
        names = {os.path.basename(path) for path in tree.entries}
        assert names.isdisjoint({"sh", "bash", "dash", "busybox", "ls", "cat", "passwd", "subprocess.pyc"})

    def test_a_program_is_killed_for_memory_not_its_server(self, host, engine):
        with DockerSandbox(host=host, servers=1, memory_mb=128) as sandbox:
            sandbox.run(PLUS_ONE, [1], QUICK)
            before = own(sandbox, engine)
            greedy = Program("def f(x): return len(bytearray(x))", "f")
            [execution] = sandbox.run(greedy, [400 * 2**20], Limits(seconds=5, memory_mb=1000))
            assert execution.status == "out_of_memory"
            assert sandbox.run(PLUS_ONE, [1], QUICK)[0].value == 2
            assert own(sandbox, engine) == before


class TestWithoutConfinement:
    @pytest.fixture(autouse=True)
    def _no_filter(self, monkeypatch):
        original = fleet._sources

        def sources():
            found = original()
            return found | {"guest.seccomp": found["guest.seccomp"] + "\nALLOWED.clear()\n"}

        monkeypatch.setattr(fleet, "_sources", sources)

    def test_no_program_runs(self, sandbox):
        with pytest.raises(SandboxError, match=r"cannot be confined in containers.*no seccomp filter"):
            sandbox.run(PLUS_ONE, [1], QUICK)

    def test_a_relaxed_sandbox_warns_once(self, host):
        with DockerSandbox(host=host, servers=1, relaxed=True) as sandbox:
            with pytest.warns(RuntimeWarning, match="without full confinement"):
                assert sandbox.run(PLUS_ONE, [1], QUICK)[0].value == 2
            assert sandbox.run(PLUS_ONE, [2], QUICK)[0].value == 3


class TestFailing:
    def test_no_engine_is_told_at_once(self, tmp_path):
        started = time.monotonic()
        with pytest.raises(
            SandboxError, match=r"no container engine answers at .*\(No such file.*DOCKER_HOST"
        ):
            DockerSandbox(host=f"unix://{tmp_path}/none.sock", patience=300)
        assert time.monotonic() - started < 60

    def test_a_host_that_makes_no_sense(self):
        with pytest.raises(SandboxError, match="DOCKER_HOST"):
            DockerSandbox(host="what://is this")

    def test_an_image_that_is_not_there(self, host):
        with pytest.raises(SandboxError, match=r"no image nowhere:1.*docker pull nowhere:1.*image build"):
            DockerSandbox("nowhere:1", host=host)

    def test_an_image_without_python(self, host, engine):
        import_image(engine, "induce-test-empty")
        with (
            DockerSandbox("induce-test-empty:1", host=host, servers=1) as sandbox,
            pytest.raises(SandboxError, match=r"must have Python 3\.11 or newer"),
        ):
            sandbox.run(PLUS_ONE, [1], QUICK)
        assert own(sandbox, engine) == []

    def test_an_image_that_went_away(self, host, engine):
        import_image(engine, "induce-test-gone")
        with DockerSandbox("induce-test-gone:1", host=host, servers=1) as sandbox:
            with engine.client() as client:
                client.remove_image(sandbox._image.id, force=True)
            with pytest.raises(SandboxError, match=r"no image induce-test-gone:1 any more.*image build"):
                sandbox.run(PLUS_ONE, [1], QUICK)

    def test_a_server_that_does_not_start_says_why(self, host, monkeypatch):
        original = fleet._sources
        broken = "raise ImportError('broken installation')"
        monkeypatch.setattr(fleet, "_sources", lambda: original() | {"guest.wire": broken})
        with (
            DockerSandbox(host=host, servers=1) as sandbox,
            pytest.raises(SandboxError, match=r"does not start: it ended \(ImportError: broken installation"),
        ):
            sandbox.run(PLUS_ONE, [1], QUICK)

    def test_one_that_dies_at_once_is_not_tried_for_ever(self, host, monkeypatch):
        original = fleet._sources
        broken = "import os, signal\nos._exit(1)"
        monkeypatch.setattr(fleet, "_sources", lambda: original() | {"guest.wire": broken})
        with (
            DockerSandbox(host=host, servers=1, patience=60) as sandbox,
            pytest.raises(SandboxError, match=r"does not start a container: .*it ended") as caught,
        ):
            sandbox.run(PLUS_ONE, [1], QUICK)
        assert not isinstance(caught.value, UnreachableError)


class TestFaults:
    """Each within ``longest_run``: a run whose container fails is not lost, and not waited for either."""

    @pytest.fixture(autouse=True)
    def _bounded(self):
        started = time.monotonic()
        yield
        assert time.monotonic() - started < 2 * longest_run(QUICK, 2)

    def strike(self, sandbox, engine, request_sent, fault):
        """Run a program, do something to its container, and give what came of it."""
        sandbox.run(PLUS_ONE, [1], QUICK)
        [container] = own(sandbox, engine)
        request_sent.clear()
        with ThreadPoolExecutor(1) as executor:
            run = executor.submit(sandbox.run, BUSY, [2.0, 0], PATIENT)
            assert request_sent.wait(30)
            fault(container)
            found = run.result(longest_run(PATIENT, 2))
        assert container not in own(sandbox, engine) or len(own(sandbox, engine)) == 2
        return [execution.value for execution in found]

    def test_a_container_killed_in_a_run(self, sandbox, engine, request_sent):
        def kill(container: str) -> None:
            with engine.client() as client:
                client.kill(container)

        assert self.strike(sandbox, engine, request_sent, kill) == [2.0, 0]

    def test_a_container_paused_in_a_run(self, sandbox, engine, request_sent, monkeypatch):
        monkeypatch.setattr(fork_runner, "WALL_FACTOR", 0.0)
        monkeypatch.setattr(fork_runner, "WALL_EXTRA", 4.0)
        monkeypatch.setattr(fork_runner, "SILENCE_SECONDS", 1.0)

        def pause(container: str) -> None:
            with engine.client() as client:
                client.pause(container)

        assert self.strike(sandbox, engine, request_sent, pause) == [2.0, 0]
        sandbox.close()
        assert own(sandbox, engine) == []

    def test_a_stream_that_closes_in_a_run(self, sandbox, engine, request_sent):
        def hang_up(_container: str) -> None:
            [server] = sandbox._pool._running
            server.kill()

        assert self.strike(sandbox, engine, request_sent, hang_up) == [2.0, 0]

    def test_a_container_killed_while_idle(self, sandbox, engine):
        sandbox.run(PLUS_ONE, [1], QUICK)
        [container] = own(sandbox, engine)
        with engine.client() as client:
            client.kill(container)
        assert sandbox.run(PLUS_ONE, [1], QUICK)[0].value == 2

    def test_cancelling_a_run(self, sandbox, engine, request_sent):
        cancellation = Cancellation()
        sandbox.run(PLUS_ONE, [1], QUICK)
        request_sent.clear()
        with ThreadPoolExecutor(1) as executor:
            run = executor.submit(sandbox.run, ENDLESS, [1], Limits(seconds=100), cancellation)
            assert request_sent.wait(30)
            cancellation.cancel()
            with pytest.raises(RunCancelledError):
                run.result(30)
        assert sandbox.run(PLUS_ONE, [1], QUICK)[0].value == 2

    def test_closing_with_runs_under_way(self, host, engine, request_sent):
        sandbox = DockerSandbox(host=host, servers=2)
        with ThreadPoolExecutor(2) as executor:
            runs = [executor.submit(sandbox.run, ENDLESS, [1], Limits(seconds=100)) for _ in range(2)]
            assert request_sent.wait(60)
            sandbox.close()
            for run in runs:
                with pytest.raises(SandboxError, match="is closed"):
                    run.result(30)
        assert own(sandbox, engine) == []

    def test_closing_while_a_container_starts(self, host, engine, monkeypatch):
        sandbox = DockerSandbox(host=host, servers=1)
        starting = threading.Event()
        original = AttachTransport.receive

        def receive(self, seconds):
            starting.set()
            return original(self, seconds)

        monkeypatch.setattr(AttachTransport, "receive", receive)
        with ThreadPoolExecutor(1) as executor:
            run = executor.submit(sandbox.run, ENDLESS, [1], Limits(seconds=100))
            assert starting.wait(60)
            sandbox.close()
            assert own(sandbox, engine) == []
            with pytest.raises(SandboxError, match="is closed"):
                run.result(30)


def build_image(own_engine) -> None:
    """Where there is none yet: the tests of one engine run in any order, on any process."""
    from sandboxes.container.engine import Engine
    from sandboxes.container.image import build_image_from_host

    engine = Engine(own_engine.host)
    build_image_from_host(engine, packages=())
    engine.close()


def test_an_engine_without_an_image_says_what_helps(own_engine):
    from sandboxes.container.engine import Engine
    from sandboxes.container.image import list_images

    engine = Engine(own_engine.host)
    with engine.client() as client:
        for image in list_images(engine):
            client.remove_image(image.id, force=True)
    engine.close()
    with pytest.raises(SandboxError, match=r"no image for programs yet.*image build --from-host"):
        DockerSandbox(host=own_engine.host)


class TestEngineRestarts:
    def test_runs_under_way_survive(self, own_engine, request_sent):
        from sandboxes.container.engine import Engine

        build_image(own_engine)
        with (
            DockerSandbox(host=own_engine.host, servers=2, patience=120) as sandbox,
            ThreadPoolExecutor(2) as executor,
        ):
            for run in [executor.submit(sandbox.run, BUSY, [0.2], PATIENT) for _ in range(2)]:
                run.result(60)
            request_sent.clear()
            runs = [executor.submit(sandbox.run, BUSY, [3.0, 1], PATIENT) for _ in range(2)]
            assert request_sent.wait(30)
            own_engine.stop()
            own_engine.start()
            for run in runs:
                assert [execution.value for execution in run.result(300)] == [3.0, 1]
            assert containers_of(Engine(own_engine.host), sandbox._pool._start._name)

    def test_one_that_stays_away_is_an_error_after_a_while(self, own_engine):
        build_image(own_engine)
        with DockerSandbox(host=own_engine.host, servers=1, patience=0.5) as sandbox:
            own_engine.stop()
            try:
                with pytest.raises(UnreachableError, match="no container engine answers"):
                    sandbox.run(PLUS_ONE, [1], QUICK)
            finally:
                own_engine.start()
            assert sandbox.run(PLUS_ONE, [1], QUICK)[0].value == 2


def run_host(host: str, code: str) -> subprocess.CompletedProcess[str]:
    """Run a host of its own, for which every warning is an error."""
    return subprocess.run(host_command(host, code), capture_output=True, text=True, timeout=120, check=False)


def host_command(host: str, code: str) -> list[str]:
    prelude = "import os, sys\nfrom sandboxes import Limits, Program\n"
    prelude += "from sandboxes.container import DockerSandbox\n"
    prelude += "plus_one = Program('def f(x): return x + 1', 'f')\n"
    prelude += f"sandbox = DockerSandbox(host={host!r}, servers=1)\nname = sandbox._pool._start._name\n"
    return [sys.executable, "-W", "error", "-c", prelude + code]


class TestHosts:
    def test_one_that_forgets_to_close_leaves_nothing(self, host, engine):
        done = run_host(host, "print(sandbox.run(plus_one, [1], Limits())[0].value, name)")
        assert (done.stderr, done.returncode) == ("", 0)
        value, name = done.stdout.split()
        assert value == "2"
        assert containers_of(engine, name) == []

    def test_one_that_drops_its_sandbox_leaves_nothing(self, host, engine):
        code = "sandbox.run(plus_one, [1], Limits())\ndel sandbox\nprint(name, flush=True)\nos._exit(0)"
        done = run_host(host, code)
        assert done.stderr == ""
        assert containers_of(engine, done.stdout.strip()) == []

    def test_one_that_forks_shares_nothing_with_its_child(self, host, engine):
        code = (
            "sandbox.run(plus_one, [0], Limits())\n"
            "child = os.fork()\n"
            "values = [e.value for _ in range(20) for e in sandbox.run(plus_one, [os.getpid()], Limits())]\n"
            "assert values == [os.getpid() + 1] * 20\n"
            "if not child: sys.exit()\n"
            "assert os.waitpid(child, 0)[1] == 0\n"
            "assert sandbox.run(plus_one, [0], Limits())[0].value == 1\n"
            "print(name, sandbox._pool._start._name)\n"
        )
        done = run_host(host, code)
        assert done.stderr == ""
        for name in done.stdout.split():
            assert containers_of(engine, name) == []

    @pytest.mark.parametrize("state", ["running", "busy", "paused", "created"])
    def test_one_that_is_killed_leaves_nothing(self, host, engine, state):
        code = "sandbox.run(plus_one, [1], Limits())\nprint(name, flush=True)\n"
        if state == "created":
            code = (
                "from sandboxes.container.transport import AttachTransport\n"
                "import docker\n"
                "def start(*_):\n    print(name, flush=True)\n    sys.stdin.read()\n"
                "docker.APIClient.start = start\n" + code
            )
        if state == "busy":
            code += (
                "sandbox.run(Program('def f(x):\\n    while True: pass', 'f'), [1], Limits(seconds=1000))\n"
            )
        code += "sys.stdin.read()\n"
        victim = subprocess.Popen(
            host_command(host, code), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        with victim:
            name = victim.stdout.readline().strip()
            [container] = containers_of(engine, name)
            if state == "paused":
                with engine.client() as client:
                    client.pause(container)
            victim.send_signal(signal.SIGKILL)
            victim.wait()
        if state in ("paused", "created"):
            with DockerSandbox(host=host, servers=1) as other:  # a new start
                assert other.concurrency == 1
        else:
            gone(engine, container)
        assert containers_of(engine, name) == []

    def test_what_is_left_can_be_swept(self, host, engine):
        dead = subprocess.run(
            [
                sys.executable,
                "-c",
                "from sandboxes.container.labels import Owner; print(Owner.this_process())",
            ],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        owner = eval(dead, {"Owner": labels.Owner})
        with engine.client() as client:
            name = f"left-{os.getpid()}"
            [image] = client.images(f"{'induce-sandbox'}:latest")[:1]
            for mine in (owner, labels.Owner.this_process()):
                tags = mine.labels | {labels.SANDBOX: name if mine is owner else f"{name}-mine"}
                client.create_container(image["Id"], ["python3"], labels=tags)
        sweep(engine)  # if no other sandbox was faster
        assert containers_of(engine, name) == []
        [kept] = containers_of(engine, f"{name}-mine")
        with engine.client() as client:
            client.remove_container(kept)


def gone(engine, container: str) -> None:
    """Wait until the engine has removed a container."""
    import docker.errors

    from sandboxes.container.engine import RefusedError

    try:
        with engine.client() as client:
            client.wait(container, condition="removed", timeout=60)
    except (RefusedError, docker.errors.NotFound):
        pass  # it was gone before
