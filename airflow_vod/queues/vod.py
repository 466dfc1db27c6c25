"""VOD as a message queue: ``MessageQueueTrigger(scheme="tencent-vod", …)``.

Invariant: the scheme creates the trigger of `airflow_vod.triggers.vod_event` itself, so equal arguments mean the same watcher.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import AirflowOptionalProviderFeatureException

try:
    from airflow.providers.common.messaging.providers.base_provider import BaseMessageQueueProvider
except ImportError as error:
    raise AirflowOptionalProviderFeatureException(
        "The scheme tencent-vod requires the distribution apache-airflow-providers-common-messaging."
    ) from error

if TYPE_CHECKING:
    from airflow.triggers.base import BaseEventTrigger


class VodMessageQueueProvider(BaseMessageQueueProvider):
    """Creates triggers for the scheme ``tencent-vod``; their arguments are those of `VodEventTrigger`."""

    scheme = "tencent-vod"

    def trigger_class(self) -> type[BaseEventTrigger]:
        """Return `VodEventTrigger`."""
        from airflow_vod.triggers.vod_event import VodEventTrigger

        return VodEventTrigger
