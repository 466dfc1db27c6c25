"""API servers that take VOD's callbacks in, beside relays, while somebody switches the application between PULL and PUSH.

Invariants that are checked, at each step or at the end, besides those of `relays`:

- a callback is answered with 200 only once its event is committed;
- an event that comes by callback, or by callback and by the queue, however often, is in the inbox once;
- no event is lost but those that VOD gives up because it got no 200, or keeps in the queue of an application in PUSH mode;
- an application that is switched back to PULL has its queue emptied.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any, ClassVar

from starlette.requests import Request

from airflow_vod.emulator.push import Post, posts_of
from airflow_vod.tencent.settings import VodSettings
from airflow_vod.web.callbacks import Receiver
from airflow_vod.web.connections import Connections
from airflow_vod.web.intake import Intake
from tests.simulation import relays
from tests.simulation.cloud import SUB_APP_ID, Cloud, task_in
from tests.simulation.databases import Server
from tests.simulation.relays import SETTINGS, STORM
from tests.simulation.triggerers import AsyncProcess
from tests.simulation.world import BrokenError

SIGN_KEY = "4bTq8ZsVxW2c7Lm0"
URL = "https://airflow/tencent-vod/callbacks/vod"
TRIES = 3  # of VOD for one callback
PATIENCE = 5.0  # seconds of VOD for an answer
PAUSE = 1.0  # seconds of VOD between two tries


class ApiServer(AsyncProcess):
    """A process that receives callbacks.

    :param cloud: VOD.
    :param server: the database.
    :param name: for the trace.
    :param settings: of the one connection.
    """

    def __init__(self, cloud: Cloud, server: Server, name: str, settings: VodSettings) -> None:
        super().__init__(cloud, server, name, lambda: settings)
        connections = Connections({"vod": settings}.get, self.monotonic)
        connections.learn(frozenset({"vod"}))
        self.receiver = Receiver(connections, Intake(lambda: self.store), self.time, None)

    async def answer(self, post: Post) -> int:
        """Answer the status of a callback."""

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": post.body, "more_body": False}

        headers = [(name.lower().encode(), value.encode()) for name, value in post.headers.items()]
        scope = {"type": "http", "method": "POST", "path_params": {"conn_id": "vod"}, "query_string": b""}
        response = await self.receiver.callback(Request({**scope, "headers": headers}, receive))
        return response.status_code


class Drill(relays.Drill):
    """One run; see `relays.Drill`."""

    scenario: ClassVar[str] = "callbacks"
    settings: ClassVar[VodSettings] = replace(SETTINGS, callback_secret=SIGN_KEY)

    def _plan(self, rng: Random) -> None:
        self.given_up: set[str] = set()  # by VOD
        self._open = 0  # callbacks that VOD has not done with
        config = self.cloud.app.config
        config.mode, config.notification_url, config.sign_key = rng.choice(("PULL", "PUSH")), URL, SIGN_KEY
        self.cloud.on_push = self._announce
        self.servers = [self._server() for _ in range(rng.randint(1, 2))]
        super()._plan(rng)
        for _ in range(rng.choice((0, 1, 3))):
            self.world.at(rng.uniform(0, STORM), self._switch)
        for _ in range(rng.choice((0, 0, 2))):
            self.world.at(rng.uniform(0, STORM), lambda: self._disturb(rng))

    def _server(self) -> ApiServer:
        number = sum(isinstance(each, ApiServer) for each in self.world.processes)
        return ApiServer(self.cloud, self.server, f"server{number}", self.settings)

    def _switch(self) -> None:
        config = self.cloud.app.config
        config.mode = "PULL" if config.mode == "PUSH" else "PUSH"
        self.world.note(f"the application announces by {config.mode} now")

    def _disturb(self, rng: Random) -> None:
        server = rng.choice(self.servers)
        if rng.random() < 0.5:
            server.freeze(rng.uniform(0.1, 10))
        else:
            server.kill()
            self.servers[self.servers.index(server)] = self._server()

    def _publish(self) -> None:
        vod_task_id = self.cloud.publish()
        if self.world.rng.random() < 0.2:  # it comes both ways, or twice
            self.world.after(self.world.rng.uniform(0, 5), lambda: self._announce(self.cloud.event_of(vod_task_id)))

    # VOD's callbacks

    def _announce(self, event: Mapping[str, Any]) -> None:
        app = self.cloud.app
        for post in posts_of(event, SUB_APP_ID, app.config, app.options, self.world.time()):
            self._open += 1
            self._post(post, task_in(event), 1)

    def _post(self, post: Post, vod_task_id: str, number: int) -> None:
        """Send a callback, and once more, up to `TRIES` times, where no 200 comes in time."""
        rng, weather, done = self.world.rng, self.cloud.weather, False

        def settle(status: int | None) -> None:
            nonlocal done
            if done:
                return
            done = True
            if status != 200 and number < TRIES:
                self.world.after(PAUSE, lambda: self._post(post, vod_task_id, number + 1))
                return
            self._open -= 1
            if status != 200:
                self.world.note(f"VOD gives the callback of {vod_task_id[-4:]} up")
                self.given_up.add(vod_task_id)

        self.world.after(PATIENCE, lambda: settle(None))
        for _ in range(2 if rng.random() < weather.doubled else 1):
            if rng.random() >= weather.request_lost:
                heard = settle if rng.random() >= weather.answer_lost else _unheard
                answer = partial(self._handle, rng.choice(self.servers), post, vod_task_id, heard)
                self.world.after(rng.uniform(0, weather.rtt), partial(answer.args[0].spawn, answer, _unheard))

    async def _handle(self, server: ApiServer, post: Post, vod_task_id: str, settle: Any) -> None:
        try:
            status = await server.answer(post)
            self.world.note(f"{server.name} answers {status} to the callback of {vod_task_id[-4:]}")
            if status == 200 and not self.server.holds(vod_task_id):
                raise BrokenError(f"{vod_task_id} is acknowledged before it is committed")
            settle(status)
        except BaseException as error:
            self.world.errors.append(error)

    # The end

    def _all_over(self) -> bool:
        counts = self.cloud.queue.counts()
        emptied = counts.visible == counts.hidden == 0 or self.cloud.app.config.mode == "PUSH"
        return emptied and not self._open

    def _stop(self) -> None:
        for server in self.servers:
            server.stop()
        super()._stop()
        self.world.run(self.world.now + 10)
        left = [name for server in self.servers for name in server.left()]
        if left:
            raise self.world.broken(BrokenError(f"threads are left: {left}"))

    def _check_inbox(self) -> None:
        stored, expected = self.server.vod_task_ids(), set(self.cloud.published)
        if len(stored) != len(set(stored)):
            raise self.world.broken(BrokenError("an event is in the inbox twice"))
        in_queue = {task_in(json.loads(each.body)) for each in self.cloud.queue._kept}
        if lost := expected - set(stored) - self.given_up - in_queue:
            raise self.world.broken(BrokenError(f"lost {sorted(lost)}"))


def _unheard(_: Any) -> None:
    """Take what nobody hears."""
