"""Types of arguments. Invariant: a value that cannot work is refused while the command line is read, with exit status 2."""

from __future__ import annotations

import argparse

from airflow_vod.emulator.arguments import http_url

_LARGEST = 2**63 - 1  # of what databases and the API count with


def positive(text: str) -> int:
    """Read a whole number above 0.

    :raises ArgumentTypeError: it is none.
    """
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 0 < number <= _LARGEST:
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, not {text!r:.80}")
    return number


def plain(text: str) -> str:
    """Read a text that databases can compare: without NUL, and of whole characters.

    :raises ArgumentTypeError: it is none.
    """
    if not text or "\0" in text or not text.isprintable():
        raise argparse.ArgumentTypeError(f"must be text without control characters, not {text!r:.80}")
    return text


def base_url(text: str) -> str:
    """Read the external address of Airflow.

    :raises ArgumentTypeError: it is none.
    """
    if not text:
        raise argparse.ArgumentTypeError("must be an http:// or https:// URL, and is empty")
    return http_url(text)
