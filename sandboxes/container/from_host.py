"""The files of an image that is made of the running interpreter: those that a server uses, and no others.

A process of that interpreter loads all that a server loads (``inventory``). What it then has in memory and
has opened is what a container needs, at the same paths, every symbolic link on the way included.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.resources
import json
import os
import stat
import struct
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from sandboxes.container.fleet import ENVIRONMENT
from sandboxes.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MOUNT_POINTS = ("/dev", "/proc", "/sys", "/tmp")  # noqa: S108
_MODES = {"/tmp": 0o1777}  # noqa: S108 - what is mounted there takes it over
_LOADER_CACHE = "/etc/ld.so.cache"
_INTERP = 3  # PT_INTERP, elf(5)
_SECONDS = 300


@dataclass
class Tree:
    """Files, folders and symbolic links, from path to a link's target, ``None`` for the others."""

    interpreter: str
    packages: Mapping[str, str]
    environment: Mapping[str, str]
    entries: dict[str, str | None] = field(default_factory=dict)

    def add(self, path: str) -> None:
        """Add what lies at an absolute path, with every folder and symbolic link on the way to it."""
        done = "/"
        rest = _parts(path)
        for _ in range(1000):  # a loop of links is not worth more
            if not rest:
                return
            if rest[0] == "..":
                done, rest = os.path.dirname(done), rest[1:]
                continue
            done, rest = os.path.join(done, rest[0]), rest[1:]
            if not os.path.islink(done):
                self.entries.setdefault(done, None)
                continue
            target = os.readlink(done)
            self.entries[done] = target
            done = "/" if target.startswith("/") else os.path.dirname(done)
            rest = _parts(target) + rest

    @property
    def scratch(self) -> str:
        """Give a folder that a container may write to, for what is mounted there hides what it has."""
        return "/scratch" if any(path.startswith("/tmp/") for path in self.entries) else "/tmp"  # noqa: S108

    @functools.cached_property
    def content(self) -> str:
        """Give a hash (SHA-256, hexadecimal) of all that decides what a container has."""
        digest = hashlib.sha256(json.dumps([_MODES, self.interpreter, dict(self.environment)]).encode())
        for path, target in sorted(self.entries.items()):
            digest.update(f"\0{path}\0{target}\0".encode("utf-8", "surrogateescape"))
            if target is None and os.path.isfile(path):
                with open(path, "rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    @property
    def size_bytes(self) -> int:
        """Give the bytes in its files."""
        return sum(
            os.path.getsize(path)
            for path, target in self.entries.items()
            if target is None and os.path.isfile(path)
        )

    @contextlib.contextmanager
    def archive(self) -> Iterator[IO[bytes]]:
        """Give a tar archive, which lies in a temporary file."""
        with tempfile.TemporaryFile() as file:
            with tarfile.open(fileobj=file, mode="w") as tar:
                for path, target in sorted(self.entries.items()):
                    self._write(tar, path, target)
            file.seek(0)
            yield file

    def _write(self, tar: tarfile.TarFile, path: str, target: str | None) -> None:
        info = tarfile.TarInfo(path.lstrip("/"))
        status = os.lstat(path)
        info.mtime = int(status.st_mtime)  # a module's cache is valid for the time of its source
        if target is not None:
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
        elif stat.S_ISDIR(status.st_mode):
            info.type, info.mode = tarfile.DIRTYPE, _MODES.get(path, 0o755)
            tar.addfile(info)
        else:
            info.size, info.mode = status.st_size, 0o755 if status.st_mode & 0o100 else 0o644
            with open(path, "rb") as file:
                tar.addfile(info, file)


def collect(packages: Sequence[str]) -> Tree:
    """Find the files that a server of the running interpreter uses, with ``packages`` where it has them.

    Raises ``SandboxError`` where it cannot load them.
    """
    found = _take_inventory(packages)
    environment = {"PATH": os.path.dirname(found["interpreter"])}
    if "LD_LIBRARY_PATH" in os.environ:  # without it, some interpreters do not start
        environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    tree = Tree(found["interpreter"], found["packages"], environment)
    for path in found["files"]:
        tree.add(path)
        for name in _other_names(path):
            tree.add(name)
    for path in (*found["folders"], *_MOUNT_POINTS):
        tree.add(path)
    loader = _loader(found["interpreter"])
    for path in (loader, _LOADER_CACHE):
        if path is not None and os.path.exists(path):
            tree.add(path)
    return tree


def _take_inventory(packages: Sequence[str]) -> dict[str, Any]:
    guest = importlib.resources.files("sandboxes.guest")
    script = importlib.resources.files("sandboxes.container").joinpath("inventory.py")
    variables = dict(ENVIRONMENT)
    if "LD_LIBRARY_PATH" in os.environ:
        variables["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                [sys.executable, str(script), str(guest), *packages],
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                check=True,
                cwd=folder,
                env=variables,
            )
            found: dict[str, Any] = json.loads(done.stdout)
        except subprocess.CalledProcessError as error:
            last = error.stderr.strip().rpartition("\n")[2]
            raise SandboxError(f"{sys.executable} cannot load what programs may use: {last}") from error
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            raise SandboxError(f"{sys.executable} cannot load what programs may use: {error}") from error
    return found


def _other_names(path: str) -> Iterator[str]:
    """Give the links to a shared library that lie beside it: it is loaded by one of them."""
    if ".so" not in os.path.basename(path):
        return
    stem = os.path.basename(path).partition(".so")[0].partition("-")[0]
    with os.scandir(os.path.dirname(path)) as entries:
        for entry in entries:
            if (
                entry.is_symlink()
                and entry.name.startswith(stem)
                and os.path.realpath(entry.path) == os.path.realpath(path)
            ):
                yield entry.path


def _loader(executable: str) -> str | None:
    """Read off an executable which program loads it, see elf(5); ``None`` where it is none we know."""
    with Path(executable).open("rb") as file:
        identity = file.read(16)
        if identity[:6] != b"\x7fELF\x02\x01":  # of 64 bits, little-endian
            return None
        file.seek(32)
        (offset,) = struct.unpack("<Q", file.read(8))
        file.seek(54)
        size, count = struct.unpack("<HH", file.read(4))
        for index in range(count):
            file.seek(offset + index * size)
            header = file.read(56)
            kind, start, length = struct.unpack_from("<I4xQ", header)[0:2] + struct.unpack_from(
                "<Q", header, 32
            )
            if kind == _INTERP:
                file.seek(start)
                return file.read(length).rstrip(b"\0").decode()
    return None


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]
