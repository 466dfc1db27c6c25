"""Format 2.0 is what the vendor's page shows, and nothing that this package's own parser would like to see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_vod.emulator.legacy import legacy_form
from airflow_vod.emulator.options import EmulatorOptions
from airflow_vod.emulator.push import posts_of

from .helpers import Local

DATA = Path(__file__).parents[1] / "data"
SAMPLES = json.loads((DATA / "both_forms.json").read_text())
"""Per event type, the vendor's sample of format 2.0, and the same event in the vendor's structure of format 3.0."""

ONLY_IN_2_0 = {"transcodeTaskId", "author", "drm", "watermark"}
"""Fields of those samples that format 3.0 has no place for, so that nothing can be converted into them."""


def without(value: Any, names: set[str]) -> Any:
    """Drop fields at any depth."""
    if isinstance(value, dict):
        return {name: without(item, names) for name, item in value.items() if name not in names}
    return [without(item, names) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("event_type", SAMPLES)
def test_an_event_becomes_the_vendors_sample(event_type: str) -> None:
    """What is written equals the vendor's sample to the last field."""
    assert legacy_form(SAMPLES[event_type]["v3.0"]) == without(SAMPLES[event_type]["v2.0"], ONLY_IN_2_0)


@pytest.mark.parametrize(
    ("item", "written"),
    [
        (
            {
                "Type": "ImageSprites",
                "ImageSpriteTask": {
                    "Status": "SUCCESS",
                    "ErrCode": 0,
                    "Input": {"Definition": 10},
                    "Output": {
                        "TotalCount": 9,
                        "ImageUrlSet": ["http://x/1.jpg"],
                        "WebVttUrl": "http://x/1.vtt",
                        "Width": 1,
                    },
                },
            },
            {
                "taskType": "ImageSprites",
                "status": "SUCCESS",
                "errCode": 0,
                "message": "",
                "input": {"definition": 10},
                "output": {"totalCount": 9, "urlList": ["http://x/1.jpg"], "webVttUrl": "http://x/1.vtt"},
            },
        ),
        (
            {
                "Type": "AnimatedGraphics",
                "AnimatedGraphicTask": {
                    "Status": "FAIL",
                    "ErrCode": 30010,
                    "Message": "no",
                    "Input": {"Definition": 20000, "StartTimeOffset": 1, "EndTimeOffset": 2},
                    "Output": None,
                },
            },
            {
                "taskType": "AnimatedGraphics",
                "status": "FAIL",
                "errCode": 30010,
                "message": "no",
                "input": {"definition": 20000, "startTime": 1, "endTime": 2},
            },
        ),
        (
            {"Type": "AdaptiveDynamicStreaming", "AdaptiveDynamicStreamingTask": {"Status": "SUCCESS", "ErrCode": 0}},
            None,
        ),
    ],
)
def test_sub_tasks_are_those_of_the_page(item: dict[str, Any], written: dict[str, Any] | None) -> None:
    """Each kind of sub-task has the names that the page gives to it; a kind that it does not list is not written."""
    event = {"EventType": "ProcedureStateChanged", "ProcedureStateChangeEvent": {"MediaProcessResultSet": [item]}}
    form = legacy_form(event)
    assert form is not None
    assert form["data"].get("processTaskList") == (None if written is None else [written])


def test_what_the_page_does_not_have_is_not_posted() -> None:
    """The page names no format 2.0 of EditMediaComplete: the two formats together post it once, format 2.0 alone never."""
    event = {"EventType": "EditMediaComplete", "EditMediaCompleteEvent": {"TaskId": "a"}}
    assert legacy_form(event) is None
    config = Local(notification_url="http://x/").api.application(0).config
    for form, posts in (("v3", 1), ("both", 1), ("v2", 0)):
        options = EmulatorOptions(push_form=form)  # type: ignore[arg-type]
        assert len(posts_of(event, 0, config, options, 0.0)) == posts
