"""Splice videos in Tencent Cloud VOD every morning, wait for the result, and hand each new file's URL to a task of its own."""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG, Param, task

from airflow_vod.operators.processing import VodConcatOperator
from airflow_vod.operators.vod import VodFileUrlsOperator

with DAG(
    dag_id="example_vod_concat",
    schedule="0 6 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Shanghai"),
    catchup=False,
    render_template_as_native_obj=True,
    params={"file_ids": Param(["5285890784246869930", "5285890784246869931"], type="array", minItems=1)},
    doc_md="""
### Splice, wait, URLs, a task for each

`splice` starts one VOD task that concatenates the files of the parameter `file_ids`, in order, and waits for it in the triggerer.
However often Airflow retries, VOD starts one task. `file_urls` pushes the URLs of the files that were made; `publish` runs once
for each of them.
""",
    tags=["example", "tencent-vod"],
) as dag:
    splice = VodConcatOperator(
        task_id="splice",
        files="{{ params.file_ids }}",
        output_name="daily {{ run_id[:50] }}",
        deferrable=True,
        retries=2,
        timeout=6 * 60 * 60,
    )
    file_urls = VodFileUrlsOperator(task_id="file_urls", result=splice.output)

    @task
    def publish(url: str) -> str:
        """Stand in for what a media team does with a file."""
        print(f"Publishing {url}")
        return url

    publish.expand(url=file_urls.output)


if __name__ == "__main__":
    dag.test()
