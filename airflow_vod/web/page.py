"""The page "VOD events": static files without a build step and without third-party assets.

Invariant: what is served here is the same for all users and contains no events; the page's script requests those from `api`.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse

_STATIC = Path(__file__).parent / "static"
_ASSETS = {"events.css": "text/css", "events.js": "text/javascript", "theme.js": "text/javascript"}


def page_router() -> APIRouter:
    """Build the routes."""
    router = APIRouter()
    router.add_api_route("/events", page, methods=["GET"])
    router.add_api_route("/static/{name}", asset, methods=["GET"])
    return router


def logo() -> FileResponse:
    """Serve the logo, which Airflow's menu shows to whoever is logged in, also without the permission to see events."""
    return FileResponse(_STATIC / "logo.svg", media_type="image/svg+xml", headers={"Cache-Control": "max-age=3600"})


def page() -> FileResponse:
    """Serve the page."""
    return FileResponse(_STATIC / "events.html", media_type="text/html", headers={"Cache-Control": "no-cache"})


def asset(name: str) -> FileResponse:
    """Serve an asset of the page.

    :param name: its file name.
    :raises HTTPException: 404 for any other.
    """
    if name not in _ASSETS:
        raise HTTPException(404, "There is no such file.")
    return FileResponse(_STATIC / name, media_type=_ASSETS[name], headers={"Cache-Control": "no-cache"})
