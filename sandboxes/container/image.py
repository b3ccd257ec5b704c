"""Images that containers are made of: finding and building them."""

from __future__ import annotations

import hashlib
import importlib.resources
import io
import json
import platform
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandboxes.container import from_host, labels
from sandboxes.container.engine import Engine, RefusedError, one_line
from sandboxes.environment import PACKAGES
from sandboxes.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

REPOSITORY = "induce-sandbox"
"""The name of every image that is built here; ``latest`` among them is what a sandbox takes by default."""

PYTHON = "3.13"
"""The Python of an image that is built from a registry unless said otherwise."""

_BAD_REQUEST, _NOT_THERE = 400, 404
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True, slots=True)
class Image:
    """An image on an engine: its id, a name for people, its Python and whether it is taken by default.

    ``interpreter`` is the path of its Python, or a name to be looked up there. ``python`` is empty for an
    image that was not built here. ``scratch`` is the folder that a container may write to.
    """

    id: str
    name: str
    interpreter: str = "python3"
    python: str = ""
    created: str = ""
    size_bytes: int = 0
    default: bool = False
    scratch: str = "/tmp"  # noqa: S108 - in a container


def find_image(engine: Engine, name: str | None = None) -> Image:
    """Find the image ``name``, or the one built last. Raises ``SandboxError`` where there is none."""
    if name is None:
        for image in list_images(engine):
            if image.default:
                return image
        raise SandboxError(
            f"the container engine at {engine.host} has no image for programs yet; build one: "
            "induce sandbox image build (or, without a registry, induce sandbox image build --from-host)"
        )
    found = _inspect(engine, name)
    if found is None:
        raise SandboxError(
            f"the container engine at {engine.host} has no image {name}; fetch it (docker pull {name}), or "
            "build one: induce sandbox image build"
        )
    return _image(found, name)


def list_images(engine: Engine) -> list[Image]:
    """Give the images that were built here, oldest first."""
    return _find_built(engine, labels.IMAGE)


def build_image(
    engine: Engine, python: str = PYTHON, report: Callable[[str], object] = lambda _line: None
) -> Image:
    """Build an image with numpy and scipy from the registry's image of a Python version, such as ``3.13``.

    ``report`` is called with the lines that the engine prints. Raises ``SandboxError`` where it fails.
    """
    if not re.fullmatch(r"3\.\d+(\.\d+)?", python):
        raise SandboxError(f"{python!r} is no version of Python; try {PYTHON}")
    source = _dockerfile()
    content = hashlib.sha256(source + python.encode()).hexdigest()
    name = _name(python, content)
    try:
        _build(engine, source, name, python, _labels(content, python, "/usr/local/bin/python3"), report)
    except RefusedError as error:
        raise SandboxError(
            f"the image cannot be built: {error}; without a registry, try induce sandbox image build "
            "--from-host"
        ) from error
    return _make_default(engine, name, content)


def build_image_from_host(
    engine: Engine,
    packages: Sequence[str] = tuple(PACKAGES),
    report: Callable[[str], object] = lambda _line: None,
) -> Image:
    """Make an image of the running interpreter and ``packages``, without any registry.

    It holds exactly the files that a server uses, at the same paths, and nothing else: no shell, no tools.
    It becomes the image that sandboxes take. Raises ``SandboxError`` where that cannot be done, for one on
    systems other than Linux.
    """
    if not sys.platform.startswith("linux"):
        raise SandboxError(
            "an image can be made from the host on Linux alone; leave out --from-host, and use a registry"
        )
    _check_machine(engine)
    report("loading what programs can use, to see which files that takes")
    tree = from_host.collect(packages)
    lacking = [package for package in packages if package not in tree.packages and package not in PACKAGES]
    if lacking:
        raise SandboxError(f"there is no package {', '.join(lacking)} here; install it, or leave it out")
    python = platform.python_version()
    name = _name(python, tree.content)
    if not _find_built(engine, f"{labels.IMAGE}={tree.content}"):
        report(f"sending {len(tree.entries)} files, {tree.size_bytes / 1e6:.0f} MB, to the engine")
        changes = [
            f"LABEL {key}={_quote(value)}"
            for key, value in _labels(tree.content, python, tree.interpreter).items()
        ]
        changes.append(f"LABEL {labels.SCRATCH}={_quote(tree.scratch)}")
        changes += [f"ENV {key}={_quote(value)}" for key, value in tree.environment.items()]
        with tree.archive() as archive, engine.client() as client:
            repository, _, tag = name.rpartition(":")
            _check_answer(client.import_image_from_data(archive, repository, tag, changes))
    return _make_default(engine, name, tree.content)


