"""Hosts in private networks that may be contacted, on all ports or on one."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from langchain_videochat import VideoChatEmbed
from langchain_videochat.errors import InputError
from langchain_videochat.media.allowed_hosts import parse_allowed_hosts


def is_allowed(entry: str, url: str) -> bool:
    (host,) = parse_allowed_hosts([entry])
    return host.matches(httpx.URL(url))


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("nas.local", "http://nas.local/a.mp4"),
        ("nas.local", "https://NAS.local:8443/a.mp4"),
        ("NAS.local:80", "http://nas.local/a.mp4"),
        ("nas.local:443", "https://nas.local/a.mp4"),
        ("nas_1:8000", "http://nas_1:8000/a.mp4"),
        ("127.0.0.1:8000", "http://127.0.0.1:8000/"),
        ("::1", "http://[::1]:9/a.mp4"),
        ("[::1]", "http://[::1]:9/a.mp4"),
        ("[fd00::5]:8000", "http://[fd00::5]:8000/a.mp4"),
        ("büro.example", "http://xn--bro-hoa.example/a.mp4"),
    ],
)
def test_allowed_addresses(entry: str, url: str) -> None:
    assert is_allowed(entry, url)


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("nas.local", "http://a.nas.local/a.mp4"),
        ("nas.local:80", "https://nas.local/a.mp4"),
        ("nas.local:8000", "http://nas.local/a.mp4"),
        ("127.0.0.1:8000", "http://127.0.0.1:80000/a.mp4"),
        ("127.0.0.1:8000", "http://127.0.0.1:8000@example.org/a.mp4"),
        ("[::1]:8000", "http://[::1]:8001/a.mp4"),
    ],
)
def test_other_addresses(entry: str, url: str) -> None:
    assert not is_allowed(entry, url)


@given(st.integers(1, 65535), st.integers(1, 65535))
def test_a_port_allows_only_that_port(allowed: int, port: int) -> None:
    assert is_allowed(f"127.0.0.1:{allowed}", f"http://127.0.0.1:{port}/") == (allowed == port)


NOT_HOSTS = [
    "",
    "http://nas.local",
    "nas.local/",
    "nas.local/films",
    "10.0.0.0/8",
    "*.local",
    "me@nas.local",
    " nas.local",
    "nas local",
    "nas.local:",
    "nas.local:x",
    "nas.local:0",
    "nas.local:70000",
    ":8000",
    "[::1",
    "::1]:8000",
    "[]",
]


@pytest.mark.parametrize("entry", NOT_HOSTS)
def test_an_entry_that_matches_no_address_is_refused(entry: str) -> None:
    with pytest.raises(InputError, match="without http://"):
        parse_allowed_hosts([entry])
    with pytest.raises(ValidationError, match="allowed_hosts"):
        VideoChatEmbed(model="videochat-embed-tiny", allowed_hosts=["nas.local", entry])
