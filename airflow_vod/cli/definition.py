"""The same commands as ``airflow tencent-vod``, in Airflow's own command line, which asks for them from Airflow 3.2 on.

Invariants: ``airflow`` loads this module whatever it was called for, so it imports nothing that is heavy; and each command is
the very one of ``airflow-vod``, with the same arguments, output and exit status.
"""

from __future__ import annotations

import argparse
import logging
import sys
from typing import TYPE_CHECKING

from airflow_vod.cli.main import COMMANDS, Command, run

if TYPE_CHECKING:
    from airflow.cli.cli_config import CLICommand

NAME = "tencent-vod"


def get_cli_commands() -> list[CLICommand]:
    """Describe the commands in Airflow's terms."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

    class Arguments(Arg):
        """All that a command takes; it adds them to its parser itself."""

        def __init__(self, command: Command) -> None:
            super().__init__(flags=(command.name,))
            self.command = command

        def add_to_parser(self, parser: argparse.ArgumentParser) -> None:
            parser.formatter_class = self.command.formatter  # Airflow's takes [words in brackets] for markup
            self.command.fill(parser)

    commands = [
        ActionCommand(each.name, each.help, run_in_airflow, (Arguments(each),), each.description) for each in COMMANDS
    ]
    return [GroupCommand(NAME, "Tools for Tencent Cloud VOD", commands)]


def run_in_airflow(arguments: argparse.Namespace) -> None:
    """Run a command that Airflow's command line has read.

    :param arguments: what it read.
    :raises SystemExit: the command failed; with its exit status.
    """
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stdout:
            handler.setStream(sys.stderr)  # standard output is for the answer alone
    if status := run(arguments, f"airflow {NAME}"):
        sys.exit(status)
