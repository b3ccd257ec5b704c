"""``induce model serve``: with a stand-in for vLLM that misbehaves, and with a real one."""

import json
import os
import pty
import re
import select
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vllm_server import needs_vllm, session_members, vllm_server, wait_until_gone

from induce.model_serving import (
    Installation,
    ServeOptions,
    cause_of_death,
    find_vllm,
    free_port,
    is_loopback,
    last_lines,
    plan_server,
    vllm_command,
)
from sandboxes.errors import ModelError

SECONDS = 30.0

# Plays vllm.entrypoints.openai.api_server. $FAKE_VLLM says how it fails.
FAKE = """
import argparse, http.server, json, os, signal, subprocess, sys, threading

play = json.loads(os.environ.get("FAKE_VLLM", "{}"))
parser = argparse.ArgumentParser()
for name in ("model", "host", "port", "served-model-name"):
    parser.add_argument("--" + name)
options, rest = parser.parse_known_args()
print("options", json.dumps([vars(options), rest]), flush=True)
print("key", os.environ.get("VLLM_API_KEY") == play.get("key"), flush=True)
print("offline", os.environ.get("HF_HUB_OFFLINE"), flush=True)
if "child" in play:  # in a group of its own, deaf, and holding the pipe
    code = "from signal import *; signal(SIGTERM, SIG_IGN); print('up', flush=True); pause()"
    child = subprocess.Popen([sys.executable, "-c", code], process_group=0, stdout=subprocess.PIPE)
    child.stdout.readline()
    with open(play["child"], "w") as file:
        file.write(str(child.pid))
if "deaf" in play:
    def tell(*_):
        with open(play["deaf"], "w") as file:
            file.write("heard")
    signal.signal(signal.SIGTERM, tell)
print("loading \\x1b[31mweights\\x07", flush=True)
if "say" in play:
    print(play["say"], flush=True)
if "gate" in play:
    open(play["gate"]).read()
if "die" in play:
    sys.exit(play["die"])

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/die":
            os._exit(9)
        key = os.environ.get("VLLM_API_KEY")
        refused = key and self.path != "/health" and self.headers.get("Authorization") != "Bearer " + key
        name = play.get("name", options.served_model_name)
        body = json.dumps({"data": [{"id": name, "max_model_len": 4096}]}).encode()
        self.send_response(401 if refused else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer((options.host, int(options.port)), Handler)
server.serve_forever()
"""


@pytest.fixture
def fake_vllm(tmp_path, monkeypatch):
    """An importable package that plays vLLM, and a folder with a model."""
    package = tmp_path / "path" / "vllm" / "entrypoints" / "openai"
    package.mkdir(parents=True)
    (package / "api_server.py").write_text(FAKE)
    for folder in (package, package.parent, package.parent.parent):
        (folder / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    model = tmp_path / "tiny"
    model.mkdir()
    (model / "config.json").write_text("{}")
    return model


class Served:
    """``induce model serve`` in a process of its own."""

    def __init__(self, *arguments, play=None, stderr=subprocess.PIPE):
        environment = os.environ | {"FAKE_VLLM": json.dumps(play or {}), "NO_COLOR": "1"}
        command = [sys.executable, "-m", "induce", "model", "serve", *map(str, arguments)]
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True, start_new_session=True
        )

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for number in (signal.SIGTERM, signal.SIGTERM):
            if self.process.poll() is None:
                self.process.send_signal(number)
        self.process.communicate(timeout=SECONDS)

    def line(self):
        return self.process.stdout.readline().rstrip("\n")

    def ready(self):
        line = self.line()
        assert line, self.process.stderr.read()
        return json.loads(line)

    def end(self, number=signal.SIGTERM):
        """Tell it to end; give its exit code and what else it said."""
        self.process.send_signal(number)
        return self.finish()

    def finish(self):
        out, err = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, out, err


