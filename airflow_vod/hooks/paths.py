"""Where Airflow's API server serves what this package brings. Invariant: told here alone."""

from __future__ import annotations

from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import conf

URL_PREFIX = "/tencent-vod"


def base_path() -> str:
    """Answer the path below which Airflow is served, such as ``/airflow``; empty for the root of its host."""
    return urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")
