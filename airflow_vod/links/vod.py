"""Links of this provider's tasks: to the vendor's console, and to the page "VOD events" on Airflow's API server.

Invariants: creating a link never raises, because Airflow 3.0 then fails the task; a link contains only quoted ids of an event;
the only network request for it is Airflow's own, for the connection.

Airflow 3 keeps links in XCom, where a task writes them when it ends, is deferred or rescheduled. A wait that has not yet run
on a worker therefore has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from airflow.providers.common.compat.sdk import BaseOperatorLink

from airflow_vod.hooks.paths import URL_PREFIX, base_path
from airflow_vod.hooks.version_compat import AIRFLOW_V_3_1_PLUS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.providers.common.compat.sdk import Context

CONSOLE = "https://console.cloud.tencent.com/vod/media"
INTERNATIONAL_CONSOLE = "https://console.tencentcloud.com/vod/media"
MAX_QUERY = 6000  # characters; many proxies refuse a request line of more than 8 KB
_INTERNATIONAL = ".intl.tencentcloudapi.com"


class VodConsoleLink(BaseOperatorLink):
    """The page of the VOD console that lists media files by their FileId.

    Both addresses come from the vendor: the first from ``FileId`` in the data types of ``tencentcloud-sdk-python-vod``, the
    second from ``FileId`` of ReviewAudioVideo in ``tencentcloud-sdk-cpp-intl-en``, the SDK of the international site. No
    address of a single file or task is documented. The endpoint determines the site; ``vod.tencentcloudapi.com`` serves both
    and is assumed to be the Chinese one.
    """

    name = "VOD console"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the URL of the console for the connection of a task.

        :param operator: a sensor or operator of this provider.
        :param ti_key: not used.
        """
        try:
            host = operator.vod_settings.host.partition(":")[0].lower()
        except Exception:  # the connection is missing or not valid, which the task's own log reports
            return CONSOLE
        return INTERNATIONAL_CONSOLE if host.endswith(_INTERNATIONAL) else CONSOLE


class VodEventLink(BaseOperatorLink):
    """The page "VOD events" at the events of a task, or at its waiter. It requires a login like the rest of Airflow."""

    name = "VOD event"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the path of the page, relative to the root of Airflow's host.

        :param operator: a sensor or operator of this provider, after templating.
        :param ti_key: not used.
        """
        page = f"{base_path()}{URL_PREFIX}/events"
        try:
            query = _query(operator.event_page_query())
        except Exception:  # the task's argument is not an id, which the task's own log reports
            return page
        return f"{page}?{query}" if query else page


def _query(wanted: Mapping[str, str | Sequence[str]]) -> str:
    """Write what is looked for as a query: all ids of a list, or as many as an address can hold."""
    pairs = [(name, word) for name, words in wanted.items() for word in ([words] if isinstance(words, str) else words)]
    parts, length = [], 0
    for pair in pairs:
        part = urlencode([pair]) if pair[1] else ""
        length += len(part) + 1
        if part and length <= MAX_QUERY:
            parts.append(part)
    return "&".join(parts)


# The page requires Airflow 3.1.
LINKS: tuple[BaseOperatorLink, ...] = (VodConsoleLink(), *([VodEventLink()] if AIRFLOW_V_3_1_PLUS else []))


def push_links(operator: Any, context: Context) -> None:
    """Publish the links of a task while it is still running. Never raises.

    :param operator: the task, after templating.
    :param context: its context.
    """
    ti: Any = context["ti"]
    try:
        for link in operator.operator_extra_links:
            ti.xcom_push(key=link.xcom_key, value=link.get_link(operator, ti_key=ti))
    except Exception as error:
        operator.log.info(
            "The links of this task will appear when it ends, because they cannot be pushed now: %s", error
        )
