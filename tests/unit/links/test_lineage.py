"""The datasets that OpenLineage gets for the files that VOD tasks read and made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.openlineage.facet import Dataset
from airflow.sdk import ObjectStoragePath

from airflow_vod.events.results import Outcome, ResultFile, TaskResult
from airflow_vod.links.lineage import lineage_of, lineage_of_copies


def result(*files: ResultFile, **more: Any) -> TaskResult:
    """What a VOD task produced."""
    return TaskResult("Task-1", "TranscodeComplete", Outcome.SUCCEEDED, files, **more)


def file(url: str | None, file_id: str | None = None, **more: Any) -> ResultFile:
    """A file that it made."""
    return ResultFile(file_id, url, "mp4", **more)


def names(datasets: list[Dataset]) -> list[tuple[str, str]]:
    """Namespace and name of each."""
    return [(dataset.namespace, dataset.name) for dataset in datasets]


@pytest.mark.parametrize(
    ("url", "namespace", "name"),
    [
        ("https://example.com/a/f0.mp4", "https://example.com", "/a/f0.mp4"),
        ("http://Example.com:8080/a/f0.mp4", "http://example.com:8080", "/a/f0.mp4"),
        ("https://example.com/a/f0.mp4?t=5f0&exper=60&us=1&sign=0a1b2c", "https://example.com", "/a/f0.mp4"),
        ("https://user:password@example.com/a%20b.mp4#part", "https://example.com", "/a%20b.mp4"),
        ("https://[2001:db8::1]/f0.mp4", "https://[2001:db8::1]", "/f0.mp4"),
    ],
)
def test_names(url: str, namespace: str, name: str) -> None:
    """A file is named by scheme, host and path of its URL, which with nothing between are that URL without its secrets."""
    [dataset] = lineage_of([result(file(url))]).outputs
    assert (dataset.namespace, dataset.name) == (namespace, name)
    assert not dataset.facets


@pytest.mark.parametrize(
    "url", [None, "", "f0.mp4", "/etc/passwd", "ftp://h/f", "https://h", "http://[", "http://h:x/f"]
)
def test_what_has_no_place_in_the_web(url: str | None) -> None:
    """A file without a URL is named by its FileId; what has neither is left out."""
    assert names(lineage_of([result(file(url, "5285890"), file(url))]).outputs) == [("tencent-vod", "5285890")]


def test_two_names_of_a_file() -> None:
    """A file with a URL and a FileId can be found by both."""
    [dataset] = lineage_of([result(file("https://example.com/f0.mp4", "5285890"))]).outputs
    [alias] = dataset.facets["symlinks"].identifiers
    assert (alias.namespace, alias.name, alias.type) == ("tencent-vod", "5285890", "FILE")


def test_inputs_and_outputs() -> None:
    """The media file of a task is read unless the task made it; what failed is no output."""
    transcoded = result(file("https://h/f.1.mp4"), file("https://h/f.2.mp4", error_code=70000), file_id="source")
    uploaded = result(file("https://h/u.mp4", "made"), file_id="made")
    reviewed = result(file_id=None)
    lineage = lineage_of([transcoded, uploaded, reviewed])
    assert names(lineage.inputs) == [("tencent-vod", "source")]
    assert names(lineage.outputs) == [("https://h", "/f.1.mp4"), ("https://h", "/u.mp4")]


def test_files_that_were_chosen() -> None:
    """If only some files are passed on, only those are outputs."""
    made = [file("https://h/f.mp4", "1"), file("https://h/f.m3u8", "2")]
    lineage = lineage_of([result(*made, file_id="1")], made[1:])
    assert (names(lineage.inputs), names(lineage.outputs)) == ([], [("https://h", "/f.m3u8")])


def test_copies(tmp_path: Path) -> None:
    """Copies are outputs by bucket and key, or by path, and their URLs, without signatures, are inputs."""
    copied = file("https://h/a/f.mp4?sign=0a1b2c", "1")
    paths = [ObjectStoragePath("memory://bucket/videos/f.mp4"), ObjectStoragePath(f"file://{tmp_path}/f.mp4")]
    lineage = lineage_of_copies([(copied, path) for path in paths])
    assert names(lineage.inputs) == [("https://h", "/a/f.mp4")] * 2
    assert names(lineage.outputs) == [("memory://bucket", "videos/f.mp4"), ("file", f"{tmp_path}/f.mp4")]
