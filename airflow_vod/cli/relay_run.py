"""A relay of its own, for those who want the queue emptied even while nobody waits.

Invariant: it does nothing that a waiting sensor would not; it only does it all the time.
"""

from __future__ import annotations

import logging
import signal
from types import FrameType

from airflow_vod.exceptions import VodApiError, VodAuthenticationError
from airflow_vod.hooks.config import inbox_retention
from airflow_vod.hooks.server import ServerHook
from airflow_vod.relay.pipeline import Pipeline
from airflow_vod.relay.steps import Relay
from airflow_vod.tencent.client import VodClient

log = logging.getLogger(__name__)


def run(vod_conn_id: str, sub_app_id: int | None = None) -> int:
    """Relay the queue of a connection until SIGINT or SIGTERM.

    :param vod_conn_id: Airflow connection id.
    :param sub_app_id: another application than the connection's.
    :return: exit status.
    :raises VodError: the connection or the inbox cannot be used, or VOD refuses for good.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    hook = ServerHook(vod_conn_id, sub_app_id=sub_app_id)
    store, client = hook.get_inbox(), VodClient(hook.get_settings())
    pipeline = Pipeline(Relay(client, store, retention=inbox_retention()))

    def stop(number: int, frame: FrameType | None) -> None:
        log.info("Stopping: open pulls finish first")
        pipeline.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    log.info("Relaying queue %s into the inbox %s", pipeline.relay.queue, store.url)
    try:
        _try_key(client)
        pipeline.run()
    finally:
        client.close()
        store.close()
    return 0


def _try_key(client: VodClient) -> None:
    """Ask VOD something: a relay that stands by would find out that its key is wrong only when it is needed.

    :raises VodAuthenticationError: the key is wrong. That this one question is not allowed, or not answered, means nothing.
    """
    try:
        client.describe_event_config()
    except VodAuthenticationError as error:
        if error.is_auth_failure:
            raise
    except VodApiError as error:
        log.info("VOD does not say whether the key is right: %s", error)
