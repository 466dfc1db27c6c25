"""The arguments of the emulator's command, and their types.

Invariants: reading them loads no server; a value that cannot work is refused with an `argparse.ArgumentTypeError`, before
anything listens.
"""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path
from urllib.parse import urlsplit

from airflow_vod.emulator.options import SECRET_ID, SECRET_KEY, EmulatorOptions

DESCRIPTION = "Run a local VOD API until interrupted."
FORMATTER = argparse.ArgumentDefaultsHelpFormatter


def port(text: str) -> int:
    """Read a port to listen on."""
    number = count(text)
    if number > 65535:
        raise argparse.ArgumentTypeError(f"must be 0 to 65535, not {text!r:.80}")
    return number


def count(text: str) -> int:
    """Read a whole number from 0 on."""
    if not (text.isascii() and text.isdecimal() and int(text[:20]) < 2**63):
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 on, not {text!r:.80}")
    return int(text)


def amount(text: str) -> float:
    """Read a number from 0 on that ends."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number from 0 on, not {text!r:.80}")
    return number


def http_url(text: str) -> str:
    """Read an address, or none."""
    try:
        parts = urlsplit(text)
        usable = not text or (parts.scheme in ("http", "https") and parts.hostname and parts.port != 0)
    except ValueError:
        usable = False
    if not usable:  # without the value, which may hold a password
        raise argparse.ArgumentTypeError("must be an http:// or https:// URL")
    return text


def sign_key(text: str) -> str:
    """Read a SignKey, or none."""
    if not re.fullmatch(r"[A-Za-z0-9]{0,32}", text):
        raise argparse.ArgumentTypeError("must be at most 32 letters and digits, as VOD's SignKey")
    return text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the emulator's command takes.

    :param parser: that of the command.
    """
    defaults = EmulatorOptions()
    parser.add_argument("--port", type=port, default=9900, help="port to listen on; 0 picks a free one")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--secret-id", default=SECRET_ID, help="accepted SecretId")
    parser.add_argument("--secret-key", default=SECRET_KEY, help="its secret key")
    parser.add_argument("--sub-app-id", type=count, default=0, help="SubAppId of the printed connection; any is served")
    parser.add_argument(
        "--tls", type=Path, metavar="FILE", help="serve HTTPS; the self-signed certificate is written to this file"
    )
    parser.add_argument("--hold", type=amount, default=defaults.hold, help="seconds that a pull waits for an event")
    parser.add_argument("--visibility", type=amount, default=defaults.visibility, help="seconds to confirm an event")
    parser.add_argument("--rtt-ms", type=amount, default=0.0, help="simulated round trip in milliseconds")
    parser.add_argument(
        "--rate-limit", type=count, default=defaults.rate_limit, help="requests/s per action; 0 for none"
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
    parser.add_argument("--callback-url", type=http_url, default="", help="initial callback URL of PUSH mode")
    parser.add_argument("--sign-key", type=sign_key, default="", help="initial key that signs callbacks")
    parser.add_argument("--callback-form", choices=("v3", "v2", "both"), default="v3", help="format of callbacks")
    parser.add_argument(
        "--callback-signature",
        choices=("body", "query", "headers"),
        default="body",
        help="place of the signature of callbacks",
    )
    parser.add_argument(
        "--queue-seconds",
        type=amount,
        default=defaults.queue_seconds,
        help="seconds that tasks wait before they begin",
    )
    parser.add_argument("--task-seconds", type=amount, default=defaults.task_seconds, help="seconds that tasks take")
