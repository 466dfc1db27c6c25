"""Connects only to public addresses, because a URL to fetch came in an event, which anybody may have forged.

Invariant: the address that is checked is the address that is connected to: a name is resolved once, here, and the connection is
made to what came of it. So neither a redirect nor a name that resolves differently the second time reaches a private address.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError

from airflow_vod.exceptions import MediaError

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address


def is_public(address: str) -> bool:
    """Say whether an address belongs to the internet at large.

    :param address: an IPv4 or IPv6 address, possibly with a zone.
    :return: False for private, loopback, link-local, shared, reserved and multicast addresses, also where one is written inside
        of an IPv6 address (mapped, 6to4, NAT64), and for what is no address.
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return all(each.is_global and not each.is_multicast for each in _meanings(parsed))


def _meanings(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address | IPv6Address]:
    """Yield the addresses that one leads to."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:  # the outer form is never global
            yield address.ipv4_mapped
            return
        if address.sixtofour:  # whether the outer form is global depends on the version of Python
            yield address.sixtofour
            return
        if address in _NAT64:
            yield IPv4Address(int(address) & 0xFFFFFFFF)
            return
    yield address


def check_host(host: str, port: int) -> list[tuple[Any, ...]]:
    """Resolve a host, and check every address that its name has.

    :param host: a name or an address, without brackets.
    :param port: to connect to.
    :return: the addresses in the form of `socket.getaddrinfo`.
    :raises MediaError: one of them is not public.
    :raises OSError: the name does not resolve.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    refused = next((address[4][0] for address in found if not is_public(str(address[4][0]))), None)
    if refused is not None:
        raise MediaError(
            f"{host} has the address {refused}, which is private or reserved, so nothing is fetched from there. If the host is "
            "to be trusted, set allow_private_addresses=True."
        )
    return list(found)


class _Public:
    """Makes the connections of a pool; mixed into the classes of urllib3."""

    def _new_conn(self: Any) -> socket.socket:
        # urllib3's own place to replace how a connection is made (its support of SOCKS does so as well).
        error: OSError | None = None
        try:
            addresses = check_host(self.host.strip("[]"), self.port)
        except OSError as unresolved:
            raise NewConnectionError(self, f"{unresolved}") from None
        for family, kind, protocol, _, address in addresses:
            connection = socket.socket(family, kind, protocol)
            try:
                for option in self.socket_options or ():
                    connection.setsockopt(*option)
                connection.settimeout(None if self.timeout is socket._GLOBAL_DEFAULT_TIMEOUT else self.timeout)  # type: ignore[attr-defined]
                connection.connect(address)
            except OSError as failed:
                connection.close()
                error = failed
            else:
                return connection
        raise NewConnectionError(self, f"{error}")


class _PublicHTTP(_Public, HTTPConnection):
    pass


class _PublicHTTPS(_Public, HTTPSConnection):
    pass


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _PublicHTTP


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _PublicHTTPS


def only_public(pool: urllib3.PoolManager) -> urllib3.PoolManager:
    """Let a pool connect to public addresses only.

    :param pool: new, and not one that goes through a proxy: there the proxy resolves the names.
    :return: the pool.
    """
    pool.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
    return pool
