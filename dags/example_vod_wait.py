"""Wait for a splicing task that somebody else has started, and hand the URLs of its files on."""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG, Param, task

from airflow_vod.operators.vod import VodFileUrlsOperator
from airflow_vod.sensors.vod import VodConcatSensor

with DAG(
    dag_id="example_vod_wait",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Shanghai"),
    catchup=False,
    params={"vod_task_id": Param("Concat-1edb7eb88a599d05abe451cfc541cfbd", type="string", minLength=1)},
    doc_md="""
### Wait for a splice that was started elsewhere, pass its file URLs on

`wait_for_concat` frees its worker slot and waits in the triggerer until VOD announces the end of the task named by the
parameter `vod_task_id`. `file_urls` pushes the URLs of the files that were made; `publish` runs once for each of them.
""",
    tags=["example", "tencent-vod"],
) as dag:
    wait_for_concat = VodConcatSensor(
        task_id="wait_for_concat",
        vod_task_id="{{ params.vod_task_id }}",
        deferrable=True,
        retries=2,
        timeout=6 * 60 * 60,
    )
    file_urls = VodFileUrlsOperator(task_id="file_urls", result=wait_for_concat.output)

    @task
    def publish(url: str) -> str:
        """Stand in for what a media team does with a file."""
        print(f"Publishing {url}")
        return url

    publish.expand(url=file_urls.output)


if __name__ == "__main__":
    dag.test()
