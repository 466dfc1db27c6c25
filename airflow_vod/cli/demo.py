"""``airflow-vod demo``: real Airflow runs the example DAG against the emulator: a splice, the wait for it, a task for each file.

Invariant: the demo checks what it shows. Airflow runs `dag.test()` in a separate process with a temporary AIRFLOW_HOME; exit
status 0 means that VOD started one task, the tasks downstream received its URLs, and no event was lost, also of those that
nobody here waits for.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_vod.exceptions import printable

if TYPE_CHECKING:
    from airflow_vod.emulator import Emulator

SUB_APP_ID = 1500012345
VOD_TASK_ID = "Concat-1edb7eb88a599d05abe451cfc541cfbd"
FOREIGN_EVENTS = 20  # more than one pull returns, so that the event is not in the first batch
_REPORT = "vod-demo-report "  # prefix of the line in which the Airflow process reports its result
_SECONDS = 6.0  # that the splice takes


def sample_events() -> list[dict[str, Any]]:
    """Return events that no task here waits for, among them the vendor's own sample of a ConcatComplete event."""
    url = "http://125676836723.vod2.myqcloud.com/xxx/xxx"
    files = [
        {"FileId": "14508071098244931831", "FileUrl": f"{url}/playlist.f6.m3u8", "FileType": "m3u8"},
        {"FileId": "14508071098244929440", "FileUrl": f"{url}/f0.mp4", "FileType": "mp4"},
    ]
    sample = {"TaskId": VOD_TASK_ID, "FileInfoSet": [{"ErrCode": 0, "Message": "", **file} for file in files]}
    events: list[dict[str, Any]] = [
        {"EventType": "NewFileUpload", "FileUploadEvent": {"FileId": f"52858907000{number:08}"}}
        for number in range(FOREIGN_EVENTS)
    ]
    events.insert(FOREIGN_EVENTS * 3 // 4, {"EventType": "ConcatComplete", "ConcatCompleteEvent": sample})
    return events


def main() -> int:
    """Run the demo and print its result.

    :return: exit status: 0 if all checks passed, else 1.
    """
    from airflow_vod.emulator import Emulator, EmulatorOptions

    with (
        Emulator(options=EmulatorOptions(task_seconds=_SECONDS, event_switches="ON")) as vod,
        tempfile.TemporaryDirectory(prefix="airflow-vod-demo-") as home,
    ):
        print(f"The emulator serves the VOD API at {vod.endpoint}; Airflow's home is {home}", flush=True)
        environment = _environment(vod, home)
        _call([sys.executable, "-m", "airflow", "db", "migrate"], environment)
        threading.Thread(target=_publish, args=(vod,), daemon=True).start()
        output = _call([sys.executable, "-m", "airflow_vod.cli.demo", str(_example_dag())], environment, show=True)
        report = json.loads(output.rpartition(_REPORT)[2].partition("\n")[0])
        queue = vod.queue(SUB_APP_ID)
        started = [start.vod_task_id for start in vod.starts]
        return _conclude(report, started, left_in_queue=queue.visible + queue.hidden)


def _conclude(report: dict[str, Any], started: list[str], left_in_queue: int) -> int:
    """Print the result and check it."""
    summary = report["summary"]
    print(f"\nVOD tasks started: {', '.join(started)}\nXCom that downstream tasks received:")
    for url in report["urls"]:
        print(f"  {printable(url)}")
    print(
        f"Relay: pulled {summary['pulled']}, stored {summary['stored']}, duplicates {summary['duplicates']}, "
        f"confirmed {summary['confirmed']}"
    )
    events = FOREIGN_EVENTS + 2  # with the vendor's sample and that of the splice
    checks = {
        "the DAG run succeeded": report["state"] == "success",
        "VOD started one task, for which Airflow waited": started == [report["vod_task_id"]],
        "each URL reached a task of its own": report["urls"] and report["published"] == report["urls"],
        "every event is in the inbox": summary["stored"] == events,
        "every event was confirmed": summary["confirmed"] == events and left_in_queue == 0,
    }
    for what, holds in checks.items():
        print(f"  {'ok    ' if holds else 'FAILED'} {what}")
    return 0 if all(checks.values()) else 1


def _publish(vod: Emulator) -> None:
    """Publish the events once the DAG is waiting."""
    while not vod.queue(SUB_APP_ID).waiting:
        time.sleep(0.1)
    for event in sample_events():
        vod.publish(event, sub_app_id=SUB_APP_ID)


def _environment(vod: Emulator, home: str) -> dict[str, str]:
    connection = {
        "conn_type": "tencent_vod",
        "login": vod.secret_id,
        "password": vod.secret_key,
        "host": vod.endpoint,
        "extra": {"sub_app_id": SUB_APP_ID},
    }
    own = {
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(_example_dag().parent),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
        "AIRFLOW_CONN_VOD_DEFAULT": json.dumps(connection),
    }
    # Settings of the user's own Airflow must not affect this one.
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW", "PYTHONDONTWRITEBYTECODE", "_AIRFLOW"))
    }
    return inherited | own


def _call(command: list[str], environment: dict[str, str], *, show: bool = False) -> str:
    """Run a command until it ends.

    :param show: whether to print its output as it arrives.
    :return: its output.
    :raises SystemExit: it failed; contains the end of its output.
    """
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        lines = []
        for line in process.stdout or ():
            lines.append(line)
            if show and not line.startswith(_REPORT):
                print(f"  | {printable(line.rstrip())}", flush=True)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{''.join(lines[-60:])}")
    return "".join(lines)


def _example_dag() -> Path:
    """Find the example DAG: next to the package in a checkout, inside it when installed."""
    package = Path(__file__).parents[1]
    folders = (package / "example_dags", package.parent / "dags")
    return next(folder for folder in folders if folder.is_dir()) / "example_vod_concat.py"


def _run_dag(path: str) -> None:
    """Run the DAG in a file with `dag.test()`, in the Airflow of this process, and report the result."""
    import runpy

    from airflow_vod.waiting import watch as watching

    # The watch is asked in the end, after tasks that take longer than it would outlive its waiter.
    watching.LINGER = float("inf")
    run = runpy.run_path(path)["dag"].test()
    tasks = {(ti.task_id, ti.map_index): ti for ti in run.get_task_instances()}
    urls = tasks["file_urls", -1].xcom_pull(task_ids="file_urls")
    published = [
        ti.xcom_pull(task_ids=name, map_indexes=index)
        for (name, index), ti in sorted(tasks.items())
        if name == "publish"
    ]
    [watch] = watching.watches()
    watch.end()
    watch.join()
    summary = watch.summary and asdict(watch.summary)
    vod_task_id = tasks["splice", -1].xcom_pull(task_ids="splice", key="vod_task_id")
    report = {
        "state": run.state,
        "vod_task_id": vod_task_id,
        "urls": urls,
        "published": published,
        "summary": summary,
    }
    print(_REPORT + json.dumps(report), flush=True)


if __name__ == "__main__":
    _run_dag(sys.argv[1])
