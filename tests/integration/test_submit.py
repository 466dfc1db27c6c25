"""A retry is not a clear: the rows of the table in ``docs/submit.md`` that need no scheduler, in real Airflow.

The other rows, which need people and processes, are in `tests.acceptance.test_submissions`.
"""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import task

from airflow_vod import submission
from airflow_vod.emulator import EmulatorOptions
from airflow_vod.emulator.options import TaskFailure
from airflow_vod.operators.processing import VodConcatOperator, VodPullUploadOperator
from airflow_vod.operators.submit import VodSubmitOperator
from airflow_vod.operators.vod import VodFileUrlsOperator
from airflow_vod.sensors.vod import VodTaskFailedError
from tests.airflow_fixtures import MODES, SENSOR_MARKS, SUB_APP_ID, Vod
from tests.airflow_names import AirflowFailException
from tests.dag_runs import run_dag

pytestmark = SENSOR_MARKS
EDIT = {"InputType": "File", "FileInfos": [{"FileId": "1"}]}
RETRIED: dict[str, Any] = {"retries": 1, "retry_delay": 0, "timeout": 60}


@pytest.fixture
def vod_options() -> EmulatorOptions:
    """Tasks end soon."""
    return EmulatorOptions(hold=0.2, task_seconds=0.5)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost answers are settled soon."""
    monkeypatch.setattr(submission.Submitter.__init__, "__kwdefaults__", {"settle": 0.1, "patience": 5.0})


def started(vod: Vod) -> int:
    """How many tasks VOD has started."""
    return vod.emulator.starts.count(sub_app_id=SUB_APP_ID)


def splice(**arguments: Any) -> VodSubmitOperator:
    """Start a splice and wait for it."""
    return VodSubmitOperator(**{"task_id": "splice", "action": "EditMedia", "parameters": EDIT, **RETRIED, **arguments})


@pytest.fixture
def failing_push(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The first push of a result to XCom fails; answers the keys pushed by then."""
    from airflow.sdk.execution_time import task_runner

    really, failed = task_runner._xcom_push, list[str]()

    def push(ti: Any, key: str, *args: Any, **more: Any) -> Any:
        if key == "return_value" and not failed:
            failed.append(key)
            raise RuntimeError("the XCom backend is away")
        return really(ti, key, *args, **more)

    monkeypatch.setattr(task_runner, "_xcom_push", push)
    return failed


@pytest.mark.parametrize("mode", MODES)
def test_a_task_is_started_and_waited_for(vod: Vod, mode: str) -> None:
    """In every mode the result is what a sensor returns, and the next operator takes it; one request, few other calls."""

    def define() -> None:
        spliced = splice(**MODES[mode])
        VodFileUrlsOperator(task_id="urls", result=spliced.output)

    run = run_dag(define)
    assert run.state == "success"
    [start] = vod.emulator.starts
    result = run.xcom("splice")
    assert result["vod_task_id"] == run.xcom("splice", "vod_task_id") == start.vod_task_id
    assert result["session_id"] == start.session_id
    assert run.xcom("urls") == [file["url"] for file in result["files"]]
    assert vod.emulator.calls.count("EditMedia") == 1
    assert vod.emulator.calls.count("DescribeTasks") == vod.emulator.calls.count("DescribeTaskDetail") == 0


def test_the_id_alone(vod: Vod) -> None:
    """wait=False returns the id as soon as there is one; a sensor may wait for it."""
    run = run_dag(lambda: splice(wait=False))
    assert run.xcom("splice") == next(iter(vod.emulator.starts)).vod_task_id


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fault", ["drop_response", "drop_request"])
def test_row_1_an_answer_is_lost(vod: Vod, mode: str, fault: str) -> None:
    """The same VOD task is waited for; one task is started."""
    vod.emulator.faults.script({"EditMedia": [fault]})
    run = run_dag(lambda: splice(**MODES[mode]))
    assert run.state == "success"
    assert started(vod) == 1
    assert run.xcom("splice")["vod_task_id"] == next(iter(vod.emulator.starts)).vod_task_id


@pytest.mark.parametrize("mode", ["poke", "deferrable"])
def test_row_1_a_time_out(vod: Vod, mode: str) -> None:
    """The task times out, and Airflow retries: the next try waits for the same VOD task."""
    vod.emulator.hold_tasks("WAITING", sub_app_id=SUB_APP_ID)

    def let_it_end(context: Any) -> None:
        vod.emulator.finish_task(next(iter(vod.emulator.starts)).vod_task_id, sub_app_id=SUB_APP_ID)

    run = run_dag(lambda: splice(**MODES[mode], **{**RETRIED, "timeout": 1}, on_retry_callback=let_it_end))
    assert run.state == "success"
    assert (run.tries("splice"), started(vod)) == (2, 1)
    assert vod.emulator.calls.count("ManageTask") == 0


@pytest.mark.parametrize("mode", ["poke", "deferrable"])
def test_a_time_out_without_another_try(vod: Vod, mode: str) -> None:
    """Nobody will wait for the VOD task: it is aborted, for it has not begun."""
    vod.emulator.hold_tasks("WAITING", sub_app_id=SUB_APP_ID)
    run = run_dag(lambda: splice(**MODES[mode], **{**RETRIED, "timeout": 1, "retries": 0}))
    assert run.state == "failed"
    [start] = vod.emulator.starts
    assert vod.emulator.calls.count("ManageTask") == 1
    assert vod.store.submissions.of_task(vod.queue, start.vod_task_id).state == "aborted"  # type: ignore[union-attr]


