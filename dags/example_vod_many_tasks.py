"""Wait for many tasks of Tencent Cloud VOD, in the two ways there are."""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG, Param, task

from airflow_vod.operators.vod import VodFileUrlsOperator
from airflow_vod.sensors.vod import VodTaskSensor

with DAG(
    dag_id="example_vod_many_tasks",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Shanghai"),
    params={"vod_task_ids": Param(["Concat-1", "Concat-2"], type="array", minItems=1, items={"type": "string"})},
    render_template_as_native_obj=True,
    doc_md="""
### Wait for many VOD tasks

`wait_for_all` is one sensor for the whole list: it ends when all tasks have ended, and its results come in the list's order.
`wait_for_each` is mapped: a sensor for each task, so that `urls_of_each` begins for those that end first.
However many wait, one relay pulls the events.
""",
    tags=["example", "tencent-vod"],
) as dag:

    @task
    def vod_task_ids(params=None) -> list[str]:
        """Stand in for a task that submits many jobs to VOD."""
        return params["vod_task_ids"]

    ids = vod_task_ids()

    wait_for_all = VodTaskSensor(
        task_id="wait_for_all", vod_task_id=ids, deferrable=True, retries=2, timeout=6 * 60 * 60
    )

    @task
    def count(results: list[dict]) -> int:
        """Count the files that all tasks made."""
        return sum(len(result["files"]) for result in results)

    count(wait_for_all.output)

    wait_for_each = VodTaskSensor.partial(
        task_id="wait_for_each", deferrable=True, retries=2, timeout=6 * 60 * 60
    ).expand(vod_task_id=ids)
    VodFileUrlsOperator.partial(task_id="urls_of_each").expand(result=wait_for_each.output)


if __name__ == "__main__":
    dag.test()
