"""The hook for code outside of tasks: the API server and the command line.

Invariant: connections are read from Airflow's secrets backends and metadata database directly, because there is no task
supervisor to ask.
"""

from __future__ import annotations

from typing import Any

from airflow_vod.hooks.vod import VodHook


class ServerHook(VodHook):
    """A `VodHook` for use outside of tasks."""

    @classmethod
    def get_connection(cls, conn_id: str) -> Any:
        """Read a connection from the secrets backends or the metadata database.

        :param conn_id: Airflow connection id.
        :raises AirflowNotFoundException: there is no such connection.
        """
        from airflow.models.connection import Connection

        return Connection.get_connection_from_secrets(conn_id)
