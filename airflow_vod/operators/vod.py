"""Operators that pass on the results of VOD tasks.

Invariant: everything pushed to XCom was validated: a list of URLs has one URL for each chosen file, and no other types.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_vod.exceptions import ResultError, VodSettingsError
from airflow_vod.hooks.vod import DEFAULT_CONN_ID, VodHook
from airflow_vod.links.vod import LINKS

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, XComArg
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_vod.events.results import ResultFile, TaskResult
    from airflow_vod.tencent.settings import VodSettings


class VodFileUrlsOperator(BaseOperator):
    """Passes the URLs of files made by VOD tasks to downstream tasks.

    Returns a list of URLs, ready for ``.expand(url=operator.output)``, and also pushes, in the same order: ``files`` (a
    list of dictionaries as in the result), ``file_ids``, and ``urls_by_type`` (file type to list of URLs).

    :param result: the return value of a VOD sensor: a result, or a list of results. Templated; usually ``sensor.output``.
    :param vod_task_id: instead of `result`: the id of a task whose event is already in the inbox, or a list of ids. Templated.
    :param file_types: only files of these types, such as ``["mp4"]``; case-insensitive. Templated.
    :param vod_conn_id: Airflow connection to the VOD application; used with `vod_task_id`, and to link to the right console.
    :param sub_app_id: overrides the connection's application with another one of the same account; used only with
        `vod_task_id`.
    """

    template_fields: Sequence[str] = ("result", "vod_task_id", "file_types", "vod_conn_id", "sub_app_id")
    operator_extra_links = LINKS
    ui_color = "#d6ebff"

    def __init__(
        self,
        *,
        result: Any = None,
        vod_task_id: str | Sequence[str] | XComArg | None = None,
        file_types: str | Sequence[str] | None = None,
        vod_conn_id: str = DEFAULT_CONN_ID,
        sub_app_id: int | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.result = result
        self.vod_task_id: Any = vod_task_id
        self.file_types = file_types
        self.vod_conn_id = vod_conn_id
        self.sub_app_id = sub_app_id

    _read: Sequence[TaskResult] = ()
    _chosen_files: Sequence[ResultFile] = ()

    def execute(self, context: Context) -> list[str]:
        """Validate the results, push the lists and return the URLs.

        :param context: the context of the task.
        :return: the URLs of the chosen files, in VOD's order.
        :raises ResultError: there is no such file, one has no URL, or `result` is not a result.
        :raises VodSettingsError: not exactly one of `result` and `vod_task_id` is given.
        """
        self._read = self._results()
        files = self._chosen([file for result in self._read for file in result.files if file.error_code == 0])
        urls = [_url(file) for file in files]
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

    def event_page_query(self) -> dict[str, str]:
        """Return the search for the page "VOD events": the (first) VOD task whose files these are."""
        about = next((result.vod_task_id or result.file_id for result in self._read), None)
        return {"search": about or (self.vod_task_id if isinstance(self.vod_task_id, str) else "")}

    def _results(self) -> list[TaskResult]:
        from airflow_vod.events.results import TaskResult

        if (self.result is None) == (self.vod_task_id is None):
            raise VodSettingsError(
                f"Operator {self.task_id!r} needs exactly one of result and vod_task_id. Got result={self.result!r:.100} and "
                f"vod_task_id={self.vod_task_id!r} after templating."
            )
        if self.vod_task_id is not None:
            from airflow_vod.inbox.lookup import vod_task_ids

            return [self._from_inbox(vod_task_id) for vod_task_id in vod_task_ids(self.vod_task_id)]
        # The output of a mapped sensor is a lazy sequence, not a list.
        several = not isinstance(self.result, (str, bytes, dict)) and hasattr(self.result, "__iter__")
        results = [TaskResult.from_dict(value) for value in (self.result if several else [self.result])]
        if not results:
            raise ResultError("result is an empty list: there are no files to pass on.")
        return results

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

    def _chosen(self, files: list[ResultFile]) -> list[ResultFile]:
        if not self.file_types:
            chosen = files
        else:
            names = [self.file_types] if isinstance(self.file_types, str) else self.file_types
            wanted = {name.lower().lstrip(".") for name in names}
            chosen = [file for file in files if (file.type or "").lower() in wanted]
        if not chosen:
            made = ", ".join(sorted({file.type or "unknown" for file in files}))
            if not made:
                raise ResultError("The VOD task made no file.")
            raise ResultError(
                f"The VOD task made no file of the types {self.file_types!r}, only of: {made}. "
                "Change file_types, or omit it for all files."
            )
        return chosen


def _url(file: ResultFile) -> str:
    if not file.url:
        raise ResultError(
            f"File {file.file_id} of type {file.type} has no URL in VOD's event. "
            "Get it with DescribeMediaInfos, or remove this type from file_types."
        )
    return file.url
