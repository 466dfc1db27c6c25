"""The emulator as a server, in a thread of this process (`Emulator`) or as a command (`main`).

    with Emulator() as vod:
        vod.publish_concat("Concat-1", files=["http://example.com/f0.mp4"])

Invariants: after `stop` no thread, socket or held call is left, however many clients wait; the state (queues, tasks, faults,
calls) belongs to the `Emulator` and survives `stop`, so that `stop` and `start`, on the same port, simulate an outage.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, Self

from airflow_vod.emulator.api import VodApi
from airflow_vod.emulator.clock import ManualClock, SystemClock
from airflow_vod.emulator.content import concat_complete
from airflow_vod.emulator.options import EmulatorOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from airflow_vod.emulator.calls import Calls
    from airflow_vod.emulator.clock import Clock
    from airflow_vod.emulator.faults import Faults
    from airflow_vod.emulator.options import EditFailure
    from airflow_vod.emulator.push import Callback
    from airflow_vod.emulator.queue import QueueCounts
    from airflow_vod.emulator.serving import ServerThread

SECRET_ID = "AKIDexample"  # noqa: S105 - an example, valid only for this emulator
SECRET_KEY = "example-secret-key-of-the-emulator"  # noqa: S105 - also an example


class Emulator:
    """A VOD API on this machine.

    :param port: to listen on; 0 picks a free one.
    :param host: address to listen on.
    :param accounts: SecretId to secret key; by default one example account.
    :param sub_app_ids: existing applications (0 is the primary one); None accepts any.
    :param options: behaviour; by default what the vendor documents.
    :param clock: source of time; a `ManualClock` lets a test control it.
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
    ) -> None:
        self.host = host
        self.port = port
        self.accounts = dict(accounts or {SECRET_ID: SECRET_KEY})
        self.clock: Clock = clock or SystemClock()
        self.options = options or EmulatorOptions()
        self.api = VodApi(self.accounts, sub_app_ids, self.options, self.clock)
        self._thread: ServerThread | None = None
        if isinstance(self.clock, ManualClock):
            self.clock.follow(self.api)

    @property
    def endpoint(self) -> str:
        """Base URL, such as ``http://127.0.0.1:9900``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

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
    def callbacks(self) -> list[Callback]:
        """Outcomes of the callbacks of PUSH mode, oldest first."""
        return list(self.api.callbacks)

    def airflow_connection(self, sub_app_id: int = 0) -> str:
        """Describe this emulator as an Airflow connection.

        :param sub_app_id: for the connection's extra; 0 omits it.
        :return: the connection as JSON, for ``AIRFLOW_CONN_VOD_DEFAULT``.
        """
        connection = {
            "conn_type": "tencent_vod",
            "login": self.secret_id,
            "password": self.secret_key,
            "host": self.endpoint,
            "extra": {"sub_app_id": sub_app_id} if sub_app_id else {},
        }
        return json.dumps(connection)

    def publish(self, event: Mapping[str, Any], sub_app_id: int = 0) -> None:
        """Publish an event.

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

    def fail_edits(self, failure: EditFailure | None, sub_app_id: int = 0) -> None:
        """Set how EditMedia tasks submitted from now on fail.

        :param failure: None lets them succeed.
        :param sub_app_id: of the application; 0 is the primary one.
        """
        self.api.fail_edits(failure, sub_app_id)

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

            thread = ServerThread(self.api, self.clock, self.host, self.port)
            self.port = thread.port
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run an emulator until SIGINT or SIGTERM: ``airflow-vod emulator --port 9900``.

    :param argv: arguments without the command name.
    :return: exit status; 1 when it cannot listen.
    """
    given = _parser().parse_args(argv)
    options = EmulatorOptions(
        hold=given.hold,
        visibility=given.visibility,
        rate_limit=given.rate_limit or None,
        rate_limits=EmulatorOptions().rate_limits if given.rate_limit else {},
        empty=given.empty,
        bad_handle=given.bad_handle,
        mode=given.mode,
        notification_url=given.callback_url,
        sign_key=given.sign_key,
        push_form=given.callback_form,
        push_signature=given.callback_signature,
        edit_seconds=given.edit_seconds,
        rtt=given.rtt_ms / 1000,
    )
    emulator = Emulator(given.port, host=given.host, accounts={given.secret_id: given.secret_key}, options=options)
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    try:
        emulator.start()
    except OSError as error:
        sys.stderr.write(
            f"The emulator cannot listen on {given.host}:{given.port}: {error}. Use --port 0 for a free port.\n"
        )
        return 1
    with emulator:
        sys.stdout.write(_greeting(emulator, given.sub_app_id))
        sys.stdout.flush()
        done.wait()
    return 0


def _greeting(emulator: Emulator, sub_app_id: int) -> str:
    body = json.dumps({"vod_task_id": "Concat-1", "files": ["http://example.com/f0.mp4"], "sub_app_id": sub_app_id})
    return (
        f"VOD emulator at {emulator.endpoint}\n"
        f"SecretId {emulator.secret_id}, secret key {emulator.secret_key}\n\n"
        f"export AIRFLOW_CONN_VOD_DEFAULT='{emulator.airflow_connection(sub_app_id)}'\n\n"
        f"Publish an event:\ncurl --json '{body}' {emulator.endpoint}/_emulator/publish\n"
    )


def _parser() -> argparse.ArgumentParser:
    defaults = EmulatorOptions()
    parser = argparse.ArgumentParser(
        prog="airflow-vod emulator",
        description="Run a local VOD API until interrupted.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=9900, help="port to listen on; 0 picks a free one")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--secret-id", default=SECRET_ID, help="accepted SecretId")
    parser.add_argument("--secret-key", default=SECRET_KEY, help="its secret key")
    parser.add_argument("--sub-app-id", type=int, default=0, help="SubAppId of the printed connection; any is served")
    parser.add_argument("--hold", type=float, default=defaults.hold, help="seconds that a pull waits for an event")
    parser.add_argument("--visibility", type=float, default=defaults.visibility, help="seconds to confirm an event")
    parser.add_argument("--rtt-ms", type=float, default=0.0, help="simulated round trip in milliseconds")
    parser.add_argument("--rate-limit", type=int, default=defaults.rate_limit, help="requests/s per action; 0 for none")
    parser.add_argument(
        "--empty",
        choices=("resource_not_found", "null", "list"),
        default=defaults.empty,
        help="answer of an empty queue",
    )
    parser.add_argument(
        "--bad-handle",
        choices=("partial", "all_or_nothing", "lenient"),
        default=defaults.bad_handle,
        help="result of confirming an unknown handle",
    )
    parser.add_argument(
        "--mode", choices=("PULL", "PUSH"), default=defaults.mode, help="initial mode of every application"
    )
    parser.add_argument("--callback-url", default="", help="initial callback URL of PUSH mode")
    parser.add_argument("--sign-key", default="", help="initial key that signs callbacks")
    parser.add_argument("--callback-form", choices=("v3", "v2", "both"), default="v3", help="format of callbacks")
    parser.add_argument(
        "--callback-signature",
        choices=("body", "query", "headers"),
        default="body",
        help="place of the signature of callbacks",
    )
    parser.add_argument(
        "--edit-seconds", type=float, default=defaults.edit_seconds, help="seconds that EditMedia tasks take"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
