"""Reading connections where no task supervisor is: from the secrets backends, one after the other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.models.connection import Connection
from airflow.secrets import BaseSecretsBackend

from airflow_vod.exceptions import VodConnectionError, VodSettingsError
from airflow_vod.hooks.server import ServerHook

OURS = Connection("c", "tencent_vod", login="AKIDown", password="key-of-the-account")


class Backend(BaseSecretsBackend):
    """A secrets backend of somebody else's, which gives or raises what a test says."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def get_connection(self, conn_id: str, team_name: str | None = None) -> Any:
        """Give or raise it."""
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def read(monkeypatch: pytest.MonkeyPatch, *answers: Any) -> str | None:
    """Read a connection from backends; its SecretId."""
    monkeypatch.setattr("airflow.configuration.ensure_secrets_loaded", lambda: [Backend(each) for each in answers])
    return ServerHook("c").get_settings().secret_id


def test_the_first_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backends that do not have it, or fail, are passed over."""
    assert read(monkeypatch, None, OURS) == "AKIDown"
    assert read(monkeypatch, ConnectionError("s3cret"), OURS) == "AKIDown"


def test_missing_and_unreadable_are_two_things(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no backend has does not exist; what a backend that failed may have cannot be read, and its text is not repeated."""
    with pytest.raises(VodConnectionError, match="does not exist"):
        read(monkeypatch, None, None)
    with pytest.raises(VodConnectionError, match="cannot be read: Backend failed with TimeoutError") as raised:
        read(monkeypatch, TimeoutError("s3cret"), None)
    assert "s3cret" not in str(raised.value)


def test_a_refusal_is_final(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend that forbids a connection is not made up for by another that has it."""
    with pytest.raises(VodConnectionError, match="PermissionError"):
        read(monkeypatch, PermissionError(), OURS)


def test_another_type_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys of another service are not taken here either."""
    with pytest.raises(VodSettingsError, match="of type 'aws', and not of type tencent_vod"):
        read(monkeypatch, Connection("c", "aws", login="AKIA", password="key"))


def test_reading_warns_of_nothing(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Airflow's warning that connection types have no underscores, about which nobody can do anything, is not logged."""
    monkeypatch.setenv("AIRFLOW_CONN_C", json.dumps({"conn_type": "tencent_vod"}))
    ServerHook("c").get_settings()
    said = capfd.readouterr()
    assert "shall not contain" not in said.out + said.err
