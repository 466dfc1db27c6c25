"""Splice files in Tencent Cloud VOD, wait, and keep a copy of what was made."""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, Param, task

from airflow_vod.hooks.vod import VodHook
from airflow_vod.operators.processing import VodConcatOperator
from airflow_vod.operators.storage import VodToObjectStorageOperator
from airflow_vod.operators.vod import VodFileUrlsOperator

with DAG(
    dag_id="example_vod_fetch",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Shanghai"),
    params={
        "file_ids": Param(["5285890784246869930", "5285890784246869931"], type="array", minItems=1),
        "destination": Param("file:///tmp/vod", type="string", description="or s3://aws_default@bucket/videos"),
        "allow_private_addresses": Param(False, type="boolean", description="only for a local VOD API"),
    },
    render_template_as_native_obj=True,
    doc_md="""
### Splice, wait, keep a copy

`splice` starts a task that joins the files of the parameter `file_ids`, and waits for it in the triggerer. `fetch` copies
what was made to `destination` and checks its size and MD5. If the connection `vod_default` has a `playback_secret`, it signs
each URL when it requests it, and no signed URL is stored anywhere. `urls` and `preview_url` show the other way, for somebody
who is to have a link: signed URLs in XCom, which open for whoever can read them until they expire.
""",
    tags=["example", "tencent-vod"],
) as dag:
    splice = VodConcatOperator(
        task_id="splice", files="{{ params.file_ids }}", deferrable=True, retries=2, timeout=6 * 60 * 60
    )

    fetch = VodToObjectStorageOperator(
        task_id="fetch",
        result=splice.output,
        destination="{{ params.destination }}",
        allow_private_addresses="{{ params.allow_private_addresses }}",
    )

    urls = VodFileUrlsOperator(task_id="urls", result=splice.output, file_types=["mp4"], sign_for=timedelta(hours=1))

    @task
    def preview_url(files: list[dict]) -> str:
        """Sign a URL at the moment of its use, here for a preview of a minute."""
        return VodHook().sign_url(files[0]["url"], valid_for=timedelta(minutes=10), preview=timedelta(minutes=1))

    preview_url(fetch.output["files"])


if __name__ == "__main__":
    dag.test()
