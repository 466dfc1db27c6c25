"""Who may see events, and who may replay them.

Invariants: only users who are logged in to Airflow and may read connections in general see events; only those who may edit
connections can replay them; and no other site can make a user's browser replay anything.

Permissions are those on connections, because events belong to a connection's queue rather than to a DAG.
"""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import urlsplit

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import ConnectionDetails
from airflow.api_fastapi.core_api.security import GetUserDep  # noqa: TC002 - FastAPI evaluates annotations at run time
from fastapi import HTTPException, Request

CSRF_HEADER = "X-Requested-With"
CSRF_VALUE = "vod-events"


def _require(method: Literal["GET", "PUT"], user: Any, purpose: str) -> None:
    if not get_auth_manager().is_authorized_connection(method=method, details=ConnectionDetails(), user=user):
        raise HTTPException(403, f"Airflow's permission to {_VERBS[method]} connections is required to {purpose}.")


_VERBS = {"GET": "read", "PUT": "edit"}


def require_read(user: GetUserDep) -> None:
    """Allow only users who may read connections.

    :param user: injected by FastAPI; its resolution raises 401 for a request without login.
    :raises HTTPException: 403 without the permission.
    """
    _require("GET", user, "see VOD events")


def require_edit(user: GetUserDep) -> None:
    """Allow only users who may edit connections.

    :param user: injected by FastAPI; its resolution raises 401 for a request without login.
    :raises HTTPException: 403 without the permission.
    """
    _require("PUT", user, "replay VOD events")


def require_same_origin(request: Request) -> None:
    """Allow only requests from this server's own pages: browsers send custom headers across origins only after a preflight.

    :param request: to check.
    :raises HTTPException: 403 for all others.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    foreign = site not in (None, "same-origin")
    if site is None and origin is not None:  # older browsers, and plain HTTP, for which browsers omit the header
        foreign = urlsplit(origin).netloc not in (request.headers.get("host"), request.headers.get("x-forwarded-host"))
    if foreign or request.headers.get(CSRF_HEADER) != CSRF_VALUE:
        raise HTTPException(403, f"Cross-site request, or the header {CSRF_HEADER}: {CSRF_VALUE} is missing.")
