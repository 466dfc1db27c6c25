"""The operator that asks VOD about media files.

Invariant: what is returned stands in the order of the ids that were given, one for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_vod.exceptions import ResultError, VodSettingsError
from airflow_vod.hooks.vod import DEFAULT_CONN_ID, VodHook
from airflow_vod.links.vod import VodConsoleLink
from airflow_vod.operators.results import media_infos

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, XComArg

    from airflow_vod.tencent.settings import VodSettings


class VodMediaInfoOperator(BaseOperator):
    """Asks VOD about media files: names, durations, sizes, and the versions of each with their URLs.

    Returns a list of dictionaries, one for each id, with the fields of `airflow_vod.events.media.MediaFileInfo`: ``file_id``,
    ``name``, ``url``, ``cover_url``, ``type``, ``category``, ``created_at``, ``expires_at``, ``duration`` (seconds), ``size``
    (bytes), ``width`` and ``height`` (pixels), ``bitrate`` (bit/s), ``md5``, and ``versions``, a list with ``url``,
    ``definition``, ``type`` and the same measures.

    :param file_ids: a file id, or a list of any length; 20 are asked about at once. Templated.
    :param skip_missing: whether to leave out files that do not exist, instead of failing.
    :param vod_conn_id: Airflow connection to the VOD application.
    :param sub_app_id: overrides the connection's application with another one of the same account.
    """

    template_fields: Sequence[str] = ("file_ids", "vod_conn_id", "sub_app_id")
    operator_extra_links = (VodConsoleLink(),)
    ui_color = "#d6ebff"

    def __init__(
        self,
        *,
        file_ids: str | Sequence[str] | XComArg,
        skip_missing: bool = False,
        vod_conn_id: str = DEFAULT_CONN_ID,
        sub_app_id: int | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.file_ids: Any = file_ids
        self.skip_missing = skip_missing
        self.vod_conn_id = vod_conn_id
        self.sub_app_id = sub_app_id

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Ask VOD.

        :param context: not used.
        :return: what it knows, in the order of the ids.
        :raises ResultError: a file does not exist.
        :raises VodSettingsError: a file id cannot be one.
        :raises VodApiError: VOD cannot be asked.
        """
        file_ids = _file_ids(self.file_ids)
        infos = media_infos(self._hook, file_ids)
        missing = [file_id for file_id in dict.fromkeys(file_ids) if file_id not in infos]
        if missing and not self.skip_missing:
            named = ", ".join(missing[:5]) + (" and others" if len(missing) > 5 else "")
            raise ResultError(
                f"VOD has no media file {named} in this application. Check "
                "the ids and sub_app_id, or leave out what does not exist with skip_missing=True."
            )
        self.log.info("VOD knows %d of %d files", len(infos), len(infos) + len(missing))
        return [infos[file_id].to_dict() for file_id in file_ids if file_id in infos]

    @cached_property
    def _hook(self) -> VodHook:
        return VodHook(self.vod_conn_id, sub_app_id=self.sub_app_id)

    @cached_property
    def vod_settings(self) -> VodSettings:
        """The settings of the application, read from the connection."""
        return self._hook.get_settings()


def _file_ids(value: Any) -> list[str]:
    """Check file ids after templating.

    :raises VodSettingsError: one cannot be a file id.
    """
    several = not isinstance(value, (str, bytes, dict)) and hasattr(value, "__iter__")
    file_ids = list(value) if several else [value]
    for file_id in file_ids:
        # A template renders a missing XCom as "None", and a list as its text.
        if not isinstance(file_id, str) or not file_id.isascii() or not file_id.isalnum() or file_id == "None":
            raise VodSettingsError(
                f"file_ids has {file_id!r:.100} after templating, but must have file ids such as '5285890784246869930'. Give the "
                "task's own output, `task.output`, or set render_template_as_native_obj=True on the DAG."
            )
    return file_ids
