"""What tests take from Airflow, from wherever the installed version keeps it.

Invariant: no other test asks for a name that has moved between the supported versions.
"""

from __future__ import annotations

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)

from airflow_vod.hooks.version_compat import AirflowRescheduleException, TaskDeferralError

try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:  # before 3.2
    from airflow.models.dagbag import DagBag  # type: ignore[no-redef,attr-defined]
try:
    from airflow.sdk.serde import deserialize, serialize
except ImportError:  # before 3.2
    from airflow.serialization.serde import deserialize, serialize  # type: ignore[no-redef,import-not-found]
try:
    from airflow._shared.secrets_masker import mask_secret as server_mask_secret
    from airflow._shared.secrets_masker import redact as server_redact
except ImportError:  # before 3.1
    from airflow.sdk.execution_time.secrets_masker import mask_secret as server_mask_secret
    from airflow.sdk.execution_time.secrets_masker import redact as server_redact
try:
    from airflow.sdk.log import redact as sdk_redact
except ImportError:  # before 3.1
    from airflow.sdk.execution_time.secrets_masker import redact as sdk_redact

__all__ = [
    "AirflowFailException",
    "AirflowRescheduleException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "DagBag",
    "TaskDeferralError",
    "TaskDeferred",
    "deserialize",
    "sdk_redact",
    "serialize",
    "server_mask_secret",
    "server_redact",
    "sync_bag_to_db",
]


def sync_bag_to_db(bag: DagBag) -> None:
    """Let Airflow know the DAGs of a bag."""
    try:
        from airflow.dag_processing.dagbag import sync_bag_to_db as sync
    except ImportError:  # before 3.2
        try:
            from airflow.models.dagbag import sync_bag_to_db as sync  # type: ignore[no-redef,attr-defined]
        except ImportError:  # before 3.1
            bag.sync_to_db("dags-folder", None)  # type: ignore[attr-defined]
            return
    sync(bag, "dags-folder", None)
