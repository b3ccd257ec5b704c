"""A vLLM server of one's own: started, watched until it answers, and stopped with everything it started."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import importlib.util
import ipaddress
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import platformdirs

from hypotheses.models.address import ModelAddress
from sandboxes.errors import ModelError

PYTHON_VARIABLE = "INDUCE_VLLM_PYTHON"
"""Names the interpreter that has vLLM, where that is not the one that runs this."""

GRACE_SECONDS = 20.0
"""How long a server that was told to end may take: vLLM needs about five seconds."""

_POLL_SECONDS = 0.5
_KILLED_SECONDS = 10.0
_PROBE_SECONDS = 180.0  # PyTorch from a cold disk
_LAST_LINES = 15
_TAIL_BYTES = 64 * 1024
_KEPT_SECONDS = 30 * 24 * 3600.0  # logs of servers that are long gone
_CPU_CACHE_GIB = (1, 16)  # least and most memory for prompts and answers, without an accelerator
_OURS = {
    "--model": "as the first argument",
    "--host": "as --host before the --",
    "--port": "as --port before the --",
    "--uds": "not at all: it listens on a port",
    "--served-model-name": "as --name before the --",
    "--max-model-len": "as --context before the --",
    "--api-key": "in a variable that --api-key-env names, for other users can see a command line",
    "--root-path": "not at all: clients ask under /v1",
}

# Asks another interpreter what it has. PyTorch is what vLLM itself asks for devices.
_PROBE = """
import importlib.metadata, importlib.util, json
has_vllm = importlib.util.find_spec("vllm") is not None
try:
    version = importlib.metadata.version("vllm")
except importlib.metadata.PackageNotFoundError:
    version = ""
accelerated = importlib.util.find_spec("tpu_inference") is not None
if has_vllm and importlib.util.find_spec("torch"):
    import torch
    accelerated |= torch.cuda.is_available() or (hasattr(torch, "xpu") and torch.xpu.is_available())
print(json.dumps([has_vllm, version, bool(accelerated)]))
"""

# Becomes the server, after it made sure that the server is told to end when whoever started it dies.
_LAUNCHER = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() != int(sys.argv[1]):
    sys.exit("whoever started this is gone")
os.execvp(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What to serve, and where.

    ``model`` is a folder, a file or a name on the Hugging Face hub; ``name`` what clients call it (default:
    the folder's name, or the hub's). ``port`` 0 is any free one. ``context`` is in tokens (default: the
    model's own). ``flags`` are passed on to vLLM. ``start_seconds`` limits the start, a download included;
    ``grace`` is how long in seconds the server may take to end.
    """

    model: str
    name: str = ""
    host: str = "127.0.0.1"
    port: int = 8000
    context: int | None = None
    python: str = ""
    flags: tuple[str, ...] = ()
    api_key: str = field(default="", repr=False)
    log: Path | None = None
    start_seconds: float = 1800.0
    grace: float = GRACE_SECONDS

    @property
    def served_name(self) -> str:
        """What clients call the model."""
        if self.name:
            return self.name
        path = Path(self.model).expanduser()
        return path.resolve().name if path.exists() else self.model


@dataclass(frozen=True, slots=True)
class Installation:
    """Where vLLM is. ``command`` is its command line; empty where that does not work, but the module does."""

    python: str
    command: str
    accelerated: bool


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """A server that can be started: its command line and environment, and where it will be."""

    options: ServeOptions
    url: str
    log: Path
    command: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ReadyServer:
    """A server that answers: where, what to copy, and how long it took in seconds."""

    url: str
    name: str
    address: ModelAddress
    context: int | None
    pid: int
    log: Path
    seconds: float


Progress = Callable[[float, str], None]
"""Is told, again and again while a server starts, the seconds so far and the last line of its log."""


