"""Where a service may listen."""

import pytest

from sandboxes import SandboxError
from sandboxes.remote import TlsAddress, UnixAddress, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:///run/x.sock", UnixAddress("/run/x.sock")),
        ("unix:///run/with ?#%41.sock", UnixAddress("/run/with ?#%41.sock")),
        ("tls://example.org:7443", TlsAddress("example.org", 7443)),
        ("tls://127.0.0.1:0", TlsAddress("127.0.0.1", 0)),
        ("tls://[::1]:7443", TlsAddress("::1", 7443)),
    ],
)
def test_both_kinds_travel_as_text(text, address):
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("tcp://example.org:7443", "plain text"),
        ("http://example.org", "write unix:///path/to/socket or tls://"),
        ("/run/x.sock", "write unix:///path/to/socket or tls://"),
        ("", "write unix:///path/to/socket or tls://"),
        ("unix://run/x.sock", "no absolute path"),
        ("unix:///" + "x" * 107, "longer than the 107 bytes"),
        ("tls://example.org", "lacks a host or a port"),
        ("tls://:7443", "lacks a host or a port"),
        ("tls://example.org:99999", "no address"),
        ("tls://example.org:port", "no address"),
        ("tls://[::1:7443", "no address"),
        ("tls://user@example.org:7443", "more than a host and a port"),
        ("tls://example.org:7443/path", "more than a host and a port"),
    ],
)
def test_all_else_is_refused_with_a_reason(text, problem):
    with pytest.raises(SandboxError, match=problem):
        parse_address(text)
