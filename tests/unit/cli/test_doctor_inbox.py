"""The doctor judges by what the inbox knows, and makes and changes none."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_vod.cli import doctor_inbox, main
from airflow_vod.cli.doctor import examine
from airflow_vod.inbox import Waiter
from tests.airflow_fixtures import INBOX_OPTION, Vod

Texts = Callable[..., list[str]]


@pytest.fixture
def texts() -> Texts:
    """Examine, and answer what was found of one level."""

    def texts(level: str = "error") -> list[str]:
        return [each.text for each in examine("vod_default") if each.level == level]

    return texts


def dump(path: Path) -> list[str]:
    """All that is in a SQLite file."""
    connection = sqlite3.connect(path)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


# What it leaves alone


def test_it_makes_no_inbox(vod: Vod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, texts: Texts) -> None:
    """Where there is no file, nor folder, there is none afterwards; that is told."""
    monkeypatch.setenv(INBOX_OPTION, f"sqlite:///{tmp_path}/not/there/inbox.db")
    assert "There is no inbox yet" in texts("note")[0]
    assert not (tmp_path / "not").exists()


@pytest.mark.parametrize("version", [None, "0001"])
def test_it_changes_no_tables(
    vod: Vod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, texts: Texts, version: str | None
) -> None:
    """A database of others, and an inbox of an earlier version, stay as they are."""
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (id)")
    if version:
        connection.execute("CREATE TABLE vod_inbox_version (version_num)")
        connection.execute("INSERT INTO vod_inbox_version VALUES (?)", (version,))
    connection.commit()
    connection.close()
    before, content = dump(path), path.read_bytes()
    monkeypatch.setenv(INBOX_OPTION, f"sqlite:///{path}")
    assert ("upgrades it" if version else "no inbox yet") in texts("note")[0]
    assert dump(path) == before
    assert path.read_bytes() == content


def test_a_newer_inbox_is_wrong(vod: Vod, texts: Texts) -> None:
    """The remedy is told."""
    connection = sqlite3.connect(vod.inbox_url.removeprefix("sqlite:///"))
    connection.execute("UPDATE vod_inbox_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    assert "schema version 9999" in texts()[0]


def test_it_says_what_it_did_not_look_at(vod: Vod) -> None:
    """As the last thing."""
    assert examine("vod_default")[-1].text.startswith("Not checked: a pull")


# What is wrong


def test_all_is_well(vod: Vod, texts: Texts) -> None:
    """Nothing is wrong with an inbox that nobody has used."""
    assert texts() == []
    assert any("By what the inbox knows, pulls succeed" in each for each in texts("ok"))


@pytest.mark.parametrize(("refused", "level"), [(True, "error"), (False, "warning")])
def test_pulls_that_failed_last(vod: Vod, texts: Texts, refused: bool, level: str) -> None:
    """Refused pulls are wrong also when the relay has ended and nobody waits any more; since when and why is told."""
    since = time.time() - 3600
    info = {"failing_since_at": since, "failure": "PullEvents: UnauthorizedOperation", "pulls_refused": refused}
    vod.store.leases.acquire(vod.queue, "host:1:x", 0.0, info=info)
    told = [each for each in texts(level) if "PullEvents: UnauthorizedOperation" in each]
    assert len(told) == 1
    assert time.strftime("since %Y-%m-%d %H:%M", time.gmtime(since)) in told[0]


def test_refused_pulls_from_a_real_relay(vod: Vod, texts: Texts) -> None:
    """A relay that ended because its pulls were refused leaves its reason to the doctor."""
    vod.emulator.faults.script({"PullEvents": ["unauthorized"] * 9})
    assert main(["relay", "run"]) == 1
    assert any("were refused, since" in each and "UnauthorizedOperation" in each for each in texts())


def test_who_waits_in_vain(vod: Vod, texts: Texts, monkeypatch: pytest.MonkeyPatch) -> None:
    """The words are those of the relay's status."""
    monkeypatch.setattr("airflow_vod.relay.health.SILENCE", -1.0)
    vod.store.waiters.add(vod.queue, [Waiter.of("dag/run/task", "Concat-1")], "owner")
    assert any("but no pull was ever answered, and nobody pulls the queue now" in each for each in texts())


