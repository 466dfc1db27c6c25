"""From Airflow connections to settings, clients and answers in words."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import Connection

from airflow_vod.emulator import Emulator, EmulatorOptions
from airflow_vod.exceptions import VodAuthenticationError, VodSettingsError
from airflow_vod.get_provider_info import EXTRA_FIELDS, RENAMED_FIELDS, SECRET_FIELDS
from airflow_vod.hooks.vod import VodHook, exposed_secrets
from airflow_vod.tencent.settings import VodSettings
from tests.airflow_names import sdk_redact, server_mask_secret, server_redact

SUB_APP_ID = 1500012345
KEY = {"conn_type": "tencent_vod", "login": "AKIDone", "password": "secret-of-one"}


@pytest.fixture
def set_connection(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set the connection ``vod_default``, in either of Airflow's forms."""

    def set_one(value: str | dict[str, Any]) -> None:
        text = value if isinstance(value, str) else json.dumps(value)
        monkeypatch.setenv("AIRFLOW_CONN_VOD_DEFAULT", text)

    return set_one


async def resolved(hook: VodHook) -> VodSettings:
    """Resolve in both ways, which must agree."""
    settings = hook.get_settings()
    assert await hook.aget_settings() == settings
    return settings


# Connections that work


async def test_every_field(set_connection: Any) -> None:
    """Each field of the connection and of its extra reaches the settings."""
    extra = {
        "sub_app_id": SUB_APP_ID,
        "region": "ap-guangzhou",
        "token": "session-token",
        "role_arn": "qcs::cam::uin/100000000001:roleName/vod",
        "role_session_name": "nightly",
        "confirm_policy": "awaited",
        "proxy": "http://proxy:3128",
        "verify": "/etc/ssl/own.pem",
        "playback_secret": "24FEQmTzro4V5u3D5epW",
        "playback_domains": "media.example.com,other.example.com",
    }
    set_connection(KEY | {"host": "vod.ap-guangzhou.tencentcloudapi.com", "extra": extra})
    assert await resolved(VodHook()) == VodSettings(
        secret_id="AKIDone",
        secret_key="secret-of-one",
        endpoint="vod.ap-guangzhou.tencentcloudapi.com",
        **extra,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("extra", [None, "", {}, {"sub_app_id": "", "region": None, "verify": "", "proxy": ""}])
async def test_what_is_left_empty(set_connection: Any, extra: object) -> None:
    """Fields that are not there, or that Airflow's form left empty, take their defaults."""
    set_connection(KEY | {"extra": extra, "host": ""})
    assert await resolved(VodHook()) == VodSettings(secret_id="AKIDone", secret_key="secret-of-one")


@pytest.mark.parametrize(
    ("uri", "endpoint"),
    [
        ("tencent-vod://AKIDone:secret-of-one@", "https vod.tencentcloudapi.com"),
        ("tencent-vod://AKIDone:secret-of-one@vod.example.com", "https vod.example.com"),
        ("tencent-vod://AKIDone:secret-of-one@127.0.0.1:9900", "https 127.0.0.1:9900"),
        ("tencent-vod://AKIDone:secret-of-one@http%3A%2F%2F127.0.0.1:9900", "http 127.0.0.1:9900"),
        ("tencent-vod://AKIDone:secret-of-one@http%3A%2F%2F127.0.0.1%3A9900", "http 127.0.0.1:9900"),
        ("tencent-vod://AKIDone:secret-of-one@http%3A%2F%2F127.0.0.1%3A9900%2F", "http 127.0.0.1:9900"),
    ],
)
async def test_uri_form(set_connection: Any, uri: str, endpoint: str) -> None:
    """Airflow's URI form works, with and without scheme and port of the endpoint."""
    set_connection(f"{uri}?sub_app_id={SUB_APP_ID}&verify=false")
    settings = await resolved(VodHook())
    assert f"{settings.scheme} {settings.host}" == endpoint
    assert (settings.secret_id, settings.secret_key) == ("AKIDone", "secret-of-one")
    assert (settings.sub_app_id, settings.verify) == (SUB_APP_ID, False)


async def test_extra_of_the_uri_as_json(set_connection: Any) -> None:
    """Airflow's ``__extra__`` keeps the types of JSON."""
    set_connection("tencent-vod://AKIDone:s@?__extra__=%7B%22sub_app_id%22%3A+1500012345%2C+%22verify%22%3A+false%7D")
    settings = await resolved(VodHook())
    assert (settings.sub_app_id, settings.verify) == (SUB_APP_ID, False)


async def test_without_login(set_connection: Any) -> None:
    """A connection without API key leaves the credentials to the SDK's default chain."""
    set_connection({"conn_type": "tencent_vod", "extra": {"sub_app_id": SUB_APP_ID}})
    settings = await resolved(VodHook())
    assert (settings.secret_id, settings.secret_key) == (None, None)


def test_without_login_the_default_chain_is_used(
    set_connection: Any, vod_emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the key in the SDK's environment variables, a connection without login works."""
    monkeypatch.setenv("TENCENTCLOUD_SECRET_ID", vod_emulator.secret_id)
    monkeypatch.setenv("TENCENTCLOUD_SECRET_KEY", vod_emulator.secret_key)
    set_connection({"conn_type": "tencent_vod", "host": vod_emulator.endpoint})
    assert VodHook().test_connection()[0]


@pytest.mark.parametrize("sub_app_id", [7, "7"])
async def test_sub_app_id_of_the_hook(set_connection: Any, sub_app_id: int | str) -> None:
    """The hook's own SubAppId, perhaps rendered from a template, takes the place of the connection's."""
    set_connection(KEY | {"extra": {"sub_app_id": SUB_APP_ID}})
    assert (await resolved(VodHook(sub_app_id=sub_app_id))).sub_app_id == 7


@pytest.mark.parametrize("old", RENAMED_FIELDS)
async def test_a_former_name_still_counts(set_connection: Any, old: str) -> None:
    """A value under a former name of a field is taken, also where it stands under both."""
    new, value = RENAMED_FIELDS[old], "a" * 16
    for extra in ({old: value}, {old: value, new: value}, {new: value, old: ""}, {new: None, old: value}):
        set_connection(KEY | {"extra": extra})
        assert getattr(await resolved(VodHook()), new) == value


async def test_a_type_with_a_dash(set_connection: Any) -> None:
    """Airflow's URI form writes the type with a dash, and Airflow reads it with an underscore."""
    set_connection("tencent-vod://AKIDone:secret-of-one@")
    assert (await resolved(VodHook())).secret_id == "AKIDone"


def test_nothing_is_read_before_it_is_needed() -> None:
    """A hook for a connection that does not exist can be made, as DAG files do when they are parsed."""
    VodHook("no_such_connection")


# Connections that do not


@pytest.mark.parametrize(
    ("connection", "words"),
    [
        ({"login": None}, "SecretId is missing although SecretKey is given"),
        ({"password": None}, "SecretKey is missing although SecretId is given"),
        ({"login": "AKIDone "}, "SecretId holds white space, a line break, or a character outside of ASCII"),
        ({"host": "ftp://vod.example.com"}, "endpoint must be host, host:port or http"),
        ({"host": "vod.example.com/path"}, "endpoint must be host, host:port or http"),
        ({"host": "http://127.0.0.1:9900", "port": 9900}, "endpoint must be host, host:port or http"),
        ({"extra": "not json"}, "extra is not a JSON object"),
        ({"extra": "[1, 2]"}, "extra is not a JSON object"),
        ({"extra": '"text"'}, "extra is not a JSON object"),
        ({"extra": "7"}, "extra is not a JSON object"),
        ({"extra": {"subappid": 7}}, "extra has the unknown field 'subappid'. Known fields: callback_secret"),
        (
            {"extra": {"sub_app_id": "my app"}},
            "sub_app_id must be a positive whole number such as 1500012345, not 'my app'",
        ),
        ({"extra": {"sub_app_id": -1}}, "sub_app_id must be a positive whole number"),
        ({"extra": {"sub_app_id": 1.5}}, "sub_app_id must be a positive whole number"),
        ({"extra": {"sub_app_id": True}}, "sub_app_id must be a positive whole number"),
        ({"extra": {"confirm_policy": "some"}}, "confirm_policy must be one of ('all', 'awaited'), not 'some'"),
        ({"extra": {"token": False}}, "token must be text, not a value of type bool"),
        ({"extra": {"proxy": ["http://host:1"]}}, "proxy must be text, not a value of type list"),
        ({"extra": {"verify": 1}}, "verify must be true, false or the path of a CA file, not 1"),
        ({"login": None, "password": None, "extra": {"token": "t"}}, "token is given without an API key"),
        (
            {"conn_type": "aws"},
            "it is of type 'aws', and not of type tencent_vod. Its keys are not sent to VOD. Set its",
        ),
        ({"conn_type": "generic"}, "it is of type 'generic', and not of type tencent_vod"),
        ({"conn_type": ""}, "it is of no type, and not of type tencent_vod"),
        (
            {"extra": {"callback_secret": "short"}},
            "callback_secret (VOD's SignKey) must be 16 to 32 letters and digits",
        ),
        (
            {"extra": {"callback_sign_key": "short"}},
            "callback_secret (VOD's SignKey) must be 16 to 32 letters and digits",
        ),
        (
            {"extra": {"callback_secret": "a" * 16, "callback_sign_key": "b" * 16}},
            "extra has callback_secret and, with another value, its former name callback_sign_key. Remove callback_sign_key.",
        ),
    ],
)
async def test_bad_connections(set_connection: Any, connection: dict[str, Any], words: str) -> None:
    """Each field that cannot work is named, with the connection and the remedy, in both ways of resolving it."""
    set_connection({key: value for key, value in (KEY | connection).items() if value is not None})
    with pytest.raises(VodSettingsError) as caught:
        VodHook().get_settings()
    with pytest.raises(VodSettingsError) as caught_async:
        await VodHook().aget_settings()
    assert str(caught.value).startswith(f"Connection 'vod_default': {words}")
    assert str(caught_async.value) == str(caught.value)
    assert "secret-of-one" not in str(caught.value)


async def test_unknown_connection() -> None:
    """A connection that does not exist is named, with what to do."""
    with pytest.raises(
        VodSettingsError, match=r"Connection 'nowhere' does not exist\. Create it with the type tencent_vod"
    ):
        VodHook("nowhere").get_settings()
    with pytest.raises(VodSettingsError, match=r"or set AIRFLOW_CONN_NOWHERE\."):
        await VodHook("nowhere").aget_settings()


async def test_an_airflow_that_masks_secrets_synchronously(
    set_connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before Airflow 3.3.2 the connection is read in another thread than the event loop's."""
    threads = []

    class Hook(VodHook):
        def get_settings(self) -> VodSettings:
            threads.append(threading.current_thread())
            return super().get_settings()

    set_connection(KEY)
    monkeypatch.delattr(Connection, "aextra_dejson", raising=False)
    assert (await Hook().aget_settings()).secret_id == "AKIDone"
    assert threads != [threading.current_thread()]


# Clients


def test_get_conn_is_the_official_client(set_connection: Any, vod_emulator: Emulator) -> None:
    """`get_conn` gives the SDK's typed client, ready to call any API."""
    from tencentcloud.vod.v20180717 import models, vod_client

    set_connection(vod_emulator.airflow_connection(SUB_APP_ID))
    client = VodHook().get_conn()
    assert isinstance(client, vod_client.VodClient)
    request = models.DescribeEventConfigRequest()
    request.SubAppId = SUB_APP_ID
    assert client.DescribeEventConfig(request).Mode == "PULL"


def test_get_client_uses_the_application_of_the_connection(set_connection: Any, vod_emulator: Emulator) -> None:
    """`get_client` gives this package's client, which names the SubAppId in every call."""
    set_connection(vod_emulator.airflow_connection(SUB_APP_ID))
    VodHook().get_client().describe_events_state()
    [call] = vod_emulator.calls
    assert (call.action, call.sub_app_id, call.outcome) == ("DescribeEventsState", SUB_APP_ID, "ok")


# The Test button


def answer(options: EmulatorOptions, connection: dict[str, Any] | None = None, **emulator: Any) -> tuple[bool, str]:
    """Press it, against an emulator like this."""
    with Emulator(options=options, **emulator) as vod:
        fields = json.loads(vod.airflow_connection(SUB_APP_ID)) | (connection or {})
        return _test(fields)


def _test(fields: dict[str, Any]) -> tuple[bool, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_VOD_DEFAULT", json.dumps(fields))
        return VodHook().test_connection()


def test_a_good_connection() -> None:
    """The answer says that the credentials work and that the queue is in use."""
    assert answer(EmulatorOptions()) == (
        True,
        "The credentials work and the application keeps its events in a queue (PULL mode).",
    )


@pytest.mark.parametrize(
    ("options", "connection", "words"),
    [
        (EmulatorOptions(), {"password": "wrong"}, ["AuthFailure.SignatureFailure", "Check SecretId and SecretKey"]),
        (EmulatorOptions(), {"login": "AKIDwrong"}, ["AuthFailure.SecretIdNotFound", "Check SecretId and SecretKey"]),
        (EmulatorOptions(clock_offset=1000), {}, ["AuthFailure.SignatureExpire", "clock of this machine", "NTP"]),
        (EmulatorOptions(mode="PUSH"), {}, ["'PUSH' mode", "no queue to pull from", "Choose reliable callback (PULL)"]),
        (
            EmulatorOptions(unauthorized_actions=frozenset({"DescribeEventConfig"})),
            {},
            ["UnauthorizedOperation", "Grant the API key this action in CAM"],
        ),
        (
            EmulatorOptions(),
            {"extra": {"sub_app_id": 77}},
            ["The SubAppId 77 is not valid", "the SubAppId is not its own"],
        ),
        (EmulatorOptions(), {"extra": {"sub_app": 77}}, ["Connection 'vod_default'", "unknown field 'sub_app'"]),
    ],
    ids=["key", "id", "clock", "push", "permission", "application", "extra"],
)
def test_problems_are_named(options: EmulatorOptions, connection: dict[str, Any], words: list[str]) -> None:
    """The answer names the problem and the remedy."""
    good, text = answer(options, connection, sub_app_ids=[SUB_APP_ID])
    assert not good
    assert [word for word in words if word not in text] == [], text


CALLBACK_URL = "https://user:pass-in-url@airflow.example.com/callbacks/vod/token-in-url?t=query-in-url#part-in-url"
PUSHED = EmulatorOptions(mode="PUSH", notification_url=CALLBACK_URL)


@pytest.mark.parametrize("extra", [{"callback_secret": "a" * 16}, {"callback_token": "t" * 16}])
def test_callbacks_that_are_received_here(extra: dict[str, str]) -> None:
    """An application in PUSH mode works, if the connection can tell genuine callbacks; of the URL only the host is told."""
    good, text = answer(PUSHED, {"extra": extra})
    assert good, text
    assert "https://***@airflow.example.com/***" in text
    assert "in-url" not in text


def test_callbacks_that_are_not_received_here() -> None:
    """Without a secret for callbacks, PUSH mode does not work; the message names both remedies, and only the URL's host."""
    good, text = answer(PUSHED)
    assert not good
    assert "https://***@airflow.example.com/***" in text
    assert "in-url" not in text
    assert [
        word for word in ("Choose reliable callback (PULL)", "callback_secret or callback_token") if word not in text
    ] == []


def test_callbacks_that_lead_nowhere() -> None:
    """PUSH mode without a URL does not work, whatever the connection has."""
    good, text = answer(EmulatorOptions(mode="PUSH"), {"extra": {"callback_secret": "a" * 16}})
    assert not good
    assert "to no URL at all: none can arrive. Set it with `airflow-vod doctor --fix" in text


def test_nobody_listens() -> None:
    """The answer says that the endpoint cannot be reached, and to check it."""
    fields = KEY | {"host": "http://127.0.0.1:1"}
    good, text = _test(fields)
    assert not good
    assert "ConnectFailed" in text
    assert "Check the endpoint and proxy of the connection" in text


def test_unknown_connection_has_no_test() -> None:
    """Without a connection, the answer is a message instead of a traceback."""
    good, text = VodHook("nowhere").test_connection()
    assert (good, "Connection 'nowhere' does not exist" in text) == (False, True)


# Secrets


def test_secrets_are_not_in_reprs_or_errors(set_connection: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the settings' text, nor an authentication error, nor the log at DEBUG shows a key, token or proxy password."""
    extra = {"token": "session-token", "proxy": "http://user:proxy-password@127.0.0.1:1"}
    with caplog.at_level(logging.DEBUG), Emulator() as vod:
        connection = json.loads(vod.airflow_connection())
        set_connection(connection | {"password": "secret-of-one", "extra": extra})
        hook = VodHook()
        text = repr(hook.get_settings()) + hook.test_connection()[1]
        set_connection(connection | {"password": "secret-of-one", "extra": {"token": "session-token"}})
        with pytest.raises(VodAuthenticationError) as caught:
            VodHook().get_client().pull_events()
    text += str(caught.value) + caplog.text
    for secret in ("secret-of-one", "session-token", "proxy-password"):
        assert secret not in text


SHOWN = sorted(set(EXTRA_FIELDS) - SECRET_FIELDS)


@pytest.mark.parametrize("redact", [server_redact, sdk_redact])
def test_airflow_hides_every_secret_field(redact: Callable[..., Any]) -> None:
    """Airflow's own maskers, of the server and of tasks, hide each of our secret fields by its name, and no other field."""
    shown = redact(dict.fromkeys(EXTRA_FIELDS, "a value"))
    assert shown == dict.fromkeys(SECRET_FIELDS, "***") | dict.fromkeys(SHOWN, "a value")


def test_a_secret_in_a_log_is_masked() -> None:
    """After Airflow has read a connection, its masker takes each secret field out of whatever is logged."""
    values = {name: f"value-of-{name}-itself" for name in SECRET_FIELDS}
    server_mask_secret(values)
    for value in values.values():
        assert server_redact(f"said {value} aloud") == "said *** aloud"


def test_what_airflow_shows_is_named() -> None:
    """A former name is told as exposed, by a masker that does not know it; an empty one and the present ones are not."""
    extra = dict.fromkeys(EXTRA_FIELDS, "x") | dict.fromkeys(RENAMED_FIELDS, "x")
    assert exposed_secrets(extra) == sorted(RENAMED_FIELDS)
    assert exposed_secrets(dict.fromkeys(RENAMED_FIELDS, "")) == []


# Signed URLs


def test_sign_url(set_connection: Any) -> None:
    """A hook signs URLs of the connection's domains with the connection's key, and no others."""
    extra = {"playback_secret": "24FEQmTzro4V5u3D5epW", "playback_domains": ["media.example.com"]}
    set_connection(KEY | {"extra": extra})
    signed = VodHook().sign_url("https://media.example.com/a/f.mp4", valid_for=60, max_clients=2, preview=30)
    assert signed.startswith("https://media.example.com/a/f.mp4?t=")
    assert "&exper=30&rlimit=2&us=" in signed
    assert VodHook().sign_url(signed) == signed
    assert VodHook().sign_url("https://example.com/a/f.mp4") == "https://example.com/a/f.mp4"


def test_sign_url_without_a_key(set_connection: Any) -> None:
    """Without a key the error names connection, field and where to find it."""
    set_connection(KEY)
    with pytest.raises(VodSettingsError, match=r"Connection 'vod_default' has no playback_secret.*VOD console"):
        VodHook().sign_url("https://media.example.com/a/f.mp4")


def test_airflow_masks_the_key(set_connection: Any) -> None:
    """Once the connection was read, Airflow hides the key in whatever is logged."""
    set_connection(KEY | {"extra": {"playback_secret": "onlyInThisTest12"}})
    VodHook().get_settings()
    # Airflow 3.1 has a masker for tasks and another for all else; this is no task.
    assert "the key is ***" in {mask("the key is onlyInThisTest12") for mask in (sdk_redact, server_redact)}
