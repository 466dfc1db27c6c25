"""Settings for one VOD application: credentials, SubAppId, endpoint.

Invariant: every field is validated on construction, and only here, so existing settings are well-formed: what goes into a
header can be sent in one. Their ``repr`` contains no secret, so they can be logged; no error repeats one.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, fields

from airflow_vod.exceptions import VodSettingsError
from airflow_vod.tencent.signing import check_key
from airflow_vod.tencent.urls import is_proxy_url

DEFAULT_ENDPOINT = "vod.tencentcloudapi.com"
CONFIRM_POLICIES = ("all", "awaited")

_ENDPOINT = re.compile(
    r"(?:(?P<scheme>[A-Za-z]+)://)?(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>\d{1,5}))?/?"
)
_DOMAIN = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_SIGN_KEY = re.compile(r"[A-Za-z0-9]{16,32}")
_CALLBACK_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,128}")
_VISIBLE = re.compile(r"[!-~]+")
_REGION = re.compile(r"[A-Za-z0-9-]{0,64}")
_ROLE_SESSION_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]{2,128}")
_IN_HEADERS = {"secret_id": "SecretId", "secret_key": "SecretKey", "token": "token"}


@dataclass(frozen=True, slots=True)
class VodSettings:
    """Validated settings for one VOD application.

    :param secret_id: SecretId of the API key; None leaves credentials to the SDK's default chain (environment variables,
        ``~/.tencentcloud/credentials``, the role of the CVM or of the TKE pod).
    :param secret_key: SecretKey of the API key.
    :param token: session token of temporary credentials.
    :param role_arn: CAM role to assume with the API key, ``qcs::cam::uin/…:roleName/…``.
    :param role_session_name: name of the assumed session, as shown in Tencent Cloud's audit log: 2 to 128 letters, digits and
        ``+=,.@_-`` (STS API 2018-08-13, AssumeRole).
    :param sub_app_id: id of the VOD application. Required for accounts opened on or after 2023-12-25, even for the default
        application (VOD API 2018-07-17, common to all actions); without it, older accounts use their primary application.
    :param region: value of ``X-TC-Region``; not required by VOD.
    :param endpoint: address of the API: ``host``, ``host:port`` or ``scheme://host:port``.
    :param proxy: HTTP proxy, ``http://user:password@host:port``, with special characters of user and password as ``%XX``, and
        perhaps without ``http://``; None uses the one that the environment names (see `airflow_vod.tencent.network`).
    :param verify: verify TLS certificates (True), against a CA bundle (the path of a file or folder), or not at all (False).
    :param confirm_policy: ``all`` confirms every event once it is stored in the inbox; ``awaited`` confirms only events that
        a task here waits for, and leaves all others in the queue for its other consumers.
    :param callback_secret: the application's ``SignKey``, with which VOD signs callbacks: 16 to 32 letters and digits. VOD
        takes 1 to 32 (VOD API, ModifyEventConfig); but whoever sees one signature can try short keys at home.
    :param callback_token: a secret at the end of the callback URL, for applications without a SignKey: 16 to 128 letters,
        digits, ``-`` and ``_``.
    :param playback_secret: the key of VOD's hotlink protection, with which URLs of media files are signed: 8 to 20 letters and
        digits (VOD, Key Hotlink Protection).
    :param playback_domains: the domains that have this key, separated by commas or white space; only their URLs are signed.
        Empty for all domains.
    :raises VodSettingsError: a value is not valid; the message names the field, its value unless secret, and the remedy.
    """

    secret_id: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    role_arn: str | None = None
    role_session_name: str | None = None
    sub_app_id: int | None = None
    region: str = ""
    endpoint: str = DEFAULT_ENDPOINT
    proxy: str | None = field(default=None, repr=False)
    verify: bool | str = True
    confirm_policy: str = "all"
    callback_secret: str | None = field(default=None, repr=False)
    callback_token: str | None = field(default=None, repr=False)
    playback_secret: str | None = field(default=None, repr=False)
    playback_domains: str = ""

    def __post_init__(self) -> None:
        """Validate every field."""
        for each in fields(self):
            value = getattr(self, each.name)
            if value is None and "None" not in str(each.type):
                raise VodSettingsError(f"{each.name} must not be None.")
            if str(each.type).startswith("str") and not isinstance(value, (str, type(None))):
                raise VodSettingsError(f"{each.name} must be text, not a value of type {type(value).__name__}.")
        self._check_credentials()
        self._check_role()
        self._check_way()
        self._check_application()
        self._check_callbacks()
        self._check_playback()

    def _check_credentials(self) -> None:
        if bool(self.secret_id) != bool(self.secret_key):
            missing, given = ("SecretKey", "SecretId") if self.secret_id else ("SecretId", "SecretKey")
            raise VodSettingsError(
                f"{missing} is missing although {given} is given. Give both, or neither to use the SDK's default "
                "credential chain (environment variables, credentials file, instance role)."
            )
        for name, label in _IN_HEADERS.items():
            check_sendable(label, getattr(self, name))
        for name in ("token", "role_arn"):
            if getattr(self, name) and not self.secret_id:
                raise VodSettingsError(f"{name} is given without an API key. Give SecretId and SecretKey too.")

    def _check_role(self) -> None:
        if self.role_arn is not None and not _VISIBLE.fullmatch(self.role_arn):
            raise VodSettingsError(
                f"role_arn must be such as qcs::cam::uin/1:roleName/vod, not {self.role_arn!r:.100}."
            )
        name = self.role_session_name
        if name is not None and not _ROLE_SESSION_NAME.fullmatch(name):
            raise VodSettingsError(
                f"role_session_name must be 2 to 128 letters, digits and +=,.@_- of ASCII, not {name!r:.100}."
            )

    def _check_way(self) -> None:
        match = _ENDPOINT.fullmatch(self.endpoint)
        if match is None or match["scheme"] not in (None, "http", "https"):
            # Not shown: it may hold a password, before an @ or after one.
            raise VodSettingsError(
                "endpoint must be host, host:port or http(s)://host:port, without user, password, path and query; what it is "
                f"now is not shown, because it may hold a password. Leave it empty for {DEFAULT_ENDPOINT}."
            )
        if not isinstance(self.verify, (bool, str)):
            raise VodSettingsError(f"verify must be true, false or the path of a CA file, not {self.verify!r:.100}.")
        if self.proxy is not None and not is_proxy_url(self.proxy):
            raise VodSettingsError(
                "proxy must be http://host:port or https://host:port, possibly with user:password@, and with special "
                "characters of both as %XX; what it is now is not shown, because it may hold a password."
            )

    def _check_application(self) -> None:
        if self.sub_app_id is not None and (type(self.sub_app_id) is not int or not 0 < self.sub_app_id < 2**63):
            raise VodSettingsError(
                f"sub_app_id must be a positive whole number such as 1500012345, not {self.sub_app_id!r:.100}. "
                "The VOD console lists it under application management."
            )
        if not _REGION.fullmatch(self.region):
            raise VodSettingsError(
                f"region must be letters, digits and - such as ap-guangzhou, not {self.region!r:.100}. VOD needs none."
            )
        if self.confirm_policy not in CONFIRM_POLICIES:
            raise VodSettingsError(
                f"confirm_policy must be one of {CONFIRM_POLICIES}, not {self.confirm_policy!r:.100}."
            )

    def _check_callbacks(self) -> None:
        if self.callback_secret is not None and not _SIGN_KEY.fullmatch(self.callback_secret):
            raise VodSettingsError(
                "callback_secret (VOD's SignKey) must be 16 to 32 letters and digits: it is the only protection against "
                "forged events. Generate one with `openssl rand -hex 16`, and give it to VOD with `airflow-vod doctor --fix`."
            )
        if self.callback_token is not None and not _CALLBACK_TOKEN.fullmatch(self.callback_token):
            raise VodSettingsError(
                "callback_token must be 16 to 128 letters, digits, - and _: it is the only protection against forged events. "
                "Generate one with `openssl rand -hex 24`."
            )

    def _check_playback(self) -> None:
        if self.playback_secret is not None:
            check_key(self.playback_secret)
        for domain in self.domains_to_sign:
            if not _DOMAIN.fullmatch(domain):
                raise VodSettingsError(
                    f"playback_domains must be host names such as media.example.com, separated by commas, not {domain!r}."
                )

    @property
    def scheme(self) -> str:
        """``https``, unless the endpoint specifies ``http``."""
        return "http" if self.endpoint.lower().startswith("http://") else "https"

    @property
    def host(self) -> str:
        """Host of the endpoint, with its port if it has one."""
        return self.endpoint.partition("://")[2].rstrip("/") or self.endpoint.rstrip("/")

    @property
    def url(self) -> str:
        """The URL of the API."""
        return f"{self.scheme}://{self.host}/"

    @property
    def takes_callbacks(self) -> bool:
        """Whether callbacks for this connection can be authenticated."""
        return bool(self.callback_secret or self.callback_token)

    @property
    def domains_to_sign(self) -> tuple[str, ...]:
        """The domains whose URLs are signed, in lower case; none stand for all."""
        return tuple(self.playback_domains.lower().replace(",", " ").split())

    @property
    def account(self) -> str:
        """A short, irreversible name for the credentials."""
        identity = f"{self.secret_id}\0{self.role_arn or ''}" if self.secret_id else "default credential chain"
        return hashlib.sha256(identity.encode()).hexdigest()[:12]

    @property
    def queue(self) -> str:
        """The stable name of this application's event queue.

        VOD keeps one queue per application. SubAppIds are unique across Tencent Cloud, and its regional endpoints lead to
        the same service, so the id alone names the queue; any other host (an emulator) is part of the name. Without a
        SubAppId, the queue is named after the account.
        """
        application = str(self.sub_app_id) if self.sub_app_id else f"primary-{self.account}"
        if self.host.partition(":")[0].endswith(".tencentcloudapi.com"):
            return application
        return f"{self.host}/{application}"


def check_sendable(label: str, value: str | None) -> None:
    """Refuse a credential that an HTTP header does not carry: with white space, a line break, or anything but ASCII.

    :param label: what it is called in the error.
    :param value: the credential, which the error does not show; None for none.
    :raises VodSettingsError: it cannot be sent.
    """
    if value and not _VISIBLE.fullmatch(value):
        raise VodSettingsError(
            f"{label} holds white space, a line break, or a character outside of ASCII, which may be invisible. "
            "Copy it again without; from a file, without the line break at its end."
        )
