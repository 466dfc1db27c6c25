"""VOD tasks, as DescribeTaskDetail and DescribeTasks return them.

Invariant: a task is returned for `lookback` seconds after its submission and not after that; times are by the emulator's clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_vod.emulator.schedule import Schedule

STATUSES = ("WAITING", "PROCESSING", "FINISH", "ABORTED")
"""Statuses of a task (VOD API 2018-07-17, DescribeTaskDetail)."""

_IRREGULAR_FIELDS = {"ImageSprite": "CreateImageSpriteTask", "ImageSprites": "CreateImageSpriteTask"}
_FIELDS_WITHOUT_SUFFIX = frozenset({"ImportMediaKnowledge"})
ALWAYS_PRESENT = (
    "ProcedureTask",
    "EditMediaTask",
    "WechatPublishTask",
    "ComposeMediaTask",
    "SplitMediaTask",
    "WechatMiniProgramPublishTask",
    "PullUploadTask",
    "TranscodeTask",
    "ConcatTask",
    "ClipTask",
    "CreateImageSpriteTask",
    "SnapshotByTimeOffsetTask",
    "RemoveWatermarkTask",
    "RebuildMediaTask",
    "ExtractTraceWatermarkTask",
    "ExtractCopyRightWatermarkTask",
    "ReviewAudioVideoTask",
    "ReduceMediaBitrateTask",
    "DescribeFileAttributesTask",
    "QualityInspectTask",
    "QualityEnhanceTask",
    "ComplexAdaptiveDynamicStreamingTask",
)
"""Fields that the schema describes as nullable and always present; newer ones may be absent."""


def detail_field(task_type: str) -> str:
    """:param task_type: such as ``EditMedia``.
    :return: the field of DescribeTaskDetail's answer that holds such a task's detail.
    """
    if task_type in _FIELDS_WITHOUT_SUFFIX or task_type.endswith("Task"):
        return task_type
    return _IRREGULAR_FIELDS.get(task_type, f"{task_type}Task")


def timestamp(seconds: float | None) -> str:
    """Format a time as the vendor does.

    :param seconds: Unix seconds; None for "not yet".
    :return: ISO 8601 in UTC; for "not yet", the vendor's zero value.
    """
    if seconds is None:
        return "0001-01-01T00:00:00Z"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(slots=True, eq=False)
class Task:
    """One VOD task."""

    vod_task_id: str
    task_type: str
    status: str
    created_at: float
    detail: Mapping[str, Any] | None = None
    """Content of the field named `field`."""
    field: str = ""
    """Field that holds the detail; empty for the usual one."""
    began_at: float | None = None
    finished_at: float | None = None
    file_id: str = ""
    """Of the media file that it works on, if that is one."""
    session_id: str = ""
    session_context: str = ""

    def describe(self, *, null_fields: bool) -> dict[str, Any]:
        """:param null_fields: whether to add null for every field that is always present.
        :return: the members of DescribeTaskDetail's answer.
        """
        return {
            "TaskType": self.task_type,
            "Status": self.status,
            "CreateTime": timestamp(self.created_at),
            "BeginProcessTime": timestamp(self.began_at),
            "FinishTime": timestamp(self.finished_at),
            **(dict.fromkeys(ALWAYS_PRESENT) if null_fields else {}),
            self.field or detail_field(self.task_type): self.detail,
        }


@dataclass(slots=True)
class Tasks:
    """The tasks of one application. Not thread-safe: its owner holds a lock."""

    schedule: Schedule
    lookback: float
    _tasks: dict[str, Task] = field(default_factory=dict)

    def add(self, task: Task) -> None:
        """Register a task; it replaces one with the same id.

        :param task: the task.
        :raises ValueError: when its status is not valid.
        """
        if task.status not in STATUSES:
            raise ValueError(f"status must be one of {', '.join(STATUSES)}, got {task.status!r}")
        self._tasks[task.vod_task_id] = task

    def get(self, vod_task_id: str) -> Task | None:
        """:return: the task; None when there is none or it was submitted too long ago."""
        task = self._tasks.get(vod_task_id)
        if task is not None and task.created_at + self.lookback <= self.schedule.now():
            del self._tasks[vod_task_id]
            return None
        return task

    def listed(self, delay: float) -> list[Task]:
        """:param delay: seconds after its submission before which a task is not listed.
        :return: the tasks, oldest first.
        """
        now = self.schedule.now()
        return [task for task in self._tasks.values() if delay <= now - task.created_at < self.lookback]
