"""Settings that exist are usable, and show no secret."""

from __future__ import annotations

import dataclasses

import pytest

from airflow_vod.exceptions import VodSettingsError
from airflow_vod.tencent.settings import VodSettings


def test_text_form_shows_no_secret() -> None:
    """Settings can be logged: keys, tokens and proxy passwords are not in their text."""
    proxy, key, token = "http://user:pr0xy@host:1", "s1gnKeyOfSixteen", "a-secret-w0rd-at-the-end"
    secrets = {"callback_secret": key, "callback_token": token, "playback_secret": "pl4ybackKey"}
    settings = VodSettings("AKID", "s3cret", "t0ken", proxy=proxy, **secrets)
    for secret in ("s3cret", "t0ken", "pr0xy", *secrets.values()):
        assert secret not in repr(settings)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"secret_id": "AKID"}, "SecretKey"),
        ({"secret_key": "s3cret"}, "SecretId"),
        ({"secret_id": "AKID ", "secret_key": "s3cret"}, "SecretId"),
        ({"secret_id": "AKID", "secret_key": "s3cret\n"}, "SecretKey"),
        ({"token": "t0ken"}, "token"),
        ({"role_arn": "qcs::cam::uin/1:roleName/r"}, "role_arn"),
        ({"sub_app_id": 0}, "sub_app_id"),
        ({"sub_app_id": "abc"}, "sub_app_id"),
        ({"sub_app_id": True}, "sub_app_id"),
        ({"confirm_policy": "none"}, "confirm_policy"),
        ({"verify": 3}, "verify"),
        ({"secret_id": "\u200bAKID", "secret_key": "s3cret"}, "SecretId"),
        ({"secret_id": "\ufeffAKID", "secret_key": "s3cret"}, "SecretId"),
        ({"secret_id": "AK\nID", "secret_key": "s3cret"}, "SecretId"),
        ({"secret_id": "AKID", "secret_key": "s3cret\u00e9"}, "SecretKey"),
        ({"secret_id": "AKID", "secret_key": "x", "token": "t0ken\n"}, "token"),
        ({"secret_id": "AKID", "secret_key": "x", "token": "\u4ee4\u724ct0ken"}, "token"),
        ({"secret_id": "AKID", "secret_key": "x", "token": "a\r\nX-Forged: t0ken"}, "token"),
        ({"region": "ap-guangzhou\n"}, "region"),
        ({"region": "\u5e7f\u5dde"}, "region"),
        ({"region": None}, "region"),
        ({"endpoint": None}, "endpoint"),
        ({"confirm_policy": None}, "confirm_policy"),
        ({"secret_id": "AKID", "secret_key": "x", "role_arn": "qcs::cam::uin/1:roleName/r\n"}, "role_arn"),
        ({"role_session_name": "n"}, "role_session_name"),
        ({"role_session_name": "of the night"}, "role_session_name"),
        ({"proxy": 8080}, "proxy"),
        ({"proxy": "http://user:s3cret@"}, "proxy"),
        ({"proxy": "http://user:s3/cret@host:1"}, "proxy"),
        ({"proxy": "http://user:s3cret%E4%BD%A0@host:1"}, "proxy"),
        ({"proxy": "http://user:s3cret@host:99999"}, "proxy"),
        ({"proxy": "http://user:s3 cret@host:1"}, "proxy"),
        ({"proxy": "socks5://proxy:1080"}, "proxy"),
        ({"callback_secret": "not/alphanumeric/at/all"}, "callback_secret"),
        ({"callback_secret": "a" * 15}, "callback_secret"),
        ({"callback_secret": "a" * 33}, "callback_secret"),
        ({"callback_secret": ""}, "callback_secret"),
        ({"callback_secret": True}, "callback_secret"),
        ({"callback_token": "short"}, "callback_token"),
        ({"callback_token": "with/a/slash/in/the/middle"}, "callback_token"),
        ({"playback_secret": "t0ken/s3cret"}, "playback_secret"),
        ({"playback_secret": ""}, "playback_secret"),
        ({"playback_domains": "http://media.example.com"}, "playback_domains"),
        ({"playback_domains": ["media.example.com"]}, "playback_domains"),
        ({"endpoint": "ftp://host"}, "endpoint"),
        ({"endpoint": "host/path"}, "endpoint"),
        ({"endpoint": ""}, "endpoint"),
        ({"endpoint": "https://user:s3cret@host"}, "endpoint"),
        ({"endpoint": "https://user:p@s3cret@host"}, "endpoint"),
        ({"endpoint": "host?key=s3cret"}, "endpoint"),
        ({"endpoint": "host/s3cret"}, "endpoint"),
    ],
)
def test_what_cannot_work_is_refused_by_name(fields: dict, word: str) -> None:
    """A value that cannot work is refused when settings are made, and the message names the field but no secret."""
    with pytest.raises(VodSettingsError, match=word) as refusal:
        VodSettings(**fields)
    for secret in ("s3", "t0ken"):
        assert secret not in f"{refusal.value} {refusal.value!r}"
    assert refusal.value.__cause__ is None