async def serve(
    plan: ServerPlan, ready: Callable[[ReadyServer], None], progress: Progress | None = None
) -> bool:
    """Start a server, call ``ready`` once it answers, and stop it on SIGINT, SIGTERM or SIGHUP.

    Returns once the server was told to end and is gone: whether it had become ready. Whatever happens,
    nothing that it started is left. Told again, or once the grace is over, it is killed; should this process
    itself be killed, the server is told to end. Raises ``ModelError`` for a server that does not start or
    that dies; its last words are the notes of the error.
    """
    options, log = plan.options, plan.log
    loop, told = asyncio.get_running_loop(), _Told()
    for number in _SIGNALS:
        loop.add_signal_handler(number, told)
    started = time.monotonic()
    try:
        with log.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                *[sys.executable, "-I", "-c", _LAUNCHER, str(os.getpid()), *plan.command],
                env=plan.environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,  # Ctrl-C is for us, who tell it to end
            )
        ended, end = asyncio.create_task(process.wait()), asyncio.create_task(told.once.wait())
        try:
            await _until_ready(plan, started, (ended, end), progress)
            if end.done():
                return False
            context = await asyncio.to_thread(_context, plan)
            address = ModelAddress("vllm", options.served_name, (plan.url,))
            seconds = time.monotonic() - started
            ready(ReadyServer(plan.url, options.served_name, address, context, process.pid, log, seconds))
            await asyncio.wait((ended, end), return_when=asyncio.FIRST_COMPLETED)
            if not end.done():
                raise _death(log, ended.result(), "while it served")
            return True
        finally:
            await _stop(process.pid, options.grace, told)
            end.cancel()
            await asyncio.wait((ended,), timeout=_KILLED_SECONDS)
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Told:
    """Whether we were told to end, once and again."""

    def __init__(self) -> None:
        self.once = asyncio.Event()
        self.again = asyncio.Event()

    def __call__(self) -> None:
        (self.again if self.once.is_set() else self.once).set()


def plan_server(options: ServeOptions) -> ServerPlan:
    """Find vLLM and a place for the server.

    Raises ``ModelError`` for options that make no sense, a port that is taken, and where there is no vLLM.
    """
    for flag in options.flags:
        name = flag.partition("=")[0].replace("_", "-")
        if name in _OURS or name.startswith("--ssl"):
            how = _OURS.get(name, "not at all: put a proxy with TLS before it")
            raise ModelError(f"{name} is not for vLLM's flags: pass it {how}")
    _check_model(options.model)
    ModelAddress("vllm", options.served_name)  # what can be no part of an address cannot be asked for
    if not options.api_key and not is_loopback(options.host):
        raise ModelError(
            f"{options.host} can be reached from other machines: name a variable that holds a key "
            "with --api-key-env, or leave out --host"
        )
    port = free_port(options.host, options.port)
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(options.host, options.host)  # noqa: S104
    url = f"http://{f'[{reached}]' if ':' in reached else reached}:{port}/v1"
    installation = find_vllm(options.python)
    log = _open_log(options, port)
    return ServerPlan(
        options, url, log, vllm_command(installation, options, port), _environment(options, installation)
    )


def _open_log(options: ServeOptions, port: int) -> Path:
    log = options.log
    try:
        if log is None:
            log = platformdirs.user_log_path("induce", ensure_exists=True) / f"vllm-{port}.log"
            for old in log.parent.glob("vllm-*.log"):
                if time.time() - old.stat().st_mtime > _KEPT_SECONDS:
                    old.unlink()
        os.close(os.open(log, os.O_WRONLY | os.O_CREAT, 0o600))
    except OSError as error:
        place = log or "in the log folder"
        raise ModelError(
            f"the log {place} cannot be written ({error.strerror}): name another with --log"
        ) from None
    return log


def _check_model(model: str) -> None:
    path = Path(model).expanduser()
    if path.is_dir() and not (path / "config.json").exists() and not (path / "params.json").exists():
        raise ModelError(
            f"{path} holds no model: name a folder with a config.json, as Hugging Face lays it out"
        )
    if not path.exists() and (model.startswith((".", "/", "~")) or model.count("/") > 1):
        raise ModelError(f"there is no folder {path}: name one, or a model on the Hugging Face hub")
    if not model or model.startswith("-"):
        raise ModelError(f"{model!r} is no model: name a folder, or a model on the Hugging Face hub")


