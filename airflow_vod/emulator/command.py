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

from airflow_vod.emulator.arguments import DESCRIPTION, FORMATTER, add_arguments
from airflow_vod.emulator.options import EmulatorOptions
from airflow_vod.emulator.server import Emulator

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run an emulator until SIGINT or SIGTERM: ``airflow-vod emulator --port 9900``.

    :param argv: arguments without the command name.
    :return: exit status; 1 when it cannot listen.
    """
    return run(_parser().parse_args(argv))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="airflow-vod emulator", description=DESCRIPTION, formatter_class=FORMATTER)
    add_arguments(parser)
    return parser


def run(given: argparse.Namespace) -> int:
    """Do so with arguments that have been read.

    :param given: values for all of `add_arguments`.
    :return: exit status.
    """
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


if __name__ == "__main__":
    sys.exit(main())
