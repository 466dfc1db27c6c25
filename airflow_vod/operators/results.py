"""Results of VOD tasks as operators are given them, and the URLs of their files.

Invariant: what is returned was validated; a file that is passed on has a URL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_vod.exceptions import ResultError

if TYPE_CHECKING:
    from airflow_vod.events.media import MediaFileInfo
    from airflow_vod.events.results import ResultFile, TaskResult
    from airflow_vod.hooks.vod import VodHook


def read_results(value: Any) -> list[TaskResult]:
    """Read what a VOD sensor returned.

    :param value: a result, or several; also the lazy sequence that the output of a mapped sensor is.
    :return: the results; at least one.
    :raises ResultError: it is no result, or there is none.
    """
    from airflow_vod.events.results import TaskResult

    several = not isinstance(value, (str, bytes, dict)) and hasattr(value, "__iter__")
    results = [TaskResult.from_dict(each) for each in (value if several else [value])]
    if not results:
        raise ResultError("result is an empty list: there are no files to pass on.")
    return results


def media_infos(hook: VodHook, file_ids: Sequence[str]) -> dict[str, MediaFileInfo]:
    """Ask VOD about media files.

    :param hook: of the application that has the files.
    :param file_ids: any number of ids.
    :return: by file id, without those that do not exist.
    :raises VodApiError: whatever goes wrong, by kind.
    """
    from airflow_vod.events.media import FILTERS, read_media_info
    from airflow_vod.tencent.media import describe_media_infos

    if not file_ids:
        return {}
    client = hook.get_client()
    try:
        found = describe_media_infos(client, file_ids, FILTERS)
    finally:
        client.close()
    return {file_id: read_media_info(info) for file_id, info in found.items()}


def with_urls(files: Sequence[ResultFile], hook: VodHook, *, ask: bool) -> list[ResultFile]:
    """Complete the URLs of files.

    :param files: of results.
    :param hook: of the application that has the files.
    :param ask: whether to ask VOD for the URLs that are missing.
    :return: the same files, each with a URL.
    :raises ResultError: a URL is missing for good.
    :raises VodApiError: VOD cannot be asked.
    """
    missing = [file.file_id for file in files if not file.url and file.file_id]
    infos = media_infos(hook, missing) if ask else {}
    completed = []
    for file in files:
        info = infos.get(file.file_id or "")
        url = file.url or (info.url if info else None)
        if not url:
            raise ResultError(_no_url(file, asked=ask, exists=info is not None))
        completed.append(replace(file, url=url, type=file.type or (info.type if info else None)))
    return completed


def _no_url(file: ResultFile, *, asked: bool, exists: bool) -> str:
    name = f"File {file.file_id or 'without an id'} of type {file.type}"
    if not file.file_id:
        return f"{name} has no URL in VOD's event, and no file id by which VOD could be asked. Select other files."
    if not asked:
        return f"{name} has no URL in VOD's event. Let the operator ask VOD for it with resolve_urls=True, or select other files."
    if exists:
        return f"{name} has no URL in VOD's event, and VOD names none when it is asked (DescribeMediaInfos). Select other files."
    return f"{name} has no URL in VOD's event, and VOD has no such file any more (DescribeMediaInfos): it was deleted or expired."