def serve_json(model, *arguments, play=None):
    return Served(model, "--port", "0", "--python", sys.executable, "--json", *arguments, play=play)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_server_is_announced_and_ended_with_all_it_started(fake_vllm, tmp_path, number):
    with serve_json(fake_vllm, "--grace", "0.5", play={"child": str(tmp_path / "child")}) as served:
        told = served.ready()
        assert told["name"] == "tiny"
        assert told["context"] == 4096
        assert told["model"] == f"vllm:tiny@{told['url']}"
        child = int((tmp_path / "child").read_text())
        assert {told["pid"], child} <= set(session_members(told["pid"]))
        code, out, _ = served.end(number)
    assert (code, out) == (0, "")
    assert session_members(told["pid"]) == []
    assert wait_until_gone(child)


def test_what_to_copy_is_on_standard_output_alone(fake_vllm, tmp_path):
    with Served(fake_vllm, "--port", "0", "--python", sys.executable, "--name", "org/small") as served:
        url, model = served.line(), served.line()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v1", url)
        assert model == f"--model vllm:org/small@{url}"
        code, out, err = served.end()
    assert (code, out) == (0, "")
    log = re.search(r"log: (.+)", err)[1]
    assert Path(log).is_relative_to(tmp_path / "state")
    assert stat.S_IMODE(Path(log).stat().st_mode) == 0o600
    assert "\x1b" not in err


def test_vllm_gets_our_flags_and_then_the_users(fake_vllm):
    with serve_json(fake_vllm, "--context", "2048", "--", "--max-num-seqs", "4") as served:
        told = served.ready()
        log = Path(told["log"]).read_text()
        served.end()
    options, rest = json.loads(re.search(r"^options (.*)$", log, re.MULTILINE)[1])
    assert options["model"] == str(fake_vllm)
    assert options["served_model_name"] == "tiny"
    assert {"--enable-prefix-caching", "--generation-config=vllm"} <= set(rest)
    assert rest[rest.index("--max-model-len") + 1] == "2048"
    assert rest[-2:] == ["--max-num-seqs", "4"]
    assert "offline 1" in log


def test_told_to_end_while_it_starts_it_leaves_nothing(fake_vllm, tmp_path):
    gate, child = tmp_path / "gate", tmp_path / "child"
    os.mkfifo(gate)
    play = {"gate": str(gate), "child": str(child)}
    with (
        serve_json(fake_vllm, "--grace", "0.2", play=play) as served,
        gate.open("w"),  # once the server waits for it
    ):
        pid = int(child.read_text())
        code, out, _ = served.end(signal.SIGINT)
    assert (code, out) == (130, "")
    assert wait_until_gone(pid)


def test_a_deaf_server_is_killed_after_the_grace(fake_vllm, tmp_path):
    os.mkfifo(tmp_path / "deaf")
    with serve_json(fake_vllm, "--grace", "0.2", play={"deaf": str(tmp_path / "deaf")}) as served:
        told = served.ready()
        served.process.send_signal(signal.SIGTERM)
        assert (tmp_path / "deaf").read_text() == "heard"
        code, _, _ = served.finish()
    assert code == 0
    assert wait_until_gone(told["pid"])


def test_told_twice_it_kills_at_once(fake_vllm, tmp_path):
    os.mkfifo(tmp_path / "deaf")
    with serve_json(fake_vllm, "--grace", "3600", play={"deaf": str(tmp_path / "deaf")}) as served:
        told = served.ready()
        served.process.send_signal(signal.SIGTERM)
        assert (tmp_path / "deaf").read_text() == "heard"
        code, _, _ = served.end()
    assert code == 0
    assert wait_until_gone(told["pid"])


def test_killed_itself_it_takes_the_server_along(fake_vllm):
    with serve_json(fake_vllm) as served:
        told = served.ready()
        served.end(signal.SIGKILL)
    assert wait_until_gone(told["pid"])


