"""How models are named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypotheses.models.address import KNOWN_PROVIDERS, VLLM_URL, ModelAddress
from sandboxes.errors import ModelError

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9/:._+-]{0,30}", fullmatch=True)
HOSTS = st.one_of(
    st.from_regex(r"[a-z0-9]{1,10}(\.[a-z0-9]{1,5}){0,3}", fullmatch=True),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda ip: f"[{ip}]"),
)
URLS = st.builds(
    lambda scheme, host, port, path: f"{scheme}://{host}{port}{path}",
    st.sampled_from(["http", "https"]),
    HOSTS,
    st.one_of(st.just(""), st.integers(1, 65535).map(lambda port: f":{port}")),
    st.sampled_from(["", "/", "/v1", "/v1/", "/api/v2", "/v1/chat/completions", "/a:b/c"]),
)


@given(st.sampled_from(sorted(set(KNOWN_PROVIDERS) - {"recorded"})), NAMES, st.lists(URLS, max_size=3))
def test_what_is_written_is_read_again(provider, name, urls):
    address = ModelAddress.parse(f"{provider}:{name}" + ("@" + ",".join(urls) if urls else ""))
    assert ModelAddress.parse(str(address)) == address
    assert (address.provider, address.name, len(address.urls)) == (provider, name, len(urls))


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_refused_in_one_line(text):
    told = ""
    try:
        address = ModelAddress.parse(text)
    except ModelError as error:
        told = str(error)
    else:
        assert ModelAddress.parse(str(address)) == address
    assert len(told.splitlines()) <= 1


@given(st.sampled_from(["vllm:", "openai:", "recorded:", "anthropic:"]), st.text(max_size=40))
def test_any_name_is_an_address_or_refused(provider, text):
    try:
        address = ModelAddress.parse(provider + text)
    except ModelError:
        return
    assert ModelAddress.parse(str(address)) == address


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("vllm:a/b:c", (VLLM_URL,)),
        ("vllm:m@http://h:8000", ("http://h:8000/v1",)),
        ("vllm:m@http://h:8000/", ("http://h:8000/v1",)),
        ("vllm:m@http://h/v1/chat/completions", ("http://h/v1",)),
        ("vllm:m@http://h/models/x/v3", ("http://h/models/x/v3",)),
        ("vllm:m@http://a:1/v1,http://b:2, https://c", ("http://a:1/v1", "http://b:2/v1", "https://c/v1")),
        ("openai:gpt-4o", ()),
        ("anthropic:claude@http://h:1/", ("http://h:1",)),
        ("google-genai:gemini-pro", ()),
        ("recorded:some/folder/a@http://b.jsonl", ()),
    ],
)
def test_urls(text, urls):
    assert ModelAddress.parse(text).base_urls == urls


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("gpt-4o", "did you mean openai:gpt-4o?"),
        ("claude-sonnet-4", "did you mean anthropic:claude-sonnet-4?"),
        ("http://h:8000/v1", "write vllm:NAME@http://h:8000/v1"),
        ("opnai:gpt-4o", "did you mean openai:gpt-4o?"),
        ("vlm:x@http://h", "did you mean vllm:x@http://h?"),
        ("openai", "write openai:NAME"),
        ("vllm:", "write PROVIDER:NAME"),
        ("", "write PROVIDER:NAME"),
        ("vllm:@http://h:8000/v1", "write vllm:NAME@http://h:8000/v1"),
        ("vllm:m@localhost:8000", "did you mean vllm:m@http://localhost:8000?"),
        ("vllm:m@http://", "is not the URL of a server"),
        ("vllm:m@http://h:99999", "is not the URL of a server"),
        ("vllm:m@http://h:8000,ftp://x", "is not the URL of a server"),
    ],
)
def test_what_cannot_be_read_says_how_to_write_it(text, told):
    with pytest.raises(ModelError) as caught:
        ModelAddress.parse(text)
    assert told in str(caught.value)


@pytest.mark.parametrize("url", ["http://me:sesame@h/v1", "http://h/v1?key=sesame", "http://h/v1#sesame"])
def test_a_url_holds_no_secret_and_the_error_does_not_repeat_it(url):
    with pytest.raises(ModelError, match="key in the environment") as caught:
        ModelAddress.parse(f"vllm:m@{url}")
    assert "sesame" not in str(caught.value)