def _build(
    engine: Engine,
    source: bytes,
    name: str,
    python: str,
    own: dict[str, str],
    report: Callable[[str], object],
) -> None:
    """Have the engine build a Dockerfile. Raises ``RefusedError``."""
    with engine.client() as client:
        for line in client.build(
            fileobj=io.BytesIO(source),
            tag=name,
            rm=True,
            forcerm=True,
            decode=True,
            buildargs={"PYTHON": python},
            labels=own,
            timeout=3600,
        ):
            if "error" in line:
                raise RefusedError(one_line(line["error"]), 500)
            if text := line.get("stream", "").strip():
                report(text)


def _dockerfile() -> bytes:
    return importlib.resources.files("sandboxes.container").joinpath("Dockerfile").read_bytes()


def _inspect(engine: Engine, name: str) -> dict[str, Any] | None:
    try:
        with engine.client() as client:
            found: dict[str, Any] = client.inspect_image(name)  # type: ignore[no-untyped-call]
    except RefusedError as error:
        if error.status in (_NOT_THERE, _BAD_REQUEST):  # the second for what can be no image's name
            return None
        raise
    return found


def _image(found: dict[str, Any], name: str | None) -> Image:
    tags = [_short(tag) for tag in found.get("RepoTags") or []]
    own = (found.get("Config") or {}).get("Labels") or {}
    default = f"{REPOSITORY}:latest"
    return Image(
        id=found["Id"],
        name=name or next((tag for tag in tags if tag != default), found["Id"]),
        interpreter=own.get(labels.INTERPRETER, "python3"),
        python=own.get(labels.IMAGE_PYTHON, ""),
        created=str(found.get("Created", "")),
        size_bytes=int(found.get("Size") or 0),
        default=default in tags,
        scratch=own.get(labels.SCRATCH, "/tmp"),  # noqa: S108
    )


def _make_default(engine: Engine, name: str, content: str) -> Image:
    """Give the image that was built of ``content`` its names, that included by which sandboxes take it."""
    label = f"{labels.IMAGE}={content}"
    built = _find_built(engine, label)
    if not built:
        raise SandboxError("the engine has built an image and does not know it any more; try again")
    with engine.client() as client:
        for tag in (name.rpartition(":")[2], "latest"):
            client.tag(built[-1].id, REPOSITORY, tag, force=True)
    return _find_built(engine, label)[-1]


def _find_built(engine: Engine, label: str) -> list[Image]:
    with engine.client() as client:
        found = client.images(filters={"label": label})
    details = [_inspect(engine, entry["Id"]) for entry in found]
    images = [_image(entry, None) for entry in details if entry is not None]
    return sorted(images, key=lambda image: image.created)


def _name(python: str, content: str) -> str:
    return f"{REPOSITORY}:{'.'.join(python.split('.')[:2])}-{content[:12]}"


def _labels(content: str, python: str, interpreter: str) -> dict[str, str]:
    return {
        labels.IMAGE: content,
        labels.IMAGE_PYTHON: python,
        labels.INTERPRETER: interpreter,
        labels.VERSION: labels.version(),
    }


def _check_machine(engine: Engine) -> None:
    with engine.client() as client:
        theirs = client.info().get("Architecture", "")
    theirs, ours = _MACHINES.get(theirs, theirs), platform.machine()
    if theirs and theirs != ours:
        raise SandboxError(
            f"this host's interpreter is for {ours} and cannot run on the engine's {theirs}; "
            "use induce sandbox image build, with a registry"
        )


def _check_answer(answer: str) -> None:
    if '"error"' in answer:
        raise SandboxError(f"the engine does not take the image: {one_line(answer)}; see its log")


def _quote(value: str) -> str:
    """Write a value as the instructions of a Dockerfile have it."""
    return json.dumps(value).replace("$", "\\$")


def _short(tag: str) -> str:
    """Take off what Podman puts before a name that has no registry."""
    return tag.removeprefix("localhost/").removeprefix("docker.io/library/")
