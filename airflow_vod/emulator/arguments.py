"""Types of the emulator's arguments.

Invariant: a value that cannot work is refused with an `argparse.ArgumentTypeError`, before anything listens.
"""

from __future__ import annotations

import argparse
import math
import re
from urllib.parse import urlsplit


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
