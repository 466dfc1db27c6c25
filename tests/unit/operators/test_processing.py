from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_vod.exceptions import VodSettingsError
from airflow_vod.operators.processing import (
    VodComposeMediaOperator,
    VodConcatOperator,
    VodEditMediaOperator,
    VodProcessMediaOperator,
    VodPullUploadOperator,
)
from airflow_vod.operators.submit import VodSubmitOperator

TRACK = {"Type": "Video", "TrackItems": [{"Type": "Video", "VideoItem": {"SourceMedia": "1"}}]}


@pytest.mark.parametrize(
    ("make", "action", "parameters"),
    [
        (
            lambda: VodConcatOperator(task_id="t", files=["1", {"file_id": "2", "url": "x"}], output_name="n"),
            "EditMedia",
            {
                "InputType": "File",
                "FileInfos": [{"FileId": "1"}, {"FileId": "2"}],
                "OutputConfig": {"MediaName": "n"},
            },
        ),
        (
            lambda: VodEditMediaOperator(
                task_id="t",
                clips=["1", {"file_id": "2", "start": 1, "end": 2.5}],
                output_type="hls",
                class_id=0,
                procedure_name="p",
                parameters={"Definition": 20},
            ),
            "EditMedia",
            {
                "InputType": "File",
                "FileInfos": [{"FileId": "1"}, {"FileId": "2", "StartTimeOffset": 1.0, "EndTimeOffset": 2.5}],
                "OutputConfig": {"Type": "hls", "ClassId": 0},
                "ProcedureName": "p",
                "Definition": 20,
            },
        ),
        (
            lambda: VodEditMediaOperator(task_id="t", streams=[{"stream_id": "s", "start_time": "a", "end_time": "b"}]),
            "EditMedia",
            {"InputType": "Stream", "StreamInfos": [{"StreamId": "s", "StartTime": "a", "EndTime": "b"}]},
        ),
        (
            lambda: VodComposeMediaOperator(
                task_id="t", tracks=[TRACK], output_file={"FileName": "n"}, canvas={"Width": 1}
            ),
            "ComposeMedia",
            {"Tracks": [TRACK], "Output": {"FileName": "n"}, "Canvas": {"Width": 1}},
        ),
        (
            lambda: VodProcessMediaOperator(task_id="t", file_id="1", procedure_name="p"),
            "ProcessMediaByProcedure",
            {"FileId": "1", "ProcedureName": "p"},
        ),
        (
            lambda: VodProcessMediaOperator(task_id="t", file_id="1", tasks={"TranscodeTaskSet": [{"Definition": 1}]}),
            "ProcessMedia",
            {"FileId": "1", "MediaProcessTask": {"TranscodeTaskSet": [{"Definition": 1}]}},
        ),
        (
            lambda: VodPullUploadOperator(task_id="t", url="https://x/y.mp4", media_name="n", procedure_name="p"),
            "PullUpload",
            {"MediaUrl": "https://x/y.mp4", "MediaName": "n", "Procedure": "p"},
        ),
    ],
)
def test_what_is_asked_of_vod(make: Any, action: str, parameters: dict[str, Any]) -> None:
    """Each operator writes its arguments under VOD's names, leaves out what is not given, and adds the further ones."""
    operator = make()
    assert operator.action == action
    assert operator.api_parameters() == parameters


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: VodConcatOperator(task_id="t", files=[]), "files is an empty list"),
        (lambda: VodConcatOperator(task_id="t", files="12"), "files is '12'.*must be a list"),
        (lambda: VodConcatOperator(task_id="t", files=["1", None]), "file_id is None"),
        (lambda: VodConcatOperator(task_id="t", files=["1", {"url": "x"}]), "file_id is None"),
        (lambda: VodConcatOperator(task_id="t", files=["1"], output_name="n" * 65), "65 characters.*at most 64"),
        (lambda: VodConcatOperator(task_id="t", files=["1"], output_type="avi"), "'avi'.*mp4 or hls"),
        (lambda: VodConcatOperator(task_id="t", files=["1"], parameters={"FileInfos": []}), "FileInfos, which"),
        (lambda: VodEditMediaOperator(task_id="t"), "either clips"),
        (lambda: VodEditMediaOperator(task_id="t", clips=["1"], streams=["2"]), "either clips"),
        (lambda: VodEditMediaOperator(task_id="t", clips=[{"file_id": "1", "from": 2}]), "unknown key 'from'"),
        (lambda: VodEditMediaOperator(task_id="t", clips=[{"file_id": "1", "start": 3, "end": 2}]), "not after"),
        (lambda: VodEditMediaOperator(task_id="t", clips=[{"file_id": "1", "start": -1}]), "start of a clip is -1"),
        (lambda: VodEditMediaOperator(task_id="t", clips=[{"file_id": "1", "end": "x"}]), "end of a clip is 'x'"),
        (lambda: VodEditMediaOperator(task_id="t", streams=[{"stream_id": "s"}]), "exactly stream_id"),
        (
            lambda: VodComposeMediaOperator(task_id="t", tracks=[{"Type": "Text"}], output_file={}),
            "Video, Audio, Image",
        ),
        (lambda: VodComposeMediaOperator(task_id="t", tracks=[TRACK], output_file="n"), "output_file is 'n'"),
        (lambda: VodProcessMediaOperator(task_id="t", file_id="1"), "nothing to do"),
        (lambda: VodProcessMediaOperator(task_id="t", file_id="1", procedure_name="p", tasks={"X": 1}), "either"),
        (lambda: VodProcessMediaOperator(task_id="t", file_id="", procedure_name="p"), "file_id is ''"),
        (lambda: VodPullUploadOperator(task_id="t", url="ftp://x"), "http:// or https://"),
        (lambda: VodPullUploadOperator(task_id="t", url=None), "url is NoneType"),
        (lambda: VodSubmitOperator(task_id="t", action="EditMedai"), "did you mean EditMedia"),
        (lambda: VodSubmitOperator(task_id="t", action="DescribeTasks"), "starts no task"),
        (lambda: VodSubmitOperator(task_id="t", action="EditMedia", parameters=["x"]), "must be a dictionary"),
        (lambda: VodSubmitOperator(task_id="t", action="EditMedia", session_context="x" * 1001), "at most 1000"),
    ],
)
def test_wrong_arguments_break_the_dag(make: Any, message: str) -> None:
    """What can be checked when a DAG is parsed is: with the argument's name, its value and the remedy."""
    with pytest.raises(VodSettingsError, match=f"(?s){message}"):
        make()


