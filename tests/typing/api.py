"""The public API as a user writes it, for type checkers to read: nothing here runs.

Each wrong line is marked as an error, and checkers complain of a mark where there is none, so the types are neither missing
nor too wide.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, assert_type

from airflow.sdk import DAG, Asset, AssetWatcher, Context

from airflow_vod.emulator import Emulator, EmulatorOptions
from airflow_vod.exceptions import VodApiError, VodError, VodSettingsError
from airflow_vod.get_provider_info import get_provider_info
from airflow_vod.hooks.vod import VodHook
from airflow_vod.inbox import InboxStore, StoredEvent
from airflow_vod.metrics import Sink, send_to
from airflow_vod.operators.media import VodMediaInfoOperator
from airflow_vod.operators.processing import VodConcatOperator, VodProcessMediaOperator, VodPullUploadOperator
from airflow_vod.operators.storage import VodToObjectStorageOperator
from airflow_vod.operators.submit import VodSubmitOperator
from airflow_vod.operators.vod import VodFileUrlsOperator
from airflow_vod.sensors.vod import VodConcatSensor, VodTaskFailedError, VodTaskSensor
from airflow_vod.sensors.vod_event import VodEventSensor
from airflow_vod.tencent.client import VodClient
from airflow_vod.tencent.settings import VodSettings
from airflow_vod.triggers.vod_event import VodEventTrigger


def dag() -> None:
    """Tasks take ids, lists of ids, and the output of other tasks."""
    with DAG(dag_id="typed", schedule=None):
        splice = VodConcatOperator(task_id="splice", files=["1", "2"], output_name="both", deferrable=True, retries=2)
        VodProcessMediaOperator(task_id="process", file_id=splice.output, tasks={"TranscodeTaskSet": []})
        VodPullUploadOperator(task_id="upload", url="http://example.com/a.mp4", class_id=3)
        VodSubmitOperator(task_id="submit", action="EditMedia", parameters={"InputType": "File"}, wait=False)
        VodFileUrlsOperator(task_id="urls", result=splice.output, file_types=["mp4"], sign_for=timedelta(hours=1))
        VodMediaInfoOperator(task_id="media", file_ids=["1"], skip_missing=True)
        VodToObjectStorageOperator(task_id="fetch", destination="s3://bucket/", result=splice.output, files_at_once=2)
        VodTaskSensor(task_id="wait", vod_task_id=["a", "b"], sub_app_id=7, fail_fast=False)
        VodConcatSensor(task_id="wait_too", vod_task_id="{{ params.id }}", poke_interval=timedelta(minutes=1))
        VodEventSensor(task_id="event", event_type="NewFileUpload", match={"file_id": "1"})
        each = VodTaskSensor.partial(task_id="each", deferrable=True)
        each.expand(vod_task_id=["a", "b"])  # pyright: ignore[reportUnknownMemberType] - Airflow's own

        VodTaskSensor(task_id="no_id")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        VodTaskSensor(task_id="id", vod_task_id=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        VodConcatOperator(task_id="files", files=7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        VodEventSensor(task_id="match", match="file_id")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def watcher() -> Asset:
    """A trigger is what an asset's watcher takes."""
    VodEventTrigger(event_type=7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    trigger = VodEventTrigger(event_type=("NewFileUpload", "FileDeleted"), match={"file_id": "1"}, sub_app_id="7")
    assert_type(trigger.serialize(), tuple[str, dict[str, Any]])
    return Asset("vod_uploads", watchers=[AssetWatcher(name="vod_uploads", trigger=trigger)])


def results(context: Context, sensor: VodTaskSensor, urls: VodFileUrlsOperator, media: VodMediaInfoOperator) -> None:
    """What tasks return."""
    assert_type(urls.execute(context), list[str])
    assert_type(media.execute(context), list[dict[str, Any]])
    assert_type(sensor.vod_conn_id, str)


def hook() -> str:
    """What the hook gives."""
    vod = VodHook("vod_default", sub_app_id=7)
    assert_type(vod.get_settings(), VodSettings)
    assert_type(vod.get_settings().sub_app_id, int | None)
    assert_type(vod.get_client(), VodClient)
    assert_type(vod.get_client().call("DescribeTaskDetail", {"TaskId": "a"}), dict[str, Any])
    assert_type(vod.get_inbox(), InboxStore)
    assert_type(vod.test_connection(), tuple[bool, str])
    VodHook(conn_id="vod_default").sign_url(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    return vod.sign_url("http://example.com/a.mp4", valid_for=timedelta(hours=1), preview=60)


async def asynchronous() -> None:
    """What the hook gives without blocking an event loop."""
    assert_type(await VodHook().aget_settings(), VodSettings)


def errors(error: VodApiError, failed: VodTaskFailedError) -> str | None:
    """Errors are of one family and keep what VOD said."""
    caught: VodError = error
    also: ValueError = VodSettingsError("no such field")
    assert_type(error.code, str)
    assert_type(error.request_id, str | None)
    return f"{caught} {also} {failed}" if error.remedy else error.request_id


def offline(options: EmulatorOptions) -> None:
    """A test of one's own against the local VOD API."""
    with Emulator(options=options) as vod:
        assert_type(vod, Emulator)
        vod.publish_concat("Concat-1", files=["http://example.com/f0.mp4"])
        vod.wait_until(lambda: vod.queue().waiting == 0, timeout=60)
        vod.wait_until("done")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        assert_type(vod.endpoint, str)
        assert_type(vod.airflow_connection(), str)


def inbox(event: StoredEvent) -> str:
    """Stored events are records with types."""
    assert_type(event.event_type, str | None)
    return event.key


class Numbers:
    """A sink of one's own for metrics."""

    def incr(self, stat: str, count: int = 1, *, tags: dict[str, Any] | None = None) -> None:
        """Add to a counter."""

    def gauge(self, stat: str, value: float, *, tags: dict[str, Any] | None = None) -> None:
        """Set a gauge."""

    def timing(self, stat: str, dt: timedelta, *, tags: dict[str, Any] | None = None) -> None:
        """Record how long something took."""


def metrics() -> Mapping[str, Any]:
    """Anything of the shape of a sink is one."""
    sink: Sink = Numbers()
    send_to(sink)
    return get_provider_info()
