"""VOD as a message queue of the common messaging provider."""

from __future__ import annotations

import pytest
from airflow.providers.common.messaging.triggers.msg_queue import MESSAGE_QUEUE_PROVIDERS, MessageQueueTrigger

from airflow_vod.exceptions import VodSettingsError
from airflow_vod.queues.vod import VodMessageQueueProvider
from airflow_vod.triggers.vod_event import VodEventTrigger


def test_airflow_finds_it() -> None:
    """The common messaging provider finds the scheme through this package's provider info, and no other provider claims it."""
    takers = [each for each in MESSAGE_QUEUE_PROVIDERS if each.scheme_matches("tencent-vod")]
    assert [type(each) for each in takers] == [VodMessageQueueProvider]
    assert not takers[0].queue_matches("tencent-vod://queue")


def test_it_is_the_same_watcher() -> None:
    """The general trigger with the scheme stores what the special one stores, so it goes on at the same place."""
    arguments = {"vod_conn_id": "other", "event_type": "NewFileUpload", "match": {"source": "Upload"}, "sub_app_id": 7}
    general = MessageQueueTrigger(scheme="tencent-vod", **arguments)
    assert general.serialize() == VodEventTrigger(**arguments).serialize()


def test_mistakes_are_named() -> None:
    """A mistake in the arguments raises this package's own error."""
    with pytest.raises(VodSettingsError, match="unknown name"):
        MessageQueueTrigger(scheme="tencent-vod", match={"fileid": "1"}).serialize()
