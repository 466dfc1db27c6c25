"""Settings for one VOD application: credentials, SubAppId, endpoint.

Invariant: every field is validated on construction, so existing settings are well-formed. Their ``repr`` contains no secret,
so they can be logged.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, fields

from airflow_vod.exceptions import VodSettingsError
from airflow_vod.tencent.signing import check_key

DEFAULT_ENDPOINT = "vod.tencentcloudapi.com"
CONFIRM_POLICIES = ("all", "awaited")

_ENDPOINT = re.compile(
    r"(?:(?P<scheme>[A-Za-z]+)://)?(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>\d{1,5}))?/?"
)
_PROXY = re.compile(r"https?://[^\s/]+", re.IGNORECASE)
_DOMAIN = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_SIGN_KEY = re.compile(r"[A-Za-z0-9]{1,32}")
_CALLBACK_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,128}")


@dataclass(frozen=True, slots=True)
class VodSettings:
    """Validated settings for one VOD application.

    :param secret_id: SecretId of the API key; None leaves credentials to the SDK's default chain (environment variables,
        ``~/.tencentcloud/credentials``, the role of the CVM or of the TKE pod).
    :param secret_key: SecretKey of the API key.
    :param token: session token of temporary credentials.
    :param role_arn: CAM role to assume with the API key, ``qcs::cam::uin/…:roleName/…``.
    :param role_session_name: name of the assumed session, as shown in Tencent Cloud's audit log.
    :param sub_app_id: id of the VOD application. Required for accounts opened on or after 2023-12-25, even for the default
        application (VOD API 2018-07-17, common to all actions); without it, older accounts use their primary application.
    :param region: value of ``X-TC-Region``; not required by VOD.
    :param endpoint: address of the API: ``host``, ``host:port`` or ``scheme://host:port``.
    :param proxy: HTTP proxy, ``http://user:password@host:port``; None uses ``HTTPS_PROXY`` and ``NO_PROXY``.
    :param verify: verify TLS certificates against the bundled authorities (True), against a CA bundle (its path), or not at
        all (False).
    :param confirm_policy: ``all`` confirms every event once it is stored in the inbox; ``awaited`` confirms only events that
        a task here waits for, and leaves all others in the queue for its other consumers.
    :param callback_sign_key: the application's ``SignKey``, with which VOD signs callbacks: 1 to 32 letters and digits (VOD API,
        ModifyEventConfig).
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
    callback_sign_key: str | None = field(default=None, repr=False)
    callback_token: str | None = field(default=None, repr=False)
    playback_secret: str | None = field(default=None, repr=False)
    playback_domains: str = ""

    def __post_init__(self) -> None:
        """Validate every field."""
        for each in fields(self):
            value = getattr(self, each.name)
            if str(each.type).startswith("str") and not isinstance(value, (str, type(None))):
                raise VodSettingsError(f"{each.name} must be text, not a value of type {type(value).__name__}.")
        self._check_credentials()
        self._check_endpoint()
        if self.sub_app_id is not None and (type(self.sub_app_id) is not int or not 0 < self.sub_app_id < 2**63):
            raise VodSettingsError(
                f"sub_app_id must be a positive whole number such as 1500012345, not {self.sub_app_id!r}. "
                "The VOD console lists it under application management."
            )
        if self.confirm_policy not in CONFIRM_POLICIES:
            raise VodSettingsError(f"confirm_policy must be one of {CONFIRM_POLICIES}, not {self.confirm_policy!r}.")
        if self.callback_sign_key is not None and not _SIGN_KEY.fullmatch(self.callback_sign_key):
            raise VodSettingsError("callback_sign_key must be 1 to 32 letters and digits, like VOD's SignKey.")
        if self.callback_token is not None and not _CALLBACK_TOKEN.fullmatch(self.callback_token):
            raise VodSettingsError(
                "callback_token must be 16 to 128 letters, digits, - and _: it is the only protection against forged events. "
                "Generate one with `openssl rand -hex 24`."
            )

        if self.playback_secret is not None:
            check_key(self.playback_secret)
        for domain in self.domains_to_sign:
            if not _DOMAIN.fullmatch(domain):
                raise VodSettingsError(
                    f"playback_domains must be host names such as media.example.com, separated by commas, not {domain!r}."
                )

    def _check_credentials(self) -> None:
        if bool(self.secret_id) != bool(self.secret_key):
            missing, given = ("SecretKey", "SecretId") if self.secret_id else ("SecretId", "SecretKey")
            raise VodSettingsError(
                f"{missing} is missing although {given} is given. Give both, or neither to use the SDK's default "
                "credential chain (environment variables, credentials file, instance role)."
            )
        for name, value in (("SecretId", self.secret_id), ("SecretKey", self.secret_key)):
            if value is not None and value != value.strip():
                raise VodSettingsError(f"{name} begins or ends with white space. Copy it again without.")
        for name in ("token", "role_arn"):
            if getattr(self, name) and not self.secret_id:
                raise VodSettingsError(f"{name} is given without an API key. Give SecretId and SecretKey too.")

    def _check_endpoint(self) -> None:
        match = _ENDPOINT.fullmatch(self.endpoint)
        if match is None or match["scheme"] not in (None, "http", "https"):
            raise VodSettingsError(
                f"endpoint must be host, host:port or http(s)://host:port, not {self.endpoint!r}. "
                f"Leave it empty for {DEFAULT_ENDPOINT}."
            )
        if not isinstance(self.verify, (bool, str)):
            raise VodSettingsError(f"verify must be true, false or the path of a CA file, not {self.verify!r}.")
        if self.proxy is not None and not _PROXY.match(self.proxy):  # not shown: it may hold a password
            raise VodSettingsError("proxy must be http://host:port or https://host:port, possibly with user:password@.")

    @property
    def scheme(self) -> str:
        """``https``, unless the endpoint specifies ``http``."""
        return "http" if self.endpoint.lower().startswith("http://") else "https"

    @property
    def host(self) -> str:
        """Host of the endpoint, with its port if it has one."""
        return self.endpoint.partition("://")[2].rstrip("/") or self.endpoint.rstrip("/")

    @property
    def takes_callbacks(self) -> bool:
        """Whether callbacks for this connection can be authenticated."""
        return bool(self.callback_sign_key or self.callback_token)

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
