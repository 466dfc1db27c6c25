"""The emulator as a command: ``airflow-vod emulator``.

Invariant: it prints what a shell needs to use it, serves until it is told to end, and then ends cleanly.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_vod.emulator import arguments
from airflow_vod.emulator.options import EmulatorOptions
from airflow_vod.emulator.server import SECRET_ID, SECRET_KEY, Emulator

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run an emulator until SIGINT or SIGTERM: ``airflow-vod emulator --port 9900``.

    :param argv: arguments without the command name.
    :return: exit status; 1 when it cannot listen.
    """
    given = _parser().parse_args(argv)
    accounts = {given.secret_id: given.secret_key}
    emulator = Emulator(
        given.port, host=given.host, accounts=accounts, options=_options(given), tls=given.tls is not None
    )
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    try:
        if given.tls is not None:
            given.tls.write_bytes(emulator.certificate or b"")
    except OSError as error:
        sys.stderr.write(
            f"The certificate cannot be written: {error}. Name a file in a folder that you can write to.\n"
        )
        return 1
    try:
        emulator.start()
    except OSError as error:
        sys.stderr.write(
            f"The emulator cannot listen on {given.host}:{given.port}: {error}. Use --port 0 for a free port.\n"
        )
        return 1
    with emulator:
        sys.stdout.write(_greeting(emulator, given.sub_app_id, given.tls))
        sys.stdout.flush()
        done.wait()
    return 0


def _options(given: argparse.Namespace) -> EmulatorOptions:
    return EmulatorOptions(
        hold=given.hold,
        visibility=given.visibility,
        rate_limit=given.rate_limit or None,
        rate_limits=EmulatorOptions().rate_limits if given.rate_limit else {},
        empty=given.empty,
        bad_handle=given.bad_handle,
        mode=given.mode,
        notification_url=given.callback_url,
        sign_key=given.sign_key,
        event_switches=given.event_switches,
        push_form=given.callback_form,
        push_signature=given.callback_signature,
        queue_seconds=given.queue_seconds,
        task_seconds=given.task_seconds,
        rtt=given.rtt_ms / 1000,
    )


def _greeting(emulator: Emulator, sub_app_id: int, certificate: Path | None) -> str:
    body = json.dumps({"vod_task_id": "Concat-1", "files": ["http://example.com/f0.mp4"], "sub_app_id": sub_app_id})
    trust = f"Certificate that clients must trust: {certificate}\n" if certificate else ""
    curl = f"curl --cacert {certificate}" if certificate else "curl"
    return (
        f"VOD emulator at {emulator.endpoint}\n"
        f"SecretId {emulator.secret_id}, secret key {emulator.secret_key}\n{trust}\n"
        f"export AIRFLOW_CONN_VOD_DEFAULT='{emulator.airflow_connection(sub_app_id, certificate)}'\n\n"
        f"Publish an event:\n{curl} --json '{body}' {emulator.endpoint}/_emulator/publish\n"
    )


def _parser() -> argparse.ArgumentParser:
    defaults = EmulatorOptions()
    parser = argparse.ArgumentParser(
        prog="airflow-vod emulator",
        description="Run a local VOD API until interrupted.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--port", type=arguments.port, default=9900, help="port to listen on; 0 picks a free one")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--secret-id", default=SECRET_ID, help="accepted SecretId")
    parser.add_argument("--secret-key", default=SECRET_KEY, help="its secret key")
    parser.add_argument(
        "--sub-app-id", type=arguments.count, default=0, help="SubAppId of the printed connection; any is served"
    )
    parser.add_argument(
        "--tls", type=Path, metavar="FILE", help="serve HTTPS; the self-signed certificate is written to this file"
    )
    parser.add_argument(
        "--hold", type=arguments.amount, default=defaults.hold, help="seconds that a pull waits for an event"
    )
    parser.add_argument(
        "--visibility", type=arguments.amount, default=defaults.visibility, help="seconds to confirm an event"
    )
    parser.add_argument("--rtt-ms", type=arguments.amount, default=0.0, help="simulated round trip in milliseconds")
    parser.add_argument(
        "--rate-limit", type=arguments.count, default=defaults.rate_limit, help="requests/s per action; 0 for none"
    )
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
    _add_events(parser, defaults)
    return parser


def _add_events(parser: argparse.ArgumentParser, defaults: EmulatorOptions) -> None:
    parser.add_argument(
        "--mode", choices=("PULL", "PUSH"), default=defaults.mode, help="initial mode of every application"
    )
    parser.add_argument(
        "--event-switches",
        choices=("ON", "OFF"),
        default=defaults.event_switches,
        help="initial switches of uploads, deletions and persistence; VOD publishes those only while they are ON",
    )
    parser.add_argument("--callback-url", type=arguments.http_url, default="", help="initial callback URL of PUSH mode")
    parser.add_argument("--sign-key", type=arguments.sign_key, default="", help="initial key that signs callbacks")
    parser.add_argument("--callback-form", choices=("v3", "v2", "both"), default="v3", help="format of callbacks")
    parser.add_argument(
        "--callback-signature",
        choices=("body", "query", "headers"),
        default="body",
        help="place of the signature of callbacks",
    )
    parser.add_argument(
        "--queue-seconds",
        type=arguments.amount,
        default=defaults.queue_seconds,
        help="seconds that tasks wait before they begin",
    )
    parser.add_argument(
        "--task-seconds", type=arguments.amount, default=defaults.task_seconds, help="seconds that tasks take"
    )


if __name__ == "__main__":
    sys.exit(main())
