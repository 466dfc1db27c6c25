"""``airflow-vod relay run``: a standalone relay, which empties the queue even while no task waits.

Invariant: it does what a waiting sensor does, and nothing else, but all the time.
"""

from __future__ import annotations

import logging
import signal
from types import FrameType

from airflow_vod.exceptions import VodApiError, VodAuthenticationError
from airflow_vod.hooks.config import inbox_retention
from airflow_vod.hooks.inbox_file import inbox_file_problem
from airflow_vod.hooks.server import ServerHook
from airflow_vod.relay.pipeline import Pipeline
from airflow_vod.relay.steps import Relay
from airflow_vod.tencent.client import VodClient

log = logging.getLogger(__name__)


def run(vod_conn_id: str, sub_app_id: int | None = None) -> int:
    """Relay the queue of a connection until SIGINT or SIGTERM.

    :param vod_conn_id: Airflow connection id.
    :param sub_app_id: overrides the connection's application.
    :return: exit status 0.
    :raises VodError: the connection or the inbox cannot be used, or VOD refuses the credentials or parameters.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    hook = ServerHook(vod_conn_id, sub_app_id=sub_app_id)
    store, client = hook.get_inbox(), VodClient(hook.get_settings())
    pipeline = Pipeline(Relay(client, store, retention=inbox_retention()))

    def stop(number: int, frame: FrameType | None) -> None:
        pipeline.stop()  # and nothing else: a handler that logs may interrupt the very write that it needs

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    if problem := inbox_file_problem():
        log.warning("%s", problem)
    log.info("Relaying queue %s into the inbox %s", pipeline.relay.queue, store.url)
    try:
        _try_key(client)
        pipeline.run()
    finally:
        client.close()
        store.close()
    return 0


def _try_key(client: VodClient) -> None:
    """Send VOD one request, because a relay that stands by would notice a wrong key only when it takes over.

    :raises VodAuthenticationError: the key is wrong. A request that is not permitted or not answered proves nothing.
    """
    try:
        client.describe_event_config()
    except VodAuthenticationError as error:
        if error.is_auth_failure:
            raise
    except VodApiError as error:
        log.info("Cannot tell whether the key is valid: %s", error)
