"""What tests of the relay share: an application of an emulator, and an inbox that fails when it is told to."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from airflow_vod.emulator import Emulator
from airflow_vod.exceptions import InboxUnavailableError
from airflow_vod.inbox import InboxStore
from airflow_vod.relay.steps import Relay
from airflow_vod.tencent.client import VodClient
from airflow_vod.tencent.settings import VodSettings

SUB_APP_ID = 1500012345


def settings_of(vod: Emulator, **fields: Any) -> VodSettings:
    """Settings of an application of an emulator."""
    defaults = {"secret_id": vod.secret_id, "secret_key": vod.secret_key, "endpoint": vod.endpoint}
    return VodSettings(**(defaults | {"sub_app_id": SUB_APP_ID} | fields))


def client_of(vod: Emulator, **fields: Any) -> VodClient:
    """A client of an application of an emulator."""
    return VodClient(settings_of(vod, **fields))


def publish(vod: Emulator, number: int, prefix: str = "Concat") -> list[str]:
    """Let splices end.

    :return: their VOD task ids.
    """
    ids = [f"{prefix}-{each}" for each in range(number)]
    for vod_task_id in ids:
        vod.publish_concat(vod_task_id, files=[f"http://example.com/{vod_task_id}.mp4"], sub_app_id=SUB_APP_ID)
    return ids


def drain(relay: Relay, turns: int = 100) -> bool:
    """Take the steps of a relay in turn until its queue is empty.

    :param turns: pulls at most.
    :return: whether it was allowed to: False where another process holds the lease.
    """
    if not relay.acquire_lease():
        return False
    try:
        in_use = relay.check_mode()
        while in_use and turns:
            turns -= 1
            deliveries = relay.pull()
            relay.count_pull(deliveries)
            if confirmable := relay.receive(deliveries):
                relay.count_confirm(len(confirmable), relay.confirm(confirmable))
            if not deliveries:
                break
    finally:
        relay.release_lease()
    return True


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait for what other threads do.

    :raises TimeoutError: it did not become true.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not true within {seconds} s")
        time.sleep(0.005)


class FickleStore:
    """A real inbox in front of which calls can be made to fail or to take long.

    :param store: the inbox.
    """

    PARTS = ("leases", "waiters", "cursors")

    def __init__(self, store: InboxStore) -> None:
        self._store = store
        self.broken: set[str] = set()  # methods that fail without doing anything, such as "receive" or "leases.acquire"
        self.broken_after: set[str] = set()  # methods that do their work and fail then
        self.seconds: dict[str, float] = {}  # how much longer methods take
        self.calls: list[str] = []
        self.leases = _Part(self, "leases")
        self.waiters = _Part(self, "waiters")
        self.cursors = _Part(self, "cursors")

    def __getattr__(self, name: str) -> Any:
        """Look up a method of the inbox."""
        method = getattr(self._store, name)
        return self.fickle(name, method) if callable(method) else method

    def fickle(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """Make a method fail and wait as this store is told."""

        def call(*args: Any, **options: Any) -> Any:
            self.calls.append(name)
            time.sleep(self.seconds.get(name, 0.0))
            if name in self.broken:
                raise InboxUnavailableError(f"{name} fails because a test wants it")
            result = method(*args, **options)
            if name in self.broken_after:
                raise InboxUnavailableError(f"{name} fails at its end because a test wants it")
            return result

        return call

    def go_down(self) -> None:
        """Let everything fail from now on."""
        own = {name for name in dir(InboxStore) if not name.startswith("_")}
        parts = {f"{part}.{name}" for part in self.PARTS for name in dir(getattr(self._store, part)) if name[0] != "_"}
        self.broken = own | parts

    def come_back(self) -> None:
        """Let everything work again."""
        self.broken = set()


class _Part:
    """A part of a fickle inbox."""

    def __init__(self, store: FickleStore, name: str) -> None:
        self._store, self._name = store, name

    def __getattr__(self, name: str) -> Any:
        """Look up a method of the part."""
        method = getattr(getattr(self._store._store, self._name), name)
        return self._store.fickle(f"{self._name}.{name}", method)
