"""The command ``airflow-vod``.

Invariants: each subcommand imports what it needs when it runs, so ``airflow-vod emulator`` works without Airflow installed;
only the output of a command goes to standard output, while Airflow's log messages go to standard error; what goes wrong ends in
one line and exit status 1, and wrong arguments in exit status 2.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from airflow_vod import __version__
from airflow_vod.cli.arguments import base_url, plain, positive
from airflow_vod.cli.events import fill_events
from airflow_vod.emulator import arguments as emulator
from airflow_vod.exceptions import VodError, printable


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand.

    :param argv: the arguments after ``airflow-vod``; None for those of the command line.
    :return: exit status: 0 for success.
    """
    return run(_parser().parse_args(argv), "airflow-vod")


def run(arguments: argparse.Namespace, name: str) -> int:
    """Run the subcommand that was asked for.

    :param arguments: what a parser read that one of `COMMANDS` filled.
    :param name: what people typed, for messages of errors.
    :return: exit status: 0 for success.
    """
    arguments.out = sys.stdout
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that does not know a letter is shown its code instead
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return arguments.run(arguments)
    except VodError as error:
        print(f"{name}: {printable(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130  # as of whatever SIGINT ends
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


@dataclass(frozen=True)
class Command:
    """A subcommand, as any parser can take it.

    :param name: what people type.
    :param help: its line in the list of commands.
    :param fill: adds its arguments, or subcommands of its own, to its parser, and sets `run`.
    :param description: the text above its help; `help` where it has none.
    :param formatter: how its help is set.
    """

    name: str
    help: str
    fill: Callable[[argparse.ArgumentParser], None]
    description: str | None = None
    formatter: type[argparse.HelpFormatter] = argparse.HelpFormatter


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="airflow-vod", description="Tools for Tencent Cloud VOD in Apache Airflow.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for each in COMMANDS:
        each.fill(
            commands.add_parser(
                each.name, help=each.help, description=each.description or each.help, formatter_class=each.formatter
            )
        )
    return parser


def _fill_emulator(parser: argparse.ArgumentParser) -> None:
    emulator.add_arguments(parser)
    parser.set_defaults(run=_emulator)


def _fill_demo(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_demo)


def _fill_relay(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    run = actions.add_parser("run", help="relay until interrupted")
    run.set_defaults(run=_relay_run)
    status = actions.add_parser("status", help="show who holds the lease, how far behind the queue is, and the waiters")
    status.add_argument("--json", action="store_true", help="print JSON")
    status.set_defaults(run=_relay_status)
    for each in (run, status):
        _add_connection(each)


def _fill_doctor(parser: argparse.ArgumentParser) -> None:
    _add_connection(parser)
    parser.add_argument(
        "--mode",
        type=str.upper,
        choices=("PULL", "PUSH"),
        help="the intended delivery (default: PUSH if the connection has a secret for callbacks, else PULL)",
    )
    parser.add_argument("--base-url", type=base_url, help="external address of Airflow (default: [api] base_url)")
    parser.add_argument("--fix", action="store_true", help="set mode, URL and SignKey of the application")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_doctor)


def _add_connection(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--conn-id", type=plain, default="vod_default", help="Airflow connection (default: %(default)s)"
    )
    command.add_argument("--sub-app-id", type=positive, help="SubAppId of another application than the connection's")


COMMANDS = (
    Command(
        "emulator",
        "run a local VOD API for tests",
        _fill_emulator,
        description=emulator.DESCRIPTION,
        formatter=emulator.FORMATTER,
    ),
    Command("demo", "run a DAG that waits for the vendor's sample event, all on this machine", _fill_demo),
    Command(
        "relay",
        "pull events into the inbox without waiting for any, or show the state of the relay",
        _fill_relay,
        description="Sensors and triggers relay events themselves while they wait; a standalone relay also empties the queue "
        "in between. Any number may run: one pulls, the others stand by.",
    ),
    Command(
        "doctor",
        "check whether events will arrive, which will not, and why",
        _fill_doctor,
        description="Checks the connection, the inbox and the application's callback settings. Changes nothing without --fix.",
    ),
    Command("events", "list, export or replay the events in the inbox", fill_events),
)
"""The subcommands, for ``airflow-vod`` and for Airflow's own command."""


def _emulator(arguments: argparse.Namespace) -> int:
    from airflow_vod.emulator.command import run as serve

    with contextlib.redirect_stdout(arguments.out):  # everything it prints is its output
        return serve(arguments)


def _doctor(arguments: argparse.Namespace) -> int:
    from airflow_vod.cli.doctor import examine, print_results

    results = examine(
        arguments.conn_id, arguments.sub_app_id, mode=arguments.mode, base_url=arguments.base_url, fix=arguments.fix
    )
    return print_results(results, arguments.out, as_json=arguments.json)


def _demo(arguments: argparse.Namespace) -> int:
    from airflow_vod.cli.demo import main as demo

    with contextlib.redirect_stdout(arguments.out):  # as above
        return demo()


def _relay_run(arguments: argparse.Namespace) -> int:
    from airflow_vod.cli.relay_run import run as relay

    return relay(arguments.conn_id, arguments.sub_app_id)


def _relay_status(arguments: argparse.Namespace) -> int:
    from airflow_vod.cli.relay_status import print_status

    return print_status(arguments.conn_id, arguments.sub_app_id, arguments.out, as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
