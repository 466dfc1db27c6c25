"""Events and a clock for tests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from airflow_vod.events.parse import UnparsedEvent, VodEvent, parse_event, read_event


def concat_event(vod_task_id: str, file_id: str = "14508071098244931831") -> VodEvent:
    """A finished splice with one file."""
    file = {"ErrCode": 0, "FileId": file_id, "FileUrl": f"http://example.com/{file_id}/f0.mp4", "FileType": "mp4"}
    payload = {"TaskId": vod_task_id, "FileInfoSet": [file]}
    return parse_event({"EventType": "ConcatComplete", "ConcatCompleteEvent": payload})


def procedure_event(vod_task_id: str, status: str) -> VodEvent:
    """A step of a procedure; it has ended when `status` is FINISH."""
    payload = {"TaskId": vod_task_id, "Status": status, "FileId": "5285890784246869930"}
    return parse_event({"EventType": "ProcedureStateChanged", "ProcedureStateChangeEvent": payload})


def unparsed_event(body: Any = "not an event") -> UnparsedEvent:
    """Something that is no event."""
    event = read_event(body)
    assert isinstance(event, UnparsedEvent)
    return event


def is_plain_json(value: Any) -> bool:
    """Say whether JSON gives a value back as it is, down to its types: no tuple, no subclass of str, no enumeration."""
    return repr(json.loads(json.dumps(value))) == repr(value)


@dataclass
class Clock:
    """A clock that is moved by hand; Unix seconds."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now
