"""What is public and what is not, and that only public addresses are connected to."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import urllib3

from airflow_vod.emulator import Emulator
from airflow_vod.exceptions import MediaError
from airflow_vod.tencent import addresses
from airflow_vod.tencent.addresses import check_host, is_public, only_public


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"]
)
def test_public(address: str) -> None:
    """Addresses of the internet are public, in whatever form they are written."""
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
        ),
        *("224.0.0.1", "198.18.0.1", "192.0.2.1", "240.0.0.1"),
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::"),
        *("", "host", "1.2.3", "0x7f000001"),
    ],
)
def test_not_public(address: str) -> None:
    """Private, link-local, reserved and multicast addresses are not, also inside of an IPv6 address."""
    assert not is_public(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "::1", "127.1"])
def test_a_host_that_is_not_public(host: str) -> None:
    """A host is refused by what it resolves to, in whatever form it is written."""
    with pytest.raises(MediaError, match="which is private or reserved"):
        check_host(host, 80)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """A name server: for each name the answers to its look-ups, one after the other."""
    answers: dict[str, list[list[str]]] = {}
    resolve = socket.getaddrinfo

    def look_up(host: str, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in answers:
            return resolve(host, port, *args, **kwargs)
        found = answers[host].pop(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return answers


def test_one_private_address_among_many(names: dict[str, list[list[str]]]) -> None:
    """A name with a public and a private address is refused, whichever comes first."""
    names["mixed.example.com"] = [["8.8.8.8", "10.0.0.1"]]
    with pytest.raises(MediaError, match=r"mixed\.example\.com has the address 10\.0\.0\.1"):
        check_host("mixed.example.com", 80)


def test_a_name_that_changes(names: dict[str, list[list[str]]], monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is public when it is checked and private afterwards is looked up only once, and connected to there."""
    names["rebinding.example.com"] = [["203.0.113.7"], ["127.0.0.1"]]
    monkeypatch.setattr(addresses, "is_public", lambda address: address != "127.0.0.1")
    connected: list[Any] = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: connected.append(address) or _refuse())
    with pytest.raises(urllib3.exceptions.NewConnectionError):
        only_public(urllib3.PoolManager()).urlopen("GET", "http://rebinding.example.com/f.mp4", retries=False)
    assert connected == [("203.0.113.7", 80)]
    assert names["rebinding.example.com"] == [["127.0.0.1"]]


def _refuse() -> None:
    raise ConnectionRefusedError("nobody there")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_pool_connects_nowhere_else(scheme: str) -> None:
    """A pool reaches no private address, by HTTP or HTTPS, and the error says so."""
    with Emulator() as vod:
        url = f"{scheme}://127.0.0.1:{vod.port}/"
        with pytest.raises(MediaError, match="allow_private_addresses"):
            only_public(urllib3.PoolManager()).urlopen("GET", url, retries=False)


def test_a_public_address_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is public is connected to as usual, by the next address if one does not answer."""
    monkeypatch.setattr(addresses, "is_public", lambda address: True)
    with Emulator() as vod:
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))
            for host, port in (("127.0.0.1", 1), ("127.0.0.1", vod.port))
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: found)
        response = only_public(urllib3.PoolManager()).urlopen("GET", f"http://h:{vod.port}/media/x/y", retries=False)
        assert response.status == 404
