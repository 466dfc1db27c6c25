"""A user who may read connections, and nothing more, learns no secret of ours from a real API server, and forges nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from airflow.models.connection import Connection
from sqlalchemy.orm import Session

from airflow_vod.get_provider_info import EXTRA_FIELDS, RENAMED_FIELDS, SECRET_FIELDS
from airflow_vod.inbox import InboxStore
from airflow_vod.web.signature import sign
from tests.acceptance.airflow import Airflow, api_server
from tests.acceptance.reading import Answer, Reader
from tests.samples import concat_event

READER, PASSWORD = "reader", "the-password-of-the-reader"
QUEUE = "1500000001"
HIDDEN = {name: f"s3cretOf{number:024}" for number, name in enumerate(sorted(SECRET_FIELDS))}
EXTRA = {"sub_app_id": int(QUEUE), **HIDDEN, "proxy": f"http://user:{HIDDEN['proxy']}@127.0.0.1:1"}
SECRET_KEY = "s3cretKeyOfTheAccount"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InboxStore]:
    """An inbox with an event."""
    store = InboxStore.open(f"sqlite:///{tmp_path_factory.mktemp('inbox') / 'vod_inbox.db'}")
    store.receive(QUEUE, [concat_event("Concat-1")], "pull")
    yield store
    store.close()


@pytest.fixture(scope="module")
def airflow(store: InboxStore, tmp_path_factory: pytest.TempPathFactory, airflow_db: None) -> Iterator[Airflow]:
    """An API server whose database has a connection with every secret that we define."""
    home = tmp_path_factory.mktemp("home")
    settings = {
        "AIRFLOW__CORE__AUTH_MANAGER": "tests.acceptance.auth_manager.ConnectionReaders",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{READER}:viewer",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
    }
    (home / "passwords.json").write_text(json.dumps({READER: PASSWORD}))
    with api_server(home, store.url, settings) as airflow:
        with Session(airflow.engine) as session, session.begin():
            session.add(
                Connection("vod_default", "tencent_vod", login="AKIDown", password=SECRET_KEY, extra=json.dumps(EXTRA))
            )
        yield airflow


@pytest.fixture(scope="module")
def reader(airflow: Airflow) -> Reader:
    """The user, logged in."""
    return Reader(airflow.port, (READER, PASSWORD))


def test_no_route_tells_a_secret(airflow: Airflow, reader: Reader) -> None:
    """Whatever can be read of Airflow and of ours, and what the server logs meanwhile, holds none of the values."""
    told = reader.everything(connection_id="vod_default", queue=QUEUE)
    with_it = {path for path, answer in told.items() if answer.status == 200 and "vod_default" in answer.body}
    assert {"/api/v2/connections", "/api/v2/connections/vod_default"} <= with_it  # there is something to read
    assert "Concat-1" in told["/tencent-vod/api/events"].body
    told["the log"] = Answer(200, airflow.processes["api-server"].output)
    secrets = [SECRET_KEY, *HIDDEN.values()]
    assert [path for path, answer in told.items() if any(secret in str(answer) for secret in secrets)] == []


def test_the_fields_are_shown_as_hidden(reader: Reader) -> None:
    """Airflow itself says of each secret field that it is there, and not what it is; other fields it shows."""
    shown = json.loads(reader.ask("GET", "/api/v2/connections/vod_default").body)
    assert json.loads(shown["extra"]) == EXTRA | dict.fromkeys(SECRET_FIELDS, "***")


def test_former_names_would_be_shown(airflow: Airflow, reader: Reader) -> None:
    """Why the doctor asks to move values: under a former name Airflow shows them."""
    with Session(airflow.engine) as session, session.begin():
        session.add(Connection("vod_former", "tencent_vod", extra=json.dumps(dict.fromkeys(RENAMED_FIELDS, "shown"))))
    assert "shown" in reader.ask("GET", "/api/v2/connections/vod_former").body


def test_nothing_can_be_forged(airflow: Airflow, reader: Reader, store: InboxStore) -> None:
    """Neither a callback signed with what can be read, nor a replay, a change or a test of the connection is accepted."""
    readable = ["***", "", QUEUE, "AKIDown", *EXTRA_FIELDS]
    expires = int(time.time()) + 600
    event = {"EventType": "ConcatComplete", "ConcatCompleteEvent": {"TaskId": "Concat-forged", "FileInfoSet": []}}
    for key in readable:
        signed = event | {"Sign": sign(key, str(expires)), "T": expires}
        for end in ("", "/***", f"/{key or 'x'}"):
            assert reader.ask("POST", f"/tencent-vod/callbacks/vod_default{end}", signed).status == 403
    reader.headers |= {"X-Requested-With": "vod-events"}
    assert reader.ask("POST", "/tencent-vod/api/replay", {"queue": QUEUE, "position": 1}).status == 403
    changed = {"connection_id": "vod_default", "conn_type": "tencent_vod", "extra": "{}"}
    assert reader.ask("PATCH", "/api/v2/connections/vod_default", changed).status == 403
    assert reader.ask("POST", "/api/v2/connections/test", changed).status == 403
    assert [each.vod_task_id for each in store.newest(limit=10)] == ["Concat-1"]


def test_strangers_read_nothing(airflow: Airflow) -> None:
    """Without login there is nothing but what Airflow shows to everybody."""
    told = Reader(airflow.port).everything(connection_id="vod_default", queue=QUEUE)
    open_to_all = {path for path, answer in told.items() if answer.status == 200}
    assert not any("vod" in path or "connection" in path for path in open_to_all), open_to_all
