"""The doctor reports which events will arrive, changes nothing without --fix, and shows no secret."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_vod import cli
from airflow_vod.cli.doctor import CheckResult, _can_be_reached, callback_url, examine
from airflow_vod.emulator import Emulator, EmulatorOptions
from airflow_vod.tencent.settings import VodSettings
from tests.airflow_fixtures import INBOX_OPTION

SUB_APP_ID, KEY, TOKEN = 1500012345, "4bTq8ZsVxW2c7Lm0", "a-token-that-nothing-shows"
BASE = "https://airflow.example.com"


@pytest.fixture
def connect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Emulator]]:
    """Start an emulator and set the connection ``vod_default`` to it."""
    running: list[Emulator] = []
    monkeypatch.setenv(INBOX_OPTION, f"sqlite:///{tmp_path / 'inbox.db'}")

    def start(mode: str = "PULL", **extra: str) -> Emulator:
        running.append(Emulator(options=EmulatorOptions(mode=mode)).start())  # type: ignore[arg-type]
        connection = json.loads(running[-1].airflow_connection(SUB_APP_ID))
        connection["extra"] |= extra
        monkeypatch.setenv("AIRFLOW_CONN_VOD_DEFAULT", json.dumps(connection))
        return running[-1]

    yield start
    for each in running:
        each.stop()


def errors(results: list[CheckResult]) -> list[str]:
    """The texts of what prevents events from arriving."""
    return [result.text for result in results if result.level == "error"]


def test_a_queue_that_is_right(connect: Callable[..., Emulator]) -> None:
    """Without secrets for callbacks, PULL is intended; events that no switch enables are named."""
    vod = connect()
    results = examine("vod_default")
    assert errors(results) == []
    texts = "\n".join(result.text for result in results)
    for event_type in ("NewFileUpload", "FileDeleted", "PersistenceComplete", "ConcatComplete"):
        assert event_type in texts
    assert vod.calls.count("ModifyEventConfig") == 0


def test_it_changes_nothing_without_fix(connect: Callable[..., Emulator]) -> None:
    """Errors are shown with the remedy; only --fix changes settings, and afterwards there are no errors."""
    vod = connect("PULL", callback_secret=KEY)
    problems = errors(examine("vod_default", base_url=BASE))
    assert len(problems) == 2
    assert all("--fix" in problem for problem in problems)
    assert vod.calls.count("ModifyEventConfig") == 0
    assert errors(examine("vod_default", base_url=BASE, fix=True)) == []
    config = vod.api.application(SUB_APP_ID).config
    assert (config.mode, config.notification_url) == ("PUSH", f"{BASE}/tencent-vod/callbacks/vod_default")
    assert config.sign_key == KEY
    assert errors(examine("vod_default", base_url=BASE)) == []


def test_back_to_the_queue(connect: Callable[..., Emulator]) -> None:
    """The mode given overrides the one that the connection implies."""
    vod = connect("PUSH", callback_secret=KEY)
    assert errors(examine("vod_default", mode="PULL"))
    assert errors(examine("vod_default", mode="PULL", fix=True)) == []
    assert vod.api.application(SUB_APP_ID).config.mode == "PULL"


def test_push_without_a_secret(connect: Callable[..., Emulator]) -> None:
    """Callbacks to a connection without a secret would all be rejected, so PUSH is not set up."""
    vod = connect("PULL")
    assert "callback_secret" in errors(examine("vod_default", mode="PUSH", fix=True))[0]
    assert vod.api.application(SUB_APP_ID).config.mode == "PULL"


def test_a_url_that_cannot_work(connect: Callable[..., Emulator]) -> None:
    """Plain HTTP is a warning; an address that cannot be reached from outside is an error, and is not set."""
    vod = connect("PULL", callback_secret=KEY)
    warnings = [each.text for each in examine("vod_default", base_url="http://airflow.test") if each.level == "warning"]
    assert "not https" in warnings[0]
    problems = errors(examine("vod_default", base_url="airflow.example.com", fix=True))
    assert "Nothing was changed: VOD cannot reach" in problems[0]
    assert vod.api.application(SUB_APP_ID).config.mode == "PULL"


@pytest.mark.parametrize("url", ["http://localhost:8080/x", "https://127.0.0.1/x", "https://[::1]/x", "airflow/x", ""])
def test_where_vod_cannot_go(url: str) -> None:
    """VOD cannot reach an address of this machine, unless it is the emulator on this machine."""
    assert not _can_be_reached(url, VodSettings("AKID", "key", sub_app_id=1))
    local = _can_be_reached(url, VodSettings("AKID", "key", sub_app_id=1, endpoint="http://127.0.0.1:9900"))
    assert local == url.startswith("http")
    assert _can_be_reached("https://airflow.example.com/x", VodSettings("AKID", "key", sub_app_id=1))


def test_no_secret_is_printed(connect: Callable[..., Emulator], capsys: pytest.CaptureFixture[str]) -> None:
    """Neither key nor token nor secret key is printed, as text or JSON, with or without errors."""
    vod = connect("PULL", callback_secret=KEY, callback_token=TOKEN)
    words = ["doctor", "--base-url", BASE]
    assert [cli.main(words), cli.main([*words, "--json"]), cli.main([*words, "--fix"]), cli.main(words)] == [1, 1, 0, 0]
    assert vod.api.application(SUB_APP_ID).config.notification_url.endswith(f"/vod_default/{TOKEN}")
    printed = capsys.readouterr().out
    assert "/vod_default/***" in printed
    for secret in (KEY, TOKEN, vod.secret_key):
        assert secret not in printed


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"{BASE}/tencent-vod/callbacks/vod_default/an-earlier-token", "https://airflow.example.com/***"),
        ("https://other.example.com:8443/hush?key=hush#hush", "https://other.example.com:8443/***"),
        ("https://user:hush@other.example.com/x", "https://***@other.example.com/***"),
        ("https://user:h/ush@other.example.com/x", "***"),
        ("hush", "***"),
    ],
)
def test_a_url_of_others_may_be_a_secret(connect: Callable[..., Emulator], url: str, shown: str) -> None:
    """Of the URL that is set, only where it leads is shown: an earlier token, or anything else in it, may still count."""
    vod = connect("PUSH", callback_token=TOKEN)
    vod.api.application(SUB_APP_ID).config.notification_url = url
    [problem] = [each for each in errors(examine("vod_default", base_url=BASE)) if "Callbacks are sent" in each]
    assert f"Callbacks are sent to {shown}, not to" in problem
    assert "hush" not in problem
    assert "earlier" not in problem


def test_what_cannot_be_examined(
    connect: Callable[..., Emulator], monkeypatch: pytest.MonkeyPatch, airflow_db: None
) -> None:
    """A missing connection, wrong credentials and an inbox that cannot be opened are errors."""
    vod = connect()
    assert "no_such" in errors(examine("no_such"))[0]
    connection = json.loads(vod.airflow_connection(SUB_APP_ID)) | {"password": "wrong"}
    monkeypatch.setenv("AIRFLOW_CONN_VOD_DEFAULT", json.dumps(connection))
    monkeypatch.setenv(INBOX_OPTION, "nonsense")
    assert len(errors(examine("vod_default"))) == 2


def test_the_url() -> None:
    """The token, if there is one, ends the URL; a base with a path is kept."""
    signed, token = VodSettings(callback_secret=KEY), VodSettings(callback_token=TOKEN)
    assert callback_url("c", signed, f"{BASE}/airflow/") == f"{BASE}/airflow/tencent-vod/callbacks/c"
    assert callback_url("c", token, BASE) == f"{BASE}/tencent-vod/callbacks/c/{TOKEN}"


def test_a_secret_that_airflow_shows(connect: Callable[..., Emulator]) -> None:
    """A former name is a warning that says where the value belongs; the present names are none."""
    connect("PULL", callback_sign_key=KEY)
    [warning] = [each.text for each in examine("vod_default", mode="PULL") if each.level == "warning"]
    assert "sees the field callback_sign_key" in warning
    assert "Move its value to callback_secret" in warning
    connect("PULL", callback_secret=KEY, proxy="http://user:password@127.0.0.1:1")
    assert not [each.text for each in examine("vod_default", mode="PULL") if each.level == "warning"]


def test_another_callback_url_is_shown_by_its_host_alone(connect: Callable[..., Emulator]) -> None:
    """The URL that the application has may hold secrets anywhere, and is nobody's here."""
    vod = connect("PUSH", callback_secret=KEY)
    vod.api.application(SUB_APP_ID).config.notification_url = "https://u:in-url@example.com/in-url?in-url#in-url"
    [problem] = errors(examine("vod_default", base_url=BASE))
    assert "Callbacks are sent to https://***@example.com/***, not to" in problem
    assert "in-url" not in problem


def test_text_of_vod_is_shown_as_text(connect: Callable[..., Emulator], capsys: pytest.CaptureFixture[str]) -> None:
    """What VOD says moves no cursor and forges no line."""
    vod = connect("PULL")
    vod.faults.script({"DescribeEventConfig": ["error:InvalidParameter:no\nok      all is well\x1b[2J"]})
    assert cli.main(["doctor"]) == 1
    told = capsys.readouterr().out
    assert all(line.isprintable() for line in told.split("\n"))
    assert r"no\nok      all is well\x1b[2J" in told
