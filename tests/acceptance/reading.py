"""A user of a real API server who reads whatever it lets him read."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import airflow
import yaml

PAGE = ("events", "api/events", "api/event?queue={queue}&position=1", "api/export", "api/queues", "api/history")
_SPECIFICATIONS = Path(airflow.__file__).parent / "api_fastapi" / "core_api" / "openapi"
_NUMBERS = re.compile(r"{(map_index|event_log_id|import_error_id|backfill_id|version_number|asset_id|try_number)}")


class Answer(NamedTuple):
    """What a server answered."""

    status: int
    body: str
    headers: str = ""


class Reader:
    """Speaks HTTP with the token of a user.

    :param port: the API server's, on this machine.
    :param user: with the password; None for a stranger.
    """

    def __init__(self, port: int, user: tuple[str, str] | None = None) -> None:
        self.port = port
        self.headers = {"Content-Type": "application/json"}
        if user is not None:
            answer = self.ask("POST", "/auth/token", {"username": user[0], "password": user[1]})
            assert answer.status == 201, answer
            self.headers["Authorization"] = f"Bearer {json.loads(answer.body)['access_token']}"

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """Send one request."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request(method, path, None if body is None else json.dumps(body), self.headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read().decode("utf-8", "replace"), str(answer.headers))

    def everything(self, **names: str) -> dict[str, Answer]:
        """Read each route of Airflow's public and private API, but the one that ends the session, and of ours; by path.

        :param names: values for the names in paths, such as ``connection_id``.
        """
        paths = [*_routes(), *(f"/tencent-vod/{path}" for path in PAGE)]
        filled = (re.sub(r"{(\w+)}", lambda found: names.get(found[1], "x"), _NUMBERS.sub("1", path)) for path in paths)
        return {path: self.ask("GET", path) for path in filled}


def _routes() -> Iterator[str]:
    for file in sorted(_SPECIFICATIONS.glob("*.yaml")):
        for path, methods in yaml.safe_load(file.read_text())["paths"].items():
            if "get" in methods and "logout" not in path:
                yield path
