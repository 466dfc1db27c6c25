"""An auth manager with a role that Airflow's own simple one lacks: who may read connections, and not change them."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager


class ConnectionReaders(SimpleAuthManager):
    """Airflow's simple auth manager, but viewers may read connections, as in roles that people make with other managers."""

    def is_authorized_connection(self, *, method: Any, user: Any, **details: Any) -> bool:
        """Answer as for viewers of pools, which is what the simple auth manager lets viewers read."""
        return self.is_authorized_pool(method=method, user=user)
