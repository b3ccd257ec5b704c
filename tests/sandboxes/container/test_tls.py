"""An engine over TCP and TLS, as on another machine."""

from __future__ import annotations

import shutil
import socket
import subprocess

import container_engine
import pytest

from sandboxes import Limits, Program, SandboxError
from sandboxes.container import DockerSandbox
from sandboxes.container.engine import Engine
from sandboxes.container.image import build_image_from_host
from sandboxes.container.sweep import containers_of


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A folder with a certificate authority, and keys of the engine and of its client that it signed."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("certificates")
    new_key = ["req", "-newkey", "rsa:2048", "-nodes"]
    authority = [*new_key, "-subj", "/CN=authority", "-x509"]
    openssl(*authority, "-days", "2", "-keyout", f"{folder}/ca-key.pem", "-out", f"{folder}/ca.pem")
    for name, usage in (("server-", "serverAuth"), ("", "clientAuth")):
        openssl(
            *new_key,
            "-subj",
            f"/CN={usage}",
            "-keyout",
            f"{folder}/{name}key.pem",
            "-out",
            f"{folder}/{name}request.pem",
        )
        extensions = folder / f"{name}extensions"
        extensions.write_text(f"subjectAltName=IP:127.0.0.1\nextendedKeyUsage={usage}\n")
        signing = ["-CA", f"{folder}/ca.pem", "-CAkey", f"{folder}/ca-key.pem", "-CAcreateserial"]
        request = ["x509", "-req", "-in", f"{folder}/{name}request.pem", "-days", "2"]
        openssl(*request, *signing, "-extfile", str(extensions), "-out", f"{folder}/{name}cert.pem")
    return folder


@pytest.fixture(scope="module")
def address(certificates):
    """The address of an engine that wants a certificate."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [f"--host=tcp://127.0.0.1:{port}", "--tlsverify", f"--tlscacert={certificates}/ca.pem"]
    options += [f"--tlscert={certificates}/server-cert.pem", f"--tlskey={certificates}/server-key.pem"]
    try:
        with container_engine.PrivateEngine(options=options) as engine:
            client = Engine(engine.host)
            build_image_from_host(client, packages=())
            client.close()
            yield f"tcp://127.0.0.1:{port}"
    except container_engine.NoEngineError as error:
        container_engine.skip_or_fail(error)


def test_programs_run_over_tls(address, certificates, monkeypatch):
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(certificates))
    monkeypatch.setenv("DOCKER_HOST", address)
    limits = Limits(seconds=5, output_bytes=10_000_000)
    large = "x" * 3_000_000  # many records of TLS in one answer, and many in one request
    with DockerSandbox(servers=1) as sandbox:
        for _ in range(20):
            assert sandbox.run(Program("def f(x): return x + 1", "f"), [1, 2], limits)[1].value == 3
        assert sandbox.run(Program("def f(x): return x * 2", "f"), [large], limits)[0].value == 2 * large
        [server] = sandbox._pool._running
        server.kill()
        assert sandbox.run(Program("def f(x): return x + 1", "f"), [1], limits)[0].value == 2
        name = sandbox._pool._start._name
    client = Engine()
    assert containers_of(client, name) == []
    client.close()


def test_nobody_gets_in_without_a_certificate(address, monkeypatch):
    monkeypatch.delenv("DOCKER_TLS_VERIFY", raising=False)
    monkeypatch.delenv("DOCKER_CERT_PATH", raising=False)
    with pytest.raises(SandboxError):
        DockerSandbox(host=address)
