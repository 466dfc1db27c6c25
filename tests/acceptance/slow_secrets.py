"""A secrets backend for API servers under test. Invariant: it imports no test, for it is imported by Airflow itself."""

from __future__ import annotations

import time
from typing import Any

from airflow.secrets import BaseSecretsBackend


class SlowSecrets(BaseSecretsBackend):
    """Knows nothing, and takes its time to say so."""

    def get_connection(self, conn_id: str, *_: Any, **__: Any) -> None:
        """Know nothing."""
        time.sleep(0.1)
