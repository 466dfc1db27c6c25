"""The hook where there is no task: on the API server, and in commands of people on call.

Invariant: connections come from where Airflow itself reads them, secrets backends and metadata database; a task's way, over
its supervisor, is not there.
"""

from __future__ import annotations

from typing import Any

from airflow_vod.hooks.vod import VodHook


class ServerHook(VodHook):
    """A `VodHook` outside of tasks."""

    @classmethod
    def get_connection(cls, conn_id: str) -> Any:
        """Ask the secrets backends and the metadata database."""
        from airflow.models.connection import Connection

        return Connection.get_connection_from_secrets(conn_id)
