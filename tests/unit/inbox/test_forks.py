"""What a fork must not break, whatever the threads of the parent are doing at that moment."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from airflow_vod.inbox import InboxStore, forks, schema


class Held:
    """Something that must be told of forks, and counts how often it was."""

    told = 0

    def before_fork(self) -> None:
        """Count."""
        self.told += 1

    def after_fork(self) -> Any:
        """Have nothing to keep."""


def test_a_fork_while_threads_open_inboxes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects that come and go in other threads do not make a fork skip those that are there."""
    monkeypatch.setattr(forks, "_left_to_parent", [])
    lasting = [Held() for _ in range(100)]
    for each in lasting:
        forks.survive_fork(each)
    done, interval = threading.Event(), sys.getswitchinterval()

    def come_and_go() -> None:
        while not done.is_set():
            forks.survive_fork(Held())

    threads = [threading.Thread(target=come_and_go) for _ in range(2)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for _ in range(500):
            forks._before_fork()
            forks._after_fork()
    finally:
        sys.setswitchinterval(interval)
        done.set()
        for thread in threads:
            thread.join()
    assert [each.told for each in lasting] == [500] * 100


def _open_new(url: str, answers: Any) -> None:
    InboxStore.open(url).close()
    answers.put("open")


def test_a_child_opens_an_inbox_while_the_parent_migrates(tmp_path: Path) -> None:
    """A fork in the middle of a migration, in another thread, leaves the child no lock that nobody will release."""
    processes = multiprocessing.get_context("fork")
    answers = processes.Queue()
    with schema._migrating:
        child = processes.Process(target=_open_new, args=(f"sqlite:///{tmp_path / 'inbox.db'}", answers), daemon=True)
        child.start()
    try:
        assert answers.get(timeout=30) == "open"
    finally:
        child.kill()
        child.join()
