"""The emulator starts and stops cleanly, and keeps its state meanwhile."""

from __future__ import annotations

import gc
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import urllib.request
from http.client import HTTPException
from pathlib import Path

import pytest

from airflow_vod.emulator import Emulator, EmulatorOptions, ManualClock
from airflow_vod.emulator.command import main

from .helpers import Wire, read


def open_files() -> int:
    """How many files and sockets this process has open."""
    return len(os.listdir("/proc/self/fd"))


def test_a_hundred_rounds_leave_nothing_behind():
    """No thread and no file handle is left after 100 starts and stops, each with a pull held."""
    with Emulator():
        pass
    gc.collect()  # what earlier tests left to be collected would be counted otherwise
    threads, files = threading.active_count(), open_files()
    for _ in range(100):
        with Emulator() as vod:
            connection = Wire(vod).open("PullEvents")
            vod.wait_until(lambda vod=vod: vod.queue().waiting == 1)
        with pytest.raises((HTTPException, ConnectionError)):
            read(connection)
    assert threading.active_count() <= threads
    assert open_files() <= files


def test_a_held_pull_takes_nothing_once_the_server_stopped():
    """A stop drops held pulls: events published afterwards stay visible."""
    vod = Emulator(clock=ManualClock()).start()
    connection = Wire(vod).open("PullEvents")
    vod.wait_until(lambda: vod.queue().waiting == 1)
    vod.stop()
    connection.close()
    vod.publish_concat("Concat-1")
    assert (vod.queue().waiting, vod.queue().visible, vod.queue().hidden) == (0, 1, 0)


def test_an_outage_ends_on_the_same_port():
    """After a stop and a start, the endpoint and everything in it are the same."""
    with Emulator() as vod:
        endpoint = vod.endpoint
        vod.publish_concat("Concat-1")
        vod.stop()
        with pytest.raises(ConnectionRefusedError):
            Wire(vod).call("PullEvents")
        vod.start()
        assert vod.endpoint == endpoint
        assert len(Wire(vod).call("PullEvents").response["EventSet"]) == 1


def test_stopping_and_starting_twice_is_harmless():
    """A second start or stop does nothing."""
    vod = Emulator()
    vod.stop()
    assert vod.start().start() is vod
    vod.stop()
    vod.stop()


def test_a_port_that_is_taken_is_refused_to_the_caller():
    """The error is raised by `start`, not in a thread."""
    with Emulator() as vod, pytest.raises(OSError, match="in use"):
        Emulator(vod.port).start()


def test_a_delayed_answer_does_not_delay_the_stop():
    """A stop waits neither for slow answers nor for simulated round trips."""
    vod = Emulator(clock=ManualClock(), options=EmulatorOptions(rtt=1000)).start()
    connection = Wire(vod).open("DescribeEventsState")
    vod.wait_until(lambda: vod.api.next_due() is not None)
    vod.stop()
    connection.close()
    vod.clock.advance(2000)


def test_waiting_for_what_never_comes_ends():
    """The message shows the actual counts."""
    with Emulator() as vod, pytest.raises(TimeoutError, match="visible=0"):
        vod.wait_until(lambda: vod.queue().visible == 1, timeout=0.01)


def test_the_airflow_connection_is_ready_made():
    """The Airflow connection has type, keys, endpoint and SubAppId, as JSON."""
    with Emulator(accounts={"AKIDme": "mine"}) as vod:
        assert json.loads(vod.airflow_connection(7)) == {
            "conn_type": "tencent_vod",
            "login": "AKIDme",
            "password": "mine",
            "host": vod.endpoint,
            "extra": {"sub_app_id": 7},
        }
        assert json.loads(vod.airflow_connection())["extra"] == {}


def test_tasks_and_failures_can_be_set_from_python():
    """The methods of `Emulator` act on the API's state."""
    from airflow_vod.emulator import TaskFailure

    splice = {"InputType": "File", "FileInfos": [{"FileId": "1"}]}
    with Emulator(clock=ManualClock()) as vod:
        wire = Wire(vod)
        vod.add_task("t", "Procedure", "PROCESSING", {"TaskId": "t"})
        assert wire.call("DescribeTaskDetail", TaskId="t").response["ProcedureTask"] == {"TaskId": "t"}
        vod.fail_tasks(TaskFailure(err_code=40000))
        task_id = wire.call("EditMedia", **splice).response["TaskId"]
        vod.clock.advance(2)
        assert wire.call("DescribeTaskDetail", TaskId=task_id).response["EditMediaTask"]["ErrCode"] == 40000


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_told_to_end(number: signal.Signals):
    """It prints what to export, serves, and exits cleanly on a signal, even with a held pull."""
    command = [sys.executable, "-m", "airflow_vod.emulator.command", "--port", "0", "--sub-app-id", "7", "--hold", "60"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(4)]
        connection = json.loads(lines[3].partition("=")[2].strip().strip("'"))
        remote = Emulator(
            int(connection["host"].rpartition(":")[2]), accounts={connection["login"]: connection["password"]}
        )
        wire = Wire(remote)
        held = wire.open("PullEvents", **connection["extra"] and {"SubAppId": connection["extra"]["sub_app_id"]})
        while not wire.control("GET", "queues")[1].get("7", {}).get("waiting"):
            pass
        process.send_signal(number)
        assert process.wait(10) == 0
        held.close()
    finally:
        process.kill()
        process.communicate()


def test_the_command_explains_itself(capsys: pytest.CaptureFixture[str]):
    """Every option is in the help; an unknown one is refused."""
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    assert "--rtt-ms" in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        main(["--empty", "never"])
    assert caught.value.code == 2


def test_the_command_names_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]):
    """It exits with the address and a remedy, without a traceback."""
    with Emulator() as vod:
        assert main(["--port", str(vod.port)]) == 1
    assert f"127.0.0.1:{vod.port}" in (told := capsys.readouterr().err)
    assert "--port 0" in told


def test_the_command_serves_https(tmp_path: Path):
    """It writes the certificate, prints a connection that trusts it, and is reached with nothing else."""
    certificate = tmp_path / "emulator.pem"
    command = [sys.executable, "-m", "airflow_vod.emulator.command", "--port", "0", "--tls", str(certificate)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(5)]
        assert str(certificate) in lines[2]
        connection = json.loads(lines[4].partition("=")[2].strip().strip("'"))
        context = ssl.create_default_context(cafile=connection["extra"]["verify"])
        with urllib.request.urlopen(f"{connection['host']}/_emulator/starts", context=context, timeout=10) as answer:
            assert json.load(answer) == {"counters": {}, "starts": []}
    finally:
        process.kill()
        process.communicate()


def test_the_command_names_a_certificate_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """It exits with the file and a remedy, without a traceback."""
    assert main(["--port", "0", "--tls", str(tmp_path / "missing" / "emulator.pem")]) == 1
    assert "missing/emulator.pem" in (told := capsys.readouterr().err)
    assert "Name a file" in told
