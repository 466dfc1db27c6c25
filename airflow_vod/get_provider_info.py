"""The provider's description for Airflow, and the table of the connection's extra fields.

Invariants: this is plain data and imports nothing, because Airflow loads it in every process at start-up; the hook accepts
exactly the extra fields of :data:`EXTRA_FIELDS`, which are also the form's, and the former names in :data:`RENAMED_FIELDS`;
Airflow hides a field by a word in its name, so the name of each secret has one: ``…_secret`` signs and never travels,
``…token`` travels, ``proxy`` may hold a password.
"""

from __future__ import annotations

from typing import Any

_INTEGRATION = "Tencent Cloud VOD"


def _text_field(label: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": ["string", "null"], **schema}}


EXTRA_FIELDS: dict[str, dict[str, Any]] = {
    "sub_app_id": {
        "label": "SubAppId",
        "description": "Id of the VOD application. Required for accounts opened on or after 2023-12-25.",
        "schema": {"type": ["integer", "null"]},
    },
    "confirm_policy": _text_field(
        "Confirm policy",
        "all: confirm every event once it is stored in the inbox. awaited: confirm only events that a task here waits for.",
        enum=["all", "awaited"],
        default="all",
    ),
    "region": _text_field("Region", "Value of X-TC-Region; not required by VOD."),
    "token": _text_field("Session token", "Session token of temporary credentials.", format="password"),
    "role_arn": _text_field("Role ARN", "CAM role to assume with the API key."),
    "role_session_name": _text_field("Role session name", "Name of the assumed session in the audit log."),
    "callback_secret": _text_field(
        "Callback SignKey",
        "The application's SignKey, with which VOD signs callbacks: 16 to 32 letters and digits.",
        format="password",
    ),
    "callback_token": _text_field(
        "Callback token",
        "Secret at the end of the callback URL, for applications without a SignKey: 16 to 128 letters, digits, - and _.",
        format="password",
    ),
    "playback_secret": _text_field(
        "Playback secret",
        "Hotlink protection key of the playback domains, with which URLs are signed: 8 to 20 letters and digits.",
        format="password",
    ),
    "playback_domains": _text_field(
        "Playback domains", "Domains whose URLs are signed, separated by commas; empty for all."
    ),
    "proxy": _text_field(
        "Proxy", "http://user:password@host:port, with special characters of the password as %XX.", format="password"
    ),
    "verify": _text_field("Verify TLS", "true, false, or the path of a CA bundle."),
}
"""The fields in the extra of a connection, with their form in Airflow's user interface."""

SECRET_FIELDS = frozenset(name for name, field in EXTRA_FIELDS.items() if field["schema"].get("format") == "password")
"""Those that are secret."""

RENAMED_FIELDS = {"callback_sign_key": "callback_secret"}
"""Former names that the hook still takes. Airflow does not hide what stands under them."""


def _modules(room: str, *names: str) -> dict[str, Any]:
    return {"integration-name": _INTEGRATION, "python-modules": [f"airflow_vod.{room}.{name}" for name in names]}


def get_provider_info() -> dict[str, Any]:
    """Describe the provider in the form of Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "airflow-provider-tencent-vod",
        "name": "Tencent Cloud VOD",
        "description": "Start media tasks of Tencent Cloud VOD (Video on Demand) once, wait for them, and pass on their files.",
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "external-doc-url": "https://www.tencentcloud.com/document/product/266",
                "logo": "/tencent-vod/logo.svg",
                "tags": ["service"],
            }
        ],
        "operators": [_modules("operators", "media", "processing", "storage", "submit", "vod")],
        "sensors": [_modules("sensors", "base", "vod", "vod_event")],
        "hooks": [_modules("hooks", "server", "vod")],
        "triggers": [_modules("triggers", "base", "submit", "vod", "vod_event")],
        "extra-links": ["airflow_vod.links.vod.VodConsoleLink", "airflow_vod.links.vod.VodEventLink"],
        "queues": ["airflow_vod.queues.vod.VodMessageQueueProvider"],
        "cli": ["airflow_vod.cli.definition.get_cli_commands"],
        "connection-types": [_CONNECTION_TYPE],
        "config": {"tencent_vod": {"description": "The inbox for events of Tencent Cloud VOD.", "options": _OPTIONS}},
    }


_CONNECTION_TYPE = {
    "connection-type": "tencent_vod",
    "hook-class-name": "airflow_vod.hooks.vod.VodHook",
    "hook-name": "Tencent Cloud VOD",
    "ui-field-behaviour": {
        "hidden-fields": ["schema", "port"],
        "relabeling": {"login": "SecretId", "password": "SecretKey", "host": "Endpoint"},
        "placeholders": {
            "login": "AKID…, or empty for the SDK's default credential chain",
            "host": "vod.tencentcloudapi.com",
        },
    },
    "conn-fields": EXTRA_FIELDS,
}

_OPTIONS = {
    "inbox_sql_alchemy_conn": {
        "description": "SQLAlchemy URL of the inbox: SQLite, PostgreSQL or MySQL. Empty means the SQLite file vod_inbox.db in "
        "AIRFLOW_HOME, which is sufficient if all Airflow components run on one machine.",
        "version_added": "0.1.0",
        "type": "string",
        "example": "postgresql+psycopg://airflow:***@db/vod_inbox",
        "default": "",
        "sensitive": True,
    },
    "inbox_retention_days": {
        "description": "Days for which events are kept in the inbox, read or not. VOD itself keeps them for four.",
        "version_added": "0.1.0",
        "type": "float",
        "example": None,
        "default": "7",
    },
}
