"""Settings that exist are usable, and show no secret."""

from __future__ import annotations

import pytest

from airflow_vod.exceptions import VodSettingsError
from airflow_vod.tencent.settings import VodSettings


def test_text_form_shows_no_secret() -> None:
    """Settings can be logged: keys, tokens and proxy passwords are not in their text."""
    proxy, key, token = "http://user:pr0xy@host:1", "s1gnKey", "a-secret-w0rd-at-the-end"
    playback = "pl4ybackKey"
    settings = VodSettings(
        "AKID", "s3cret", "t0ken", proxy=proxy, callback_sign_key=key, callback_token=token, playback_secret=playback
    )
    for secret in ("s3cret", "t0ken", "pr0xy", key, token, playback):
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
        ({"proxy": "proxy.example.com:8080"}, "proxy"),
        ({"proxy": "socks5://proxy:1080"}, "proxy"),
        ({"callback_sign_key": "not/alphanumeric"}, "callback_sign_key"),
        ({"callback_sign_key": "a" * 33}, "callback_sign_key"),
        ({"callback_sign_key": ""}, "callback_sign_key"),
        ({"callback_sign_key": True}, "callback_sign_key"),
        ({"callback_token": "short"}, "callback_token"),
        ({"callback_token": "with/a/slash/in/the/middle"}, "callback_token"),
        ({"playback_secret": "t0ken/s3cret"}, "playback_secret"),
        ({"playback_secret": ""}, "playback_secret"),
        ({"playback_domains": "http://media.example.com"}, "playback_domains"),
        ({"playback_domains": ["media.example.com"]}, "playback_domains"),
        ({"endpoint": "ftp://host"}, "endpoint"),
        ({"endpoint": "host/path"}, "endpoint"),
        ({"endpoint": ""}, "endpoint"),
    ],
)
def test_what_cannot_work_is_refused_by_name(fields: dict, word: str) -> None:
    """A value that cannot work is refused when settings are made, and the message names the field but no secret."""
    with pytest.raises(VodSettingsError, match=word) as refusal:
        VodSettings(**fields)
    assert "s3cret" not in str(refusal.value)
    assert "t0ken" not in str(refusal.value)


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
