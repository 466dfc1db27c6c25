"""Start a DAG whenever a file is uploaded to Tencent Cloud VOD."""

from __future__ import annotations

from airflow.sdk import DAG, Asset, AssetWatcher, task

from airflow_vod.triggers.vod_event import VodEventTrigger

uploads = Asset(
    "vod_uploads",
    watchers=[AssetWatcher(name="vod_uploads", trigger=VodEventTrigger(event_type="NewFileUpload"))],
)

with DAG(
    dag_id="example_vod_asset_events",
    schedule=[uploads],
    doc_md="""
### An upload starts this DAG

The triggerer watches VOD's events and adds one asset event to `vod_uploads` for each NewFileUpload; Airflow then starts a run.
Several uploads may share one run, so `new_files` goes through all events of its run; `publish` runs once for each file.
An event may come twice around a crash of the triggerer. It has the same `key` then, by which `new_files` counts it once.
""",
    tags=["example", "tencent-vod"],
) as dag:

    @task
    def new_files(triggering_asset_events=None) -> list[str]:
        """List the ids of the files that were uploaded."""
        payloads = [event.extra["payload"] for event in triggering_asset_events[uploads]]
        return [each["file_id"] for each in {each["key"]: each for each in payloads}.values()]

    @task
    def publish(file_id: str) -> str:
        """Stand in for what a media team does with a new file."""
        print(f"Publishing {file_id}")
        return file_id

    publish.expand(file_id=new_files())


if __name__ == "__main__":
    dag.test()
