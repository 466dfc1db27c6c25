"""The command ``airflow-vod``.

Invariants: each subcommand imports what it needs when it runs, so ``airflow-vod emulator`` works without Airflow installed;
only the output of a command goes to standard output, while Airflow's log messages go to standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence

from airflow_vod import __version__
from airflow_vod.cli.events import add_events
from airflow_vod.exceptions import VodError


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand.

    :param argv: the arguments after ``airflow-vod``; None for those of the command line.
    :return: exit status: 0 for success.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["emulator"]:
        from airflow_vod.emulator.command import main as emulator

        return emulator(words[1:])
    arguments = _parser().parse_args(words)
    arguments.out = sys.stdout
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return arguments.run(arguments)
    except VodError as error:
        print(f"airflow-vod: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="airflow-vod", description="Tools for Tencent Cloud VOD in Apache Airflow.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("emulator", help="run a local VOD API for tests (--help lists its options)", add_help=False)
    demo = commands.add_parser("demo", help="run a DAG that waits for the vendor's sample event, all on this machine")
    demo.set_defaults(run=_demo)
    _add_relay(commands)
    _add_doctor(commands)
    add_events(commands)
    return parser


def _add_relay(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    relay = commands.add_parser(
        "relay",
        help="pull events into the inbox without waiting for any, or show the state of the relay",
        description="Sensors and triggers relay events themselves while they wait; a standalone relay also empties the queue "
        "in between. Any number may run: one pulls, the others stand by.",
    )
    actions = relay.add_subparsers(required=True, metavar="ACTION")
    run = actions.add_parser("run", help="relay until interrupted")
    run.set_defaults(run=_relay_run)
    status = actions.add_parser("status", help="show who holds the lease, how far behind the queue is, and the waiters")
    status.add_argument("--json", action="store_true", help="print JSON")
    status.set_defaults(run=_relay_status)
    for each in (run, status):
        each.add_argument("--conn-id", default="vod_default", help="Airflow connection (default: %(default)s)")
        each.add_argument("--sub-app-id", type=int, help="overrides the connection's application")


def _add_doctor(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="check whether events will arrive, which will not, and why",
        description="Checks the connection, the inbox and the application's callback settings. Changes nothing without --fix.",
    )
    doctor.add_argument("--conn-id", default="vod_default", help="Airflow connection (default: %(default)s)")
    doctor.add_argument("--sub-app-id", type=int, help="overrides the connection's application")
    doctor.add_argument(
        "--mode",
        type=str.upper,
        choices=("PULL", "PUSH"),
        help="the intended delivery (default: PUSH if the connection has a secret for callbacks, else PULL)",
    )
    doctor.add_argument("--base-url", help="external address of Airflow (default: [api] base_url)")
    doctor.add_argument("--fix", action="store_true", help="set mode, URL and SignKey of the application")
    doctor.add_argument("--json", action="store_true", help="print JSON")
    doctor.set_defaults(run=_doctor)


def _doctor(arguments: argparse.Namespace) -> int:
    from airflow_vod.cli.doctor import examine, print_results

    results = examine(
        arguments.conn_id, arguments.sub_app_id, mode=arguments.mode, base_url=arguments.base_url, fix=arguments.fix
    )
    return print_results(results, arguments.out, as_json=arguments.json)


def _demo(arguments: argparse.Namespace) -> int:
    from airflow_vod.cli.demo import main as demo

    with contextlib.redirect_stdout(arguments.out):  # everything it prints is its output
        return demo()


def _relay_run(arguments: argparse.Namespace) -> int:
    from airflow_vod.cli.relay_run import run

    return run(arguments.conn_id, arguments.sub_app_id)


def _relay_status(arguments: argparse.Namespace) -> int:
    from airflow_vod.cli.relay_status import print_status

    return print_status(arguments.conn_id, arguments.sub_app_id, arguments.out, as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
