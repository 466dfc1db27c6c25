"""Asset watchers in an Airflow of real processes: events of VOD start DAGs."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from airflow_vod.emulator import Emulator, EmulatorOptions
from airflow_vod.inbox import InboxStore
from tests.acceptance.airflow import Airflow
from tests.acceptance.processes import ROOT
from tests.airflow_fixtures import INBOX_OPTION, SUB_APP_ID
from tests.databases import PostgreSQLServer

EXAMPLE = "example_vod_asset_events"
UPLOADS = 20
STORING = (
    240  # seconds for which Airflow may store 500 events, one after the other; on an idle machine it takes some ten
)
TYPES = ("FileDeleted", "PersistenceComplete", "MediaCastStatusChanged", "WechatPublishComplete")
WATCHERS = """
from airflow.sdk import DAG, Asset, AssetWatcher
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.common.messaging.triggers.msg_queue import MessageQueueTrigger
from airflow_vod.triggers.vod_event import VodEventTrigger

for event_type, trigger in {
    "FileDeleted": VodEventTrigger(event_type="FileDeleted", watcher="deletions"),
    "PersistenceComplete": VodEventTrigger(event_type=["PersistenceComplete"]),
    "MediaCastStatusChanged": MessageQueueTrigger(scheme="tencent-vod", event_type="MediaCastStatusChanged"),
    "WechatPublishComplete": VodEventTrigger(event_type="WechatPublishComplete", match={"Definition": 1, "FileId": "f"}),
}.items():
    asset = Asset(event_type, watchers=[AssetWatcher(name=event_type, trigger=trigger)])
    with DAG(f"on_{event_type}", schedule=[asset]):
        EmptyOperator(task_id="nothing")

# Its runs would cost more than what is tested with it, so it waits for something else too, which never comes.
trigger = VodEventTrigger(event_type="SplitMediaComplete", watcher="splits")
splits = Asset("splits", watchers=[AssetWatcher(name="splits", trigger=trigger)])
with DAG("on_splits", schedule=[splits, Asset("never")]):
    EmptyOperator(task_id="nothing")
"""


@pytest.fixture(scope="module")
def vod() -> Iterator[Emulator]:
    """A VOD."""
    with Emulator(options=EmulatorOptions(event_switches="ON")) as vod:
        yield vod


@pytest.fixture(scope="module")
def inbox_url(postgresql: PostgreSQLServer) -> str:
    """An inbox that all processes share."""
    return postgresql.inbox()


@pytest.fixture(scope="module")
def inbox(inbox_url: str) -> Iterator[InboxStore]:
    """The same inbox, seen from here."""
    store = InboxStore.open(inbox_url)
    yield store
    store.close()


@pytest.fixture(scope="module")
def airflow(
    vod: Emulator, inbox_url: str, postgresql: PostgreSQLServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Airflow]:
    """Airflow with the example DAG and one DAG for each of four event types, all watching one queue."""
    settings = {INBOX_OPTION: inbox_url, "AIRFLOW_CONN_VOD_DEFAULT": vod.airflow_connection(SUB_APP_ID)}
    with Airflow(tmp_path_factory.mktemp("airflow"), postgresql.empty(), settings) as airflow:
        (airflow.dags / f"{EXAMPLE}.py").write_text((ROOT / "dags" / f"{EXAMPLE}.py").read_text())
        (airflow.dags / "watchers.py").write_text(WATCHERS)
        airflow.start_all()
        vod.wait_until(lambda: vod.queue(SUB_APP_ID).waiting > 0, 60)
        yield airflow


def query(airflow: Airflow, statement: str, **values: Any) -> list[Any]:
    """Read Airflow's database."""
    with airflow.engine.connect() as connection:
        return list(connection.execute(text(statement), values))


def asset_events(airflow: Airflow, asset: str) -> list[dict[str, Any]]:
    """The payloads of an asset's events, in Airflow's order."""
    found = query(
        airflow,
        "SELECT e.extra FROM asset_event e JOIN asset a ON a.id = e.asset_id WHERE a.name = :asset ORDER BY e.id",
        asset=asset,
    )
    return [row.extra["payload"] for row in found]


def queue_of(vod: Emulator) -> str:
    """Name of the queue in the inbox."""
    return f"127.0.0.1:{vod.port}/{SUB_APP_ID}"


