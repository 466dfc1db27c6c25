"""The operator that asks about media files, run by Airflow against the emulator."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_vod.exceptions import ResultError, VodSettingsError
from airflow_vod.operators.media import VodMediaInfoOperator
from tests.airflow_fixtures import SUB_APP_ID, Vod
from tests.dag_runs import DagRun, run_dag
from tests.samples import is_plain_json

pytestmark = pytest.mark.usefixtures("airflow_db")


def ask(**arguments: Any) -> DagRun:
    """Run the operator alone."""
    return run_dag(lambda: VodMediaInfoOperator(task_id="ask", **arguments))


def add(vod: Vod, number: int) -> list[str]:
    """Put files into the application."""
    return [vod.emulator.add_media(f"f{n}.mp4", size=1000 + n, sub_app_id=SUB_APP_ID).file_id for n in range(number)]


def test_what_is_known(vod: Vod) -> None:
    """Names, measures and versions of each file are returned in the order of the ids, as plain JSON."""
    ids = add(vod, 41)[::-1]
    infos = ask(file_ids=ids).xcom("ask")
    assert [info["file_id"] for info in infos] == ids
    assert is_plain_json(infos)
    assert {key: infos[0][key] for key in ("name", "type", "size", "duration", "width", "height")} == {
        **{"name": "f40", "type": "mp4", "size": 1040},
        **{"duration": 10.0, "width": 1280, "height": 720},
    }
    assert infos[0]["versions"][0]["url"] == infos[0]["url"]
    assert vod.emulator.calls.count("DescribeMediaInfos", "ok") == 3


def test_templated_and_mapped(vod: Vod) -> None:
    """The ids may come from a template, or be expanded over."""
    ids = add(vod, 2)
    assert ask(file_ids=f"{{{{ '{ids[0]}' }}}}").xcom("ask")[0]["file_id"] == ids[0]
    run = run_dag(lambda: VodMediaInfoOperator.partial(task_id="ask").expand(file_ids=ids))
    assert [run.xcom("ask", map_index=index)[0]["file_id"] for index in range(2)] == ids


def test_what_does_not_exist(vod: Vod) -> None:
    """A file that does not exist fails the task by its id, or is left out if that is wanted."""
    [file_id] = add(vod, 1)
    error = ask(file_ids=["528", file_id]).error("ask")
    assert isinstance(error, ResultError)
    assert "VOD has no media file 528 in this application" in str(error)
    assert [info["file_id"] for info in ask(file_ids=["528", file_id], skip_missing=True).xcom("ask")] == [file_id]


@pytest.mark.parametrize("file_ids", ["None", "", "['1', '2']", [None], 528, ["a b"], [{"file_id": "1"}]])
def test_what_is_no_id(file_ids: Any) -> None:
    """What cannot be a file id is refused by its value before VOD is asked."""
    with pytest.raises(VodSettingsError, match="file_ids has"):
        VodMediaInfoOperator(task_id="ask", file_ids=file_ids).execute({})  # type: ignore[typeddict-item]


def test_no_ids() -> None:
    """Of no files nothing is known, and VOD is not asked: a mapped task upstream may have found none."""
    assert VodMediaInfoOperator(task_id="ask", file_ids=[], vod_conn_id="no_such").execute({}) == []  # type: ignore[typeddict-item]
