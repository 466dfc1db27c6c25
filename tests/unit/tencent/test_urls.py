"""URLs are shown by form alone, and proxies are read as `requests` reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests.utils import get_auth_from_url

from airflow_vod.tencent.urls import is_proxy_url, shown_url, split_proxy


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://example.com", "https://example.com"),
        ("https://example.com/", "https://example.com"),
        ("https://example.com:8443/a/b?c=d#e", "https://example.com:8443/***"),
        ("https://example.com?token=x", "https://example.com/***"),
        ("https://user:password@example.com/a", "https://***@example.com/***"),
        ("http://[::1]:80/a", "http://[::1]:80/***"),
        ("http://my_host/a", "http://my_host/***"),
        ("https://user:p@ss@example.com/a", "https://***@example.com/***"),
        ("https://user:pass/word@example.com/a", "***"),
        ("https://user:pass#word@example.com/a", "***"),
        ("https://user:pass?word@example.com/a", "***"),
        ("https://example.com:99999/a", "***"),
        ("https://exa\x1b[2Jmple.com/a", "***"),
        ("example.com/a", "***"),
        ("nonsense", "***"),
        ("", "***"),
        ("https://[/", "***"),
    ],
)
def test_what_is_shown(url: str, shown: str) -> None:
    """Scheme, host and port, and where these are not certain nothing."""
    assert shown_url(url) == shown


SECRET = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)


@given(SECRET, SECRET, SECRET, SECRET)
def test_no_part_but_the_host_is_shown(user: str, password: str, path: str, query: str) -> None:
    """Whatever user, password, path and query hold, quoted or raw, no mark of theirs is in what is shown."""
    marked = [f"mArK{part}mArK" for part in (user, password, path, query)]
    url = "https://{}:{}@example.com/{}?{}".format(*marked)
    assert "mark" not in shown_url(url).lower()


@pytest.mark.parametrize(
    "url",
    [
        "http://us%40er:p%40s%3As%2F%23@proxy:3128",
        "http://user:p@ss@proxy:3128",
        "https://user:@proxy",
        "http://proxy:3128",
        "http://user:p%C3%A9@proxy:3128",
    ],
)
def test_proxies_are_read_as_requests_reads_them(url: str) -> None:
    """User and password are those that `requests`, and with it the SDK, sends."""
    identity = split_proxy(url)[1]
    assert tuple((identity or ":").split(":", 1)) == get_auth_from_url(url)


@pytest.mark.parametrize(
    "url", ["proxy", "proxy:3128", "user:pass@proxy:3128", "http://proxy:3128/", "HTTP://Proxy", "http://my_proxy:1"]
)
def test_what_is_a_proxy(url: str) -> None:
    """With scheme or without, in upper case or lower."""
    assert is_proxy_url(url)


@pytest.mark.parametrize(
    "url",
    ["", "socks5://proxy:1080", "http://", "http://proxy/path", "http://proxy:0", "http://pro xy", "http://proxy?q"],
)
def test_what_is_no_proxy(url: str) -> None:
    """What no HTTP request can go through."""
    assert not is_proxy_url(url)
