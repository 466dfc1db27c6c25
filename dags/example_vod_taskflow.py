"""Wait for the event of one file of Tencent Cloud VOD, in the TaskFlow style."""

from __future__ import annotations

import pendulum
from airflow.sdk import Param, dag, task

from airflow_vod.sensors.vod_event import VodEventSensor


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Shanghai"),
    params={"file_id": Param("5285890700000000001", type="string", minLength=1)},
    doc_md="""
### Do something once a file has arrived

`file_to_expect` names a file. `upload` waits for the NewFileUpload event of just this file, from the moment the run was due;
the event has no VOD task id, so it is known by what it says. `describe` gets the event.
""",
    tags=["example", "tencent-vod"],
)
def example_vod_taskflow():
    @task
    def file_to_expect(params=None) -> str:
        """Stand in for a task that asks somebody to upload a file."""
        return params["file_id"]

    @task
    def describe(event: dict) -> str:
        """Say what has arrived."""
        name = event["payload"].get("MediaBasicInfo", {}).get("Name", "without a name")
        return f"{event['file_id']}: {name}"

    upload = VodEventSensor(
        task_id="upload",
        event_type="NewFileUpload",
        match={"file_id": file_to_expect()},
        deferrable=True,
        retries=2,
        timeout=6 * 60 * 60,
    )
    describe(upload.output)


example = example_vod_taskflow()

if __name__ == "__main__":
    example.test()