def test_every_field_is_checked() -> None:
    """No field, of whatever type, is taken with a value of another type."""
    for each in dataclasses.fields(VodSettings):
        with pytest.raises(VodSettingsError):
            VodSettings(**{"secret_id": "AKID", "secret_key": "key", each.name: ["of no type"]})


@pytest.mark.parametrize(
    ("endpoint", "scheme", "host"),
    [
        ("vod.tencentcloudapi.com", "https", "vod.tencentcloudapi.com"),
        ("http://127.0.0.1:9900", "http", "127.0.0.1:9900"),
        ("https://vod.intl.tencentcloudapi.com/", "https", "vod.intl.tencentcloudapi.com"),
        ("localhost:9900", "https", "localhost:9900"),
        ("http://[::1]:9900", "http", "[::1]:9900"),
    ],
)
def test_endpoint_forms(endpoint: str, scheme: str, host: str) -> None:
    """An endpoint may be a bare host or a URL."""
    settings = VodSettings(endpoint=endpoint)
    assert (settings.scheme, settings.host) == (scheme, host)


def test_queue_is_the_application_whatever_the_key_or_door() -> None:
    """Connections with different keys and regional endpoints, but one SubAppId, share one queue."""
    one = VodSettings("AKID1", "key", sub_app_id=1500012345)
    other = VodSettings("AKID2", "key", sub_app_id=1500012345, endpoint="vod.ap-guangzhou.tencentcloudapi.com")
    assert one.queue == other.queue == "1500012345"


def test_queues_that_differ_have_different_names() -> None:
    """Applications, accounts without SubAppId, and emulators do not share a queue by mistake."""
    queues = [
        VodSettings("AKID1", "key", sub_app_id=1).queue,
        VodSettings("AKID1", "key", sub_app_id=2).queue,
        VodSettings("AKID1", "key").queue,
        VodSettings("AKID2", "key").queue,
        VodSettings("AKID2", "key", role_arn="qcs::cam::uin/1:roleName/r").queue,
        VodSettings().queue,
        VodSettings("AKID1", "key", sub_app_id=1, endpoint="http://127.0.0.1:9900").queue,
        VodSettings("AKID1", "key", sub_app_id=1, endpoint="http://127.0.0.1:9901").queue,
        VodSettings("AKID1", "key", sub_app_id=1, endpoint="eviltencentcloudapi.com").queue,
    ]
    assert len(set(queues)) == len(queues)
    assert not any("AKID" in queue for queue in queues)


@pytest.mark.parametrize(
    "text", ["a.example.com,b.example.com", " A.example.com ,\nb.Example.com,", "a.example.com b.example.com"]
)
def test_domains_to_sign(text: str) -> None:
    """The list of domains may be written with commas or white space, in upper or lower case."""
    assert VodSettings(playback_domains=text).domains_to_sign == ("a.example.com", "b.example.com")
    assert VodSettings().domains_to_sign == ()
