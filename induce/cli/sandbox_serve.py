"""``induce sandbox serve``."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from induce.cli.options import Json, SandboxChoice
from induce.cli.output import print_json
from induce.sandboxing import open_sandbox
from induce.settings import resolve_settings
from sandboxes import SandboxError

if TYPE_CHECKING:
    from sandboxes.remote.address import Address


def serve(
    listen: Annotated[
        str, typer.Option(help="Where: unix:///path/to/socket, or tls://host:port (0: any free port).")
    ],
    cert: Annotated[Path | None, typer.Option(help="For tls: the certificate chain, PEM.")] = None,
    key: Annotated[
        Path | None, typer.Option(help="For tls: the private key, PEM, where it is not with the certificate.")
    ] = None,
    tokens: Annotated[
        Path | None,
        typer.Option(
            help="Who may use it: a file, for its owner's eyes only, with lines NAME TOKEN. "
            "Default: one client, with the token in INDUCE_SANDBOX_TOKEN."
        ),
    ] = None,
    back_end: SandboxChoice = None,
    servers: Annotated[
        int | None, typer.Option(min=1, help="Programs that run at a time. Default: one a core.")
    ] = None,
    per_client: Annotated[
        int | None, typer.Option(min=1, help="Programs of one client at a time. Default: as many.")
    ] = None,
    waiting: Annotated[int, typer.Option(min=1, help="Requests of one client that may wait.")] = 256,
    waiting_in_all: Annotated[int, typer.Option(min=1, help="Requests that may wait.")] = 1024,
    max_seconds: Annotated[float, typer.Option(min=0.001, help="CPU seconds an input may ask for.")] = 60.0,
    max_memory_mb: Annotated[int, typer.Option(min=1, help="MiB that a program may ask for.")] = 2048,
    max_output_bytes: Annotated[
        int, typer.Option(min=1, help="Bytes that a value, and what is printed, may take.")
    ] = 8 * 1024 * 1024,
    grace: Annotated[
        float, typer.Option(min=0, help="Seconds for what still runs, once it is told to end.")
    ] = 30.0,
    json: Json = False,
) -> None:
    """Lend this machine's sandbox to other hosts, until SIGTERM or Ctrl-C.

    Prints its address once clients can connect. Who comes and goes is on standard error. When told to end, it
    lets nobody in and finishes what runs; told again, it ends at once.

    Examples:

      induce sandbox serve --listen unix:///run/induce.sock --tokens tokens.txt

      induce sandbox serve --listen tls://0.0.0.0:7443 --cert cert.pem --key key.pem --tokens tokens.txt
    """
    # Here, since no other command needs TLS.
    from sandboxes.remote.address import TlsAddress, parse_address  # noqa: PLC0415
    from sandboxes.remote.request import ClientLimits  # noqa: PLC0415
    from sandboxes.remote.service import Lender, SandboxService, ServiceOptions, server_context  # noqa: PLC0415
    from sandboxes.remote.service import serve as serve_until_told  # noqa: PLC0415
    from sandboxes.remote.tokens import Tokens  # noqa: PLC0415

    def ready(at: Address) -> None:
        if json:
            record = {"address": str(at), "servers": sandbox.concurrency, "clients": len(known)}
            print_json(record)
        else:
            sys.stdout.write(f"{at}\n")
            sys.stdout.flush()

    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", force=True
    )
    address = parse_address(listen)
    tls = None
    if isinstance(address, TlsAddress):
        if cert is None:
            raise SandboxError(f"a service at {address} needs a certificate; pass --cert, and --key")
        tls = server_context(cert, key)
    elif cert is not None or key is not None:
        raise SandboxError(f"a service at {address} speaks no TLS; leave out --cert and --key")
    known = Tokens.from_environment() if tokens is None else Tokens.read(tokens)
    limits = ClientLimits(
        per_client,
        waiting,
        seconds=max_seconds,
        memory_mb=max_memory_mb,
        output_bytes=max_output_bytes,
    )
    settings = resolve_settings({"sandbox": {"back_end": back_end, "servers": servers, "monty": False}})
    with open_sandbox(settings.sandbox) as sandbox:
        if not isinstance(sandbox, Lender):
            raise SandboxError("only the embedded and the Docker sandbox can be lent; pass one as --sandbox")
        service = SandboxService(sandbox, address, known, tls, limits, ServiceOptions(waiting=waiting_in_all))
        asyncio.run(serve_until_told(service, ready, grace))
