"""All actions that start tasks.

Invariant: an action is in exactly one of the two tables.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from airflow_vod.emulator.generated_tasks import GENERATED_TASKS
from airflow_vod.emulator.media_tasks import MEDIA_TASKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_vod.emulator.starter import Starter

STARTERS: Mapping[str, Starter] = MappingProxyType({row.action: row for row in (*MEDIA_TASKS, *GENERATED_TASKS)})
"""By name."""
