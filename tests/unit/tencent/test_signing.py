"""Signed URLs: the vendor's own examples, and what becomes of the rest of a URL."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from airflow_vod.exceptions import MediaError, VodSettingsError
from airflow_vod.tencent.signing import is_signed, shown, sign, with_signature

KEY = "24FEQmTzro4V5u3D5epW"
URL = "http://example.vod2.myqcloud.com/dir1/dir2/myVideo.mp4"
HOUR = timedelta(hours=1)


def query(url: str) -> dict[str, str]:
    """The parameters of a URL, in their order."""
    return dict(parse_qsl(urlsplit(url).query))


@pytest.mark.parametrize(
    ("parts", "added"),
    [
        ({}, "t=5a71afc0&us=72d4cd1101&sign=3d8488faeb37d52d6bf63b63c1b171c3"),
        ({"rlimit": "3"}, "t=5a71afc0&rlimit=3&us=72d4cd1101&sign=c5214f0d5961b13acd558b4957c4dfc5"),
        ({"exper": "300"}, "t=5a71afc0&exper=300&us=72d4cd1101&sign=547d98c4b91e81b5ea55c95cef63223f"),
    ],
    ids=["plain", "limited to clients", "preview"],
)
def test_examples_of_the_vendor(parts: dict[str, str], added: str) -> None:
    """The signatures of VOD's documentation come out, with the parameters in its order."""
    assert with_signature(URL, KEY, t="5a71afc0", us="72d4cd1101", **parts) == f"{URL}?{added}"


@pytest.mark.parametrize(
    ("url", "signed"),
    [
        (f"{URL}?a=1&b=%20x", f"{URL}?a=1&b=%20x&"),
        (f"{URL}#part", f"{URL}?"),
        ("https://h:8443/a%20b/%E4%B8%AD.mp4", "https://h:8443/a%20b/%E4%B8%AD.mp4?"),
        ("https://h/f.mp4", "https://h/f.mp4?"),
    ],
)
def test_the_rest_of_a_url_stays(url: str, signed: str) -> None:
    """Query, fragment and escapes of a URL stay; VOD's parameters follow the query."""
    result = sign(url, KEY, valid_for=HOUR)
    assert result.startswith(f"{signed}t=")
    assert urlsplit(result).fragment == urlsplit(url).fragment
    assert list(query(result))[-3:] == ["t", "us", "sign"]


def test_the_folder_is_signed_as_it_is_written() -> None:
    """Escapes in the path are part of what is signed, and the file's name is not."""
    [one, other, escaped] = [
        query(with_signature(url, KEY, t="5a71afc0"))["sign"]
        for url in ("http://h/a b/1.mp4", "http://h/a b/2.mp4", "http://h/a%20b/1.mp4")
    ]
    assert one == other != escaped


def test_expiry_is_counted_from_now() -> None:
    """The time of expiry is hexadecimal, in lower case, and never earlier than asked for."""
    before = time.time()
    text = query(sign(URL, KEY, valid_for=HOUR))["t"]
    assert text == text.lower()
    assert before + 3600 <= int(text, 16) <= time.time() + 3601


def test_each_signed_url_is_its_own() -> None:
    """Two URLs signed in the same second differ."""
    assert len({sign(URL, KEY, valid_for=HOUR) for _ in range(100)}) == 100


def test_what_limits_a_url() -> None:
    """Clients and preview stand in the URL, as numbers or as the text that a template gives."""
    for clients, preview, span in ((3, timedelta(minutes=5), 60), ("3", "300", "60")):
        parts = query(sign(URL, KEY, valid_for=span, max_clients=clients, preview=preview))
        assert list(parts) == ["t", "exper", "rlimit", "us", "sign"]
        assert (parts["rlimit"], parts["exper"]) == ("3", "300")


def test_nothing_is_signed_twice() -> None:
    """A signed URL stays as it is, whoever signed it."""
    signed = sign(URL, KEY, valid_for=HOUR)
    assert is_signed(signed)
    assert not is_signed(URL)
    assert sign(signed, "otherKey1234", valid_for=HOUR) == signed


@pytest.mark.parametrize(
    ("domains", "is_ours"),
    [
        ((), True),
        (("example.vod2.myqcloud.com",), True),
        (("other.example.com", "example.vod2.myqcloud.com"), True),
        (("vod2.myqcloud.com",), False),
        (("ample.vod2.myqcloud.com",), False),
    ],
)
def test_only_domains_with_the_key(domains: tuple[str, ...], is_ours: bool) -> None:
    """If domains are given, only their URLs are signed; upper and lower case and the port make no difference."""
    for url in (URL, URL.replace("example.", "Example.").replace(".com/", ".com:8080/")):
        assert is_signed(sign(url, KEY, domains=domains, valid_for=HOUR)) == is_ours


@pytest.mark.parametrize(
    "url", ["", "f.mp4", "/etc/passwd", "ftp://h/f.mp4", "http://[", "http:///f", "http://h:x/f", None, 1]
)
def test_what_is_no_url(url: Any) -> None:
    """Anything but an HTTP URL is refused by its value."""
    with pytest.raises(MediaError, match=r"is not the URL of a media file"):
        sign(url, KEY, valid_for=HOUR)


@pytest.mark.parametrize("url", ["http://h", "http://h/", "http://h/dir/"])
def test_a_url_without_a_file(url: str) -> None:
    """A URL of a folder is refused."""
    with pytest.raises(MediaError, match="names no file"):
        sign(url, KEY, valid_for=HOUR)


def test_a_name_that_is_taken() -> None:
    """A query parameter that has the name of one of VOD's is refused, because VOD would see two."""
    with pytest.raises(MediaError, match="a parameter 't' already") as refusal:
        sign(f"{URL}?t=1&token=s3cret", KEY, valid_for=HOUR)
    assert "s3cret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"valid_for": 0}, "valid_for"),
        ({"valid_for": timedelta(hours=-1)}, "valid_for"),
        ({"valid_for": "soon"}, "valid_for"),
        ({"valid_for": float("inf")}, "valid_for"),
        ({"valid_for": None}, "valid_for"),
        ({"max_clients": 0}, "max_clients"),
        ({"max_clients": 10}, "max_clients"),
        ({"max_clients": True}, "max_clients"),
        ({"preview": 0}, "preview"),
        ({"preview": 1.5}, "preview"),
    ],
)
def test_arguments_that_cannot_work(arguments: dict[str, Any], word: str) -> None:
    """An argument outside of VOD's limits is refused by name and value."""
    with pytest.raises(VodSettingsError, match=f"^{word} must be"):
        sign(URL, KEY, **{"valid_for": HOUR} | arguments)


@pytest.mark.parametrize("key", ["short12", "a" * 21, "with-a-dash", "", "schlüssel1"])
def test_a_key_that_cannot_be_one(key: str) -> None:
    """A key of another form is refused without being shown."""
    with pytest.raises(VodSettingsError, match="playback_secret must be 8 to 20") as refusal:
        sign(URL, key, valid_for=HOUR)
    assert not key or key not in str(refusal.value)


def test_what_people_are_shown() -> None:
    """Of a URL only scheme, host and path are shown."""
    assert shown("https://user:pw@h:1/a/f.mp4?t=1&sign=s#x") == "https://h:1/a/f.mp4"
    assert shown("http://[") == "'http://['"
    assert shown("http://h/\x1b[2J\u202ef.mp4") == "http://h/\\x1b[2J\\u202ef.mp4"
