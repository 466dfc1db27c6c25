"""What VOD says about media files (VOD API, DescribeMediaInfos).

Invariant: any number of files is asked about with as few calls as the API allows, and never faster than it allows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from airflow_vod.exceptions import VodTransientError
from airflow_vod.tencent.pacing import pacer

if TYPE_CHECKING:
    from airflow_vod.tencent.client import VodClient

MEDIA_LIMIT = 20  # file ids per DescribeMediaInfos (VOD API, DescribeMediaInfos)
_ACTION = "DescribeMediaInfos"


def describe_media_infos(
    client: VodClient, file_ids: Iterable[str], sections: Sequence[str] = ()
) -> dict[str, dict[str, Any]]:
    """Ask about media files.

    :param client: of the application that has the files.
    :param file_ids: any number of ids.
    :param sections: ``Filters`` of the API: which parts of MediaInfo to return; none for all.
    :return: each file's MediaInfo as it came, by file id; without those that do not exist.
    :raises VodApiError: whatever goes wrong, by kind.
    """
    wanted = list(dict.fromkeys(file_ids))
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(wanted), MEDIA_LIMIT):
        pacer(client.settings.account, _ACTION).wait()
        params: dict[str, Any] = {"FileIds": wanted[start : start + MEDIA_LIMIT]}
        if sections:
            params["Filters"] = list(sections)
        infos = client.call(_ACTION, params).get("MediaInfoSet") or []
        if not isinstance(infos, list) or not all(isinstance(info, dict) and "FileId" in info for info in infos):
            raise VodTransientError(_ACTION, "BadAnswer", f"MediaInfoSet is {infos!r:.100}")
        found |= {str(info["FileId"]): info for info in infos}
    return found