def is_loopback(host: str) -> bool:
    """Say whether a server on ``host`` can be reached from this machine alone."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        return False
    return bool(host) and all(
        ipaddress.ip_address(str(one[4][0]).partition("%")[0]).is_loopback for one in found
    )


def free_port(host: str, port: int) -> int:
    """Give ``port`` if a server can listen on it, or any free one for 0. Raises ``ModelError``."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # As the server does it: a port whose last connections are still closing is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    except (OSError, UnicodeError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(
            f"cannot listen on port {port} of {host} ({reason}): choose another --port; 0 is any free one"
        ) from None


def find_vllm(python: str = "") -> Installation:
    """Find vLLM: with ``python``, else ``INDUCE_VLLM_PYTHON``, else this interpreter, else ``vllm`` on PATH.

    Raises ``ModelError`` that says how to get it.
    """
    how = f"name an interpreter that has it with --python or {PYTHON_VARIABLE}"
    chosen = python or os.environ.get(PYTHON_VARIABLE, "")
    if not chosen:
        on_path = shutil.which("vllm")
        if importlib.util.find_spec("vllm") is not None:
            chosen = sys.executable
        elif on_path is not None:
            chosen = str(Path(on_path).resolve().parent / "python")
        else:
            raise ModelError(
                f"there is no vLLM here: pip install vllm into an environment of its own, and {how}"
            )
    chosen = str(Path(chosen).expanduser())
    try:
        probe = subprocess.run(
            [chosen, "-c", _PROBE], capture_output=True, text=True, timeout=_PROBE_SECONDS, check=True
        )
        has_vllm, version, accelerated = json.loads(probe.stdout.strip().splitlines()[-1])
    except FileNotFoundError:
        raise ModelError(f"there is no interpreter {chosen}: {how}") from None
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        words = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        raise ModelError(f"{chosen} cannot be asked for vLLM ({(words or [''])[-1][:200]}): {how}") from None
    if not has_vllm:
        raise ModelError(f"{chosen} has no vLLM: pip install vllm there, or {how}")
    # Builds under another name have no metadata of vllm, which its command line dies of.
    command = Path(chosen).parent / "vllm"
    return Installation(chosen, str(command) if version and command.exists() else "", accelerated)


def vllm_command(installation: Installation, options: ServeOptions, port: int) -> list[str]:
    """Give the command line of the server."""
    model = options.model
    if Path(model).expanduser().exists():
        model = str(Path(model).expanduser().absolute())
    if installation.command:
        command = [installation.command, "serve", model]
    else:
        command = [installation.python, "-m", "vllm.entrypoints.openai.api_server", "--model", model]
    command += ["--served-model-name", options.served_name, "--host", options.host, "--port", str(port)]
    command += [
        "--enable-prefix-caching",
        "--enable-prompt-tokens-details",  # tells what came from the cache
        "--generation-config=vllm",  # else the model's own top_k and the like stand beside what we ask for
        "--disable-uvicorn-access-log",
    ]
    if options.context is not None:
        command += ["--max-model-len", str(options.context)]
    if not installation.accelerated:
        command += ["--dtype=bfloat16", "--enforce-eager", "--max-num-seqs=16"]
    return [*command, *options.flags]  # the last word counts


