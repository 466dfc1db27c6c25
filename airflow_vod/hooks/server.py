"""The hook for code outside of tasks: the API server and the command line.

Invariant: connections are read from Airflow's secrets backends and metadata database directly, because there is no task
supervisor to ask; and one that cannot be read now is not called missing.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_vod.exceptions import VodConnectionError
from airflow_vod.hooks.vod import VodHook


class ServerHook(VodHook):
    """A `VodHook` for use outside of tasks."""

    @classmethod
    def get_connection(cls, conn_id: str) -> Any:
        """Read a connection from the first secrets backend that has it; Airflow's database is the last of them.

        Airflow's own look-up logs a warning at every reading of a connection type with an underscore, as most have, and says
        of a backend that does not answer that there is no such connection.

        :param conn_id: Airflow connection id.
        :raises AirflowNotFoundException: there is no such connection.
        :raises VodConnectionError: no backend has it, and one of them did not answer, or refuses.
        """
        from airflow.configuration import ensure_secrets_loaded

        failures = []
        for backend in ensure_secrets_loaded():
            try:
                connection = backend.get_connection(conn_id=conn_id)
            except Exception as error:  # whatever a backend raises; its text may hold a secret
                failures.append(f"{type(backend).__name__} failed with {type(error).__name__}")
                if isinstance(error, PermissionError):
                    break  # a refusal is final: a backend further down must not make up for it
            else:
                if connection:
                    return connection
        if failures:
            raise VodConnectionError(
                f"Connection {conn_id!r} cannot be read: {'; '.join(failures)}. Check Airflow's secrets backend and database."
            )
        raise AirflowNotFoundException(f"The connection {conn_id!r} is not defined.")
