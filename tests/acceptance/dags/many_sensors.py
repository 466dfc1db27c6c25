"""Thirty sensors in each run, of the three kinds that wait in a triggerer; ``conf["batch"]`` tells their ids apart."""

from airflow.sdk import DAG

from airflow_vod.sensors.vod import VodConcatSensor

DEFERRED, RESUMED, ENDED = range(10), range(8), range(12)
ID = "Concat-{{{{ dag_run.conf['batch'] }}}}-{kind}-{number}"

with DAG("many_sensors", schedule=None):
    # Begins and ends on a worker.
    VodConcatSensor.partial(task_id="deferred", deferrable=True).expand(
        vod_task_id=[ID.format(kind="deferred", number=number) for number in DEFERRED]
    )
    # Begins in the triggerer, ends on a worker.
    for number in RESUMED:
        VodConcatSensor(
            task_id=f"resumed_{number}", vod_task_id=ID.format(kind="resumed", number=number), start_from_trigger=True
        )
    # Never sees a worker.
    for number in ENDED:
        VodConcatSensor(
            task_id=f"ended_{number}",
            vod_task_id=ID.format(kind="ended", number=number),
            start_from_trigger=True,
            end_from_trigger=True,
        )