def test_who_waits_for_what_is_switched_off(vod: Vod, texts: Texts, capsys: pytest.CaptureFixture[str]) -> None:
    """The waiter, the type, the switch and the remedy are named, and the exit status is 1."""
    waiters = [
        Waiter.of("dag/run/uploads", None, ["NewFileUpload"]),
        Waiter.of("dag/run/either", None, ["NewFileUpload", "EditMediaComplete"]),
        Waiter.of("dag/run/any", None),
    ]
    vod.store.waiters.add(vod.queue, waiters, "owner")
    vod.emulator.api.application(1500012345).config.upload_media_complete_event_switch = "OFF"
    told = [each for each in texts() if "does not announce" in each]
    assert told == [
        "dag/run/uploads wait for NewFileUpload, which the application does not announce: UploadMediaCompleteEventSwitch is "
        "not ON. Tick it in the VOD console, under callback settings."
    ]
    assert main(["doctor"]) == 1


def test_a_file_where_tasks_run_elsewhere(vod: Vod, texts: Texts, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is wrong, not only noted."""
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    assert any("runs tasks with CeleryExecutor" in each for each in texts())


@pytest.mark.parametrize(
    ("airflows", "users", "level"),
    [
        ({"a"}, {"a"}, None),
        ({"a"}, set(), None),
        ({"a", "b"}, {"a"}, "error"),
        ({"a", "b"}, set(), "warning"),
        ({"a", "b"}, {"a.example.com", "b"}, "warning"),
        ({"a"}, {"a", "b"}, "warning"),
    ],
)
def test_a_file_and_several_hosts(
    vod: Vod,
    texts: Texts,
    monkeypatch: pytest.MonkeyPatch,
    airflows: set[str],
    users: set[str],
    level: str | None,
) -> None:
    """Where Airflow runs on several hosts, a file that only one of them uses is wrong; that they share it is a worry."""
    monkeypatch.setattr(doctor_inbox, "_hosts_of_airflow", lambda: airflows)
    for user in users:
        vod.store.waiters.add(vod.queue, [Waiter.of(user, "Concat-1")], f"{user}:7:abc")
    told = {each: [text for text in texts(each) if "host" in text] for each in ("error", "warning")}
    assert [each for each, found in told.items() if found] == ([level] if level else [])


@pytest.mark.usefixtures("airflow_db")
def test_the_hosts_of_airflow() -> None:
    """Airflow's database names the hosts of what runs; what ended or fell silent does not count."""
    from airflow.jobs.job import Job
    from airflow.utils.session import create_session

    now = datetime.now(UTC)
    rows = [
        ("here.example.com", "running", now),
        ("gone", "success", now),
        ("dead", "running", now - timedelta(hours=1)),
    ]
    with create_session() as session:
        for host, state, beat in rows:
            job = Job()
            job.job_type, job.hostname, job.state, job.latest_heartbeat = "TriggererJob", host, state, beat
            session.add(job)
    try:
        assert doctor_inbox._hosts_of_airflow() == {"here"}
    finally:
        with create_session() as session:
            session.query(Job).filter(Job.hostname.in_([row[0] for row in rows])).delete()


def test_nothing_that_strangers_sent_moves_the_cursor(vod: Vod, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither escape sequences nor new lines of a failure or a waiter's name reach the terminal."""
    evil = "\x1b[2J\nok      all is well\u202e"
    vod.store.leases.acquire(
        vod.queue, "host:1:x", 60, info={"failing_since_at": time.time() - 600, "failure": evil, "pulls_refused": True}
    )
    vod.store.waiters.add(vod.queue, [Waiter.of(evil, "Concat-1", ["NewFileUpload"])], "owner")
    main(["doctor"])
    main(["relay", "status"])
    printed = capsys.readouterr().out
    assert "all is well" in printed
    assert not any(letter in printed for letter in "\x1b\u202e")
    assert "\nok      all" not in printed
