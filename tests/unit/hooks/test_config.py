"""Where the inbox is: whoever sets the option in any form never gets another inbox than that."""

from __future__ import annotations

import configparser
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import conf

from airflow_vod.exceptions import InboxError, InboxUnavailableError, VodSettingsError
from airflow_vod.hooks import config
from airflow_vod.hooks.config import inbox_retention, inbox_url
from tests import airflow_home

OPTION = "AIRFLOW__TENCENT_VOD__INBOX_SQL_ALCHEMY_CONN"
URL = "postgresql+psycopg://u:p@h/inbox"


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    """No answer of another test is kept."""
    config._kept_url.cache.clear()
    yield
    config._kept_url.cache.clear()


@pytest.fixture
def unknown_to_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow does not know that the option is sensitive, as before 3.2 in pods and in commands of other packages."""
    monkeypatch.setattr(conf, "sensitive_config_values", set())


@pytest.fixture
def airflow_cfg(monkeypatch: pytest.MonkeyPatch) -> Iterator[configparser.RawConfigParser]:
    """The section of ``airflow.cfg``, to be filled."""
    conf.add_section("tencent_vod")
    yield conf
    conf.remove_section("tencent_vod")


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's own secrets backend in a file; it has ``inbox``."""

    class Backend:
        def __init__(self, **_: object) -> None: ...

        def get_config(self, key: str) -> str | None:
            if key == "away":
                raise ConnectionError("https://vault:8200/?token=hush is away")
            return {"inbox": URL}.get(key)

    if hasattr(conf, "_get_custom_secret_backend"):
        monkeypatch.setattr(conf, "_get_custom_secret_backend", lambda *_, **__: Backend())
    else:  # before Airflow 3.2
        monkeypatch.setattr("airflow.configuration.get_custom_secret_backend", lambda *_, **__: Backend())


def test_inbox_beside_airflow() -> None:
    """Without the option, the inbox is a SQLite file in AIRFLOW_HOME."""
    assert inbox_url() == f"sqlite:///{airflow_home.HOME / 'vod_inbox.db'}"


@pytest.mark.parametrize("blank", ["", "  "])
def test_blank_option(monkeypatch: pytest.MonkeyPatch, blank: str) -> None:
    """A blank option counts as not set."""
    monkeypatch.setenv(OPTION, blank)
    assert inbox_url() == f"sqlite:///{airflow_home.HOME / 'vod_inbox.db'}"


@pytest.mark.usefixtures("unknown_to_airflow")
def test_each_form_in_the_environment(monkeypatch: pytest.MonkeyPatch, secrets: None) -> None:
    """The option works as a variable, a command and the name of a secret, also where Airflow does not know it."""
    monkeypatch.setenv(f"{OPTION}_SECRET", "inbox")
    assert inbox_url() == URL
    monkeypatch.setenv(f"{OPTION}_CMD", f"echo {URL}-by-command")
    assert inbox_url() == f"{URL}-by-command"
    monkeypatch.setenv(OPTION, f"{URL}-by-name")
    assert inbox_url() == f"{URL}-by-name"


@pytest.mark.usefixtures("unknown_to_airflow", "secrets")
@pytest.mark.parametrize(("form", "text"), [("", URL), ("_cmd", f"echo {URL}"), ("_secret", "inbox")])
def test_each_form_in_the_file(airflow_cfg: configparser.RawConfigParser, form: str, text: str) -> None:
    """The same three forms in airflow.cfg."""
    airflow_cfg.set("tencent_vod", f"inbox_sql_alchemy_conn{form}", text)
    assert inbox_url() == URL


@pytest.mark.usefixtures("secrets")
@pytest.mark.parametrize(("form", "text"), [("_CMD", "false"), ("_CMD", "no-such-program"), ("_SECRET", "away")])
def test_a_form_that_fails(monkeypatch: pytest.MonkeyPatch, form: str, text: str) -> None:
    """It is an error that may pass, which names the form and quotes nothing; the file is not used instead."""
    monkeypatch.setenv(f"{OPTION}{form}", text)
    with pytest.raises(InboxUnavailableError, match=f"{OPTION}{form}") as caught:
        inbox_url()
    assert "hush" not in str(caught.value)


def test_what_a_failing_command_printed_stays_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Airflow's own error quotes the output of the command; ours neither does nor leads to that one."""
    script = tmp_path / "print_url"
    script.write_text(f"#!/bin/sh\necho {URL}\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setenv(f"{OPTION}_CMD", str(script))
    with pytest.raises(InboxUnavailableError) as caught:
        inbox_url()
    assert "u:p" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.usefixtures("secrets")
@pytest.mark.parametrize(("form", "text"), [("_CMD", "true"), ("_SECRET", "unknown")])
def test_a_form_that_gives_nothing(monkeypatch: pytest.MonkeyPatch, form: str, text: str) -> None:
    """It is an error that names the form; the file is not used instead."""
    monkeypatch.setenv(f"{OPTION}{form}", text)
    with pytest.raises(InboxError, match=f"{OPTION}{form}") as caught:
        inbox_url()
    assert not isinstance(caught.value, InboxUnavailableError)


def test_a_blank_variable_hides_nothing(
    monkeypatch: pytest.MonkeyPatch, airflow_cfg: configparser.RawConfigParser
) -> None:
    """Airflow takes a blank variable before anything else; what it hides is named instead of being ignored."""
    airflow_cfg.set("tencent_vod", "inbox_sql_alchemy_conn", URL)
    monkeypatch.setenv(OPTION, "")
    with pytest.raises(InboxError, match="inbox_sql_alchemy_conn is set by inbox_sql_alchemy_conn"):
        inbox_url()


def test_a_command_is_not_run_for_each_request(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The API server asks for the URL at each callback; a command runs once in a while."""
    runs = tmp_path / "runs"
    script = tmp_path / "print_url"
    script.write_text(f"#!/bin/sh\necho . >> {json.dumps(str(runs))}\necho {URL}\n")
    script.chmod(0o755)
    monkeypatch.setenv(f"{OPTION}_CMD", str(script))
    assert [inbox_url() for _ in range(3)] == [URL] * 3
    assert runs.read_text().count(".") == 1


@pytest.mark.parametrize("days", ["abc", "0", "-1", "nan", "inf"])
def test_a_retention_that_is_none(monkeypatch: pytest.MonkeyPatch, days: str) -> None:
    """The error names the option, its value and what it takes."""
    monkeypatch.setenv("AIRFLOW__TENCENT_VOD__INBOX_RETENTION_DAYS", days)
    with pytest.raises(VodSettingsError, match=rf"inbox_retention_days must be a number of days above 0, not '{days}'"):
        inbox_retention()
