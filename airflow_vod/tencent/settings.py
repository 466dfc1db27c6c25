"""What it takes to reach one VOD application: credentials, SubAppId, endpoint.

Invariant: settings that exist are usable as they are written. Every check happens when they are made, and the text form
of settings holds no secret, so they can be logged.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

from airflow_vod.exceptions import VodSettingsError

DEFAULT_ENDPOINT = "vod.tencentcloudapi.com"
CONFIRM_POLICIES = ("all", "awaited")

_ENDPOINT = re.compile(
    r"(?:(?P<scheme>[A-Za-z]+)://)?(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>\d{1,5}))?/?"
)
_PROXY = re.compile(r"https?://[^\s/]+", re.IGNORECASE)
_SIGN_KEY = re.compile(r"[A-Za-z0-9]{1,32}")
_CALLBACK_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,128}")


@dataclass(frozen=True, slots=True)
class VodSettings:
    """Settings of one VOD application, checked.

    :param secret_id: SecretId of the API key; None leaves credentials to the SDK's default chain (environment variables,
        ``~/.tencentcloud/credentials``, the role of the CVM or of the TKE pod).
    :param secret_key: SecretKey of the API key.
    :param token: session token of temporary credentials.
    :param role_arn: CAM role to assume with the API key, ``qcs::cam::uin/…:roleName/…``.
    :param role_session_name: name of the assumed session, seen in Tencent Cloud's audit log.
    :param sub_app_id: id of the VOD application. Accounts opened on or after 2023-12-25 must give it, even for the default
        application (VOD API 2018-07-17, common to all actions); older accounts reach their primary application without it.
    :param region: value of ``X-TC-Region``; VOD needs none.
    :param endpoint: where the API is, ``host``, ``host:port`` or ``scheme://host:port``.
    :param proxy: HTTP proxy, ``http://user:password@host:port``; None follows ``HTTPS_PROXY`` and ``NO_PROXY``.
    :param verify: check TLS certificates against the bundled authorities (True), against this CA file (a path), or not at
        all (False).
    :param confirm_policy: ``all`` confirms every event once it is in the inbox; ``awaited`` confirms only events that
        somebody here waits for and leaves the others in the queue, for its other consumers.
    :param callback_sign_key: the application's ``SignKey``, with which VOD signs callbacks: 1 to 32 letters and digits (VOD API,
        ModifyEventConfig).
    :param callback_token: a secret at the end of the callback URL, for applications without SignKey: 16 to 128 of the
        characters that need no escaping in a URL.
    :raises VodSettingsError: for a value that cannot work; the message names field, value and remedy.
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

    def __post_init__(self) -> None:
        """Check every field."""
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
        if self.sub_app_id is not None and (type(self.sub_app_id) is not int or not 0 < self.sub_app_id < 2**63):
            raise VodSettingsError(
                f"sub_app_id must be a positive whole number such as 1500012345, not {self.sub_app_id!r}. "
                "The VOD console lists it under application management."
            )
        if self.confirm_policy not in CONFIRM_POLICIES:
            raise VodSettingsError(f"confirm_policy must be one of {CONFIRM_POLICIES}, not {self.confirm_policy!r}.")
        if not isinstance(self.verify, (bool, str)):
            raise VodSettingsError(f"verify must be true, false or the path of a CA file, not {self.verify!r}.")
        if self.proxy is not None and not _PROXY.match(self.proxy):  # not shown: it may hold a password
            raise VodSettingsError("proxy must be http://host:port or https://host:port, possibly with user:password@.")
        if not _is_word(self.callback_sign_key, _SIGN_KEY):
            raise VodSettingsError("callback_sign_key must be 1 to 32 letters and digits, as VOD's SignKey is.")
        if not _is_word(self.callback_token, _CALLBACK_TOKEN):
            raise VodSettingsError(
                "callback_token must be 16 to 128 letters, digits, - and _: it is all that keeps others from sending events. "
                "`openssl rand -hex 24` makes a good one."
            )
        match = _ENDPOINT.fullmatch(self.endpoint)
        if match is None or match["scheme"] not in (None, "http", "https"):
            raise VodSettingsError(
                f"endpoint must be host, host:port or http(s)://host:port, not {self.endpoint!r}. "
                f"Leave it empty for {DEFAULT_ENDPOINT}."
            )

    @property
    def scheme(self) -> str:
        """``https``, unless the endpoint says ``http``."""
        return "http" if self.endpoint.lower().startswith("http://") else "https"

    @property
    def host(self) -> str:
        """Host of the endpoint, with its port where it names one."""
        return self.endpoint.partition("://")[2].rstrip("/") or self.endpoint.rstrip("/")

    @property
    def takes_callbacks(self) -> bool:
        """Whether the callback receiver can tell VOD's callbacks for this connection from others."""
        return bool(self.callback_sign_key or self.callback_token)

    @property
    def account(self) -> str:
        """A short name for the credentials, from which they cannot be recovered."""
        identity = f"{self.secret_id}\0{self.role_arn or ''}" if self.secret_id else "default credential chain"
        return hashlib.sha256(identity.encode()).hexdigest()[:12]

    @property
    def queue(self) -> str:
        """The stable name of this application's event queue.

        VOD keeps one queue per application. SubAppIds are unique across Tencent Cloud and its regional endpoints lead to the
        same service, so the id alone names the queue; any other host (an emulator) is part of the name. Without a SubAppId
        the account names it.
        """
        application = str(self.sub_app_id) if self.sub_app_id else f"primary-{self.account}"
        if self.host.partition(":")[0].endswith(".tencentcloudapi.com"):
            return application
        return f"{self.host}/{application}"


def _is_word(value: object, pattern: re.Pattern[str]) -> bool:
    return value is None or (isinstance(value, str) and pattern.fullmatch(value) is not None)
