"""The operator that copies files from VOD to an object storage or a folder.

Invariant: what it returns is there, whole, and is what VOD says it is as far as VOD says anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_vod.events.selection import check_when_parsed
from airflow_vod.exceptions import VodSettingsError
from airflow_vod.hooks.vod import DEFAULT_CONN_ID, VodHook
from airflow_vod.links.vod import LINKS
from airflow_vod.operators.results import read_results, with_urls

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_vod.events.results import ResultFile, TaskResult
    from airflow_vod.events.selection import Choice
    from airflow_vod.operators.fetching import Fetch
    from airflow_vod.tencent.settings import VodSettings
    from airflow_vod.tencent.signing import Seconds


class VodToObjectStorageOperator(BaseOperator):
    """Copies files from VOD to S3, GCS, Azure, a folder, or whatever else Airflow's `ObjectStoragePath` leads to.

    Files are streamed with a buffer of about 8 MiB each, several at once. A connection that breaks is taken up where it broke.
    Size and MD5 are compared with VOD's, where it tells them. URLs are signed when they are requested, if the connection has a
    ``playback_secret``; no signed URL gets into XCom or the log. If a file fails, what was written of it is removed, and the
    task fails; trying the task again fetches all of its files anew.

    Returns the paths of the copies, and also pushes, in the same order, ``files``: a list of dictionaries with ``path``, ``url``
    (never signed), ``size`` (bytes), ``file_id``, ``kind``, ``definition`` and ``type``.

    :param destination: folder, as text such as ``s3://aws_default@bucket/videos`` or ``file:///data/videos``, or as an
        `ObjectStoragePath`. Templated.
    :param result: the return value of a VOD sensor: a result, or a list of results. Templated; usually ``sensor.output``.
    :param urls: instead of `result`: a URL, or a list of URLs. Templated.
    :param file_name: path of each copy below `destination`, with any of the fields ``{folder}`` and ``{name}`` (the last two
        parts of the URL's path), ``{file_id}``, ``{kind}``, ``{definition}``, ``{type}`` and ``{index}``. Templated.
    :param kinds: only files that these sub-tasks made, such as ``["Transcode"]``. Templated.
    :param definitions: only files made with these templates, by their ids. Templated.
    :param file_types: only files of these types, such as ``["mp4"]``. Templated.
    :param sign_for: how long a signed URL opens: longer than one file takes. Each request is signed anew. Templated.
    :param files_at_once: how many files are fetched at the same time.
    :param allow_private_addresses: whether to fetch from private, link-local and other addresses that are not public. A URL comes
        out of an event, which somebody may have forged to reach a service in your network. Templated.
    :param storage_conn_id: Airflow connection to the storage, if `destination` names none. Templated.
    :param vod_conn_id: Airflow connection to the VOD application: key to sign with, proxy, TLS verification. Templated.
    :param sub_app_id: overrides the connection's application with another one of the same account. Templated.
    """

    template_fields: Sequence[str] = (
        *("destination", "result", "urls", "file_name", "kinds", "definitions", "file_types"),
        *("sign_for", "allow_private_addresses", "storage_conn_id", "vod_conn_id", "sub_app_id"),
    )
    operator_extra_links = LINKS
    ui_color = "#d6ebff"

    def __init__(
        self,
        *,
        destination: str | ObjectStoragePath,
        result: Any = None,
        urls: Any = None,
        file_name: str = "{folder}/{name}",
        kinds: Choice = None,
        definitions: Choice = None,
        file_types: Choice = None,
        sign_for: Seconds = timedelta(hours=6),
        files_at_once: int = 4,
        allow_private_addresses: bool | str = False,
        storage_conn_id: str | None = None,
        vod_conn_id: str = DEFAULT_CONN_ID,
        sub_app_id: int | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_when_parsed(kinds, definitions, file_types)
        self.destination: Any = destination
        self.result = result
        self.urls = urls
        self.file_name = file_name
        self.kinds = kinds
        self.definitions = definitions
        self.file_types = file_types
        self.sign_for = sign_for
        self.files_at_once = files_at_once
        self.allow_private_addresses = allow_private_addresses
        self.storage_conn_id = storage_conn_id
        self.vod_conn_id = vod_conn_id
        self.sub_app_id = sub_app_id

    _read: Sequence[TaskResult] = ()
    _fetches: Sequence[Fetch] = ()

    def execute(self, context: Context) -> list[str]:
        """Copy the files.

        :param context: the context of the task.
        :return: the paths of the copies, in VOD's order.
        :raises MediaError: a file cannot be fetched, or is not the one that VOD describes.
        :raises ResultError: there is no such file, one has no URL, or `result` is not a result.
        :raises VodSettingsError: an argument or the connection is not valid.
        :raises OSError: the storage cannot be written to.
        """
        from airflow_vod.operators.fetching import Fetch, Fetcher
        from airflow_vod.operators.naming import names_of

        files = self._files()
        folder = self._folder()
        fetches = [
            Fetch(file, folder / name) for file, name in zip(files, names_of(files, self.file_name), strict=True)
        ]
        self.log.info("Fetching %d files to %s", len(fetches), folder)
        # A template gives text, unless the DAG renders native objects.
        allow_private = str(self.allow_private_addresses).strip().lower() == "true"
        Fetcher(self.vod_settings, self._sign, self.files_at_once, allow_private).fetch(fetches)
        self._fetches = fetches
        context["ti"].xcom_push(key="files", value=[_described(fetch) for fetch in fetches])
        return [str(fetch.path) for fetch in fetches]

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage:
        """Report URLs as inputs and copies as outputs to OpenLineage, whose provider calls this.

        :param task_instance: not used.
        """
        from airflow_vod.links.lineage import lineage_of_copies

        return lineage_of_copies([(fetch.file, fetch.path) for fetch in self._fetches])

    @cached_property
    def _hook(self) -> VodHook:
        return VodHook(self.vod_conn_id, sub_app_id=self.sub_app_id)

    @cached_property
    def vod_settings(self) -> VodSettings:
        """The settings of the application, read from the connection."""
        return self._hook.get_settings()

    def event_page_query(self) -> dict[str, str]:
        """Return the search for the page "VOD events": the (first) VOD task whose files these are."""
        return {"search": next((result.vod_task_id or result.file_id or "" for result in self._read), "")}

    def _sign(self, url: str) -> str:
        if self.vod_settings.playback_secret is None:
            return url
        return self._hook.sign_url(url, valid_for=self.sign_for)

    def _files(self) -> list[ResultFile]:
        from airflow_vod.events.results import ResultFile
        from airflow_vod.events.selection import Selection

        if (self.result is None) == (self.urls is None):
            raise VodSettingsError(
                f"Operator {self.task_id!r} needs exactly one of result and urls. Got result={self.result!r:.100} and "
                f"urls={self.urls!r:.100} after templating."
            )
        if self.urls is None:
            self._read = read_results(self.result)
            selection = Selection(self.kinds, self.definitions, self.file_types)
            return with_urls(selection.of(self._read), self._hook, ask=True)
        if self.kinds or self.definitions or self.file_types:
            raise VodSettingsError(
                "kinds, definitions and file_types select from a result, not from urls. Give result."
            )
        return [ResultFile(url=url, type=_suffix(url)) for url in _urls(self.urls)]

    def _folder(self) -> ObjectStoragePath:
        """Return the destination, with its filesystem made: later that would happen in several threads."""
        from airflow.providers.common.compat.sdk import ObjectStoragePath

        given = self.destination
        if not isinstance(given, ObjectStoragePath) and (not isinstance(given, str) or "://" not in given):
            raise VodSettingsError(
                f"destination must be a URL such as s3://bucket/videos or file:///data/videos, not {given!r:.200}."
            )
        try:
            folder = (
                given
                if isinstance(given, ObjectStoragePath)
                else ObjectStoragePath(given, conn_id=self.storage_conn_id)
            )
            folder.fs  # noqa: B018
        except (ImportError, ValueError) as error:
            raise VodSettingsError(
                f"destination {given} cannot be used: {error}. Install the provider of this storage, such as "
                "apache-airflow-providers-amazon[s3fs] for s3://."
            ) from None
        return folder


def _urls(value: Any) -> list[str]:
    from airflow_vod.tencent.signing import check_url

    several = not isinstance(value, (str, bytes, dict)) and hasattr(value, "__iter__")
    urls = list(value) if several else [value]
    if not urls:
        raise VodSettingsError("urls is an empty list: there is nothing to fetch.")
    for url in urls:
        check_url(url)
    return urls


def _suffix(url: str) -> str | None:
    from airflow_vod.tencent.signing import shown

    name = shown(url).rpartition("/")[2]
    return name.rpartition(".")[2].lower() if "." in name else None


def _described(fetch: Fetch) -> dict[str, Any]:
    from airflow_vod.tencent.signing import shown

    file = fetch.file
    return {
        "path": str(fetch.path),
        "url": shown(str(file.url)),
        "size": fetch.received,
        "file_id": file.file_id,
        "kind": file.kind,
        "definition": file.definition,
        "type": file.type,
    }
