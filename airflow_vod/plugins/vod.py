"""The plugin that Airflow discovers (entry point ``airflow.plugins``).

Invariant: every process of Airflow loads this module, but only the API server reads `fastapi_apps`, so the web application is
created only there.
"""

from __future__ import annotations

import gc
from typing import Any

from airflow.providers.common.compat.sdk import AirflowPlugin

from airflow_vod.hooks.paths import URL_PREFIX, base_path


class TencentVodPlugin(AirflowPlugin):
    """The callback receiver and the page "VOD events", on Airflow 3.1 and newer."""

    name = "tencent_vod"
    external_views = [
        {
            "name": "VOD events",
            "href": f"{base_path()}{URL_PREFIX}/events",
            "icon": f"{base_path()}{URL_PREFIX}/logo.svg",
            "destination": "nav",
            "category": "browse",
            "url_route": "vod-events",
        }
    ]

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The web application."""
        from airflow_vod.web.app import create_app

        # Under load, Python's garbage collector scans all of Airflow's objects every few seconds, which blocks the process for
        # a quarter of a second or more. Objects that exist at the first callback stay anyway, so they are excluded from then
        # on, as Airflow itself does before forking. A server without callbacks is not affected.
        app = create_app(on_first_callback=gc.freeze)
        return [{"name": "Tencent Cloud VOD", "app": app, "url_prefix": URL_PREFIX}]
