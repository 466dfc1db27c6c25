"""The result of one check, as ``airflow-vod doctor`` prints it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "note", "warning", "error"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check.

    :param level: an ``error`` prevents events from arriving; a ``warning`` may.
    :param text: what was found, and how to fix it.
    """

    level: Level
    text: str
