"""Programs in sandboxes of another machine: one service lends its servers to many hosts.

>>> from sandboxes.remote import RemoteSandbox  # doctest: +SKIP
>>> sandbox = RemoteSandbox("tls://sandboxes.example.org:7443", token)  # doctest: +SKIP

::

    address     where a service listens: unix:///path or tls://host:port
    tokens      who may use it
    transport   the client's end of a connection
    sandbox     the back end itself, ``RemoteSandbox``
    service     the other side: takes connections and relays runs to a back end of its own machine
    session     one connection of a client, as the service sees it
    request     what a client asks for, checked before a server hears of it
    turns       whose request is next: one client after the other
    relay       one run on a lent server
    background  a service in a thread of this process
"""

from sandboxes.remote.address import TlsAddress, UnixAddress, parse_address
from sandboxes.remote.sandbox import RemoteSandbox
from sandboxes.remote.tokens import TOKEN_VARIABLE, Tokens

__all__ = [
    "TOKEN_VARIABLE",
    "RemoteSandbox",
    "TlsAddress",
    "Tokens",
    "UnixAddress",
    "parse_address",
]