@pytest.mark.parametrize("name", ["vod_task_id", "event_type", "start_from_trigger", "end_from_trigger"])
def test_arguments_of_sensors_that_make_no_sense(name: str) -> None:
    """What only a wait for somebody else's task needs is refused by name."""
    with pytest.raises(TypeError, match=name):
        VodSubmitOperator(task_id="t", action="EditMedia", **{name: "x"})


def test_a_signed_url_is_in_no_message() -> None:
    """The URL of PullUpload may be signed."""
    with pytest.raises(VodSettingsError) as raised:
        VodPullUploadOperator(task_id="t", url="ftp://x/?sign=secret")
    assert "secret" not in str(raised.value)


def test_templates_and_outputs_are_not_judged_too_early() -> None:
    """What another task or a template is going to say is checked when it is known."""
    with DAG("dag", schedule=None):
        before = VodPullUploadOperator(task_id="pull", url="{{ params.url }}")
        VodConcatOperator(task_id="a", files=before.output)
        VodConcatOperator(task_id="b", files=["1", before.output["file_id"]], output_name="{{ ds }}" * 20)
        VodConcatOperator(task_id="c", files="{{ params.files }}")
        VodEditMediaOperator(task_id="d", clips=[{"file_id": "{{ x }}", "start": "{{ y }}"}])
        VodSubmitOperator(task_id="e", action="EditMedia", parameters=before.output)
        VodSubmitOperator(
            task_id="f", action="EditMedia", parameters="{{ params.edit }}", session_context="{{ x }}" * 200
        )
        mapped = VodSubmitOperator.partial(task_id="g", action="EditMedia").expand(parameters=[{}, {}])
    assert mapped.operator_class is VodSubmitOperator
