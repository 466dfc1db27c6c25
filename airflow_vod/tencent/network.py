"""The way from this machine to the API: the proxy, and the authorities that vouch for servers.

Invariant: this is decided only here, for our client, for the SDK's and for the assumed role alike, and as the library `requests`
does it; so with one connection, on one machine, all of them take the same way.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import certifi
import urllib3
from requests.utils import get_environ_proxies, select_proxy

from airflow_vod.exceptions import VodSettingsError
from airflow_vod.tencent.urls import split_proxy

if TYPE_CHECKING:
    from airflow_vod.tencent.settings import VodSettings

_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


def proxy_of(settings: VodSettings, url: str) -> str | None:
    """Find the proxy on the way to a URL.

    :param settings: whose ``proxy`` comes first. Without it the environment decides: ``HTTPS_PROXY`` (or ``HTTP_PROXY``, after
        the URL's scheme), ``ALL_PROXY`` and ``NO_PROXY``, in lower case or upper.
    :param url: what is to be reached.
    :return: the proxy's URL, which may hold a password; None for none.
    :raises VodSettingsError: what the environment names is not the URL of a proxy.
    """
    if settings.proxy:
        return _with_scheme(settings.proxy)
    proxy = select_proxy(url, get_environ_proxies(url))
    if not proxy:
        return None
    try:
        split_proxy(proxy)
    except ValueError:
        raise VodSettingsError(
            "The proxy that the environment names (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY) is not the URL of an HTTP proxy; it is "
            "not shown, because it may hold a password. Write http://user:password@host:port, with special characters of the "
            "password as %XX, or set proxy in the connection."
        ) from None
    return _with_scheme(proxy)


def authorities_of(settings: VodSettings) -> str | bool:
    """Find the certificates by which servers are trusted.

    :param settings: whose ``verify`` may name a file or folder. If it is true, ``REQUESTS_CA_BUNDLE``, ``CURL_CA_BUNDLE`` or
        ``SSL_CERT_FILE`` may name one, else they are certifi's.
    :return: the path; False to trust every server.
    :raises VodSettingsError: it does not exist on this machine.
    """
    if settings.verify is False:
        return False
    if isinstance(settings.verify, str):
        return _existing(settings.verify, "verify", "Give the path of a CA file, or true.")
    for name in _CA_VARIABLES:
        if path := os.environ.get(name):
            return _existing(path, name, "Correct or unset this environment variable, or set verify in the connection.")
    return certifi.where()


def make_pool(settings: VodSettings, url: str) -> urllib3.PoolManager:
    """Make the pool of kept connections to a URL.

    :param settings: proxy and TLS verification.
    :param url: what is to be reached.
    :raises VodSettingsError: proxy or authorities cannot be used on this machine.
    """
    options: dict[str, Any] = {"num_pools": 2, "maxsize": 64}
    authorities = authorities_of(settings)
    if authorities is False:
        options["cert_reqs"] = "CERT_NONE"
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    else:
        kind = "ca_cert_dir" if os.path.isdir(authorities) else "ca_certs"
        options |= {"cert_reqs": "CERT_REQUIRED", kind: authorities}
    proxy = proxy_of(settings, url)
    if proxy is None:
        return urllib3.PoolManager(**options)
    address, identity = split_proxy(proxy)
    headers = urllib3.make_headers(proxy_basic_auth=identity) if identity else None
    return urllib3.ProxyManager(address, proxy_headers=headers, **options)


def _with_scheme(proxy: str) -> str:
    return proxy if "://" in proxy else f"http://{proxy}"


def _existing(path: str, name: str, remedy: str) -> str:
    if not os.path.exists(path):
        raise VodSettingsError(f"{name} is {path!r:.200}, but this machine has no such file. {remedy}")
    return path
