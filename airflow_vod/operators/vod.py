"""Operators that pass on the results of VOD tasks.

Invariant: everything pushed to XCom was validated: a list of URLs has one URL for each chosen file, and no other types.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_vod.events.selection import check_when_parsed
from airflow_vod.exceptions import ResultError, VodSettingsError
from airflow_vod.hooks.vod import DEFAULT_CONN_ID, VodHook
from airflow_vod.links.vod import LINKS
from airflow_vod.operators.results import read_results, with_urls

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, XComArg
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_vod.events.results import ResultFile, TaskResult
    from airflow_vod.events.selection import Choice
    from airflow_vod.tencent.settings import VodSettings
    from airflow_vod.tencent.signing import Seconds


class VodFileUrlsOperator(BaseOperator):
    """Passes the URLs of files made by VOD tasks to downstream tasks.

    Returns a list of URLs, ready for ``.expand(url=operator.output)``, and also pushes, in the same order: ``files`` (a
    list of dictionaries as in the result, their URLs never signed), ``file_ids``, and ``urls_by_type`` (file type to list of
    URLs).

    :param result: the return value of a VOD sensor: a result, or a list of results. Templated; usually ``sensor.output``.
    :param vod_task_id: instead of `result`: the id of a task whose event is already in the inbox, or a list of ids. Templated.
    :param kinds: only files that these sub-tasks made, in VOD's words, such as ``["Transcode", "CoverBySnapshot"]``;
        case-insensitive. Templated.
    :param definitions: only files made with these templates, by their ids, such as ``[100020]``. Templated.
    :param file_types: only files of these types, such as ``["mp4"]``; case-insensitive. Templated.
    :param resolve_urls: whether to ask VOD (DescribeMediaInfos) for the URL of a file of which the event names only the id.
    :param sign_for: return signed URLs, which open for this long from now on, for domains with hotlink protection by key: a
        timedelta, or seconds. **Whoever can read the XCom can open such a URL until it expires**; to avoid that, sign where the
        file is fetched, with ``VodHook.sign_url``. Needs the connection's ``playback_secret``. Templated.
    :param max_clients: how many different client addresses may open a signed URL, 1 to 9; None for any number. Templated.
    :param preview: how much of the media a signed URL plays: a timedelta, or whole seconds; None for all. Templated.
    :param vod_conn_id: Airflow connection to the VOD application: to read its inbox, to ask for URLs, to sign them, and to link
        to the right console.
    :param sub_app_id: overrides the connection's application with another one of the same account.
    """

    template_fields: Sequence[str] = (
        *("result", "vod_task_id", "kinds", "definitions", "file_types"),
        *("sign_for", "max_clients", "preview", "vod_conn_id", "sub_app_id"),
    )
    operator_extra_links = LINKS
    ui_color = "#d6ebff"

    def __init__(
        self,
        *,
        result: Any = None,
        vod_task_id: str | Sequence[str] | XComArg | None = None,
        kinds: Choice = None,
        definitions: Choice = None,
        file_types: Choice = None,
        resolve_urls: bool = True,
        sign_for: Seconds | None = None,
        max_clients: int | str | None = None,
        preview: Seconds | None = None,
        vod_conn_id: str = DEFAULT_CONN_ID,
        sub_app_id: int | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_when_parsed(kinds, definitions, file_types)
        self.result = result
        self.vod_task_id: Any = vod_task_id
        self.kinds = kinds
        self.definitions = definitions
        self.file_types = file_types
        self.resolve_urls = resolve_urls
        self.sign_for = sign_for
        self.max_clients = max_clients
        self.preview = preview
        self.vod_conn_id = vod_conn_id
        self.sub_app_id = sub_app_id

    _read: Sequence[TaskResult] = ()
    _chosen_files: Sequence[ResultFile] = ()

    def execute(self, context: Context) -> list[str]:
        """Validate the results, push the lists and return the URLs.

        :param context: the context of the task.
        :return: the URLs of the chosen files, in VOD's order.
        :raises ResultError: there is no such file, one has no URL, or `result` is not a result.
        :raises MediaError: a URL cannot be signed.
        :raises VodSettingsError: not exactly one of `result` and `vod_task_id` is given, or there is no key to sign with.
        :raises VodApiError: VOD cannot be asked for a URL that is missing.
        """
        from airflow_vod.events.selection import Selection

        self._read = self._results()
        selection = Selection(self.kinds, self.definitions, self.file_types)
        files = with_urls(selection.of(self._read), self._hook, ask=self.resolve_urls)
        urls = self._signed([str(file.url) for file in files])
        self._chosen_files = files
        by_type: dict[str, list[str]] = {}
        for file, url in zip(files, urls, strict=True):
            by_type.setdefault(file.type or "", []).append(url)
        ti = context["ti"]
        ti.xcom_push(key="files", value=[file.to_dict() for file in files])
        ti.xcom_push(key="file_ids", value=[file.file_id for file in files])
        ti.xcom_push(key="urls_by_type", value=by_type)
        self.log.info("Returning %d URLs: %s", len(urls), {name: len(of) for name, of in by_type.items()})
        return urls

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage:
        """Report the files to OpenLineage, whose provider calls this.

        :param task_instance: not used.
        """
        from airflow_vod.links.lineage import lineage_of

        return lineage_of(self._read, self._chosen_files)

    @cached_property
    def _hook(self) -> VodHook:
        return VodHook(self.vod_conn_id, sub_app_id=self.sub_app_id)

    @cached_property
    def vod_settings(self) -> VodSettings:
        """The settings of the application, read from the connection."""
        return self._hook.get_settings()

    def event_page_query(self) -> dict[str, list[str]]:
        """Return the search for the page "VOD events": the VOD tasks whose files these are."""
        about = [found for result in self._read if (found := result.vod_task_id or result.file_id)]
        return {"search": about or ([self.vod_task_id] if isinstance(self.vod_task_id, str) else [])}

    def _results(self) -> list[TaskResult]:
        if (self.result is None) == (self.vod_task_id is None):
            raise VodSettingsError(
                f"Operator {self.task_id!r} needs exactly one of result and vod_task_id. Got result={self.result!r:.100} and "
                f"vod_task_id={self.vod_task_id!r} after templating."
            )
        if self.vod_task_id is not None:
            from airflow_vod.inbox.lookup import vod_task_ids

            return [self._from_inbox(vod_task_id) for vod_task_id in vod_task_ids(self.vod_task_id)]
        return read_results(self.result)

    def _from_inbox(self, vod_task_id: str) -> TaskResult:
        from airflow_vod.events.results import result_of

        queue = self.vod_settings.queue
        event = self._hook.get_inbox().find(queue, [vod_task_id]).get(vod_task_id)
        if event is None:
            raise ResultError(
                f"The inbox has no event that ends VOD task {vod_task_id!r} of queue {queue}. "
                "Put a VodTaskSensor before this operator, or check the id."
            )
        return result_of(event.event())

    def _signed(self, urls: list[str]) -> list[str]:
        if self.sign_for is None:
            if self.max_clients is not None or self.preview is not None:
                raise VodSettingsError("max_clients and preview are properties of a signed URL. Give sign_for too.")
            return urls
        limits: dict[str, Any] = {"max_clients": self.max_clients, "preview": self.preview}
        return [self._hook.sign_url(url, valid_for=self.sign_for, **limits) for url in urls]