def event_of(event_type: str, number: int) -> dict[str, Any]:
    """An event that differs from all others of its type."""
    fields = {
        "NewFileUpload": ("FileUploadEvent", {"FileId": f"file-{number}"}),
        "FileDeleted": ("FileDeleteEvent", {"FileIdSet": [f"file-{number}"]}),
        "PersistenceComplete": ("PersistenceCompleteEvent", {"FileId": f"file-{number}"}),
        "MediaCastStatusChanged": ("MediaCastStatusChangedEvent", {"CastId": f"cast-{number}", "Status": "Idle"}),
        "SplitMediaComplete": ("SplitMediaCompleteEvent", {"TaskId": f"task-{number}", "Status": "FINISH"}),
        "WechatPublishComplete": (
            "WechatPublishCompleteEvent",
            {"TaskId": f"task-{number}", "Status": "FINISH", "FileId": "f", "Definition": 1 if number % 2 else 2},
        ),
    }
    field, content = fields[event_type]
    return {"EventType": event_type, field: content}


def test_an_upload_starts_a_run(airflow: Airflow, vod: Emulator) -> None:
    """Each upload becomes one asset event, and soon after there is a run that has it."""
    runs = """
        SELECT e.extra, EXTRACT(EPOCH FROM r.queued_at) AS made_at FROM asset_event e JOIN asset a ON a.id = e.asset_id
        JOIN dagrun_asset_event x ON x.event_id = e.id JOIN dag_run r ON r.id = x.dag_run_id WHERE a.name = 'vod_uploads'
    """
    published = dict[str, float]()
    for number in range(UPLOADS):
        published[f"file-{number}"] = time.time()
        vod.publish(event_of("NewFileUpload", number), SUB_APP_ID)
        airflow.wait(lambda: len(query(airflow, runs)) == len(published), 120)
    waits = sorted(float(row.made_at) - published.pop(row.extra["payload"]["file_id"]) for row in query(airflow, runs))
    print(f"From the event to its run: median {statistics.median(waits):.2f} s, longest {waits[-1]:.2f} s")
    assert published == {}
    [(first,)] = query(airflow, f"SELECT run_id FROM dag_run WHERE dag_id = '{EXAMPLE}' ORDER BY id LIMIT 1")
    assert airflow.wait_for_run(EXAMPLE, first) == "success"
    assert airflow.xcom(EXAMPLE, first, "publish", map_index=0) == "file-0"


def test_each_dag_gets_its_own(airflow: Airflow, vod: Emulator) -> None:
    """Of four DAGs that watch different types, one of them by ``MessageQueueTrigger``, each gets all of its own only."""
    for number in range(10):
        for event_type in TYPES:
            vod.publish(event_of(event_type, number), SUB_APP_ID)
    wanted = dict.fromkeys(TYPES, 10) | {"WechatPublishComplete": 5}
    airflow.wait(lambda: {name: len(asset_events(airflow, name)) for name in TYPES} == wanted, 120)
    for name in TYPES:
        assert {event["event_type"] for event in asset_events(airflow, name)} == {name}
    airflow.wait(
        lambda: all(query(airflow, f"SELECT 1 FROM dag_run WHERE dag_id = 'on_{name}'") for name in TYPES), 120
    )
    assert len(airflow.triggers()) == len(TYPES) + 2


def test_nothing_is_missed_or_repeated_around_a_restart(airflow: Airflow, vod: Emulator, inbox: InboxStore) -> None:
    """Of 1,000 events, half of them announced while no triggerer runs, each becomes one asset event."""
    began = time.monotonic()
    for number in range(500):
        vod.publish(event_of("SplitMediaComplete", number), SUB_APP_ID)
    airflow.wait(lambda: inbox.cursors.get("splits", queue_of(vod), 0) == inbox.position(queue_of(vod)), STORING)
    print(f"{time.monotonic() - began:.1f} s for the first half")
    assert len(asset_events(airflow, "splits")) == 500

    airflow.processes["triggerer"].end()
    for number in range(500, 1000):
        vod.publish(event_of("SplitMediaComplete", number), SUB_APP_ID)
    airflow.start("triggerer")
    restarted = time.monotonic()
    airflow.wait(lambda: len(asset_events(airflow, "splits")) >= 1000, STORING)
    print(f"{time.monotonic() - restarted:.1f} s from the start of the triggerer for the second half")
    airflow.wait(lambda: inbox.cursors.get("splits", queue_of(vod), 0) == inbox.position(queue_of(vod)), 120)
    tasks = Counter(event["vod_task_id"] for event in asset_events(airflow, "splits"))
    assert tasks == Counter(f"task-{number}" for number in range(1000))
