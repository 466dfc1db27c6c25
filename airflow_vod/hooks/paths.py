"""The paths that this package serves on Airflow's API server. Invariant: they are defined only here."""

from __future__ import annotations

from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import conf

URL_PREFIX = "/tencent-vod"


def base_path() -> str:
    """Return the path prefix of Airflow, such as ``/airflow``; empty if Airflow is served at the root of its host."""
    return urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")
