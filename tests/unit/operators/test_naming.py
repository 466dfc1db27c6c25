"""Names of copies: telling, different, and never outside of the destination."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_vod.events.results import ResultFile
from airflow_vod.exceptions import MediaError, VodSettingsError
from airflow_vod.operators.naming import names_of


def file(url: str, **more: object) -> ResultFile:
    """A file with a URL."""
    return ResultFile(url=url, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://h/1500/5285890/f0.mp4?sign=1", "5285890/f0.mp4"),
        ("http://h/f0.mp4", "f0.mp4"),
        ("http://h/a%20b/%E4%B8%AD.mp4", "a b/中.mp4"),
        ("http://h/a/..%2F..%2Fetc%2Fpasswd", "a/.._.._etc_passwd"),
        ("http://h/%2e%2e/f0.mp4", "f0.mp4"),
        ("http://h/a/b%5C%00c", "a/b__c"),
    ],
)
def test_the_usual_name(url: str, name: str) -> None:
    """A copy has the folder and the name of its URL, made harmless."""
    assert names_of([file(url)]) == [name]


def test_a_pattern() -> None:
    """A pattern may have all that is known of a file."""
    known = file("http://h/a/f0.mp4", file_id="5", kind="Transcode", definition=20, type="mp4")
    assert names_of([known], "{kind}/{definition}/{file_id}-{index}.{type}") == ["Transcode/20/5-0.mp4"]
    assert names_of([known], "{folder}/{kind}/x") == ["a/Transcode/x"]


@pytest.mark.parametrize("url", ["http://h", "http://h/", "http://h/..", "http://h/%2e"])
def test_a_url_without_a_name(url: str) -> None:
    """A URL that names no file is refused."""
    with pytest.raises(MediaError, match="names no file"):
        names_of([file(url)])


def test_two_files_of_one_name() -> None:
    """Files that would overwrite each other are refused, and the error names both."""
    with pytest.raises(VodSettingsError, match=r"http://h/a/f0.mp4 and http://h/b/f0.mp4 the same name 'f0.mp4'"):
        names_of([file("http://h/a/f0.mp4"), file("http://h/b/f0.mp4")], "{name}")


@pytest.mark.parametrize("pattern", ["{title}", "{", "{}", "{name.real}", "{0}", "{name[x]}"])
def test_a_pattern_that_cannot_be_filled(pattern: str) -> None:
    """An unknown field is refused by name."""
    with pytest.raises(VodSettingsError, match="file_name is"):
        names_of([file("http://h/a/f0.mp4")], pattern)


@given(st.text(alphabet="./\\%2eE5cf\x00a", max_size=40), st.text(alphabet="./\\\x00a", max_size=10))
def test_no_name_leads_out(path: str, kind: str) -> None:
    """Whatever a URL or an event holds, a name has no step up, no empty step and no root."""
    try:
        [name] = names_of([file(f"http://h/{path}", kind=kind)], "{kind}/{folder}/{name}")
    except MediaError:
        return
    assert not {"", ".", ".."} & set(name.split("/"))
    assert "\\" not in name
    assert "\x00" not in name
