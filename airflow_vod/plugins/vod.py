"""The plugin that Airflow discovers (entry point ``airflow.plugins``).

Invariant: every process of Airflow loads this module, but only the API server asks for the web application, so only there
is it made.
"""

from __future__ import annotations

import gc
from typing import Any

from airflow.providers.common.compat.sdk import AirflowPlugin

from airflow_vod.hooks.paths import URL_PREFIX, base_path


class TencentVodPlugin(AirflowPlugin):
    """Callbacks and the page "VOD events", on Airflow 3.1 and newer."""

    name = "tencent_vod"
    external_views = [
        {
            "name": "VOD events",
            "href": f"{base_path()}{URL_PREFIX}/events",
            "destination": "nav",
            "category": "browse",
            "url_route": "vod-events",
        }
    ]

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The web application."""
        from airflow_vod.web.app import create_app

        # Under load Python's garbage collector looks through all of Airflow every few seconds, which holds up everybody for
        # a quarter of a second and more. What is there when callbacks begin to come stays anyway; this leaves it out from
        # then on, as Airflow does before it forks. A server that gets no callbacks is left as it is.
        app = create_app(on_first_callback=gc.freeze)
        return [{"name": "Tencent Cloud VOD", "app": app, "url_prefix": URL_PREFIX}]