@pytest.mark.parametrize("mode", MODES)
def test_row_2_the_result_cannot_be_pushed(vod: Vod, failing_push: list[str], mode: str) -> None:
    """The retry returns the same result and starts nothing."""
    run = run_dag(lambda: splice(**MODES[mode]))
    assert run.state == "success"
    assert failing_push
    assert (run.tries("splice"), started(vod)) == (2, 1)
    assert run.xcom("splice")["vod_task_id"] == next(iter(vod.emulator.starts)).vod_task_id


@pytest.mark.parametrize("mode", MODES)
def test_row_3_an_internal_failure(vod: Vod, mode: str) -> None:
    """VOD failed internally: Airflow's retry starts a new task, and its result is returned."""
    failure = TaskFailure(err_code=70000, err_code_ext="InternalError", message="try again")
    vod.emulator.fail_next_task(failure, sub_app_id=SUB_APP_ID)
    run = run_dag(lambda: splice(**MODES[mode]))
    assert run.state == "success"
    assert (run.tries("splice"), started(vod)) == (2, 2)
    assert run.xcom("splice")["vod_task_id"] == list(vod.emulator.starts)[1].vod_task_id


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("code", "extended"), [(40000, ""), (60000, ""), (60000, "SourceFileError.Download")])
def test_row_3_a_refused_input(vod: Vod, mode: str, code: int, extended: str) -> None:
    """Another try would be refused as well, so Airflow does not make one."""
    failure = TaskFailure(err_code=code, err_code_ext=extended, message="bad input")
    vod.emulator.fail_next_task(failure, sub_app_id=SUB_APP_ID)
    run = run_dag(lambda: splice(**MODES[mode]))
    assert run.state == "failed"
    assert (run.tries("splice"), started(vod)) == (1, 1)
    assert isinstance(run.error("splice"), VodTaskFailedError)


def test_a_refused_request(vod: Vod) -> None:
    """What VOD refuses at once is not retried either, and the error is VOD's."""
    vod.emulator.faults.script({"EditMedia": ["error:InvalidParameterValue.FileId:no such file"]})
    run = run_dag(splice)
    assert (run.state, run.tries("splice"), started(vod)) == ("failed", 1, 0)
    assert isinstance(run.error("splice"), AirflowFailException)
    assert "no such file" in str(run.error("splice"))


def test_row_6_mapped_tasks_and_other_runs(vod: Vod) -> None:
    """Each map index, and each run, has a task of its own."""

    def define() -> None:
        edits = [{"InputType": "File", "FileInfos": [{"FileId": "same"}]} for _ in range(3)]
        VodSubmitOperator.partial(task_id="splice", action="EditMedia", deferrable=True).expand(parameters=edits)

    runs = [run_dag(define, dag_id="mapped") for _ in range(2)]
    ids = {run.xcom("splice", map_index=index)["vod_task_id"] for run in runs for index in range(3)}
    assert started(vod) == len(ids) == 6


def test_row_7_other_parameters(vod: Vod, failing_push: list[str], caplog: pytest.LogCaptureFixture) -> None:
    """A parameter differs at the next try: a new task, and the log says why."""
    parameters = {**EDIT, "OutputConfig": {"MediaName": "try {{ ti.try_number }}"}}
    with caplog.at_level("INFO", "airflow_vod.submission"):
        run = run_dag(lambda: splice(parameters=parameters))
    assert run.state == "success"
    assert started(vod) == 2
    assert "OutputConfig changed since" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"parameters": "{{ 'no mapping' }}"}, "parameters is 'no mapping'.*must be a dictionary"),
        ({"session_context": "{{ 'x' * 1001 }}"}, "SessionContext is 1001 characters"),
        ({"parameters": {**EDIT, "SessionId": "{{ 'x' * 51 }}"}}, "SessionId is 51 characters"),
    ],
)
def test_bad_input_is_not_sent(vod: Vod, arguments: dict[str, Any], message: str) -> None:
    """What only a template shows to be wrong fails before anything is sent."""
    run = run_dag(lambda: splice(**arguments, retries=0))
    assert run.state == "failed"
    with pytest.raises(Exception, match=f"(?s){message}"):
        raise run.error("splice") or AssertionError
    assert vod.emulator.calls.count("EditMedia") == 0


def test_a_whole_pipeline(vod: Vod) -> None:
    """Files are pulled into VOD, spliced in order, and each URL of the result has a task of its own."""

    def define() -> None:
        pulled: Any = VodPullUploadOperator.partial(task_id="pull", deferrable=True).expand(
            url=["https://example.com/a.mp4", "https://example.com/b.mp4"]
        )

        @task
        def files(results: Any) -> list[str]:
            return [result["file_id"] for result in results]

        spliced = VodConcatOperator(
            task_id="splice", files=files(pulled.output), output_name="{{ ds }}", deferrable=True
        )
        urls = VodFileUrlsOperator(task_id="urls", result=spliced.output)

        @task
        def publish(url: str) -> str:
            return url

        publish.expand(url=urls.output)

    run = run_dag(define)
    assert run.state == "success"
    assert run.xcom("publish", map_index=0) == run.xcom("urls")[0]
    detail = vod.emulator.calls.count("PullUpload"), vod.emulator.calls.count("EditMedia")
    assert detail == (2, 1)


def test_what_a_secret_is_in(vod: Vod, caplog: pytest.LogCaptureFixture) -> None:
    """A signed URL that is pulled is in no row of the inbox's submissions and in no line of the log."""
    with caplog.at_level("DEBUG"):
        run = run_dag(
            lambda: VodPullUploadOperator(task_id="pull", url="https://example.com/a.mp4?sign=a-secret", timeout=30)
        )
    assert run.state == "success"
    found = vod.store.submissions.of_task(vod.queue, run.xcom("pull")["vod_task_id"])
    assert "a-secret" not in repr(found)
    assert "a-secret" not in "\n".join(r.getMessage() for r in caplog.records if r.name.startswith("airflow_vod"))
