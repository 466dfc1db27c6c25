"""What may be given to a sensor that begins, or ends, without a worker; and two that wait on one."""

from airflow.sdk import DAG, task

from airflow_vod.operators.vod import VodFileUrlsOperator
from airflow_vod.sensors.vod import VodConcatSensor

BOTH = {"start_from_trigger": True, "end_from_trigger": True}

with DAG("without_worker", schedule=None, params={"x": "Concat-params"}):

    @task
    def submit() -> str:
        return "Concat-pulled"

    @task
    def kind_of(value: object) -> str:
        return f"{type(value).__name__} {value['vod_task_id'] if isinstance(value, dict) else len(value)}"

    submitted = submit()

    # Begin in the triggerer.
    plain = VodConcatSensor(task_id="plain", vod_task_id="Concat-plain", **BOTH)
    kind_of.override(task_id="kind_of_one")(plain.output)
    of_params = VodConcatSensor(task_id="of_params", vod_task_id="{{ params.x }}", **BOTH)
    of_conf = VodConcatSensor(task_id="of_conf", vod_task_id="{{ dag_run.conf['vod_task_id'] }}", **BOTH)
    VodFileUrlsOperator(task_id="urls", result=of_conf.output, file_types=["mp4"])
    several = VodConcatSensor(task_id="several", vod_task_id=["Concat-plain", "{{ params.x }}", "Concat-late"], **BOTH)
    kind_of.override(task_id="kind_of_several")(several.output)
    kind_of.override(task_id="kind_of_each").expand(value=several.output)
    VodFileUrlsOperator(task_id="urls_of_several", result=several.output)
    resumed = VodConcatSensor(task_id="resumed", vod_task_id="Concat-plain", start_from_trigger=True)
    silent = VodConcatSensor(task_id="silent", vod_task_id="Concat-plain", do_xcom_push=False, **BOTH)
    indexed = VodConcatSensor(
        task_id="indexed", vod_task_id="{{ ti.xcom_pull(task_ids='submit', map_indexes=-1) }}", **BOTH
    )
    submitted >> indexed
    VodConcatSensor(task_id="variable", vod_task_id="{{ var.value.vod_task_id }}", **BOTH)

    # Begin on a worker, because Airflow could not render them in the triggerer.
    VodConcatSensor.partial(task_id="mapped", **BOTH).expand(vod_task_id=["Concat-plain", "Concat-late"])
    VodConcatSensor(task_id="of_xcom_arg", vod_task_id=submitted, **BOTH)
    pulled = VodConcatSensor(task_id="pulled", vod_task_id="{{ ti.xcom_pull(task_ids='submit') }}", **BOTH)
    submitted >> pulled

    # Wait on a worker.
    VodConcatSensor(task_id="poking", vod_task_id="Concat-late", poke_interval=1)
    VodConcatSensor(task_id="rescheduled", vod_task_id="Concat-late", mode="reschedule")

    # Do not succeed.
    late = {"vod_task_id": "Concat-never", "timeout": 5, **BOTH}
    VodConcatSensor(task_id="late", **late)
    VodConcatSensor(task_id="late_and_skipped", soft_fail=True, **late)
    VodConcatSensor(task_id="failing", vod_task_id="Concat-failed", retries=1, **BOTH)
    VodConcatSensor(task_id="failing_and_skipped", vod_task_id="Concat-failed", soft_fail=True, **BOTH)
    VodConcatSensor(task_id="useless", retries=0, vod_task_id="{{ dag_run.conf['no such'] }}", **BOTH)
