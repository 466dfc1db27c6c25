"""Where the tasks of a DAG that Airflow runs link to."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from airflow_vod.exceptions import VodSettingsError
from airflow_vod.links.vod import CONSOLE, INTERNATIONAL_CONSOLE, VodConsoleLink, VodEventLink
from airflow_vod.operators.vod import VodFileUrlsOperator
from airflow_vod.sensors.vod import VodConcatSensor, VodTaskSensor
from airflow_vod.sensors.vod_event import VodEventSensor
from tests.airflow_fixtures import MODES, Vod
from tests.dag_runs import DagRun, run_dag

pytestmark = [
    pytest.mark.usefixtures("airflow_db"),
    pytest.mark.filterwarnings("ignore:Sensor .* is rescheduled every:UserWarning"),
]

EVENT, CONSOLE_KEY = VodEventLink().xcom_key, VodConsoleLink().xcom_key
HOSTILE = "Concat-\"><script>alert('x')</script>&search=other#/../%2e%2e"


def looked_for(run: DagRun, task_id: str, map_index: int = -1) -> dict[str, list[str]]:
    """What the link of a task opens the page "VOD events" with."""
    url = urlsplit(run.xcom(task_id, EVENT, map_index))
    assert (url.scheme, url.netloc, url.path, url.fragment) == ("", "", "/tencent-vod/events", "")
    return parse_qs(url.query)


@pytest.mark.parametrize("mode", MODES)
def test_in_every_mode(vod: Vod, mode: str) -> None:
    """However a sensor waits, it links to the event of its VOD task, and to the console."""
    vod.publish_concat("Concat-1")
    run = run_dag(lambda: VodConcatSensor(task_id="wait", vod_task_id="{{ 'Concat-1' }}", timeout=60, **MODES[mode]))
    assert looked_for(run, "wait") == {"search": ["Concat-1"]}
    assert run.xcom("wait", CONSOLE_KEY) == CONSOLE


def test_mapped_tasks(vod: Vod) -> None:
    """Each index links to its own event."""
    ids = ["Concat-1", "Concat-2"]
    for vod_task_id in ids:
        vod.publish_concat(vod_task_id)

    def define() -> None:
        sensor = VodConcatSensor.partial(task_id="wait", timeout=60, deferrable=True).expand(vod_task_id=ids)
        VodFileUrlsOperator.partial(task_id="urls").expand(result=sensor.output)

    run = run_dag(define)
    for task_id in ("wait", "urls"):
        assert [looked_for(run, task_id, index)["search"] for index in (0, 1)] == [["Concat-1"], ["Concat-2"]]


def test_several_tasks_of_one_sensor(vod: Vod) -> None:
    """All of several VOD tasks are looked for, first the one that failed or did not end."""
    bad = {"ErrCode": 70000, "Message": "no", "FileId": None, "FileUrl": None, "FileType": "mp4"}
    for vod_task_id in ("Concat-1", "Concat-2"):
        vod.publish_concat(vod_task_id)
    vod.publish_concat("Concat-bad", bad)

    def define() -> None:
        for task_id, last in {"well": "Concat-2", "failed": "Concat-bad", "late": "Concat-never"}.items():
            VodConcatSensor(
                task_id=task_id,
                vod_task_id=["Concat-1", last],
                timeout=3 if task_id == "late" else 60,
                poke_interval=0.1,
            )

    run = run_dag(define)
    assert {task_id: run.state_of(task_id) for task_id in ("well", "failed", "late")} == {
        "well": "success",
        "failed": "failed",
        "late": "failed",
    }
    found = [looked_for(run, task_id)["search"] for task_id in ("well", "failed", "late")]
    assert found == [["Concat-1", "Concat-2"], ["Concat-bad", "Concat-1"], ["Concat-never", "Concat-1"]]


def test_a_long_list() -> None:
    """However many ids there are, the address stays short enough for proxies, and holds whole ids."""
    ids = [f"1500012345-EditMedia-{number:040}" for number in range(5000)]
    sensor = VodConcatSensor(task_id="wait", vod_task_id=ids)
    link = VodEventLink().get_link(sensor, ti_key=None)
    found = parse_qs(urlsplit(link).query)["search"]
    assert found == ids[: len(found)]
    assert 50 < len(found) <= 200
    assert len(link) < 6100


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({"file_id": "5285890"}, {"search": ["5285890"], "event_type": ["NewFileUpload"]}),
        ({"MediaBasicInfo.Name": "a&b.mp4"}, {"search": ["5285890"], "event_type": ["NewFileUpload"]}),
    ],
)
def test_an_event_without_task(vod: Vod, match: dict[str, str], expected: dict[str, list[str]]) -> None:
    """An event that was found is looked for by its file and its type, whatever it was matched by."""
    info = {"Name": "a&b.mp4"}
    vod.publish({"EventType": "NewFileUpload", "FileUploadEvent": {"FileId": "5285890", "MediaBasicInfo": info}})
    run = run_dag(
        lambda: VodEventSensor(task_id="wait", match=match, since=0, timeout=60, deferrable=True, do_xcom_push=False)
    )
    assert run.state == "success"
    assert looked_for(run, "wait") == expected


def test_an_event_that_did_not_come(vod: Vod) -> None:
    """Before there is an event, what was asked for is looked for, as far as it is an id or one type; other content is not."""

    def define() -> None:
        wanted = {"task": {"vod_task_id": "Concat-1"}, "file": {"file_id": "F"}, "name": {"MediaBasicInfo.Name": "x"}}
        for task_id, match in wanted.items():
            VodEventSensor(task_id=task_id, event_type="NewFileUpload", match=match, timeout=1, poke_interval=0.1)
        VodEventSensor(task_id="types", event_type=["PullComplete", "FileDeleted"], timeout=1, poke_interval=0.1)

    run = run_dag(define)
    expected: dict[str, dict[str, list[str]]] = {
        "task": {"search": ["Concat-1"], "event_type": ["NewFileUpload"]},
        "file": {"search": ["F"], "event_type": ["NewFileUpload"]},
        "name": {"event_type": ["NewFileUpload"]},
        "types": {},
    }
    assert {task_id: looked_for(run, task_id) for task_id in expected} == expected


def test_the_operator(vod: Vod) -> None:
    """The operator for URLs links to the event whose result it was given, or whose VOD task id."""
    vod.publish_concat("Concat-1")

    def define() -> None:
        sensor = VodTaskSensor(task_id="wait", vod_task_id="Concat-1", timeout=60)
        VodFileUrlsOperator(task_id="of_result", result=sensor.output)
        sensor >> VodFileUrlsOperator(task_id="of_id", vod_task_id="Concat-1")

    run = run_dag(define)
    assert run.state == "success"
    assert looked_for(run, "of_result") == looked_for(run, "of_id") == {"search": ["Concat-1"]}


def test_an_id_is_quoted(vod: Vod) -> None:
    """Whatever an id holds, it is one value of the query, and no part of the address beside it."""
    vod.publish_concat(HOSTILE)
    run = run_dag(lambda: VodConcatSensor(task_id="wait", vod_task_id=HOSTILE, timeout=60))
    assert run.state == "success"
    assert looked_for(run, "wait") == {"search": [HOSTILE]}
    assert not set(run.xcom("wait", EVENT)) & set("<>\"' ")


def test_behind_a_path(vod: Vod, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Airflow is served below a path, so is the page."""
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com/one/")
    vod.publish_concat("Concat-1")
    run = run_dag(lambda: VodConcatSensor(task_id="wait", vod_task_id="Concat-1", timeout=60))
    assert run.xcom("wait", EVENT) == "/one/tencent-vod/events?search=Concat-1"