def test_a_server_that_dies_while_starting_says_why(fake_vllm, tmp_path):
    say = "(EngineCore pid=7) ERROR 01-01 00:00:00 [core.py:1] torch.OutOfMemoryError: CUDA out of memory."
    with serve_json(fake_vllm, play={"say": say, "die": 3}) as served:
        code, out, err = served.finish()
    assert (code, out) == (1, "")
    assert "torch.OutOfMemoryError: CUDA out of memory." in err
    [error] = [line for line in err.splitlines() if line.startswith("error: ")]
    assert "died while it started (exit code 3)" in error
    assert "more memory than there is" in error
    assert str(tmp_path / "state") in error
    assert "\x1b" not in err


def test_a_server_that_dies_later_is_an_error(fake_vllm):
    with serve_json(fake_vllm) as served:
        told = served.ready()
        host, port = re.search(r"//(.*):(\d+)/", told["url"]).groups()
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(b"GET /die HTTP/1.0\r\n\r\n")
            connection.recv(1)
        code, _, err = served.finish()
    assert code == 1
    assert "died while it served (exit code 9)" in err


def test_a_start_has_a_limit(fake_vllm, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with serve_json(fake_vllm, "--start-timeout", "1", play={"gate": str(gate)}) as served, gate.open("w"):
        code, _, err = served.finish()
    assert code == 1
    assert "was not ready after 1 s" in err


def test_something_else_on_the_port_is_noticed(fake_vllm):
    with serve_json(fake_vllm, play={"name": "other"}) as served:
        code, out, err = served.finish()
    assert (code, out) == (1, "")
    assert "does not have tiny" in err


def test_a_terminal_sees_how_the_start_goes(fake_vllm, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    ours, theirs = pty.openpty()
    with Served(
        *(fake_vllm, "--port", "0", "--python", sys.executable, "--json"),
        play={"gate": str(gate)},
        stderr=theirs,
    ) as served:
        with gate.open("w"):
            seen = b""
            while b"loading" not in seen:
                assert select.select([ours], [], [], SECONDS)[0], seen
                seen += os.read(ours, 4096)
        served.ready()
        assert served.end()[0] == 0
    os.close(theirs)
    os.close(ours)
    assert b"\x1b[31m" not in seen  # what vLLM prints commands no terminal
    assert b"\x07" not in seen


def test_a_taken_port_is_found_before_anything_is_started(fake_vllm, induce_command, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = induce_command("model", "serve", fake_vllm, "--port", port, "--python", sys.executable)
    assert run.code == 1
    assert f"cannot listen on port {port} of 127.0.0.1 (Address already in use)" in run.err
    assert not (tmp_path / "state").exists()


def test_only_with_a_key_can_others_reach_it(fake_vllm, induce_command, monkeypatch):
    run = induce_command("model", "serve", fake_vllm, "--host", "0.0.0.0", "--python", sys.executable)
    assert run.code == 1
    assert "--api-key-env" in run.err
    run = induce_command(
        "model",
        "serve",
        fake_vllm,
        "--host",
        "0.0.0.0",
        "--python",
        sys.executable,
        "--api-key-env",
        "NOTHING",
    )
    assert run.code == 1
    assert "NOTHING holds no key" in run.err
    monkeypatch.setenv("OUR_KEY", "hidden-from-everybody")
    with serve_json(
        fake_vllm, "--host", "0.0.0.0", "--api-key-env", "OUR_KEY", play={"key": "hidden-from-everybody"}
    ) as served:
        told = served.ready()
        command = Path(f"/proc/{told['pid']}/cmdline").read_text()
        log = Path(told["log"]).read_text()
        _, _, err = served.end()
    assert told["url"].startswith("http://127.0.0.1:")
    assert "key True" in log
    for shown in (command, log, err, json.dumps(told)):
        assert "hidden-from-everybody" not in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere/at/all"], "there is no folder nowhere/at/all"),
        (["."], "holds no model"),
        (["tiny", "--", "--port", "1"], "--port is not for vLLM's flags"),
        (["tiny", "--", "--api_key=abc"], "--api-key is not for vLLM's flags"),
        (["tiny", "--", "--ssl-keyfile", "x"], "--ssl-keyfile is not for vLLM's flags"),
        (["tiny", "--python", "/no/such/python"], "there is no interpreter /no/such/python"),
        (["tiny", "--python", "/bin/false"], "/bin/false cannot be asked for vLLM"),
        (["tiny", "--name", "a@http://b"], "contains a URL"),
        (["tiny", "--host", "no.such.host.invalid", "--api-key-env", "HOME"], "cannot listen on port"),
    ],
)
def test_what_makes_no_sense_is_one_line(induce_command, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    run = induce_command("model", "serve", *arguments[:1], "--port", "0", *arguments[1:])
    assert (run.code, run.out) == (1, "")
    assert said in run.err
    assert run.err.count("\n") == 1


def test_an_interpreter_without_vllm_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with pytest.raises(ModelError, match="has no vLLM: pip install vllm there"):
        find_vllm(sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ModelError, match="there is no vLLM here"):
        find_vllm()


def test_vllms_own_command_is_used_where_it_works(fake_vllm, tmp_path, monkeypatch):
    """A build without metadata of its own has a command that fails."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("python", "vllm"):
        (folder / name).write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        (folder / name).chmod(0o755)
    monkeypatch.setenv("INDUCE_VLLM_PYTHON", str(folder / "python"))
    assert find_vllm() == Installation(str(folder / "python"), "", accelerated=False)
    metadata = tmp_path / "path" / "vllm-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: vllm\nVersion: 1.0\n")
    assert find_vllm().command == str(folder / "vllm")
    assert plan_server(ServeOptions(str(fake_vllm), port=0)).command[:3] == [
        str(folder / "vllm"),
        "serve",
        str(fake_vllm),
    ]
    monkeypatch.delenv("INDUCE_VLLM_PYTHON")
    monkeypatch.setenv("PATH", str(folder))
    assert find_vllm().python == str(folder / "python")


def test_an_accelerator_is_left_to_vllm(fake_vllm):
    options = ServeOptions("org/model")
    with_gpu = vllm_command(Installation("python", "vllm", accelerated=True), options, 1)
    without = vllm_command(Installation("python", "vllm", accelerated=False), options, 1)
    assert set(without) - set(with_gpu) == {"--dtype=bfloat16", "--enforce-eager", "--max-num-seqs=16"}


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("OSError: [Errno 98] Address already in use", "port was taken"),
        ("huggingface_hub.errors.GatedRepoError: 401 Client Error.", "HF_TOKEN"),
        (
            "OSError: We couldn't connect to 'https://huggingface.co' to load the files",
            "hub cannot be reached",
        ),
        ("OSError: nope is not a local folder and is not a valid model identifier", "no such model"),
        (
            "ValueError: User-specified max_model_len (99999) is greater than the derived max_model_len",
            "--context",
        ),
        ("ValueError: No available memory for the cache blocks.", "more memory than there is"),
        ("api_server.py: error: unrecognized arguments: --bogus", "unrecognized arguments: --bogus"),
        ("RuntimeError: Failed to infer device type", "build for CPUs"),
        ("importlib.metadata.PackageNotFoundError: No package metadata was found for vllm", "no metadata"),
        ("ModuleNotFoundError: No module named 'torch'", "not complete"),
        ("somewhere.OddError: something odd\nbye", "somewhere.OddError: something odd"),
        (
            "ValueError: Available memory on node 0 is less than requested memory for kv",
            "more memory than there is",
        ),
        ("  Value error, Unrecognized model in /m. Should have a `model_type`", "no such model"),
        (
            "ValueError: odd shape\nRuntimeError: Engine core initialization failed. See root cause above.",
            "ValueError: odd shape",
        ),
        ("WARNING 01-01 00:00:00 [b.py:2] OSError: [Errno 98] Address already in use", "look into its log"),
        ("nothing in particular", "look into its log"),
    ],
)
def test_causes_of_death(tmp_path, line, cause):
    log = tmp_path / "log"
    log.write_text(f"INFO 01-01 00:00:00 [a.py:1] starting\n{line}\n")
    assert cause in cause_of_death(log, 1)
    assert "\n" not in cause_of_death(log, 1)


def test_a_log_that_cannot_be_written(induce_command, fake_vllm, tmp_path):
    run = induce_command(
        "model", "serve", fake_vllm, "--port", 0, "--python", sys.executable, "--log", tmp_path
    )
    assert run.code == 1
    assert f"the log {tmp_path} cannot be written (Is a directory): name another with --log" in run.err


def test_old_logs_go(fake_vllm, tmp_path):
    logs = tmp_path / "state" / "induce" / "log"
    logs.mkdir(parents=True)
    for name, days in (("vllm-1.log", 31), ("vllm-2.log", 29), ("other.log", 99)):
        (logs / name).touch()
        then = time.time() - days * 24 * 3600
        os.utime(logs / name, (then, then))
    plan = plan_server(ServeOptions(str(fake_vllm), port=0, python=sys.executable))
    assert {path.name for path in logs.iterdir()} == {"vllm-2.log", "other.log", plan.log.name}


def test_the_kernels_kill_is_understood(tmp_path):
    log = tmp_path / "log"
    log.write_text("loading\n")
    assert "memory" in cause_of_death(log, -signal.SIGKILL)


def test_last_lines_leave_out_what_says_nothing(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(
        b"(APIServer pid=21) INFO 11-23 11:13:35 [utils.py:347] \n\n"
        b"(Worker pid=2) WARNING 11-23 11:13:58 [worker.py:1] no tcmalloc\n"
        b"shards:   0%\rshards: 100%\n\xff\n"
    )
    assert last_lines(log) == ["no tcmalloc", "shards:   0%", "shards: 100%", "\ufffd"]
    assert last_lines(log, 1) == ["\ufffd"]


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_only_127_is_loopback(a, b, c, d):
    assert is_loopback(f"{a}.{b}.{c}.{d}") == (a == 127)


def test_loopback_has_other_names():
    assert is_loopback("localhost")
    assert is_loopback("::1")
    assert not is_loopback("::")
    assert not is_loopback("")


def test_a_free_port_is_free():
    port = free_port("127.0.0.1", 0)
    with socket.create_server(("127.0.0.1", port)), pytest.raises(ModelError, match=f"port {port}"):
        free_port("127.0.0.1", port)
    assert free_port("127.0.0.1", port) == port


class TestVllm:
    pytestmark = needs_vllm

    def test_a_real_server_starts_can_do_all_and_ends(self, induce_command):
        with vllm_server() as server:
            run = induce_command("model", "check", server.model, "--json", "--deadline", "120")
            assert run.code == 0
            [record] = run.records
            works = {name for name, finding in record["findings"].items() if finding["works"]}
            assert works >= {
                *("reached", "model", "context", "answers", "n", "logprobs", "json_schema", "continuation"),
                *("tokenize", "prefix cache", "first token", "speed"),
            }
            assert record["findings"]["context"]["tokens"] == server.context == 4096
            members = session_members(server.pid)
            assert len(members) > 1
        assert all(wait_until_gone(pid) for pid in members)

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--context", "10000000"], "pass a smaller one as --context"),
            (["--", "--no-such-flag"], "it does not know a flag (unrecognized arguments: --no-such-flag)"),
        ],
    )
    def test_a_real_server_that_cannot_start_says_why(self, arguments, said):
        with Served(
            *(os.environ["MODEL_DIR"], "--port", "0", "--python", os.environ["VLLM_PYTHON"], *arguments)
        ) as served:
            _, err = served.process.communicate(timeout=300)
        assert served.process.returncode == 1
        assert said in err
