"""Links at the tasks of this provider: to the vendor's console, and to the page "VOD events" on Airflow's API server.

Invariants: a link is made without fail, for Airflow 3.0 ends a task badly whose link is not; it holds ids that were
quoted and nothing else of an event; nobody is asked over the network for it but Airflow, for the connection.

Airflow 3 keeps links in XCom, where a task puts them when it ends, is deferred or rescheduled; so a wait that has not seen a
worker yet has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from airflow.providers.common.compat.sdk import BaseOperatorLink

from airflow_vod.hooks.paths import URL_PREFIX, base_path
from airflow_vod.hooks.version_compat import AIRFLOW_V_3_1_PLUS

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

CONSOLE = "https://console.cloud.tencent.com/vod/media"
INTERNATIONAL_CONSOLE = "https://console.tencentcloud.com/vod/media"
_INTERNATIONAL = ".intl.tencentcloudapi.com"


class VodConsoleLink(BaseOperatorLink):
    """The page of the VOD console that lists media files by their FileId.

    Both addresses are the vendor's: the first stands at ``FileId`` in the data types of ``tencentcloud-sdk-python-vod``, the
    second at ``FileId`` of ReviewAudioVideo in ``tencentcloud-sdk-cpp-intl-en``, the SDK of the international site. No
    address of one file or task is documented. The endpoint tells which site it is; ``vod.tencentcloudapi.com`` serves both,
    and is taken for the Chinese one.
    """

    name = "VOD console"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Answer the address for the connection of a task.

        :param operator: a sensor or operator of this provider.
        :param ti_key: not needed.
        """
        try:
            host = operator.vod_settings.host.partition(":")[0].lower()
        except Exception:  # there is no such connection, or it cannot be read: the task's own log says so
            return CONSOLE
        return INTERNATIONAL_CONSOLE if host.endswith(_INTERNATIONAL) else CONSOLE


class VodEventLink(BaseOperatorLink):
    """The page "VOD events", with the event of a task searched for. It asks for a login as all of Airflow does."""

    name = "VOD event"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Answer the path of the page, from the root of Airflow's host.

        :param operator: a sensor or operator of this provider, after templating.
        :param ti_key: not needed.
        """
        page = f"{base_path()}{URL_PREFIX}/events"
        try:
            query = urlencode({name: word for name, word in operator.event_page_query().items() if word})
        except Exception:  # what the task is about is not an id at all: the task's own log says so
            return page
        return f"{page}?{query}" if query else page


# The page needs Airflow 3.1.
LINKS: tuple[BaseOperatorLink, ...] = (VodConsoleLink(), *([VodEventLink()] if AIRFLOW_V_3_1_PLUS else []))


def push_links(operator: Any, context: Context) -> None:
    """Let the links of a task be there while it still runs.

    :param operator: the task, after templating.
    """
    ti: Any = context["ti"]
    try:
        for link in operator.operator_extra_links:
            ti.xcom_push(key=link.xcom_key, value=link.get_link(operator, ti_key=ti))
    except Exception as error:
        operator.log.info("The links of this task appear at its end, for they cannot be pushed now: %s", error)
