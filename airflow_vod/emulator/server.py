"""The emulator as a server, in a thread of this process.

    with Emulator() as vod:
        vod.publish_concat("Concat-1", files=["http://example.com/f0.mp4"])

Invariants: after `stop` no thread, socket or held call is left, however many clients wait; the state (queues, tasks, faults,
calls) belongs to the `Emulator` and survives `stop`, so that `stop` and `start`, on the same port, simulate an outage.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Self

from airflow_vod.emulator.api import VodApi
from airflow_vod.emulator.clock import ManualClock, SystemClock
from airflow_vod.emulator.content import concat_complete
from airflow_vod.emulator.options import SECRET_ID, SECRET_KEY, EmulatorOptions
from airflow_vod.emulator.tls import self_signed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from os import PathLike

    from airflow_vod.emulator.calls import Calls
    from airflow_vod.emulator.clock import Clock
    from airflow_vod.emulator.faults import Faults
    from airflow_vod.emulator.media import MediaFile
    from airflow_vod.emulator.options import TaskFailure
    from airflow_vod.emulator.push import Callback
    from airflow_vod.emulator.queue import QueueCounts
    from airflow_vod.emulator.script import HeldAt
    from airflow_vod.emulator.serving import ServerThread
    from airflow_vod.emulator.starts import Starts


class Emulator:
    """A VOD API on this machine.

    :param port: to listen on; 0 picks a free one.
    :param host: address to listen on.
    :param accounts: SecretId to secret key; by default one example account.
    :param sub_app_ids: existing applications (0 is the primary one); None accepts any.
    :param options: behaviour; by default what the vendor documents.
    :param clock: source of time; a `ManualClock` lets a test control it.
    :param tls: whether to serve HTTPS, with a self-signed certificate; otherwise HTTP.
    :raises RuntimeError: for HTTPS without the package cryptography.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        accounts: Mapping[str, str] | None = None,
        sub_app_ids: Collection[int] | None = None,
        options: EmulatorOptions | None = None,
        clock: Clock | None = None,
        tls: bool = False,
    ) -> None:
        self.host = host
        self.port = port
        self.accounts = dict(accounts or {SECRET_ID: SECRET_KEY})
        self.clock: Clock = clock or SystemClock()
        self.options = options or EmulatorOptions()
        self.api = VodApi(self.accounts, sub_app_ids, self.options, self.clock)
        self._tls = self_signed(host) if tls else None
        self._thread: ServerThread | None = None
        if isinstance(self.clock, ManualClock):
            self.clock.follow(self.api)

    @property
    def endpoint(self) -> str:
        """Base URL, such as ``http://127.0.0.1:9900``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    @property
    def certificate(self) -> bytes | None:
        """The certificate that clients must trust, as PEM; None for HTTP."""
        return self._tls.certificate if self._tls else None

    @property
    def secret_id(self) -> str:
        """SecretId of the first account."""
        return next(iter(self.accounts))

    @property
    def secret_key(self) -> str:
        """Secret key of the first account."""
        return self.accounts[self.secret_id]

    @property
    def faults(self) -> Faults:
        """Faults to come, and the ledger of those that fired."""
        return self.api.faults

    @property
    def calls(self) -> Calls:
        """The log of calls."""
        return self.api.calls

    @property
    def starts(self) -> Starts:
        """The tasks that requests have started, also where the answer got lost; `starts.count` counts them."""
        return self.api.starts

    @property
    def callbacks(self) -> list[Callback]:
        """Outcomes of the callbacks of PUSH mode, oldest first."""
        return list(self.api.callbacks)

    def airflow_connection(self, sub_app_id: int = 0, certificate: PathLike[str] | None = None) -> str:
        """Describe this emulator as an Airflow connection.

        :param sub_app_id: for the connection's extra; 0 omits it.
        :param certificate: for HTTPS: a file with `certificate`, which the connection will trust.
        :return: the connection as JSON, for ``AIRFLOW_CONN_VOD_DEFAULT``.
        """
        extra = {
            **({"sub_app_id": sub_app_id} if sub_app_id else {}),
            **({"playback_secret": self.options.playback_key} if self.options.playback_key else {}),
            **({"verify": os.path.abspath(certificate)} if certificate else {}),
        }
        connection = {
            "conn_type": "tencent_vod",
            "login": self.secret_id,
            "password": self.secret_key,
            "host": self.endpoint,
            "extra": extra,
        }
        return json.dumps(connection)

    def publish(self, event: Mapping[str, Any], sub_app_id: int = 0) -> None:
        """Publish an event, unless its switch is OFF: see `EmulatorOptions.event_switches`.

        :param event: as an item of ``EventSet``, without handle.
        :param sub_app_id: of the application; 0 is the primary one.
        :raises ValueError: when there is no such application.
        """
        self.api.publish(event, sub_app_id)

    def publish_concat(
        self, vod_task_id: str, files: Iterable[str | Mapping[str, Any]] = (), sub_app_id: int = 0
    ) -> dict[str, Any]:
        """Publish the event of a finished splice.

        :param vod_task_id: of the splice.
        :param files: URLs, or mappings with any of the fields of ConcatFileInfo2017.
        :param sub_app_id: of the application; 0 is the primary one.
        :return: the event.
        """
        event = concat_complete(vod_task_id, files)
        self.publish(event, sub_app_id)
        return event

    def add_task(
        self,
        vod_task_id: str,
        task_type: str = "EditMedia",
        status: str = "FINISH",
        detail: Mapping[str, Any] | None = None,
        *,
        sub_app_id: int = 0,
        age: float = 0.0,
        field: str = "",
    ) -> None:
        """Register a task of any type for DescribeTaskDetail; no event is published.

        :param vod_task_id: of the task; one with the same id is replaced.
        :param task_type: ``TaskType``, such as ``EditMedia``, ``Concat`` or ``Procedure``.
        :param status: WAITING, PROCESSING, FINISH or ABORTED.
        :param detail: content of the field for its type, such as ``EditMediaTask``.
        :param sub_app_id: of the application; 0 is the primary one.
        :param age: seconds since its submission; tasks older than 3 days are not returned.
        :param field: field that holds the detail, if not the usual one.
        :raises ValueError: when the status is not valid or the application does not exist.
        """
        self.api.add_task(sub_app_id, vod_task_id, task_type, status, detail=detail, age=age, field=field)

    def add_media(
        self,
        name: str = "f0.mp4",
        *,
        size: int = 1_250_000,
        content: bytes | None = None,
        file_id: str = "",
        sub_app_id: int = 0,
    ) -> MediaFile:
        """Add a media file, for DescribeMediaInfos and for download from the emulator while it runs.

        :param name: the last part of its URL's path.
        :param size: of made-up content, bytes.
        :param content: the content, if not made up.
        :param file_id: of the file; by default a new one.
        :param sub_app_id: of the application; 0 is the primary one.
        :return: the file, with its ``url``, ``file_id``, ``size`` and ``md5``.
        """
        return self.api.add_media(name, sub_app_id, size=size, content=content, file_id=file_id)

    def fail_tasks(self, failure: TaskFailure | None, sub_app_id: int = 0) -> None:
        """Set how tasks started from now on fail.

        :param failure: None lets them succeed.
        :param sub_app_id: of the application; 0 is the primary one.
        """
        self.api.with_application(sub_app_id, lambda app: setattr(app.runner.script, "failure", failure))

    def fail_next_task(self, failure: TaskFailure, action: str | None = None, sub_app_id: int = 0) -> None:
        """Let one of the next tasks fail; calls add up.

        :param failure: how.
        :param action: that starts the task; None for any. For a follow-up task its type, such as ``Procedure``.
        :param sub_app_id: of the application; 0 is the primary one.
        """
        self.api.with_application(sub_app_id, lambda app: app.runner.script.fail_next(failure, action))

    def hold_tasks(self, status: HeldAt | None, action: str | None = None, sub_app_id: int = 0) -> None:
        """Set at which status tasks started from now on stay, until `finish_task` or `begin_task`.

        :param status: ``WAITING`` or ``PROCESSING``; None lets them go on.
        :param action: that starts the tasks; None for all. For follow-up tasks their type, such as ``Procedure``.
        :param sub_app_id: of the application; 0 is the primary one.
        :raises ValueError: when tasks cannot be held at this status.
        """
        self.api.with_application(sub_app_id, lambda app: app.runner.script.hold(status, action))

    def begin_task(self, vod_task_id: str, sub_app_id: int = 0) -> None:
        """Let a task that waits begin.

        :param vod_task_id: of the task.
        :param sub_app_id: of the application; 0 is the primary one.
        :raises ValueError: when there is no such task that waits.
        """
        self.api.with_application(sub_app_id, lambda app: app.runner.begin(vod_task_id))

    def finish_task(self, vod_task_id: str, failure: TaskFailure | None = None, sub_app_id: int = 0) -> None:
        """End a task now, whether or not it has begun.

        :param vod_task_id: of the task.
        :param failure: how it fails; None for what was planned.
        :param sub_app_id: of the application; 0 is the primary one.
        :raises ValueError: when there is no such task, or it has ended.
        """
        self.api.with_application(sub_app_id, lambda app: app.runner.finish(vod_task_id, failure))

    def queue(self, sub_app_id: int = 0) -> QueueCounts:
        """:param sub_app_id: of the application; 0 is the primary one.
        :return: the counts of its queue.
        """
        return self.api.counts(sub_app_id)

    def wait_until(self, condition: Callable[[], bool], timeout: float = 5.0) -> None:
        """Wait for a condition, such as ``lambda: vod.queue().waiting == 1``.

        :param condition: evaluated after every change in the emulator.
        :param timeout: in real seconds.
        :raises TimeoutError: when it does not become true in time.
        """
        if not self.api.wait_until(condition, timeout):
            raise TimeoutError(f"condition not met within {timeout} s; {self.queue()}, calls {self.calls.counters}")

    def start(self) -> Self:
        """Start listening; does nothing when it is running already.

        :return: itself.
        :raises OSError: when the port is taken.
        """
        if self._thread is None:
            # Imported here, so that the web server is only loaded when it is needed.
            from airflow_vod.emulator.serving import ServerThread

            tls = self._tls.context() if self._tls else None
            thread = ServerThread(self.api, self.clock, self.host, self.port, tls)
            self.port = thread.port
            self.api.media.base_url = self.endpoint
            thread.start()
            self._thread = thread
        return self

    def stop(self) -> None:
        """Close all connections and end the thread; the state is kept. Does nothing when it is not running."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