def _environment(options: ServeOptions, installation: Installation) -> dict[str, str]:
    environment = {
        **os.environ,
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "PYTHONUNBUFFERED": "1",
        # Compilers and the like that came with vLLM.
        "PATH": f"{Path(installation.python).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }
    environment.pop("VLLM_API_KEY", None)
    if options.api_key:
        environment["VLLM_API_KEY"] = options.api_key
    if Path(options.model).expanduser().is_dir():
        environment.setdefault("HF_HUB_OFFLINE", "1")
    if not installation.accelerated:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
        least, most = _CPU_CACHE_GIB
        environment.setdefault("VLLM_TARGET_DEVICE", "cpu")
        environment.setdefault("VLLM_CPU_KVCACHE_SPACE", str(min(most, max(least, memory // 8))))
        # Binding reads the machine's layout, which containers hide.
        environment.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
        environment.setdefault("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))
    return environment


async def _until_ready(
    plan: ServerPlan,
    started: float,
    ends: tuple[asyncio.Task[int], asyncio.Task[bool]],
    progress: Progress | None,
) -> None:
    """Wait until the server answers, or we are told to end. Raises ``ModelError`` if neither comes."""
    url, log = plan.url, plan.log
    while True:
        answer = asyncio.create_task(asyncio.to_thread(_get, url.removesuffix("/v1") + "/health"))
        await asyncio.wait((answer, *ends), return_when=asyncio.FIRST_COMPLETED)
        if ends[0].done():
            raise _death(log, ends[0].result(), "while it started")
        if ends[1].done() or (await answer)[0] == 200:
            return
        seconds = time.monotonic() - started
        if progress is not None:
            progress(seconds, (last_lines(log, 1) or [""])[0])
        if seconds > plan.options.start_seconds:
            raise _with_last_words(
                f"vLLM was not ready after {seconds:.0f} s: pass a longer --start-timeout; its log is {log}",
                log,
            )
        await asyncio.wait(ends, timeout=_POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)


def _context(plan: ServerPlan) -> int | None:
    """Give the context of the model in tokens. Raises ``ModelError`` if something else answers there."""
    options = plan.options
    _, body = _get(f"{plan.url}/models", options.api_key)
    with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
        for model in json.loads(body)["data"]:
            if model["id"] == options.served_name:
                length = model.get("max_model_len")
                return length if isinstance(length, int) else None
    raise ModelError(f"what answers at {plan.url} does not have {options.served_name}: choose another --port")


def _get(url: str, key: str = "") -> tuple[int, bytes]:
    """Ask a server on this machine, past any proxy; status 0 where none answers."""
    place, _, path = url.partition("://")[2].partition("/")
    connection = http.client.HTTPConnection(place, timeout=5)
    try:
        connection.request("GET", f"/{path}", headers={"Authorization": f"Bearer {key}"} if key else {})
        answer = connection.getresponse()
        return answer.status, answer.read(1 << 20)
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


async def _stop(session: int, grace: float, told: _Told) -> None:
    """End every process of a session: told first, and killed once the grace is over or we are told again."""
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, _KILLED_SECONDS)):
        end = time.monotonic() + seconds
        members = list(_members(session))
        _send(members, number)
        while members and time.monotonic() < end:
            if number is signal.SIGKILL:
                _send(members, number)  # those that were born since
            elif told.again.is_set():
                break
            await asyncio.sleep(0.05)
            members = list(_members(session))
        if not members:
            return


def _send(members: Sequence[int], number: signal.Signals) -> None:
    for member in members:
        with contextlib.suppress(ProcessLookupError):
            os.kill(member, number)


def _members(session: int) -> Iterator[int]:
    """Yield the living processes of a session: a group is not enough, since its members may leave it."""
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, _, _, of = Path(entry.path, "stat").read_text().rpartition(") ")[2].split()[:4]
                if int(of) == session and state not in "ZX":
                    yield int(entry.name)


_ORNAMENT = re.compile(
    r"^(?:\([\w :-]+ pid=\d+\) ?)?(?:(?P<level>INFO|WARNING|ERROR|DEBUG) [\d-]+ [\d:]+ \[[^\]]*\] ?)?"
)


def last_lines(log: Path, count: int = _LAST_LINES) -> list[str]:
    """Give the last lines of a server's log that say something, without times and numbers of processes."""
    lines = (line[len(_ornament(line)[0]) :].rstrip() for line in _tail(log))
    return [line for line in lines if line.strip()][-count:]


def _tail(log: Path) -> list[str]:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        return file.read().decode(errors="replace").replace("\r", "\n").splitlines()


def _ornament(line: str) -> tuple[str, str]:
    """Give what stands before a line of the log, and the line's level."""
    found = _ORNAMENT.match(line)
    return (found[0], found["level"] or "") if found else ("", "")


_CAUSES: Sequence[tuple[str, str]] = (
    (r"address already in use", "its port was taken meanwhile: choose another with --port"),
    (
        r"gated repo|GatedRepoError|401 Client Error",
        "the hub wants to know who you are: set HF_TOKEN, or download the model and name its folder",
    ),
    (
        r"LocalEntryNotFound|couldn't connect to 'https|Cannot find an appropriate cached snapshot"
        r"|offline mode|ConnectError|Max retries exceeded|Failed to resolve",
        "the model is not on this machine and the hub cannot be reached: name a folder with the model",
    ),
    (
        r"RepositoryNotFound|Repository Not Found|not a valid model identifier|not a local folder"
        r"|Invalid repository ID|does not appear to have a file named|HFValidationError"
        r"|Unrecognized model in",
        "there is no such model: name a folder with a config.json, or a model on the Hugging Face hub",
    ),
    (
        r"max[_ ]model[_ ]len.*(?:greater|larger) than|larger than the maximum number of tokens|max seq len",
        "it cannot have such a context: pass a smaller one as --context",
    ),
    (
        r"out of memory|OutOfMemory|MemoryError|cannot allocate memory|can't allocate|No available memory"
        r"|Free memory on device|Available memory [^\n]* is less than"
        r"|not enough (?:free |available )?memory|insufficient memory",
        "it needs more memory than there is: pass a smaller --context, or flags after --, such as "
        "--max-num-seqs 4 or --gpu-memory-utilization 0.8; without a GPU set VLLM_CPU_KVCACHE_SPACE (GiB)",
    ),
    (r"unrecognized arguments?:? [^\n]+", "it does not know a flag ({0})"),
    (r"error: argument [^\n]+", "it does not like a flag ({0})"),
    (
        r"Failed to infer device type|No platform detected|Torch not compiled with CUDA|UnspecifiedPlatform",
        "this build of vLLM finds no device: without a GPU it takes a build for CPUs",
    ),
    (
        r"No package metadata was found for vllm|PackageNotFoundError",
        "this build has no metadata of vllm, which it needs: install one that calls itself vllm",
    ),
    (r"architectures? [^\n]*not supported", "it cannot run this kind of model ({0})"),
    (r"No module named [^\n]+", "its installation is not complete ({0})"),
)


def cause_of_death(log: Path, code: int) -> str:
    """Say in one line what a server died of, from its exit code and its log."""
    text = "\n".join(
        line[len(ornament) :]
        for line, (ornament, level) in ((line, _ornament(line)) for line in _tail(log))
        if level not in ("INFO", "WARNING", "DEBUG")  # nobody dies of these
    )
    for pattern, cause in _CAUSES:
        if found := re.search(pattern, text, re.IGNORECASE):
            return cause.format(found[0][:200])
    if code == -signal.SIGKILL:
        return "it was killed, mostly for want of memory: pass a smaller --context, or take a smaller model"
    errors = re.findall(r"^(?:\w+\.)*\w*(?:Error|Exception): .+$", text, re.MULTILINE)
    # What the server says of its engine's death is not what that died of.
    causes = [error for error in errors if "Engine core initialization failed" not in error]
    return causes[-1][:300] if causes else "look into its log"


def _death(log: Path, code: int, when: str) -> ModelError:
    how = f"exit code {code}" if code >= 0 else f"signal {-code}"
    cause = cause_of_death(log, code)
    return _with_last_words(f"vLLM died {when} ({how}): {cause}; its log is {log}", log)


def _with_last_words(message: str, log: Path) -> ModelError:
    error = ModelError(message)
    for line in last_lines(log):
        error.add_note(line)
    return error


def ready_record(server: ReadyServer) -> Mapping[str, Any]:
    """Give what ``--json`` tells of a server."""
    return {
        "url": server.url,
        "name": server.name,
        "model": str(server.address),
        "context": server.context,
        "pid": server.pid,
        "log": str(server.log),
        "seconds": round(server.seconds, 1),
    }
