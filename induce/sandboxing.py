"""From settings to a sandbox."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sandboxes import EmbeddedSandbox, SettingsError
from sandboxes.environment import PACKAGES

if TYPE_CHECKING:
    from induce.settings import SandboxSettings
    from sandboxes import Sandbox

TOKEN_VARIABLE = "INDUCE_SANDBOX_TOKEN"  # noqa: S105 - its name
"""The environment variable with the token for a sandbox service; secrets are no settings."""


def open_sandbox(settings: SandboxSettings) -> Sandbox:
    """Make the sandbox that the settings name; the caller closes it.

    Raises ``SettingsError`` for a back end that does not exist, and ``SandboxError`` where it cannot be had.
    """
    sandbox = _open_back_end(settings)
    if not settings.monty:
        return sandbox
    from sandboxes.fast_path import FastSandbox  # noqa: PLC0415 - an extra

    try:
        return FastSandbox(sandbox)
    except BaseException:
        sandbox.close()
        raise


def _open_back_end(settings: SandboxSettings) -> Sandbox:
    kind, _, argument = settings.back_end.partition(":")
    named = [package for packages in settings.packages.values() for package in packages]
    packages = list(dict.fromkeys([*PACKAGES, *named]))
    if settings.python is not None and settings.back_end != "embedded":
        raise SettingsError(
            f"sandbox.python is for the embedded sandbox, not for {settings.back_end}, which has its own"
        )
    if settings.relaxed and kind in ("unix", "tls"):
        raise SettingsError("sandbox.relaxed is for the service itself to say: set it where it runs")
    if settings.back_end == "embedded":
        return EmbeddedSandbox(settings.servers, settings.relaxed, settings.python, packages)
    if kind == "docker" and (argument or settings.back_end == "docker"):
        from sandboxes.container import DockerSandbox  # noqa: PLC0415 - an extra

        return DockerSandbox(
            argument or None,
            servers=settings.servers,
            relaxed=settings.relaxed,
            patience=settings.patience,
            packages=packages,
        )
    if kind in ("unix", "tls", "tcp"):
        from sandboxes.remote import RemoteSandbox  # noqa: PLC0415 - seldom used

        return RemoteSandbox(
            settings.back_end,
            os.environ.get(TOKEN_VARIABLE, ""),
            ca=settings.ca,
            concurrency=settings.servers,
            patience=settings.patience,
        )
    raise SettingsError(
        f"there is no sandbox {settings.back_end!r}; there are embedded, docker, docker:IMAGE, "
        "unix:///SOCKET and tls://HOST:PORT"
    )
