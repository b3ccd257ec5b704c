"""How a run on a server is called."""

from __future__ import annotations

import re

import sqlalchemy as sa

from sandboxes import RunLogError

DRIVER = "postgresql+psycopg"
FORM = f"{DRIVER}://USER@HOST/DATABASE#RUN"

_RUN = re.compile(r"[A-Za-z0-9_.-]{1,52}")  # the longest name of a schema has 63 characters


def is_address(address: str) -> bool:
    """Whether this names a run on a server rather than a file."""
    return address.startswith(("postgresql:", "postgresql+", "postgres:"))


def parse_address(address: str) -> tuple[sa.URL, str]:
    """Split an address into the database's URL and the run's name. No message shows a password."""
    place, _, run = address.rpartition("#")
    url: sa.URL | None
    try:
        url = sa.make_url(place)
    except (sa.exc.ArgumentError, ValueError):
        url = None
    if url is None or url.drivername not in (DRIVER, "postgresql") or not url.database:
        raise RunLogError(f"the address of a run on a server is {FORM}; the one given has another form")
    if not _RUN.fullmatch(run):
        raise RunLogError(
            f"the address of a run on a server is {FORM}, where RUN is up to 52 letters, digits, `_`, `-` "
            "and `.`; the one given has another name"
        )
    return url.set(drivername=DRIVER), run