@pytest.mark.parametrize(
    ("endpoint", "console"),
    [
        ("vod.tencentcloudapi.com", CONSOLE),
        ("vod.ap-singapore.tencentcloudapi.com", CONSOLE),
        ("vod.intl.tencentcloudapi.com", INTERNATIONAL_CONSOLE),
        ("https://VOD.intl.tencentcloudapi.com:443", INTERNATIONAL_CONSOLE),
        ("vod.intl.tencentcloudapi.com.example.com", CONSOLE),
    ],
)
def test_which_console(endpoint: str, console: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint of the connection determines whether the link leads to the international console or the Chinese one."""
    monkeypatch.setenv("AIRFLOW_CONN_VOD_DEFAULT", json.dumps({"conn_type": "tencent_vod", "host": endpoint}))
    operator = VodFileUrlsOperator(task_id="urls")
    assert VodConsoleLink().get_link(operator, ti_key=None) == console


def test_nothing_to_link_to() -> None:
    """Without a connection, or with an invalid id, a task fails only for that reason, and its links still work."""

    def define() -> None:
        VodConcatSensor(task_id="no_connection", vod_task_id="Concat-1", vod_conn_id="no_such", poke_interval=0.1)
        VodConcatSensor(task_id="no_id", vod_task_id="{{ none }}", vod_conn_id="no_such", poke_interval=0.1)
        VodFileUrlsOperator(task_id="nothing")

    run = run_dag(define)
    assert all(isinstance(run.error(task_id), VodSettingsError) for task_id in ("no_connection", "no_id", "nothing"))
    assert looked_for(run, "no_connection") == {"search": ["Concat-1"]}
    assert looked_for(run, "no_id") == looked_for(run, "nothing") == {}
    assert {run.xcom(task_id, CONSOLE_KEY) for task_id in ("no_connection", "no_id", "nothing")} == {CONSOLE}
