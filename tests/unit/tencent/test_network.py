"""With one connection on one machine, our client, the SDK's and the assumed role take the same way as the same caller.

The other end is real: a TLS server with an authority of its own, and a proxy that wants a user, both on this machine.
"""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import json
import os
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tencentcloud.common.credential import STSAssumeRoleCredential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.vod.v20180717 import models

from airflow_vod.exceptions import VodAuthenticationError, VodSettingsError, VodTransientError
from airflow_vod.tencent.client import VodClient, official_client
from airflow_vod.tencent.role import LIFE, AssumedRole
from airflow_vod.tencent.settings import VodSettings

VOD, STS = "vod.tencentcloudapi.com", "sts.tencentcloudapi.com"
KEY = VodSettings("AKIDown", "key", sub_app_id=7)
ROLE = "qcs::cam::uin/1:roleName/vod"
USER = "us@er:p@s:s/#"
QUOTED = "us%40er:p%40s%3As%2F%23"


@dataclass(frozen=True)
class Seen:
    """One request, as it arrived: where to, for whom, and as whom the proxy let it through (None: past the proxy)."""

    host: str
    action: str
    secret_id: str
    token: str | None
    region: str | None
    proxied_as: str | None


class Api(ThreadingHTTPServer):
    """VOD and STS behind TLS; notes what arrives."""

    def __init__(self, certificate: Path) -> None:
        super().__init__(("127.0.0.1", 0), ApiHandler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.seen: list[Seen] = []
        self.proxied: dict[int, str | None] = {}  # by the port from which the proxy speaks

    def handle_error(self, *_: Any) -> None:
        """Clients that do not trust us hang up."""


class ApiHandler(BaseHTTPRequestHandler):
    server: Api

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append(
            Seen(
                host=self.headers["Host"],
                action=self.headers["X-TC-Action"],
                secret_id=self.headers["Authorization"].partition("Credential=")[2].partition("/")[0],
                token=self.headers["X-TC-Token"],
                region=self.headers["X-TC-Region"],
                proxied_as=self.server.proxied.get(self.client_address[1]),
            )
        )
        answer: dict[str, Any] = {"RequestId": "r", "Mode": "PULL"}
        if self.headers["X-TC-Action"] == "AssumeRole":
            answer["Credentials"] = {"TmpSecretId": "AKIDofrole", "TmpSecretKey": "k", "Token": "token-of-role"}
            answer["ExpiredTime"] = 4102444800
        body = json.dumps({"Response": answer}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Proxy(ThreadingTCPServer):
    """Opens tunnels, all of which end at the API, for whoever names himself rightly."""

    daemon_threads = True

    def __init__(self, api: Api) -> None:
        super().__init__(("127.0.0.1", 0), ProxyHandler)
        self.api = api
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.server_address[1]}"


class ProxyHandler(BaseRequestHandler):
    server: Proxy

    def handle(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            if not (part := self.request.recv(65536)):
                return
            head += part
        first, *lines = head.decode("latin-1").split("\r\n")
        self.server.asked.append(first.split()[1])
        said = [line.split()[-1] for line in lines if line.lower().startswith("proxy-authorization:")]
        who = base64.b64decode(said[0]).decode("latin-1") if said else None
        if who != USER:
            self.request.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection(self.server.api.server_address[:2]) as onward:
            self.server.api.proxied[onward.getsockname()[1]] = who
            self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            _pump(self.request, onward)


def _pump(one: socket.socket, other: socket.socket) -> None:
    while True:
        for ready in select.select([one, other], [], [])[0]:
            if not (data := ready.recv(65536)):
                return
            (other if ready is one else one).sendall(data)


@dataclass
class Ends:
    """Both servers, and the file of the authority that vouches for the API."""

    api: Api
    proxy: Proxy
    authority: str
    clients: list[VodClient] = field(default_factory=list)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An authority, and a certificate and key that it issued for VOD and STS, as strict as Python 3.13 wants them."""
    folder = tmp_path_factory.mktemp("tls")
    now = dt.datetime.now(dt.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]) for name in ("authority", "api")]

    def issue(which: int, *extensions: x509.ExtensionType) -> bytes:
        builder = x509.CertificateBuilder(names[0], names[which], keys[which].public_key(), which + 1)
        builder = builder.not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(keys[which].public_key()), False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[0].public_key())
        builder = builder.add_extension(issuer, False)
        for extension in extensions:
            builder = builder.add_extension(extension, True)
        return builder.sign(keys[0], hashes.SHA256()).public_bytes(_PEM)

    hosts = [VOD, STS, "vod.intl.tencentcloudapi.com", "sts.intl.tencentcloudapi.com"]
    alternatives = [*map(x509.DNSName, hosts), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    private = keys[1].private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    authority, api = folder / "authority.pem", folder / "api.pem"
    authority.write_bytes(issue(0, x509.BasicConstraints(ca=True, path_length=None), _MAY_SIGN))
    api.write_bytes(issue(1, x509.SubjectAlternativeName(alternatives)) + private)
    return authority, api


_PEM = serialization.Encoding.PEM
_MAY_SIGN = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


@pytest.fixture
def ends(certificates: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Ends]:
    """The other ends, running; without proxy, names of Tencent Cloud lead to the API, and all other names nowhere."""
    for name in [*os.environ]:
        if name.lower().endswith("_proxy") or name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
            monkeypatch.delenv(name)
    authority, certificate = certificates
    with Api(certificate) as api, Proxy(api) as proxy:
        for server in (api, proxy):
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        real = socket.getaddrinfo

        def resolve(host: Any, *rest: Any, **more: Any) -> Any:
            name = host.decode() if isinstance(host, bytes) else host
            if name.endswith(".tencentcloudapi.com"):
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", api.server_address)]
            if name != "127.0.0.1":
                raise socket.gaierror(-2, f"nobody should ask for {name}")
            return real(host, *rest, **more)

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        yield Ends(api, proxy, str(authority))
        for server in (api, proxy):
            server.shutdown()


def _ours(settings: VodSettings) -> None:
    client = VodClient(settings)
    try:
        client.call("DescribeEventConfig", tries=1)
    finally:
        client.close()


def _official(settings: VodSettings) -> None:
    official_client(settings).DescribeEventConfig(models.DescribeEventConfigRequest())


def _role(settings: VodSettings) -> None:
    _ours(replace(settings, role_arn=ROLE))


CALLERS: dict[str, Callable[[VodSettings], None]] = {"ours": _ours, "official": _official, "role": _role}


def _expected(caller: str, settings: VodSettings, proxied_as: str | None) -> list[Seen]:
    """What must arrive, by the documents of the API: the key's own call, or with a role that call and then the role's."""
    own = Seen(VOD, "DescribeEventConfig", "AKIDown", settings.token, settings.region or None, proxied_as)
    if caller != "role":
        return [own]
    ask = replace(own, host=STS, action="AssumeRole", region=settings.region or "ap-guangzhou")
    return [ask, replace(own, secret_id="AKIDofrole", token="token-of-role")]


# The fields of the connection and the environment: settings, environment, and whether the way leads through the proxy.
# {proxy} is the proxy's host and port, {ca} the file of the authority.
WITH_USER, TRUST = f"http://{QUOTED}@{{proxy}}", {"verify": "{ca}"}
WAYS: dict[str, tuple[dict[str, Any], dict[str, str], bool]] = {
    "straight": (TRUST, {}, False),
    "proxy": (TRUST | {"proxy": WITH_USER}, {}, True),
    "proxy without scheme": (TRUST | {"proxy": f"{QUOTED}@{{proxy}}"}, {}, True),
    "proxy before NO_PROXY": (TRUST | {"proxy": WITH_USER}, {"NO_PROXY": "*"}, True),
    "HTTPS_PROXY": (TRUST, {"HTTPS_PROXY": WITH_USER}, True),
    "https_proxy without scheme": (TRUST, {"https_proxy": f"{QUOTED}@{{proxy}}"}, True),
    "ALL_PROXY": (TRUST, {"ALL_PROXY": WITH_USER}, True),
    "proxy before HTTPS_PROXY": (TRUST | {"proxy": WITH_USER}, {"HTTPS_PROXY": "http://127.0.0.1:1"}, True),
    "HTTP_PROXY is not for https": (TRUST, {"HTTP_PROXY": "http://127.0.0.1:1"}, False),
    "NO_PROXY, the host": (TRUST, {"HTTPS_PROXY": WITH_USER, "NO_PROXY": f"{VOD},{STS}"}, False),
    "no_proxy, the domain": (TRUST, {"HTTPS_PROXY": WITH_USER, "no_proxy": ".tencentcloudapi.com"}, False),
    "NO_PROXY, another": (TRUST, {"HTTPS_PROXY": WITH_USER, "NO_PROXY": "example.com"}, True),
    "verify false": ({"verify": False}, {}, False),
    "verify false before the environment": ({"verify": False}, {"REQUESTS_CA_BUNDLE": "/no/such"}, False),
    "REQUESTS_CA_BUNDLE": ({}, {"REQUESTS_CA_BUNDLE": "{ca}"}, False),
    "CURL_CA_BUNDLE": ({}, {"CURL_CA_BUNDLE": "{ca}"}, False),
    "SSL_CERT_FILE": ({}, {"SSL_CERT_FILE": "{ca}", "HTTPS_PROXY": WITH_USER}, True),
    "verify before the environment": (TRUST, {"REQUESTS_CA_BUNDLE": "/no/such"}, False),
    "token": (TRUST | {"token": "session"}, {}, False),
    "region": (TRUST | {"region": "ap-shanghai"}, {}, False),
}


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")  # of urllib3, to users of the SDK with verify: false
@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("way", WAYS)
def test_all_take_the_same_way(ends: Ends, way: str, caller: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the connection and the environment say, each caller arrives at the same place, as the same caller."""
    given, environment, proxied = WAYS[way]
    settings = replace(KEY, **_filled(given, ends))
    for name, value in _filled(environment, ends).items():
        monkeypatch.setenv(name, value)
    CALLERS[caller](settings)
    assert ends.api.seen == _expected(caller, settings, USER if proxied else None)
    assert ends.proxy.asked == [f"{seen.host}:443" for seen in ends.api.seen if proxied]


def _filled(values: dict[str, Any], ends: Ends) -> dict[str, Any]:
    def fill(value: Any) -> Any:
        return value.format(proxy=ends.proxy.address, ca=ends.authority) if isinstance(value, str) else value

    return {name: fill(value) for name, value in values.items()}


def test_the_sdk_s_own_role_takes_another_way(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the SDK asks for a role, ours asks too: same host, action, key and region; only the way is the connection's."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://{QUOTED}@{ends.proxy.address}")
    monkeypatch.setattr("certifi.where", lambda: ends.authority)
    STSAssumeRoleCredential("AKIDown", "key", ROLE, "airflow-vod").get_credential_info()
    AssumedRole(replace(KEY, role_arn=ROLE)).get_credential_info()
    assert ends.api.seen[0] == ends.api.seen[1] == _expected("role", KEY, USER)[0]


def test_the_international_site_has_its_own_sts(ends: Ends) -> None:
    """Who calls VOD's international endpoint assumes roles at the international STS."""
    _role(replace(KEY, endpoint="vod.intl.tencentcloudapi.com", verify=ends.authority))
    assert [seen.host for seen in ends.api.seen] == ["sts.intl.tencentcloudapi.com", "vod.intl.tencentcloudapi.com"]


def test_a_role_is_renewed_before_it_ends(ends: Ends) -> None:
    """One request for two hours; and another one some minutes before their end."""
    now = [1000.0]
    role = AssumedRole(replace(KEY, role_arn=ROLE, verify=ends.authority), lambda: now[0])
    for passed, asked in ((0.0, 1), (60.0, 1), (LIFE - 400.0, 1), (LIFE - 200.0, 2), (LIFE, 2)):
        now[0] = 1000.0 + passed
        role.get_credential_info()
        assert len(ends.api.seen) == asked


@pytest.mark.parametrize("caller", CALLERS)
def test_an_unknown_authority_is_not_trusted(ends: Ends, caller: str) -> None:
    """Without `verify` and variables, the API's certificate is refused, by everybody, and no request arrives."""
    with pytest.raises((VodTransientError, TencentCloudSDKException)) as refusal:
        CALLERS[caller](KEY)
    assert ends.api.seen == []
    assert "certificate" in str(refusal.value).lower()


@pytest.mark.parametrize("caller", ["ours", "role"])
@pytest.mark.parametrize("user", ["", "us:wrong-pass@"])
def test_a_proxy_that_refuses_says_so(ends: Ends, caller: str, user: str) -> None:
    """407 is a refusal, not an outage: the error says what the proxy wants and where to write it, and no password."""
    with pytest.raises(VodAuthenticationError) as refusal:
        CALLERS[caller](replace(KEY, verify=ends.authority, proxy=f"http://{user}{ends.proxy.address}"))
    assert refusal.value.is_auth_failure
    text = f"{refusal.value} {refusal.value!r}"
    assert "407" in text
    assert "proxy of the connection" in text
    assert "wrong-pass" not in text


def test_a_proxy_that_refuses_plain_http_says_so(ends: Ends) -> None:
    """The same without TLS, where the proxy's answer comes instead of the API's."""
    with pytest.raises(VodAuthenticationError, match="407"):
        _ours(replace(KEY, endpoint=f"http://{VOD}", proxy=f"http://{ends.proxy.address}"))


@pytest.mark.parametrize(
    ("fields", "environment", "word"),
    [
        ({"verify": "/no/such/file.pem"}, {}, "verify is '/no/such/file.pem'"),
        ({}, {"REQUESTS_CA_BUNDLE": "/no/such"}, "REQUESTS_CA_BUNDLE is '/no/such'"),
        ({}, {"HTTPS_PROXY": "socks5://user:s3cret@host:1"}, "The proxy that the environment names"),
        ({}, {"HTTPS_PROXY": "http://user:s3/cret@host:1"}, "The proxy that the environment names"),
    ],
)
@pytest.mark.parametrize("caller", CALLERS)
def test_what_cannot_be_used_on_this_machine(
    ends: Ends,
    caller: str,
    fields: dict[str, Any],
    environment: dict[str, str],
    word: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A CA file that is not there and a proxy that is none are told with the remedy, and without the password."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(VodSettingsError, match=word) as refusal:
        CALLERS[caller](replace(KEY, **fields))
    assert "s3" not in str(refusal.value)
    assert refusal.value.__cause__ is None
