"""Hotlink protection, by the vendor's own examples."""

from __future__ import annotations

from hashlib import md5

import pytest

from airflow_vod.emulator.hotlink import Hotlink

KEY = "24FEQmTzro4V5u3D5epW"
PATH = "/dir1/dir2/myVideo.mp4"
EXPIRES_AT = 0x5A71AFC0
PLAIN = "t=5a71afc0&us=72d4cd1101&sign=3d8488faeb37d52d6bf63b63c1b171c3"
LIMITED = "t=5a71afc0&rlimit=3&us=72d4cd1101&sign=c5214f0d5961b13acd558b4957c4dfc5"
PREVIEW = "t=5a71afc0&exper=300&us=72d4cd1101&sign=547d98c4b91e81b5ea55c95cef63223f"


def objection(query: str, *, path: str = PATH, now: float = EXPIRES_AT - 1, client: str = "1.2.3.4") -> str:
    """What a domain that has seen nobody yet has against a request."""
    return Hotlink(KEY, lambda: now).objection(path, query, client)


@pytest.mark.parametrize("query", [PLAIN, LIMITED, PREVIEW, f"a=1&b=2&{PLAIN}"])
def test_examples_of_the_vendor_are_let_in(query: str) -> None:
    """The signatures of VOD's documentation open the file, also behind other parameters and for its other versions."""
    assert objection(query) == ""
    assert objection(query, path="/dir1/dir2/other.mp4") == ""


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("", "not signed"),
        ("t=5a71afc0", "not signed"),
        (PLAIN[:-1] + "0", "the signature does not match"),
        (PLAIN.replace("5a71afc0", "6a71afc0"), "the signature does not match"),
        (PREVIEW.replace("exper=300", "exper=3000"), "the signature does not match"),
        (LIMITED.replace("rlimit=3&", ""), "the signature does not match"),
        ("us=72d4cd1101&t=5a71afc0&sign=3d8488faeb37d52d6bf63b63c1b171c3", "VOD's order"),
        (f"{PLAIN}&a=1", "VOD's order"),
        (f"{PLAIN}&t=6a71afc0", "VOD's order"),
        ("us=1&sign=" + md5(f"{KEY}/dir1/dir2/1".encode()).hexdigest(), "a parameter is missing"),
        ("t=5A71AFC0&sign=" + md5(f"{KEY}/dir1/dir2/5A71AFC0".encode()).hexdigest(), "out of range"),
        ("t=5a71afc0&rlimit=10&sign=" + md5(f"{KEY}/dir1/dir2/5a71afc010".encode()).hexdigest(), "out of range"),
    ],
)
def test_what_is_refused(query: str, reason: str) -> None:
    """Nothing but a complete signature of this key, in VOD's order, opens a file."""
    assert reason in objection(query)


def test_the_folder_counts() -> None:
    """A signature for one folder opens no file in another."""
    assert objection(PLAIN, path="/dir1/myVideo.mp4") == "the signature does not match"


def test_expiry() -> None:
    """A URL opens up to the second in which it expires."""
    assert objection(PLAIN, now=EXPIRES_AT) == ""
    assert objection(PLAIN, now=EXPIRES_AT + 1) == "expired"


def test_number_of_clients() -> None:
    """A URL opens for as many addresses as it allows, as often as each likes."""
    domain = Hotlink(KEY, lambda: 0.0)
    clients = ["1.1.1.1", "2.2.2.2", "1.1.1.1", "3.3.3.3", "4.4.4.4", "3.3.3.3"]
    assert [domain.objection(PATH, LIMITED, client) for client in clients] == ["", "", "", "", "too many clients", ""]


def test_no_key_no_protection() -> None:
    """A domain without a key lets everybody in."""
    assert Hotlink("", lambda: 0.0).objection(PATH, "", "1.2.3.4") == ""
